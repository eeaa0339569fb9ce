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


def data(size: int) -> tuple[Any, ...]:
    return (numpy.random.default_rng(0).normal(size=size) * 3,)


ROWS = [
    Row(f"lse n={size}", "GradBench", partial(data, size), gradient, base=of_vector, by_hand=code)
    for size, code in ((1000, by_hand.serial_gradient), (1_000_000, by_hand.parallel_gradient))
]
