"""Helmholtz's energy: its gradient, A read once for both A x and its transpose times x."""

from math import log, sqrt
from typing import Any

import numba
import numpy

from bench.by_hand import CHUNKS, compiled


@compiled(sums=True)
def add_products(A: Any, x: Any, first: int, last: int, out: Any) -> float:
    """Add rows `first` to `last` of (A + A') x to `out`; return their part of x' A x."""
    n, total = len(x), 0.0
    for i in range(first, last):
        row, forward = x[i], 0.0
        for j in range(n):
            forward += A[i, j] * x[j]
            out[j] += A[i, j] * row
        out[i] += forward
        total += row * forward
    return total


@compiled(sums=True)
def finished(x: Any, b: Any, xAx: float, products: Any) -> Any:
    n, bx = len(x), 0.0
    for i in range(n):
        bx += b[i] * x[i]
    plus, minus = 1.0 + sqrt(2.0), 1.0 - sqrt(2.0)
    logarithm = log((1.0 + plus * bx) / (1.0 + minus * bx))
    slope = plus / (1.0 + plus * bx) - minus / (1.0 + minus * bx)
    by_bx = n / (1.0 - bx) - xAx / (sqrt(8.0) * bx) * (slope - logarithm / bx)
    scale = logarithm / (sqrt(8.0) * bx)
    for i in range(n):
        products[i] = 1.0 / x[i] + b[i] * by_bx - scale * products[i]
    return products


@compiled(sums=True)
def gradient(x: Any, b: Any, A: Any) -> Any:
    products = numpy.zeros(len(x))
    return finished(x, b, add_products(A, x, 0, len(x), products), products)


@compiled(parallel=True, sums=True)
def parallel_gradient(x: Any, b: Any, A: Any) -> Any:
    n = len(x)
    parts, forms = numpy.zeros((CHUNKS, n)), numpy.zeros(CHUNKS)
    for chunk in numba.prange(CHUNKS):
        forms[chunk] = add_products(A, x, chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS, parts[chunk])
    return finished(x, b, numpy.sum(forms), numpy.sum(parts, axis=0))
