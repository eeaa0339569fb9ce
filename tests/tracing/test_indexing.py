"""Basic indexing of traced arrays is NumPy's: values, shapes, derivatives and errors.

Invariant: all of integers, slices with any step, None and Ellipsis are drawn.
Start at ``indexed``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import staged_ad as sad
from staged_ad.errors import ConcretizationError, IndexingError, UnsupportedError
from tests.backends import through_program
from tests.numerics import assert_same


@st.composite
def indexed(draw: Any) -> Any:
    shape = draw(npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
    return shape, draw(npst.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))


@given(indexed())
def test_basic_indexing_is_numpys(pair: Any):
    shape, index = pair
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    assert_same(through_program(lambda x: x[index], x), np.asarray(x[index]))


@given(indexed())
def test_the_adjoint_of_indexing_writes_into_zeros(pair: Any):
    shape, index = pair
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    y, pull = sad.vjp(lambda x: x[index], x)
    y_bar = np.arange(1.0, y.size + 1).reshape(y.shape)
    expected = np.zeros(shape)
    expected[index] = y_bar
    (x_bar,) = pull(y_bar if y.shape else y_bar[()])
    assert_same(x_bar, expected)


@given(indexed())
def test_indexing_commutes_with_vmap(pair: Any):
    shape, index = pair
    x = np.arange(3.0 * np.prod(shape)).reshape(3, *shape)
    assert_same(sad.vmap(lambda x: x[index])(x), np.stack([x[k][index] for k in range(3)]))


@given(st.integers(0, 4))
def test_iteration_len_and_unpacking_follow_the_first_axis(n: int):
    x = np.arange(2.0 * n).reshape(n, 2)
    assert_same(
        through_program(lambda x: np.stack([np.sum(row) for row in x] + [len(x) + 0 * np.sum(x)]), x),
        np.append(x.sum(1), n),
    )
    if n == 2:
        assert_same(through_program(lambda x: (lambda a, b: a - b)(*x), x), x[0] - x[1])


def test_numpy_integers_are_indices():
    x = np.arange(3.0)
    assert through_program(lambda x: x[np.int64(1)] + x[np.uint8(2)], x) == 3


@pytest.mark.parametrize("index", [3, -4, (0, 0), (slice(None), 1)])
def test_an_index_out_of_bounds_is_refused_where_it_is_written(index: Any):
    with pytest.raises(IndexError) as ours:
        sad.grad(lambda x: np.sum(x[index]))(np.zeros(3))
    with pytest.raises(IndexError) as numpys:
        np.zeros(3)[index]
    assert isinstance(ours.value, IndexingError)
    assert f"{__file__}:" in str(ours.value)
    assert str(numpys.value).split(" for ")[0].split(":")[0] in str(ours.value)


def test_more_than_one_ellipsis_is_refused():
    with pytest.raises(IndexError, match="single ellipsis"):
        through_program(lambda x: x[..., ...], np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("index", "advice"),
    [("a", "only integers"), (1.0, "only integers"), (np.array([1.0]), "integer \\(or boolean\\) type")],
)
def test_other_indices_are_refused_with_advice(index: Any, advice: str):
    with pytest.raises(IndexingError, match=advice) as caught:
        sad.grad(lambda x: np.sum(x[index]))(np.zeros(3))
    assert f"{__file__}:" in str(caught.value)


def test_a_traced_bound_of_a_slice_is_refused_with_advice_where_it_has_no_single_value():
    with pytest.raises(UnsupportedError, match=r"np\.arange"):
        sad.vmap(lambda x, i: x[i:])(np.zeros((3, 3)), np.arange(3))


def with_rows_swapped(a: Any) -> Any:
    a, p = a.copy(), np.argmax(np.abs(a[:, 0]))
    a[[0, p]] = a[[p, 0]]
    return a[0]


def of_a_permutation(a: Any) -> Any:
    p, q = np.eye(3), np.argmax(a[:, 0])
    p[[0, q]] = p[[q, 0]]
    return p @ a


LISTED = {
    "rows": lambda a: a[[np.argmax(a[:, 0]), 0]],
    "columns": lambda a: a[:, [0, np.argmax(a[0])]],
    "rows, all": lambda a: a[[np.argmax(a[:, 0])], :],
    "a tuple": lambda a: a[(0, np.argmax(a[:, 0])), :],
    "nested": lambda a: a[[[0, np.argmax(a[:, 0])], [1, 0]]],
    "of argsort": lambda a: a[list(np.argsort(a[:, 0]))[:2]],
    "ix_": lambda a: a[np.ix_([0, np.argmax(a[:, 0])], [2, 1])],
    "swapped": with_rows_swapped,
    "a permutation": of_a_permutation,
}


@pytest.mark.parametrize("f", LISTED.values(), ids=LISTED)
def test_lists_of_traced_integers_are_indices(f: Callable[..., Any]):
    batch = np.random.default_rng(0).normal(size=(4, 3, 3))
    expected = np.stack([f(a) for a in batch])
    np.testing.assert_array_equal(np.stack([sad.jit(f)(a) for a in batch]), expected)
    np.testing.assert_array_equal(sad.vmap(f)(batch), expected)
    for a in batch:
        sad.check_derivatives(lambda a: np.sin(f(a)), (a,))


DATA = np.array([[0.5, -1.0], [1.5, 2.0], [2.5, 0.25]])


@pytest.mark.parametrize(
    "f",
    [
        lambda t: DATA[DATA[:, 0] > t].mean() * t,
        lambda t: np.sum(DATA[~(t > DATA)]) * t,
        lambda t: np.sum(DATA[DATA[:, 1] < t, 1] - t),
    ],
)
def test_masks_of_known_arrays_are_read_as_if_reads_them(f: Callable[..., Any]):
    jitted = sad.jit(f)
    for t in (1.0, 0.3, 1.0, 2.2):
        np.testing.assert_allclose(jitted(t), f(t), rtol=1e-14)
        sad.check_derivatives(f, (t,))
    with pytest.raises(ConcretizationError, match=r"write np.where\(mask, a, 0\)"):
        sad.vmap(f)(np.array([1.0, 0.3]))
