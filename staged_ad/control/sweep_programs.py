"""The programs of a sweep: advance, tape and adjoint, from the two scans of the plain reverse mode.

The first of these two runs the known half of the body and stacks residuals, the second one, turned around, reads them:
its body is the adjoint of an iteration. A sweep runs both bodies in another order.

Invariant: a residual means the same in both bodies.
Start at ``backward_program``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.control.checkpoint import without_unused
from staged_ad.control.layout import chosen, groups, spread
from staged_ad.control.scan import SCAN, plain_split
from staged_ad.control.sweep_plan import Keeping, keeping, saves, table_literal
from staged_ad.control.sweep_run import RUN_BACKWARD, RUN_FORWARD, cache_type
from staged_ad.ir import ArrayType, Atom, Equation, Linear, Program, Var
from staged_ad.ir.types import INT64
from staged_ad.primitives.makers import instantiate
from staged_ad.tracing import Tracer, building
from staged_ad.tracing.trace import inline

_COUNT = ArrayType((), INT64)


def forward_program(params: dict[str, Any], plan: Keeping, cond: Program | None = None) -> Program:
    """``known -> (carry, count, ys, cache)``; with `cond`, its consts come first among the operands."""
    body, length = plan.body, params["length"]
    outputs = body.outputs[: len(body.outputs) - params["residuals"]]
    advance = without_unused(Program(body.inputs, body.equations, outputs, body.name))
    written = tuple([k for k, flag in enumerate(plan.after) if not flag])
    tape = None
    if length is not None:
        sets = tuple([plan.kept[k] for k in written])
        tape = without_unused(Program(body.inputs, body.equations, (*outputs, *sets), f"tape_{body.name}"))
    parts = groups(body.input_types, 0, params["consts"], params["carries"])
    tests = [] if cond is None else cond.input_types[: len(cond.inputs) - params["carries"]]
    trips = [_COUNT] if length is None and cond is None else []
    types = [*trips, *tests, *parts.consts, *parts.carry, *(type.stacked(length) for type in parts.xs)]
    inputs = tuple([Var(type) for type in types])
    table = saves(plan.slots) if plan.table is None else plan.table[: plan.first]
    run = {
        "advance": advance,
        "tape": tape,
        "cond": cond,
        "length": length,
        "reverse": params["reverse"],
        "sizes": (len(tests), params["consts"], 0 if tape is None else params["consts"], params["carries"]),
        "state": plan.state,
        "written": written,
        "layout": plan.layout,
    }
    first = len(trips) + len(tests)
    again = inputs[first : first + params["consts"]] if tape is not None else ()
    second = first + params["consts"]
    operands: tuple[Atom, ...] = (*inputs[:second], *again, *inputs[second:], table_literal(table))
    results = tuple([Var(type) for type in RUN_FORWARD.abstract_eval(*[atom.type for atom in operands], **run)])
    return Program(inputs, (Equation(RUN_FORWARD, operands, run, results),), results, "sweep_forward")


def backward_program(scan: Equation, linear: Sequence[bool], given: Sequence[bool]) -> Program:
    """``(cache, known operands, cotangents) -> cotangents of the linear operands`` of a scan of variables."""
    (before,), (after,), _ = plain_split(scan, [not flag for flag in linear])
    own = set(scan.outputs)
    stacks = [var for var in before.outputs if var not in own]
    params = before.params
    plan = keeping(
        params["body"], params["consts"], params["carries"], len(stacks), params["length"], scan.params["checkpoint"]
    )
    with building() as trace:
        values: dict[Any, Any] = {
            var: Linear(var.type) if flag else trace.add_input(var.type)
            for var, flag in zip(scan.inputs, linear, strict=True)
        }
        seeds = {var: trace.add_input(var.type.strong()) for var, flag in zip(scan.outputs, given, strict=True) if flag}
        inputs = tuple(trace.inputs)
        values.update((var, trace.add_input(var.type)) for var in stacks)
        bars = SCAN.transpose(
            [seeds.get(var) for var in after.outputs], [values[atom] for atom in after.inputs], **after.params
        )
        found = dict(zip(after.inputs, bars, strict=True))
        results = [instantiate(found.get(var), var.type.strong()) for var in chosen(scan.inputs, linear)]
        outputs = tuple([trace.atom_of(value) for value in results])
        (back,) = trace.equations
    cache = Var(cache_type(plan.layout))
    atoms = {var: value.atom for var, value in values.items() if isinstance(value, Tracer)}
    run = _run(plan, before, back, cache, atoms, [atoms[var] for var in stacks])
    return Program((cache, *inputs), (run,), outputs, "sweep_backward")


def _run(
    plan: Keeping, before: Equation, back: Equation, cache: Var, known: dict[Any, Any], stacks: Sequence[Atom]
) -> Equation:
    """The two loops `before` and `back`, of which the second reads `stacks`, as one run backwards."""
    body, params = plan.body, before.params
    online = params["length"] is None
    inner = groups(body.inputs, 0, params["consts"], params["carries"])
    parts = groups([known[atom] for atom in before.inputs], online, params["consts"], params["carries"])
    state = [inner.carry[k] for k in plan.state]
    ends = tuple([body.outputs[k] for k in plan.state])
    written = tuple([k for k, flag in enumerate(plan.after) if not flag])
    names = (*inner.consts, *state, *inner.xs)
    advance = without_unused(Program(names, body.equations, ends, f"advance_{body.name}"))
    sets = tuple([plan.kept[k] for k in written])
    tape = without_unused(Program(names, body.equations, (*ends, *sets), f"tape_{body.name}"))
    turned = groups(back.inputs, online, back.params["consts"], back.params["carries"])
    number = {stack: k for k, stack in enumerate(stacks)}
    fixed, moving = (inner.consts, inner.xs) if plan.again else ([], [])
    adjoint = _adjoint(plan, back.params["body"], [len(turned.consts), len(turned.carry)], [
        number.get(atom) for atom in turned.xs
    ], fixed, moving)  # fmt: skip
    back_xs = [atom for atom in turned.xs if atom not in number]
    groups_of = [
        parts.consts,
        parts.consts,
        [parts.carry[k] for k in plan.state],
        parts.xs,
        [*turned.consts, *(parts.consts if plan.again else [])],
        turned.carry,
        [*back_xs, *(parts.xs if plan.again else [])],
    ]
    table = [] if plan.table is None else [table_literal(plan.table[plan.first :])]
    operands = (cache, *parts.trips, *(atom for group in groups_of for atom in group), *table)
    run = {
        "advance": advance,
        "tape": tape,
        "adjoint": adjoint,
        "length": params["length"],
        "reverse": params["reverse"],
        "sizes": tuple([len(group) for group in groups_of[:-1]]),
        "written": written,
        "layout": plan.layout,
        "slots": plan.slots,
    }
    return Equation(RUN_BACKWARD, operands, run, back.outputs, back.source)


def _adjoint(
    plan: Keeping,
    back: Program,
    sizes: Sequence[int],
    numbers: Sequence[int | None],
    consts: Sequence[Var],
    xs: Sequence[Var],
) -> Program:
    """`back` with what a set holds in place of the residuals; `numbers` are those of its xs that are residuals."""
    types = back.input_types
    fixed, carried = types[: sizes[0]], types[sizes[0] : sum(sizes)]
    elements = [type for type, n in zip(types[sum(sizes) :], numbers, strict=True) if n is None]
    body = plan.body
    with building() as trace:
        first = trace.add_inputs(fixed)
        env: dict[Var, Any] = {var: trace.add_input(var.type) for var in consts}
        second = trace.add_inputs(carried)
        third = trace.add_inputs(elements)
        env.update((var, trace.add_input(var.type)) for var in (*xs, *plan.kept))
        for equation in plan.again:
            operands = [env[atom] if isinstance(atom, Var) else atom for atom in equation.inputs]
            result = trace.emit(equation.primitive, operands, dict(equation.params))
            results = result if equation.primitive.multiple_results else [result]
            env.update(zip(equation.outputs, results, strict=True))
        count = sum(n is not None for n in numbers)
        residuals = [env[atom] for atom in body.outputs[len(body.outputs) - count :] if isinstance(atom, Var)]
        rest = spread(third, [n is None for n in numbers])
        moving = [value if n is None else residuals[n] for value, n in zip(rest, numbers, strict=True)]
        return trace.finish(inline(trace, back, [*first, *second, *moving]), back.name)[0]
