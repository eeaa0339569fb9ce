"""What the loops of all lanes keep for reverse mode, side by side: entry 0 of every lane, entry 1 of every lane, ...

Each thread runs the loop of its lane and stores an entry in each step. With the lanes side by side, the threads of a
warp store to neighbouring addresses, and read from such; one stack behind the other, each would have a line of the
cache of its own.

Invariant: only loops that know it read and write such an array.
Start at ``interleave``.
"""

from __future__ import annotations

from collections.abc import Iterator

from staged_ad.ir import Atom, Var
from staged_ad.lowering.blocks import Block, Step
from staged_ad.lowering.plan import LoopPlan
from staged_ad.lowering.regions import Opaque
from staged_ad.lowering.storage import nbytes


def interleave(block: Block) -> None:
    """Set the distances between entries of what a block's loops over lanes hand on to each other."""
    kept = {*block.outputs, *block.shared, *block.shared.values()}
    for writer in _over_lanes(block):
        for number, result in enumerate(writer.ys):
            inner = _writing(writer, number)
            readers = _reading(block, result, writer.length)
            if inner is None or readers is None or result in kept:
                continue
            plan, place = inner
            lanes, entry = writer.length or 0, nbytes(writer.y_types[number]) // (plan.length or 1)
            writer.distances[f"%y{number}"], plan.distances[place] = entry, lanes * entry
            for reader, name, loop, inside in readers:
                reader.distances[name], loop.distances[inside] = entry, lanes * entry


def _loops(block: Block) -> Iterator[tuple[Step, LoopPlan]]:
    for step in block.steps:
        if isinstance(step.region, Opaque) and isinstance(step.region.plan, LoopPlan):
            yield step, step.region.plan


def _over_lanes(block: Block) -> Iterator[LoopPlan]:
    for _, plan in _loops(block):
        if plan.length and plan.chunks == plan.length:
            yield plan


def _writing(lanes: LoopPlan, number: int) -> tuple[LoopPlan, str] | None:
    """The loop inside that alone makes a stacked result of each lane, and its name there."""
    body, var = lanes.body, lanes.body.outputs[number]
    if var in body.shared or var in body.shared.values() or body.outputs.count(var) > 1:
        return None
    if any(var in step.reads for step in body.steps):
        return None
    makers = [plan for step, plan in _loops(body) if var in step.writes]
    if len(makers) != 1 or not makers[0].length or makers[0].chunks > 1 or var not in makers[0].ys:
        return None
    return makers[0], f"%y{makers[0].ys.index(var)}"


def _reading(block: Block, array: Var, lanes: int | None) -> list[tuple[LoopPlan, str, LoopPlan, str]] | None:
    """For each loop over lanes that reads an array: its name there, and the loop inside that reads it, and how."""
    found = []
    for step in block.steps:
        if array not in step.reads:
            continue
        plan = step.region.plan if isinstance(step.region, Opaque) else None
        if not isinstance(plan, LoopPlan) or plan.length != lanes or plan.chunks != lanes:
            return None
        for number, (var, atom) in enumerate(plan.xs):
            if atom is array:
                inside = _inside(plan.body, var)
                if inside is None:
                    return None
                found.append((plan, f"%x{number}", *inside))
        if any(atom is array for _, atom in (*plan.consts, *plan.carry)):
            return None
    return found


def _inside(body: Block, array: Atom) -> tuple[LoopPlan, str] | None:
    """The one loop that reads an array of a lane, entry by entry."""
    steps = [step for step in body.steps if array in step.reads]
    plans = [(step, plan) for step, plan in _loops(body) if array in step.reads]
    if len(steps) != 1 or len(plans) != 1 or array in body.shared or array in body.outputs:
        return None
    _, plan = plans[0]
    operands = [atom for _, atom in (*plan.consts, *plan.carry, *plan.xs)]
    names = [f"%x{number}" for number, (_, atom) in enumerate(plan.xs) if atom is array]
    if not plan.length or plan.chunks > 1 or len(names) != 1 or operands.count(array) != 1:
        return None
    return plan, names[0]
