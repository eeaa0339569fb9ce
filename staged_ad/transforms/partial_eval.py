"""partial_eval: splits a program into what known inputs determine and the rest.

Invariant: running the known half, then the unknown half on its residuals, gives what the program gives.
Start at ``partial_eval``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from staged_ad.ir import Equation, Program, Var
from staged_ad.transforms.memo import remembered


class Split(NamedTuple):
    """``known: known inputs -> (known outputs, residuals)``; ``unknown: (residuals, unknown inputs) -> rest``."""

    known: Program
    unknown: Program
    outputs_known: tuple[bool, ...]
    residuals: int


@remembered
def partial_eval(program: Program, known: Sequence[bool], unknown_outputs: Sequence[bool] | None = None) -> Split:
    """Split `program` by which of its inputs are known; `unknown_outputs` are left to the second half in any case."""
    defined = {var for var, flag in zip(program.inputs, known, strict=True) if flag}
    first: list[Equation] = []
    second: list[Equation] = []
    for equation in program.equations:
        flags = [not isinstance(atom, Var) or atom in defined for atom in equation.inputs]
        split = None
        if all(flags):
            first.append(equation)
            defined.update(equation.outputs)
            continue
        if any(flags) and equation.primitive.partial_eval is not None:
            split = equation.primitive.partial_eval(equation, flags)
        if split is None:
            second.append(equation)
        else:
            before, after, now_known = split
            first += before
            second += after
            defined.update(now_known)
    outputs_known = tuple(
        (not isinstance(atom, Var) or atom in defined) and not (unknown_outputs and unknown_outputs[k])
        for k, atom in enumerate(program.outputs)
    )
    later = [atom for atom, flag in zip(program.outputs, outputs_known, strict=True) if not flag]
    read = [atom for equation in second for atom in equation.inputs]
    residuals = tuple(dict.fromkeys(atom for atom in (*read, *later) if isinstance(atom, Var) and atom in defined))
    sooner = [atom for atom, flag in zip(program.outputs, outputs_known, strict=True) if flag]
    known_inputs = tuple(var for var, flag in zip(program.inputs, known, strict=True) if flag)
    unknown_inputs = tuple(var for var, flag in zip(program.inputs, known, strict=True) if not flag)
    return Split(
        Program(known_inputs, tuple(first), (*sooner, *residuals), f"known_{program.name}"),
        Program((*residuals, *unknown_inputs), tuple(second), tuple(later), f"unknown_{program.name}"),
        outputs_known,
        len(residuals),
    )
