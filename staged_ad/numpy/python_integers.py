"""Arithmetic of traced Python integers: exact, or an error, as they have no largest one and int64 has.

Invariant: what Python's operators make of Python integers is what Python would, or raises OutOfRangeError. In bodies of
staged loops and branches, whose results are NumPy's, integers are int64 and wrap around as there.
Start at ``checked``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.ir import ArrayType, Literal
from staged_ad.ir.types import FLOAT64, INT64
from staged_ad.primitives.arithmetic import abs_, div, lt, ne
from staged_ad.primitives.exponential import power
from staged_ad.primitives.linalg import require
from staged_ad.primitives.makers import add, mul, neg, sub
from staged_ad.primitives.shaping import cast
from staged_ad.tracing import Tracer

PYTHON_INTEGER = ArrayType((), INT64, weak=True)
GROWING: dict[np.ufunc, Callable[..., Any]] = {
    np.add: add,
    np.subtract: sub,
    np.multiply: mul,
    np.negative: neg,
    np.absolute: abs_,
    np.power: power,
    np.left_shift: lambda x, y: mul(x, power(np.float64(2.0), y)),
    np.floor_divide: div,  # by -1
}
"""What may leave the range of int64, and the same of float64 numbers."""
DIVIDING = (np.floor_divide, np.remainder)


def checked(ufunc: np.ufunc, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which applies `ufunc` to operands of a Python operator, with a check of the result."""
    if ufunc not in GROWING and ufunc not in DIVIDING:
        return function

    def apply(*xs: Any, **options: Any) -> Any:
        if not _are_python_integers(xs):
            return function(*xs, **options)
        if ufunc in DIVIDING:
            xs = xs[0], _not_zero(xs[1])
        result = function(*xs, **options)
        safe = ufunc not in GROWING or (ufunc is np.floor_divide and type(xs[1]) is int and xs[1] != -1)
        return result if safe or not isinstance(result, Tracer) or result.owner.staged else _in_range(ufunc, result, xs)

    return apply


def of_unsigned(x: Any) -> Any:
    """An unsigned integer as one of Python, which raises where int64 does not hold it."""
    number = cast(x, dtype=INT64, weak=True)
    return require(number, lt(np.int64(-1), number), error="overflow")


def _are_python_integers(xs: Sequence[Any]) -> bool:
    """Whether the operands are Python integers, and one of them is traced."""
    return any(isinstance(x, Tracer) for x in xs) and all(
        x.type == PYTHON_INTEGER if isinstance(x, Tracer | Literal) else type(x) is int for x in xs
    )


def _not_zero(divisor: Any) -> Any:
    if type(divisor) is int and not divisor:
        raise ZeroDivisionError("integer division or modulo by zero")
    if not isinstance(divisor, Tracer) or divisor.owner.staged:
        return divisor
    return require(divisor, ne(divisor, 0), error="zero")


def _in_range(ufunc: np.ufunc, result: Any, xs: Sequence[Any]) -> Any:
    """The result, which raises where float64 finds another one: what wrapped around is off by 2**64 or more."""
    expected = GROWING[ufunc](*map(_real, xs))
    return require(result, lt(abs_(sub(expected, _real(result))), 2.0**63), error="overflow")


def _real(x: Any) -> Any:
    return cast(x, dtype=FLOAT64, weak=False) if isinstance(x, Tracer | Literal) else np.float64(x)
