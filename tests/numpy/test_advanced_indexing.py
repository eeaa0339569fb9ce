"""Advanced indexing is NumPy's: integer arrays, masks and slices in any mixture, read and written, traced or not.

Invariant: the indices that are drawn are in bounds, save in the tests of errors.
Start at ``indexed``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import staged_ad as sad
from staged_ad.errors import ConcretizationError, DTypeError, IndexingError, InvalidValueError, ShapeError
from tests.backends import MODES, in_mode, through_program
from tests.numerics import assert_same

every_mode = pytest.mark.parametrize("mode", MODES)


@st.composite
def indexed(draw: Any, masks: bool = True) -> Any:
    """A shape and an index of any mixture."""
    shape = draw(npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    parts: list[Any] = []
    axis = 0
    common = draw(st.sampled_from([(), (2,), (1,), (2, 2), (0,)]))
    while axis < len(shape) and draw(st.integers(0, 4)):
        n = shape[axis]
        kind = draw(st.sampled_from(["slice", "integer", "array", "array", "mask", "none", "ellipsis", "flag"]))
        if kind == "none":
            parts.append(None)
            continue
        if kind == "ellipsis" and not any(p is Ellipsis for p in parts):
            parts.append(Ellipsis)
            break
        if kind == "flag":
            if masks:
                parts.append(draw(st.booleans()))
            continue
        if kind == "mask" and masks:
            parts.append(draw(npst.arrays(bool, (n,))))
        elif kind == "slice":
            parts.append(draw(st.slices(n)))
        elif kind == "integer":
            parts.append(draw(st.integers(-n, n - 1)))
        else:
            ones = tuple(draw(st.sampled_from([m, 1])) for m in common)
            parts.append(draw(npst.arrays(np.int64, ones, elements=st.integers(-n, n - 1))))
        axis += 1
    return shape, tuple(parts)


def numbers(shape: tuple[int, ...]) -> Any:
    return np.linspace(-1.0, 2.0, int(np.prod(shape))).reshape(shape)


def attempt(f: Callable[[], Any]) -> Any:
    """The result, or the IndexError."""
    try:
        return f()
    except IndexError as error:
        return error


@settings(max_examples=300)
@given(indexed())
def test_reading_is_numpys(pair: Any):
    shape, index = pair
    x = numbers(shape)
    expected = attempt(lambda: x[index])
    found = attempt(lambda: through_program(lambda x: x[index], x))
    if isinstance(expected, IndexError):
        assert isinstance(found, IndexingError)
    else:
        assert_same(found, np.asarray(expected))


@settings(max_examples=300)
@given(indexed(), st.data())
def test_writing_is_numpys(pair: Any, data: Any):
    shape, index = pair
    x = numbers(shape)
    try:
        target = x[index]
    except IndexError:
        return
    own = tuple(data.draw(st.sampled_from([n, 1])) for n in np.shape(target))
    value = numbers(own[data.draw(st.integers(0, len(own))) :]) + 3
    ufunc = data.draw(st.sampled_from([None, np.add, np.multiply, np.maximum, np.subtract, np.minimum]))
    expected = x.copy()
    if ufunc is None:
        expected[index] = value
        found = through_program(lambda x, v: sad.numpy.setitem(x, index, v), x, value)
        assert_same(found, expected)
    else:
        # NumPy 2.4 itself is wrong where ufunc.at broadcasts the value
        ufunc.at(expected, index, np.array(np.broadcast_to(value, np.shape(target))))
        found = through_program(lambda x, v: sad.numpy.ufunc_at(ufunc, x, index, v), x, value)
        np.testing.assert_allclose(found, expected, rtol=1e-14)


@settings(max_examples=25)
@given(indexed(masks=False), st.booleans())
def test_traced_indices_are_read_and_written_as_known_ones_are(pair: Any, jitted: bool):
    shape, index = pair
    x = numbers(shape)
    arrays = [part for part in index if isinstance(part, np.ndarray | int) and not isinstance(part, bool)]
    if not arrays or isinstance(attempt(lambda: x[index]), IndexError):
        return

    def place(traced: Any) -> Any:
        rest = iter(traced)
        return tuple(next(rest) if isinstance(p, np.ndarray | int) and not isinstance(p, bool) else p for p in index)

    def f(x: Any, *traced: Any) -> Any:
        at = place(traced)
        return np.sum(x[at] ** 2) + np.sum(x.at[at].set(2.0) * x), x[at], x.at[at].add(1.0)

    y = x.copy()
    y[index] = 2.0
    z = x.copy()
    np.add.at(z, index, np.ones(np.shape(x[index])))
    expected = (np.sum(x[index] ** 2) + np.sum(y * x), x[index], z)
    found = (sad.jit(f) if jitted else lambda *args: through_program(f, *args))(x, *arrays)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
        assert np.shape(one) == np.shape(other)
    if jitted:
        g = sad.jit(sad.grad(lambda x, *t: f(x, *t)[0]))
        counts = np.zeros(shape)
        np.add.at(counts, index, np.ones(np.shape(x[index])))
        kept = np.ones(shape)
        kept[index] = 0.0
        np.testing.assert_allclose(g(x, *arrays), 2 * x * counts + y + kept * x, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint16", "bool", "complex64"])
@every_mode
def test_dtypes_are_kept(mode: str, dtype: str):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    i = np.array([1, 0, 1])
    assert_same(in_mode(mode, lambda x, i: np.take(x, i, axis=0))(x, i), x[i])
    expected = x.copy()
    expected[i, 1] = np.array([1.9, 1.0, 0.3])
    assert_same(in_mode(mode, lambda x, i: sad.numpy.setitem(x, (i, 1), np.array([1.9, 1.0, 0.3])))(x, i), expected)


@every_mode
def test_batches_of_arrays_and_of_indices_are_loops(mode: str):
    x = np.arange(24.0).reshape(2, 3, 4)
    i = np.array([[0, 2, -1], [1, 1, 0]])
    for axes in ((0, 0), (0, None), (None, 0)):
        f = lambda x, i: sad.numpy.asarray(x).at[..., i].add(sad.numpy.asarray(x)[..., i] * 2.0)
        mapped = in_mode(mode, sad.vmap(f, in_axes=axes))(x, i)
        found = [
            through_program(f, x[k] if axes[0] == 0 else x, i[k] if axes[1] == 0 else i) for k in range(2)
        ]  # fmt: skip
        assert_same(mapped, np.stack(found))


def test_the_last_of_repeated_assignments_gets_the_derivative():
    f = lambda v: sad.numpy.at(np.zeros(3))[np.array([0, 2, 0, 0])].set(v)
    np.testing.assert_array_equal(sad.jacrev(f)(np.ones(4)), [[0, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(sad.jacfwd(f)(np.ones(4)), sad.jacrev(f)(np.ones(4)))


def test_elements_that_attain_a_maximum_share_its_derivative():
    f = lambda x, v: np.sum(sad.numpy.at(x)[np.array([0, 0, 1])].max(v))
    x_bar, v_bar = sad.grad(f, argnums=(0, 1))(np.array([1.0, 5.0]), np.array([1.0, 1.0, 2.0]))
    np.testing.assert_allclose(x_bar, [1 / 3, 1])
    np.testing.assert_allclose(v_bar, [1 / 3, 1 / 3, 0])


@every_mode
def test_a_traced_mask_is_assigned_to(mode: str):
    x = np.arange(6.0).reshape(2, 3)
    row = np.array([True, False])
    expected = np.where(x > 2, -1.0, x)
    assert_same(in_mode(mode, lambda x: sad.numpy.setitem(x, x > 2, -1.0))(x), expected)
    expected = x.copy()
    expected[row] = [7, 8, 9]
    assert_same(in_mode(mode, lambda x, m: sad.numpy.at(x)[m].set(np.array([7.0, 8.0, 9.0])))(x, row), expected)
    assert_same(in_mode(mode, lambda x, m: sad.numpy.at(x)[m].multiply(2.0))(x, row), x * [[2.0], [1.0]])


@every_mode
def test_viterbi_follows_its_pointers_back(mode: str):
    rng = np.random.default_rng(0)
    scores, moves = rng.normal(size=(7, 4)), rng.normal(size=(4, 4))

    def best(scores: Any, moves: Any) -> Any:
        def forward(v: Any, s: Any) -> Any:
            options = v[:, None] + moves
            return np.max(options, axis=0) + s, np.argmax(options, axis=0)

        v, pointers = sad.scan(forward, scores[0], scores[1:])
        last = np.argmax(v)
        _, path = sad.scan(lambda state, p: (p[state], p[state]), last, pointers, reverse=True)
        return np.max(v), np.concatenate([path, np.stack([last])])

    value, path = in_mode(mode, best)(scores, moves)
    steps = pairwise(path)
    total = sum(scores[k, s] for k, s in enumerate(path)) + sum(moves[a, b] for a, b in steps)
    np.testing.assert_allclose(value, total)
    bars = in_mode(mode, sad.grad(lambda s: best(s, moves)[0]))(scores)
    np.testing.assert_array_equal(bars, np.eye(4)[path])


@every_mode
def test_a_table_is_looked_up_in_a_while_loop(mode: str):
    table = np.array([3, 0, 4, 2, 5, 5])
    weights = np.linspace(1.0, 2.0, 6)

    def walk(start: Any, weights: Any) -> Any:
        step = lambda c: (sad.numpy.asarray(table)[c[0]], c[1] * sad.numpy.asarray(weights)[c[0]])
        return sad.while_loop(lambda c: c[0] != 5, step, (start, 1.0))

    place, product = in_mode(mode, walk)(1, weights)
    assert place == 5
    np.testing.assert_allclose(product, np.prod(weights[[1, 0, 3, 2, 4]]))
    found = in_mode(mode, sad.grad(lambda w: walk(1, w)[1]))(weights)
    np.testing.assert_allclose(found, np.append(product / weights[:5], 0))


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "error", "advice"),
    [
        (lambda x: np.take(x, x), DTypeError, "must be integers"),
        (lambda x: x[[0, 5]], IndexError, "index 5 is out of bounds for axis 0 with size 3"),
        (lambda x: x[np.array([True, False])], IndexError, "boolean index did not match"),
        (lambda x: x.at[[0, 1]].set(np.ones(3)), ShapeError, "could not broadcast"),
        (lambda x: x.astype(int).at[0].add(0.5), DTypeError, "same_kind"),
        (
            lambda x: sad.vmap(lambda i: np.arange(3)[i])(x.astype(int)),
            ConcretizationError,
            r"staged_ad\.numpy\.asarray",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_with_advice(f: Callable[..., Any], error: Any, advice: str):
    with pytest.raises(error, match=advice) as caught:
        through_program(f, np.array([1.0, 2.0, 3.0]))
    assert "test_advanced_indexing.py:" in str(caught.value)


@every_mode
def test_traced_indices_out_of_bounds_raise(mode: str):
    f = lambda x, i: np.sum(sad.numpy.asarray(x)[i])
    for index in (3, -4, np.array([0, 3]), np.array([[-4]])):
        with pytest.raises(IndexError, match="out of bounds for axis 0 with size 3"):
            in_mode(mode, sad.grad(f))(np.ones(3), index)
    np.testing.assert_array_equal(in_mode(mode, sad.grad(f))(np.ones(3), np.zeros((0, 2), int)), np.zeros(3))


@every_mode
@pytest.mark.parametrize(
    "f",
    [
        lambda i: np.unravel_index(i, (3, 4))[1],
        lambda i: np.unravel_index(i + 7, (3, 4), order="F")[0],
        lambda i: np.ravel_multi_index((i, i * 0), (5, 4)),
        lambda i: np.ravel_multi_index((i * 0, i), (3, 5), order="F"),
    ],
)
def test_flat_indices_out_of_bounds_raise(f: Any, mode: str):
    g = lambda x, i: np.sum(x[f(i) % 3] ** 2)
    for index in (4, np.array([0, 3]), np.array([], int)):
        np.testing.assert_array_equal(in_mode(mode, sad.grad(g))(np.ones(3), index), sad.grad(g)(np.ones(3), index))
        np.testing.assert_array_equal(sad.jit(f)(index), f(index))
    for index in (-8, 12, np.array([1, -8]), np.array([[5], [12]])):
        with pytest.raises(ValueError, match=r"index|coordinates"):
            f(index)
        with pytest.raises(ValueError, match=r"index|coordinates"):
            in_mode(mode, sad.grad(g))(np.ones(3), index)
        with pytest.raises(InvalidValueError, match=r"np\.(unravel|ravel_multi)_index"):
            sad.jit(f)(index)


def test_arrays_are_never_modified():
    x = np.ones(3)
    sad.numpy.at(x)[0].set(5.0)
    sad.jit(lambda x: sad.numpy.at(x)[1].set(5.0))(x)
    np.testing.assert_array_equal(x, np.ones(3))
