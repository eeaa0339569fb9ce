"""inline: replaces calls by the equations of the called programs.

Invariant: the result holds no primitive whose lowering is ``Inlined``.
Start at ``inline_calls``.
"""

from __future__ import annotations

from staged_ad.ir import Equation, Program, Source, Var
from staged_ad.ir.lowerings import Inlined
from staged_ad.ir.rewriting import Substitution


def inline_calls(program: Program) -> Program:
    if not any(isinstance(equation.primitive.lower, Inlined) for equation in program.equations):
        return program
    substitution = Substitution()
    equations: list[Equation] = []
    _inline(program.equations, substitution, equations, None)
    return Program(program.inputs, tuple(equations), substitution.atoms(program.outputs), program.name)


def _inline(
    source: tuple[Equation, ...], substitution: Substitution, equations: list[Equation], caller: Source | None
) -> None:
    """Append the equations of `source`; those without a line in the user's code have that of their caller."""
    for equation in source:
        line = equation.source or caller
        inputs = substitution.atoms(equation.inputs)
        if isinstance(equation.primitive.lower, Inlined):
            callee: Program = equation.primitive.lower.program(equation)
            inner = Substitution(zip(callee.inputs, inputs, strict=True))
            _inline(callee.equations, inner, equations, line)
            substitution.update(zip(equation.outputs, inner.atoms(callee.outputs), strict=True))
        else:
            outputs = tuple([Var(var.type) for var in equation.outputs])  # a callee may be inlined many times
            substitution.update(zip(equation.outputs, outputs, strict=True))
            equations.append(Equation(equation.primitive, inputs, equation.params, outputs, line))
