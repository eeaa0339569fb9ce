"""Rosenbrock's function: gradient, and Hessian times a vector."""

from functools import partial
from typing import Any

import numpy

from bench.by_hand import rosenbrock as by_hand
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


def gradient_without_vector(library: Library) -> Function:
    g = gradient(library)
    return lambda x, _: g(x)


def hessian_vector(library: Library) -> Function:
    f = rosenbrock(library)
    return lambda x, v: library.hvp(f, (x,), (v,))


def data(size: int, vectors: int) -> tuple[Any, ...]:
    return tuple(numpy.random.default_rng(0).normal(size=(vectors, size)))


def gradient_row(size: int) -> Row:
    code = by_hand.gradient if size < 100_000 else by_hand.parallel_gradient
    name = f"Rosenbrock n={size} gradient"
    return Row(name, "Rosenbrock", partial(data, size, 1), gradient, base=rosenbrock, by_hand=code)


def hessian_row(size: int) -> Row:
    code = by_hand.hessian_vector if size < 100_000 else by_hand.parallel_hessian_vector
    name = f"Rosenbrock n={size} HVP"
    return Row(
        name,
        "Rosenbrock",
        partial(data, size, 2),
        hessian_vector,
        base=gradient_without_vector,
        limit=2.5,
        by_hand=code,
    )


ROWS = [make(size) for size in (2, 100, 10_000, 1_000_000) for make in (gradient_row, hessian_row)]
