"""What a program is made for beside types: values that the traced function was given as they are.

Invariant: two values are the same here only where Python's code cannot tell them apart: 1, 1.0 and True differ, 0.0 and
-0.0 too, also inside of tuples; NaN is NaN.
Start at ``canonical``.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np

PLAIN = frozenset([str, int, bool, bytes, type(None)])
"""Types whose values are told apart by ``==`` alone."""


def canonical(value: Any) -> Any:
    """A description of `value` that equals those of the same values only, with a hash where `value` has one."""
    kind = type(value)
    if kind in PLAIN:
        return kind, value
    if kind in (float, complex, getattr(sys.modules.get("decimal"), "Decimal", None)):
        return kind, repr(value)
    if isinstance(value, np.generic):
        return kind, value.dtype, value.tobytes()
    if kind is frozenset:
        return kind, frozenset(map(canonical, value))
    if kind in (range, slice):
        return kind, canonical(value.start), canonical(value.stop), canonical(value.step)
    parts = _parts(value)
    if parts is None:
        return kind, value
    known = tuple(map(canonical, parts))
    return (kind, known) if kind is tuple or _holds_nan(value) else (kind, known, value)


def _parts(value: Any) -> tuple[Any, ...] | None:
    """What a tuple or a dataclass is compared by."""
    if isinstance(value, tuple):
        return value
    kind = type(value)
    if dataclasses.is_dataclass(kind) and kind.__hash__ is not object.__hash__:
        return tuple([getattr(value, field.name) for field in dataclasses.fields(kind) if field.compare])
    return None


def _holds_nan(value: Any) -> bool:
    """Whether a value is NaN, or holds one and differs from others written alike."""
    parts = _parts(value)
    return isinstance(value, float | complex) and value != value if parts is None else any(map(_holds_nan, parts))


class Fixed:
    """A value by its canonical description; one that has been changed in place since does not equal it."""

    __slots__ = ("_hash", "description", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.description = canonical(value)
        self._hash = hash(self.description)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and self._hash == other._hash and self.description == other.description

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return repr(self.value)
