"""Rosenbrock's function: gradient, and Hessian times a vector."""

from functools import partial
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.row import Row


def rosenbrock(library: Library) -> Function:
    """``x -> scalar``: the sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2."""
    np = library.np

    def f(x: Any) -> Any:
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    return f


def gradient(library: Library) -> Function:
    return library.grad(rosenbrock(library))


def hessian_vector(library: Library) -> Function:
    f = rosenbrock(library)
    return lambda x, v: library.hvp(f, (x,), (v,))


def data(size: int, vectors: int) -> tuple[Any, ...]:
    return tuple(numpy.random.default_rng(0).normal(size=(vectors, size)))


ROWS = [
    row
    for size in (2, 100, 10_000, 1_000_000)
    for row in (
        Row(f"Rosenbrock n={size} gradient", "Rosenbrock", partial(data, size, 1), gradient),
        Row(f"Rosenbrock n={size} HVP", "Rosenbrock", partial(data, size, 2), hessian_vector),
    )
]
