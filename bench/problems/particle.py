"""GradBench's particle: the control parameter with which a charged particle, repelled by two others, hits the origin.

Each of Euler's steps differentiates the potential, and the descent differentiates through their loop.
"""

from functools import partial
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.descent import argmin
from bench.problems.row import Row, inf

STEP = 0.1


def control(library: Library, outer: str) -> Function:
    """``start (scalar) -> w``; `outer` is the mode of the outer derivative, that of the inner one is reverse."""
    np = library.np
    differentiate = {"forward": library.jacfwd, "reverse": library.grad}[outer]

    def distance(x: Any, y: Any) -> Any:
        return np.sqrt(x * x + y * y)

    def potential(place: Any, w: Any) -> Any:
        x, y = place
        return 1.0 / distance(x - 10.0, y - 10.0 + w) + 1.0 / distance(x - 10.0, y)

    def miss(w: Any) -> Any:
        """The squared distance from the origin where the particle crosses the x axis."""

        def after(state: Any) -> Any:
            (x, y), (u, v) = state
            du, dv = library.grad(potential)((x, y), w)
            return (x + STEP * u, y + STEP * v), (u - STEP * du, v - STEP * dv)

        def flies(state: Any) -> Any:
            (_, y), (_, v) = state
            return y + STEP * v > 0.0

        (x, y), (u, v) = library.while_loop(flies, after, ((0.0, 8.0), (0.75, 0.0)))
        return (x - y / v * u) ** 2

    return lambda start: argmin(library, miss, differentiate(miss), start)


def data() -> tuple[Any, ...]:
    return (numpy.float64(0.0),)


forward = partial(control, outer="forward")
reverse = partial(control, outer="reverse")

ROWS = [
    Row("particle, forward over reverse", "GradBench", data, forward, steps=inf),
    Row("particle, reverse over reverse", "GradBench", data, reverse, check=forward, steps=inf),
]
