"""What Python and NumPy ask of the number, or the numbers, that a traced value stands for.

Invariant: ``if``, ``int``, ``range`` and ``round`` are told what is true for the arguments at hand, which is guarded;
a number that would go on into a computation behind the trace is refused.
Start at ``NumberProtocol``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, ConcretizationError, ShapeError
from staged_ad.tracing.advice import contents_error, is_looking_up, no_single_value, number_error
from staged_ad.tracing.operations import OPERATIONS
from staged_ad.tracing.source import location, user_source


class NumberProtocol:
    """Base of Tracer: bool, int, float, round and the like of it."""

    __slots__ = ()

    def __bool__(self: Any) -> bool:
        if self.size != 1:
            count = "an array with more than one element" if self.size else "an empty array"
            advice = "a.any() or a.all()" if self.size else "`array.size > 0` to check that an array is not empty"
            raise ShapeError(
                f"The truth value of {count} is ambiguous. Use {advice} (at {location(user_source())}, value of type "
                f"{self.type})"
            )
        found = self.owner.concretize(self, bool)
        if found is None:
            raise no_single_value(
                "the truth value",
                "Write np.where(condition, a, b) or staged_ad.cond instead of `if`, staged_ad.while_loop instead of "
                "`while`, np.minimum and np.maximum instead of min and max, and & | ~ instead of `and`, `or`, `not`",
                self,
            )
        return bool(found)

    def __float__(self: Any) -> float:
        if self.array is not None:
            return float(self.array)
        raise number_error("float()", self)

    def __int__(self: Any) -> int:
        if self.shape:
            raise ConcretizationError(
                f"only 0-dimensional arrays can be converted to Python scalars (value of type {self.type}, at "
                f"{location(user_source())})"
            )
        return self._integer("int()", "Write x.astype(int) where the number is used in a computation")

    def __index__(self: Any) -> int:
        if self.shape or self.dtype.kind not in "iu":
            raise ConcretizationError(
                f"only integer scalar arrays can be converted to a scalar index (value of type {self.type}, at "
                f"{location(user_source())}); write int(x) for a number of another type"
            )
        return self._integer(
            "the integer",
            "Write staged_ad.fori_loop instead of `for k in range(n)`; as a length or an axis, pass it as a static "
            "argument (jit(f, static_argnums=...)) or compute it from shapes",
        )

    def __round__(self: Any, digits: int | None = None) -> Any:
        if self.shape:
            raise ConcretizationError(f"round() takes one number, got {self.type}; write np.round(x, decimals)")
        if digits is not None:
            return OPERATIONS.methods["round"](self, digits)
        return OPERATIONS.functions[np.rint](self)._integer("round()", "Write np.round(x) for a traced number")

    def __floor__(self: Any) -> int:
        return OPERATIONS.functions[np.floor](self)._integer("math.floor()", "Write np.floor(x) for a traced number")

    def __ceil__(self: Any) -> int:
        return OPERATIONS.functions[np.ceil](self)._integer("math.ceil()", "Write np.ceil(x) for a traced number")

    def __trunc__(self: Any) -> int:
        return OPERATIONS.functions[np.trunc](self)._integer("math.trunc()", "Write np.trunc(x) for a traced number")

    def _integer(self: Any, kind: str, advice: str) -> int:
        if self.dtype.kind == "c":
            raise ArgumentError("int() of a complex traced value; write int(z.real)")
        found = self.owner.concretize(self, int)
        if found is None:
            raise no_single_value(kind, advice, self)
        return int(found)

    def __complex__(self: Any) -> complex:
        if self.array is not None:
            return complex(self.array)
        raise number_error("complex()", self)

    def __array__(self: Any, dtype: Any = None, copy: Any = None) -> Any:
        known = self.array
        if known is None and self.dtype == bool and self.ndim and is_looking_up():
            known = OPERATIONS.operators["known"](self)
        if known is None:
            raise contents_error(self)
        if self.dtype == bool and not self.size and self.ndim > 1:  # NumPy would take it for an index of integers
            raise ShapeError("a mask without elements; write np.asarray(a)[mask]")
        return np.array(known, dtype)
