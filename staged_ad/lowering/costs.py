"""What it costs to compute a value again, and where that happens: fusion stores what costs more than a store.

Invariant: costs are about instructions per vector, from what is stored.
Start at ``costs_of``.
"""

from __future__ import annotations

from collections.abc import Container

from staged_ad.ir import Equation, Program, Var
from staged_ad.ir.lowerings import Gather, Map

CHEAP = 16
"""Cost up to which an expression is computed again rather than stored."""

OFTEN = 3 * CHEAP
"""The same for all that is computed again, as by a stencil of many points."""

TRIVIAL = 2
"""The same for an operand of an inline product, which computes it again for each row or column, and of short rows."""

LOOKUP = 4.0
"""Cost of an element at a computed place."""

SHORT = 64
"""Iterations of an inner loop up to which what is constant in it is rather computed in vectors of its own."""

SMALL = 4096
"""Elements up to which an array is in the first cache when it is read again."""


def costs_of(program: Program, stored: Container[Var]) -> dict[Var, float]:
    """Instructions to compute each value from stored ones."""
    costs: dict[Var, float] = {}
    for equation in program.equations:
        lower = equation.primitive.lower
        own = float(lower.cost) if isinstance(lower, Map) else LOOKUP if isinstance(lower, Gather) else 0.0
        for atom in equation.inputs:
            if isinstance(atom, Var) and atom not in stored:
                own += costs.get(atom, 0.0)
        for output in equation.outputs:
            costs[output] = min(own, 1e9)
    return costs


def grows(equation: Equation) -> bool:
    """Whether it is a broadcast to more elements."""
    return "dims" in equation.params and equation.outputs[0].type.size > equation.inputs[0].type.size


def repeats(equation: Equation) -> bool:
    """A broadcast whose operand would be computed for each new element, or one by one outside of a short loop."""
    x, (y,) = equation.inputs[0], equation.outputs
    if isinstance(equation.primitive.lower, Gather):
        return y.type.size > x.type.size
    if not grows(equation):
        return False
    if y.type.size < SHORT * x.type.size:
        return True
    inner = _kept(equation)
    return inner != list(range(len(inner)))


def fills_rows(equation: Equation) -> bool:
    """Whether rows of a small array repeat an operand: there it is one number at a time, on its own a vector."""
    x, (y,) = equation.inputs[0], equation.outputs
    if "dims" not in equation.params or not 1 < x.type.size < y.type.size <= SMALL:
        return False
    return y.type.ndim - 1 not in _kept(equation)


def _kept(broadcast: Equation) -> list[int]:
    """The dimensions of the result along which the operand is not repeated."""
    (x, *_), dims = broadcast.inputs, broadcast.params["dims"]
    return [d for k, d in enumerate(dims) if x.type.shape[k] != 1]
