"""GradBench's llsq: a polynomial through the sign function, sum of squared errors on a grid, and its gradient.

The problem of B. Bell's cmpad (llsq_obj).
"""

from functools import partial
from typing import Any

import numpy

from bench.by_hand import least_squares as by_hand
from bench.library import Function, Library
from bench.problems.row import Row


def objective(library: Library) -> Function:
    """``(x (m), t (n), s (n)) -> 1/2 sum of (s - x0 - x1 t - x2 t^2 - ...)^2``."""

    def f(x: Any, t: Any, s: Any) -> Any:
        polynomial = x[-1]
        for degree in reversed(range(len(x) - 1)):
            polynomial = polynomial * t + x[degree]
        return 0.5 * library.np.sum((s - polynomial) ** 2)

    return f


def gradient(library: Library) -> Function:
    return library.grad(objective(library))


def data(coefficients: int, points: int) -> tuple[Any, ...]:
    t = numpy.linspace(-1.0, 1.0, points)
    return numpy.random.default_rng(0).normal(size=coefficients), t, numpy.sign(t)


ROWS = [
    Row(
        f"llsq m=16 n={points}",
        "GradBench",
        partial(data, 16, points),
        gradient,
        base=objective,
        by_hand=code,
    )
    for points, code in ((100, by_hand.serial_gradient), (100_000, by_hand.parallel_gradient))
]
