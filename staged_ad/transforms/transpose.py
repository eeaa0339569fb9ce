"""transpose: turns a linear program around.

Invariant: ``<y_bar, program(x)> == <transpose(y_bar), x>`` for the inputs that are linear.
Start at ``transpose_program``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.ir import Atom, Linear, Program, Var
from staged_ad.primitives.makers import instantiate, plus
from staged_ad.tracing import Tracer, building


def transpose_program(program: Program, linear: Sequence[bool]) -> Program:
    """``(r, x) -> y``, linear in x, becomes ``(r, y_bar) -> x_bar``.

    `linear` says which inputs are x; equations that do not depend on them are computed as they stand.
    """
    with building() as trace:
        known: dict[Var, Tracer] = {
            var: trace.add_input(var.type) for var, flag in zip(program.inputs, linear, strict=True) if not flag
        }
        linear_inputs = [var for var, flag in zip(program.inputs, linear, strict=True) if flag]
        depends = set(linear_inputs)
        cotangents: dict[Var, Any] = {}

        def read(atom: Atom) -> Any:
            if isinstance(atom, Var):
                return Linear(atom.type) if atom in depends else known[atom]
            return trace.constant(atom)

        for equation in program.equations:
            if any(isinstance(atom, Var) and atom in depends for atom in equation.inputs):
                depends.update(equation.outputs)
                continue
            trace.source = equation.source
            result = trace.emit(equation.primitive, [read(atom) for atom in equation.inputs], dict(equation.params))
            results = result if equation.primitive.multiple_results else [result]
            known.update(zip(equation.outputs, results, strict=True))

        for atom in program.outputs:
            ct = trace.add_input(atom.type.strong())
            if isinstance(atom, Var) and atom in depends:
                cotangents[atom] = plus(cotangents.get(atom), ct)

        for equation in reversed(program.equations):
            if not any(var in depends for var in equation.outputs):
                continue
            y_bars = [cotangents.pop(var, None) for var in equation.outputs]
            if all(y_bar is None for y_bar in y_bars):
                continue
            trace.source = equation.source
            y_bar = y_bars if equation.primitive.multiple_results else y_bars[0]
            x_bars = equation.primitive.transpose(y_bar, [read(atom) for atom in equation.inputs], **equation.params)
            for atom, x_bar in zip(equation.inputs, x_bars, strict=True):
                if isinstance(atom, Var) and atom in depends and x_bar is not None:
                    cotangents[atom] = plus(cotangents.get(atom), x_bar)
        trace.source = None
        results = [instantiate(cotangents.get(var), var.type.strong()) for var in linear_inputs]
        return trace.finish(results, f"transpose_{program.name}")[0]
