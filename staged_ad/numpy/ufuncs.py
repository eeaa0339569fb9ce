"""Ufuncs of NumPy on traced values, and the Python operators.

Invariant: one table says which primitive or composition stands for which ufunc.
Start at ``UFUNCS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.ir import Literal, filled
from staged_ad.ir.types import BOOL, FLOAT64, INT64
from staged_ad.numpy.comparing import comparison
from staged_ad.numpy.halves import in_single
from staged_ad.numpy.promotion import (
    apply_ufunc,
    as_value,
    common_shape,
    promote,
    resolve,
    to_dtype,
    to_float,
    to_shape,
)
from staged_ad.numpy.python_integers import checked
from staged_ad.primitives import arithmetic as a
from staged_ad.primitives import complexes as c
from staged_ad.primitives import exponential as e
from staged_ad.primitives import trigonometric as t
from staged_ad.primitives.bounds import natural
from staged_ad.primitives.makers import Operation, typeof
from staged_ad.primitives.reductions import reduce_min

DIRECT: dict[np.ufunc, Operation] = {
    np.negative: a.neg,
    np.true_divide: a.div,
    np.floor_divide: a.floor_div,
    np.remainder: a.remainder,
    np.fmod: a.fmod,
    np.power: e.power,
    np.float_power: e.power,
    np.copysign: a.copysign,
    np.equal: a.eq,
    np.not_equal: a.ne,
    np.less: a.lt,
    np.less_equal: a.le,
    np.greater: a.gt,
    np.greater_equal: a.ge,
    np.maximum: a.maximum,
    np.minimum: a.minimum,
    np.bitwise_and: a.and_,
    np.bitwise_or: a.or_,
    np.bitwise_xor: a.xor,
    np.invert: a.not_,
    np.left_shift: a.shift_left,
    np.right_shift: a.shift_right,
    np.exp: e.exp,
    np.exp2: e.exp2,
    np.expm1: e.expm1,
    np.log: e.log,
    np.log2: e.log2,
    np.log10: e.log10,
    np.log1p: e.log1p,
    np.sqrt: e.sqrt,
    np.cbrt: e.cbrt,
    np.sinh: e.sinh,
    np.cosh: e.cosh,
    np.tanh: e.tanh,
    np.arcsinh: e.arcsinh,
    np.arccosh: e.arccosh,
    np.arctanh: e.arctanh,
    np.hypot: e.hypot,
    np.logaddexp: e.logaddexp,
    np.sin: t.sin,
    np.cos: t.cos,
    np.tan: t.tan,
    np.arcsin: t.arcsin,
    np.arccos: t.arccos,
    np.arctan: t.arctan,
    np.arctan2: t.arctan2,
}
"""Ufuncs that are one primitive."""

_BOOLEAN: dict[np.ufunc, Operation] = {np.add: a.or_, np.multiply: a.and_}
_ARITHMETIC: dict[np.ufunc, Operation] = {np.add: a.add, np.subtract: a.sub, np.multiply: a.mul}
_COMPARISONS = (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal)
_ROUNDING: dict[np.ufunc, Operation] = {np.floor: a.floor, np.ceil: a.ceil, np.trunc: a.trunc, np.rint: a.rint}


def _arithmetic(ufunc: np.ufunc) -> Callable[..., Any]:
    def apply(x: Any, y: Any, keep_weak: bool = False) -> Any:
        x, y = as_value(x), as_value(y)
        boolean = typeof(x).dtype == BOOL and typeof(y).dtype == BOOL
        operation = _BOOLEAN.get(ufunc, _ARITHMETIC[ufunc]) if boolean else _ARITHMETIC[ufunc]
        return apply_ufunc(ufunc, operation, (x, y), keep_weak)

    return apply


def _rounding(ufunc: np.ufunc) -> Callable[..., Any]:
    def apply(x: Any) -> Any:
        """Integers and booleans are whole already."""
        value = as_value(x)
        if typeof(value).is_complex and ufunc is np.rint:
            return c.complex_(a.rint(c.real(value)), a.rint(c.imag(value)))
        if typeof(value).dtype.kind in "biu" and ufunc is not np.rint:
            return to_dtype(value, typeof(value).dtype)
        return apply_ufunc(ufunc, _ROUNDING[ufunc], (value,))

    return apply


def absolute(x: Any, keep_weak: bool = False) -> Any:
    value = as_value(x)
    if typeof(value).dtype.kind in "bu":
        return value
    operation = c.modulus if typeof(value).is_complex else a.abs_
    return apply_ufunc(np.absolute, operation, (value,), keep_weak)


def sign(x: Any) -> Any:
    """Of a complex number z / |z|, as in NumPy 2."""
    value = as_value(x)
    return apply_ufunc(np.sign, c.phase if typeof(value).is_complex else a.sign, (value,))


def conjugate(x: Any) -> Any:
    value = as_value(x)
    if typeof(value).is_complex:
        return apply_ufunc(np.conjugate, c.conj, (value,))
    return to_dtype(value, resolve(np.conjugate, [typeof(value)])[-1])


def conj(x: Any) -> Any:
    """The method, which leaves booleans as they are; the ufunc makes integers of them."""
    return conjugate(x) if typeof(x).is_complex else x


def real(val: Any) -> Any:
    value = _with_parts(val)
    return c.real(value) if typeof(value).is_complex else value


def _with_parts(x: Any) -> Any:
    """Of Python's booleans the parts are integers."""
    value = as_value(x)
    type = typeof(value)
    return to_dtype(value, INT64, weak=True) if type.weak and type.dtype == BOOL else value


def imag(val: Any) -> Any:
    """Of real numbers zeros."""
    value = _with_parts(val)
    type = typeof(value)
    if type.is_complex:
        return c.imag(value)
    if type.weak:
        return type.dtype.type(0).item()
    zeros = np.zeros(type.shape, type.dtype)
    zeros.flags.writeable = False
    return zeros[()]


def angle(z: Any, deg: bool = False) -> Any:
    """The argument of complex numbers; of real ones 0 or pi."""
    value = as_value(z)
    if typeof(value).is_complex:
        found = apply_ufunc(np.arctan2, t.arctan2, (c.imag(value), c.real(value)))
    else:
        found = UFUNCS[np.arctan2](0, value)
    return multiply(found, 180 / math.pi) if deg else found


def iscomplex(x: Any) -> Any:
    return not_equal(imag(x), 0)


def isreal(x: Any) -> Any:
    return UFUNCS[np.equal](imag(x), 0)


def _logical(operation: Operation) -> Callable[..., Any]:
    def apply(*xs: Any) -> Any:
        return operation(*promote(*map(_truth, xs)))

    return apply


def _truth(x: Any) -> Any:
    value = as_value(x)
    return value if typeof(value).dtype == BOOL else not_equal(value, 0)


def power(x: Any, y: Any, keep_weak: bool = False) -> Any:
    """x ** y; an exponent that is a Python number with a whole value needs no logarithm."""
    if isinstance(y, int | float) and not isinstance(y, bool):
        base = as_value(x)
        array = typeof(base).shape or not getattr(x, "number", True)
        if keep_weak and typeof(base).dtype == BOOL and array and type(y) is int and y == 2:
            return square(base)  # int8, while booleans to other powers, and numbers, are int64
        dtype = resolve(np.power, [typeof(base), typeof(as_value(y))])[-1]
        weak = keep_weak and typeof(base).weak
        if dtype.kind in "fc" and y == 0.5:
            return e.sqrt(to_dtype(base, dtype, weak))
        if float(y).is_integer() and abs(y) <= 64 and (dtype.kind in "fc" or y >= 0):
            return a.integer_pow(to_dtype(base, dtype, weak), n=int(y))
    values = [as_value(x), as_value(y)]
    types = [typeof(v) for v in values]
    dtype = resolve(np.power, types)[-1]
    if dtype.kind == "i" and types[1].dtype.kind == "i" and 0 not in common_shape(types):
        values[1] = _natural(values[1])
    return apply_ufunc(np.power, e.power, values, keep_weak)


def _natural(y: Any) -> Any:
    """The exponent of integers, which raises where one is negative."""
    if isinstance(y, Literal):
        natural.primitive.evaluate(y.value)
        return y
    type = typeof(y)
    low = reduce_min(y, axes=tuple(range(type.ndim))) if type.ndim else y
    return a.add(y, to_shape(to_dtype(natural(low), type.dtype, type.weak), type.shape))


def fabs(x: Any) -> Any:
    return apply_ufunc(np.fabs, a.abs_, (x,))


def positive(x: Any, keep_weak: bool = False) -> Any:
    value = as_value(x)
    resolve(np.positive, [typeof(value)])
    return value if keep_weak else to_dtype(value, typeof(value).dtype)


def square(x: Any) -> Any:
    value = as_value(x)
    value = to_dtype(value, resolve(np.square, [typeof(value)])[-1])
    return multiply(value, value)


def reciprocal(x: Any) -> Any:
    value = as_value(x)
    type = typeof(value)
    if type.inexact:
        return true_divide(1, value)
    value = to_dtype(value, resolve(np.reciprocal, [type])[-1])
    type = typeof(value)
    with np.errstate(all="ignore"):
        of_zero = filled(np.reciprocal(type.dtype.type(0)), type)
    nothing = filled(0, typeof(value))
    return a.select(a.eq(value, nothing), of_zero, a.select(a.eq(absolute(value), filled(1, type)), value, nothing))


def _test(name: str) -> Callable[..., Any]:
    """isnan, isinf, isfinite; integers are always finite."""

    def apply(x: Any) -> Any:
        value = as_value(x)
        type = typeof(value)
        if type.is_complex:
            parts = apply(c.real(value)), apply(c.imag(value))
            return (a.and_ if name == "isfinite" else a.or_)(*parts)
        value = to_dtype(value, type.dtype if type.inexact else FLOAT64)  # what it gives is no boolean of Python
        match name:
            case "isnan":
                return a.ne(value, value)
            case "isinf":
                return a.eq(a.abs_(value), math.inf)
            case _:
                return a.lt(a.abs_(value), math.inf)

    return apply


def _scaled(ufunc: np.ufunc) -> Callable[..., Any]:
    """A ufunc that multiplies by what it makes of one in the same precision."""

    def function(x: Any) -> Any:
        value = as_value(x)
        return product(to_dtype(value, resolve(ufunc, [typeof(value)])[0]))

    product = in_single(lambda value: multiply(value, ufunc(typeof(value).dtype.type(1))))
    return function


def fmax(x: Any, y: Any) -> Any:
    """The larger operand; a NaN gives way to a number."""
    x, y = promote(x, y)
    return a.select(isnan(x), y, a.select(isnan(y), x, a.maximum(x, y)))


def fmin(x: Any, y: Any) -> Any:
    """The smaller operand; a NaN gives way to a number."""
    x, y = promote(x, y)
    return a.select(isnan(x), y, a.select(isnan(y), x, a.minimum(x, y)))


def heaviside(x: Any, at_zero: Any) -> Any:
    values = [as_value(x), as_value(at_zero)]
    dtype = resolve(np.heaviside, [typeof(v) for v in values])[-1]
    x, at_zero = promote(*[to_dtype(v, dtype) for v in values])
    type = typeof(x)
    positive = a.select(a.gt(x, 0.0), filled(1, type), x)  # NaN stays
    return a.select(a.eq(x, 0.0), at_zero, a.select(a.lt(x, 0.0), filled(0, type), positive))


def divmod_(x: Any, y: Any) -> tuple[Any, Any]:
    return floor_divide(x, y), remainder(x, y)


def polygamma(n: int, x: Any) -> Any:
    """scipy.special.polygamma: derivative n of the digamma function, for real x of any shape.

    n is a whole number known while tracing, from 0 on, else ValueError is raised; DTypeError where x is complex.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.grad(lambda x: sad.numpy.polygamma(0, x))(1.0), sad.numpy.polygamma(1, 1.0))
    1.6449340668482266 1.6449340668482266
    """
    if int(n) != n or n < 0:
        raise ValueError(f"polygamma needs a whole number n >= 0, got {n}")
    from staged_ad.primitives import special  # few programs have special functions

    value = to_float(x)
    return special.digamma(value) if n == 0 else special.polygamma(value, n=int(n))


def _direct(ufunc: np.ufunc, operation: Operation) -> Callable[..., Any]:
    def apply(*xs: Any, keep_weak: bool = False) -> Any:
        return apply_ufunc(ufunc, operation, xs, keep_weak)

    return apply


UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    **{ufunc: _direct(ufunc, operation) for ufunc, operation in DIRECT.items()},
    **{ufunc: _arithmetic(ufunc) for ufunc in _ARITHMETIC},
    **{ufunc: _rounding(ufunc) for ufunc in _ROUNDING},
    **{ufunc: comparison(ufunc, DIRECT[ufunc]) for ufunc in _COMPARISONS},
    np.power: power,
    np.absolute: absolute,
    np.fabs: fabs,
    np.positive: positive,
    np.sign: sign,
    np.conjugate: conjugate,
    np.square: square,
    np.reciprocal: reciprocal,
    np.logical_and: _logical(a.and_),
    np.logical_or: _logical(a.or_),
    np.logical_xor: _logical(a.xor),
    np.logical_not: _logical(a.not_),
    np.isnan: _test("isnan"),
    np.isinf: _test("isinf"),
    np.isfinite: _test("isfinite"),
    np.deg2rad: _scaled(np.deg2rad),
    np.radians: _scaled(np.radians),
    np.rad2deg: _scaled(np.rad2deg),
    np.degrees: _scaled(np.degrees),
    np.fmax: fmax,
    np.fmin: fmin,
    np.heaviside: heaviside,
    np.divmod: divmod_,
}
"""Every ufunc that works on traced values."""

add, subtract, multiply = UFUNCS[np.add], UFUNCS[np.subtract], UFUNCS[np.multiply]
true_divide, floor_divide, remainder = UFUNCS[np.true_divide], UFUNCS[np.floor_divide], UFUNCS[np.remainder]
not_equal, isnan = UFUNCS[np.not_equal], UFUNCS[np.isnan]


def _operator(ufunc: np.ufunc) -> Callable[..., Any]:
    function = checked(ufunc, UFUNCS[ufunc])
    return lambda *xs: function(*_numbers(xs), keep_weak=True)


def _numbers(xs: Sequence[Any]) -> Sequence[Any]:
    """The operands; if all are Python's, its booleans as integers, which they are."""
    types = [typeof(as_value(x)) for x in xs]
    if not all(type.weak for type in types) or all(type.dtype != BOOL for type in types):
        return xs
    return [to_dtype(as_value(x), INT64, True) if type.dtype == BOOL else x for x, type in zip(xs, types, strict=True)]


def _bitwise(ufunc: np.ufunc) -> Callable[..., Any]:
    """Python's & | ^: of two booleans one, else an integer."""
    whole, of_truths = _operator(ufunc), UFUNCS[ufunc]

    def apply(x: Any, y: Any) -> Any:
        truths = typeof(as_value(x)).dtype == BOOL == typeof(as_value(y)).dtype
        return of_truths(x, y, keep_weak=True) if truths else whole(x, y)

    return apply


OPERATORS: dict[str, Callable[..., Any]] = {
    "add": _operator(np.add),
    "sub": _operator(np.subtract),
    "mul": _operator(np.multiply),
    "truediv": _operator(np.true_divide),
    "floordiv": _operator(np.floor_divide),
    "mod": _operator(np.remainder),
    "divmod": lambda x, y: (_operator(np.floor_divide)(x, y), _operator(np.remainder)(x, y)),
    "pow": _operator(np.power),
    "and": _bitwise(np.bitwise_and),
    "or": _bitwise(np.bitwise_or),
    "xor": _bitwise(np.bitwise_xor),
    "lshift": _operator(np.left_shift),
    "rshift": _operator(np.right_shift),
    "lt": _operator(np.less),
    "le": _operator(np.less_equal),
    "gt": _operator(np.greater),
    "ge": _operator(np.greater_equal),
    "eq": _operator(np.equal),
    "ne": _operator(np.not_equal),
    "neg": _operator(np.negative),
    "pos": lambda x: positive(_numbers([x])[0], keep_weak=True),
    "abs": _operator(np.absolute),
    "invert": _operator(np.invert),
}
"""Python's operators; results of weak operands are weak, as arithmetic of Python numbers is."""

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    **dict(UFUNCS.items()),
    np.real: real,
    np.imag: imag,
    np.angle: angle,
    np.iscomplex: iscomplex,
    np.isreal: isreal,
    np.iscomplexobj: lambda x: typeof(as_value(x)).is_complex,
    np.isrealobj: lambda x: not typeof(as_value(x)).is_complex,
}
"""The ufuncs, and functions of complex numbers that are none."""
METHODS: dict[str, Callable[..., Any]] = {"conj": conj, "conjugate": conj}
PROPERTIES: dict[str, Callable[..., Any]] = {"real": real, "imag": imag}
