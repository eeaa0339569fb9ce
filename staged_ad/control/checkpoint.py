"""checkpoint: a program whose reverse computes its intermediate values again instead of keeping them.

``inputs -> outputs``, as a call; what differs is `_partial_eval`: the only residuals are the inputs.

Invariant: no intermediate value of the program lives between its forward and its reverse run.
Start at ``checkpoint``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.control.layout import chosen, others, same_types, spread
from staged_ad.control.switch import SWITCH
from staged_ad.ir import ArrayType, Equation, Linear, Primitive, Program, Var, evaluate, filled
from staged_ad.ir.lowerings import Inlined
from staged_ad.ir.types import INT64
from staged_ad.tracing import bind
from staged_ad.transforms.jvp import symbolic_jvp
from staged_ad.transforms.partial_eval import partial_eval
from staged_ad.transforms.transpose import symbolic_transpose
from staged_ad.transforms.vmap import vmap_program


def checkpoint(program: Program, *values: Any) -> list[Any]:
    """The outputs of `program`, as one equation."""
    results: list[Any] = bind(CHECKPOINT, *values, program=program)
    return results


def _abstract(*types: ArrayType, program: Program) -> list[ArrayType]:
    same_types("operands of a checkpoint", types, program.input_types)
    return [type.strong() for type in program.output_types]


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, program: Program) -> tuple[list[Any], list[Any]]:
    active = [t is not None for t in tangents]
    both, flags = symbolic_jvp(program, active, [False] * len(program.outputs))
    results = checkpoint(both, *primals, *chosen(tangents, active))
    return results[: len(flags)], spread(results[len(flags) :], flags)


def _partial_eval(equation: Equation, known: Sequence[bool]) -> Any:
    """The outputs that are known, then the whole program again for the others."""
    program: Program = equation.params["program"]
    split = partial_eval(program, known)
    flags = split.outputs_known
    sooner, later = chosen(equation.outputs, flags), others(equation.outputs, flags)
    first = split.known.narrowed([True] * sum(known), [True] * len(sooner) + [False] * split.residuals)
    rest = program.narrowed([True] * len(known), [not flag for flag in flags])
    operands = tuple(chosen(equation.inputs, known))
    before = Equation(CHECKPOINT, operands, {"program": first}, tuple(sooner), equation.source)
    after = Equation(CHECKPOINT, equation.inputs, {"program": rest}, tuple(later), equation.source)
    return [before] if sooner else [], [after], sooner


def without_unused(program: Program) -> Program:
    """`program` without the equations that no output needs."""
    return program.narrowed([True] * len(program.inputs), [True] * len(program.outputs))


def _transpose(cts: Sequence[Any], inputs: Sequence[Any], *, program: Program) -> list[Any]:
    linear = [isinstance(x, Linear) for x in inputs]
    given = [ct is not None for ct in cts]
    back, flags = symbolic_transpose(program, linear, given, [False] * len(linear))
    results = checkpoint(back, *others(inputs, linear), *chosen(cts, given))
    return spread(spread(results, flags), linear)


def _batch(size: int, values: Sequence[Any], batched: Sequence[bool], *, program: Program) -> tuple[Any, Any]:
    mapped, flags = vmap_program(program, batched, size)
    return checkpoint(mapped, *values), flags


def _as_switch(equation: Equation) -> Program:
    """A switch of one branch: passes do not join what is inside with what is outside."""
    program: Program = equation.params["program"]
    inputs = tuple([Var(atom.type) for atom in equation.inputs])
    outputs = tuple([Var(var.type) for var in equation.outputs])
    index = filled(0, ArrayType((), INT64))
    return Program(inputs, (Equation(SWITCH, (index, *inputs), {"branches": (program,)}, outputs),), outputs)


CHECKPOINT = Primitive(
    "checkpoint",
    abstract_eval=_abstract,
    evaluate=lambda *arrays, program: evaluate(program, *arrays),
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    lower=Inlined(_as_switch),
    multiple_results=True,
    partial_eval=_partial_eval,
)
