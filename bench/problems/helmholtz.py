"""The Helmholtz free energy of a mixed fluid, and its gradient.

Baydin, Pearlmutter, Radul, Siskind, Automatic Differentiation in Machine Learning: a Survey, JMLR 18 (2018),
Fig. 5 and Table 4, with R = T = 1.
"""

from functools import partial
from math import sqrt
from typing import Any

import numpy

from bench.by_hand import helmholtz as by_hand
from bench.library import Function, Library
from bench.problems.row import Row


def energy(library: Library) -> Function:
    """``(x, b, A) -> scalar``."""
    np = library.np

    def f(x: Any, b: Any, A: Any) -> Any:
        bx = b @ x
        logarithm = np.log((1.0 + (1.0 + sqrt(2.0)) * bx) / (1.0 + (1.0 - sqrt(2.0)) * bx))
        return np.sum(np.log(x / (1.0 - bx))) - (x @ A @ x) / (sqrt(8.0) * bx) * logarithm

    return f


def gradient(library: Library) -> Function:
    return library.grad(energy(library))


def data(size: int) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    index = numpy.arange(size)
    x = random.uniform(0.1, 1.0, size) / size
    b = random.uniform(0.05, 0.5, size)
    return x, b, 0.1 / (1.0 + abs(index[:, None] - index[None, :]))


ROWS = [
    Row(f"Helmholtz n={size} gradient", "Helmholtz", partial(data, size), gradient, base=energy, by_hand=code)
    for size, code in (
        (1, by_hand.gradient),
        (10, by_hand.gradient),
        (100, by_hand.gradient),
        (1000, by_hand.parallel_gradient),
    )
]
