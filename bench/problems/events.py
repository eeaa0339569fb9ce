"""Motion with events: a ball that bounces (a branch in a loop), a spring that comes to rest (a loop in a loop)."""

from functools import partial
from typing import Any

import numpy

from bench.by_hand import events as by_hand
from bench.library import Function, Library
from bench.problems.row import Row, inf

STEP = 1e-4
BLOCK = 100  # steps between two looks at the energy
REST = 1e-3


def bounces(library: Library, steps: int) -> Function:
    """``(gravity, restitution, height, speed) -> energy at the end``."""

    def f(gravity: Any, restitution: Any, height: Any, speed: Any) -> Any:
        def step(state: Any, _: Any) -> Any:
            h, v = state
            v = v - STEP * gravity
            h = h + STEP * v
            return library.cond(h < 0.0, lambda h, v: (-h, -restitution * v), lambda h, v: (h, v), h, v), None

        (h, v), _ = library.scan(step, (height, speed), None, length=steps)
        return gravity * h + 0.5 * v**2

    return f


def gradient_of_bounces(library: Library, steps: int) -> Function:
    return library.grad(bounces(library, steps), argnums=(0, 1, 2, 3))


def rest(library: Library) -> Function:
    """``(stiffness, damping, place, speed) -> time times place squared``, when the energy has fallen to REST."""

    def f(stiffness: Any, damping: Any, place: Any, speed: Any) -> Any:
        def step(state: Any, _: Any) -> Any:
            x, v = state
            return (x + STEP * v, v - STEP * (stiffness * x + damping * v)), None

        def moves(state: Any) -> Any:
            (x, v), _ = state
            return stiffness * x**2 + v**2 > 2.0 * REST

        def block(state: Any) -> Any:
            (x, v), time = state
            return library.scan(step, (x, v), None, length=BLOCK)[0], time + BLOCK * STEP

        (x, _), time = library.while_loop(moves, block, ((place, speed), 0.0))
        return time * x**2

    return f


def gradient_of_rest(library: Library) -> Function:
    return library.grad(rest(library), argnums=(0, 1, 2, 3))


def forward_mode_of_rest(library: Library) -> Function:
    return library.jacfwd(rest(library), argnums=(0, 1, 2, 3))


def data_of_bounces(height: float = 10.0, speed: float = 1.0) -> tuple[Any, ...]:
    return tuple(map(numpy.float64, (9.81, 0.9, height, speed)))


def data_of_rest() -> tuple[Any, ...]:
    return tuple(map(numpy.float64, (4.0, 1.0, 1.0, 0.5)))


ROWS = [
    Row(
        "bouncing ball 1e5 steps, cond",
        "loops",
        data_of_bounces,
        partial(gradient_of_bounces, steps=100_000),
        base=partial(bounces, steps=100_000),
        by_hand=by_hand.gradient_of_bounces(100_000, STEP),
        small=(partial(data_of_bounces, 0.001, 0.1), partial(gradient_of_bounces, steps=1000)),
        steps=100_000,
    ),
    Row("spring, scan in while_loop", "loops", data_of_rest, gradient_of_rest, forward_mode_of_rest, rest, steps=inf),
]
