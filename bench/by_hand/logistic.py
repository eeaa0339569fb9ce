"""Logistic regression: mean loss and gradient, each example read once."""

from math import exp, log1p
from typing import Any

import numba
import numpy

from bench.by_hand import CHUNKS, compiled


@compiled(sums=True)
def add_examples(w: Any, b: float, X: Any, y: Any, first: int, last: int, out: Any) -> float:
    """Add the gradients of some examples to `out`, that of b behind those of w; return their loss."""
    features, total = len(w), 0.0
    for i in range(first, last):
        z = b
        for j in range(features):
            z += X[i, j] * w[j]
        e = exp(-abs(z))
        total += max(z, 0.0) + log1p(e) - y[i] * z
        residual = (1.0 if z > 0.0 else e) / (1.0 + e) - y[i]
        for j in range(features):
            out[j] += residual * X[i, j]
        out[features] += residual
    return total


@compiled(parallel=True, sums=True)
def value_and_gradient(w: Any, b: float, X: Any, y: Any) -> Any:
    n, features = X.shape
    parts, losses = numpy.zeros((CHUNKS, features + 1)), numpy.zeros(CHUNKS)
    for chunk in numba.prange(CHUNKS):
        losses[chunk] = add_examples(w, b, X, y, chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS, parts[chunk])
    gradient = numpy.sum(parts, axis=0) / n
    value = numpy.sum(losses) / n + 0.5e-3 * numpy.sum(w**2)
    return value, (gradient[:features] + 1e-3 * w, gradient[features])
