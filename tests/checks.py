"""One function against NumPy, finite differences and itself: what the tests of functions are made of.

Invariant: random directions are the same in every run.
Start at ``assert_value`` and ``assert_derivatives``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import staged_ad as sad
from tests.backends import through_program
from tests.numerics import assert_close, assert_same, directional, inner


def assert_value(f: Callable[..., Any], *xs: Any, tolerance: float | None = None) -> None:
    """`f` on traced values gives what it gives on arrays: values, dtypes, shapes, containers."""
    with np.errstate(all="ignore"):
        expected = f(*xs)
    found = through_program(f, *xs)
    if isinstance(expected, tuple | list):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, np.asarray(other), tolerance)
    else:
        assert_same(found, np.asarray(expected), tolerance)


def flat(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` with its first floating-point result alone."""

    def first(*xs: Any) -> Any:
        y = f(*xs)
        return y[0] if isinstance(y, tuple | list) else y

    return first


def _random_like(x: Any, rng: np.random.Generator) -> Any:
    """Random numbers, complex where `x` is."""
    parts = [rng.uniform(-1, 1, np.shape(x)) for _ in range(1 + np.iscomplexobj(x))]
    return parts[0] + 1j * parts[1] if np.iscomplexobj(x) else parts[0]


def assert_derivatives(f: Callable[..., Any], *xs: Any, tolerance: float = 1e-9, step: float = 2e-3) -> None:
    """Forward mode agrees with finite differences, reverse mode is its adjoint. Arguments have double precision."""
    rng = np.random.default_rng(0)
    f = flat(f)
    x_dots = tuple(_random_like(x, rng) for x in xs)
    y, y_dot = sad.jvp(f, xs, x_dots)
    assert_close(y_dot, directional(f, xs, x_dots, step), tolerance)
    again, pull = sad.vjp(f, *xs)
    assert_same(again, np.asarray(y))
    y_bar = _random_like(y, rng)
    x_bars = pull(y_bar)
    assert_close(inner(x_bars, x_dots), inner([y_dot], [y_bar]), 1e-11)
    assert [np.shape(bar) for bar in x_bars] == [np.shape(x) for x in xs]
