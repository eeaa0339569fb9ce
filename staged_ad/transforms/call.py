"""call: a program applied as one equation; what a jitted function leaves in the trace around it.

Invariant: a transform of a call is a call of the transformed program.
Start at ``call``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.ir import ArrayType, Equation, Linear, Primitive, Program, Var, evaluate
from staged_ad.ir.lowerings import Inlined
from staged_ad.tracing import bind
from staged_ad.transforms.jvp import symbolic_jvp
from staged_ad.transforms.partial_eval import partial_eval
from staged_ad.transforms.transpose import symbolic_transpose
from staged_ad.transforms.vmap import vmap_program


def call(program: Program, *values: Any) -> list[Any]:
    """Apply `program` as one equation."""
    result: list[Any] = bind(CALL, *values, program=program)
    return result


def _abstract(*types: ArrayType, program: Program) -> list[ArrayType]:
    expected = program.input_types
    if [(t.shape, t.dtype) for t in types] != [(t.shape, t.dtype) for t in expected]:
        raise TypeError(
            f"call of {program.name}: operands {list(map(str, types))}, expected {list(map(str, expected))}"
        )
    return program.output_types


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, program: Program) -> tuple[list[Any], list[Any]]:
    active = [t is not None for t in tangents]
    both, flags = symbolic_jvp(program, active, [False] * len(program.outputs))
    results = call(both, *primals, *[t for t in tangents if t is not None])
    count = len(program.outputs)
    dots = iter(results[count:])
    return results[:count], [next(dots) if flag else None for flag in flags]


def _transpose(cts: Sequence[Any], inputs: Sequence[Any], *, program: Program) -> list[Any]:
    linear = [isinstance(x, Linear) for x in inputs]
    known = [x for x, flag in zip(inputs, linear, strict=True) if not flag]
    given = [ct is not None for ct in cts]
    transposed, flags = symbolic_transpose(program, linear, given, [False] * len(linear))
    results = iter(call(transposed, *known, *[ct for ct in cts if ct is not None]))
    found = iter([next(results) if flag else None for flag in flags])
    return [next(found) if flag else None for flag in linear]


def _batch(size: int, values: Sequence[Any], batched: Sequence[bool], *, program: Program) -> tuple[Any, Any]:
    mapped, outputs_batched = vmap_program(program, batched, size)
    return call(mapped, *values), outputs_batched


def _partial_eval(equation: Equation, known: Sequence[bool]) -> tuple[list[Equation], list[Equation], list[Var]]:
    """A call of the known half that also returns residuals, and a call of the rest."""
    split = partial_eval(equation.params["program"], known)
    flags = split.outputs_known
    now = [var for var, flag in zip(equation.outputs, flags, strict=True) if flag]
    later = [var for var, flag in zip(equation.outputs, flags, strict=True) if not flag]
    residuals = [Var(atom.type) for atom in split.known.outputs[len(now) :]]
    known_inputs = [x for x, flag in zip(equation.inputs, known, strict=True) if flag]
    unknown_inputs = [x for x, flag in zip(equation.inputs, known, strict=True) if not flag]
    before = Equation(CALL, tuple(known_inputs), {"program": split.known}, (*now, *residuals), equation.source)
    after = Equation(CALL, (*residuals, *unknown_inputs), {"program": split.unknown}, tuple(later), equation.source)
    return [before], [after], [*now, *residuals]


CALL = Primitive(
    "call",
    abstract_eval=_abstract,
    evaluate=lambda *arrays, program: evaluate(program, *arrays),
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    lower=Inlined(lambda equation: equation.params["program"]),
    multiple_results=True,
    partial_eval=_partial_eval,
)
