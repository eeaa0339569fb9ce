"""scan: a loop with a counted number of iterations, known when traced or only when run.

``(consts, carry, xs) -> (carry, ys)``: the body maps ``(consts, carry, one x of each xs) -> (carry, one y of each)``.
With ``length=None`` the first operand is the number of iterations, and xs and ys are ragged. ``checkpoint``, where it
is among the parameters, bounds what reverse mode stores: sweep.py.

Invariant: carries keep their types from iteration to iteration.
Start at ``scan``, then the rules from ``_jvp`` on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.control.fixpoints import body_batch, body_jvp, body_live, body_split, linear_carries
from staged_ad.control.layout import (
    Groups,
    chosen,
    either,
    groups,
    lanes,
    merged,
    others,
    same_types,
    spread,
    transpose_by_parts,
    without_still,
)
from staged_ad.control.masked import in_step, masked_scan
from staged_ad.control.residuals import Plan, plan
from staged_ad.ir import ArrayType, Equation, Linear, Primitive, Program, Source, Var, evaluate, filled
from staged_ad.ir.lowerings import Loop
from staged_ad.ir.ragged import entry, stacked
from staged_ad.ir.types import RAGGED
from staged_ad.primitives.makers import instantiate, plus, typeof, with_batch
from staged_ad.primitives.shaping import transpose as turned
from staged_ad.tracing import bind, building
from staged_ad.tracing.trace import inline
from staged_ad.transforms.partial_eval import Split
from staged_ad.transforms.transpose import symbolic_transpose
from staged_ad.transforms.vmap import BEHIND, batched_type


def scan(
    body: Program,
    consts: Sequence[Any],
    carry: Sequence[Any],
    xs: Sequence[Any],
    *,
    length: int | None,
    reverse: bool = False,
    count: Any = None,
    checkpoint: int | None = None,
) -> list[Any]:
    """The carry after all iterations, then the ys; with ``length=None`` there are `count` iterations."""
    counts = [] if length is not None else [count]
    slots = {} if checkpoint is None else {"checkpoint": checkpoint}
    program, still = without_still(body, len(consts), len(carry))
    fixed, moving = chosen(carry, still), others(carry, still)
    if not program.outputs:
        return list(carry)
    results: list[Any] = bind(
        SCAN,
        *counts,
        *consts,
        *fixed,
        *moving,
        *xs,
        body=program,
        length=length,
        reverse=reverse,
        consts=len(consts) + len(fixed),
        carries=len(moving),
        **slots,
    )
    return [*merged(fixed, results[: len(moving)], still), *results[len(moving) :]]


def _groups(operands: Sequence[Any], params: dict[str, Any]) -> Groups:
    return groups(operands, params["length"] is None, params["consts"], params["carries"])


def _abstract(*types: ArrayType, **params: Any) -> list[ArrayType]:
    body, length = params["body"], params["length"]
    parts = _groups(types, params)
    slices = [type.slice() for type in parts.xs]
    same_types("operands of a scan", [*parts.consts, *parts.carry, *slices], body.input_types)
    if any(type.shape[0] != (-1 if length is None else length) for type in parts.xs):
        raise TypeError(f"xs of a scan of length {length}: {list(map(str, parts.xs))}")
    outputs = body.output_types
    same_types("carry of a scan", outputs[: len(parts.carry)], parts.carry)
    carry = body.input_types[len(parts.consts) : len(parts.consts) + len(parts.carry)]
    return [*carry, *(type.stacked(length) for type in outputs[len(parts.carry) :])]


def _evaluate(*arrays: Any, **params: Any) -> list[Any]:
    body, length, carries = params["body"], params["length"], params["carries"]
    parts = _groups(arrays, params)
    times = int(parts.trips[0]) if length is None else length
    slices = body.input_types[len(parts.consts) + carries :]
    carry, ys = parts.carry, [[] for _ in body.outputs[carries:]]  # type: ignore[var-annotated]
    for k in reversed(range(times)) if params["reverse"] else range(times):
        xs = [entry(x, k, type) for x, type in zip(parts.xs, slices, strict=True)]
        results = evaluate(body, *parts.consts, *carry, *xs)
        carry = results[:carries]
        for found, y in zip(ys, results[carries:], strict=True):
            found.append(y)
    types = body.output_types[carries:]
    if params["reverse"]:
        ys = [found[::-1] for found in ys]
    return [*carry, *(stacked(found, type, length) for found, type in zip(ys, types, strict=True))]


# -- forward mode -------------------------------------------------------------------------------------------------


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
    """The body becomes its own jvp; a carry gets a tangent when it starts or leaves the body with one."""
    body, carries = params["body"], params["carries"]
    parts, dots = _groups(primals, params), _groups(tangents, params)
    consts, starts, xs = ([t is not None for t in group] for group in dots[1:])
    program, moving, y_flags = body_jvp(body, consts, starts, xs)
    ys = len(y_flags)
    carry_dots = [
        instantiate(t, typeof(x).strong()) for t, x, flag in zip(dots.carry, parts.carry, moving, strict=True) if flag
    ]
    const_dots, x_dots = chosen(dots.consts, consts), chosen(dots.xs, xs)
    operands = (*parts.trips, *parts.consts, *const_dots, *parts.carry, *carry_dots, *parts.xs, *x_dots)
    sizes = {"consts": len(parts.consts) + len(const_dots), "carries": carries + len(carry_dots)}
    results = bind(SCAN, *operands, **{**params, "body": program, **sizes})
    carry, rest = results[: sizes["carries"]], results[sizes["carries"] :]
    return (
        [*carry[:carries], *rest[:ys]],
        [*spread(carry[carries:], moving), *spread(rest[ys:], y_flags)],
    )


# -- reverse mode -------------------------------------------------------------------------------------------------


def _partial_eval(equation: Equation, known: Sequence[bool]) -> Any:
    """Both halves; with ``checkpoint``, where residuals would be stacked, runs of a sweep in their place."""
    split = plain_split(equation, known)
    if split is None or equation.params.get("checkpoint") is None:
        return split
    from staged_ad.control.sweep import checkpointed  # sweep.py is about scans

    return checkpointed(equation, known, split) or split


def plain_split(equation: Equation, known: Sequence[bool]) -> Any:
    """A scan of the known half of the body, which stacks residuals, and a scan of the rest."""
    params = dict(equation.params)
    body, carries = params["body"], params["carries"]
    flags = _groups(known, params)
    if not all(flags.trips):
        return None
    split, carry_known = body_split(body, flags.consts, flags.carry, flags.xs)
    inputs, atoms = _groups([None] * len(equation.inputs), params), _groups(equation.inputs, params)
    inner = groups(body.inputs, 0, len(inputs.consts), carries)
    names = groups(
        chosen(body.inputs, [*flags.consts, *carry_known, *flags.xs]), 0, sum(flags.consts), sum(carry_known)
    )
    work = plan(split, names)
    stacks = [Var(var.type.stacked(params["length"])) for var in work.stored]
    outputs_known = list(split.outputs_known)
    sooner, later = chosen(equation.outputs, outputs_known), others(equation.outputs, outputs_known)
    before = Equation(
        SCAN,
        (
            *atoms.trips,
            *chosen(atoms.consts, flags.consts),
            *chosen(atoms.carry, carry_known),
            *chosen(atoms.xs, flags.xs),
        ),
        {**params, "body": work.known, "consts": sum(flags.consts), "carries": sum(carry_known)},
        (*sooner, *stacks),
        equation.source,
    )
    known_now = Groups([], flags.consts, carry_known, flags.xs)
    after = unknown_half(split, work, inner, atoms, known_now, stacks, params, tuple(later), equation.source)
    return [before] if before.outputs else [], [after], [*sooner, *stacks]


def unknown_half(
    split: Split,
    work: Plan,
    inner: Groups,
    atoms: Groups,
    known: Groups,
    stacks: Sequence[Var],
    params: dict[str, Any],
    outputs: tuple[Var, ...],
    source: Source | None,
) -> Equation:
    """The scan of what is not known in a loop; `inner` are the inputs of its body, `atoms` its operands.

    It reads what `work` hands on, and `stacks`, which the known half has stored.
    """
    outer = dict(zip((*inner.consts, *inner.xs), (*atoms.consts, *atoms.xs), strict=True))
    consts = [*work.consts, *others(inner.consts, known.consts)]
    carry = others(inner.carry, known.carry)
    rest = Program(
        (*consts, *carry, *work.xs, *work.stored, *others(inner.xs, known.xs)),
        (*work.again, *split.unknown.equations),
        split.unknown.outputs,
        split.unknown.name,
    )
    operands = (
        *atoms.trips,
        *(outer[var] for var in consts),
        *others(atoms.carry, known.carry),
        *(outer[var] for var in work.xs),
        *stacks,
        *others(atoms.xs, known.xs),
    )
    sizes = {"body": rest, "consts": len(consts), "carries": len(carry)}
    return Equation(SCAN, operands, {**params, **sizes}, outputs, source)


def _transpose(cts: Sequence[Any], inputs: Sequence[Any], **params: Any) -> list[Any]:
    """A scan in the other direction: cotangents of the carry are the carry, those of consts are summed up in it."""
    body, carries = params["body"], params["carries"]
    operands = _groups(inputs, params)
    linear = _groups([isinstance(x, Linear) for x in inputs], params)
    if not all(linear_carries(body, linear)):
        return transpose_by_parts(SCAN, cts, inputs, params)
    flags = [*linear.consts, *[True] * carries, *linear.xs]
    moving = [ct is not None for ct in cts[:carries]]
    y_given = [ct is not None for ct in cts[carries:]]
    consts = sum(linear.consts)
    while True:
        wanted = [*[False] * len(linear.consts), *moving, *[False] * len(linear.xs)]
        back, found = symbolic_transpose(body, flags, [*moving, *y_given], wanted)
        if found[consts : consts + carries] == moving:
            break
        moving = either(moving, found[consts : consts + carries])
    const_found, x_found = found[:consts], found[consts + carries :]
    program = _accumulating(back, len(linear.consts) - consts, sum(const_found), sum(moving), sum(y_given))
    fixed = others(operands.consts, linear.consts)
    sums = [instantiate(None, x.type.strong()) for x in chosen(chosen(operands.consts, linear.consts), const_found)]
    carry = [
        instantiate(ct, typeof(x).strong())
        for ct, x, flag in zip(cts[:carries], operands.carry, moving, strict=True)
        if flag
    ]
    results = bind(
        SCAN,
        *operands.trips,
        *fixed,
        *sums,
        *carry,
        *others(operands.xs, linear.xs),
        *chosen(cts[carries:], y_given),
        **{
            **params,
            "body": program,
            "reverse": not params["reverse"],
            "consts": len(fixed),
            "carries": len(sums) + len(carry),
        },
    )
    const_bars = spread(spread(results[: len(sums)], const_found), linear.consts)
    carry_bars = spread(results[len(sums) : len(sums) + len(carry)], moving)
    x_bars = spread(spread(results[len(sums) + len(carry) :], x_found), linear.xs)
    return [*[None] * len(operands.trips), *const_bars, *carry_bars, *x_bars]


def _accumulating(back: Program, fixed: int, sums: int, carries: int, ys: int) -> Program:
    """``(r, carry_bar, y_bar) -> (const_bar, carry_bar, x_bar)`` with the sums of const_bar among the carry."""
    types = back.input_types
    xs = len(types) - fixed - carries - ys
    with building() as trace:
        consts = trace.add_inputs(types[:fixed])
        totals = trace.add_inputs(type for type in back.output_types[:sums])
        carry = trace.add_inputs(types[fixed + xs : fixed + xs + carries])
        moving = trace.add_inputs([*types[fixed : fixed + xs], *types[fixed + xs + carries :]])
        results = inline(trace, back, [*consts, *moving[:xs], *carry, *moving[xs:]])
        totals = [plus(total, bar) for total, bar in zip(totals, results[:sums], strict=True)]
        return trace.finish([*totals, *results[sums:]], back.name)[0]


# -- batches ------------------------------------------------------------------------------------------------------


def _batch(size: int, values: Sequence[Any], batched: Sequence[int], **params: Any) -> tuple[list[Any], list[Any]]:
    """The body becomes its own batch; lanes that differ in their number of iterations run in step or one by one."""
    body, carries, length = params["body"], params["carries"], params["length"]
    parts, flags = _groups(values, params), _groups(batched, params)
    if any(typeof(v).ragged and flag and flag != BEHIND for v, flag in zip(values, batched, strict=True)):
        return lanes(SCAN, size, values, batched, params)
    slices = [_slice_flag(x, flag) for x, flag in zip(parts.xs, flags.xs, strict=True)]
    if any(flags.trips):
        if in_step(body):
            return masked_scan(SCAN, size, parts, Groups(flags.trips, flags.consts, flags.carry, slices), params)
        return lanes(SCAN, size, values, batched, params)
    mapped, moving, found = body_batch(body, size, flags.consts, flags.carry, slices)
    types = body.output_types[carries:]
    if any(type.ragged and flag and flag != BEHIND for type, flag in zip(types, found, strict=True)):
        return lanes(SCAN, size, values, batched, params)
    carry = [_batched(size, x, a, b) for x, a, b in zip(parts.carry, flags.carry, moving, strict=True)]
    xs = [_exchanged(x) if flag and flag != BEHIND else x for x, flag in zip(parts.xs, flags.xs, strict=True)]
    results = bind(SCAN, *parts.trips, *parts.consts, *carry, *xs, **{**params, "body": mapped})
    y_flags = [
        BEHIND if flag and (length is None or type.ragged) else flag for type, flag in zip(types, found, strict=True)
    ]
    out = [_exchanged(y) if flag and flag != BEHIND else y for y, flag in zip(results[carries:], y_flags, strict=True)]
    return [*results[:carries], *out], [*moving, *y_flags]


def _slice_flag(x: Any, flag: int) -> int:
    """The flag of one element of xs."""
    if flag != BEHIND:
        return flag
    inner = typeof(x).shape[1:]
    return BEHIND if RAGGED in inner else True


def _batched(size: int, value: Any, flag: int, wanted: int) -> Any:
    """A carry as a batch where it becomes one."""
    if flag or not wanted:
        return value
    if wanted == BEHIND:  # a sum of cotangents, which starts from zero
        return filled(0, batched_type(typeof(value), size, BEHIND))
    return with_batch(size, value, False)


def _exchanged(x: Any) -> Any:
    """The first two axes change places."""
    return turned(x, permutation=(1, 0, *range(2, typeof(x).ndim)))


# -- unused parts -------------------------------------------------------------------------------------------------


def _prune(equation: Equation, used: Sequence[bool]) -> Equation:
    """Without the ys and carries that nothing needs, and the operands that only they need."""
    params = dict(equation.params)
    body, carries = params["body"], params["carries"]
    inner = groups(body.inputs, 0, params["consts"], carries)
    needed, kept = body_live(body, inner.carry, used)
    consts, xs = ([var in needed for var in group] for group in (inner.consts, inner.xs))
    if all(kept) and all(consts) and all(xs):
        return equation
    carry = kept[:carries]
    atoms = _groups(equation.inputs, params)
    program = body.narrowed([*consts, *carry, *xs], kept)
    operands = (*atoms.trips, *chosen(atoms.consts, consts), *chosen(atoms.carry, carry), *chosen(atoms.xs, xs))
    params |= {"body": program, "consts": sum(consts), "carries": sum(carry)}
    return Equation(SCAN, operands, params, tuple(chosen(equation.outputs, kept)), equation.source)


SCAN = Primitive(
    "scan",
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
