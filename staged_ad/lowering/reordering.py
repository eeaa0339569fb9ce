"""Reordering: small arrays are stored once more in the order in which a nest reads them.

The distances of n points to k centres, ``sum((x[:, None] - c) ** 2, axis=2)``, are sums of few terms, so vectors run
along the centres; of these the d coordinates lie together. A copy with the centres together costs k d steps of n k d.

Invariant: a copy is made right behind the last region that writes to the array.
Start at ``reordered``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from staged_ad.ir import Atom, Var
from staged_ad.lowering.indexing import Affine
from staged_ad.lowering.regions import Load, Nest, Region, Store
from staged_ad.lowering.schedule import merged, vector_dimension

LITTLE = 16
"""How often the points of a nest are more than those of a copy."""
FEW = 16
"""Terms of a sum below which vectors rather run along what is not summed."""
LEAST = 4
"""Iterations of a loop from which vectors may run along it."""

_Key = tuple[Atom, int, tuple[tuple[int, int], ...]]
"""An array, where it is begun, and the step and the length of each loop through it."""


def reordered(regions: Sequence[Region]) -> list[Region]:
    """`regions` with copies of arrays that nests read across their rows."""
    copies: dict[_Key, Var] = {}
    behind: dict[int, list[Region]] = {}  # the copies behind each region, those of inputs behind region -1
    result: list[Region] = []
    for region in regions:
        nest = merged(region) if isinstance(region, Nest) and 0 not in region.domain else None
        vector = None if nest is None else _wanted(nest)
        if nest is None or vector is None:
            result.append(region)
            continue
        nodes = list(nest.nodes)
        for k, node in enumerate(nodes):
            if not isinstance(node, Load) or _in_rows(node.address, vector):
                continue
            dims = _dimensions(node.address, vector)
            key = node.array, node.address.offset, tuple((node.address.coefficient(d), nest.domain[d]) for d in dims)
            lengths = tuple(nest.domain[d] for d in dims)
            if key not in copies:
                copies[key] = Var(node.array.type.with_shape(lengths))
                place = max((n for n, other in enumerate(regions) if node.array in other.writes), default=-1)
                behind.setdefault(place, []).append(_copy(node, dims, copies[key]))
            steps = {d: math.prod(lengths[n + 1 :]) for n, d in enumerate(dims)}
            nodes[k] = replace(node, array=copies[key], address=Affine(0, tuple(sorted(steps.items()))))
        result.append(replace(nest, nodes=nodes))
    return [*behind.get(-1, []), *(r for n, region in enumerate(result) for r in (region, *behind.get(n, [])))]


def _wanted(nest: Nest) -> int | None:
    """The dimension along which vectors should run, if copies of little arrays are worth it."""
    found = vector_dimension(nest)
    if found is not None and found in nest.reduced:
        written = [store.address for store in nest.stores] + [reduce.address for reduce in nest.reduces]
        few = math.prod(nest.domain[d] for d in nest.reduced) < FEW
        kept = (d for d in range(len(nest.domain)) if all(address.coefficient(d) == 1 for address in written))
        found = max(kept, default=None) if few else None
    if found is None or found in nest.reduced or nest.domain[found] < LEAST:
        return None
    across = [node for node in nest.nodes if isinstance(node, Load) and not _in_rows(node.address, found)]
    return found if across and all(_is_little(nest, node, found) for node in across) else None


def _in_rows(address: Affine, vector: int) -> bool:
    """Whether neighbours along the vector are neighbours in memory, or one element."""
    return not address.nodes and address.coefficient(vector) in (-1, 0, 1)


def _is_little(nest: Nest, load: Load, vector: int) -> bool:
    if load.address.nodes or load.guard or load.array.type.ragged:
        return False
    points = math.prod(nest.domain[d] for d in _dimensions(load.address, vector))
    return points * LITTLE <= math.prod(nest.domain)


def _dimensions(address: Affine, vector: int) -> list[int]:
    """The dimensions of a copy: those that the address depends on, the vector last."""
    return [*(d for d, _ in address.terms if d != vector), vector]


def _copy(load: Load, dims: Sequence[int], target: Var) -> Nest:
    shape = target.type.shape
    names = {d: n for n, d in enumerate(dims)}
    source = Affine(load.address.offset, tuple(sorted((names[d], c) for d, c in load.address.terms)))
    place = Affine(0, tuple((n, math.prod(shape[n + 1 :])) for n in range(len(shape))))
    return Nest(shape, frozenset(), [replace(load, address=source)], [Store(0, target, place)])
