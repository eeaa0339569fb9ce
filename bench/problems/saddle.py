"""GradBench's saddle: min over x of max over y of (x0^2 + y0^2) - (x1^2 + y1^2), derivatives of derivatives in loops.

The descent over x differentiates through the ascent over y, which differentiates f.
"""

from functools import partial
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.descent import argmin
from bench.problems.row import Row, inf


def saddle_point(library: Library, outer: str) -> Function:
    """``start (2) -> (x, y)``; `outer` is the mode of the outer derivative, that of the inner one is reverse."""
    np = library.np
    differentiate = {"forward": library.jacfwd, "reverse": library.grad}[outer]

    def f(x: Any, y: Any) -> Any:
        return np.sum(x**2) - np.sum(y**2)

    def best_answer(x: Any, start: Any) -> Any:
        def loss(y: Any) -> Any:
            return -f(x, y)

        return argmin(library, loss, library.grad(loss), start)

    def point(start: Any) -> Any:
        def worst(x: Any) -> Any:
            return f(x, best_answer(x, start))

        x = argmin(library, worst, differentiate(worst), start)
        return x, best_answer(x, start)

    return point


def data() -> tuple[Any, ...]:
    return (numpy.array([1.0, 1.0]),)


forward = partial(saddle_point, outer="forward")
reverse = partial(saddle_point, outer="reverse")

ROWS = [
    Row("saddle, forward over reverse", "GradBench", data, forward, steps=inf),
    Row("saddle, reverse over reverse", "GradBench", data, reverse, check=forward, steps=inf),
]
