"""Schedule: how a nest runs: merged dimensions, order of loops, the vector dimension, chunks for threads.

Invariant: the schedule depends on the nest alone, never on the number of threads, so results do not either.
Start at ``schedule``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from staged_ad.ir.lowerings import ArgFold, Fold, Map
from staged_ad.lowering.indexing import NODES, Affine, Condition
from staged_ad.lowering.latency import registers
from staged_ad.lowering.regions import Apply, Constant, Guarded, Load, Nest, Node, OfIndex, Reduce, Times
from staged_ad.native import llvm

PARALLEL_NS = 60_000
"""Estimated time from which a nest is worth several threads; starting them takes about 60 us after a pause."""
CHUNK_NS = 25_000
MOST_CHUNKS = 64
LARGEST_SUM = 8192
"""Terms per partial sum along a reduced dimension: the error grows with the length of a chunk, not of the array."""
ROWS = 4
"""Sums along a dimension that are computed together."""
SHORT = 4
"""Vectors in a sum below which it is computed together with others whatever they share."""
BRIEF = 32
"""Terms of a sum below which adding up lanes counts."""
FEW_SUMS = 8
"""Registers that what is summed up may take."""
LIGHT = 16
"""Nodes in a body up to which it is repeated in the loop, for independent accumulators."""


@dataclass(slots=True)
class Schedule:
    """`loops` are dimensions of the nest, outermost first; `vector` is one of them or None.

    The dimension `chunked` is cut into `chunks` of `chunk` iterations. `copies` neighbours along the dimension `copied`
    are handled at once: vectors, or the rows of sums, so that they share what is common to rows.
    """

    nest: Nest
    loops: tuple[int, ...]
    vector: int | None
    lanes: int
    copies: int
    copied: int | None
    chunked: int | None
    chunks: int
    chunk: int
    parallel: bool

    @property
    def title(self) -> str:
        """What runs the loops, for those who read them; empty where it is one thread."""
        return ""

    @property
    def summed_lanes(self) -> int:
        """Lanes of what a reduction along the vector dimension sums up in: where they are many, one register each."""
        native = min(self.lanes, _native_lanes(self.nest))
        many = len(self.nest.reduces) * self.lanes > FEW_SUMS * native
        folds = all(isinstance(reduce.rule, Fold) for reduce in self.nest.reduces)
        return native if many and folds and self.vector in self.nest.reduced else self.lanes

    @property
    def partial(self) -> bool:
        """Whether chunks give partial sums that are added up afterwards."""
        return self.chunked is not None and self.chunked in self.nest.reduced


def schedule(nest: Nest) -> Schedule:
    plan = _unchunked(merged(nest))
    cost = cost_per_point(plan.nest) / min(plan.lanes, _native_lanes(plan.nest))
    plan.chunked, plan.chunks, plan.chunk, plan.parallel = _chunks(plan, cost)
    return plan


def by_rows(nest: Nest, count: int, block: int) -> Schedule:
    """A merged nest in chunks of `block` of the `count` rows that its first dimension is."""
    plan = _unchunked(nest)
    plan.chunked, plan.chunks, plan.chunk = 0, -(-count // block), block * (nest.domain[0] // count)
    if plan.copied == 0 != plan.vector:
        while plan.chunk % plan.copies or nest.domain[0] % plan.copies:  # rows of other blocks are out of reach
            plan.copies //= 2
    return plan


def _unchunked(nest: Nest) -> Schedule:
    native_lanes = 1 if len(ordered_dimensions(nest)) == len(nest.domain) else _native_lanes(nest)
    vector = vector_dimension(nest) if native_lanes > 1 else None
    if vector is None:
        native_lanes = 1
    else:  # no wider than the loop is long
        native_lanes = min(native_lanes, 1 << (nest.domain[vector] - 1).bit_length()) or 1
    varying = [vector in dims for dims in depending(nest.nodes)]
    lanes = native_lanes * registers(nest, vector, native_lanes, varying)
    loops = _order(nest, vector)
    return Schedule(nest, loops, vector, lanes, *_copies(nest, loops, vector, lanes), None, 1, 0, False)


# -- merging dimensions -------------------------------------------------------------------------------------------


def _affines(nest: Nest) -> Iterable[Affine]:
    for node in nest.nodes:
        match node:
            case Load():
                yield node.address
                yield from (affine for affine, _ in node.guard)
            case Guarded():
                yield from (affine for affine, _ in node.guard)
            case OfIndex():
                yield from node.index
            case _:
                pass
    yield from (store.address for store in nest.stores)
    for reduce in nest.reduces:
        yield reduce.address
        if reduce.position is not None:
            yield reduce.position


def merged(nest: Nest) -> Nest:
    """Neighbouring dimensions become one where every index runs through both as through one."""
    affines, ordered = set(_affines(nest)), ordered_dimensions(nest)
    domain, kinds = list(nest.domain), [(d in nest.reduced, d in ordered) for d in range(len(nest.domain))]
    groups = [[d] for d in range(len(domain))]
    k = 0
    while k + 1 < len(groups):
        first, second = groups[k][-1], groups[k + 1][0]
        n = domain[second]
        fits = all(a.coefficient(first) == a.coefficient(second) * n for a in affines)
        if fits and kinds[first] == kinds[second]:
            groups[k] += groups.pop(k + 1)
        else:
            k += 1
    if len(groups) == len(domain):
        return nest
    names: dict[int, int] = {group[-1]: k for k, group in enumerate(groups)}
    lengths = tuple(math.prod(domain[d] for d in group) for group in groups)
    kept, still = (frozenset(k for k, group in enumerate(groups) if kinds[group[0]][kind]) for kind in (0, 1))
    return _renamed(nest, lengths, kept, still, lambda a: _through(a, names))


def ordered_dimensions(nest: Nest) -> frozenset[int]:
    """Dimensions whose points must come one after another."""
    return frozenset(dim for store in nest.stores for dim in store.ordered)


def _through(affine: Affine, names: dict[int, int]) -> Affine:
    """The innermost dimension of each group keeps its coefficient, under the group's name."""
    terms = ((d if d >= NODES else names[d], c) for d, c in affine.terms if d >= NODES or d in names)
    return Affine(affine.offset, tuple(sorted(terms)))


def _renamed(
    nest: Nest,
    domain: tuple[int, ...],
    reduced: frozenset[int],
    ordered: frozenset[int],
    rename: Callable[[Affine], Affine],
) -> Nest:
    def guard(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
        return tuple((rename(affine), n) for affine, n in conditions)

    nodes: list[Any] = []
    for node in nest.nodes:
        match node:
            case Load():
                nodes.append(replace(node, address=rename(node.address), guard=guard(node.guard)))
            case Guarded():
                nodes.append(replace(node, guard=guard(node.guard)))
            case OfIndex():
                nodes.append(replace(node, index=tuple(map(rename, node.index))))
            case _:
                nodes.append(node)
    stores = [replace(s, address=rename(s.address), ordered=ordered if s.ordered else s.ordered) for s in nest.stores]
    reduces = [
        Reduce(r.node, r.array, rename(r.address), r.rule, None if r.position is None else rename(r.position))
        for r in nest.reduces
    ]
    return Nest(domain, reduced, nodes, stores, reduces)


# -- order and vectors --------------------------------------------------------------------------------------------


def _native_lanes(nest: Nest) -> int:
    """Elements in one register."""
    sizes = [node.dtype.itemsize for node in nest.nodes if node.dtype.kind != "b"]
    sizes += [8 for r in nest.reduces if isinstance(r.rule, ArgFold)]
    return max(1, min(16, llvm.simd_bytes() // max(sizes, default=4)))


def vector_dimension(nest: Nest) -> int | None:
    """The dimension along which most loads and stores are contiguous; long ones before short ones."""
    if not nest.domain:
        return None

    depends = depending(nest.nodes)

    def access(affine: Affine, dim: int) -> float:
        scattered = any(dim in depends[node] for node in affine.nodes)
        return _access(2 if scattered else affine.coefficient(dim))

    def score(dim: int) -> tuple[float, int]:
        total = 0.0
        for node in nest.nodes:
            if isinstance(node, Load):
                total += access(node.address, dim)
        total += 2 * sum(access(store.address, dim) for store in nest.stores)
        total += 0.5 * sum(access(reduce.address, dim) for reduce in nest.reduces)
        if nest.domain[dim] < 4:
            total -= 4.0
        if dim in nest.reduced and nest.domain[dim] < BRIEF:
            total -= len(nest.reduces)  # lanes are added up more often than vectors
        return total, dim

    return max((dim for dim in range(len(nest.domain)) if dim not in ordered_dimensions(nest)), key=score, default=None)


def depending(nodes: Sequence[Node]) -> list[frozenset[int]]:
    """The dimensions on which each node depends."""
    found: list[frozenset[int]] = []

    def of(affines: Iterable[Affine]) -> frozenset[int]:
        dims = {d for affine in affines for d, _ in affine.terms if d < NODES}
        return frozenset(dims.union(*(found[node] for affine in affines for node in affine.nodes)))

    for node in nodes:
        match node:
            case Load():
                found.append(of([node.address, *(affine for affine, _ in node.guard)]))
            case Guarded():
                found.append(found[node.operand] | of([affine for affine, _ in node.guard]))
            case Apply():
                found.append(frozenset[int]().union(*(found[k] for k in node.operands)))
            case Times():
                found.append(found[node.left] | found[node.right])
            case OfIndex():
                found.append(of(node.index))
            case Constant():
                found.append(frozenset())
    return found


def _access(coefficient: int) -> float:
    return {0: 0.1, 1: 1.0, -1: 0.6}.get(coefficient, -2.0)


def _order(nest: Nest, vector: int | None) -> tuple[int, ...]:
    """Kept dimensions outside, the vector dimension last among its kind."""
    kept = [d for d in range(len(nest.domain)) if d not in nest.reduced and d != vector]
    inner = [d for d in range(len(nest.domain)) if d in nest.reduced and d != vector]
    if vector is None:
        return (*kept, *inner)
    return (*kept, *inner, vector) if vector in nest.reduced else (*kept, vector, *inner)


def _copies(nest: Nest, loops: tuple[int, ...], vector: int | None, lanes: int) -> tuple[int, int | None]:
    """How many neighbours at once, and along which dimension: several for short bodies, so that latencies overlap."""
    if vector is None or len(nest.nodes) > LIGHT:
        return 1, vector
    guarded = any(isinstance(node, Load | Guarded) and node.guard for node in nest.nodes)
    if vector in nest.reduced and not nest.stores and not guarded and len(nest.reduced) < len(loops):
        row = loops[len(loops) - len(nest.reduced) - 1]
        shared = any(isinstance(node, Load) and not node.address.coefficient(row) for node in nest.nodes)
        if nest.domain[row] >= ROWS and (shared or nest.domain[vector] < SHORT * lanes):
            return ROWS, row
    wanted = 4 if nest.reduces else 2
    return max(1, min(wanted, -(-nest.domain[vector] // lanes))), vector


# -- chunks -------------------------------------------------------------------------------------------------------


def pieces(items: int, cost: float) -> int:
    """Into how many chunks `items` are cut that do not depend on each other and take `cost` nanoseconds each."""
    if items <= 1 or items * cost <= PARALLEL_NS:
        return 1
    return int(max(2, min(MOST_CHUNKS, items * cost / CHUNK_NS, items)))


def cost_per_point(nest: Nest) -> float:
    """Nanoseconds for one point of the domain in one lane, roughly."""
    total = 1.0
    for node in nest.nodes:
        if isinstance(node, Apply):
            lower = node.equation.primitive.lower
            total += 0.35 * (lower.cost if isinstance(lower, Map) else 1)
        else:
            total += 0.5
    return total + len(nest.stores) + len(nest.reduces)


def _chunked_dimension(nest: Nest, loops: tuple[int, ...]) -> int:
    """The first loop, unless it is short or sums are long: then the longest reduced dimension."""
    loops = tuple(dim for dim in loops if dim not in ordered_dimensions(nest))
    first = loops[0]
    longest = max(nest.reduced, key=lambda dim: nest.domain[dim], default=first)
    if any(isinstance(reduce.rule, ArgFold) for reduce in nest.reduces):
        return first  # positions have no partial results
    if nest.domain[longest] > 4 * LARGEST_SUM or nest.domain[first] < 8 < nest.domain[longest]:
        return longest
    return first


def _chunks(plan: Schedule, cost: float) -> tuple[int | None, int, int, bool]:
    """The dimension that is cut, into how many pieces of what length, and whether several threads are worth it."""
    nest, loops = plan.nest, plan.loops
    if not set(loops) - ordered_dimensions(nest) or 0 in nest.domain:
        return None, 1, 0, False
    dim = _chunked_dimension(nest, loops)
    length = nest.domain[dim]
    work = math.prod(nest.domain) * cost
    reducing = dim in nest.reduced
    positions = reducing and any(isinstance(reduce.rule, ArgFold) for reduce in nest.reduces)
    parallel = work > PARALLEL_NS and not positions
    wanted = 1.0
    if parallel:
        wanted = min(float(MOST_CHUNKS), work / CHUNK_NS)
    if reducing and not positions:
        wanted = max(wanted, length / LARGEST_SUM)
    wanted = min(wanted, length)
    if wanted <= 1:
        return None, 1, length, False
    chunk = math.ceil(length / wanted)
    step = (plan.lanes if dim == plan.vector else 1) * (plan.copies if dim == plan.copied else 1)
    chunk = -(-chunk // step) * step
    chunks = -(-length // chunk)
    return (dim if chunks > 1 else None), chunks, chunk, parallel and chunks > 1
