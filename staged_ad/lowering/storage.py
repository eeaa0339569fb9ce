"""Storage: every stored value gets its place, in an output array or in the workspace.

Invariant: two values share memory only if no region needs both; inputs are never written.
Start at ``assign``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from staged_ad.errors import LoweringError
from staged_ad.ir import ArrayType, Atom, Literal, Program, Var
from staged_ad.ir.types import RAGGED

ALIGNMENT = 64
HANDLE = 16
"""Bytes of a ragged array where it is stored: a pointer and a count."""


class Footprint(Protocol):
    """A step of the computation, as storage sees it."""

    @property
    def reads(self) -> list[Atom]: ...

    @property
    def writes(self) -> list[Var]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """`offset` bytes into the memory that the register `base` points to."""

    base: str
    offset: int = 0

    def at(self, offset: int) -> Place:
        return Place(self.base, self.offset + offset) if offset else self


class Places(Protocol):
    """What gives stored values their places."""

    def place(self, atom: Atom) -> Place: ...


@dataclass(slots=True)
class Storage:
    """Slots come as inputs, constants, outputs, workspace; ``%base3`` is what slot 3 points to."""

    places: dict[Atom, Place]
    constants: list[np.ndarray[Any, Any]]
    workspace: int

    def place(self, atom: Atom) -> Place:
        return self.places[atom]


def nbytes(type: ArrayType) -> int:
    """The size of a stored value. A ragged array is a pointer and a count for each index before its ragged axis."""
    if type.ragged:
        return HANDLE * math.prod(type.shape[: type.shape.index(RAGGED)])
    return type.size * type.dtype.itemsize


def assign(
    program: Program, regions: Sequence[Footprint], outputs: Sequence[Var], shared: Mapping[Var, Var]
) -> Storage:
    """`outputs` are the variables whose storage is that of each program output; `shared` is that of the block."""
    places: dict[Atom, Place] = {var: Place(f"%base{k}") for k, var in enumerate(program.inputs)}
    constants: list[np.ndarray[Any, Any]] = []
    seen: dict[tuple[int, tuple[int, ...]], Place] = {}
    base = len(program.inputs)
    for region in regions:
        for atom in region.reads:
            if isinstance(atom, Literal) and atom not in places:
                key = id(atom.value), atom.type.shape
                known = seen.get(key)
                if known is None:
                    known = seen[key] = Place(f"%base{base + len(constants)}")
                    constants.append(_constant(atom))
                places[atom] = known
    first_output = base + len(constants)
    for k, var in enumerate(outputs):
        places[var] = Place(f"%base{first_output + k}")
    size = pack(regions, places, f"%base{first_output + len(outputs)}", shared)
    return Storage(places, constants, size)


def _constant(literal: Literal) -> np.ndarray[Any, Any]:
    if not literal.type.ragged:
        return np.ascontiguousarray(literal.array)
    if not literal.is_splat:
        raise LoweringError(
            "a result of a loop of unknown length, kept outside of the jitted function, cannot be compiled: call vjp "
            "or linearize inside of it"
        )
    return np.zeros(nbytes(literal.type), np.uint8)


def pack(regions: Sequence[Footprint], places: dict[Atom, Place], base: str, shared: Mapping[Var, Var]) -> int:
    """First fit over the life of each temporary: from the region that writes it to the last that reads it.

    Values that one another continues have the place of the last one of them.
    """

    def root(atom: Atom) -> Atom:
        return shared.get(atom, atom) if isinstance(atom, Var) else atom

    last: dict[Atom, int] = {}
    for number, region in enumerate(regions):
        for atom in (*region.reads, *region.writes):
            last[root(atom)] = number
    ending: dict[int, list[Var]] = {}
    free: list[tuple[int, int]] = []  # (offset, size), sorted by offset
    taken: dict[Var, tuple[int, int]] = {}
    total = 0
    for number, region in enumerate(regions):
        new = dict.fromkeys(shared.get(var, var) for var in region.writes)
        for var in sorted((var for var in new if var not in places), key=lambda v: -nbytes(v.type)):
            size = -(-max(1, nbytes(var.type)) // ALIGNMENT) * ALIGNMENT
            offset, total = _fit(free, size, total)
            places[var] = Place(base, offset)
            taken[var] = offset, size
            ending.setdefault(last[var], []).append(var)
        for var in ending.pop(number, []):
            free.append(taken[var])
        free = _merged(free)
    places.update((var, places[end]) for var, end in shared.items() if var not in places and end in places)
    return total


def _fit(free: list[tuple[int, int]], size: int, total: int) -> tuple[int, int]:
    for k, (offset, room) in enumerate(free):
        if room >= size:
            free[k] = (offset + size, room - size)
            return offset, total
    return total, total + size


def _merged(free: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for offset, size in sorted(free):
        if not size:
            continue
        if merged and merged[-1][0] + merged[-1][1] == offset:
            merged[-1] = merged[-1][0], merged[-1][1] + size
        else:
            merged.append((offset, size))
    return merged
