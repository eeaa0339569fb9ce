"""The Lorenz system by explicit Euler steps: the gradient of the end state's squared norm, for parameters and start.

One system carried as three numbers or as an array of three, eight coupled systems carried as 24 numbers (JAX's issue
40150: many numbers in a carry), and a count of steps that is known only when the compiled function is called.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy

from bench.by_hand import lorenz as by_hand
from bench.library import Function, Library
from bench.problems.row import Row

STEP = 1e-4


def moved(state: Sequence[Any], parameters: Sequence[Any]) -> tuple[Any, Any, Any]:
    """One Euler step."""
    (x, y, z), (sigma, rho, beta) = state, parameters
    return x + STEP * sigma * (y - x), y + STEP * (x * (rho - z) - y), z + STEP * (x * y - beta * z)


def squared_norm(state: Sequence[Any]) -> Any:
    return sum(number * number for number in state)


def end(library: Library, steps: int) -> Function:
    """``(three parameters, three numbers) -> squared norm of the end state``."""

    def f(parameters: Any, start: Any) -> Any:
        end, _ = library.scan(lambda state, _: (moved(state, parameters), None), start, None, length=steps)
        return squared_norm(end)

    return f


def gradient(library: Library, steps: int) -> Function:
    """``(three parameters, three numbers) -> (their cotangents)``."""
    return library.grad(end(library, steps), argnums=(0, 1))


def gradient_of_array(library: Library, steps: int) -> Function:
    """``(parameters (3,), start (3,)) -> (their cotangents)``."""
    np = library.np

    def step(parameters: Any, state: Any) -> Any:
        sigma, rho, beta = parameters[0], parameters[1], parameters[2]
        x, y, z = state[0], state[1], state[2]
        return state + STEP * np.stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z])

    def f(parameters: Any, start: Any) -> Any:
        end, _ = library.scan(lambda state, _: (step(parameters, state), None), start, None, length=steps)
        return np.sum(end**2)

    return library.grad(f, argnums=(0, 1))


def gradient_of_coupled(library: Library, steps: int) -> Function:
    """``(three parameters, coupling, list of states) -> (their cotangents)``; each x is drawn to its neighbour's."""

    def step(parameters: Any, coupling: Any, states: Any) -> Any:
        neighbours = [*states[1:], states[0]]
        after = []
        for state, neighbour in zip(states, neighbours, strict=True):
            x, y, z = moved(state, parameters)
            after.append((x + STEP * coupling * (neighbour[0] - state[0]), y, z))
        return after

    def f(parameters: Any, coupling: Any, start: Any) -> Any:
        end, _ = library.scan(lambda states, _: (step(parameters, coupling, states), None), start, None, length=steps)
        return sum(squared_norm(state) for state in end)

    return library.grad(f, argnums=(0, 1, 2))


def end_of_lanes(library: Library, steps: int) -> Function:
    """``(three arrays of parameters (n,), three of numbers (n,)) -> squared norms of the end states (n,)``."""
    return library.vmap(end(library, steps))


def gradient_of_lanes(library: Library, steps: int) -> Function:
    """``(three arrays of parameters (n,), three of numbers (n,)) -> (their cotangents)``, each lane's its own."""
    return library.vmap(gradient(library, steps))


def end_after(library: Library) -> Function:
    """``(parameters, start, steps) -> squared norm of the end state``."""

    def f(parameters: Any, start: Any, steps: Any) -> Any:
        return squared_norm(library.fori_loop(0, steps, lambda _, state: moved(state, parameters), start))

    return f


def gradient_after(library: Library) -> Function:
    return library.grad(end_after(library), argnums=(0, 1))


def forward_mode_after(library: Library) -> Function:
    return library.jacfwd(end_after(library), argnums=(0, 1))


PARAMETERS = tuple(map(numpy.float64, (10.0, 28.0, 8.0 / 3.0)))


def data() -> tuple[Any, ...]:
    return PARAMETERS, tuple(numpy.random.default_rng(0).normal(size=3))


def data_of_array() -> tuple[Any, ...]:
    return tuple(map(numpy.array, data()))


def data_of_lanes(lanes: int) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    parameters = tuple(number * random.uniform(0.9, 1.1, lanes) for number in PARAMETERS)
    return parameters, tuple(random.normal(size=(3, lanes)))


def data_of_coupled(systems: int = 8) -> tuple[Any, ...]:
    states = numpy.random.default_rng(0).normal(size=(systems, 3))
    return PARAMETERS, numpy.float64(0.5), [tuple(state) for state in states]


def data_after(steps: int = 100_000) -> tuple[Any, ...]:
    return *data(), numpy.int64(steps)


ROWS = [
    Row(
        "Lorenz 1e5 steps, 3 scalars",
        "loops",
        data,
        partial(gradient, steps=100_000),
        base=partial(end, steps=100_000),
        by_hand=by_hand.gradient(100_000, STEP),
        small=(data, partial(gradient, steps=500)),
        steps=100_000,
    ),
    Row(
        "Lorenz 1e5 steps, array of 3",
        "loops",
        data_of_array,
        partial(gradient_of_array, steps=100_000),
        small=(data_of_array, partial(gradient_of_array, steps=500)),
        steps=1e5,
    ),
    Row(
        "8 Lorenz 1e4 steps, 24 scalars",
        "loops",
        data_of_coupled,
        partial(gradient_of_coupled, steps=10_000),
        small=(data_of_coupled, partial(gradient_of_coupled, steps=50)),
        steps=10_000,
    ),
    Row(
        "Lorenz, fori_loop to n=1e5",
        "loops",
        data_after,
        gradient_after,
        forward_mode_after,
        end_after,
        small=(partial(data_after, 500), gradient_after),
        steps=1e5,
    ),
]
