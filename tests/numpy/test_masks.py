"""Traced masks, read as ``if`` reads one value: what they select has the shape that NumPy gives it.

Start anywhere: each test stands alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import UnsupportedError

SELECTIONS: list[Any] = [
    lambda x: x[x > 0],
    lambda x: np.sort(x[x > 0] ** 2)[::-1],
    lambda x: x[np.nonzero(x > 0)],
    lambda x: x[np.where(x > 0)],
    lambda x: x[np.flatnonzero(x < 0)],
    lambda x: x[np.argwhere(x < 0)[:, 0]],
    lambda x: np.compress(x > 0, x),
    lambda x: np.extract(x > 0, x),
    lambda x: np.delete(x, np.argmax(x)),
    lambda x: np.insert(x, np.argmin(x), 2.0 * x[0]),
    lambda x: x[: np.argmax(x)] * 3.0,
    lambda x: np.split(x, [np.argmin(x)])[1],
]


@pytest.mark.parametrize("f", SELECTIONS, ids=range(len(SELECTIONS)))
def test_what_a_mask_selects_is_numpys_and_differentiates(f: Any):
    jitted, gradient = sad.jit(f), sad.jit(sad.grad(lambda x: np.sum(f(x) ** 2)))
    for x in (np.array([1.5, -1.0, 0.5, -2.0]), np.array([-1.5, 1.0, 0.5, 2.0]), np.array([3.0, 1.0, 2.0, 5.0])):
        np.testing.assert_array_equal(jitted(x), f(x))
        expected = [(np.sum(f(x + h) ** 2) - np.sum(f(x - h) ** 2)) / 2e-6 for h in 1e-6 * np.eye(4)]
        np.testing.assert_allclose(gradient(x), expected, atol=1e-6)
        np.testing.assert_allclose(sad.grad(lambda x: np.sum(f(x) ** 2))(x), expected, atol=1e-6)


@given(st.lists(st.floats(-2, 2).filter(lambda v: abs(v) > 1e-3), min_size=1, max_size=150))
def test_masks_longer_than_a_word_are_read_whole(values: list[float]):
    x = np.array(values)
    found = sad.jvp(lambda x: (x * x)[x > 0.5], (x,), (np.ones_like(x),))
    np.testing.assert_array_equal(found[0], (x * x)[x > 0.5])
    np.testing.assert_array_equal(found[1], 2 * x[x > 0.5])


def test_a_mask_with_many_values_is_refused_with_advice():
    for f in (
        lambda x: np.sort(x[x > 0]),
        lambda x: np.sum(x[np.nonzero(x)]),
        lambda x: np.sum(np.delete(x, np.argmax(x))),
    ):
        with pytest.raises(UnsupportedError, match=r"np\.where"):
            sad.vmap(f)(np.ones((2, 3)))
    with pytest.raises(UnsupportedError, match=r"np\.where"):
        sad.jit(lambda x: np.sort(x[x > 0]))(np.ones(5000))
