"""llsq: each point is read once; Horner's rule forward, powers backward."""

from typing import Any

import numba
import numpy

from bench.by_hand import CHUNKS, compiled

BLOCK = 64


@compiled(sums=True)
def add_points(x: Any, t: Any, s: Any, first: int, last: int, out: Any) -> None:
    m = len(x)
    values, powers = numpy.empty(BLOCK), numpy.empty(BLOCK)
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        for i in range(count):
            values[i] = x[m - 1]
        for j in range(m - 2, -1, -1):
            for i in range(count):
                values[i] = values[i] * t[start + i] + x[j]
        for i in range(count):
            powers[i] = values[i] - s[start + i]
        for j in range(m):
            total = 0.0
            for i in range(count):
                total += powers[i]
                powers[i] *= t[start + i]
            out[j] += total


@compiled(sums=True)
def serial_gradient(x: Any, t: Any, s: Any) -> Any:
    out = numpy.zeros(len(x))
    add_points(x, t, s, 0, len(t), out)
    return out


@compiled(parallel=True, sums=True)
def parallel_gradient(x: Any, t: Any, s: Any) -> Any:
    n, parts = len(t), numpy.zeros((CHUNKS, len(x)))
    for c in numba.prange(CHUNKS):
        add_points(x, t, s, c * n // CHUNKS, (c + 1) * n // CHUNKS, parts[c])
    return numpy.sum(parts, axis=0)
