"""Runs of checkpointed loops over large arrays: the host goes through the table of actions, and launches their steps.

It does at addresses what lowering/sweeps.py does in registers: states alternate between two buffers, or go to their
slots; restoring one means to read it where it lies.

Invariant: nothing writes to what a state or a residual set is read from, as the table says.
Start at ``retrace``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from staged_ad.control.schedules import INITIAL
from staged_ad.control.schedules import Action as Row
from staged_ad.control.sweep_plan import decoded, online_table
from staged_ad.control.sweep_run import Backward, Forward
from staged_ad.cuda.actions import Action, Retrace
from staged_ad.ir import ArrayType
from staged_ad.lowering.storage import ALIGNMENT, nbytes
from staged_ad.lowering.sweep_plan import SweepPlan


class Memory(Protocol):
    """What of an engine is needed here."""

    def move(self, target: int, source: int, size: int, /) -> None: ...

    def number(self, address: int, dtype: np.dtype[Any], /) -> int: ...

    def set_number(self, address: int, value: int, /) -> None: ...


def retrace(action: Retrace, places: dict[str, int], memory: Memory, run: Callable[[Sequence[Action]], int]) -> int:
    """Run a checkpointed loop; `places` has the addresses of its operands, and gets those of what its blocks name.

    Returns the status that ended it, or 0.
    """
    loop = _Run(action, places, memory, run)
    return loop.backward() if action.plan.backward else loop.forward()


def rows(plan: SweepPlan) -> Sequence[tuple[Row, int, int]]:
    """The table of a loop of known length."""
    table = plan.parts.table
    return [decoded(row) for row in table.value.tolist()]


def retraced(plan: SweepPlan, steps: Mapping[str, int]) -> int:
    """In how many steps a device is asked for a loop of known length, whose programs take so many."""
    states, now = len(plan.state_types), 0
    total = 1 + states + len(plan.modes)
    for row, _, number in rows(plan):
        match row:
            case Row.ADVANCE:
                total += (number - now) * steps["advance"]
                now = number
            case Row.SAVE:
                total += states
            case Row.RESTORE:
                now = number
            case Row.TAPE:
                total += steps["tape"]
                now += 1
            case Row.ADJOINT:
                total += steps["adjoint"]
    return total


class _Run:
    def __init__(
        self, action: Retrace, places: dict[str, int], memory: Memory, run: Callable[[Sequence[Action]], int]
    ) -> None:
        self._plan, self._blocks = action.plan, action.blocks
        self._places, self._memory, self._run = places, memory, run
        self._work = places.get("%work", 0)
        places["%going"] = self._work + self._plan.bytes - ALIGNMENT
        self._pairs = {name: [self._work + offset for offset in pair] for name, pair in self._plan.pairs.items()}
        self._current = {name: places[name.replace("cur", "init")] for name in self._pairs}
        self._slots = 0
        self._now = 0

    def forward(self) -> int:
        plan, places = self._plan, self._places
        assert isinstance(plan.parts, Forward)
        self._slots = places["%slots"]
        found = self._online() if plan.length is None else self._table(rows(plan), plan.length)
        self._finish("%cur", "%result", enumerate(atom.type for atom in plan.parts.carry))
        return found

    def backward(self) -> int:
        plan, places, memory = self._plan, self._places, self._memory
        parts = plan.parts
        assert isinstance(parts, Backward)
        self._slots = places["%cache"]
        if not plan.overwrites:
            self._slots = self._work + plan.buffers
            memory.move(self._slots, places["%cache"], plan.layout.bytes)
        types = plan.back_types
        for k, mode in enumerate(plan.modes):
            if mode == "in place":
                memory.move(places[f"%out{k}"], places[f"%back.init{k}"], nbytes(types[k]))
        if plan.length is None:
            count = self._count()
            table = [decoded(row) for row in online_table(count, plan.params["slots"]).tolist()]
            found = self._table(table, count)
        else:
            found = self._table(rows(plan), plan.length)
        self._finish("%back.cur", "%out", ((k, types[k]) for k in plan.turns))
        return found

    def _count(self) -> int:
        return self._memory.number(self._places["%count.at0"], np.dtype("int64"))

    def _finish(self, current: str, result: str, types: Iterable[tuple[int, ArrayType]]) -> None:
        """What alternates goes to its result at the end."""
        for k, type in types:
            self._memory.move(self._places[f"{result}{k}"], self._current[f"{current}{k}"], nbytes(type))

    # -- the order of steps -------------------------------------------------------------------------------------------

    def _table(self, rows: Iterable[tuple[Row, int, int]], count: int) -> int:
        left = count
        for row, slot, step in rows:
            match row:
                case Row.ADVANCE:
                    while self._now < step:
                        if found := self._step("advance", self._now, count):
                            return found
                        self._now += 1
                case Row.SAVE:
                    self._save(slot)
                case Row.RESTORE:
                    self._restore(slot)
                    self._now = step
                case Row.TAPE:
                    if found := self._step("tape", self._now, count, slot, step):
                        return found
                    self._now += 1
                case Row.ADJOINT:
                    left -= 1
                    if found := self._adjoint(left, count, slot):
                        return found
        return 0

    def _online(self) -> int:
        """A loop whose length only this run knows stores the states that its table names."""
        plan, places = self._plan, self._places
        stored: Iterator[list[int]] = iter(plan.parts.table.value.reshape(-1, 2).tolist())
        target, slot = next(stored)
        tested = "cond" in plan.blocks
        count = None if tested else self._count()
        while count is None or self._now < count:
            if tested:
                places.update((f"%cond.in{k}", self._current[f"%cur{k}"]) for k in range(len(plan.state_types)))
                if found := self._run(self._blocks["cond"]):
                    return found
                if not self._memory.number(places["%going"], np.dtype("bool")):
                    break
            if self._now == target:
                self._save(slot)
                target, slot = next(stored)
            if found := self._step("advance", self._now, count or 0):
                return found
            self._now += 1
        if tested:
            self._memory.set_number(places["%trips0"], self._now)
        return 0

    # -- steps --------------------------------------------------------------------------------------------------------

    def _step(self, name: str, number: int, count: int, slot: int = 0, place: int = INITIAL) -> int:
        """An iteration; a taped one leaves a residual set in `slot`, and the state after it in `place`, if there."""
        plan = self._plan
        kept = {} if place == INITIAL else self._state(place)
        after = {f"%cur{k}": kept.get(k) or self._other(f"%cur{k}") for k in range(len(plan.state_types))}
        for k, (current, target) in enumerate(after.items()):
            self._places[f"%{name}.in{k}"], self._places[f"%{name}.to{k}"] = self._current[current], target
        sets = plan.params["written"] if name == "tape" else ()
        outputs = plan.blocks[name].outputs
        ys = [var.type for var in outputs[len(plan.state_types) : len(outputs) - len(sets)]]
        self._elements(name, "", number, count, [atom.type.slice() for atom in plan.parts.xs], ys)
        self._set(name, slot, sets)
        found = self._run(self._blocks[name])
        self._current |= after
        return found

    def _adjoint(self, number: int, count: int, slot: int) -> int:
        plan = self._plan
        parts = plan.parts
        assert isinstance(parts, Backward)
        after = {f"%back.cur{k}": self._other(f"%back.cur{k}") for k in plan.turns}
        for k, (current, target) in zip(plan.turns, after.items(), strict=True):
            self._places[f"%adjoint.in{k}"], self._places[f"%adjoint.to{k}"] = self._current[current], target
        ys = [var.type for var in plan.blocks["adjoint"].outputs[len(parts.back_carry) :]]
        self._elements("adjoint", "back.", number, count, [atom.type.slice() for atom in parts.back_xs], ys)
        self._set("adjoint", slot, range(len(plan.layout.residuals)))
        found = self._run(self._blocks["adjoint"])
        self._current |= after
        return found

    def _elements(
        self, name: str, group: str, number: int, count: int, xs: Sequence[ArrayType], ys: Sequence[ArrayType]
    ) -> None:
        """Where the elements of xs and ys of an iteration lie."""
        number = count - 1 - number if self._plan.params["reverse"] else number
        for kind, types in (("x", xs), ("y", ys)):
            for k, type in enumerate(types):
                start = self._places[f"%{group}{kind}s{k}"]
                self._places[f"%{name}.{kind}{k}"] = start + number * nbytes(type)

    def _set(self, name: str, slot: int, members: Iterable[int]) -> None:
        """Where a residual set lies."""
        layout = self._plan.layout
        for k, member in enumerate(members):
            self._places[f"%{name}.set{k}"] = self._slots + slot * layout.set_bytes + layout.residuals[member]

    # -- states -------------------------------------------------------------------------------------------------------

    def _other(self, name: str) -> int:
        """The buffer in which the current state is not."""
        first, second = self._pairs[name]
        return second if self._current[name] == first else first

    def _state(self, slot: int) -> dict[int, int]:
        """Where the parts of a stored state lie."""
        layout = self._plan.layout
        start = self._slots + layout.first_state + slot * layout.state_bytes
        return {k: start + offset for k, offset in zip(self._plan.stored, layout.states, strict=True)}

    def _save(self, slot: int) -> None:
        for k, address in self._state(slot).items():
            self._memory.move(address, self._current[f"%cur{k}"], nbytes(self._plan.state_types[k]))

    def _restore(self, slot: int) -> None:
        initial = {k: self._places[f"%init{k}"] for k in self._plan.stored}
        found = initial if slot == INITIAL else self._state(slot)
        self._current |= {f"%cur{k}": address for k, address in found.items()}
