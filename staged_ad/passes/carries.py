"""carries: a carry that leaves the body as it entered is an operand that does not change; a y that is another y, or
an x, is stacked once.

Invariant: results of loops are unchanged.
Start at ``carries``.
"""

from __future__ import annotations

from staged_ad.control.regions import carried, doubled, without_carries
from staged_ad.ir import Equation, Program
from staged_ad.passes.rewriting import Substitution


def carries(program: Program) -> Program:
    substitution = Substitution()
    equations: list[Equation] = []
    for equation in program.equations:
        equation = equation.with_inputs(substitution.atoms(equation.inputs))
        found = carried(equation)
        still = [k for k, (var, after, _, _) in enumerate(found) if after is var]
        if len(still) == len(found) and "cond" in equation.params:
            still = []  # it does not end, or does nothing: that is not known here
        if still:
            substitution.update((found[k][3], found[k][2]) for k in still)
            equation = without_carries(equation, still)
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
