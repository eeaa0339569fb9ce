"""partial_eval: splits a program into what known inputs determine and the rest.

Invariant: running the known half, then the unknown half on its residuals, gives what the program gives.
Start at ``partial_eval``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staged_ad.ir import Equation, Program, Var


@dataclass(frozen=True)
class Split:
    """``known: known inputs -> (known outputs, residuals)``; ``unknown: (residuals, unknown inputs) -> rest``."""

    known: Program
    unknown: Program
    outputs_known: tuple[bool, ...]
    residuals: int


def partial_eval(program: Program, known: Sequence[bool]) -> Split:
    """Split `program` by which of its inputs are known."""
    defined = {var for var, flag in zip(program.inputs, known, strict=True) if flag}
    first: list[Equation] = []
    second: list[Equation] = []
    for equation in program.equations:
        flags = [not isinstance(atom, Var) or atom in defined for atom in equation.inputs]
        if all(flags):
            first.append(equation)
            defined.update(equation.outputs)
        elif any(flags) and equation.primitive.partial_eval is not None:
            before, after, now_known = equation.primitive.partial_eval(equation, flags)
            first.append(before)
            second.append(after)
            defined.update(now_known)
        else:
            second.append(equation)
    outputs_known = tuple(not isinstance(atom, Var) or atom in defined for atom in program.outputs)
    later = [atom for atom, flag in zip(program.outputs, outputs_known, strict=True) if not flag]
    needed = dict.fromkeys(
        atom for equation in second for atom in equation.inputs if isinstance(atom, Var) and atom in defined
    )
    residuals = tuple(needed)
    sooner = [atom for atom, flag in zip(program.outputs, outputs_known, strict=True) if flag]
    known_inputs = tuple(var for var, flag in zip(program.inputs, known, strict=True) if flag)
    unknown_inputs = tuple(var for var, flag in zip(program.inputs, known, strict=True) if not flag)
    return Split(
        Program(known_inputs, tuple(first), (*sooner, *residuals), f"known_{program.name}"),
        Program((*residuals, *unknown_inputs), tuple(second), tuple(later), f"unknown_{program.name}"),
        outputs_known,
        len(residuals),
    )
