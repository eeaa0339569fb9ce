"""Small arrays that a nest reads across its rows: copies in the order of the vectors.

Invariant: the oracle is NumPy.
Start at ``test_sums_of_few_terms_between_all_pairs_are_numpys``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from tests.checks import assert_derivatives

FOLDS: list[Callable[..., Any]] = [np.sum, np.max, np.min, np.prod, np.argmin, np.mean]
KINDS: list[Callable[[Any, Any], Any]] = [
    lambda x, y: (x - y) ** 2,
    lambda x, y: np.abs(x - y),
    lambda x, y: x * y,
    lambda x, y: np.where(x > y, x, 2 * y),
]
CUTS: list[Callable[[Any], Any]] = [
    lambda y: y,
    lambda y: y[::-1],
    lambda y: y[1:, ::-1],
    lambda y: y[::2],
    lambda y: y + 1,
    lambda y: y.T.reshape(y.shape),
]


@given(data=st.data())
def test_sums_of_few_terms_between_all_pairs_are_numpys(data: Any) -> None:
    n, k, d = (data.draw(st.integers(*bounds)) for bounds in ((16, 300), (2, 40), (1, 17)))
    fold, kind, cut = (data.draw(st.sampled_from(choices)) for choices in (FOLDS, KINDS, CUTS))
    dtype = data.draw(st.sampled_from(["f4", "f8", "i8", "i2"]))
    random = np.random.default_rng(0)
    x, y = (np.round(3 * random.normal(size=shape)).astype(dtype) for shape in ((n, d), (k, d)))

    def f(x: Any, y: Any) -> Any:
        return fold(kind(x[:, None, :], cut(y)), axis=2)

    found, expected = sad.jit(f)(x, y), f(x, y)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype in ("f4", "i2") else 1e-12)


def test_vectors_run_along_the_points_of_short_distances() -> None:
    def f(x: Any, y: Any) -> Any:
        return np.sum((x[:, None, :] - y) ** 2, axis=2)

    text = sad.jit(f).lower(np.ones((1000, 3)), np.ones((20, 3))).text("loops")
    assert "tmp0[20*i0 + i1] = %0" in text
    assert "= tmp0[i1 + 20*i2]" in text


def test_a_copy_holds_what_is_read_of_an_array_that_is_written_to_later() -> None:
    def f(x: Any, y: Any) -> Any:
        y = y.copy()
        before = np.sum((x[:, None, :] - y) ** 2, axis=2)
        y[3] = before[0, :3]
        y[:, 1] += 2.0
        after = np.sum((x[:, None, :] - y) ** 2, axis=2)
        return before, after, y

    x, y = np.arange(300.0).reshape(100, 3), np.arange(60.0).reshape(20, 3)
    for donated in ((), (1,)):
        for found, expected in zip(sad.jit(f, donate_argnums=donated)(x, y.copy()), f(x, y), strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "loop", [sad.fori_loop, lambda n, m, f, x: sad.scan(lambda c, k: (f(k, c), None), x, np.arange(n, m))[0]]
)
def test_copies_inside_of_loops_are_of_the_state_of_each_step(loop: Any) -> None:
    def step(k: Any, y: Any) -> Any:
        distances = np.sum((x[:, None, :] - y) ** 2, axis=2)
        return y + 0.1 * (distances.T @ x / 1000 - y)

    x = np.random.default_rng(0).normal(size=(100, 3))
    y = np.random.default_rng(1).normal(size=(8, 3))
    expected = y
    for k in range(4):
        expected = step(k, expected)
    np.testing.assert_allclose(sad.jit(lambda y: loop(0, 4, step, y))(y), expected, rtol=1e-12)


def test_derivatives_of_distances_are_those_of_finite_differences() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    assert_derivatives(lambda y: np.sum(np.exp(-np.sum((x[:, None, :] - y) ** 2, axis=2)), axis=0), x[:6] + 0.3)
