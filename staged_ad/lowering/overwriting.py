"""Arrays that are written into: how they begin, and what must be read before.

A scatter or update becomes a copy of its first operand and a nest that stores into it; where nothing needs the
operand any more, both have one place, and the copy is none.

Invariant: what a nest writes into it does not read, except where it has one point.
Start at ``beginning``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from staged_ad.ir import Atom, Equation, Literal, Var
from staged_ad.lowering.indexing import flat, identity, squeezed
from staged_ad.lowering.regions import Constant, Copy, Nest, Store


def beginning(equation: Equation) -> Copy | Nest:
    """What gives the result of an overwriting equation the elements of its first operand."""
    x, (result,) = equation.inputs[0], equation.outputs
    if not isinstance(x, Literal) or not x.is_splat:
        return Copy(x, result)
    shape = result.type.shape
    fill = Store(0, result, flat(identity(shape), shape))
    return Nest(squeezed(shape), frozenset(), [Constant(x.value, x.type.dtype)], [fill])


def read_while_written(equation: Equation, definitions: Mapping[Var, Equation], stored: set[Var]) -> Iterator[Atom]:
    """Operands whose expressions read the array that is written: they are stored before it is."""
    x, u, *indices = equation.inputs
    if u.type.size <= 1 or isinstance(x, Literal):
        return
    for operand in (u, *indices):
        pending, seen = [operand], set[Atom]()
        while pending:
            atom = pending.pop()
            if atom is x:
                yield operand
                break
            definition = definitions.get(atom) if isinstance(atom, Var) and atom not in seen else None
            seen.add(atom)
            if definition is not None and (atom not in stored or atom is operand):
                pending += definition.inputs
