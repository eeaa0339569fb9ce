"""Sorting, searching and order statistics: against NumPy with ties, NaN and infinities, and their derivatives.

Invariant: expected values are NumPy's or finite differences away from ties.
Start at ``test_sorts_are_numpys``; plain calls of every function are in ordering_calls.py.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import staged_ad as sad
from staged_ad.errors import ShapeError, UnsupportedError
from staged_ad.numpy.quantiles import INTERPOLATIONS
from tests.backends import MODES, in_mode, through_program
from tests.checks import assert_derivatives
from tests.numerics import assert_close, assert_same, directional
from tests.numpy.ordering_calls import REFUSED

DTYPES = ["float64", "float32", "int64", "int16", "int8", "uint8", "uint32", "bool"]
FEW = [0.0, -0.0, 1.5, -2.0, 0.25, np.inf, -np.inf, np.nan]
every_mode = pytest.mark.parametrize("mode", MODES)


def run(mode: str, f: Any, *xs: Any) -> Any:
    return sad.jit(f)(*xs) if mode == "jit" else through_program(f, *xs)


@st.composite
def arrays(draw: Any, least: int = 0, most: int = 6, dims: int = 3) -> Any:
    """An array of few different numbers, not always contiguous, and an axis of it."""
    shape = draw(npst.array_shapes(min_dims=1, max_dims=dims, min_side=least, max_side=most))
    dtype = draw(st.sampled_from(DTYPES))
    floats = st.sampled_from(FEW)
    x = draw(npst.arrays(dtype, shape, elements=floats if dtype.startswith("f") else None))
    if draw(st.booleans()):
        x = np.repeat(x, 2, axis=-1)[..., ::2].T
    return x, draw(st.integers(-x.ndim, x.ndim - 1))


@every_mode
@settings(max_examples=30)
@given(arrays())
def test_sorts_are_numpys(mode: str, case: Any):
    x, axis = case
    values, indices = run(mode, lambda x: (np.sort(x, axis), np.argsort(x, axis)), x)
    assert_same(values, np.sort(x, axis))
    assert_same(indices, np.argsort(x, axis, kind="stable"))


@every_mode
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "uint8"])
def test_long_sequences_side_by_side_are_sorted_stably(mode: str, dtype: str):
    x = np.round(np.random.default_rng(1).normal(size=(3, 300, 2)) * 40).astype(dtype)
    values, indices = run(mode, lambda x: (np.sort(x, 1), np.argsort(x, 1)), x)
    assert_same(values, np.sort(x, 1))
    assert_same(indices, np.argsort(x, 1, kind="stable"))


@every_mode
def test_sequences_on_both_sides_of_the_limit_of_insertion_are_sorted(mode: str):
    for n in (63, 64, 65):
        x = np.random.default_rng(n).permutation(np.arange(n) // 3).astype(float)
        assert_same(run(mode, np.argsort, x), np.argsort(x, kind="stable"))


@settings(max_examples=20)
@given(arrays(least=1), st.data())
def test_partitions_are_partitioned(case: Any, data: Any):
    x, axis = case
    n = x.shape[axis]
    kth = data.draw(st.integers(-n, n - 1))
    found, indices = through_program(lambda x: (np.partition(x, kth, axis), np.argpartition(x, kth, axis)), x)
    for y in (found, np.take_along_axis(x, indices, axis)):
        assert_same(np.take(y, [kth], axis), np.take(np.partition(x, kth, axis), [kth], axis))
        assert_same(np.sort(y, axis), np.sort(x, axis))
        low, high = np.split(y, [kth % n], axis)
        if low.size:
            assert np.all(~(low.max(axis) > high.min(axis)))


@every_mode
@settings(max_examples=15)
@given(st.integers(1, 3), arrays(dims=2))
def test_lexsort_is_numpys(mode: str, count: int, case: Any):
    x, axis = case
    keys = tuple(np.roll(x, k) for k in range(count))
    assert_same(run(mode, lambda *keys: np.lexsort(keys, axis), *keys), np.lexsort(keys, axis))


@every_mode
@settings(max_examples=25)
@given(arrays(dims=1), arrays(dims=2), st.sampled_from(["left", "right"]))
def test_searches_are_numpys(mode: str, sorted_: Any, wanted: Any, side: Any):
    a, v = sorted_[0], wanted[0]
    assert_same(
        run(mode, lambda a, v: np.searchsorted(np.sort(a), v, side), a, v), np.searchsorted(np.sort(a), v, side)
    )
    indices = np.argsort(a)
    found = run(mode, lambda a, i: np.searchsorted(a, 1, side, i), a, indices)
    assert_same(found, np.searchsorted(a, 1, side, indices))


def test_searches_are_mapped_over_either_operand():
    a, v = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 5.0]]), np.array([[0.5, 2.0], [9.0, 0.0]])
    search = lambda a, v: np.searchsorted(a, v)
    np.testing.assert_array_equal(sad.vmap(search)(a, v), [[0, 1], [3, 0]])
    np.testing.assert_array_equal(sad.vmap(search, (None, 0))(a[0], v), [[0, 1], [3, 0]])
    np.testing.assert_array_equal(sad.jit(sad.vmap(search, (0, None)))(a, v[0]), [[0, 1], [2, 2]])


@every_mode
@pytest.mark.parametrize("bins", [[0.0, 1.0, 1.0, 3.0], [3.0, 1.0, -1.0], [1.0], []])
@pytest.mark.parametrize("right", [False, True])
def test_digitize_is_numpys_with_known_and_traced_bins(mode: str, bins: Any, right: bool):
    x = np.array([[0.0, 1.0, 3.0], [4.0, -2.0, np.nan]])
    expected = np.digitize(x, bins, right)
    assert_same(run(mode, lambda x: np.digitize(x, bins, right), x), expected)
    assert_same(run(mode, lambda x, bins: np.digitize(x, bins, right), x, np.array(bins)), expected)


@every_mode
@settings(max_examples=15)
@given(arrays(least=1), st.data())
def test_top_k_are_the_last_of_the_sorted_with_the_lower_index_first(mode: str, case: Any, data: Any):
    x, axis = case
    k = data.draw(st.integers(0, x.shape[axis]))
    values, indices = run(mode, lambda x: sad.numpy.top_k(x, k, axis), x)
    backwards = np.flip(x, axis)
    order = np.flip(np.argsort(backwards, axis, kind="stable"), axis)
    expected = np.take(x.shape[axis] - 1 - order, range(k), axis)
    assert_same(indices, expected)
    assert_same(values, np.take_along_axis(x, expected, axis))


def test_top_k_of_known_numbers():
    values, indices = sad.jit(lambda x: sad.numpy.top_k(x, 3))(
        np.array([[1.0, 5.0, 3.0, 5.0], [np.nan, 0.0, 1.0, -1.0]])
    )
    np.testing.assert_array_equal(values, [[5, 5, 3], [np.nan, 1, 0]])
    np.testing.assert_array_equal(indices, [[1, 3, 2], [0, 2, 1]])
    with pytest.raises(ValueError, match="k = 3 of 2"):
        through_program(lambda x: sad.numpy.top_k(x, 3), np.ones(2))


def ordered_energy(x: Any) -> Any:
    """Nonlinear in the order statistics."""
    y = np.sort(x, axis=0)
    return np.sum(np.sin(y[:-1] * y[1:]) * y[0]) + np.sum(sad.numpy.top_k(x, 2, 0)[0] ** 3)


@every_mode
def test_derivatives_of_sorting_are_those_of_finite_differences_to_second_order(mode: str):
    x = np.random.default_rng(0).permutation(np.linspace(-1, 1.2, 10)).reshape(5, 2)
    v = np.random.default_rng(1).normal(size=x.shape)
    slope = in_mode(mode, sad.grad(ordered_energy))
    assert_close(np.sum(slope(x) * v), directional(lambda x: through_program(ordered_energy, x), [x], [v]), 1e-9)
    expected = directional(sad.grad(ordered_energy), [x], [v])
    assert_close(in_mode(mode, lambda x, v: sad.jvp(sad.grad(ordered_energy), (x,), (v,))[1])(x, v), expected, 1e-9)
    assert_close(in_mode(mode, sad.grad(lambda x: np.sum(sad.grad(ordered_energy)(x) * v)))(x), expected, 1e-9)
    mapped = in_mode(mode, sad.vmap(sad.grad(ordered_energy)))(np.stack([x, x[::-1]]))
    assert_close(mapped, np.stack([slope(x), slope(x[::-1])]))


def test_many_long_sequences_are_sorted_in_parallel():
    x = np.random.default_rng(2).normal(size=(40, 3000))
    values, indices = sad.jit(lambda x: (np.sort(x, 1), np.argsort(x, 1)))(x)
    assert_same(values, np.sort(x, 1))
    assert_same(indices, np.argsort(x, 1, kind="stable"))
    ranks = sad.jit(sad.grad(lambda x: np.sum(np.sort(x, 1) * np.arange(3000.0))))(x)
    assert_same(ranks, np.argsort(indices, 1).astype(float))


@every_mode
def test_sorts_scans_and_quantiles_inside_of_loops_and_branches_are_differentiated(mode: str):
    def body(carry: Any, t: Any) -> Any:
        ordered = np.sort(carry * t)
        return np.sin(ordered) + 0.1 * np.cumprod(carry)[-1], np.median(ordered) + np.quantile(ordered, 0.3)

    def f(x: Any) -> Any:
        x, ys = sad.scan(body, x, np.linspace(0.7, 1.1, 4))
        return sad.cond(np.sum(x) > 0, lambda x: np.sum(np.sort(x) ** 2 * np.arange(5)), np.sum, x) + np.sum(ys)

    x = np.random.default_rng(5).permutation(np.linspace(0.3, 1.5, 5))
    v = np.linspace(-1.0, 1.0, 5)
    assert_close(np.sum(in_mode(mode, sad.grad(f))(x) * v), directional(f, [x], [v]), 1e-9)


def test_equal_elements_have_the_derivative_of_the_stable_sort():
    x = np.array([2.0, 1.0, 2.0, 1.0, np.nan])
    np.testing.assert_array_equal(sad.jacrev(np.sort)(x), np.eye(5)[[1, 3, 0, 2, 4]])
    np.testing.assert_array_equal(sad.jacfwd(lambda x: sad.numpy.top_k(x[:4], 2)[0])(x), np.eye(5)[[0, 2]])


@every_mode
@settings(max_examples=16)
@given(
    st.sampled_from(sorted(INTERPOLATIONS)),
    npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4),
    st.sampled_from(["float64", "float32", "int64"]),
    st.data(),
)
def test_quantiles_by_every_method_are_numpys(mode: str, method: str, shape: Any, dtype: str, data: Any):
    elements = st.sampled_from([0, 1, 2.5, -3, 4.25, 7]) if dtype.startswith("f") else st.integers(-5, 5)
    x = data.draw(npst.arrays(dtype, shape, elements=elements))
    axes = data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    axis = data.draw(st.sampled_from([None, tuple(axes), min(axes)]))
    q = data.draw(st.sampled_from([0.3, 0.5, 1, [0.0, 0.25, 1.0], np.float32(0.7), np.array([[0.1], [0.9]])]))
    options = {"axis": axis, "method": method, "keepdims": data.draw(st.booleans())}
    holes = np.where(x == x.flat[0], np.nan, x.astype(float)) if dtype.startswith("f") else x

    def quantiles(x: Any, traced: Any, holes: Any) -> Any:
        return (
            np.quantile(x, q, **options),
            np.percentile(x, 30, **options),
            np.quantile(x, traced, **options),
            np.quantile(holes, q, **options),
            np.nanquantile(holes, q if np.ndim(q) < 2 else 0.5, **options),  # NumPy mixes up the axes of others
        )

    arguments = x, np.asarray(q, float), holes
    with warnings.catch_warnings(action="ignore"):
        expected = quantiles(*arguments)
    for one, other in zip(run(mode, quantiles, *arguments), expected, strict=True):
        assert_same(one, other)


@every_mode
@settings(max_examples=12)
@given(arrays(least=1, most=4))
def test_medians_are_numpys_with_nan_and_infinities(mode: str, case: Any):
    x, axis = case
    medians = lambda x: [f(x, axis, keepdims=k) for f in (np.median, np.nanmedian) for k in (False, True)]
    with warnings.catch_warnings(action="ignore"):
        expected = medians(x)
    for one, other in zip(run(mode, medians, x), expected, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("function", [np.median, np.nanmedian])
def test_the_median_of_nothing_is_nan(function: Any):
    with warnings.catch_warnings(action="ignore"):
        assert_same(through_program(function, np.zeros(0)), function(np.zeros(0)))
        assert_same(
            through_program(lambda x: function(x, axis=1), np.zeros((2, 0))), function(np.zeros((2, 0)), axis=1)
        )


SMOOTH = ["linear", "hazen", "weibull", "median_unbiased", "normal_unbiased", "interpolated_inverted_cdf"]


@pytest.mark.parametrize("method", SMOOTH)
def test_quantiles_have_derivatives_in_the_data_and_in_q(method: str):
    x = np.random.default_rng(3).permutation(np.linspace(-1, 2, 10)).reshape(5, 2)
    q = np.array([0.26, 0.57])
    assert_derivatives(lambda x, q: np.quantile(x, q, axis=0, method=method), x, q)
    assert_derivatives(
        lambda x, q: np.nanpercentile(x, 100 * q, axis=0, method=method), np.where(x > 1.9, np.nan, x)[1:], q
    )


def test_the_slope_of_a_quantile_in_q_is_the_distance_of_its_neighbours():
    x = np.array([1.0, 7.0, 2.0, 4.0])
    assert_close(sad.grad(lambda q: np.quantile(x, q))(0.5), 3 * (4 - 2))
    assert_close(sad.jit(sad.grad(lambda q: np.percentile(x, q)))(90.0), 0.03 * (7 - 4))


def test_second_derivatives_of_quantiles_mix_data_and_q():
    x, q = np.array([0.3, 2.0, 1.0, -1.0]), 0.4
    f = lambda x, q: np.quantile(x, q) ** 2
    mixed = sad.jacfwd(sad.grad(f), 1)(x, q)
    expected = directional(lambda q: sad.grad(f)(x, q), [q], [1.0])
    assert_close(mixed, expected, 1e-9)
    assert_close(sad.jit(sad.jacrev(sad.grad(f, 1)))(x, q), expected, 1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: np.sort(x[0]), ValueError, "axis -1"),
        (lambda x: np.sort(x, order="a"), NotImplementedError, "structured"),
        (lambda x: np.partition(x, 4), ValueError, r"kth\(=4\) out of bounds \(4\)"),
        (lambda x: np.partition(x, 1.5), TypeError, "Partition index must be integer"),
        (lambda x: np.argpartition(x, True), ValueError, "Booleans unacceptable"),
        (lambda x: np.lexsort((x, x[:2])), ValueError, "same shape"),
        (lambda x: np.searchsorted(x, 1.0, "middle"), ValueError, "left"),
        (lambda x: np.searchsorted(x[None], 1.0), ValueError, "too small depth"),
        (lambda x: np.searchsorted(x, 1.0, sorter=np.arange(3)), ValueError, "sorter"),
        (lambda x: np.digitize(x, [1, 3, 2]), ValueError, "monotonically"),
        (lambda x: np.quantile(x, 1.5), ValueError, r"in \[0, 1\]|range \[0, 1\]"),
        (lambda x: np.percentile(x, -1), ValueError, r"\[0, 100\]"),
        (lambda x: np.quantile(x, 0.5, method="guess"), ValueError, "not a valid method"),
        (lambda x: np.quantile(x, np.zeros((1, 1, 1))), ValueError, "scalar or 1d"),
        (lambda x: np.quantile(x[:0], 0.5), IndexError, "no elements"),
        (lambda x: np.quantile(x, 0.5, method="inverted_cdf", weights=x), NotImplementedError, "weights"),
    ],
)
def test_what_cannot_be_done_is_refused(call: Any, error: Any, message: str):
    with pytest.raises(error, match=message):
        through_program(call, np.ones(4))


@every_mode
@settings(max_examples=15)
@given(arrays(dims=2), st.sampled_from([1, 3, 7, [0.0, 0.5, 2.0], [-1, 0, 1]]), st.booleans(), st.booleans())
def test_histograms_are_numpys(mode: str, case: Any, bins: Any, weighted: bool, density: bool):
    x = np.where(np.isfinite(case[0]), case[0], 1).astype(case[0].dtype if case[0].dtype != bool else "int8")
    x = x % 50 if x.dtype.kind in "iu" else x  # NumPy refuses bins of which floats cannot tell the edges
    weights = np.cos(np.arange(x.size)).reshape(x.shape) if weighted else None
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        expected = np.histogram(x, bins, density=density, weights=weights)
    found = run(mode, lambda x: np.histogram(x, bins, density=density, weights=weights), x)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other, 1e-6 if x.dtype == np.float32 else None)


@every_mode
def test_values_outside_of_the_bins_and_nan_are_not_counted(mode: str):
    x = np.array([-5.0, 0.0, 1.0, 0.5, np.nan, np.inf, 1.0000001, -0.0])
    for options in ({"bins": 2, "range": (0, 1)}, {"bins": [0.0, 0.5, 1.0]}):
        assert_same(run(mode, lambda x, o=options: np.histogram(x, **o), x)[0], np.histogram(x, **options)[0])


def test_histograms_have_the_derivatives_of_their_weights_and_edges():
    x, w = np.array([0.1, 0.9, 0.4, 0.45]), np.array([1.0, 2.0, 0.5, -1.0])
    assert_derivatives(lambda w: np.histogram(x, 3, weights=w)[0], w)
    assert_derivatives(lambda w: np.histogram(x, [0.0, 0.3, 1.0], density=True, weights=w)[0], w)
    assert_derivatives(lambda x: np.histogram(x, 3)[1], x)


@every_mode
def test_bincount_of_traced_integers_takes_a_length(mode: str):
    x, w = np.array([3, 1, 1, 7, -2, 0]), np.arange(6.0)
    count = lambda x, w: (sad.numpy.bincount(x, length=4), sad.numpy.bincount(x, w, length=5))
    found = run(mode, count, x, w)
    assert_same(found[0], np.array([1, 2, 0, 1]))
    assert_same(found[1], np.array([5.0, 3.0, 0.0, 0.0, 0.0]))
    slopes = in_mode(mode, sad.jacrev(lambda w: sad.numpy.bincount(x, w, length=4)))(w)
    assert_close(slopes, x == np.arange(4)[:, None])
    mapped = in_mode(mode, sad.vmap(count))(np.stack([x, x + 1]), np.stack([w, w]))
    assert_same(mapped[0], np.array([[1, 2, 0, 1], [0, 1, 2, 0]]))


@every_mode
def test_bincount_of_traced_integers_is_as_long_as_they_need(mode: str):
    count = in_mode(mode, lambda x: np.bincount(x, minlength=3))
    for x in ([1, 2, 1], [0, 5], [2, 2], []):
        assert_same(count(np.array(x, int)), np.bincount(np.array(x, int), minlength=3))
    with pytest.raises(ValueError, match="negative"):
        count(np.array([1, -1]))
    with pytest.raises(UnsupportedError, match=r"staged_ad.numpy.bincount\(x, weights, length=n\)"):
        in_mode(mode, sad.vmap(lambda x: np.bincount(x, minlength=3)))(np.array([[1, 2], [0, 1]]))


@every_mode
@settings(max_examples=15)
@given(arrays(least=1, dims=2), st.integers(1, 8))
def test_unique_with_a_size_gives_the_first_distinct_elements(mode: str, case: Any, size: int):
    x, _ = case
    values, counts = np.unique(x, return_counts=True)
    missing = max(0, size - len(values))
    fill = x.dtype.type(1)
    expected = np.append(values[:size], np.full(missing, fill))
    found = run(mode, lambda x: sad.numpy.unique(x, size=size, fill_value=1, return_counts=True), x)
    assert_same(found[0], expected)
    assert_same(found[1], np.append(counts[:size], np.zeros(missing, np.int64)))
    least = run(mode, lambda x: sad.numpy.unique(x, size=size), x)
    assert_same(least, np.append(values[:size], np.full(missing, values[0])))


def test_unique_has_the_derivative_of_the_first_occurrence():
    x = np.array([2.0, 1.0, 2.0])
    np.testing.assert_array_equal(sad.jacrev(lambda x: sad.numpy.unique(x, size=2))(x), np.eye(3)[[1, 0]])


def test_unique_takes_what_is_known():
    known = np.array([2.0, 1.0, 2.0])
    for found in (sad.numpy.unique(known, size=3), sad.jit(lambda x: x + sad.numpy.unique(known, size=3))(0.0)):
        np.testing.assert_array_equal(found, [1.0, 2.0, 1.0])
    with pytest.raises(ShapeError, match="size must not be negative"):
        sad.numpy.unique(known, size=-1)


@pytest.mark.parametrize("function", REFUSED, ids=lambda f: f.__name__)
def test_what_has_a_length_of_its_own_says_what_to_write(function: Any):
    with pytest.raises(NotImplementedError, match=rf"{function.__name__} .*unique\(x, size=n\).*test_ordering"):
        sad.jit(function)(np.ones(3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: np.histogram(x, 0), ValueError, "positive"),
        (lambda x: np.histogram(x, weights=np.ones(3)), ValueError, "same shape"),
        (lambda x: np.histogram(x, 2.5), TypeError, "must be an integer"),
        (lambda x: np.histogram(x, [3.0, 1.0, 2.0]), ValueError, "increase monotonically"),
        (lambda x: np.histogram2d(x, x, [np.array([3.0, 1.0]), 2]), ValueError, "increase monotonically"),
        (lambda x: np.histogram(x, [[1.0, 2.0]]), ValueError, "1d"),
        (lambda x: np.histogram(x, range=(2.0, 1.0)), ValueError, "max must be larger than min"),
        (lambda x: np.histogram(x, range=(x[0], np.inf)), ValueError, "must be finite, got inf"),
        (lambda x: np.histogram(np.array([1.0, np.nan]), weights=x[:2]), ValueError, "must be finite, got nan"),
        (lambda x: np.histogram2d(x, x, range=[(2.0, 1.0), (0, 1)]), ValueError, "max must be larger than min"),
        (lambda x: np.histogram2d(x, x, weights=np.ones(1)), ValueError, "same length"),
        (lambda x: np.histogramdd([x, x[:2]]), ValueError, "same length"),
        (lambda x: np.bincount(x.astype(int), minlength=-1), ValueError, "'minlength' must not be negative, got -1"),
        (lambda x: sad.numpy.bincount(x.astype(int), length=-1), ValueError, "'length' must not be negative"),
        (lambda x: np.bincount(np.array([1, -1]), x[:2]), ValueError, "negative"),
        (lambda x: np.bincount(np.array([1, 1]), x), ValueError, "same length"),
        (lambda x: np.bincount(x), TypeError, "safe"),
        (lambda x: np.bincount(x[None].astype(int)), ValueError, "depth"),
        (lambda x: sad.numpy.unique(x[:0], size=2), ValueError, "no elements"),
    ],
)
def test_counts_that_numpy_refuses_are_refused(call: Any, error: Any, message: str):
    with pytest.raises(error, match=message):
        through_program(call, np.ones(4))
