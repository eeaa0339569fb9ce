"""transpose: turns a linear program around.

Invariant: ``<y_bar, program(x)> == <transpose(y_bar), x>`` for the inputs that are linear.
Start at ``transpose_program``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.errors import NotDifferentiableError
from staged_ad.ir import Atom, Equation, Linear, Program, Var
from staged_ad.primitives.makers import instantiate, plus
from staged_ad.tracing import Trace, building
from staged_ad.tracing.source import location
from staged_ad.tracing.trace import inline
from staged_ad.transforms.memo import remembered
from staged_ad.transforms.partial_eval import partial_eval


def transpose_program(program: Program, linear: Sequence[bool]) -> Program:
    """``(r, x) -> y``, linear in x, becomes ``(r, y_bar) -> x_bar``.

    `linear` says which inputs are x; equations that do not depend on them are computed as they stand.
    """
    return symbolic_transpose(program, linear, [True] * len(program.outputs), [True] * len(program.inputs))[0]


@remembered
def symbolic_transpose(
    program: Program, linear: Sequence[bool], given: Sequence[bool], wanted: Sequence[bool]
) -> tuple[Program, list[bool]]:
    """`transpose_program` with zeros left out, and which linear inputs have a cotangent.

    Only the cotangents of the outputs in `given` are inputs of the result; only those that are not zero, or whose
    input is `wanted`, are outputs.
    """
    with building() as trace:
        inputs = trace.add_inputs([v.type for v, flag in zip(program.inputs, linear, strict=True) if not flag])
        linear_inputs = [var for var, flag in zip(program.inputs, linear, strict=True) if flag]
        split = partial_eval(program, [not flag for flag in linear])
        results = inline(trace, split.known, inputs)[len(split.known.outputs) - split.residuals :]
        known: dict[Var, Any] = dict(zip(split.unknown.inputs, results, strict=False))
        depends = set(linear_inputs)
        for equation in split.unknown.equations:
            depends.update(equation.outputs)
        cotangents: dict[Var, Any] = {}
        for atom, has in zip(program.outputs, given, strict=True):
            ct = trace.add_input(atom.type.strong()) if has else None
            if isinstance(atom, Var) and atom in depends:
                cotangents[atom] = plus(cotangents.get(atom), ct)
        for equation in reversed(split.unknown.equations):
            _pull(trace, equation, known, depends, cotangents)
        trace.source = None
        bars = [cotangents.get(var) for var in linear_inputs]
        flags = [
            bar is not None or want
            for bar, want in zip(bars, [w for w, flag in zip(wanted, linear, strict=True) if flag], strict=True)
        ]
        results = [
            instantiate(bar, var.type.strong())
            for bar, var, flag in zip(bars, linear_inputs, flags, strict=True)
            if flag
        ]
        return trace.finish(results, f"transpose_{program.name}")[0], flags


def _read(trace: Trace, atom: Atom, known: dict[Var, Any], depends: set[Var]) -> Any:
    if isinstance(atom, Var):
        return Linear(atom.type) if atom in depends else known[atom]
    return trace.constant(atom)


def _pull(
    trace: Trace, equation: Equation, known: dict[Var, Any], depends: set[Var], cotangents: dict[Var, Any]
) -> None:
    """Take the cotangents of an equation's outputs to its inputs."""
    y_bars = [cotangents.pop(var, None) for var in equation.outputs]
    if all(y_bar is None for y_bar in y_bars):
        return
    trace.source = equation.source
    y_bar = y_bars if equation.primitive.multiple_results else y_bars[0]
    operands = [_read(trace, atom, known, depends) for atom in equation.inputs]
    try:
        x_bars = equation.primitive.transpose(y_bar, operands, **equation.params)
    except NotDifferentiableError as error:
        if not getattr(error, "__notes__", []):  # programs in programs: the innermost place
            error.add_note(f"(at {location(equation.source)})")
        raise
    for atom, x_bar in zip(equation.inputs, x_bars, strict=True):
        if isinstance(atom, Var) and atom in depends and x_bar is not None:
            cotangents[atom] = plus(cotangents.get(atom), x_bar)
