"""Promotion: dtypes and values of operators and ufuncs on traced values are NumPy's (NEP 50).

Invariant: what NumPy refuses is refused; what NumPy computes in an unsupported dtype, and by its order of complex
numbers, is refused with advice.
Start at ``test_operators_promote_as_numpy``.
"""

from __future__ import annotations

import operator
from collections import namedtuple
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import ArgumentError, DTypeError
from staged_ad.ir.types import DTYPES
from tests.backends import through_program
from tests.numerics import assert_close, assert_same

BINARY: list[Callable[..., Any]] = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
    *(operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift),
    *(np.maximum, np.minimum, np.fmax, np.fmin, np.arctan2, np.hypot, np.logaddexp, np.copysign, np.float_power),
    *(np.add, np.subtract, np.multiply, np.true_divide, np.power, np.equal, np.logical_and, np.heaviside),
]
UNARY: list[Callable[..., Any]] = [
    *(operator.neg, operator.pos, operator.abs, operator.invert, np.sign, np.square, np.reciprocal, np.absolute),
    *(np.fabs, np.exp, np.sqrt, np.sin, np.floor, np.ceil, np.trunc, np.rint, np.isnan, np.isinf, np.isfinite),
    *(np.logical_not, np.negative, np.deg2rad, np.positive, np.log1p, np.sum, np.prod, np.mean, np.max, np.cbrt),
]
REFUSED = (TypeError, ValueError, OverflowError)


@st.composite
def arrays(draw: Any) -> Any:
    """A short array or NumPy scalar of any dtype."""
    dtype = draw(st.sampled_from(list(DTYPES)))
    low = 0 if dtype.kind in "bu" else -3
    numbers = np.array(draw(st.lists(st.integers(low, 7), min_size=3, max_size=3))).astype(dtype)
    if dtype.kind in "fc":
        numbers = numbers + dtype.type(0.5 if dtype.kind == "f" else 0.5 - 2j)
    return numbers if draw(st.booleans()) else numbers[0]


floats = st.sampled_from([-1.5, 0.5, 2.0, 3.5])
complexes = st.sampled_from([1j, 1.5 - 2j])
numbers = st.one_of(st.integers(-3, 7), floats, complexes, st.booleans(), st.sampled_from([300, -1, 2**40]))
small_numbers = st.one_of(st.integers(0, 7), floats, complexes, st.booleans())  # they fit into every dtype


def mixes_signs(*args: Any) -> bool:
    """Whether NumPy may have loops of its own for signed and unsigned integers of 64 bits together."""
    kinds = {np.asarray(x).dtype for x in args}
    return np.dtype("uint64") in kinds and any(dtype.kind == "i" for dtype in kinds)


def assert_as_numpy(f: Callable[..., Any], *args: Any, constants: tuple[Any, ...] = ()) -> None:
    """`f` on traced values gives what it gives on arrays, or is refused where NumPy refuses."""
    with np.errstate(all="ignore"):
        try:
            expected = np.asarray(f(*args))
        except REFUSED:
            with pytest.raises(REFUSED):
                through_program(f, *args)
            return
    if expected.dtype not in DTYPES or f is np.reciprocal or mixes_signs(*args, *constants):
        with suppress(DTypeError) if expected.dtype in DTYPES else pytest.raises(DTypeError, match="not supported"):
            through_program(f, *args)
        return
    try:
        found = through_program(f, *args)
    except DTypeError as error:
        if "complex numbers have no order" in str(error) and any(map(np.iscomplexobj, (*args, *constants))):
            return
        raise
    finite = np.isfinite(expected) if expected.dtype.kind in "fc" else np.ones(expected.shape, bool)
    assert_same(np.where(finite, found, expected), expected)


@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
@given(x=arrays(), y=st.one_of(arrays(), small_numbers), swapped=st.booleans())
def test_operators_promote_as_numpy(f: Callable[..., Any], x: Any, y: Any, swapped: bool):
    first, second = (y, x) if swapped else (x, y)
    if f is operator.pow and np.asarray(first).dtype == bool and type(second) is int:
        return  # NumPy looks at the value: booleans ** 2 are int8; a traced exponent has none
    assert_as_numpy(f, first, second)


@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
@given(x=arrays(), y=st.one_of(arrays(), numbers), swapped=st.booleans())
def test_operators_with_a_constant_promote_as_numpy(f: Callable[..., Any], x: Any, y: Any, swapped: bool):
    if f is operator.pow and not swapped and np.asarray(x).dtype == bool and type(y) is not int:
        return  # NumPy's ** has dtypes of its own for booleans
    assert_as_numpy((lambda x: f(y, x)) if swapped else (lambda x: f(x, y)), x, constants=(y,))


@pytest.mark.parametrize("f", UNARY, ids=lambda f: f.__name__)
@given(x=arrays())
def test_functions_of_one_array_promote_as_numpy(f: Callable[..., Any], x: Any):
    assert_as_numpy(f, x)


@given(x=arrays(), y=arrays())
def test_where_concatenate_and_products_promote_as_numpy(x: Any, y: Any):
    assert_as_numpy(lambda x, y: np.where(x > 1, x, y), x, y)
    assert_as_numpy(lambda x, y: np.stack([x, y]) if np.shape(x) == np.shape(y) else np.where(True, x, y), x, y)
    if x.shape and y.shape:
        assert_as_numpy(np.dot, x, y)
        assert_as_numpy(operator.matmul, x, y)


@given(number=st.one_of(st.integers(-3, 7), st.floats(-3, 3)), dtype=st.sampled_from(["float32", "float64"]))
def test_arithmetic_of_python_numbers_stays_weak(number: Any, dtype: str):
    x = np.arange(3, dtype=dtype)
    for f in (lambda n, x: (n + 1) * x, lambda n, x: (2 * n - 0.5) * x, lambda n, x: -abs(n) / 2 + x):
        assert_same(through_program(f, number, x), np.asarray(f(number, x)), 1e-6 if dtype == "float32" else 1e-14)


@given(number=st.floats(-3, 3))
def test_ufuncs_of_python_numbers_are_strong(number: float):
    x = np.arange(3, dtype="float32")
    assert_as_numpy(lambda n, x: np.sin(n) * x, number, x)
    assert_as_numpy(lambda n, x: np.add(n, 1.0) * x, number, x)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint32"])
def test_a_python_integer_must_fit(dtype: str):
    with pytest.raises(OverflowError):
        through_program(lambda x: x + 2**40, np.zeros(2, dtype))


def test_gradients_keep_float32():
    x = np.linspace(0, 1, 5, dtype="float32")
    value, gradient = sad.value_and_grad(lambda x: np.mean(np.tanh(2 * x + 1) ** 2) * 0.5)(x)
    assert (value.dtype, gradient.dtype) == ("float32", "float32")


def test_mixed_precision_promotes_and_gradients_return_to_the_dtype_of_their_argument():
    a, b = np.ones(3, "float32"), np.ones(3)
    gradients = sad.grad(lambda a, b: np.sum(a * b), argnums=(0, 1))(a, b)
    assert [g.dtype for g in gradients] == ["float32", "float64"]


class Vector:
    """As people write them who know numbers alone."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __rmul__(self, factor: Any) -> Vector:
        return Vector(*(factor * part for part in self.parts))

    def __radd__(self, other: Any) -> Vector:
        return self if isinstance(other, int) else Vector(*(other + part for part in self.parts))

    def __rtruediv__(self, other: Any) -> Vector:
        return Vector(*(other / part for part in self.parts))


def test_classes_of_the_users_have_their_own_operators_on_the_right():
    def f(x: Any) -> Any:
        parts = [*(x * Vector(1.0, x)).parts, *(x + Vector(3.0)).parts, *(2.0 * x / Vector(x, 4.0)).parts]
        return sum(parts)

    assert_close(sad.jit(f)(3.0), f(3.0))
    assert_close(sad.grad(f)(3.0), 1 + 2 * 3.0 + 1 + 0.5)
    with pytest.raises(TypeError, match="an operand must be an array or a number, got Vector"):
        sad.jit(lambda x: x - Vector(1.0))(3.0)
    pair = namedtuple("pair", "a b")(1.0, 2.0)
    assert_close(sad.jit(lambda x: x * pair)(np.array([3.0, 4.0])), np.array([3.0, 8.0]))


class WithUnits(np.ndarray):
    """An array that decides itself what is done with it."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        raise TypeError("units differ")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError("units differ")


class Percent(np.ndarray):
    """An array with an operator of its own."""

    def __rmul__(self, other: Any) -> Any:
        return other * np.asarray(self) / 100


def test_arrays_of_classes_with_operations_of_their_own_are_not_stripped():
    x = np.array([1.0, 2.0])
    units, percent, records = x.view(WithUnits), x.view(Percent), x.view(np.recarray)
    for f in (
        lambda x: x + units,
        lambda x: np.add(x, units),
        lambda x: np.where(x > 1, x, units),
        lambda x: x[0] * units,
    ):
        with pytest.raises(ArgumentError, match="WithUnits, whose operations are not those of arrays"):
            sad.jit(f)(x)
    with pytest.raises(TypeError, match="units differ"):
        sad.jit(lambda x: units + x)(x)
    with pytest.raises(ArgumentError, match="WithUnits; pass a plain array"):
        sad.jit(np.sum)(units)
    assert_close(sad.jit(lambda x: x * percent)(x), x * x / 100)
    assert_close(sad.jit(lambda x: x * records)(x), x * x)
