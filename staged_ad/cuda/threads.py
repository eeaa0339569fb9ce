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

from staged_ad.cuda.geometry import Geometry
from staged_ad.ir import ArrayType, Var
from staged_ad.ir.lowerings import ArgFold
from staged_ad.ir.types import FLOAT16
from staged_ad.lowering.blocks import Step, joining
from staged_ad.lowering.regions import Constant, Load, Nest, Store
from staged_ad.lowering.schedule import Schedule, merged, ordered_dimensions, vector_dimension
from staged_ad.lowering.storage import ALIGNMENT, nbytes

WARP = 32
TERMS = 8
"""Terms of a sum that a thread takes at least, before a further one helps it."""
WORTH = 8
"""Teams of a sum from which a further kernel for their results pays."""
MEMORY_BYTES = 16
"""Bytes that a thread loads and stores at once, where they lie side by side."""


@dataclass(slots=True)
class Threads(Schedule):
    """A nest whose dimensions `spread` are shared out to threads, the last to neighbours; each runs through `loops`.

    Where `split`, one of `loops`, is given, `parts` teams of `team` threads take turns at its iterations; a reduced one
    is the last of `loops`. Where `cut` is given too, another reduced dimension, each part has `each` of its iterations
    instead. A dimension of both `spread` and `loops` is shared out by blocks of `each` iterations.
    """

    spread: tuple[int, ...] = ()
    split: int | None = None
    team: int = 1
    cut: int | None = None
    parts: int = 1
    each: int = 1

    @property
    def title(self) -> str:
        if self.total == 1:
            return ""
        dims = ", ".join(f"i{dim} < {self.extent(dim)}" for dim in self.spread)
        teams = f" in teams of {self.team}" if self.team > 1 else ""
        shared = f", {self.parts} for each sum" if self.partial else ""
        return f"{self.total} threads{teams}{shared}{f' over {dims}' if dims else ''}"

    @property
    def summed_lanes(self) -> int:
        return self.lanes

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
        at_once = self.each if dim in self.loops else self.lanes if dim == self.vector else 1
        return self.nest.domain[dim] // at_once


def spread(nest: Nest, geometry: Geometry, inside: bool = False) -> list[Step]:
    """What runs for a nest: itself, and where sums are cut into parts, the nests that add these up.

    `inside` of a loop an array may begin anywhere: it may be an entry of a stack, or lie in a slot.
    """
    plan = _threads(merged(nest), geometry, inside)
    step = Step(plan.nest, [plan])
    if not plan.partial:
        return [step]
    steps = [step]
    for fold in plan.nest.reduces:
        partial = Var(ArrayType((plan.parts, fold.array.type.size), fold.array.type.dtype))
        step.partials[fold.array] = partial
        steps += spread(joining(fold, partial), geometry, inside)
    return steps


def alone(nest: Nest) -> list[Step]:
    """The nest in one thread, as a loop needs it that one thread runs."""
    nest = merged(nest)
    kept = tuple(dim for dim in range(len(nest.domain)) if dim not in nest.reduced)
    loops = (*kept, *sorted(nest.reduced))
    return [Step(nest, [Threads(nest, loops, None, 1, 1, None, None, 1, 0, False)])]


def _threads(nest: Nest, geometry: Geometry, inside: bool) -> Threads:
    ordered = ordered_dimensions(nest)
    near = vector_dimension(nest)
    free = [dim for dim in range(len(nest.domain)) if dim not in nest.reduced | ordered]
    if near in free:
        free.remove(near)
        free.append(near)
    inner = [dim for dim in range(len(nest.domain)) if dim in nest.reduced]
    points = math.prod(nest.domain[dim] for dim in free)
    split, team = _team(nest, near, points, geometry)
    cut, parts, each = _parts(nest, split, team, points, geometry)
    if team * parts == 1:
        split = None
    if split is not None:
        inner.remove(split)
        inner.append(split)
    loops = (*sorted(ordered - nest.reduced), *inner)
    lanes = 1 if near is None or near in ordered else _lanes(nest, near, geometry, inside)
    vector = near if lanes > 1 else None
    plan = Threads(nest, loops, vector, lanes, 1, vector, None, 1, 0, False)
    plan.spread, plan.split, plan.team = tuple(free), split, team
    plan.cut, plan.parts, plan.each = cut, parts, each
    return plan


def _team(nest: Nest, near: int | None, points: int, geometry: Geometry) -> tuple[int | None, int]:
    """The reduced dimension that threads share, and how many take turns at it."""
    if not nest.reduced or 0 in nest.domain:
        return None, 1
    if near not in nest.reduced:
        return max(nest.reduced, key=lambda dim: nest.domain[dim]), 1
    terms = math.prod(nest.domain[dim] for dim in nest.reduced)
    most = geometry.team
    if points >= geometry.full:
        most = WARP if terms >= WARP else 1  # a warp reads a row side by side
    team = 1
    while team < min(most, geometry.team, WARP) and 2 * team <= nest.domain[near]:
        team *= 2
    if team == WARP and most > WARP and nest.domain[near] >= 2 * geometry.team:
        team = geometry.team
    return near, team


def _parts(nest: Nest, split: int | None, team: int, points: int, geometry: Geometry) -> tuple[int | None, int, int]:
    """How many teams share a sum, and the dimension that is cut for them into pieces of what length."""
    if split is None or any(isinstance(fold.rule, ArgFold) for fold in nest.reduces):
        return None, 1, 1  # positions have no partial results
    terms = math.prod(nest.domain[dim] for dim in nest.reduced)
    wanted = min(geometry.full // max(1, points * team), terms // (team * TERMS))
    if wanted < WORTH:
        return None, 1, 1
    others = nest.reduced - {split}
    cut = max(others, key=lambda dim: nest.domain[dim], default=split)
    if cut == split or nest.domain[cut] < min(wanted, nest.domain[split] // team):
        parts = min(wanted, nest.domain[split] // team)
        return (None, parts, 1) if parts >= WORTH else (None, 1, 1)
    each = -(-nest.domain[cut] // wanted)
    parts = -(-nest.domain[cut] // each)
    return (cut, parts, each) if parts >= WORTH else (None, 1, 1)


def _lanes(nest: Nest, near: int, geometry: Geometry, inside: bool) -> int:
    """Elements that a thread handles at once: as many as it loads at once, where all of them lie side by side."""
    dtypes = [node.dtype for node in nest.nodes if not isinstance(node, Constant) and node.dtype.kind != "b"]
    if FLOAT16 in dtypes:  # the float32 between them is not in memory
        moved = [node.dtype for node in nest.nodes if isinstance(node, Load)]
        dtypes = [*moved, *[nest.nodes[store.node].dtype for store in nest.stores]]
    size = max((dtype.itemsize for dtype in dtypes), default=MEMORY_BYTES)
    lanes = MEMORY_BYTES // size
    scattered = any(isinstance(node, Load) and (node.address.nodes or node.guard) for node in nest.nodes)
    folded = any(isinstance(fold.rule, ArgFold) for fold in nest.reduces)
    if scattered or folded or math.prod(nest.domain) < geometry.full * lanes:
        return 1
    affines = [node.address for node in nest.nodes if isinstance(node, Load)]
    affines += [store.address for store in nest.stores]
    steps = {affine.coefficient(near) for affine in affines}
    while lanes > 1 and (nest.domain[near] % lanes or steps - {0, 1} or not _aligned(nest, near, lanes, inside)):
        lanes //= 2
    return lanes


def _aligned(nest: Nest, near: int, lanes: int, inside: bool) -> bool:
    """Whether every vector begins at a multiple of its length."""
    moving = [
        (access.array, access.address)
        for access in (*nest.nodes, *nest.stores)
        if isinstance(access, Load | Store) and access.address.coefficient(near)
    ]
    if inside and not all(_begins_well(array.type) for array, _ in moving):
        return False
    return not any(at.offset % lanes or any(c % lanes for d, c in at.terms if d != near) for _, at in moving)


def _begins_well(type: ArrayType) -> bool:
    """Whether one after the other of such arrays, or one between others in a slot, begins where threads can load."""
    return nbytes(type) % MEMORY_BYTES == 0 and nbytes(type) >= ALIGNMENT
