"""Comparisons, for which NumPy takes integers as they are: Python's beside short ones, signed beside unsigned ones.

Invariant: no integer is cut down to a dtype that does not hold it.
Start at ``comparison``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.ir import Literal
from staged_ad.ir.types import FLOAT64, INT64
from staged_ad.numpy.promotion import apply_ufunc, as_value, common_shape, to_dtype, to_shape
from staged_ad.primitives import arithmetic as a
from staged_ad.primitives.makers import Operation, typeof
from staged_ad.tracing import Tracer

UINT64 = np.dtype("uint64")


def comparison(ufunc: np.ufunc, operation: Operation) -> Callable[..., Any]:
    def compared(values: Any, keep_weak: bool = False) -> Any:
        return apply_ufunc(ufunc, operation, values, keep_weak)

    def apply(x: Any, y: Any, keep_weak: bool = False) -> Any:
        values = [as_value(x), as_value(y)]
        for k, (number, other) in enumerate((values, values[::-1])):
            dtype = typeof(other).dtype
            if _does_not_fit(number, dtype):  # in float64 the order is right all the same
                return compared([to_dtype(v, FLOAT64) for v in values])
            if not _may_not_fit(number, typeof(other)):
                continue
            if dtype != UINT64:
                return compared([to_dtype(v, INT64) for v in values])
            number = to_dtype(number, INT64)
            zero = Literal(np.int64(0), typeof(number).strong())
            natural = to_dtype(a.maximum(number, zero), UINT64)
            below = [number, zero], [natural, other]
            shape = common_shape([typeof(v) for v in values])
            found = [to_shape(compared(pair[::-1] if k else pair), shape) for pair in below]
            return a.select(to_shape(a.lt(number, zero), shape), *found)
        return compared(values, keep_weak)

    return apply


def _does_not_fit(x: Any, dtype: np.dtype[Any]) -> bool:
    """Whether x is a Python integer outside the range of an integer dtype."""
    if not (isinstance(x, Literal) and x.type.weak and x.type.dtype.kind == "i" and dtype.kind in "iu"):
        return False
    return not np.iinfo(dtype).min <= int(x.value) <= np.iinfo(dtype).max


def _may_not_fit(x: Any, other: Any) -> bool:
    """Whether x stands for a Python integer beside integers of another dtype, or is signed beside 64 unsigned bits."""
    type = typeof(x)
    if type.dtype.kind != "i" or (type.weak and not isinstance(x, Tracer)):
        return False
    return other.dtype == UINT64 or (type.weak and other.dtype.kind in "iu" and other.dtype != INT64)
