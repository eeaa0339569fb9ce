"""jvp: forward mode.

Invariant: one pass over the equations; tangents that are zero stay symbolic (None) until the end.
Start at ``jvp_program``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.ir import Atom, Program, Var
from staged_ad.primitives.makers import instantiate
from staged_ad.tracing import Tracer, building
from staged_ad.transforms.memo import remembered


def jvp_program(program: Program, active: Sequence[bool]) -> Program:
    """``x -> y`` becomes ``(x, x_dot) -> (y, y_dot)``.

    `active` says which inputs have a tangent. The tangents in the result are those of the active inputs and
    those of all floating-point outputs.
    """
    return symbolic_jvp(program, active, [type.inexact for type in program.output_types])[0]


@remembered
def symbolic_jvp(program: Program, active: Sequence[bool], wanted: Sequence[bool]) -> tuple[Program, list[bool]]:
    """`jvp_program` without tangents that are zero, save those of `wanted` outputs; and which outputs have one."""
    with building() as trace:
        primals: dict[Var, Tracer] = dict(zip(program.inputs, trace.add_inputs(program.input_types), strict=True))
        tangents: dict[Var, Any] = {
            var: trace.add_input(var.type.strong()) for var, has in zip(program.inputs, active, strict=True) if has
        }

        def primal(atom: Atom) -> Tracer:
            return primals[atom] if isinstance(atom, Var) else trace.constant(atom)

        for equation in program.equations:
            trace.source = equation.source
            xs = [primal(atom) for atom in equation.inputs]
            x_dots = [tangents.get(atom) if isinstance(atom, Var) else None for atom in equation.inputs]
            if all(t is None for t in x_dots):
                result = trace.emit(equation.primitive, xs, dict(equation.params))
                ys = result if equation.primitive.multiple_results else [result]
                primals.update(zip(equation.outputs, ys, strict=True))
                continue
            ys, y_dots = equation.primitive.jvp(xs, x_dots, **equation.params)
            if not equation.primitive.multiple_results:
                ys, y_dots = [ys], [y_dots]
            primals.update(zip(equation.outputs, ys, strict=True))
            tangents.update((y, t) for y, t in zip(equation.outputs, y_dots, strict=True) if t is not None)
        trace.source = None
        y_dots = [tangents.get(atom) if isinstance(atom, Var) else None for atom in program.outputs]
        flags = [want or y_dot is not None for y_dot, want in zip(y_dots, wanted, strict=True)]
        given = [
            instantiate(y_dot, atom.type.strong())
            for y_dot, atom, flag in zip(y_dots, program.outputs, flags, strict=True)
            if flag
        ]
        return trace.finish([*map(primal, program.outputs), *given], f"jvp_{program.name}")[0], flags
