"""Expressions: the graph of scalar operations inside one loop nest.

Invariant: a node is an (expression, index, guard) met once; operands come before their users.
Start at ``Expressions.node``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from staged_ad.ir import Atom, Equation, Literal, Var
from staged_ad.ir.lowerings import Alias, ArgFold, Fold, Gather, Map, Overwrite, Pieces, Product, View
from staged_ad.ir.lowerings import Index as OwnIndex
from staged_ad.lowering.indexing import Affine, Condition, Index, computed, flat, identity, reshaped
from staged_ad.lowering.regions import Apply, Constant, Guarded, Load, Nest, Node, OfIndex, Reduce, Store, Times
from staged_ad.primitives.products import free_axes
from staged_ad.primitives.reductions import reduce_sum


@dataclass(frozen=True, eq=False, slots=True)
class _Context:
    """Where an expression is wanted; one object per (index, guard)."""

    index: Index
    guard: tuple[Condition, ...]


_Wanted = tuple[Atom, _Context]


class Expressions:
    """Adds to `nest` the nodes for values at indices. `own` are stored values that this nest itself computes."""

    def __init__(self, definitions: Mapping[Var, Equation], stored: set[Var], own: set[Var], nest: Nest) -> None:
        self.definitions = definitions
        self.stored = stored
        self.own = own
        self.nest = nest
        self._contexts: dict[tuple[Index, tuple[Condition, ...]], _Context] = {}
        self._known: dict[_Wanted, int] = {}
        self._numbers: dict[Any, int] = {}
        self._identities: dict[tuple[int, ...], Index] = {}

    def node(self, atom: Atom, index: Index, guard: tuple[Condition, ...] = ()) -> int:
        """The number of the node that is `atom` at `index`."""
        wanted = atom, self._context(index, guard)
        stack = [wanted]
        known = self._known
        while stack:
            top = stack[-1]
            if top in known:
                stack.pop()
                continue
            operands = self._operands(top)
            missing = [operand for operand in operands if operand not in known]
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            known[top] = self._make(top, [known[operand] for operand in operands])
        return known[wanted]

    def whole(self, atom: Atom, target: Var) -> Store:
        """Every element of a value in its place."""
        shape = atom.type.shape
        index = identity(shape)
        return Store(self.node(atom, index), target, flat(index, shape))

    def piece(self, equation: Equation, number: int) -> Store:
        """One operand of a concatenation in the result."""
        (output,), axis = equation.outputs, equation.params["axis"]
        x = equation.inputs[number]
        index = identity(x.type.shape)
        shift = sum(other.type.shape[axis] for other in equation.inputs[:number])
        moved = tuple(i + shift if k == axis else i for k, i in enumerate(index))
        return Store(self.node(x, index), output, flat(moved, output.type.shape))

    def fold(self, equation: Equation) -> Reduce:
        """The reduction of an array along some of its axes."""
        (x,), (output,) = equation.inputs, equation.outputs
        rule = equation.primitive.lower
        assert isinstance(rule, Fold | ArgFold)
        axes = equation.params["axes"] if isinstance(rule, Fold) else (equation.params["axis"],)
        index = identity(x.type.shape)
        kept = tuple(i for k, i in enumerate(index) if k not in axes)
        position = index[axes[0]] if isinstance(rule, ArgFold) else None
        return Reduce(self.node(x, index), output, flat(kept, output.type.shape), rule, position)

    def product(self, equation: Equation) -> Reduce:
        """An inline dot_general: the fold of the products of its operands' elements."""
        (a, b), (output,) = equation.inputs, equation.outputs
        contract, batch = equation.params["contract"], equation.params["batch"]
        contracted = tuple(a.type.shape[k] for k in contract[0])
        shape = (*output.type.shape, *contracted)
        index = identity(shape)
        stack, rest = len(batch[0]), index[output.type.ndim :]
        a_free, b_free = free_axes(a.type.ndim, contract[0], batch[0]), free_axes(b.type.ndim, contract[1], batch[1])
        left = self._arranged(a, index[:stack], index[stack : stack + len(a_free)], rest, batch[0], a_free, contract[0])
        right = self._arranged(b, index[:stack], index[stack + len(a_free) :], rest, batch[1], b_free, contract[1])
        node = self._add(Times(self.node(a, left), self.node(b, right), output.type.dtype))
        rule = reduce_sum.primitive.lower
        assert isinstance(rule, Fold)
        return Reduce(node, output, flat(index[: output.type.ndim], output.type.shape), rule)

    @staticmethod
    def _arranged(
        x: Atom,
        batch: Index,
        free: Index,
        contracted: Index,
        batch_axes: Sequence[int],
        free_places: Sequence[int],
        contracted_axes: Sequence[int],
    ) -> Index:
        result = [Affine(0)] * x.type.ndim
        for axes, parts in ((batch_axes, batch), (free_places, free), (contracted_axes, contracted)):
            for axis, i in zip(axes, parts, strict=False):
                result[axis] = i
        return tuple(result)

    def _context(self, index: Index, guard: tuple[Condition, ...]) -> _Context:
        return self._contexts.setdefault((index, guard), _Context(index, guard))

    def _is_expression(self, var: Var, context: _Context) -> bool:
        """Whether `var` is computed here rather than loaded."""
        if var not in self.definitions:
            return False
        if var not in self.stored:
            return True
        if var not in self.own or context.guard:
            return False
        shape = var.type.shape
        if shape not in self._identities:
            self._identities[shape] = identity(shape)
        return context.index == self._identities[shape]

    def _operands(self, wanted: _Wanted) -> list[_Wanted]:
        atom, context = wanted
        if isinstance(atom, Literal) or not atom.type.size or not self._is_expression(atom, context):
            return []
        equation = self.definitions[atom]
        match equation.primitive.lower:
            case Map():
                return [(x, context) for x in equation.inputs]
            case View() as view:
                (x,) = equation.inputs
                index, conditions = view.index(context.index, x.type, **equation.params)
                guard = (*context.guard, *(c for c in conditions if c not in context.guard))
                return [(x, self._context(tuple(index), guard))]
            case Alias():
                (x,) = equation.inputs
                inner = reshaped(context.index, atom.type.shape, x.type.shape)
                # an operand that cannot be indexed this way is stored, and read as flat memory
                return [] if inner is None else [(x, self._context(inner, context.guard))]
            case Gather() as rule:
                x, *arrays = equation.inputs
                reading = self._reading(arrays, context)
                if any(wanted not in self._known for wanted in reading):
                    return reading
                positions = [computed(self._known[wanted]) for wanted in reading]
                index = rule.place(context.index, positions, x.type, **equation.params)
                return [*reading, (x, self._context(tuple(index), context.guard))]
            case Pieces() | Product():
                raise AssertionError(f"{equation.primitive.name} is always stored")
            case _:
                return []

    def _reading(self, arrays: Sequence[Atom], context: _Context) -> list[_Wanted]:
        """Arrays of positions where the element is wanted: they lie along its first axes."""
        leading = self._context(context.index[: arrays[0].type.ndim], context.guard)
        return [(array, leading) for array in arrays]

    def overwriting(self, equation: Equation) -> Store:
        """The elements of a scatter or update as a store into the result, which holds the first operand."""
        x, u, *arrays = equation.inputs
        (output,) = equation.outputs
        rule = equation.primitive.lower
        assert isinstance(rule, Overwrite)
        index = identity(u.type.shape)
        leading = index[: arrays[0].type.ndim] if arrays else ()
        positions = [computed(self.node(array, leading)) for array in arrays]
        place = tuple(rule.place(index, positions, x.type, **equation.params))
        written = {d for i in leading[equation.params.get("batch", 0) :] for d, _ in i.terms}
        ordered = frozenset[int]() if equation.params.get("unique", True) else frozenset(written)
        combine = None
        if equation.params.get("mode", "set") != "set" and rule.combine is not None:
            combine = partial(rule.combine, mode=equation.params["mode"])
        node = self.node(u, index)
        return Store(node, output, flat(place, output.type.shape), combine, ordered)

    def _make(self, wanted: _Wanted, operands: list[int]) -> int:
        atom, context = wanted
        dtype = atom.type.dtype
        if not atom.type.size:
            return self._add(Constant(dtype.type(0), dtype))
        if isinstance(atom, Literal):
            if atom.is_splat:
                return self._add(Constant(atom.value, dtype))
            return self._load(atom, context)
        if not self._is_expression(atom, context):
            return self._load(atom, context)
        equation = self.definitions[atom]
        match equation.primitive.lower:
            case Map():
                return self._add(Apply(equation, tuple(operands), dtype))
            case View() as view:
                conditions = view.index(context.index, equation.inputs[0].type, **equation.params)[1]
                return self._add(Guarded(operands[0], tuple(conditions), dtype)) if conditions else operands[0]
            case Gather():
                return operands[-1]
            case Alias():
                if operands:
                    return operands[0]
                (x,) = equation.inputs
                if isinstance(x, Literal) and x.is_splat:
                    return self._add(Constant(x.value, dtype))
                address = flat(context.index, atom.type.shape)
                return self._add(Load(x, address, context.guard, dtype))
            case OwnIndex():
                return self._add(OfIndex(equation, context.index, dtype))
            case _:
                raise AssertionError(f"{equation.primitive.name} is always stored")

    def _load(self, atom: Atom, context: _Context) -> int:
        return self._add(Load(atom, flat(context.index, atom.type.shape), context.guard, atom.type.dtype))

    def _add(self, node: Node) -> int:
        """Append a node; loads of one element and equal operations are one node."""
        key: Any
        match node:
            case Apply():
                key = id(node.equation), node.operands
            case Load():
                key = id(node.array), node.address, node.guard
            case _:
                key = id(node)
        known = self._numbers.get(key)
        if known is None:
            known = self._numbers[key] = len(self.nest.nodes)
            self.nest.nodes.append(node)
        return known
