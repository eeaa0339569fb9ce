"""kmeans: each point is read once, and its nearest centre keeps count."""

from math import inf
from typing import Any

import numba
import numpy

from bench.by_hand import CHUNKS, compiled


@compiled(sums=True)
def add_points(centres: Any, points: Any, first: int, last: int, sums: Any, counts: Any) -> None:
    k, d = centres.shape
    for n in range(first, last):
        least, nearest = inf, 0
        for c in range(k):
            square = 0.0
            for i in range(d):
                square += (points[n, i] - centres[c, i]) ** 2
            if square < least:
                least, nearest = square, c
        counts[nearest] += 1.0
        for i in range(d):
            sums[nearest, i] += centres[nearest, i] - points[n, i]


@compiled(parallel=True, sums=True)
def sums_and_counts(centres: Any, points: Any) -> Any:
    (k, d), n = centres.shape, len(points)
    sums, counts = numpy.zeros((CHUNKS, k, d)), numpy.zeros((CHUNKS, k))
    for c in numba.prange(CHUNKS):
        add_points(centres, points, c * n // CHUNKS, (c + 1) * n // CHUNKS, sums[c], counts[c])
    return numpy.sum(sums, axis=0), numpy.sum(counts, axis=0)


@compiled()
def gradient(centres: Any, points: Any) -> Any:
    return 2.0 * sums_and_counts(centres, points)[0]


@compiled()
def direction(centres: Any, points: Any) -> Any:
    sums, counts = sums_and_counts(centres, points)
    return sums / counts.reshape(-1, 1)
