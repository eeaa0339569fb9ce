"""Ten bodies under softened gravity, 1000 steps of the classical Runge-Kutta method: gradient for the start."""

from functools import partial
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.row import Row

STEP = 1e-3
SOFTENING = 1e-2


def end_distance(library: Library, steps: int) -> Function:
    """``(positions (n, 3), velocities (n, 3), masses (n,)) -> scalar``: squared norm of the end state."""
    np = library.np

    def accelerations(positions: Any, masses: Any) -> Any:
        apart = positions[None, :, :] - positions[:, None, :]
        weights = masses / (np.sum(apart**2, axis=2) + SOFTENING) ** 1.5
        return np.sum(weights[:, :, None] * apart, axis=1)

    def f(positions: Any, velocities: Any, masses: Any) -> Any:
        def slopes(state: Any) -> Any:
            return state[1], accelerations(state[0], masses)

        def along(state: Any, slope: Any, time: float) -> Any:
            return state[0] + time * slope[0], state[1] + time * slope[1]

        def step(state: Any, _: Any) -> Any:
            first = slopes(state)
            second = slopes(along(state, first, STEP / 2))
            third = slopes(along(state, second, STEP / 2))
            fourth = slopes(along(state, third, STEP))
            mean = [(a + 2.0 * b + 2.0 * c + d) / 6.0 for a, b, c, d in zip(first, second, third, fourth, strict=True)]
            return along(state, mean, STEP), None

        (x, v), _ = library.scan(step, (positions, velocities), None, length=steps)
        return np.sum(x**2) + np.sum(v**2)

    return f


def gradient(library: Library, steps: int) -> Function:
    return library.grad(end_distance(library, steps), argnums=(0, 1))


def data(bodies: int = 10) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    return random.normal(size=(bodies, 3)), random.normal(size=(bodies, 3)), random.uniform(0.5, 1.5, bodies)


ROWS = [
    Row(
        "10 bodies, RK4, 1000 steps",
        "loops",
        data,
        partial(gradient, steps=1000),
        base=partial(end_distance, steps=1000),
        small=(data, partial(gradient, steps=20)),
        steps=1000,
    )
]
