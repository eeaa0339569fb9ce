"""carries: a carry that leaves the body as it entered is an operand that does not change; a y that is another y, or
an x, is stacked once.

Invariant: results of loops are unchanged.
Start at ``carries``.
"""

from __future__ import annotations

from staged_ad.control.regions import doubled, settled
from staged_ad.ir import Equation, Program
from staged_ad.ir.rewriting import Substitution


def carries(program: Program) -> Program:
    substitution = Substitution()
    equations: list[Equation] = []
    for equation in program.equations:
        equation = equation.with_inputs(substitution.atoms(equation.inputs))
        equation, still = settled(equation)
        substitution.update(still)
        doubles = doubled(equation)
        if doubles:
            substitution.update(doubles)
            gone = {var for var, _ in doubles}
            assert equation.primitive.prune is not None
            equation = equation.primitive.prune(equation, [var not in gone for var in equation.outputs])
            if not equation.outputs:
                continue
        equations.append(equation)
    return Program(program.inputs, tuple(equations), substitution.atoms(program.outputs), program.name)
