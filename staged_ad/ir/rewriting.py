"""Replacing variables, as passes do.

Invariant: a substitution maps variables of the old program to atoms of the new one.
Start at ``Substitution``, ``spliced``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from staged_ad.ir.program import Atom, Equation, Program, Var


class Substitution(dict[Var, Atom]):
    """What stands for a variable now; variables that are not in it stand for themselves."""

    def atoms(self, atoms: Iterable[Atom]) -> tuple[Atom, ...]:
        get = self.get
        return tuple([get(atom, atom) if type(atom) is Var else atom for atom in atoms])


def spliced(program: Program, rewritten: Callable[[Equation], Program | None]) -> Program:
    """`program` with other programs of the same inputs in the place of the equations for which `rewritten` has one."""
    names = Substitution()
    equations: list[Equation] = []
    for equation in program.equations:
        equation = equation.with_inputs(names.atoms(equation.inputs)) if names else equation
        part = rewritten(equation)
        if part is None:
            equations.append(equation)
            continue
        inner = Substitution(zip(part.inputs, equation.inputs, strict=True))
        equations += [new.with_inputs(inner.atoms(new.inputs)) for new in part.equations]
        names.update(zip(equation.outputs, inner.atoms(part.outputs), strict=True))
    return Program(program.inputs, tuple(equations), names.atoms(program.outputs), program.name)
