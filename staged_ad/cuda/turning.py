"""A loop over lanes that runs forwards and keeps, and then backwards, as two loops over lanes.

What the first half keeps is then handed from one loop to the other, and can lie side by side (interleaving.py); inside
of one thread's loop it would lie in memory of the thread's own, far from what its neighbours read.

Invariant: results do not change, nor what is kept.
Start at ``cut_at_turns``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from staged_ad.control.regions import stacked_results
from staged_ad.control.scan import SCAN
from staged_ad.cuda.planner import is_small
from staged_ad.ir import Atom, Equation, Program, Var


def cut_at_turns(program: Program) -> Program:
    """`program` with its loops over lanes, and those of loops that the host runs, cut where they turn back."""
    equations: list[Equation] = []
    for equation in program.equations:
        if is_small(equation):
            equations += _halves(equation)
        else:
            equations.append(equation.with_programs(cut_at_turns))
    return Program(program.inputs, tuple(equations), program.outputs, program.name)


def _halves(loop: Equation) -> list[Equation]:
    """The loop, or the two that are as much."""
    params = loop.params
    if loop.primitive is not SCAN or params["carries"] or (params["length"] or 0) < 2:
        return [loop]
    body: Program = params["body"]
    cut = _turn(body.equations)
    made = {var for equation in body.equations[:cut] for var in equation.outputs}
    crossing = [var for var in dict.fromkeys(_read(body.equations[cut:])) if var in made]
    doubled = len(set(body.outputs)) < len(body.outputs)
    if not cut or doubled or any(var.type.ragged for var in crossing):
        return [loop]
    outside: dict[Atom, Atom] = dict(zip(body.inputs, loop.inputs, strict=True))
    results: dict[Atom, Var] = dict(zip(body.outputs, loop.outputs, strict=True))
    handed: dict[Atom, Var] = {var: results.get(var) or Var(var.type.stacked(params["length"])) for var in crossing}
    sooner: dict[Atom, Var] = {var: result for var, result in results.items() if var in made}
    later = {var: result for var, result in results.items() if var not in made}
    fixed = body.inputs[: params["consts"]]
    before = _over_lanes(loop, fixed, outside, body.equations[:cut], {**sooner, **handed})
    after = _over_lanes(loop, fixed, {**outside, **handed}, body.equations[cut:], later)
    return [before, *(_halves(after) if later else [])]


def _over_lanes(
    loop: Equation,
    fixed: Sequence[Var],
    outside: Mapping[Atom, Atom],
    equations: Sequence[Equation],
    results: Mapping[Atom, Var],
) -> Equation:
    """A loop like `loop` with other equations; `outside` has what each variable inside is an element of, or is."""
    outputs = tuple(results)
    read = {*_read(equations), *outputs}
    consts = [var for var in fixed if var in read]
    xs = [var for var in outside if isinstance(var, Var) and var in read and var not in fixed]
    body: Program = loop.params["body"]
    program = Program((*consts, *xs), tuple(equations), outputs, body.name)
    operands = tuple([outside[var] for var in program.inputs])
    params = {**loop.params, "body": program, "consts": len(consts)}
    return loop._replace(inputs=operands, params=params, outputs=tuple(results.values()))


def _turn(equations: Sequence[Equation]) -> int:
    """The number of the first loop that reads what another one has stacked; 0 where there is none."""
    stacks: set[Atom] = set()
    for number, equation in enumerate(equations):
        if equation.primitive is SCAN and not stacks.isdisjoint(equation.inputs):
            return number
        stacks.update(var for _, var in stacked_results(equation))
    return 0


def _read(equations: Sequence[Equation]) -> list[Atom]:
    return [atom for equation in equations for atom in equation.inputs]
