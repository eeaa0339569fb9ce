"""assemble: a sum of padded pieces that do not overlap is one concatenation.

Reverse mode gives such sums for ``x[0]``, ``x[1]``, ...: each piece a cotangent padded with zeros to the shape of x.
As pads, every piece would be computed at every element of x.

Where the pieces are elements of a matrix, it is a concatenation of rows, which are concatenations of elements.

Invariant: values are unchanged up to the order of sums, and save that -0.0 plus the zero of a pad was 0.0.
Start at ``assemble``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from staged_ad.ir import Atom, Equation, Program, Source, Var, filled
from staged_ad.primitives import makers as m
from staged_ad.primitives import shaping as s

Definitions = Mapping[Var, Equation]


@dataclass(frozen=True, slots=True)
class _Term:
    """`value` with `low` zeros before it and `high` behind it along each axis; `padded` is this, where it exists."""

    value: Atom
    low: tuple[int, ...]
    high: tuple[int, ...]
    padded: Atom | None

    @property
    def axis(self) -> int | None:
        """The first axis along which there are zeros."""
        return next((k for k, (a, b) in enumerate(zip(self.low, self.high, strict=True)) if a or b), None)

    def place(self, axis: int) -> tuple[int, int]:
        return self.low[axis], self.low[axis] + self.value.type.shape[axis]

    def between(self, axis: int) -> _Term:
        """Without the zeros along `axis`."""
        low, high = ((*zeros[:axis], 0, *zeros[axis + 1 :]) for zeros in (self.low, self.high))
        return _Term(self.value, low, high, None if any(low) or any(high) else self.value)


def assemble(program: Program) -> Program:
    if not any(equation.primitive is s._pad.primitive for equation in program.equations):
        return program
    uses = program.uses
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


def _assembled(equation: Equation, definitions: Definitions, uses: Mapping[Atom, int]) -> list[Equation]:
    """What replaces the last addition of a sum; the earlier ones die."""
    terms = [_term(atom, definitions) for atom in _terms(equation, definitions, uses)]
    places = _disjoint(terms)[1]
    if len(places) < 2:
        return [equation]
    new: list[Equation] = []
    _total(terms, equation.outputs[0], new, equation.source)
    return new


def _total(terms: Sequence[_Term], output: Var, new: list[Equation], source: Source | None) -> None:
    """Adds the terms up to `output`: place by place along one axis, which are joined, and then the others."""
    axis, places = _disjoint(terms)
    groups: dict[tuple[int, int], list[_Term]] = {place: [] for place in places}
    rest = []
    for term in terms:
        if term.axis == axis and term.place(axis) in groups:
            groups[term.place(axis)].append(term.between(axis))
        else:
            rest.append(_padded(term, output, new, source))
    pieces = []
    shape = output.type.shape
    for place, inside in groups.items():
        type = next((term.value.type for term in inside if not term.value.type.weak), inside[0].value.type)
        piece = Var(type.with_shape((*shape[:axis], place[1] - place[0], *shape[axis + 1 :])))
        pieces.append((place, _whole(inside, piece, new, source)))
    whole = Var(output.type) if rest else output
    new.append(_concatenation(axis, pieces, whole, source))
    _sum([whole, *rest], output, new, source)


def _padded(term: _Term, like: Var, new: list[Equation], source: Source | None) -> Atom:
    """A term with its zeros."""
    if term.padded is not None:
        return term.padded
    result = Var(like.type)
    new.append(Equation(s._pad.primitive, (term.value,), {"low": term.low, "high": term.high}, (result,), source))
    return result


def _whole(terms: Sequence[_Term], output: Var, new: list[Equation], source: Source | None) -> Atom:
    """The sum of terms, as `output` or as the only term itself."""
    if any(term.axis is not None for term in terms):
        _total(terms, output, new, source)
        return output
    return _sum([term.value for term in terms], output, new, source)


def _sum(terms: Sequence[Atom], output: Var, new: list[Equation], source: Source | None) -> Atom:
    """Adds the terms up, from left to right; the last addition gives `output`."""
    total = terms[0]
    for k, term in enumerate(terms[1:], 2):
        result = output if k == len(terms) else Var(output.type)
        new.append(Equation(m.add.primitive, (total, term), {}, (result,), source))
        total = result
    return total


def _terms(equation: Equation, definitions: Definitions, uses: Mapping[Atom, int]) -> list[Atom]:
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


def _term(atom: Atom, definitions: Definitions) -> _Term:
    equation = definitions.get(atom) if isinstance(atom, Var) else None
    if equation is None or equation.primitive is not s._pad.primitive or not equation.inputs[0].type.size:
        none = (0,) * atom.type.ndim
        return _Term(atom, none, none, atom)
    return _Term(equation.inputs[0], equation.params["low"], equation.params["high"], atom)


def _disjoint(terms: Sequence[_Term]) -> tuple[int, list[tuple[int, int]]]:
    """The axis of the first term with zeros, and places along it that do not overlap, in their order."""
    axis = next((term.axis for term in terms if term.axis is not None), 0)
    places = {term.place(axis) for term in terms if term.axis == axis}
    chosen: list[tuple[int, int]] = []
    for start, stop in sorted(places, key=lambda place: (place[1], place[0])):
        if not chosen or start >= chosen[-1][1]:
            chosen.append((start, stop))
    return axis, chosen


def _concatenation(
    axis: int, pieces: Sequence[tuple[tuple[int, int], Atom]], output: Var, source: Source | None
) -> Equation:
    parts: list[Atom] = []
    reached = 0
    for (start, stop), piece in pieces:
        parts += _gap(output, axis, start - reached)
        parts.append(piece)
        reached = stop
    parts += _gap(output, axis, output.type.shape[axis] - reached)
    return Equation(s.concatenate.primitive, tuple(parts), {"axis": axis}, (output,), source)


def _gap(output: Var, axis: int, length: int) -> list[Atom]:
    shape = output.type.shape
    if not length:
        return []
    return [filled(0, output.type.with_shape((*shape[:axis], length, *shape[axis + 1 :])))]
