"""The Gaussian mixture: gradient of the log posterior, each point read once."""

from math import exp, inf
from typing import Any

import numba
import numpy

from bench.by_hand import CHUNKS, compiled


@compiled(sums=True)
def add_points(
    alpha: Any, mean: Any, q: Any, triangle: Any, points: Any, first: int, last: int, a: Any, m: Any, s: Any, t: Any
) -> None:
    """Add the gradients of the likelihoods of some points to `a`, `m`, `s`, `t` (of alpha, mean, q, triangle)."""
    k, d = mean.shape
    scales, offsets = numpy.exp(q), alpha + q.sum(axis=1)
    whitened, terms, back = numpy.empty((k, d)), numpy.empty(k), numpy.empty(d)
    for n in range(first, last):
        most = -inf
        for c in range(k):
            square, place = 0.0, 0
            for i in range(d):
                w = scales[c, i] * (points[n, i] - mean[c, i])
                for j in range(i):
                    w += triangle[c, place + j] * (points[n, j] - mean[c, j])
                place += i
                whitened[c, i] = w
                square += w * w
            terms[c] = offsets[c] - 0.5 * square
            most = max(most, terms[c])
        total = 0.0
        for c in range(k):
            terms[c] = exp(terms[c] - most)
            total += terms[c]
        for c in range(k):
            r, place = terms[c] / total, 0
            a[c] += r
            back[:] = 0.0
            for i in range(d):
                w, centred = r * whitened[c, i], points[n, i] - mean[c, i]
                s[c, i] += r - w * scales[c, i] * centred
                back[i] += scales[c, i] * w
                for j in range(i):
                    t[c, place + j] -= w * (points[n, j] - mean[c, j])
                    back[j] += triangle[c, place + j] * w
                place += i
            for i in range(d):
                m[c, i] += back[i]


@compiled(parallel=True, sums=True)
def gradient(alpha: Any, mean: Any, q: Any, triangle: Any, points: Any) -> Any:
    """With the prior's scale 1 and no further degrees of freedom."""
    (k, d), n = mean.shape, len(points)
    a, m = numpy.zeros((CHUNKS, k)), numpy.zeros((CHUNKS, k, d))
    s, t = numpy.zeros((CHUNKS, k, d)), numpy.zeros((CHUNKS, k, triangle.shape[1]))
    for c in numba.prange(CHUNKS):
        begin, end = c * n // CHUNKS, (c + 1) * n // CHUNKS
        add_points(alpha, mean, q, triangle, points, begin, end, a[c], m[c], s[c], t[c])
    share = numpy.exp(alpha - alpha.max())
    by_alpha = numpy.sum(a, axis=0) - n * share / share.sum()
    return by_alpha, numpy.sum(m, axis=0), numpy.sum(s, axis=0) - numpy.exp(2.0 * q), numpy.sum(t, axis=0) - triangle
