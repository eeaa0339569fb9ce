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
    """``(state, y) -> state`` with these powers of one base."""

    def step(state: Any, y: Any) -> Any:
        base = 1 + 0.2 * np.sin(state) + 0.1 * y
        return np.sin(sum((k + 1) * base**exponent for k, exponent in enumerate(exponents)) * state) + 0.3 * state

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


def test_of_half_integer_powers_of_a_base_one_root_is_stored() -> None:
    size = lambda *exponents: workspace(by_scan(step_of(exponents)))
    assert size(1.5) == size(2.5) == size(-1.5)
    assert size(1.5, 2.5) == size(3.5, 1.5, 2.5) == size(-1.5, -0.5) < size(1.5, -1.5)


@pytest.mark.parametrize("base", [0.0, np.inf, -1.0, np.nan, 1e-310, 1e300])
def test_roots_have_the_limits_of_powers(base: float) -> None:
    f = by_scan(lambda c, y: c * 0 + (y + c) ** 1.5 * 2 + (y + c) ** 0.5)
    x, ys = np.zeros(2), np.full((1, 2), base)
    with np.errstate(all="ignore"):
        expected = 3 * np.sqrt(base) + 0.5 / np.sqrt(base)
        found = gradients(f, x, ys)[1][0]
    np.testing.assert_allclose(found, np.full(2, expected), rtol=1e-14)


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
