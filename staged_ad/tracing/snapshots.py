"""Constants of a program: copies of the arrays that a traced function closes over.

Invariant: a program never changes when the user's array does; an array that has not changed is copied once.
Start at ``literal_of``.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from staged_ad.errors import NotDifferentiableError
from staged_ad.ir import ArrayType, Linear, Literal, Stack, type_of

SMALL = 4096
"""Bytes up to which an array is simply copied."""
_BLOCK = 1 << 20

_known: dict[int, tuple[weakref.ref[np.ndarray[Any, Any]], Literal]] = {}


def literal_of(value: Any) -> Literal:
    """A literal with a copy of `value`: later changes of the array do not change the program."""
    if isinstance(value, Literal):
        return value
    if isinstance(value, Linear):
        raise NotDifferentiableError("an operation is not linear in all that should be linear: it cannot be transposed")
    if isinstance(value, Stack):
        return Literal(value, value.type)
    type = type_of(value)
    if not type.shape:
        return Literal(type.dtype.type(value), type)
    if value.nbytes <= SMALL or not value.flags.c_contiguous or value.dtype != type.dtype:
        return _copy(value, type)
    entry = _known.get(id(value))
    if entry is not None and entry[0]() is value and _same(value, entry[1].value):
        return entry[1]
    number = id(value)
    literal = _copy(value, type)
    _known[number] = weakref.ref(value, lambda _: _known.pop(number, None)), literal
    return literal


def _copy(value: Any, type: ArrayType) -> Literal:
    snapshot = np.array(value, dtype=type.dtype, order="C", copy=True, subok=False)
    snapshot.flags.writeable = False
    return Literal(snapshot, type)


def _same(array: Any, snapshot: Any) -> bool:
    """Whether two C-contiguous arrays hold the same bytes; NaN equals itself here."""
    if array.shape != snapshot.shape or array.dtype != snapshot.dtype:
        return False
    first, second = (np.asarray(a).reshape(-1).view(np.uint8) for a in (array, snapshot))
    return all(np.array_equal(first[k : k + _BLOCK], second[k : k + _BLOCK]) for k in range(0, first.size, _BLOCK))
