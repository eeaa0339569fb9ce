"""Sums of several rows at once, and products of one matrix with several vectors.

Invariant: lengths are such that rows and vectors do not come out even.
Start anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad

FOLDS: dict[str, Callable[[Any, Any], Any]] = {
    "a weighted sum": lambda x, w: np.sum(x * w, axis=1),
    "a product": lambda x, w: x @ w,
    "two sums": lambda x, w: (np.sum(x * w, axis=1), np.sum(np.abs(x), axis=1)),
    "a maximum": lambda x, w: np.max(x * w, axis=1),
    "the place of a maximum": lambda x, w: np.argmax(x * w, axis=1),
    "distances": lambda x, w: np.sum((x[:, None, :] - x[None, :5, :]) ** 2 * w, axis=2),
    "a sum of a sum": lambda x, w: np.sum(np.sum(x[:, :, None] * w[:, None] * x[0], axis=2), axis=1),
    "a sum of columns": lambda x, w: np.sum(x.T * w[:, None], axis=1),
    "all": lambda x, w: np.all(x < w, axis=1),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", FOLDS)
def test_sums_of_rows(name: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    for rows, columns in [(4, 8), (5, 3), (7, 33), (6, 100), (3, 9), (13, 17)]:
        x, w = rng.normal(size=(rows, columns)).astype(dtype), rng.normal(size=columns).astype(dtype)
        found, expected = sad.jit(FOLDS[name])(x, w), FOLDS[name](x, w)
        for one, two in zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]:
            assert one.dtype == two.dtype
            np.testing.assert_allclose(one, two, rtol=100 * np.finfo(dtype).eps, atol=100 * np.finfo(dtype).eps)


def test_sums_of_rows_in_parallel_chunks() -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(10_003, 37)), rng.normal(size=37)
    np.testing.assert_allclose(sad.jit(lambda x, w: np.sum(x * np.exp(w), axis=1))(x, w), x @ np.exp(w), rtol=1e-10)


@pytest.mark.parametrize("shape", [(4000, 50), (4001, 33), (300, 700), (300, 3000), (70_000, 2)])
def test_a_matrix_with_several_vectors_is_read_once(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    x, w, y = rng.normal(size=shape), rng.normal(size=shape[1]), rng.normal(size=shape[0])

    def loss(w: Any) -> Any:
        return np.mean(np.logaddexp(0, x @ w) - y * (x @ np.sin(w)))

    np.testing.assert_allclose(sad.jit(sad.grad(loss))(w), sad.grad(loss)(w), rtol=1e-9, atol=1e-12)
    product = sad.jit(lambda v: sad.jvp(sad.grad(loss), (w,), (v,))[1])
    np.testing.assert_allclose(product(w), sad.jvp(sad.grad(loss), (w,), (w,))[1], rtol=1e-9, atol=1e-12)
    loops = sad.jit(sad.grad(loss)).lower(w).text("loops")
    assert ("blocks of" in loops) == (x.nbytes > 2**19 and 16 * w.nbytes <= 2**18)


def test_products_of_one_matrix_are_computed_together_where_what_the_second_needs_does_not_wait_for_the_first():
    def f(A: Any, x: Any) -> Any:
        forward = x @ A
        return np.sum(forward * x) + A @ (np.sum(x) * x)

    random = np.random.default_rng(0)
    A, x = random.normal(size=(700, 700)), random.normal(size=700)
    assert "blocks of" in sad.jit(f).lower(A, x).text("loops")
    np.testing.assert_allclose(sad.jit(f)(A, x), f(A, x), rtol=1e-10, atol=1e-10)


def test_products_that_need_the_one_before_them_follow_it():
    def f(A: Any, x: Any) -> Any:
        return A @ (x @ A)

    random = np.random.default_rng(0)
    A, x = random.normal(size=(700, 700)), random.normal(size=700)
    assert "blocks of" not in sad.jit(f).lower(A, x).text("loops")
    np.testing.assert_allclose(sad.jit(f)(A, x), f(A, x), rtol=1e-10, atol=1e-10)
