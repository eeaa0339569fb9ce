"""accumulate: what is added to an array element by element is added in place, not as an array of zeros with it.

Reverse mode gives ``total + scatter(zeros, u, i)`` for each reading ``x[i]``; this is ``scatter(total, u, i)``.

Invariant: a result differs by the rounding of a sum in another order only, and by the sign of zeros.
Start at ``accumulate``.
"""

from __future__ import annotations

from staged_ad.ir import Equation, Literal, Program, Var
from staged_ad.primitives.indexing import scatter
from staged_ad.primitives.makers import add


def accumulate(program: Program) -> Program:
    if not any(equation.primitive is scatter.primitive for equation in program.equations):
        return program
    uses = program.uses
    made: dict[Var, Equation] = {}
    gone: set[int] = set()
    equations: list[Equation] = []
    for equation in program.equations:
        if equation.primitive is add.primitive:
            for total, part in (equation.inputs, equation.inputs[::-1]):
                sums = made.get(part) if isinstance(part, Var) and uses[part] == 1 else None
                if sums is not None:
                    gone.add(id(sums))
                    inputs = (total, *sums.inputs[1:])
                    equation = Equation(sums.primitive, inputs, sums.params, equation.outputs, sums.source)
                    break
        if _adds_to_zeros(equation):
            made[equation.outputs[0]] = equation
        equations.append(equation)
    kept = tuple([equation for equation in equations if id(equation) not in gone])
    return Program(program.inputs, kept, program.outputs, program.name)


def _adds_to_zeros(equation: Equation) -> bool:
    if equation.primitive is not scatter.primitive or equation.params["mode"] != "add":
        return False
    x = equation.inputs[0]
    return isinstance(x, Literal) and x.is_splat and not x.value
