"""Every function of the protocol table that is not a ufunc: value, dtype and derivative on random shapes.

Invariant: that every supported function has an example is up to tests/test_coverage.py.
Start at ``CALLS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import staged_ad as sad
from tests.backends import through_program
from tests.checks import assert_derivatives, assert_value
from tests.numerics import assert_same, directional
from tests.numpy.indexing_calls import INDEXING_CALLS
from tests.numpy.ordering_calls import COUNTING, ORDERING, SCANNING

Call = Callable[[Any], Any]
C = np.array([[0.5, -1.0], [2.0, 0.25], [1.5, 3.0]])

# calls on one array of shape (2, 3, 2) with distinct elements
CALLS: dict[Callable[..., Any], list[Call]] = {
    np.reshape: [
        lambda x: np.reshape(x, (3, 4)),
        lambda x: np.reshape(x, -1),
        lambda x: np.reshape(x, (4, -1), order="C"),
    ],
    np.ravel: [np.ravel],
    np.transpose: [np.transpose, lambda x: np.transpose(x, (1, 2, 0)), lambda x: np.transpose(x, axes=[-1, 0, 1])],
    np.permute_dims: [np.permute_dims, lambda x: np.permute_dims(x, (2, 0, 1))],
    np.matrix_transpose: [np.matrix_transpose],
    np.swapaxes: [lambda x: np.swapaxes(x, 0, -1)],
    np.moveaxis: [
        lambda x: np.moveaxis(x, 0, -1),
        lambda x: np.moveaxis(x, [0, 1], [-1, 0]),
        lambda x: np.moveaxis(x, 2, 0),
    ],
    np.squeeze: [
        lambda x: np.squeeze(x[:1]),
        lambda x: np.squeeze(x[:, :1], axis=1),
        lambda x: np.squeeze(x[None], (0,)),
    ],
    np.expand_dims: [lambda x: np.expand_dims(x, 0), lambda x: np.expand_dims(x, (1, -1))],
    np.broadcast_to: [lambda x: np.broadcast_to(x, (4, 2, 3, 2)), lambda x: np.broadcast_to(x[:, :1], (2, 3, 2))],
    np.broadcast_arrays: [lambda x: np.broadcast_arrays(x[0], x[1, 0], 2.0)],
    np.concatenate: [
        lambda x: np.concatenate([x, x + 1]),
        lambda x: np.concatenate((x, x[:, :1]), axis=1),
        lambda x: np.concatenate([x, x[0]], axis=None),
        lambda x: np.concatenate(x, axis=1),
        lambda x: np.concatenate([x[0], C], axis=-1),
        lambda x: np.concatenate([x, x], dtype="float32"),
        lambda x: np.concatenate([x, np.arange(12).reshape(x.shape)]),
    ],
    np.stack: [
        lambda x: np.stack([x, 2 * x]),
        lambda x: np.stack([x[0], C], axis=-1),
        lambda x: np.stack([x[0, 0, 0], 1.0]),
    ],
    np.hstack: [
        lambda x: np.hstack([x, x]),
        lambda x: np.hstack([x[0, 0], x[1, 0]]),
        lambda x: np.hstack([x[0, 0, 0], 2.0]),
    ],
    np.vstack: [
        lambda x: np.vstack([x, x]),
        lambda x: np.vstack([x[0, 0], x[1]]),
        lambda x: np.vstack([x[0, 0, 0], 2.0]),
    ],
    np.column_stack: [lambda x: np.column_stack([x[0, 0], x[1].T]), lambda x: np.column_stack([x[0, 0], x[0, 1]])],
    np.split: [lambda x: np.split(x, 3, axis=1), lambda x: np.split(x, [1, 2], axis=1), lambda x: np.split(x, 2)],
    np.atleast_1d: [np.atleast_1d, lambda x: np.atleast_1d(x[0, 0, 0]), lambda x: np.atleast_1d(x, x[0, 0, 0])],
    np.atleast_2d: [np.atleast_2d, lambda x: np.atleast_2d(x[0, 0, 0]), lambda x: np.atleast_2d(x[0, 0])],
    np.flip: [np.flip, lambda x: np.flip(x, 1), lambda x: np.flip(x, (0, -1))],
    np.roll: [lambda x: np.roll(x, 1), lambda x: np.roll(x, -2, axis=1), lambda x: np.roll(x, (1, 5), axis=(0, 1))],
    np.pad: [
        lambda x: np.pad(x, 1),
        lambda x: np.pad(x, ((0, 1), (2, 0), (1, 1))),
        lambda x: np.pad(x, (1, 2), constant_values=3.0),
    ],
    np.where: [
        lambda x: np.where(x > 0, x, 2 * x),
        lambda x: np.where(x[0] > 0, x, 0),
        lambda x: np.where(x, x**2, -1.0),
        lambda x: np.where(C > 0, x, C),
        lambda x: np.where(x > 0, 1, 2),
    ],
    np.clip: [
        lambda x: np.clip(x, -0.5, 0.5),
        lambda x: np.clip(x, None, 0.3),
        lambda x: np.clip(x, x[0], C),
        lambda x: np.clip(x, a_min=-0.2, a_max=None),
        lambda x: np.clip(x, min=-0.1, max=0.7),
        lambda x: np.clip(np.arange(5), x[0, 0, 0], 3),
    ],
    np.round: [np.round, lambda x: np.round(x + 0.011, 1), lambda x: np.round(x * 100 + 1.1, -1)],
    np.around: [np.around],
    np.copy: [np.copy],
    np.astype: [lambda x: np.astype(x, np.float32), lambda x: np.astype(x * 9, int), lambda x: np.astype(x, bool)],
    np.zeros_like: [np.zeros_like, lambda x: np.zeros_like(x, dtype=int), lambda x: np.zeros_like(x, shape=(2,))],
    np.ones_like: [np.ones_like, lambda x: np.ones_like(x, dtype="float32") * x],
    np.empty_like: [lambda x: np.empty_like(x) * 0],
    np.full_like: [
        lambda x: np.full_like(x, 2),
        lambda x: np.full_like(x, x[0, 0, 0]),
        lambda x: np.full_like(x, 2.5, dtype=int),
    ],
    np.real: [np.real, lambda x: np.real(x * 1j) + x.real],
    np.imag: [np.imag, lambda x: np.imag(x * (1 + 1j)) + x.imag],
    np.angle: [np.angle, lambda x: np.angle(x + 2j), lambda x: np.angle(x - 2j, deg=True)],
    np.iscomplex: [lambda x: np.iscomplex(x + np.array([0, 1j]))],
    np.isreal: [np.isreal, lambda x: np.isreal(x + np.array([0, 1j]))],
    np.iscomplexobj: [lambda x: x * np.iscomplexobj(x), lambda x: x * np.iscomplexobj(1j * x)],
    np.isrealobj: [lambda x: x * np.isrealobj(x)],
    np.shape: [lambda x: x * np.shape(x)[1]],
    np.ndim: [lambda x: x * np.ndim(x)],
    np.size: [lambda x: x * np.size(x), lambda x: x * np.size(x, 1)],
    np.max: [np.max],
    np.amax: [np.amax, lambda x: np.amax(x, axis=1)],
    np.min: [np.min],
    np.amin: [np.amin, lambda x: np.amin(x, axis=(0, 2), keepdims=True)],
    np.average: [
        np.average,
        lambda x: np.average(x, axis=1),
        lambda x: np.average(x, axis=1, weights=np.array([1.0, 2.0, 3.0])),
        lambda x: np.average(x, weights=x**2),
        lambda x: np.average(C, axis=0, weights=x[0, :, 0] + 3),
    ],
    np.ptp: [np.ptp, lambda x: np.ptp(x, axis=1), lambda x: np.ptp(x, axis=(0, 2))],
    np.linalg.norm: [
        np.linalg.norm,
        lambda x: np.linalg.norm(x, axis=1),
        lambda x: np.linalg.norm(x, axis=(0, 1), keepdims=True),
        lambda x: np.linalg.norm(x[0], "fro"),
        lambda x: np.linalg.norm(x[0, :, 0], 1),
        lambda x: np.linalg.norm(x[0, :, 0], 3),
        lambda x: np.linalg.norm(x, 2, axis=-1),
        lambda x: np.linalg.norm(x[0, :, 0], np.inf),
        lambda x: np.linalg.norm(x, -np.inf, axis=1),
        lambda x: np.linalg.norm(x[0, :, 0], 0) + x[0, 0, 0],
    ],
    np.dot: [
        lambda x: np.dot(x, C.T),
        lambda x: np.dot(x[0, :, 0], x[1, :, 1]),
        lambda x: np.dot(x, 2.0),
        lambda x: np.dot(C[:2], x[:, 0]),
    ],
    np.inner: [lambda x: np.inner(x, C), lambda x: np.inner(x[0], x[1]), lambda x: np.inner(x, 3)],
    np.outer: [lambda x: np.outer(x, C), lambda x: np.outer(x[0, 0], x[1])],
    np.vdot: [lambda x: np.vdot(x[0], C), lambda x: np.vdot(x, x)],
    np.tensordot: [
        lambda x: np.tensordot(x, x.transpose(1, 2, 0)),
        lambda x: np.tensordot(x, C, axes=([1, 2], [0, 1])),
        lambda x: np.tensordot(x, C.T, axes=1),
        lambda x: np.tensordot(x[0], C, axes=0),
        lambda x: np.tensordot(x, x, axes=(-1, -1)),
    ],
    np.einsum: [
        lambda x: np.einsum("ijk,jk->i", x, C),
        lambda x: np.einsum("ijk->kji", x),
        lambda x: np.einsum("iji", x),
    ],
}
CALLS |= INDEXING_CALLS
RANDOM = [np.sum, np.prod, np.mean, np.var, np.std, np.max, np.min, np.any, np.all, np.argmax, np.argmin]
CALLS |= SCANNING | ORDERING | COUNTING
CASES = [(function.__name__, call) for function, calls in CALLS.items() for call in calls]


def array(shape: tuple[int, ...] = (2, 3, 2)) -> Any:
    size = int(np.prod(shape))
    return np.random.default_rng(size).permutation(np.linspace(-1.0, 1.3142, size)).reshape(shape)


@pytest.mark.parametrize(("name", "call"), CASES, ids=[f"{name}-{k}" for k, (name, _) in enumerate(CASES)])
def test_calls_give_what_numpy_gives(name: str, call: Call):
    x = array()
    assert_value(call, x)
    assert_value(call, x.astype("float32"), tolerance=1e-5)
    assert_value(call, np.argsort(x.ravel()).reshape(x.shape)[..., ::-1] if name not in INEXACT_ONLY else x)


INEXACT_ONLY = ("norm", "average")


@pytest.mark.parametrize(("name", "call"), CASES, ids=[f"{name}-{k}" for k, (name, _) in enumerate(CASES)])
def test_calls_have_the_derivatives_of_finite_differences(name: str, call: Call):
    x = array()
    with np.errstate(all="ignore"):
        y = call(x)
    if np.asarray(y[0] if isinstance(y, tuple | list) else y).dtype != float:
        return
    assert_derivatives(call, x)
    mapped = sad.vmap(call)(np.stack([x, x[::-1]]))
    expected = [call(x), call(x[::-1])]
    first = (lambda v: v[0]) if isinstance(y, tuple | list) else (lambda v: v)
    assert_same(first(mapped), np.stack([first(v) for v in expected]))


@st.composite
def reductions(draw: Any) -> Any:
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4))
    axes = st.sets(st.integers(-len(shape), len(shape) - 1).map(lambda k: k % len(shape))) if shape else st.just(set())
    axis = draw(st.one_of(st.none(), axes.map(lambda s: tuple(sorted(s)))))
    if axis and draw(st.booleans()):
        axis = axis[0] - (len(shape) if draw(st.booleans()) else 0)
    return shape, axis, draw(st.booleans())


@pytest.mark.parametrize("function", RANDOM, ids=lambda f: f.__name__)
@settings(max_examples=30)
@given(reductions(), st.sampled_from(["float64", "float32", "int64", "int8", "uint8", "uint32", "bool"]))
def test_reductions_give_what_numpy_gives(function: Any, case: Any, dtype: str):
    shape, axis, keepdims = case
    if function in (np.argmax, np.argmin):
        axis = axis if axis is None or isinstance(axis, int) else (axis[0] if axis else None)
    x = (array(shape) * 4).astype(dtype)
    if dtype == "bool" and function in (np.var, np.std):
        return  # NumPy subtracts booleans there by a special rule
    assert_value(lambda x: function(x, axis=axis, keepdims=keepdims), x, tolerance=1e-5 if dtype == "float32" else None)
    if function in (np.sum, np.prod, np.mean):
        assert_value(lambda x: function(x, axis=axis, dtype="float32"), x, tolerance=1e-5)


@pytest.mark.parametrize("function", RANDOM[:7], ids=lambda f: f.__name__)
@settings(max_examples=15)
@given(reductions())
def test_reductions_have_the_derivatives_of_finite_differences(function: Any, case: Any):
    shape, axis, keepdims = case
    if function is np.std and (
        axis == () or np.prod([shape[k] for k in np.atleast_1d(axis)] if axis is not None else shape) == 1
    ):
        return  # a kink: the deviation of one number
    assert_derivatives(lambda x: function(x, axis=axis, keepdims=keepdims), array(shape), tolerance=1e-8)


@pytest.mark.parametrize("function", [np.sum, np.prod, np.any, np.all])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_reductions_of_nothing_give_their_identity(function: Any, axis: Any):
    assert_value(lambda x: function(x, axis=axis), np.zeros((0, 2)))


@pytest.mark.parametrize("function", [np.max, np.min, np.argmax, np.argmin])
def test_extrema_of_nothing_are_refused(function: Any):
    with pytest.raises(ValueError, match=r"zero-size|empty"):
        through_program(function, np.zeros(0))


@pytest.mark.parametrize(("ddof", "function"), [(0, np.var), (1, np.var), (1, np.std)])
def test_degrees_of_freedom_are_subtracted(ddof: int, function: Any):
    assert_value(lambda x: function(x, ddof=ddof, axis=1), array())
    assert_derivatives(lambda x: function(x, ddof=ddof), array())


@settings(max_examples=60)
@given(st.data())
def test_einsum_with_random_subscripts_is_numpys(data: Any):
    lengths = {"i": 2, "j": 3, "k": 1, "l": 2}
    labels = st.text(alphabet="ijkl", max_size=3)
    parts = data.draw(st.lists(labels, min_size=1, max_size=3))
    seen = sorted(set("".join(parts)))
    output = data.draw(st.one_of(st.none(), st.lists(st.sampled_from(seen), unique=True) if seen else st.just([])))
    hidden = data.draw(st.sampled_from(["", "..."]))
    places = [data.draw(st.integers(0, len(part))) for part in parts]
    texts = [part[:p] + hidden + part[p:] for part, p in zip(parts, places, strict=True)]
    subscripts = ",".join(texts) + ("" if output is None else "->" + hidden + "".join(output))
    shapes = []
    for part, p in zip(parts, places, strict=True):
        extra = data.draw(st.sampled_from([(), (3,), (1,), (2, 3)])) if hidden else ()
        shapes.append((*(lengths[c] for c in part[:p]), *extra, *(lengths[c] for c in part[p:])))
    xs = [array(shape) + k for k, shape in enumerate(shapes)]
    f = lambda *xs: np.einsum(subscripts, *xs)
    assert_value(f, *xs)
    assert_derivatives(f, *xs)


@settings(max_examples=40)
@given(st.data())
def test_matmul_with_random_stacks_is_numpys(data: Any):
    shapes = data.draw(
        npst.mutually_broadcastable_shapes(signature="(m?,n),(n,p?)->(m?,p?)", max_dims=2, max_side=3, min_side=0)
    )
    xs = [array(shape) + k for k, shape in enumerate(shapes.input_shapes)]
    assert_value(np.matmul, *xs)
    assert_value(lambda a, b: a @ b, *(x.astype("float32") for x in xs), tolerance=1e-5)
    assert_value(np.matmul, *((10 * x).astype(int) for x in xs))
    assert_derivatives(np.matmul, *xs)


def test_products_of_booleans_are_booleans():
    a, b = array((3, 4)) > 0, array((4, 2)) > 0
    assert_value(np.matmul, a, b)
    assert_value(np.dot, a, b)


def test_staged_array_holds_nested_lists_of_traced_values():
    def f(x: Any) -> Any:
        return sad.numpy.array([[x[0], 1.0], [2, x[1] * x[0]]])

    expected = [[3.0, 1.0], [2.0, 12.0]]
    x = np.array([3.0, 4.0])
    np.testing.assert_array_equal(through_program(f, x), expected)
    np.testing.assert_array_equal(sad.jacfwd(f)(x), [[[1, 0], [0, 0]], [[0, 0], [4, 3]]])
    assert_same(through_program(lambda x: sad.numpy.array(x, dtype="float32", ndmin=3), x), x.astype("f4")[None, None])
    assert_same(
        through_program(lambda x: sad.numpy.array([x, x], ndmin=2) + sad.numpy.array([]).sum(), x), np.array([x, x])
    )


def test_staged_full_takes_a_traced_value():
    np.testing.assert_array_equal(sad.jacfwd(lambda x: sad.numpy.full((2, 2), x))(3.0), np.ones((2, 2)))
    np.testing.assert_array_equal(through_program(lambda x: sad.numpy.full(3, x), 2.0), [2.0, 2.0, 2.0])


@settings(max_examples=30)
@given(reductions())
def test_logsumexp_and_softmax_are_scipys(case: Any):
    shape, axis, keepdims = case
    if axis == () or not shape:
        return  # SciPy gives the numbers of an array without dimensions one dimension
    x = array(shape) * 5
    found = through_program(lambda x: sad.numpy.logsumexp(x, axis=axis, keepdims=keepdims), x)
    assert_same(found, np.asarray(scipy.special.logsumexp(x, axis=axis, keepdims=keepdims)))
    f = lambda x: sad.numpy.logsumexp(x, axis=axis)
    np.testing.assert_allclose(
        sad.jvp(f, (x,), (np.ones(shape),))[1],
        directional(lambda x: scipy.special.logsumexp(x, axis=axis), [x], [np.ones(shape)]),
        rtol=1e-10,
    )
    assert_same(
        through_program(lambda x: sad.numpy.softmax(x, axis=axis), x), np.asarray(scipy.special.softmax(x, axis=axis))
    )
