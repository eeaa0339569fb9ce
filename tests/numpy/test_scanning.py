"""Cumulative operations, differences and integrals: against NumPy on random arrays, and where derivatives are delicate.

Invariant: expected values are NumPy's, finite differences, or explicit products and sums.
Start at ``test_cumulative_functions_are_numpys``; plain calls of every function are in ordering_calls.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import staged_ad as sad
from staged_ad.numpy.scanning import accumulate
from tests.backends import MODES, in_mode, through_program
from tests.checks import assert_derivatives
from tests.numerics import assert_close, assert_same, directional, gradient, precision

DTYPES = ["float64", "float32", "int64", "int32", "int8", "uint8", "uint64", "bool"]
every_mode = pytest.mark.parametrize("mode", MODES)


def run(mode: str, f: Any, *xs: Any) -> Any:
    return sad.jit(f)(*xs) if mode == "jit" else through_program(f, *xs)


@st.composite
def sequences(draw: Any, elements: Any = None) -> Any:
    """An array, not always contiguous, and an axis of it or None."""
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    dtype = draw(st.sampled_from(DTYPES))
    floats = st.sampled_from([0.0, -0.0, 1.5, -2.0, 0.25, np.inf, -np.inf, np.nan])
    x = draw(npst.arrays(dtype, shape, elements=floats if dtype.startswith("f") else None))
    if x.ndim and draw(st.booleans()):
        x = np.repeat(x, 2, axis=-1)[..., ::2].T
    axis = draw(st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1))) if x.ndim else None
    return x, axis


@every_mode
@settings(max_examples=40)
@given(sequences(), st.sampled_from([np.cumsum, np.cumprod, np.nancumsum, np.nancumprod]))
def test_cumulative_functions_are_numpys(mode: str, case: Any, function: Any):
    x, axis = case
    with np.errstate(all="ignore"):
        expected = function(x, axis=axis)
    assert_same(run(mode, lambda x: function(x, axis=axis), x), expected, precision(expected))


@every_mode
@pytest.mark.parametrize(
    "ufunc", [np.add, np.multiply, np.maximum, np.minimum, np.logaddexp, np.logical_and, np.logical_or]
)
@settings(max_examples=12)
@given(sequences())
def test_accumulations_are_those_of_the_ufunc(mode: str, ufunc: Any, case: Any):
    x, axis = case
    if x.ndim == 0:
        return
    with np.errstate(all="ignore"):
        x = x.astype(float) if ufunc is np.logaddexp else x
        expected = ufunc.accumulate(x, axis=axis or 0)
    assert_same(run(mode, lambda x: accumulate(ufunc, x, axis or 0), x), expected, precision(expected))


def test_an_accumulation_that_is_not_there_is_refused():
    with pytest.raises(NotImplementedError, match=r"arctan2\.accumulate.*staged_ad\.scan.*test_scanning"):
        sad.grad(lambda x: accumulate(np.arctan2, x)[-1])(np.ones(2000))
    with pytest.raises(ValueError, match="scalar"):
        sad.grad(lambda x: accumulate(np.add, x))(1.0)


ZEROS = [[0.0, 2.0, 3.0, 4.0], [2.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.5, 2.0, -1.0, 0.0], [3.0, 1.0, 2.0, -2.0]]
WEIGHTS = np.array([0.3, -1.0, 0.7, 2.0])


def products(x: Any) -> Any:
    """The weighted sum of cumulative products, factor by factor."""
    total, product = 0.0, 1.0
    for k in range(4):
        product = product * x[k]
        total = total + WEIGHTS[k] * product
    return total


@every_mode
@pytest.mark.parametrize("x", ZEROS)
def test_derivatives_of_cumprod_are_exact_at_zeros_to_third_order(mode: str, x: Any):
    x = np.array(x)
    f = lambda x: np.sum(WEIGHTS * np.cumprod(x))
    assert_close(in_mode(mode, sad.grad(f))(x), gradient(products, x, 1e-2), 1e-10)
    hessian = in_mode(mode, sad.hessian(f))(x)
    assert_close(hessian, sad.hessian(products)(x), 1e-13)
    assert_close(sad.jacfwd(sad.hessian(f))(x), sad.jacrev(sad.jacfwd(sad.jacrev(products)))(x), 1e-13)


@pytest.mark.parametrize("function", [np.maximum, np.minimum])
def test_elements_that_share_a_running_extremum_share_its_derivative(function: Any):
    x = np.array([1.0, 1.0, 0.0, 3.0, 3.0, 2.0, 3.0]) * (1 if function is np.maximum else -1)
    expected = np.zeros((7, 7))
    for row, sharers in enumerate([[0], [0, 1], [0, 1], [3], [3, 4], [3, 4], [3, 4, 6]]):
        expected[row, sharers] = 1 / len(sharers)
    f = lambda x: accumulate(function, x)
    assert_close(sad.jacfwd(f)(x), expected)
    assert_close(sad.jacrev(f)(x), expected)
    assert_close(sad.jit(sad.jacrev(f))(x), expected)
    whole = np.max if function is np.maximum else np.min
    assert_close(sad.jacrev(f)(x)[-1], sad.grad(whole)(x))


def test_a_running_maximum_that_is_nan_has_no_derivative_and_infinite_ones_share():
    x = np.array([1.0, np.inf, np.inf, np.nan, 5.0])
    expected = np.zeros((5, 5))
    expected[0, 0] = expected[1, 1] = 1.0
    expected[2, 1:3] = 0.5
    assert_close(sad.jacfwd(lambda x: accumulate(np.maximum, x))(x), expected)


def test_running_logsumexp_has_the_running_softmax_for_derivative():
    x = np.array([-np.inf, 1000.0, 999.0, -np.inf, 1001.0])
    jacobian = sad.jacrev(lambda x: accumulate(np.logaddexp, x))(x)
    assert_close(jacobian[-1], sad.numpy.softmax(x))
    assert_close(jacobian[1], [0.0, 1.0, 0.0, 0.0, 0.0])
    assert_derivatives(
        lambda x: accumulate(np.logaddexp, x, 1), np.array([[0.5, 3.0, -1.0, 2.0], [800.0, 1.0, 2.0, 801]])
    )


@every_mode
@settings(max_examples=15)
@given(
    npst.array_shapes(min_dims=1, max_dims=2, min_side=3, max_side=5), st.sampled_from([1, 2]), st.booleans(), st.data()
)
def test_gradient_with_random_spacings_is_numpys(mode: str, shape: Any, order: int, traced: bool, data: Any):
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    f = rng.normal(size=shape).astype(data.draw(st.sampled_from(["float64", "float32"])))
    kinds = [data.draw(st.sampled_from(["number", "places"])) for _ in shape]
    spacings = [
        0.3 if kind == "number" else np.cumsum(rng.uniform(0.5, 1.5, n)) for kind, n in zip(kinds, shape, strict=True)
    ]
    expected = np.gradient(f, *spacings, edge_order=order)
    if traced:
        found = run(mode, lambda f, *h: np.gradient(f, *h, edge_order=order), f, *spacings)
    else:
        found = run(mode, lambda f: np.gradient(f, *spacings, edge_order=order), f)
    assert type(found) is type(expected) or not isinstance(expected, tuple)
    for one, other in zip(*((v if isinstance(v, tuple) else (v,)) for v in (found, expected)), strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("order", [1, 2])
def test_gradient_depends_smoothly_on_its_coordinates(order: int):
    x = np.array([0.0, 0.4, 1.0, 1.3, 2.0])
    f = lambda f, h: np.gradient(f, h, edge_order=order)
    assert_derivatives(f, np.sin(x), x)
    assert_derivatives(f, np.sin(x), np.array(0.2))


def test_gradient_of_second_order_is_exact_for_a_parabola_up_to_its_ends():
    x = np.array([0.0, 0.5, 0.8, 2.0])
    assert_close(sad.jit(lambda x: np.gradient(x**2 - 3 * x, x, edge_order=2))(x), 2 * x - 3)


def test_the_derivative_of_unwrap_is_the_identity():
    p = np.array([0.0, 3.0, 6.0, 9.5, 12.0]) % (2 * np.pi)
    np.testing.assert_array_equal(sad.jacfwd(np.unwrap)(p), np.eye(5))
    np.testing.assert_array_equal(sad.jacrev(np.unwrap)(p), np.eye(5))


@every_mode
@pytest.mark.parametrize(
    "p", [np.array([0, 2, 5, 9, 8, 1]), np.array([0.0, 2.0, 4.0, 6.0, 0.5]), np.array([[1, 7]], "int8")]
)
@pytest.mark.parametrize("period", [4, 5, 2.5])
def test_unwrap_at_half_a_period_is_numpys(mode: str, p: Any, period: Any):
    assert_same(run(mode, lambda p: np.unwrap(p, period=period), p), np.unwrap(p, period=period))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: np.cumsum(x, 0, None, np.zeros(3)), ValueError, "cannot be broadcast"),
        (lambda x: np.cumsum(x, axis=1), ValueError, "axis 1"),
        (lambda x: np.cumulative_sum(x[None]), ValueError, "axis is required"),
        (lambda x: np.diff(x, n=-1), ValueError, "non-negative"),
        (lambda x: np.diff(x[0]), ValueError, "at least one dimensional"),
        (lambda x: np.gradient(x[:1]), ValueError, "too small"),
        (lambda x: np.gradient(x, edge_order=3), ValueError, "edge_order"),
        (lambda x: np.gradient(x, np.ones(3)), ValueError, "match the length"),
        (lambda x: np.gradient(x, np.ones((2, 2))), ValueError, "1d"),
        (lambda x: np.gradient(x, 1.0, 2.0), TypeError, "number of arguments"),
        (lambda x: np.ediff1d(x.astype(int), to_end=0.5), TypeError, "same_kind"),
    ],
)
def test_what_numpy_refuses_is_refused(call: Any, error: Any, message: str):
    with pytest.raises(error, match=message):
        through_program(call, np.ones(4))


@every_mode
@pytest.mark.parametrize(
    "f",
    [
        lambda z: np.cumsum(z, axis=1),
        lambda z: np.cumprod(z, axis=1),
        lambda z: np.gradient(z, axis=1),
        lambda z: np.trapezoid(z, dx=0.5),
    ],
    ids=["cumsum", "cumprod", "gradient", "trapezoid"],
)
def test_complex_numbers_are_accumulated_and_differentiated(mode: str, f: Any):
    rng = np.random.default_rng(0)
    z, v = (rng.normal(size=(2, 5)) + 1j * rng.normal(size=(2, 5)) for _ in range(2))
    found = run(mode, f, z)
    assert found.dtype == f(z).dtype
    np.testing.assert_allclose(found, f(z), rtol=1e-12)
    energy = lambda z: np.sum(f(z).real ** 2 + f(z).imag)
    slope = np.sum(in_mode(mode, sad.grad(energy))(z) * v).real
    assert_close(slope, directional(energy, [z], [v]), 1e-9)
