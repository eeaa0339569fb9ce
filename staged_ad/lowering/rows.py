"""Row-local nests: neighbours that work on the same rows run block after block of rows, which stay in the cache.

A softmax is four nests: maxima, exponentials, sums, quotients. One after another they read the array four times from
memory; over a block of rows at a time only once, and what only they read is never stored outside of a small buffer.

Invariant: a nest reads of what the others of its group write the rows of its own block only.
Start at ``grouped``.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import Enum

from staged_ad.ir import ArrayType, Atom, Var
from staged_ad.ir.lowerings import ArgFold
from staged_ad.lowering.indexing import NODES, Affine
from staged_ad.lowering.regions import Load, Nest, Region, Rows
from staged_ad.lowering.schedule import ROWS, merged

CACHED = 1 << 19
"""Bytes up to which nests find each other's results in the cache anyway."""
LITTLE = 16
"""Arrays that are so often smaller than the cache are no reason for nests to run together."""
BLOCK, LARGEST_BLOCK = 1 << 16, 1 << 18
"""Bytes of a block of rows, and up to how many it has where sums over a block are large."""
SUMS = 16
"""How often a block is larger than the sums over it."""
LOCAL = 1 << 16
"""Bytes of the stack for what only one group reads."""
FEWEST = 16
"""Blocks from which it is worth it."""
LATER = 8
"""Nests that are looked at from the first on that has to wait for a group: others may belong to it."""
MOST = 32
"""Nests of a group: each that joins is looked at beside all of them."""

Close = Callable[[Sequence[Nest], Counter[Atom]], list[Region]]
"""Decides on a group: one region, or its nests; it knows how often each value is read."""


def grouped(
    regions: Sequence[Region],
    outputs: Sequence[Atom],
    close: Close | None = None,
    least: int | None = None,
    sums: bool = True,
) -> list[Region]:
    """`regions` with row-local neighbours as one; nests that do not depend on a group may move before it, and some that
    do behind it.

    Arrays of fewer than `least` bytes are no reason for nests to run together. `sums` says whether those over the rows
    may be among them.
    """
    close = close or closed
    least = CACHED // LITTLE if least is None else least
    readers = Counter(atom for region in regions for atom in region.reads)
    readers.update(outputs)
    writers = Counter(var for region in regions for var in region.writes)
    waiting, result = deque(regions), list[Region]()
    growing = _Growing()
    while waiting:
        region = waiting.popleft()
        nest = _movable(region, writers)
        place = None if nest is None else growing.place(nest, least, sums)
        if nest is not None and place is not None:
            result += growing.add(nest, place)
        elif growing.first:
            waiting.appendleft(region)
        else:
            result.append(region)
        if growing.first and (place is None or not waiting):
            done, undone = growing.ended(close, readers)
            result += done
            waiting.extendleft(reversed(undone))
            growing = _Growing()
    return result


class _Place(Enum):
    """Where a nest runs that came after the first of a group."""

    BEFORE, WITHIN, BEHIND = range(3)


class _Growing:
    """A group while nests join: those that came before any that has to wait for it, and all nests since then."""

    def __init__(self) -> None:
        self.first: list[Nest] = []
        self.since: list[tuple[Nest, _Place]] = []

    def place(self, nest: Nest, least: int, sums: bool) -> _Place | None:
        """Where a nest runs; None where the group has to end first, or the nest begins none."""
        if len(self.since) == LATER:
            return None
        group, behind = [*self.first, *self._later(_Place.WITHIN)], self._later(_Place.BEHIND)
        joins = (sums or 0 not in nest.reduced) and len(group) < MOST and _independent(nest, behind)
        if joins and together([*group, nest], least) is not None:
            return _Place.WITHIN
        if not group:
            return None
        return _Place.BEFORE if _independent(nest, [*group, *behind]) else _Place.BEHIND

    def add(self, nest: Nest, place: _Place) -> list[Nest]:
        """The nest itself, if it has its place already."""
        if not self.since and place is _Place.BEFORE:
            return [nest]
        if self.since or place is _Place.BEHIND:
            self.since.append((nest, place))
        else:
            self.first.append(nest)
        return []

    def _later(self, place: _Place) -> list[Nest]:
        return [nest for nest, where in self.since if where is place]

    def ended(self, close: Close, readers: Counter[Atom]) -> tuple[list[Region], list[Nest]]:
        """What has its place now, and what comes next: where there is no group after all, all nests since."""
        regions = close([*self.first, *self._later(_Place.WITHIN)], readers)
        if any(isinstance(region, Rows) for region in regions):
            return [*self._later(_Place.BEFORE), *regions], self._later(_Place.BEHIND)
        return [*self.first], [nest for nest, _ in self.since]


def _movable(region: Region, writers: Counter[Var]) -> Nest | None:
    """The nest in order, if it alone writes its arrays, each element once."""
    if not isinstance(region, Nest) or 0 in region.domain:
        return None
    if any(writers[var] > 1 for var in region.writes):
        return None
    if any(store.ordered or store.combine is not None for store in region.stores):
        return None
    return merged(region)


def _independent(nest: Nest, others: Sequence[Region]) -> bool:
    written = {var for other in others for var in other.writes}
    return written.isdisjoint(nest.reads)


def closed(group: Sequence[Nest], readers: Counter[Atom]) -> list[Region]:
    """A group as one region where its nests share more than the cache holds, else its nests."""
    rows = together(group, CACHED // LITTLE) if len(group) > 1 else None
    if rows is None:
        return list(group)
    inside = Counter(atom for nest in group for atom in nest.reads)
    written = {var for nest in group for var in nest.writes}
    shared = sum(nbytes(atom) for atom in {*inside, *written} if inside[atom] + (atom in written) > 1)
    widths = {atom: width for atom, width in rows.widths.items() if inside[atom] + (atom in written) > 1}
    if shared <= CACHED or not widths:
        return list(group)
    sums = [nbytes(fold.array) for nest in group if 0 in nest.reduced for fold in nest.reduces]
    count = max(BLOCK, SUMS * max(sums, default=0)) // sum(widths.values())
    count -= count % ROWS if count > ROWS else 0
    if count < 1 or rows.count // count < FEWEST:
        return list(group)
    local: dict[Var, int] = {}
    for var in sorted(written, key=lambda var: widths.get(var, 0)):
        used = sum(local.values()) + widths.get(var, 0)
        if var in widths and readers[var] == inside[var] and used * count <= LOCAL:
            local[var] = widths[var]
    if not all(sums_fit(fold.array.type) for nest in group if 0 in nest.reduced for fold in nest.reduces):
        return list(group)
    return [replace(rows, block=count, local=local)]


def sums_fit(type: ArrayType) -> bool:
    """Whether sums over blocks of rows, one for each, are little beside the blocks."""
    return SUMS * type.size * type.dtype.itemsize <= LARGEST_BLOCK


def nbytes(atom: Atom) -> int:
    return atom.type.size * atom.type.dtype.itemsize


# -- which rows an array has ------------------------------------------------------------------------------------------


def together(nests: Sequence[Nest], least: int) -> Rows | None:
    """The nests as one region, if the rows that each reads of the others are those of its own block."""
    count = math.gcd(*(nest.domain[0] if nest.domain else 1 for nest in nests))
    if count < FEWEST:
        return None
    widths: dict[Atom, int | None] = {}
    for nest in nests:
        for array, address, guarded in _accesses(nest):
            width = None if guarded else _width(nest, address, count)
            widths[array] = width if widths.get(array, width) == width else None
    written: set[Var] = set()
    for nest in nests:
        stored = nest.writes
        if 0 in nest.reduced:
            if any(isinstance(fold.rule, ArgFold) for fold in nest.reduces):
                return None
            stored = [store.array for store in nest.stores]
            sums = {fold.array for fold in nest.reduces}
            if not all(sums.isdisjoint(other.reads) for other in nests):
                return None  # they are complete only when all blocks are
        if not written.isdisjoint(stored) or any(widths[var] is None for var in stored):
            return None
        written.update(stored)
    connected: set[Atom] = set()
    for number, nest in enumerate(nests):
        own = {x for x in (*nest.reads, *nest.writes) if nbytes(x) >= least}
        if not own or (number and own.isdisjoint(connected)):
            return None
        connected |= own
    sizes = {array: width * array.type.dtype.itemsize for array, width in widths.items() if width is not None}
    return Rows(list(nests), count, 1, sizes, {})


def _accesses(nest: Nest) -> Iterator[tuple[Atom, Affine, bool]]:
    for node in nest.nodes:
        if isinstance(node, Load):
            yield node.array, node.address, bool(node.guard)
    for store in nest.stores:
        yield store.array, store.address, False
    if 0 not in nest.reduced:
        for fold in nest.reduces:
            yield fold.array, fold.address, False


def _width(nest: Nest, address: Affine, count: int) -> int | None:
    """Elements of one of `count` rows, where rows follow one another; None if points of a row are outside of it."""
    each = nest.domain[0] // count
    stride = address.coefficient(0)
    inner = address.offset + stride * (each - 1)
    for dim, factor in address.terms:
        if dim >= NODES or factor < 0:
            return None
        if dim:
            inner += factor * (nest.domain[dim] - 1)
    fits = stride > 0 and address.offset >= 0 and inner < stride * each
    return stride * each if fits else None
