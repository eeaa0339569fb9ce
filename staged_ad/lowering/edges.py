"""Edges of stencils: where the guards of padding hold in all lanes, a body without them serves.

Invariant: where `inside` says so, every guard that `guards` gave holds, and the iteration is whole.
Start at ``guards``.
"""

from __future__ import annotations

from collections.abc import Sequence

from staged_ad.ir.types import INT64
from staged_ad.lowering.code import Code
from staged_ad.lowering.indexing import Affine, Condition
from staged_ad.lowering.memory import Memory
from staged_ad.lowering.regions import Guarded, Load, Nest
from staged_ad.lowering.schedule import Schedule
from staged_ad.lowering.values import Value

LONGEST = 200
"""Nodes up to which a body with guards is also written without them."""
FIRST = 4
"""Iterations of a loop of which one at least must be far from its edges."""
FEW = 4
"""Iterations up to which a loop asks anew in each, and LLVM makes straight code of it."""


def guards(schedule: Schedule, nest: Nest) -> set[Condition]:
    """The guards along the vector dimension, if it is the innermost one and most iterations are far from its edges."""
    vector = schedule.vector
    if vector is None or schedule.loops[-1] != vector or len(nest.nodes) > LONGEST:
        return set()
    found = {c for node in nest.nodes if isinstance(node, Load | Guarded) for c in node.guard}
    if any(c[0].nodes for c in found):
        return set()
    found = {c for c in found if c[0].coefficient(vector)}
    step = schedule.lanes * schedule.copies if schedule.copied == vector else schedule.lanes
    starts = range(0, nest.domain[vector] - step + 1, step)[:FIRST]
    return found if any(_holds(found, vector, at, at + step - 1) for at in starts) else set()


def _holds(found: set[Condition], vector: int, first: int, last: int) -> bool:
    """Whether the guards hold from one index to another, as far as the vector dimension decides it."""
    alone = [(affine, n) for affine, n in found if len(affine.terms) == 1]
    ends = [(affine.offset + affine.coefficient(vector) * x, n) for affine, n in alone for x in (first, last)]
    return all(0 <= index < n for index, n in ends)


def inside(code: Code, memory: Memory, schedule: Schedule, end: Value, found: set[Condition]) -> str:
    """A register: whether the guards hold in all lanes of all copies, and all of these exist."""
    assert schedule.vector is not None
    reach = schedule.lanes * schedule.copies - 1
    holds = code.compare("lt", memory.scalar(Affine(reach, ((schedule.vector, 1),))), end)
    for affine, n in sorted(found, key=str):
        span = affine.coefficient(schedule.vector) * reach
        low, high = affine + min(span, 0), affine + max(span, 0)
        holds = code.and_(holds, code.compare("ge", memory.scalar(low), code.constant(0, INT64)))
        holds = code.and_(holds, code.compare("lt", memory.scalar(high), code.constant(n, INT64)))
    return holds.name


def loop(
    k: int,
    label: str,
    ends: tuple[str, str, int],
    inside: str,
    lost: str,
    before: Sequence[str],
    plain: Sequence[str],
    commit: Sequence[str],
    careful: Sequence[str],
) -> list[str]:
    """Lines of an innermost loop, after the block `label`: an iteration far from the edges is followed by the next.

    `before` finds out whether an iteration is `inside`; then `plain` and `commit` do it, but `careful` where `lost`,
    if given, is true, as for iterations at the edges. `ends` are the first index, the last one and the step.
    """
    start, end, step = ends
    return [
        f"  br label %head{k}",
        f"head{k}:",
        f"  %i{k} = phi i64 [ {start}, %{label} ], [ %far{k}, %done{k} ], [ %next{k}, %latch{k} ]",
        *before,
        f"  br i1 {inside}, label %plain, label %edge",
        "plain:",
        *plain,
        f"  br i1 {lost}, label %careful, label %commit, !prof !0" if lost else "  br label %commit",
        "commit:",
        *commit,
        f"  br label %done{k}",
        f"done{k}:",
        f"  %far{k} = add nsw i64 %i{k}, {step}",
        f"  br label %head{k}",
        "edge:",
        f"  %go{k} = icmp slt i64 %i{k}, {end}",
        f"  br i1 %go{k}, label %careful, label %exit{k}",
        "careful:",
        *careful,
        f"  br label %latch{k}",
        f"latch{k}:",
        f"  %next{k} = add nsw i64 %i{k}, {step}",
        f"  br label %head{k}",
        f"exit{k}:",
    ]
