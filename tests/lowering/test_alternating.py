"""Elements that alternate in memory: values at every length of the last vector, and what is left to gathers.

Invariant: expected values are NumPy's.
Start at ``test_halves_of_pairs_are_read_and_written_as_numpy_does``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from tests.numerics import assert_same

CALLS: dict[str, Callable[[Any], Any]] = {
    "first and second": lambda x: x[::2] - 3 * x[1::2],
    "second alone": lambda x: x[1::2] * 2,
    "interleaved": lambda x: np.stack([x, 2 * x + 1], axis=-1),
    "the other way round": lambda x: np.stack([x[::2], x[1::2]], axis=-1)[:, ::-1],
    "one part written twice": lambda x: np.stack([x, x], axis=-1),
    "complex": lambda x: (x[::2] + 1j * x[1::2]) * (2 - 1j),
    "sum": lambda x: np.sum(x[::2] * x[1::2]),
    "rows": lambda x: np.stack([x[:6].reshape(2, 3), x[-6:].reshape(2, 3) * x[0]], axis=-1),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CALLS)
def test_halves_of_pairs_are_read_and_written_as_numpy_does(name: str, dtype: str):
    f = CALLS[name]
    for n in (6, 16, 34, 130, 1022):
        x = np.random.default_rng(n).normal(size=n).astype(dtype)
        assert_same(sad.jit(f)(x), np.asarray(f(x)), 1e-5 if dtype == "float32" else None)


def test_no_gather_is_left_where_elements_alternate():
    z, w = np.ones(1000, complex), np.full(1000, 2j)
    for f in (np.multiply, lambda z, w: np.exp(z) / w, np.vdot):
        text = sad.jit(f).lower(z, w).text("llvm")
        assert "gather" not in text
        assert "scatter" not in text


def test_the_element_behind_the_last_one_is_not_read():
    """A pair would reach beyond the end of an array of odd length."""
    x = np.arange(1001.0)
    assert "gather" in sad.jit(lambda x: x[::2] * 2).lower(x).text("llvm")
    assert "gather" not in sad.jit(lambda x: x[::2] * 2).lower(x[1:]).text("llvm")
