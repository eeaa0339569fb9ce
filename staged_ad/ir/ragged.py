"""Ragged arrays: values with an axis as long as a loop ran, one entry for each of its iterations.

Invariant: entries have the type ``stack.type.slice()``; a stack without entries stands for zeros of any length.
Start at ``Stack``; machine code keeps the same thing as a pointer and a count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from staged_ad.ir.types import RAGGED, ArrayType


class Stack:
    """The entries of a ragged array; where a second axis is ragged, they are stacks themselves."""

    __slots__ = ("entries", "type")

    def __init__(self, entries: Sequence[Any], type: ArrayType) -> None:
        self.entries = entries
        self.type = type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.type.dtype

    @property
    def nbytes(self) -> int:
        return sum(entry.nbytes for entry in self.entries)

    def tobytes(self) -> bytes:
        return b"|".join(entry.tobytes() for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.entries)

    def __getitem__(self, k: int) -> Any:
        return self.entries[k]


def empty_stack(type: ArrayType) -> Stack:
    """The ragged array that stands for zeros."""
    inner = type.slice()
    return Stack([] if type.shape[0] == RAGGED else [empty_stack(inner)] * type.shape[0], type)


def entry(stack: Any, k: int, type: ArrayType) -> Any:
    """Entry `k`, of the given type, of an array or a ragged array."""
    if isinstance(stack, Stack) and not len(stack):
        return empty_stack(type) if type.ragged else np.zeros(type.shape, type.dtype)[()]
    return stack[k]


def stacked(entries: Sequence[Any], type: ArrayType, length: int | None) -> Any:
    """The values of `type` of all iterations, as one array where that is possible."""
    if length is None or type.ragged:
        return Stack(list(entries), type.stacked(length))
    if not entries:
        return np.zeros((0, *type.shape), type.dtype)
    return np.stack(entries)
