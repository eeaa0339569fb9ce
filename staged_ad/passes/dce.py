"""dce: removes equations that no output needs, and of loops and branches the results that nothing needs.

Invariant: outputs are unchanged; inputs stay, used or not; guards stay.
Start at ``dce``.
"""

from __future__ import annotations

from staged_ad.ir import Program, Var
from staged_ad.ir.lowerings import Check


def dce(program: Program) -> Program:
    needed = {atom for atom in program.outputs if isinstance(atom, Var)}
    kept = []
    for equation in reversed(program.equations):
        if isinstance(equation.primitive.lower, Check) or any(var in needed for var in equation.outputs):
            if equation.primitive.prune is not None:
                equation = equation.primitive.prune(equation, [var in needed for var in equation.outputs])
            kept.append(equation)
            needed.update(atom for atom in equation.inputs if isinstance(atom, Var))
    return Program(program.inputs, tuple(reversed(kept)), program.outputs, program.name)
