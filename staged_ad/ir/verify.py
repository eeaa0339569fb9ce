"""verify: checks that a program is well formed.

Invariant: a program that passes is typed, in single assignment form, and closed.
Start at ``verify``.
"""

from __future__ import annotations

from staged_ad.errors import StagedADError, VerificationError
from staged_ad.ir.program import Atom, Equation, Literal, Program, Var
from staged_ad.ir.text import Names, equation_text
from staged_ad.ir.types import FLOAT16


def verify(program: Program) -> Program:
    """Returns `program`; raises VerificationError naming the bad equation, its neighbours shown."""
    defined: set[Var] = set()
    for var in program.inputs:
        if var in defined:
            raise VerificationError(f"input of type {var.type} appears twice")
        defined.add(var)
    for position, equation in enumerate(program.equations):
        fault = _fault(equation, defined)
        if fault:
            raise VerificationError(f"{fault}, in equation {position}\n{_neighbours(program, position)}")
        defined.update(equation.outputs)
    for number, atom in enumerate(program.outputs):
        fault = _atom_fault(atom, defined)
        if fault:
            raise VerificationError(f"{fault}, in output {number}\n{_neighbours(program, len(program.equations))}")
    return program


def _atom_fault(atom: Atom, defined: set[Var]) -> str | None:
    if isinstance(atom, Literal):
        if atom.value.dtype != atom.type.dtype:
            return f"literal {atom.value!r} has dtype {atom.value.dtype}, its type says {atom.type}"
        if atom.value.shape not in ((), atom.type.shape):
            return f"literal of shape {atom.value.shape} has type {atom.type}"
        return None
    return None if atom in defined else f"a variable of type {atom.type} is used before it is defined"


def _fault(equation: Equation, defined: set[Var]) -> str | None:
    for atom in equation.inputs:
        fault = _atom_fault(atom, defined)
        if fault:
            return fault
    for position, var in enumerate(equation.outputs):
        if var in defined or var in equation.outputs[:position]:
            return f"a variable of type {var.type} is assigned twice"
    for inner in equation.programs:
        verify(inner)
    if equation.primitive.lower.computes:
        for atom in (*equation.inputs, *equation.outputs):
            if atom.type.dtype == FLOAT16:
                return f"{equation.primitive.name} computes with a value of type {atom.type}, which casts have to widen"
    try:
        result = equation.primitive.abstract_eval(*(atom.type for atom in equation.inputs), **equation.params)
    except (StagedADError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    expected = list(result) if equation.primitive.multiple_results else [result]
    found = [var.type for var in equation.outputs]
    if expected != found:
        return f"outputs have types {', '.join(map(str, found))}, should be {', '.join(map(str, expected))}"
    return None


def _neighbours(program: Program, position: int) -> str:
    names = Names()
    for var in program.inputs:
        names.of(var)
    lines = []
    for number, equation in enumerate(program.equations):
        text = equation_text(equation, names)
        if abs(number - position) <= 2:
            lines.append(f"{'-->' if number == position else '   '} {number:4}: {text}")
    return "\n".join(lines)
