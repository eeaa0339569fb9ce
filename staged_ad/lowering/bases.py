"""Addresses relative to the first element that a nest uses, so that the steps of an unrolled loop have equal text.

Invariant: a guarded load keeps its address: where its guard fails, it reads element 0.
Start at ``rebased``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from staged_ad.ir import Atom
from staged_ad.lowering.indexing import Affine
from staged_ad.lowering.regions import Load, Nest


def rebased(nest: Nest, fixed: frozenset[Atom]) -> tuple[Nest, dict[Atom, int]]:
    """The nest with arrays that begin later, and by how many elements; arrays in `fixed` stay."""
    lowest: dict[Atom, int] = {}
    for array, address, guarded in _uses(nest):
        stays = guarded or array in fixed or array.type.ragged
        # pairs of elements, which `alternating` looks for, stay pairs
        offset = address.offset if not nest.domain else address.offset - address.offset % 2
        lowest[array] = min(lowest.get(array, offset), offset) if not stays else -1
    first = {array: offset for array, offset in lowest.items() if offset > 0}
    if not first:
        return nest, {}
    nodes = [
        replace(node, address=node.address - first.get(node.array, 0)) if isinstance(node, Load) else node
        for node in nest.nodes
    ]
    stores = [replace(store, address=store.address - first.get(store.array, 0)) for store in nest.stores]
    reduces = [replace(fold, address=fold.address - first.get(fold.array, 0)) for fold in nest.reduces]
    return replace(nest, nodes=nodes, stores=stores, reduces=reduces), first


def _uses(nest: Nest) -> Iterator[tuple[Atom, Affine, bool]]:
    """Each array and address, and whether a guard says if it is there."""
    for node in nest.nodes:
        if isinstance(node, Load):
            yield node.array, node.address, bool(node.guard)
    for store in nest.stores:
        yield store.array, store.address, False
    for fold in nest.reduces:
        yield fold.array, fold.address, False
