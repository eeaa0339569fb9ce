"""What a loop stores for its reverse.

Invariant: gradients are those of the same steps written one after the other.
Start at ``gradients``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import staged_ad as sad

X, YS = np.linspace(0.2, 1.0, 4), np.linspace(0.5, 1.5, 12).reshape(3, 4)
HALVES = [k / 2 for k in range(-9, 10, 2)]


def step_of(exponents: Sequence[float]) -> Callable[[Any, Any], Any]:
    """``(state, y) -> state`` with these powers of one base, divided by what makes errors grow little."""
    large = sum((k + 1) * 1.35 ** abs(exponent) for k, exponent in enumerate(exponents))

    def step(state: Any, y: Any) -> Any:
        base = 1 + 0.2 * np.sin(state) + 0.1 * y
        powers = sum((k + 1) * base**exponent for k, exponent in enumerate(exponents))
        return np.sin(powers / large * state) + 0.3 * state

    return step


def by_scan(step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda x, ys: np.sum(sad.scan(lambda c, y: (step(c, y), None), x, ys)[0])


def by_python(step: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def f(x: Any, ys: Any) -> Any:
        for y in ys:
            x = step(x, y)
        return np.sum(x)

    return f


def gradients(f: Callable[[Any, Any], Any], x: Any = X, ys: Any = YS) -> Any:
    return sad.jit(sad.grad(f, argnums=(0, 1)))(x, ys)


def workspace(f: Callable[[Any, Any], Any]) -> int:
    return sad.jit(sad.grad(f)).lower(X, np.ones((1000, 4))).memory().workspace


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(HALVES), min_size=1, max_size=4))
def test_powers_made_of_a_stored_root_give_the_same_gradients(exponents: list[float]) -> None:
    step = step_of(exponents)
    found, expected = gradients(by_scan(step)), gradients(by_python(step))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * np.abs(other).max())


def test_a_root_and_its_cube_take_the_memory_of_one() -> None:
    size = lambda exponent: workspace(by_scan(step_of([exponent])))
    assert size(1.5) + 4 * 8 * 1000 == size(2.5)


OF_POWERS = [
    lambda k, c: k / c**1.5 + k * c**2.5,
    lambda k, c: k * c**-1.5 + k * c**-0.5,
    lambda k, c: k / c**0.5 + k / c**1.5,
    lambda k, c: k * c**1.5,
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("base", [0.0, -0.0, np.inf, -np.inf, -1.0, np.nan, 1e-310, 1e300, 2.0])
@pytest.mark.parametrize("h", OF_POWERS)
def test_cubes_of_roots_have_the_limits_and_signs_of_powers(h: Callable[[Any, Any], Any], base: float) -> None:
    step = lambda q, x: ((q[0], q[1] * x), h(*q))

    def by_steps(k: Any, c: Any) -> Any:
        total = 0.0
        for _ in range(3):
            total = total + h(k, c)
        return total

    looped = lambda k, c: np.sum(sad.scan(step, (k, c), np.ones(3))[1])
    expected = np.array(sad.grad(by_steps, argnums=(0, 1))(2.0, np.array(base)))
    for f in (sad.grad(looped, argnums=(0, 1)), sad.jit(sad.grad(looped, argnums=(0, 1)))):
        np.testing.assert_allclose(np.array(f(2.0, np.array(base))), expected, rtol=1e-14, atol=0)


def test_a_power_made_of_its_root_is_within_the_bound_of_functions() -> None:
    c = np.random.default_rng(0).uniform(0.3, 3, 20000)
    gradient = sad.jit(sad.grad(lambda x: np.sum(sad.scan(lambda c, x: (c + 0 * x, x * c**1.5), c, x)[1])))
    true = c.astype(np.longdouble) ** np.longdouble(1.5)
    assert np.max(np.abs(gradient(np.zeros((1, c.size)))[0] - true) / np.spacing(true.astype(float))) < 4


@pytest.mark.parametrize("traced_length", [False, True])
@pytest.mark.parametrize("size", [1, 7, 8, 9, 100, 3000])
def test_reverse_loops_that_fetch_ahead_read_what_was_stored(size: int, traced_length: bool) -> None:
    def f(x: Any, n: Any) -> Any:
        length = n if traced_length else 40
        return np.sum(sad.fori_loop(0, length, lambda i, c: np.sin(c) * np.cos(2 * c) + 0.9 * c, x))

    def slope(x: Any) -> Any:
        product = np.ones_like(x)
        for _ in range(40):
            product = product * (np.cos(x) * np.cos(2 * x) - 2 * np.sin(x) * np.sin(2 * x) + 0.9)
            x = np.sin(x) * np.cos(2 * x) + 0.9 * x
        return product

    x = np.linspace(-0.5, 0.5, size)
    np.testing.assert_allclose(sad.jit(sad.grad(f))(x, 40), slope(x), rtol=1e-10, atol=1e-12)
