"""Sums and maxima of padded rows: vectors far from the edges are read without guards, those at the edges with them.

Invariant: the oracle is NumPy; rows are as long as several vectors.
Start anywhere: each test stands alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad


@pytest.mark.parametrize("fold", [np.sum, np.max, np.var, lambda x, axis: np.argmax(np.abs(x), axis=axis)])
@pytest.mark.parametrize("pads", [(1, 0), (0, 1), (1, 1), (3, 5), (40, 2)])
@pytest.mark.parametrize("length", [63, 64, 66, 130, 500])
def test_folds_of_padded_rows_are_numpys(fold: Callable[..., Any], pads: tuple[int, int], length: int) -> None:
    def f(x: Any) -> Any:
        return fold(np.pad(x, ((0, 0), pads)), axis=1)

    x = np.random.default_rng(length).normal(size=(3, length)) - 2
    np.testing.assert_allclose(sad.jit(f)(x), f(x), rtol=1e-12)


def test_products_of_padded_rows_and_their_derivatives_are_right() -> None:
    def f(x: Any, y: Any) -> Any:
        return np.sum(np.sin(np.pad(x, 1)[:-2, 1:-1] * np.pad(y, ((0, 0), (2, 0)))[:, :-2]), axis=1)

    def total(x: Any, y: Any) -> Any:
        return np.sum(f(x, y) ** 2)

    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 5, 100))
    np.testing.assert_allclose(sad.jit(f)(x, y), f(x, y), rtol=1e-12)
    for found, expected in zip(sad.jit(sad.grad(total, (0, 1)))(x, y), sad.grad(total, (0, 1))(x, y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
