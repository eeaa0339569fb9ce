"""vmap: a program applied along a batch axis.

Invariant: a batched value carries the batch as axis 0, a ragged one as axis 0 or behind its last ragged axis; its flag
says which. Values that do not depend on the batch stay as they are.
Start at ``vmap_program``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.ir import ArrayType, Atom, Program, Var
from staged_ad.ir.types import RAGGED
from staged_ad.primitives.makers import with_batch
from staged_ad.tracing import building
from staged_ad.transforms.memo import remembered

BEHIND = 2
"""The flag of a ragged array whose entries are batched, instead of a batch of ragged arrays; elsewhere True."""


def batched_type(type: ArrayType, size: int, flag: int) -> ArrayType:
    """The type of a batch of `size` values."""
    place = 0
    if flag == BEHIND:
        place = len(type.shape) - type.shape[::-1].index(RAGGED)
    return type.with_shape((*type.shape[:place], size, *type.shape[place:]))


@remembered
def vmap_program(
    program: Program, batched: Sequence[int], size: int, wanted: Sequence[int] | None = None
) -> tuple[Program, list[Any]]:
    """``x -> y`` becomes ``[x, ...] -> [y, ...]`` along axis 0, and the flags of the outputs that are batched.

    The outputs in `wanted` are batched in any case.
    """
    with building() as trace:
        values: dict[Var, Any] = {
            var: trace.add_input(batched_type(var.type, size, flag) if flag else var.type)
            for var, flag in zip(program.inputs, batched, strict=True)
        }
        along: dict[Atom, int] = {var: flag for var, flag in zip(program.inputs, batched, strict=True) if flag}

        def read(atom: Atom) -> Any:
            return values[atom] if isinstance(atom, Var) else trace.constant(atom)

        for equation in program.equations:
            trace.source = equation.source
            operands = [read(atom) for atom in equation.inputs]
            flags = [along.get(atom, False) for atom in equation.inputs]
            multiple = equation.primitive.multiple_results
            if any(flags):
                results, results_batched = equation.primitive.batch(size, operands, flags, **equation.params)
            else:
                results = trace.emit(equation.primitive, operands, dict(equation.params))
                results_batched = [False] * len(equation.outputs) if multiple else False
            if not multiple:
                results, results_batched = [results], [results_batched]
            values.update(zip(equation.outputs, results, strict=True))
            along.update((var, flag) for var, flag in zip(equation.outputs, results_batched, strict=True) if flag)
        trace.source = None
        outputs = [read(atom) for atom in program.outputs]
        outputs_batched = [along.get(atom, False) for atom in program.outputs]
        if wanted is not None:
            outputs = [
                with_batch(size, value, False) if want and not flag else value
                for value, flag, want in zip(outputs, outputs_batched, wanted, strict=True)
            ]
            outputs_batched = [flag or want for flag, want in zip(outputs_batched, wanted, strict=True)]
        return trace.finish(outputs, f"vmap_{program.name}")[0], outputs_batched
