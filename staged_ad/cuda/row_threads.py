"""Row-local nests on the device: a team of threads runs all of them for its row, one after another.

A softmax is four nests; what one of them stores for a row, the next finds in the nearest cache, and the memory of the
device is read once.

Invariant: a nest reads of what the others write the row of its own team only.
Start at ``row_local``; ``rows_text`` writes the function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from staged_ad.cuda.geometry import Geometry
from staged_ad.cuda.threads import WARP, Threads
from staged_ad.cuda.writer import ThreadWriter
from staged_ad.ir import Atom
from staged_ad.lowering.blocks import Step
from staged_ad.lowering.calls import Functions, RegionText, Resolve
from staged_ad.lowering.nest import REGION
from staged_ad.lowering.regions import Nest, Region, Rows
from staged_ad.lowering.rows import grouped, together
from staged_ad.lowering.schedule import ordered_dimensions, vector_dimension
from staged_ad.lowering.storage import Place

NEAR = 1 << 16
"""Bytes of a row up to which it stays in the nearest cache."""
ALONE = 64
"""Elements that each thread of a team may have where rows are too few to fill the device."""
FEW = 8
"""Elements of a row from which several threads share it."""


def row_local(regions: Sequence[Region], outputs: Sequence[Atom], geometry: Geometry) -> list[Region]:
    """`regions` with nests as one where they hand rows on to each other."""

    def closed(group: Sequence[Nest], readers: Counter[Atom]) -> list[Region]:
        rows = together(group, 0) if len(group) > 1 else None
        if rows is None or sum(rows.widths.values()) > NEAR:
            return list(group)
        written = {var for nest in group for var in nest.writes}
        handed = any(atom in written for nest in group for atom in nest.reads)
        team = _team(rows, geometry)
        idle = rows.count * team < geometry.full // 4 and _longest(rows) > ALONE * team
        return list(group) if not handed or idle or any(map(ordered_dimensions, group)) else [rows]

    return grouped(regions, outputs, closed, 0, sums=False)


def _longest(rows: Rows) -> int:
    """Elements in a row of the array that has most."""
    return max(width // array.type.dtype.itemsize for array, width in rows.widths.items())


def _team(rows: Rows, geometry: Geometry) -> int:
    """The threads of a row: one for a number or few, a warp for a short row, a block for a long one."""
    longest = _longest(rows)
    if longest < FEW:
        return 1
    return geometry.team if longest >= 4 * geometry.team else min(WARP, geometry.team)


def row_step(rows: Rows, geometry: Geometry) -> Step:
    """How the nests run."""
    team = _team(rows, geometry)
    return Step(rows, [_threads(nest, nest.domain[0] // rows.count, team) for nest in rows.nests])


def _threads(nest: Nest, each: int, team: int) -> Threads:
    """A team runs `each` iterations of the first dimension."""
    kept = [dim for dim in range(len(nest.domain)) if dim not in nest.reduced and (dim or each > 1)]
    near = vector_dimension(nest)
    inside = {*kept, *nest.reduced}
    split = near if near in inside else max(inside, key=lambda dim: nest.domain[dim], default=None)
    inner = sorted(nest.reduced, key=lambda dim: (dim == split, dim))
    plan = Threads(nest, (*kept, *inner), None, 1, 1, None, None, 1, 0, False)
    plan.spread, plan.split, plan.team, plan.each = (0,), split, team, each
    return plan


def rows_text(step: Step, region: Rows, resolve: Resolve, functions: Functions) -> RegionText:
    """The function of one thread of a team: its part of each nest; between them the team meets."""
    places: dict[Place, int] = {}
    allocas: list[str] = []
    lines: list[str] = []
    for number, plan in enumerate(step.schedules):
        assert isinstance(plan, Threads)
        writer = ThreadWriter(plan, _Resolved(resolve), functions.externals, step.partials)
        text = writer.text().replace(") nounwind {", ") alwaysinline nounwind {", 1)
        name = functions.named(text)
        allocas.append(f"  %table{number} = alloca [{max(1, len(writer.places))} x ptr], align 64")
        for k, place in enumerate(writer.places):
            slot = places.setdefault(place, len(places))
            lines += [
                f"  %from{number}.{k} = getelementptr ptr, ptr %arrays, i64 {slot}",
                f"  %p{number}.{k} = load ptr, ptr %from{number}.{k}, align 8",
                f"  %to{number}.{k} = getelementptr ptr, ptr %table{number}, i64 {k}",
                f"  store ptr %p{number}.{k}, ptr %to{number}.{k}, align 8",
            ]
        lines.append(f"  call void @{name}(i64 %chunk, ptr %table{number})")
        if plan.team > 1:
            lines.append(f"  call void @exchange.{'barrier' if plan.team > WARP else 'warp'}()")
    head = f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{"
    total = step.schedules[0].total  # type: ignore[attr-defined]  # all of them are Threads
    return RegionText("\n".join([head, "entry:", *allocas, *lines, "  ret void", "}"]), list(places), total)


@dataclass(frozen=True, slots=True)
class _Resolved:
    """Places by the function that finds them."""

    place: Resolve
