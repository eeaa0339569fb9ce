"""Accumulators: what the reductions of a nest sum up in, cells on the stack that LLVM keeps in registers.

Invariant: each copy of a body has cells of its own, which hold the identity before the reduced loops begin.
Start at ``Accumulators``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from staged_ad.ir.lowerings import ArgFold, Fold
from staged_ad.ir.types import INT64
from staged_ad.lowering import folding
from staged_ad.lowering.code import Code
from staged_ad.lowering.regions import Nest, Reduce, Times
from staged_ad.lowering.schedule import Schedule
from staged_ad.lowering.values import Value, element_type, vector_type


class Cell(NamedTuple):
    """A register with the address of a vector."""

    name: str
    type: str
    dtype: Any


class Accumulators:
    """Those of a nest, set up before the loop number `first`, the first that is reduced.

    `cells` has for each reduction, and each copy, one cell, or two where it is a position.
    """

    def __init__(self, code: Code, schedule: Schedule, nest: Nest, first: int) -> None:
        self.code = code
        self.schedule = schedule
        self.nest = nest
        self.depth = len(schedule.loops)
        self.lanes = schedule.summed_lanes
        self.cells = [
            [self._made(reduce, f"%acc{number}.{copy}", first) for copy in range(schedule.copies)]
            for number, reduce in enumerate(nest.reduces)
        ]

    @property
    def all(self) -> list[Cell]:
        return [cell for copies in self.cells for cells in copies for cell in cells]

    @property
    def allocas(self) -> list[str]:
        return [f"  {cell.name} = alloca {cell.type}, align 64" for cell in self.all]

    def _made(self, reduce: Reduce, name: str, first: int) -> list[Cell]:
        dtype = self.nest.nodes[reduce.node].dtype
        cells = []
        for part, kind in enumerate([dtype, INT64] if isinstance(reduce.rule, ArgFold) else [dtype]):
            initial = self.code.splat(folding.identity(self.code, reduce.rule, kind, part), self.lanes)
            cells.append(Cell(f"{name}.{part}", vector_type(element_type(kind), self.lanes), kind))
            self.code.effect(f"store {initial.operand}, ptr {cells[-1].name}", (cells[-1].name,), first)
        return cells

    def add(self, number: int, copy: int, value: Value, mask: Value | None, position: Value | None) -> None:
        """Write that a reduction takes in a value, of the lanes in `mask`, which has a `position` if that counts."""
        code, reduce, (cell, *place) = self.code, self.nest.reduces[number], self.cells[number][copy]
        if self.schedule.vector not in self.nest.reduced:
            mask = None
        if isinstance(reduce.rule, Fold):
            if mask is not None:
                value = code.select(mask, value, code.constant(reduce.rule.identity(cell.dtype), cell.dtype))
            self._set(cell, self._sum(reduce, self.read(cell, self.depth), value))
            return
        assert position is not None
        best, where = self.read(cell, self.depth), self.read(place[0], self.depth)
        wins = folding.beats(code, reduce.rule, (value, position), (best, where))
        wins = wins if mask is None else code.and_(wins, mask)
        self._set(cell, code.select(wins, value, best))
        self._set(place[0], code.select(wins, position, where))

    def _sum(self, reduce: Reduce, total: Value, value: Value) -> Value:
        """The total with a value, of which all registers go into the one of the total."""
        rule = reduce.rule
        assert isinstance(rule, Fold)
        for start in range(0, self.schedule.lanes, self.lanes):
            part = self.code.part(value, start, self.lanes) if value.lanes > self.lanes else value
            if isinstance(self.nest.nodes[reduce.node], Times):
                total = self.code.contracted("add", total, part)
            else:
                total = rule.combine(self.code, total, part)
        return total

    def read(self, cell: Cell, depth: int) -> Value:
        name = self.code.write(f"load {cell.type}, ptr {cell.name}", cell.type, (cell.name,), depth)
        return Value(name, cell.dtype, self.lanes, depth)

    def _set(self, cell: Cell, value: Value) -> None:
        value = self.code.splat(value, self.lanes)
        self.code.effect(f"store {value.operand}, ptr {cell.name}", (value, cell.name), self.depth)

    def parts(self, number: int, depth: int) -> list[list[Value]]:
        """What each copy has summed up."""
        return [[self.read(cell, depth) for cell in cells] for cells in self.cells[number]]

    def sums(self, copies: Sequence[Sequence[Value]]) -> dict[str, Cell]:
        """Where the values of each copy, by their registers, are summed up so that a NaN among them stays."""
        return {
            values[reduce.node].name: self.cells[number][copy][0]
            for number, reduce in enumerate(self.nest.reduces)
            for copy, values in enumerate(copies)
            if self.starts_at_zero(reduce) and not isinstance(self.nest.nodes[reduce.node], Times)
        }

    def starts_at_zero(self, reduce: Reduce) -> bool:
        """Whether zeros change nothing."""
        return isinstance(reduce.rule, Fold) and bool(reduce.rule.identity(self.nest.nodes[reduce.node].dtype) == 0)
