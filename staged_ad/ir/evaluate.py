"""evaluate: runs a program with NumPy, one equation at a time. It is the meaning of the language.

Invariant: results are fresh arrays (0-d ones NumPy scalars); inputs are never modified.
Start at ``evaluate``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from staged_ad.errors import IndexingError, IntegerDivisionError, LinAlgError, OutOfRangeError, StagedADError
from staged_ad.ir.program import Atom, Equation, Literal, Program, Var


def evaluate(program: Program, *arrays: Any) -> list[Any]:
    """The outputs of `program` at the given arrays; what no output needs is not computed.

    A ragged array is a ``Stack``. NumPy's floating-point warnings are silent, as in compiled code: a branch not taken
    may divide by zero.
    """
    program = program.lean
    values: dict[Var, Any] = {
        var: array if var.type.ragged else np.asarray(array, dtype=var.type.dtype)
        for var, array in zip(program.inputs, arrays, strict=True)
    }
    given = {id(value) for value in values.values()}

    def read(atom: Atom) -> Any:
        return atom.array if isinstance(atom, Literal) else values[atom]

    with np.errstate(all="ignore"):
        for equation, dead in zip(program.equations, program.last_uses, strict=True):
            try:
                result = equation.primitive.evaluate(*map(read, equation.inputs), **equation.params)
            except (LinAlgError, IndexingError, OutOfRangeError, IntegerDivisionError) as error:
                raise _located(error, equation) from None
            results = result if equation.primitive.multiple_results else (result,)
            values.update(zip(equation.outputs, results, strict=True))
            for var in dead:
                del values[var]
    return [_fresh(read(atom), given) for atom in program.outputs]


def _located(error: StagedADError, equation: Equation) -> StagedADError:
    """The error with the user's line, where the equation knows it and no inner equation did."""
    if equation.source is None or "(at " in error.said:
        return error
    return type(error)(f"{error.said} (at {equation.place})")


def _fresh(value: Any, given: set[int]) -> Any:
    """`value` as a result of its own: no view, no input, no constant; a NumPy scalar when it is 0-d."""
    if not isinstance(value, np.ndarray):
        return value
    if value.ndim == 0:
        return value[()]
    flags = value.flags
    if id(value) in given or value.base is not None or not (flags.c_contiguous and flags.writeable):
        return np.array(value, order="C")
    given.add(id(value))
    return value
