"""while_loop: a loop that runs as long as a condition on its carry holds.

``(cond_consts, body_consts, carry) -> (carry, count, ys)``: the condition maps ``(cond_consts, carry) -> bool``, the
body ``(body_consts, carry) -> (carry, one y of each)``. A user's loop has no ys; its reverse mode stacks residuals in
them, without a bound on the number of iterations, and is a scan over these ragged arrays.

Invariant: the condition and the tangents are apart: a known condition makes the number of iterations known.
Start at ``while_loop``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from staged_ad.control import ragged as ragged  # ``plus`` looks its primitives up by name
from staged_ad.control.budget import get_tape_limit, tape_overflow
from staged_ad.control.fixpoints import body_batch, body_jvp, body_live, body_split
from staged_ad.control.layout import (
    Groups,
    chosen,
    condition_without_still,
    lanes,
    merged,
    others,
    same_types,
    spread,
    transpose_by_parts,
    without_still,
)
from staged_ad.control.masked import in_step, masked_while
from staged_ad.control.residuals import plan
from staged_ad.control.scan import unknown_half
from staged_ad.ir import ArrayType, Equation, Primitive, Program, Var, evaluate
from staged_ad.ir.lowerings import Loop
from staged_ad.ir.ragged import stacked
from staged_ad.ir.types import BOOL, INT64
from staged_ad.primitives.makers import instantiate, typeof, with_batch
from staged_ad.tracing import bind
from staged_ad.transforms.vmap import BEHIND, vmap_program

_COUNT = ArrayType((), INT64)


def while_loop(
    cond: Program,
    body: Program,
    cond_consts: Sequence[Any],
    body_consts: Sequence[Any],
    carry: Sequence[Any],
    *,
    checkpoint: int | None = None,
) -> list[Any]:
    """The carry for which the condition does not hold any more."""
    slots = {} if checkpoint is None else {"checkpoint": checkpoint}
    program, still = without_still(body, len(body_consts), len(carry), conditional=True)
    fixed, moving = chosen(carry, still), others(carry, still)
    results = bind(
        WHILE,
        *cond_consts,
        *fixed,
        *body_consts,
        *fixed,
        *moving,
        cond=condition_without_still(cond, len(cond_consts), still),
        body=program,
        cond_consts=len(cond_consts) + len(fixed),
        body_consts=len(body_consts) + len(fixed),
        **slots,
    )
    return merged(fixed, results[: len(moving)], still)


class _Parts(NamedTuple):
    cond: list[Any]
    body: list[Any]
    carry: list[Any]


def _parts(operands: Sequence[Any], params: dict[str, Any]) -> _Parts:
    values, first = list(operands), params["cond_consts"]
    second = first + params["body_consts"]
    return _Parts(values[:first], values[first:second], values[second:])


def _abstract(*types: ArrayType, **params: Any) -> list[ArrayType]:
    cond, body = params["cond"], params["body"]
    parts = _parts(types, params)
    same_types("operands of a while_loop", [*parts.body, *parts.carry], body.input_types)
    same_types("operands of its condition", [*parts.cond, *parts.carry], cond.input_types)
    same_types("its condition", cond.output_types, [ArrayType((), BOOL)])
    carries = len(parts.carry)
    same_types("carry of a while_loop", body.output_types[:carries], parts.carry)
    return [*body.input_types[len(parts.body) :], _COUNT, *(type.stacked(None) for type in body.output_types[carries:])]


def _evaluate(*arrays: Any, **params: Any) -> list[Any]:
    cond, body = params["cond"], params["body"]
    parts = _parts(arrays, params)
    carry, carries, count = parts.carry, len(parts.carry), 0
    ys: list[list[Any]] = [[] for _ in body.outputs[carries:]]
    kept = 0
    while evaluate(cond, *parts.cond, *carry)[0]:
        results = evaluate(body, *parts.body, *carry)
        carry = results[:carries]
        for found, y in zip(ys, results[carries:], strict=True):
            found.append(y)
            kept += y.nbytes
        if kept > get_tape_limit():
            places = (equation.place for equation in body.equations if equation.source)
            raise tape_overflow(next(places, "an unknown place"))
        count += 1
    types = body.output_types[carries:]
    return [*carry, np.int64(count), *(stacked(found, type, None) for found, type in zip(ys, types, strict=True))]


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
    """The body becomes its own jvp, the condition goes on without tangents."""
    cond, body = params["cond"], params["body"]
    parts, dots = _parts(primals, params), _parts(tangents, params)
    carries = len(parts.carry)
    consts, starts = ([t is not None for t in group] for group in dots[1:])
    program, moving, y_flags = body_jvp(body, consts, starts)
    ys = len(y_flags)
    carry_dots = [
        instantiate(t, typeof(x).strong()) for t, x, flag in zip(dots.carry, parts.carry, moving, strict=True) if flag
    ]
    const_dots = chosen(dots.body, consts)
    unread = tuple(Var(typeof(t)) for t in carry_dots)
    results = bind(
        WHILE,
        *parts.cond,
        *parts.body,
        *const_dots,
        *parts.carry,
        *carry_dots,
        **{
            **params,
            "cond": Program((*cond.inputs, *unread), cond.equations, cond.outputs, cond.name),
            "body": program,
            "body_consts": len(parts.body) + len(const_dots),
        },
    )
    total = carries + len(carry_dots)
    stacks = results[total + 1 :]
    y_dots = spread(stacks[ys:], y_flags)
    return (
        [*results[:carries], results[total], *stacks[:ys]],
        [*spread(results[carries:total], moving), None, *y_dots],
    )


def _partial_eval(equation: Equation, known: Sequence[bool]) -> Any:
    """Both halves; with ``checkpoint``, where residuals would be stacked, runs of a sweep in their place."""
    split = _plain_split(equation, known)
    if split is None or equation.params.get("checkpoint") is None:
        return split
    from staged_ad.control.sweep_while import checkpointed_while  # sweep_while.py is about while_loops

    return checkpointed_while(equation, known, split) or split


def _plain_split(equation: Equation, known: Sequence[bool]) -> Any:
    """The known half with residuals on ragged arrays, and a scan of the rest over them."""
    params = dict(equation.params)
    cond, body = params["cond"], params["body"]
    flags, atoms = _parts(known, params), _parts(equation.inputs, params)
    carries = len(atoms.carry)
    split, carry_known = body_split(body, flags.body, flags.carry)
    read = {atom for e in cond.equations for atom in e.inputs} | set(cond.outputs)
    read_known = [*flags.cond, *carry_known]
    if any(var in read and not flag for var, flag in zip(cond.inputs, read_known, strict=True)):
        return None
    inner_consts, inner_carry = body.inputs[: len(atoms.body)], body.inputs[len(atoms.body) :]
    names = Groups([], chosen(inner_consts, flags.body), chosen(inner_carry, carry_known), [])
    work = plan(split, names)
    stacks = [Var(var.type.stacked(None)) for var in work.stored]
    outputs_known = [*split.outputs_known[:carries], True, *split.outputs_known[carries:]]
    sooner, later = chosen(equation.outputs, outputs_known), others(equation.outputs, outputs_known)
    tests = [*flags.cond, *carry_known]
    kept_cond = Program(tuple(chosen(cond.inputs, tests)), cond.equations, cond.outputs, cond.name)
    before = Equation(
        WHILE,
        (*chosen(atoms.cond, flags.cond), *chosen(atoms.body, flags.body), *chosen(atoms.carry, carry_known)),
        {"cond": kept_cond, "body": work.known, "cond_consts": sum(flags.cond), "body_consts": sum(flags.body)},
        (*sooner, *stacks),
        equation.source,
    )
    inner = Groups([], list(inner_consts), list(inner_carry), [])
    operands = Groups([equation.outputs[carries]], atoms.body, atoms.carry, [])
    known_now = Groups([], flags.body, carry_known, [])
    counted = {"length": None, "reverse": False}
    after = unknown_half(split, work, inner, operands, known_now, stacks, counted, tuple(later), equation.source)
    return [before], [after], [*sooner, *stacks]


def _transpose(cts: Sequence[Any], inputs: Sequence[Any], **params: Any) -> list[Any]:
    return transpose_by_parts(WHILE, cts, inputs, params)


def _batch(size: int, values: Sequence[Any], batched: Sequence[bool], **params: Any) -> tuple[list[Any], list[bool]]:
    """One lane after the other where lanes may differ in their number of iterations, else the batch of the body."""
    cond, body = params["cond"], params["body"]
    parts, flags = _parts(values, params), _parts(batched, params)
    carries = len(parts.carry)
    mapped, moving, found = body_batch(body, size, flags.body, flags.carry)
    test, differs = vmap_program(cond, [*flags.cond, *moving], size)
    if differs[0]:
        if in_step(cond, body):
            return masked_while(WHILE, size, parts, flags, params)
        return lanes(WHILE, size, values, batched, params)
    types = body.output_types[carries:]
    if any(type.ragged and flag and flag != BEHIND for type, flag in zip(types, found, strict=True)):
        return lanes(WHILE, size, values, batched, params)
    carry = [with_batch(size, x, a) if b else x for x, a, b in zip(parts.carry, flags.carry, moving, strict=True)]
    results = bind(WHILE, *parts.cond, *parts.body, *carry, **{**params, "cond": test, "body": mapped})
    return results, [*moving, False, *(BEHIND if flag else False for flag in found)]


def _prune(equation: Equation, used: Sequence[bool]) -> Equation:
    """Without ys and carries that nothing needs, and the operands that only they need."""
    params = dict(equation.params)
    cond, body = params["cond"], params["body"]
    atoms = _parts(equation.inputs, params)
    carries = len(atoms.carry)
    read = cond.live([True])
    kept = [*used[:carries], *used[carries + 1 :]]
    tested = cond.inputs[len(atoms.cond) :]
    kept[:carries] = [flag or var in read for flag, var in zip(kept[:carries], tested, strict=True)]
    moving = body.inputs[len(atoms.body) :]
    needed, kept = body_live(body, moving, kept)
    carry = kept[:carries]
    cond_consts = [var in read for var in cond.inputs[: len(atoms.cond)]]
    body_consts = [var in needed for var in body.inputs[: len(atoms.body)]]
    if all(kept) and all(cond_consts) and all(body_consts):
        return equation
    test = cond.narrowed([*cond_consts, *carry], [True])
    program = body.narrowed([*body_consts, *carry], kept)
    operands = (*chosen(atoms.cond, cond_consts), *chosen(atoms.body, body_consts), *chosen(atoms.carry, carry))
    outputs = (*chosen(equation.outputs[:carries], carry), equation.outputs[carries])
    outputs += tuple(chosen(equation.outputs[carries + 1 :], kept[carries:]))
    sizes = {"cond_consts": sum(cond_consts), "body_consts": sum(body_consts)}
    params |= {"cond": test, "body": program, **sizes}
    return Equation(WHILE, operands, params, outputs, equation.source)


WHILE = Primitive(
    "while",
    abstract_eval=_abstract,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    lower=Loop(),
    multiple_results=True,
    partial_eval=_partial_eval,
    prune=_prune,
)
