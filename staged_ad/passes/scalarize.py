"""scalarize: in loops over small arrays every element becomes a value of its own, which has a register.

Array operands stay arrays, of which elements are read; arrays in the carry become as many numbers; stacked results are
put together where they are stored.

Invariant: a sum of elements is taken from the first to the last.
Start at ``scalarize``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from staged_ad.control.regions import carried, with_carries
from staged_ad.ir import ArrayType, Atom, Equation, Literal, Primitive, Program, Var
from staged_ad.ir.lowerings import Alias, Loop, Map, Pieces, View
from staged_ad.primitives import arithmetic as a
from staged_ad.primitives import reductions as r
from staged_ad.primitives.indexing import update
from staged_ad.primitives.makers import add, mul
from staged_ad.primitives.products import dot_general, free_axes
from staged_ad.primitives.shaping import _reshape, concatenate, slice_

TINY = 4
"""Elements up to which an array is taken apart whatever is done with it."""
SMALL = 9
"""The same where no mathematical function is applied to it: vectors would compute these faster."""
FUNCTION = 20
"""Cost of an operation from which it counts as a function."""
MOST = 400
"""Equations of a body that is taken apart."""

Elements = np.ndarray[Any, np.dtype[Any]]  # of atoms
_FOLDS = {
    r.reduce_sum.primitive: add,
    r.reduce_prod.primitive: mul,
    r.reduce_max.primitive: a.maximum,
    r.reduce_min.primitive: a.minimum,
    r.reduce_or.primitive: a.or_,
    r.reduce_and.primitive: a.and_,
}


def scalarize(program: Program) -> Program:
    equations: list[Equation] = []
    for equation in program.equations:
        if isinstance(equation.primitive.lower, Loop):
            equations += _apart(equation)
        else:
            equations.append(equation)
    return Program(program.inputs, tuple(equations), program.outputs, program.name)


def _apart(equation: Equation) -> list[Equation]:
    """The loop over scalars, between what takes its carry apart and what puts it together."""
    carry = carried(equation)
    arrays = [inside.type.shape != () for inside, _, _, _ in carry]
    if not any(arrays) or not all(map(_fits, equation.programs)):
        return [equation]
    before, behind = _Writer(), _Writer()
    starts: list[list[Atom]] = []
    results: list[list[Var]] = []
    for _, _, start, result in carry:
        starts.append(before.elements(start).ravel().tolist())
        if result.type.shape:
            results.append([Var(ArrayType((), result.type.dtype)) for _ in range(result.type.size)])
            behind.array(np.array([*results[-1], None], object)[:-1].reshape(result.type.shape), result)
        else:
            results.append([result])
    loop = with_carries(equation, starts, results, _scalar_program)
    return [*before.equations, loop, *behind.equations]


def _fits(program: Program) -> bool:
    """Whether all its arrays are small, and all it does with them can be done element by element."""
    total = 0
    for equation in program.equations:
        sizes = [atom.type.size for atom in (*equation.inputs, *equation.outputs)]
        lower = equation.primitive.lower
        function = isinstance(lower, Map) and lower.cost >= FUNCTION
        if any(atom.type.ragged for atom in (*equation.inputs, *equation.outputs)):
            return False
        if max(sizes, default=0) > (TINY if function else SMALL) or min(sizes, default=1) == 0:
            return False
        known = isinstance(lower, Map | View | Alias | Pieces) or equation.primitive in _FOLDS
        if not known and equation.primitive not in (dot_general.primitive, update.primitive):
            return False
        total += max(sizes, default=0)
    return total <= MOST and all(not v.type.ragged and v.type.size <= SMALL for v in program.inputs)


def _scalar_program(program: Program, apart: Sequence[bool]) -> Program:
    """`program` on scalars; the inputs in `apart` are one input for each element, and so are the outputs they fit."""
    writer = _Writer()
    inputs: list[Var] = []
    for var, flag in zip(program.inputs, apart, strict=True):
        if flag:
            own = [Var(ArrayType((), var.type.dtype)) if var.type.shape else var for _ in range(var.type.size)]
            inputs += own
            writer.values[var] = _atoms(own, var.type.shape)
        else:
            inputs.append(var)
    for equation in program.equations:
        writer.add(equation)
    outputs: list[Atom] = []
    carries = sum(apart)
    for k, atom in enumerate(program.outputs):
        elements = writer.elements(atom)
        if k < carries or not atom.type.shape:
            outputs += elements.ravel().tolist()
        else:
            outputs.append(writer.array(elements, Var(atom.type)))
    return Program(tuple(inputs), tuple(writer.equations), tuple(outputs), program.name)


def _atoms(atoms: Sequence[Atom], shape: tuple[int, ...]) -> Elements:
    elements = np.empty(len(atoms), object)
    elements[:] = atoms
    return elements.reshape(shape)


class _Writer:
    """Equations on elements. `values` are the elements of the arrays that were met."""

    def __init__(self) -> None:
        self.values: dict[Var, Elements] = {}
        self.equations: list[Equation] = []

    def emit(
        self, primitive: Primitive, inputs: Iterable[Atom], params: Any, type: ArrayType, source: Any = None
    ) -> Var:
        result = Var(type)
        self.equations.append(Equation(primitive, tuple(inputs), dict(params), (result,), source))
        return result

    def elements(self, atom: Atom) -> Elements:
        """The elements of an array; of one that is an array still, they are read."""
        shape, scalar = atom.type.shape, ArrayType((), atom.type.dtype)
        if isinstance(atom, Literal):
            array = np.asarray(atom.array)
            return _atoms([Literal(x, scalar) for x in array.ravel()], shape) if shape else _atoms([atom], ())
        if atom not in self.values:
            if not shape:
                self.values[atom] = _atoms([atom], ())
            else:
                self.values[atom] = _atoms([self._element(atom, place, scalar) for place in np.ndindex(shape)], shape)
        return self.values[atom]

    def _element(self, atom: Var, place: tuple[int, ...], scalar: ArrayType) -> Var:
        ones = (1,) * len(place)
        params = {"start": place, "stop": tuple(k + 1 for k in place), "step": ones}
        piece = self.emit(slice_.primitive, (atom,), params, ArrayType(ones, scalar.dtype))
        return self.emit(_reshape.primitive, (piece,), {"shape": ()}, scalar)

    def array(self, elements: Elements, result: Var) -> Var:
        """`result` as the array of these elements."""
        flat = ArrayType((1,), result.type.dtype)
        parts = [self.emit(_reshape.primitive, (x,), {"shape": (1,)}, flat) for x in elements.ravel()]
        row = self.emit(concatenate.primitive, parts, {"axis": 0}, ArrayType((len(parts),), result.type.dtype))
        shape = {"shape": result.type.shape}
        self.equations.append(Equation(_reshape.primitive, (row,), shape, (result,)))
        return result

    def add(self, equation: Equation) -> None:
        """One equation of the body, element by element."""
        (output,) = equation.outputs
        operands = [self.elements(atom) for atom in equation.inputs]
        lower = equation.primitive.lower
        if isinstance(lower, Map):
            result = self._map(equation, operands)
        elif isinstance(lower, View | Alias | Pieces) or equation.primitive is update.primitive:
            result = self._moved(equation, operands)
        elif equation.primitive is dot_general.primitive:
            result = self._product(equation, operands)
        else:
            result = self._fold(equation, operands[0])
        self.values[output] = result.reshape(output.type.shape)

    def _map(self, equation: Equation, operands: Sequence[Elements]) -> Elements:
        type = equation.outputs[0].type
        scalar = ArrayType((), type.dtype, type.weak)
        columns = zip(*(x.ravel() for x in operands), strict=True)
        found = [self.emit(equation.primitive, xs, equation.params, scalar, equation.source) for xs in columns]
        return _atoms(found, type.shape)

    def _moved(self, equation: Equation, operands: Sequence[Elements]) -> Elements:
        """What only moves elements moves their numbers; number 0 is the zero that padding puts in."""
        type = equation.outputs[0].type
        atoms: list[Atom] = [Literal(type.dtype.type(0), ArrayType((), type.dtype))]
        numbers = []
        for x in operands:
            numbers.append(np.arange(len(atoms), len(atoms) + x.size).reshape(x.shape))
            atoms += x.ravel().tolist()
        moved = np.asarray(equation.primitive.evaluate(*numbers, **equation.params))
        return _atoms([atoms[k] for k in moved.ravel()], type.shape)

    def _fold(self, equation: Equation, x: Elements) -> Elements:
        axes = equation.params["axes"]
        kept = [k for k in range(x.ndim) if k not in axes]
        rows = x.transpose([*kept, *axes]).reshape(equation.outputs[0].type.size, -1)
        combine = _FOLDS[equation.primitive].primitive
        return _atoms([self._folded(combine, row.tolist(), equation) for row in rows], equation.outputs[0].type.shape)

    def _folded(self, combine: Primitive, row: Sequence[Atom], equation: Equation) -> Atom:
        scalar = ArrayType((), equation.outputs[0].type.dtype)
        total = row[0]
        for x in row[1:]:
            total = self.emit(combine, (total, x), {}, scalar, equation.source)
        return total

    def _product(self, equation: Equation, operands: Sequence[Elements]) -> Elements:
        contract, batch = equation.params["contract"], equation.params["batch"]
        type = equation.outputs[0].type
        scalar = ArrayType((), type.dtype)
        rows = []
        for x, axes, along in zip(operands, contract, batch, strict=True):
            free = free_axes(x.ndim, axes, along)
            stack = int(np.prod([x.shape[k] for k in along], dtype=int))
            depth = int(np.prod([x.shape[k] for k in axes], dtype=int))
            rows.append(x.transpose([*along, *free, *axes]).reshape(stack, -1, depth))
        times = (a.and_ if type.dtype.kind == "b" else mul).primitive
        plus: Callable[..., Any] = a.or_ if type.dtype.kind == "b" else add
        found: list[Atom] = []
        for left, right in zip(*rows, strict=True):
            for p in left:
                for q in right:
                    terms = [self.emit(times, pair, {}, scalar, equation.source) for pair in zip(p, q, strict=True)]
                    found.append(self._folded(plus.primitive, terms, equation))  # type: ignore[attr-defined]  # an Operation
        return _atoms(found, type.shape)
