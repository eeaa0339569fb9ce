"""Numbers between bounds, and of few digits: clip and round.

Invariant: signatures and result dtypes are NumPy's.
Start at ``clip``.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, UnsupportedError
from staged_ad.ir import ArrayType, Literal
from staged_ad.ir.types import real_dtype_of
from staged_ad.numpy.promotion import as_value, promote, promote_dtypes, to_dtype
from staged_ad.numpy.ufuncs import UFUNCS
from staged_ad.primitives import arithmetic as a
from staged_ad.primitives.complexes import complex_, imag, real
from staged_ad.primitives.makers import select, typeof


def clip(a_: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """np.clip; at a bound the derivative is that of the array."""
    if out is not None:
        raise UnsupportedError("np.clip(..., out=...) is not supported on traced values")
    low, high = a_min if a_min is not None else min, a_max if a_max is not None else max
    value = as_value(a_)
    value = to_dtype(value, typeof(value).dtype)  # not so its bounds: those may be Python's numbers
    low, high = _bound(low, value, -1), _bound(high, value, 1)
    given = [x for x in (low, high) if x is not None]
    value = promote_dtypes(value, *map(as_value, given))[0] if len(given) > 1 else value
    if low is not None:
        value, bound = promote(value, low)
        value = select(_or_nan(a.lt(value, bound), bound), bound, value)
    if high is not None:
        value, bound = promote(value, high)
        value = select(_or_nan(a.gt(value, bound), bound), bound, value)
    return value


def _bound(bound: Any, value: Any, sign: int) -> Any:
    """None for a Python integer beyond all that integers of that dtype can be."""
    kind: np.dtype[Any] = typeof(value).dtype
    if type(bound) is not int or kind.kind not in "iu":
        return bound
    limits = np.iinfo(kind)
    return None if (bound >= limits.max if sign > 0 else bound <= limits.min) else bound


def _or_nan(beyond: Any, bound: Any) -> Any:
    """A NaN bound gives NaN, as in NumPy."""
    if isinstance(bound, Literal) and bool(np.all(bound.value == bound.value)):
        return beyond
    return a.or_(beyond, a.ne(bound, bound))


def round_(a_: Any, decimals: int = 0, out: Any = None, dtype: Any = None) -> Any:
    """`dtype` is that of the array that results are written into: from the first product on it is computed there."""
    value, decimals = as_value(a_), operator.index(decimals)
    type: ArrayType = typeof(value)
    rint = UFUNCS[np.rint]
    if type.dtype == bool and decimals:
        raise DTypeError(f"np.round of booleans to {decimals} decimals is not defined")
    if type.is_complex and decimals:  # a quotient of complex numbers would lose the signs of zeros
        return complex_(round_(real(value), decimals), round_(imag(value), decimals))
    if type.dtype.kind in "iu" and decimals >= 0:
        return value
    if decimals == 0:
        return rint(value)
    times, over = (UFUNCS[np.multiply], UFUNCS[np.divide])[:: 1 if decimals > 0 else -1]
    power = 10.0 ** abs(decimals) if abs(decimals) <= sys.float_info.max_10_exp else math.inf
    moved = times(value, power)
    if dtype is not None and type.dtype.kind == "f" and dtype.kind in "fc":
        moved = to_dtype(moved, real_dtype_of(dtype))
    rounded = over(rint(moved), power)
    if type.inexact:
        return rounded
    return to_dtype(to_dtype(rounded, np.dtype(f"{type.dtype.kind}8")), type.dtype)  # what does not fit wraps around


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.clip: clip,
    vars(np)["_core"].umath.clip: clip,  # of x.clip(low, high), where x is an array of NumPy and a bound is traced
    np.round: round_,
    np.around: round_,
}
METHODS: dict[str, Callable[..., Any]] = {
    "clip": lambda x, min=None, max=None, out=None: clip(x, min, max, out),
    "round": round_,
}
