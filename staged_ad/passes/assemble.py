"""assemble: a sum of padded pieces that do not overlap is one concatenation.

Reverse mode gives such sums for ``x[0]``, ``x[1]``, ...: each piece a cotangent padded with zeros to the shape of x.
As pads, every piece would be computed at every element of x.

Invariant: values are unchanged, save that -0.0 plus the zero of a pad was 0.0.
Start at ``assemble``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from staged_ad.ir import Atom, Equation, Program, Source, Var, filled
from staged_ad.primitives import makers as m
from staged_ad.primitives import shaping as s

Definitions = Mapping[Var, Equation]


@dataclass(frozen=True, slots=True)
class _Piece:
    """`value` stands at ``start:stop`` of one axis of a larger array, zeros elsewhere."""

    value: Atom
    axis: int
    start: int
    stop: int

    @property
    def place(self) -> tuple[int, int, int]:
        return self.axis, self.start, self.stop


def assemble(program: Program) -> Program:
    if not any(equation.primitive is s._pad.primitive for equation in program.equations):
        return program
    uses = Counter(atom for equation in program.equations for atom in equation.inputs if isinstance(atom, Var))
    uses.update(atom for atom in program.outputs if isinstance(atom, Var))
    definitions = {var: equation for equation in program.equations for var in equation.outputs}
    inner = {
        atom
        for equation in program.equations
        if _is_sum(equation)
        for atom in equation.inputs
        if isinstance(atom, Var) and uses[atom] == 1
    }
    equations: list[Equation] = []
    for equation in program.equations:
        if _is_sum(equation) and equation.outputs[0] not in inner:
            equations.extend(_assembled(equation, definitions, uses))
        else:
            equations.append(equation)
    return Program(program.inputs, tuple(equations), program.outputs, program.name)


def _is_sum(equation: Equation) -> bool:
    return equation.primitive is m.add.primitive


def _assembled(equation: Equation, definitions: Definitions, uses: Mapping[Var, int]) -> list[Equation]:
    """What replaces the last addition of a sum; the earlier ones die."""
    terms = _terms(equation, definitions, uses)
    places: dict[tuple[int, int, int], list[Atom]] = {}
    rest: list[Atom] = []
    found = [(term, _piece(term, definitions)) for term in terms]
    chosen = _disjoint([piece for _, piece in found if piece is not None])
    if len(chosen) < 2:
        return [equation]
    for piece in chosen:
        places[piece.place] = []
    for term, candidate in found:
        if candidate is not None and candidate.place in places:
            places[candidate.place].append(candidate.value)
        else:
            rest.append(term)
    new: list[Equation] = []
    pieces = []
    for piece in chosen:
        values = places[piece.place]
        pieces.append(replace(piece, value=_sum(values, Var(piece.value.type), new, equation.source)))
    (output,) = equation.outputs
    whole = Var(output.type) if rest else output
    new.append(_concatenation(pieces, whole, equation.source))
    _sum([whole, *rest], output, new, equation.source)
    return new


def _sum(terms: Sequence[Atom], output: Var, new: list[Equation], source: Source | None) -> Atom:
    """Adds the terms up, from left to right; the last addition gives `output`."""
    total = terms[0]
    for k, term in enumerate(terms[1:], 2):
        result = output if k == len(terms) else Var(output.type)
        new.append(Equation(m.add.primitive, (total, term), {}, (result,), source))
        total = result
    return total


def _terms(equation: Equation, definitions: Definitions, uses: Mapping[Var, int]) -> list[Atom]:
    """The operands of a tree of additions whose inner nodes have no other use, from left to right."""
    terms: list[Atom] = []
    stack: list[Atom] = list(reversed(equation.inputs))
    while stack:
        atom = stack.pop()
        made_by = definitions.get(atom) if isinstance(atom, Var) and uses[atom] == 1 else None
        if made_by is not None and _is_sum(made_by):
            stack.extend(reversed(made_by.inputs))
        else:
            terms.append(atom)
    return terms


def _piece(atom: Atom, definitions: Definitions) -> _Piece | None:
    equation = definitions.get(atom) if isinstance(atom, Var) else None
    if equation is None or equation.primitive is not s._pad.primitive:
        return None
    (value,) = equation.inputs
    low, high = equation.params["low"], equation.params["high"]
    axes = [k for k, (a, b) in enumerate(zip(low, high, strict=True)) if a or b]
    if len(axes) != 1 or not value.type.size:
        return None
    (axis,) = axes
    return _Piece(value, axis, low[axis], low[axis] + value.type.shape[axis])


def _disjoint(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Pieces along the axis of the first that do not overlap, in order of place."""
    if not pieces:
        return []
    chosen: list[_Piece] = []
    for piece in sorted((p for p in pieces if p.axis == pieces[0].axis), key=lambda p: (p.stop, p.start)):
        if not chosen or piece.start >= chosen[-1].stop:
            chosen.append(piece)
    return chosen


def _concatenation(pieces: Sequence[_Piece], output: Var, source: Source | None) -> Equation:
    axis = pieces[0].axis
    parts: list[Atom] = []
    reached = 0
    for piece in pieces:
        parts += _gap(output, axis, piece.start - reached)
        parts.append(piece.value)
        reached = piece.stop
    parts += _gap(output, axis, output.type.shape[axis] - reached)
    return Equation(s.concatenate.primitive, tuple(parts), {"axis": axis}, (output,), source)


def _gap(output: Var, axis: int, length: int) -> list[Atom]:
    shape = output.type.shape
    if not length:
        return []
    return [filled(0, output.type.with_shape((*shape[:axis], length, *shape[axis + 1 :])))]
