"""GradBench's lse: the gradient of log(sum(exp(z)))."""

from functools import partial
from typing import Any

import numpy

from bench.by_hand import logsumexp as by_hand
from bench.library import Function, Library
from bench.problems.row import Row
from bench.problems.softmax import logsumexp


def of_vector(library: Library) -> Function:
    """``(n) -> scalar``."""
    return lambda z: logsumexp(library, z, axis=0)


def gradient(library: Library) -> Function:
    return library.grad(of_vector(library))


def data(size: int | tuple[int, ...]) -> tuple[Any, ...]:
    return (numpy.random.default_rng(0).normal(size=size) * 3,)


ROWS = [
    Row(f"lse n={size}", "GradBench", partial(data, size), gradient, base=of_vector, by_hand=code)
    for size, code in ((1000, by_hand.serial_gradient), (1_000_000, by_hand.parallel_gradient))
]
