"""Chains of elementwise steps: two flops each, and a sin, exp, tanh or cos at every third.

The inputs are small, so that nothing overflows in any number of steps up to 400.
"""

from functools import partial
from typing import Any

import numpy

from bench.by_hand import chains as by_hand
from bench.library import Function, Library
from bench.problems.row import Row


def chain(library: Library, steps: int) -> Function:
    """``(x, y) -> array like x``."""
    np = library.np

    def f(x: Any, y: Any) -> Any:
        for step in range(steps):
            if step % 3 == 0:
                x = x * y + (np.sin, np.exp, np.tanh, np.cos)[step % 4](x)
            else:
                x = x * 1.1 - y
            y = x - y * 0.5
        return x + y

    return f


def gradient(library: Library, steps: int) -> Function:
    """``(x, y) -> (x_bar, y_bar)`` of the sum of the chain."""
    f = chain(library, steps)
    return library.grad(lambda x, y: library.np.sum(f(x, y)), argnums=(0, 1))


def steps_with_equations(equations: int) -> int:
    """The number of steps whose forward function has about that many equations: 5, 4 and 4 per three steps, and 1."""
    return round(3 * (equations - 1) / 13)


def data(size: int = 100_000, dtype: type = numpy.float64) -> tuple[Any, ...]:
    x, y = (numpy.random.default_rng(0).random((2, size)) * 1e-3).astype(dtype)
    return x, y


small = partial(data, 1000)

ROWS = [
    row
    for steps in (5, 20, 100, 400)
    for row in (
        Row(
            f"chain {steps}",
            "chain",
            data,
            partial(chain, steps=steps),
            small=(small, partial(chain, steps=steps)),
            steps=steps,
        ),
        Row(
            f"chain {steps} gradient",
            "chain gradient",
            data,
            partial(gradient, steps=steps),
            base=partial(chain, steps=steps),
            by_hand=by_hand.gradient_of_five if steps == 5 else None,
            small=(small, partial(gradient, steps=steps)),
            steps=steps,
        ),
    )
]
