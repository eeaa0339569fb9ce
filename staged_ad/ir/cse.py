"""cse: computes equal expressions once. A pass, and the first step of reverse mode: what is equal has one cotangent.

Invariant: equations are equal when primitive, operands and parameters are; all primitives are pure.
Start at ``cse``.
"""

from __future__ import annotations

from typing import Any

from staged_ad.ir.program import Atom, Literal, Program, Var
from staged_ad.ir.rewriting import Substitution


def cse(program: Program) -> Program:
    substitution = Substitution()
    seen: dict[Any, tuple[Var, ...]] = {}
    kept = []
    for equation in program.equations:
        inputs = substitution.atoms(equation.inputs)
        key = equation.primitive, tuple(map(_key, inputs)), tuple(sorted(equation.params.items(), key=lambda p: p[0]))
        known = seen.get(key)
        if known is not None:
            substitution.update(zip(equation.outputs, known, strict=True))
            continue
        seen[key] = equation.outputs
        kept.append(equation.with_inputs(inputs) if inputs != equation.inputs else equation)
    if len(kept) == len(program.equations):
        return program
    return Program(program.inputs, tuple(kept), substitution.atoms(program.outputs), program.name)


def _key(atom: Atom) -> Any:
    return atom.key if isinstance(atom, Literal) else atom
