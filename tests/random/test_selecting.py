"""permutation and choice: all orders equally likely, probabilities kept, axes and errors.

Invariant: keys are fixed, so every test gives the same result in every run.
Start at ``test_all_orders_are_equally_likely``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from staged_ad import random
from staged_ad.errors import ArgumentError, ShapeError
from tests.random.test_distributions import assert_frequencies

KEY = random.key(5)
SIZE = 4000


def codes(rows: Any, base: int) -> Any:
    """Each row as one number."""
    return np.asarray(rows) @ base ** np.arange(np.shape(rows)[1])


def test_all_orders_are_equally_likely():
    orders = random.permutation(KEY, np.tile(np.arange(4), (SIZE, 1)), axis=1, independent=True)
    counts = np.unique(codes(orders, 4), return_counts=True)[1]
    assert len(counts) == 24
    assert_frequencies(counts, np.full(24, 1 / 24))


def test_a_permutation_holds_every_element_once():
    order = random.permutation(KEY, 1000)
    assert order.dtype == np.int64
    assert not np.array_equal(order, np.arange(1000))
    np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 0.15


def test_permutation_moves_whole_slices_along_its_axis():
    x = np.arange(24.0).reshape(4, 6)
    order = random.permutation(KEY, 6)
    np.testing.assert_array_equal(random.permutation(KEY, x, axis=1), x[:, order])
    np.testing.assert_array_equal(random.permutation(KEY, x, axis=-1), x[:, order])
    np.testing.assert_array_equal(random.permutation(KEY, x), x[random.permutation(KEY, 4)])
    assert random.permutation(KEY, 0).shape == (0,)
    assert random.permutation(KEY, np.zeros((3, 0))).shape == (3, 0)


@pytest.mark.parametrize("p", [None, np.array([0.1, 0.0, 0.6, 0.3])])
def test_choice_with_replacement_has_its_probabilities(p: Any):
    x = random.choice(KEY, 4, (SIZE, 2), p=p)
    assert (x.shape, x.dtype) == ((SIZE, 2), np.int64)
    marginal = np.full(4, 0.25) if p is None else p
    assert_frequencies(np.bincount(codes(x, 4), minlength=16), np.outer(marginal, marginal).ravel())


def test_choice_without_replacement_draws_each_next_one_among_the_rest():
    p = np.array([0.5, 0.2, 0.3])
    pairs = np.stack([random.choice(key, 3, 2, replace=False, p=p) for key in random.split(KEY, SIZE)])
    expected = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            expected[j, i] = 0 if i == j else p[i] * p[j] / (1 - p[i])
    assert_frequencies(np.bincount(codes(pairs, 3), minlength=9), expected.ravel())


def test_choice_without_replacement_and_probabilities_draws_distinct_ones():
    x = random.choice(KEY, np.arange(10, 30), (4, 5), replace=False)
    np.testing.assert_array_equal(np.sort(x.ravel()), np.arange(10, 30))
    assert random.choice(KEY, 5, 0, replace=False).shape == (0,)


def test_choice_takes_slices_along_its_axis():
    a = np.arange(12.0).reshape(3, 4)
    index = random.choice(KEY, 4, (2, 5))
    np.testing.assert_array_equal(random.choice(KEY, a, (2, 5), axis=1), a[:, index])
    assert random.choice(KEY, a).shape == (4,)
    assert np.shape(random.choice(KEY, 4)) == ()


BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: random.permutation(KEY, 2.5), ArgumentError, "an array or an integer"),
    (lambda: random.permutation(KEY, -2), ArgumentError, "must not be negative"),
    (lambda: random.permutation(KEY, np.zeros(3), 1), ShapeError, "axis 1 is out of bounds"),
    (lambda: random.permutation(KEY, np.array(["a", "b"])), ArgumentError, "its argument"),
    (lambda: random.choice(KEY, 3, 4, replace=False), ArgumentError, "4 of 3 cannot be chosen"),
    (lambda: random.choice(KEY, 0, 1), ArgumentError, "no elements"),
    (lambda: random.choice(KEY, 3, 2, p=[0.5, 0.5]), ShapeError, r"p must have shape \(3,\)"),
    (lambda: random.choice(KEY, 2, 2, p=[0.5, 0.6]), ArgumentError, "sum 1"),
    (lambda: random.choice(KEY, 2, 2, p=[1.5, -0.5]), ArgumentError, "sum 1"),
    (lambda: random.choice(KEY, 2, 2, replace=False, p=[1.0, 0.0]), ArgumentError, "fewer than 2 nonzero"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD)
def test_an_error_says_what_is_wrong_and_where(call: Callable[[], Any], kind: type[Exception], message: str):
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "test_selecting.py" in str(caught.value)
