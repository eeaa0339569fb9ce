"""switch: one of several branches, chosen by an index; cond is a switch of two.

``(index, operands) -> results``: all branches take the same operands and give results of the same types.

Invariant: only the branch that is chosen runs.
Start at ``switch``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.control.layout import chosen, either, lanes, others, same_types, spread
from staged_ad.errors import NotDifferentiableError
from staged_ad.ir import ArrayType, Equation, Linear, Primitive, Program, Var, evaluate, filled
from staged_ad.ir.lowerings import Branch
from staged_ad.ir.types import INT64
from staged_ad.primitives.makers import typeof
from staged_ad.tracing import bind
from staged_ad.transforms.jvp import symbolic_jvp
from staged_ad.transforms.partial_eval import partial_eval
from staged_ad.transforms.transpose import symbolic_transpose
from staged_ad.transforms.vmap import vmap_program


def switch(branches: Sequence[Program], index: Any, operands: Sequence[Any]) -> list[Any]:
    """The results of branch number `index` (int64, brought into range)."""
    results: list[Any] = bind(SWITCH, index, *operands, branches=tuple(branches))
    return results


def _abstract(index: ArrayType, *types: ArrayType, branches: tuple[Program, ...]) -> list[ArrayType]:
    same_types("index of a switch", [index], [ArrayType((), INT64)])
    for branch in branches:
        same_types("operands of a branch", types, branch.input_types)
        same_types("results of a branch", branch.output_types, branches[0].output_types)
    return [type.strong() for type in branches[0].output_types]


def _evaluate(index: Any, *arrays: Any, branches: tuple[Program, ...]) -> list[Any]:
    return evaluate(branches[min(max(int(index), 0), len(branches) - 1)], *arrays)


def _jvp(
    primals: Sequence[Any], tangents: Sequence[Any], *, branches: tuple[Program, ...]
) -> tuple[list[Any], list[Any]]:
    active = [t is not None for t in tangents[1:]]
    wanted = [False] * len(branches[0].outputs)
    for branch in branches:
        wanted = either(wanted, symbolic_jvp(branch, active, wanted)[1])
    both = [symbolic_jvp(branch, active, wanted)[0] for branch in branches]
    results = switch(both, primals[0], [*primals[1:], *chosen(tangents[1:], active)])
    return results[: len(wanted)], spread(results[len(wanted) :], wanted)


def _partial_eval(equation: Equation, known: Sequence[bool]) -> Any:
    """A switch of the known halves and one of the rest; residuals of the branches share places where types agree."""
    if not known[0]:
        return None
    branches: tuple[Program, ...] = equation.params["branches"]
    flags = list(known[1:])
    unknown = [False] * len(equation.outputs)
    for branch in branches:
        found = partial_eval(branch, flags, unknown).outputs_known
        unknown = [not flag for flag in found]
    splits = [partial_eval(branch, flags, unknown) for branch in branches]
    outputs_known = [not flag for flag in unknown]
    own = [split.known.outputs[sum(outputs_known) :] for split in splits]
    places, types = _places([[atom.type for atom in residuals] for residuals in own])
    firsts, seconds = [], []
    for split, residuals, place in zip(splits, own, places, strict=True):
        at = dict(zip(place, residuals, strict=True))
        stored = [at.get(k, filled(0, type)) for k, type in enumerate(types)]
        outputs = (*split.known.outputs[: sum(outputs_known)], *stored)
        firsts.append(Program(split.known.inputs, split.known.equations, outputs, split.known.name))
        named = dict(zip(place, split.unknown.inputs, strict=False))
        inputs = [named.get(k) or Var(type) for k, type in enumerate(types)]
        rest = (*inputs, *split.unknown.inputs[len(residuals) :])
        seconds.append(Program(rest, split.unknown.equations, split.unknown.outputs, split.unknown.name))
    sooner, later = chosen(equation.outputs, outputs_known), others(equation.outputs, outputs_known)
    residual_vars = [Var(type.strong()) for type in types]
    index, operands = equation.inputs[0], equation.inputs[1:]
    before = Equation(
        SWITCH,
        (index, *chosen(operands, flags)),
        {"branches": tuple(firsts)},
        (*sooner, *residual_vars),
        equation.source,
    )
    after = Equation(
        SWITCH,
        (index, *residual_vars, *others(operands, flags)),
        {"branches": tuple(seconds)},
        tuple(later),
        equation.source,
    )
    return [before] if before.outputs else [], [after], [*sooner, *residual_vars]


def _places(lists: Sequence[Sequence[ArrayType]]) -> tuple[list[list[int]], list[ArrayType]]:
    """For each list of types the places of its members in one list of types that serves all."""
    types: list[ArrayType] = []
    places = []
    for wanted in lists:
        taken: set[int] = set()
        found = []
        for type in wanted:
            free = (k for k, t in enumerate(types) if k not in taken and (t.shape, t.dtype) == (type.shape, type.dtype))
            place = next(free, len(types))
            if place == len(types):
                types.append(type.strong())
            taken.add(place)
            found.append(place)
        places.append(found)
    return places, types


def _transpose(cts: Sequence[Any], inputs: Sequence[Any], *, branches: tuple[Program, ...]) -> list[Any]:
    linear = [isinstance(x, Linear) for x in inputs[1:]]
    if isinstance(inputs[0], Linear):
        raise NotDifferentiableError("a branch chosen by a value is not linear in that value")
    given = [ct is not None for ct in cts]
    wanted = [False] * sum(linear)
    for branch in branches:
        wanted = either(wanted, symbolic_transpose(branch, linear, given, spread_flags(wanted, linear))[1])
    full = spread_flags(wanted, linear)
    back = [symbolic_transpose(branch, linear, given, full)[0] for branch in branches]
    results = switch(back, inputs[0], [*others(inputs[1:], linear), *chosen(cts, given)]) if any(wanted) else []
    return [None, *spread(spread(results, wanted), linear)]


def spread_flags(flags: Sequence[bool], where: Sequence[bool]) -> list[bool]:
    return [bool(flag) for flag in spread(flags, where)]


def _batch(
    size: int, values: Sequence[Any], batched: Sequence[bool], *, branches: tuple[Program, ...]
) -> tuple[list[Any], list[bool]]:
    if batched[0] or any(type.ragged for type in branches[0].output_types) or any(typeof(v).ragged for v in values):
        return lanes(SWITCH, size, values, batched, {"branches": branches})
    wanted = [False] * len(branches[0].outputs)
    for branch in branches:
        wanted = either(wanted, vmap_program(branch, batched[1:], size, wanted)[1])
    mapped = [vmap_program(branch, batched[1:], size, wanted)[0] for branch in branches]
    return switch(mapped, values[0], values[1:]), wanted


def _prune(equation: Equation, used: Sequence[bool]) -> Equation:
    """Without results that nothing needs, and the operands that only they need."""
    branches: tuple[Program, ...] = equation.params["branches"]
    live = [branch.live(used) for branch in branches]
    operands = [
        any(branch.inputs[k] in found for branch, found in zip(branches, live, strict=True))
        for k in range(len(equation.inputs) - 1)
    ]
    if all(used) and all(operands):
        return equation
    programs = tuple(branch.narrowed(operands, used) for branch in branches)
    inputs = (equation.inputs[0], *chosen(equation.inputs[1:], operands))
    return Equation(SWITCH, inputs, {"branches": programs}, tuple(chosen(equation.outputs, used)), equation.source)


SWITCH = Primitive(
    "switch",
    abstract_eval=_abstract,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    lower=Branch(),
    multiple_results=True,
    partial_eval=_partial_eval,
    prune=_prune,
)
