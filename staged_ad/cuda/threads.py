"""Threads: which thread of a kernel computes which points of a nest.

Points that do not depend on each other are spread over the threads, neighbours in memory over neighbours in a warp. A
long sum is taken by a team of threads, which take turns at its terms; a very long one by several teams, whose partial
results a further nest adds up.

Invariant: the schedule depends on the nest and the geometry alone, so results are the same in every run.
Start at ``spread``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from staged_ad.ir import ArrayType, Var
from staged_ad.ir.lowerings import ArgFold
from staged_ad.lowering.blocks import Step, joining
from staged_ad.lowering.regions import Constant, Load, Nest
from staged_ad.lowering.schedule import Schedule, merged, ordered_dimensions, vector_dimension

WARP = 32
TERMS = 8
"""Terms of a sum that a thread takes at least, before a further one helps it."""
MEMORY_BYTES = 16
"""Bytes that a thread loads and stores at once, where they lie side by side."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """`threads` in a block; `full` of them fill the device; `team` may share a sum: up to a warp, or a block."""

    threads: int = 256
    full: int = 1 << 17
    team: int = 256


@dataclass(slots=True)
class Threads(Schedule):
    """A nest whose dimensions `spread` are shared out to threads, the last to neighbours; each runs through `loops`.

    Where the reduced dimension `split` is given, it is the last of `loops`, and `parts` teams of `team` threads share
    each sum.
    """

    spread: tuple[int, ...] = ()
    split: int | None = None
    team: int = 1
    parts: int = 1

    @property
    def partial(self) -> bool:
        return self.parts > 1

    @property
    def points(self) -> int:
        """Points that are shared out; a vector counts as one."""
        return math.prod(self.extent(dim) for dim in self.spread)

    @property
    def total(self) -> int:
        """Threads."""
        return self.points * self.parts * self.team

    def extent(self, dim: int) -> int:
        return self.nest.domain[dim] // (self.lanes if dim == self.vector else 1)


def spread(nest: Nest, geometry: Geometry) -> list[Step]:
    """What runs for a nest: itself, and where sums are cut into parts, the nests that add these up."""
    plan = _threads(merged(nest), geometry)
    step = Step(plan.nest, [plan])
    if not plan.partial:
        return [step]
    steps = [step]
    for fold in plan.nest.reduces:
        partial = Var(ArrayType((plan.parts, fold.array.type.size), fold.array.type.dtype))
        step.partials[fold.array] = partial
        steps += spread(joining(fold, partial), geometry)
    return steps


def alone(nest: Nest) -> list[Step]:
    """The nest in one thread, as a loop needs it that one thread runs."""
    nest = merged(nest)
    kept = tuple(dim for dim in range(len(nest.domain)) if dim not in nest.reduced)
    loops = (*kept, *sorted(nest.reduced))
    return [Step(nest, [Threads(nest, loops, None, 1, 1, None, None, 1, 0, False)])]


def _threads(nest: Nest, geometry: Geometry) -> Threads:
    ordered = ordered_dimensions(nest)
    near = vector_dimension(nest)
    free = [dim for dim in range(len(nest.domain)) if dim not in nest.reduced | ordered]
    if near in free:
        free.remove(near)
        free.append(near)
    inner = [dim for dim in range(len(nest.domain)) if dim in nest.reduced]
    split, team, parts = _teams(nest, near, math.prod(nest.domain[dim] for dim in free), geometry)
    if split is not None:
        inner.remove(split)
        inner.append(split)
    loops = (*sorted(ordered - nest.reduced), *inner)
    lanes = 1 if near is None or near in ordered else _lanes(nest, near, geometry)
    vector = near if lanes > 1 else None
    plan = Threads(nest, loops, vector, lanes, 1, vector, None, 1, 0, False)
    plan.spread, plan.split, plan.team, plan.parts = tuple(free), split, team, parts
    return plan


def _teams(nest: Nest, near: int | None, points: int, geometry: Geometry) -> tuple[int | None, int, int]:
    """The reduced dimension that threads share, in teams of how many, and how many teams."""
    if not nest.reduced or 0 in nest.domain:
        return None, 1, 1
    whole = any(isinstance(fold.rule, ArgFold) for fold in nest.reduces) or bool(nest.stores)
    split = near if near in nest.reduced else max(nest.reduced, key=lambda dim: nest.domain[dim])
    terms = math.prod(nest.domain[dim] for dim in nest.reduced)
    if points >= geometry.full or (near not in nest.reduced and terms <= WARP):
        limit = WARP if near in nest.reduced and terms >= WARP else 1  # a warp reads a row side by side
    else:
        limit = geometry.team if near in nest.reduced else 1
    team = 1
    while team < min(limit, geometry.team, WARP) and 2 * team <= nest.domain[split]:
        team *= 2
    if team == WARP and limit > WARP and terms >= geometry.team * TERMS and nest.domain[split] >= geometry.team:
        team = geometry.team
    parts = 1
    if not whole:
        missing = geometry.full // max(1, points * team)
        parts = max(1, min(missing, nest.domain[split] // team, terms // (team * TERMS)))
    return (split if team * parts > 1 else None), team, parts


def _lanes(nest: Nest, near: int, geometry: Geometry) -> int:
    """Elements that a thread handles at once: as many as it loads at once, where all of them lie side by side."""
    dtypes = [node.dtype for node in nest.nodes if not isinstance(node, Constant) and node.dtype.kind != "b"]
    size = max((dtype.itemsize for dtype in dtypes), default=MEMORY_BYTES)
    lanes = MEMORY_BYTES // size
    scattered = any(isinstance(node, Load) and (node.address.nodes or node.guard) for node in nest.nodes)
    folded = any(isinstance(fold.rule, ArgFold) for fold in nest.reduces)
    if scattered or folded or math.prod(nest.domain) < geometry.full * lanes:
        return 1
    affines = [node.address for node in nest.nodes if isinstance(node, Load)]
    affines += [store.address for store in nest.stores]
    steps = {affine.coefficient(near) for affine in affines}
    while lanes > 1 and (nest.domain[near] % lanes or steps - {0, 1} or not _aligned(nest, near, lanes)):
        lanes //= 2
    return lanes


def _aligned(nest: Nest, near: int, lanes: int) -> bool:
    """Whether every vector begins at a multiple of its length."""
    affines = [node.address for node in nest.nodes if isinstance(node, Load)]
    affines += [store.address for store in nest.stores]
    moving = [affine for affine in affines if affine.coefficient(near)]
    return not any(affine.offset % lanes or any(c % lanes for d, c in affine.terms if d != near) for affine in moving)
