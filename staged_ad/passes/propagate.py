"""propagate: literals go into the bodies of loops and branches that they are operands of.

Invariant: an operand that was replaced inside stays an operand; ``dce`` removes it.
Start at ``propagate``.
"""

from __future__ import annotations

from staged_ad.control.regions import filled_xs, fixed_inputs
from staged_ad.ir import Equation, Literal, Program
from staged_ad.ir.rewriting import Substitution


def propagate(program: Program) -> Program:
    equations = tuple([_propagated(equation) for equation in program.equations])
    return Program(program.inputs, equations, program.outputs, program.name)


def _propagated(equation: Equation) -> Equation:
    found = {id(inner): {} for inner in equation.programs}  # type: ignore[var-annotated]
    for inner, pairs in fixed_inputs(equation):
        pairs = [*pairs, *filled_xs(equation)]
        found[id(inner)] = {
            var: Literal(atom.value, var.type) for var, atom in pairs if isinstance(atom, Literal) and atom.is_splat
        }
    if not any(found.values()):
        return equation
    return equation.with_programs(lambda inner: _substituted(inner, Substitution(found[id(inner)])))


def _substituted(program: Program, values: Substitution) -> Program:
    if not values:
        return program
    equations = tuple([equation.with_inputs(values.atoms(equation.inputs)) for equation in program.equations])
    return Program(program.inputs, equations, values.atoms(program.outputs), program.name)
