"""Gradient of log(sum(exp(z))): the maximum, the exponentials with their sum, their quotient."""

from math import exp
from typing import Any

import numba
import numpy

from bench.by_hand import CHUNKS, compiled


@compiled(sums=True)
def serial_gradient(z: Any) -> Any:
    out, most, total = numpy.empty(len(z)), z.max(), 0.0
    for i in range(len(z)):
        out[i] = exp(z[i] - most)
        total += out[i]
    return out * (1.0 / total)


@compiled(parallel=True, sums=True)
def parallel_gradient(z: Any) -> Any:
    n = len(z)
    out, most, totals = numpy.empty(n), numpy.empty(CHUNKS), numpy.zeros(CHUNKS)
    for c in numba.prange(CHUNKS):
        most[c] = z[c * n // CHUNKS : (c + 1) * n // CHUNKS].max()
    largest = most.max()
    for c in numba.prange(CHUNKS):
        total = 0.0
        for i in range(c * n // CHUNKS, (c + 1) * n // CHUNKS):
            out[i] = exp(z[i] - largest)
            total += out[i]
        totals[c] = total
    scale = 1.0 / totals.sum()
    for i in numba.prange(n):
        out[i] *= scale
    return out
