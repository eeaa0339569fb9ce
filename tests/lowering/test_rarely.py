"""Sums over terms that are zero unless an equality holds: machine code skips them, and gives what NumPy gives.

Invariant: data hold ties, infinities and NaN, which no skipped zero may hide.
Start at ``distances``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad


def distances(centres: Any, points: Any) -> Any:
    return np.sum((points[:, None, :] - centres) ** 2, axis=2)


def nearest(centres: Any, points: Any) -> Any:
    return np.sum(np.min(distances(centres, points), axis=1))


def farthest(centres: Any, points: Any) -> Any:
    return np.sum(np.max(distances(centres, points), axis=1))


def members(centres: Any, points: Any) -> Any:
    member = np.argmin(distances(centres, points), axis=1)[:, None] == np.arange(len(centres))
    return np.sum(np.where(member[:, :, None], np.sin(points[:, None, :] - centres), 0.0), axis=0)


def second(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda c, x: sad.hvp(lambda c: f(c, x), (c,), (np.ones_like(c),))


def skips(f: Callable[..., Any], *args: Any) -> bool:
    return "rarely:" in sad.jit(f).lower(*args).text("llvm")


def data(rows: int = 600, centres: int = 5, d: int = 10) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    return random.normal(size=(centres, d)), random.normal(size=(rows, d))


@pytest.mark.parametrize(
    "f", [sad.grad(nearest), second(nearest), sad.grad(farthest), members], ids=["min", "hvp", "max", "where"]
)
def test_terms_that_are_mostly_zero_are_skipped(f: Callable[..., Any]) -> None:
    centres, points = data()
    assert skips(f, centres, points)
    np.testing.assert_allclose(sad.jit(f)(centres, points), f(centres, points), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("f", [sad.grad(nearest), second(nearest), members], ids=["min", "hvp", "where"])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_no_nan_is_skipped(f: Callable[..., Any], odd: float) -> None:
    centres, points = data()
    centres[3] = centres[1]  # ties
    points[7, 2] = odd
    found, expected = sad.jit(f)(centres, points), f(centres, points)
    assert np.isnan(found).any() == np.isnan(expected).any()
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_terms_of_a_product_or_a_maximum_are_not_skipped() -> None:
    centres, points = data()

    def member(c: Any, x: Any) -> Any:
        d = distances(c, x)
        return np.where(d == np.min(d, axis=1, keepdims=True), np.abs(d) + 1.0, 0.0)[:, :, None] * x[:, None, :] ** 2

    for fold in (np.max, np.min, np.prod):
        f = lambda c, x, fold=fold: fold(member(c, x) + 0.0, axis=0)
        np.testing.assert_allclose(sad.jit(f)(centres, points), f(centres, points), rtol=1e-12)


def test_factors_that_are_rarely_zero_are_not_looked_at() -> None:
    centres, points = data()
    assert not skips(sad.grad(lambda c, x: np.sum(np.exp(-distances(c, x)))), centres, points)
