"""fold: computes at compile time what depends on literals alone, and what has no elements.

Invariant: a folded value is what ``evaluate`` gives; large arrays are not folded, views of fills are.
Start at ``fold``.
"""

from __future__ import annotations

import numpy as np

from staged_ad.errors import StagedADError
from staged_ad.ir import Equation, Literal, Program
from staged_ad.ir.lowerings import Alias, Map, View
from staged_ad.ir.rewriting import Substitution

LARGEST = 1024
"""Elements up to which a result is kept as a literal."""


def fold(program: Program) -> Program:
    substitution = Substitution()
    kept = []
    for equation in program.equations:
        inputs = substitution.atoms(equation.inputs)
        literals = [atom for atom in inputs if isinstance(atom, Literal)]
        literal = _empty(equation)
        if literal is None and len(literals) == len(inputs):
            literal = _folded(equation, literals)
        if literal is not None:
            substitution[equation.outputs[0]] = literal
        else:
            kept.append(equation.with_inputs(inputs) if inputs != equation.inputs else equation)
    return Program(program.inputs, tuple(kept), substitution.atoms(program.outputs), program.name)


def _empty(equation: Equation) -> Literal | None:
    type = equation.outputs[0].type if len(equation.outputs) == 1 else None
    if type is None or type.size or type.ragged or equation.primitive.multiple_results:
        return None
    return Literal(type.dtype.type(0), type)


def _folded(equation: Equation, inputs: list[Literal]) -> Literal | None:
    if equation.primitive.multiple_results or not inputs:
        return None
    type = equation.outputs[0].type
    lower = equation.primitive.lower
    splats = all(literal.is_splat for literal in inputs)
    if splats and isinstance(lower, Map):
        operands = [literal.value for literal in inputs]
    elif splats and (isinstance(lower, Alias) or (isinstance(lower, View) and not lower.pads)):
        return Literal(inputs[0].value, type)
    elif type.size <= LARGEST and all(literal.type.size <= LARGEST for literal in inputs):
        operands = [literal.array for literal in inputs]
    else:
        return None
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(equation.primitive.evaluate(*operands, **equation.params), type.dtype)
    except (StagedADError, ValueError, IndexError):
        return None  # it may stand in a branch that is not taken
    if result.shape == ():
        return Literal(result[()], type)
    result = np.array(result, order="C")
    result.flags.writeable = False
    return Literal(result, type)
