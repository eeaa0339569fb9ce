"""vmap: a program applied along a batch axis.

Invariant: a batched value carries the batch as axis 0; values that do not depend on the batch stay as they are.
Start at ``vmap_program``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.ir import Atom, Program, Var
from staged_ad.primitives.makers import with_batch
from staged_ad.tracing import building


def vmap_program(
    program: Program, batched: Sequence[bool], size: int, wanted: Sequence[bool] | None = None
) -> tuple[Program, list[bool]]:
    """``x -> y`` becomes ``[x, ...] -> [y, ...]`` along axis 0, and the flags of the outputs that are batched.

    The outputs in `wanted` are batched in any case.
    """
    with building() as trace:
        values: dict[Var, Any] = {
            var: trace.add_input(var.type.with_shape((size, *var.type.shape)) if flag else var.type)
            for var, flag in zip(program.inputs, batched, strict=True)
        }
        along = {var for var, flag in zip(program.inputs, batched, strict=True) if flag}

        def read(atom: Atom) -> Any:
            return values[atom] if isinstance(atom, Var) else trace.constant(atom)

        for equation in program.equations:
            trace.source = equation.source
            operands = [read(atom) for atom in equation.inputs]
            flags = [isinstance(atom, Var) and atom in along for atom in equation.inputs]
            multiple = equation.primitive.multiple_results
            if any(flags):
                results, results_batched = equation.primitive.batch(size, operands, flags, **equation.params)
            else:
                results = trace.emit(equation.primitive, operands, dict(equation.params))
                results_batched = [False] * len(equation.outputs) if multiple else False
            if not multiple:
                results, results_batched = [results], [results_batched]
            values.update(zip(equation.outputs, results, strict=True))
            along.update(var for var, flag in zip(equation.outputs, results_batched, strict=True) if flag)
        trace.source = None
        outputs = [read(atom) for atom in program.outputs]
        outputs_batched = [isinstance(atom, Var) and atom in along for atom in program.outputs]
        if wanted is not None:
            outputs = [
                with_batch(size, value, flag) if flag or want else value
                for value, flag, want in zip(outputs, outputs_batched, wanted, strict=True)
            ]
            outputs_batched = [flag or want for flag, want in zip(outputs_batched, wanted, strict=True)]
        return trace.finish(outputs, f"vmap_{program.name}")[0], outputs_batched
