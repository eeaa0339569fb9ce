"""Every ufunc of the table: value and dtype as NumPy's on random broadcast shapes, and its derivative.

Invariant: a ufunc without a domain here fails the suite.
Start at ``DOMAINS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import staged_ad as sad
from staged_ad.errors import UnsupportedError
from staged_ad.numpy.ufuncs import UFUNCS
from tests.backends import through_program
from tests.checks import assert_derivatives, assert_value

Interval = tuple[float, float]
ALL: Interval = (-2.0, 2.0)
POSITIVE: Interval = (0.4, 3.0)
NEGATIVE: Interval = (-3.0, -0.4)
BETWEEN: Interval = (0.2, 0.4)  # no kink of rounding, no sign change
UNIT: Interval = (-0.8, 0.8)

# one interval per operand, in which the function is smooth
DOMAINS: dict[np.ufunc, Sequence[Interval]] = {
    **{key: [ALL, ALL] for key in [np.add, np.subtract, np.multiply, np.logaddexp]},
    **{key: [ALL, POSITIVE] for key in [np.true_divide, np.hypot, np.arctan2]},
    **{key: [POSITIVE, ALL] for key in [np.power, np.float_power]},
    **{key: [POSITIVE, NEGATIVE] for key in [np.maximum, np.minimum, np.fmax, np.fmin]},
    **{key: [(4.1, 4.3), (0.9, 0.95)] for key in [np.floor_divide, np.remainder, np.fmod, np.divmod]},
    np.copysign: [POSITIVE, NEGATIVE],
    np.heaviside: [POSITIVE, ALL],
    **{key: [ALL, ALL] for key in [np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal]},
    **{key: [ALL, ALL] for key in [np.logical_and, np.logical_or, np.logical_xor]},
    **{key: [ALL] for key in [np.exp, np.exp2, np.expm1, np.sinh, np.cosh, np.tanh, np.arcsinh, np.sin, np.cos]},
    **{key: [ALL] for key in [np.arctan, np.negative, np.positive, np.square, np.deg2rad, np.radians, np.rad2deg]},
    **{key: [ALL] for key in [np.degrees, np.isnan, np.isinf, np.isfinite, np.logical_not]},
    **{key: [POSITIVE] for key in [np.log, np.log2, np.log10, np.log1p, np.sqrt, np.cbrt, np.reciprocal]},
    **{key: [NEGATIVE] for key in [np.absolute, np.fabs, np.sign, np.conjugate]},
    **{key: [BETWEEN] for key in [np.floor, np.ceil, np.trunc, np.rint]},
    **{key: [UNIT] for key in [np.arcsin, np.arccos, np.arctanh, np.tan]},
    np.arccosh: [(1.4, 3.0)],
    **{key: [ALL] for key in [scipy.special.erf, scipy.special.erfc, scipy.special.expit, scipy.special.log_expit]},
    **{key: [POSITIVE] for key in [scipy.special.gammaln, scipy.special.psi]},
}
INTEGERS: dict[np.ufunc, int] = {
    **dict.fromkeys([np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift], 2),
    np.invert: 1,
}


def test_every_ufunc_of_the_table_has_a_domain():
    assert {u.__name__ for u in UFUNCS} - {u.__name__ for u in (*DOMAINS, *INTEGERS)} == set()


@st.composite
def operands(draw: Any, intervals: Sequence[Interval], dtype: str = "float64") -> list[Any]:
    shapes = draw(npst.mutually_broadcastable_shapes(num_shapes=len(intervals), max_dims=3, max_side=3, min_side=0))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return [
        np.asarray(rng.uniform(*i, shape), dtype)[()] for i, shape in zip(intervals, shapes.input_shapes, strict=True)
    ]


@pytest.mark.parametrize("ufunc", DOMAINS, ids=lambda u: u.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_values_broadcast_as_numpys(ufunc: np.ufunc, data: Any):
    for dtype in ("float64", "float32"):
        assert_value(ufunc, *data.draw(operands(DOMAINS[ufunc], dtype)))


@pytest.mark.parametrize("ufunc", INTEGERS, ids=lambda u: u.__name__)
@settings(max_examples=20)
@given(data=st.data(), dtype=st.sampled_from(["int64", "int8", "uint16", "bool"]))
def test_values_of_integers_broadcast_as_numpys(ufunc: np.ufunc, data: Any, dtype: str):
    if dtype == "bool" and "shift" in ufunc.__name__:
        dtype = "uint8"
    assert_value(ufunc, *data.draw(operands([(0.0, 5.0)] * INTEGERS[ufunc], dtype)))


@pytest.mark.parametrize("ufunc", DOMAINS, ids=lambda u: u.__name__)
@settings(max_examples=10)
@given(data=st.data())
def test_derivatives_agree_with_finite_differences(ufunc: np.ufunc, data: Any):
    xs = data.draw(operands(DOMAINS[ufunc]))
    y = ufunc(*xs)
    if np.asarray(y[0] if isinstance(y, tuple) else y).dtype != float:
        return
    assert_derivatives(ufunc, *xs, tolerance=1e-8)


@given(x=st.floats(0.6, 3.0), n=st.integers(0, 3))
def test_polygamma_is_scipys(x: float, n: int):
    found = sad.jvp(lambda x: sad.numpy.polygamma(n, x), (x,), (1.0,))
    np.testing.assert_allclose(found, [scipy.special.polygamma(n, x), scipy.special.polygamma(n + 1, x)], rtol=1e-10)


@pytest.mark.parametrize(
    "exponent", [-3, -1, 0, 1, 2, 3, 5, 64, 65, 0.5, -0.5, 1.5, 2.0, -2.0, np.float64(2), np.int64(3)]
)
def test_powers_with_constant_exponents(exponent: float):
    x = np.array([0.3, 0.9, 1.1])
    assert_value(lambda x: x**exponent, x)
    assert_derivatives(lambda x: x**exponent, x, tolerance=1e-8, step=2e-4)
    assert_value(lambda x: x**exponent, x.astype("float32"), tolerance=2e-5)


@pytest.mark.parametrize("base", [2, 2.0, 0.5, np.float32(3)])
def test_powers_with_constant_bases(base: float):
    x = np.array([-1.5, 0.0, 2.0])
    assert_value(lambda x: base**x, x)
    assert_derivatives(lambda x: base**x, x)


@pytest.mark.parametrize("x", [np.arange(5), np.arange(5, dtype="int32"), np.arange(5, dtype="uint8")])
def test_integer_powers_stay_integers(x: Any):
    for n in (0, 1, 2, 5):
        assert_value(lambda x, n=n: x**n, x)
    unsigned = x.dtype.kind == "u"
    with pytest.raises(
        OverflowError if unsigned else ValueError, match="-1 out of" if unsigned else "negative integer"
    ):
        through_program(lambda x: x**-1, x)


def test_keyword_arguments_of_ufuncs_that_change_nothing_are_taken():
    assert_value(lambda x: np.add(x, 1.0, where=True, out=None), np.arange(3.0))


@pytest.mark.parametrize(
    "f", [lambda x: np.sin(x, dtype="int64"), lambda x: np.add(x, x, dtype=int), lambda x: np.add(x, x, order="F")]
)
def test_other_keyword_arguments_of_ufuncs_are_refused(f: Any):
    with pytest.raises(TypeError):
        through_program(f, np.arange(3.0))


def test_divmod_gives_both_parts():
    assert_value(lambda x: divmod(x, 0.7), np.array([1.0, -2.0, 0.3]))
    assert_value(lambda x: divmod(7, x), np.array([2, 3, -4]))
    assert_value(np.divmod, np.array([7, -7]), np.array([2, 2]))


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_the_least_integer_has_one_bit_in_its_magnitude(dtype: Any) -> None:
    x = np.array([np.iinfo(dtype).min, -1, 0, np.iinfo(dtype).max], dtype)
    np.testing.assert_array_equal(sad.jit(np.bitwise_count)(x), np.bitwise_count(x))


def test_complex_numbers_are_sorted_by_real_parts_and_then_by_imaginary_ones() -> None:
    z = np.array([[1 + 2j, 1 - 1j, -3, complex(np.nan, 1), complex(2, np.nan)], [0, 5j, -5j, 1, 1 + 1e-9j]])
    for f in (np.sort, np.argsort, lambda z: np.sort(z, axis=0)):
        np.testing.assert_array_equal(sad.jit(f)(z), f(z))


@pytest.mark.parametrize("n", [0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
def test_powers_of_halves_have_numpys_limits_and_signs(n: float) -> None:
    x = np.array([0.0, -0.0, 4.0, -4.0, np.inf, -np.inf, np.nan])
    with np.errstate(all="ignore"):
        expected = np.power(x, n)
    found = sad.jit(lambda x: np.power(x, n))(x)
    np.testing.assert_array_equal(found, expected)
    certain = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[certain]), np.signbit(expected[certain]))


def test_long_folds_in_order_are_refused_before_they_are_written_out() -> None:
    with pytest.raises(UnsupportedError, match=r"subtract.reduce of 10000000 elements .* staged_ad.scan"):
        sad.jit(np.subtract.reduce)(np.ones(10_000_000))
