"""Storage: every stored value gets its place, in an output array or in the workspace.

Invariant: two values share memory only if no region needs both; inputs are never written.
Start at ``assign``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from staged_ad.ir import Atom, Literal, Program, Var

ALIGNMENT = 64


class Footprint(Protocol):
    """A step of the computation, as storage sees it."""

    @property
    def reads(self) -> list[Atom]: ...

    @property
    def writes(self) -> list[Var]: ...


@dataclass(frozen=True, slots=True)
class Place:
    """`offset` bytes into the memory that slot number `slot` points to."""

    slot: int
    offset: int


@dataclass(slots=True)
class Storage:
    """Slots come as inputs, constants, outputs, workspace."""

    places: dict[Atom, Place]
    constants: list[np.ndarray[Any, Any]]
    workspace: int

    def place(self, atom: Atom) -> Place:
        return self.places[atom]


def assign(program: Program, regions: Sequence[Footprint], outputs: Sequence[Var]) -> Storage:
    """`outputs` are the variables whose storage is that of each program output."""
    places: dict[Atom, Place] = {var: Place(k, 0) for k, var in enumerate(program.inputs)}
    constants: list[np.ndarray[Any, Any]] = []
    seen: dict[tuple[int, tuple[int, ...]], Place] = {}
    base = len(program.inputs)
    for region in regions:
        for atom in region.reads:
            if isinstance(atom, Literal) and atom not in places:
                key = id(atom.value), atom.type.shape
                known = seen.get(key)
                if known is None:
                    known = seen[key] = Place(base + len(constants), 0)
                    constants.append(np.ascontiguousarray(atom.array))
                places[atom] = known
    first_output = base + len(constants)
    for k, var in enumerate(outputs):
        places[var] = Place(first_output + k, 0)
    slot = first_output + len(outputs)
    size = _pack(regions, places, slot)
    return Storage(places, constants, size)


def _pack(regions: Sequence[Footprint], places: dict[Atom, Place], slot: int) -> int:
    """First fit over the life of each temporary: from the region that writes it to the last that reads it."""
    last: dict[Atom, int] = {}
    for number, region in enumerate(regions):
        for atom in (*region.reads, *region.writes):
            last[atom] = number
    ending: dict[int, list[Var]] = {}
    free: list[tuple[int, int]] = []  # (offset, size), sorted by offset
    taken: dict[Var, tuple[int, int]] = {}
    total = 0
    for number, region in enumerate(regions):
        for var in sorted((v for v in region.writes if v not in places), key=lambda v: -v.type.size):
            size = -(-max(1, var.type.size * var.type.dtype.itemsize) // ALIGNMENT) * ALIGNMENT
            offset, total = _fit(free, size, total)
            places[var] = Place(slot, offset)
            taken[var] = offset, size
            ending.setdefault(last[var], []).append(var)
        for var in ending.pop(number, []):
            free.append(taken[var])
        free = _merged(free)
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
