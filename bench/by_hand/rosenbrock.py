"""Rosenbrock's function: gradient, and Hessian times a vector, serial for short vectors and parallel for long ones."""

from typing import Any

import numba
import numpy

from bench.by_hand import compiled


@compiled()
def partial_derivative(x: Any, i: int) -> float:
    slope = 0.0
    if i > 0:
        slope += 200.0 * (x[i] - x[i - 1] ** 2)
    if i < len(x) - 1:
        slope -= 400.0 * x[i] * (x[i + 1] - x[i] ** 2) + 2.0 * (1.0 - x[i])
    return slope


@compiled()
def row_times_vector(x: Any, v: Any, i: int) -> float:
    product = 0.0
    if i > 0:
        product += 200.0 * (v[i] - 2.0 * x[i - 1] * v[i - 1])
    if i < len(x) - 1:
        product += 400.0 * (v[i] * (3.0 * x[i] ** 2 - x[i + 1]) - x[i] * v[i + 1]) + 2.0 * v[i]
    return product


@compiled()
def gradient(x: Any) -> Any:
    n = len(x)
    out = numpy.empty(n)
    out[0], out[n - 1] = partial_derivative(x, 0), partial_derivative(x, n - 1)
    for i in range(1, n - 1):
        out[i] = 200.0 * (x[i] - x[i - 1] ** 2) - 400.0 * x[i] * (x[i + 1] - x[i] ** 2) - 2.0 * (1.0 - x[i])
    return out


@compiled(parallel=True)
def parallel_gradient(x: Any) -> Any:
    n = len(x)
    out = numpy.empty(n)
    out[0], out[n - 1] = partial_derivative(x, 0), partial_derivative(x, n - 1)
    for i in numba.prange(1, n - 1):
        out[i] = 200.0 * (x[i] - x[i - 1] ** 2) - 400.0 * x[i] * (x[i + 1] - x[i] ** 2) - 2.0 * (1.0 - x[i])
    return out


@compiled()
def hessian_vector(x: Any, v: Any) -> Any:
    n = len(x)
    out = numpy.empty(n)
    out[0], out[n - 1] = row_times_vector(x, v, 0), row_times_vector(x, v, n - 1)
    for i in range(1, n - 1):
        left = 200.0 * (v[i] - 2.0 * x[i - 1] * v[i - 1])
        out[i] = left + 400.0 * (v[i] * (3.0 * x[i] ** 2 - x[i + 1]) - x[i] * v[i + 1]) + 2.0 * v[i]
    return out


@compiled(parallel=True)
def parallel_hessian_vector(x: Any, v: Any) -> Any:
    n = len(x)
    out = numpy.empty(n)
    out[0], out[n - 1] = row_times_vector(x, v, 0), row_times_vector(x, v, n - 1)
    for i in numba.prange(1, n - 1):
        left = 200.0 * (v[i] - 2.0 * x[i - 1] * v[i - 1])
        out[i] = left + 400.0 * (v[i] * (3.0 * x[i] ** 2 - x[i + 1]) - x[i] * v[i + 1]) + 2.0 * v[i]
    return out
