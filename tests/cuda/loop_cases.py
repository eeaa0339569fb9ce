"""Loops and branches, and batches of them, as a table: functions, arguments, and how far results may be off.

Invariant: the emulated device and a GPU run these same cases, in tests/cuda and in tests/device.
Start at ``CASES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import staged_ad as sad

RANDOM = np.random.default_rng(5)
STATES = RANDOM.normal(size=(40, 3))
PARAMETERS = np.array([10.0, 28.0, 8 / 3]) + RANDOM.normal(size=(40, 3))
NUMBERS = np.linspace(1.0, 9.0, 100)
MATRIX = RANDOM.normal(size=(30, 30)) / 6
LARGE = RANDOM.normal(size=(30, 30))


# -- lanes ------------------------------------------------------------------------------------------------------------


def lorenz_for(steps: int, checkpoint: int | None = None) -> Callable[..., Any]:
    def lorenz(state: Any, parameters: Any) -> Any:
        def step(_: Any, s: Any) -> Any:
            x, y, z = s
            a, b, c = parameters
            return s + 0.01 * np.stack([a * (y - x), x * (b - z) - y, x * y - c * z])

        return sad.fori_loop(0, steps, step, state, checkpoint=checkpoint)

    return lorenz


lorenz = lorenz_for(20)


def newton(a: Any) -> Any:
    return sad.while_loop(lambda x: np.abs(x * x - a) > 1e-12 * a, lambda x: 0.5 * (x + a / x), a)


def newton_again(a: Any) -> Any:
    """The same, which computes steps again in reverse mode."""
    return sad.while_loop(lambda x: np.abs(x * x - a) > 1e-12 * a, lambda x: 0.5 * (x + a / x), a, checkpoint=2)


def summed(f: Callable[..., Any]) -> Callable[..., Any]:
    """The sum over lanes."""
    return lambda *lanes: np.sum(sad.vmap(f)(*lanes) ** 2)


systems = summed(lorenz)


def roots(numbers: Any) -> Any:
    return np.sum(sad.vmap(newton)(numbers))


def curvature(states: Any, parameters: Any) -> Any:
    """The derivative of it is a second one of checkpointed loops."""
    return np.sum(sad.grad(summed(lorenz_for(7, 2)))(states, parameters) ** 2)


# -- large arrays -----------------------------------------------------------------------------------------------------


def iterated(x: Any, checkpoint: int | None = None) -> Any:
    return sad.fori_loop(0, 5, lambda _, x: np.sin(x @ MATRIX) + x, x, checkpoint=checkpoint)


def halved(x: Any, checkpoint: int | None = None) -> Any:
    return sad.while_loop(
        lambda x: np.sum(x * x) > 1e-3, lambda x: np.sin(x) * np.exp(-0.1 * x * x) / 2, x, checkpoint=checkpoint
    )


def chosen(x: Any) -> Any:
    return sad.cond(np.sum(x) > 0, lambda x: x * 2, lambda x: np.exp(x), x)


def collected(x: Any, checkpoint: int | None = None, reverse: bool = False) -> Any:
    def step(c: Any, row: Any) -> Any:
        after = np.tanh(c * 0.5 + row)
        return after, (np.sum(after * row), after * 2)

    return sad.scan(step, x[0], x, checkpoint=checkpoint, reverse=reverse)[1]


def parted(x: Any) -> Any:
    """Rows of odd length, of which parts of even length are read: no thread may load from where they begin."""
    return sad.scan(lambda c, row: (c * np.sin(row[:28]), row[:28] * np.exp(c)), np.ones((30, 28)), x[:, :29])


def powers(x: Any, n: Any) -> Any:
    return sad.fori_loop(0, n, lambda k, c: np.sin(c) * x + k, x, checkpoint=3)


def squared(f: Callable[..., Any]) -> Callable[..., Any]:
    """The derivative of the sum of the squares of all results."""

    def total(x: Any, *rest: Any) -> Any:
        found = f(x, *rest)
        return sum(np.sum(part**2) for part in (found if isinstance(found, tuple) else (found,)))

    return sad.grad(total)


@dataclass(frozen=True)
class Case:
    name: str
    f: Callable[..., Any]
    args: tuple[Any, ...]
    tolerance: float = 1e-9


def _both(name: str, f: Callable[..., Any], *args: Any) -> list[Case]:
    """Values and derivatives."""
    return [Case(name, f, args, 1e-11), Case(f"{name}, derivative", squared(f), args)]


def _again(checkpoint: int, f: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return lambda x: f(x, checkpoint=checkpoint, **options)


LANES = STATES, PARAMETERS
CASES = [
    Case("lorenz", systems, LANES, 1e-11),
    Case("lorenz, derivatives", sad.grad(systems, (0, 1)), LANES),
    Case("lorenz, jacobians", sad.vmap(sad.jacfwd(lorenz)), LANES),
    Case("lorenz for long, derivative", sad.grad(summed(lorenz_for(100))), LANES),
    Case("lorenz again, derivatives", sad.grad(summed(lorenz_for(20, 3)), (0, 1)), LANES),
    Case("lorenz again, gradients of lanes", sad.vmap(sad.grad(lambda s, p: np.sum(lorenz_for(9, 2)(s, p)))), LANES),
    Case("lorenz again, second derivative", sad.grad(curvature), LANES, 1e-8),
    Case("newton", roots, (NUMBERS,), 1e-11),
    Case("newton, derivative", sad.grad(roots), (NUMBERS,)),
    Case("newton, second derivatives", sad.vmap(sad.grad(sad.grad(newton))), (NUMBERS,)),
    Case("newton, batch of batches", sad.vmap(sad.vmap(newton)), (NUMBERS.reshape(10, 10),), 1e-11),
    Case("newton again, derivative", sad.grad(summed(newton_again)), (NUMBERS[:5],)),
    *_both("newton of one number", newton, 3.0),
    *_both("newton again of one number", newton_again, 3.0),
    *_both("iterated", iterated, LARGE),
    *_both("iterated again", _again(2, iterated), LARGE),
    *_both("halved", halved, LARGE),
    *_both("halved again", _again(2, halved), LARGE),
    *_both("chosen", chosen, LARGE),
    *_both("collected", collected, LARGE),
    *_both("collected again", _again(4, collected), LARGE),
    *_both("collected again from the end", _again(4, collected, reverse=True), LARGE),
    *_both("parted", parted, LARGE),
    *_both("a number of times that is computed", powers, LARGE, 7),
]  # fmt: skip

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
