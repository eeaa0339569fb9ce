"""GradBench's ode: y0' = x0, yi' = xi y(i-1) from y = 0 at t = 0 to t = 2 by Runge-Kutta; gradient of the last y.

The problem of B. Bell's cmpad (an_ode).
"""

from functools import partial
from typing import Any

import numpy

from bench.by_hand import ode as by_hand
from bench.library import Function, Library
from bench.problems.row import Row

END = 2.0


def last_of_solution(library: Library, steps: int) -> Function:
    """``x (n) -> scalar``."""
    np, h = library.np, END / steps

    def f(x: Any) -> Any:
        one = np.ones_like(x[:1])

        def slope(y: Any) -> Any:
            return x * np.concatenate([one, y[:-1]])

        def step(y: Any, _: Any) -> Any:
            first = slope(y)
            second = slope(y + h / 2 * first)
            third = slope(y + h / 2 * second)
            fourth = slope(y + h * third)
            return y + h / 6 * (first + 2.0 * second + 2.0 * third + fourth), None

        y, _ = library.scan(step, np.zeros_like(x), None, length=steps)
        return y[-1]

    return f


def gradient(library: Library, steps: int) -> Function:
    return library.grad(last_of_solution(library, steps))


def data(size: int) -> tuple[Any, ...]:
    return (numpy.random.default_rng(0).uniform(0.5, 1.5, size),)


ROWS = [
    Row(
        f"ode, {size} unknowns, {steps} steps",
        "GradBench",
        partial(data, size),
        partial(gradient, steps=steps),
        base=partial(last_of_solution, steps=steps),
        by_hand=by_hand.gradient(END, steps),
        steps=steps,
    )
    for size, steps in ((10, 1000), (100, 200))
]
