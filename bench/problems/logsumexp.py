"""log(sum(exp(z))) as a user of plain NumPy writes it, and GradBench's lse: its gradient."""

from functools import partial
from typing import Any

import numpy

from bench.by_hand import logsumexp as by_hand
from bench.library import Function, Library
from bench.problems.row import Row


def logsumexp(library: Library, z: Any, axis: int) -> Any:
    np = library.np
    most = np.max(z, axis=axis, keepdims=True)
    return np.squeeze(most, axis) + np.log(np.sum(np.exp(z - most), axis=axis))


def of_vector(library: Library) -> Function:
    """``(n) -> scalar``."""
    return lambda z: logsumexp(library, z, axis=0)


def gradient(library: Library) -> Function:
    return library.grad(of_vector(library))


def of_rows(library: Library) -> Function:
    """``(m, n) -> (m)``."""
    return lambda z: logsumexp(library, z, axis=1)


def softmax_of_rows(library: Library) -> Function:
    """``(m, n) -> (m, n)``, as a user of plain NumPy writes it."""
    np = library.np

    def f(z: Any) -> Any:
        powers = np.exp(z - np.max(z, axis=1, keepdims=True))
        return powers / np.sum(powers, axis=1, keepdims=True)

    return f


def data(size: int | tuple[int, ...]) -> tuple[Any, ...]:
    return (numpy.random.default_rng(0).normal(size=size) * 3,)


ROWS = [
    Row(f"lse n={size}", "GradBench", partial(data, size), gradient, base=of_vector, by_hand=code)
    for size, code in ((1000, by_hand.serial_gradient), (1_000_000, by_hand.parallel_gradient))
]
