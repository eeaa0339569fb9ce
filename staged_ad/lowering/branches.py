"""Branches: one of several blocks runs; its results are written where those of the switch end up.

Invariant: no instruction of a branch that is not chosen is executed.
Start at ``branch_text``.
"""

from __future__ import annotations

from staged_ad.lowering.calls import ARENA, STATUS, Calls, Functions, RegionText, Resolve
from staged_ad.lowering.nest import REGION
from staged_ad.lowering.plan import BranchPlan
from staged_ad.lowering.regions import Opaque


def branch_text(region: Opaque, resolve: Resolve, functions: Functions) -> RegionText:
    """The function of a switch."""
    plan, equation = region.plan, region.equation
    assert isinstance(plan, BranchPlan)
    index, operands = equation.inputs[0], equation.inputs[1:]
    names = {"%index.at": resolve(index)}
    names |= {f"%lit{k}": resolve(literal) for k, literal in enumerate(plan.literals)}
    names |= {f"%operand{k}": resolve(atom) for k, atom in enumerate(operands)}
    names |= {f"%result{k}": resolve(var) for k, var in enumerate(equation.outputs)}
    if region.scratch is not None:
        names["%work"] = resolve(region.scratch)
    calls = Calls(functions, nested=True)
    last = len(region.blocks) - 1
    body = ["  %index = load i64, ptr %index.at"]
    body += [f"  %low = icmp slt i64 %index, {last}", f"  %capped = select i1 %low, i64 %index, i64 {last}"]
    cases = " ".join(f"i64 {k}, label %branch{k}" for k in range(1, last + 1))
    body.append(f"  switch i64 %capped, label %branch0 [ {cases} ]")
    for k, block in enumerate(region.blocks):
        body.append(f"branch{k}:")
        for step in block.steps:
            calls.add(step, plan.scope)
        body += [*calls.lines, "  ret void"]
        calls.lines.clear()
    if calls.may_fail:
        names["%status"] = STATUS
        body += ["fail:", "  ret void"]
    if ARENA.base in calls.bases:
        names["%arena"] = ARENA
    tables = []
    for k, name in enumerate(names):
        tables.append(f"  %slot{k} = getelementptr ptr, ptr %arrays, i64 {k}")
        tables.append(f"  {name} = load ptr, ptr %slot{k}, align 8")
    lines = [f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{", "entry:"]
    lines += [*plan.scope.allocas, *calls.allocas, *calls.table, *tables, *body, "}"]
    return RegionText("\n".join(lines), list(names.values()), may_fail=calls.may_fail)
