"""dce: removes equations that no output needs.

Invariant: outputs are unchanged; inputs stay, used or not.
Start at ``dce``.
"""

from __future__ import annotations

from staged_ad.ir import Program, Var


def dce(program: Program) -> Program:
    needed = {atom for atom in program.outputs if isinstance(atom, Var)}
    kept = []
    for equation in reversed(program.equations):
        if any(var in needed for var in equation.outputs):
            kept.append(equation)
            needed.update(atom for atom in equation.inputs if isinstance(atom, Var))
    return Program(program.inputs, tuple(reversed(kept)), program.outputs, program.name)
