"""Runs the actions of a program on an engine: the device, or what stands for it in tests.

Invariant: addresses are numbers here; only the engine knows what lies there.
Start at ``Executor.run``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from staged_ad.control.budget import LIMIT, tape_overflow
from staged_ad.cuda import tape
from staged_ad.cuda.actions import Action, Ask, Choose, Count, Launch, Move, Outside, Product, Repeat, Retrace
from staged_ad.cuda.program import DeviceModule
from staged_ad.cuda.retracing import retrace
from staged_ad.cuda.tape import EXHAUSTED, FIRST
from staged_ad.ir import UNKNOWN, ArrayType, Equation
from staged_ad.ir.program import Source
from staged_ad.lowering.calls import ARENA, STATUS
from staged_ad.lowering.regions import MatrixProduct
from staged_ad.lowering.scope import aligned
from staged_ad.lowering.storage import ALIGNMENT, Place, nbytes


class Engine(Protocol):
    """Memory and kernels of a device. Everything is done in the order in which it was asked for."""

    def launch(self, kernel: str, total: int, addresses: Sequence[int], /) -> None:
        """Run the kernel with that many threads."""

    def product(self, product: MatrixProduct, a: int, b: int, c: int, /) -> None:
        """The product of stacks of matrices at these addresses."""

    def view(self, address: int, shape: Sequence[int], dtype: np.dtype[Any], /) -> Any:
        """Memory of the device as an array of the library that computes there."""

    def outside(self, equation: Equation, operands: Sequence[Any], results: Sequence[Any], /) -> None:
        """Compute the operation that an equation ``outside`` stands for, from and to views."""

    def move(self, target: int, source: int, size: int, /) -> None:
        """Copy bytes."""

    def number(self, address: int, dtype: np.dtype[Any], /) -> int:
        """Wait for one number."""

    def set_number(self, address: int, value: int, /) -> None:
        """Write one number of 8 bytes."""

    def allocate(self, size: int, /) -> tuple[int, Any]:
        """The address of that many bytes, which are zero, and what keeps them."""

    def recorded(self, work: Callable[[], object], /) -> Callable[[], None] | None:
        """What asks for all of `work` at once, of launches, moves and products; None where it cannot be recorded."""


class Executor:
    """One program on one engine."""

    def __init__(self, module: DeviceModule, engine: Engine) -> None:
        self._module = module
        self._engine = engine
        self._pool = FIRST

    def run(self, slots: Sequence[int], status: int) -> int:
        """Run with the addresses of inputs, constants, outputs and workspace; returns the status at its end."""
        places = {f"%base{k}": address for k, address in enumerate(slots)}
        places[STATUS.base] = status
        if not self._module.grows:
            return self._block(self._module.actions, _Scope(places, []))
        while True:
            found = self._with_pool(places)
            if found != EXHAUSTED:
                return found
            self._engine.set_number(status, 0)

    def _with_pool(self, places: dict[str, int]) -> int:
        """Run with a pool for what loops of unknown length keep; if that is too small, the next one is larger."""
        size = min(self._pool, LIMIT[0])
        pool, owner = self._engine.allocate(size)
        arena, cells = self._engine.allocate(tape.ARENA)
        for k, number in enumerate((size, 0, pool)):
            self._engine.set_number(arena + 8 * k, number)
        found = self._block(self._module.actions, _Scope({**places, ARENA.base: arena}, [owner, cells]))
        if found == EXHAUSTED:
            if size == LIMIT[0]:
                raise tape_overflow(UNKNOWN)
            self._pool = 2 * max(size, self._number(arena + 8))
        return found

    def _block(self, actions: Sequence[Action], scope: _Scope) -> int:
        """Run actions; returns the status that ended them, or 0."""
        engine, at = self._engine, scope.at
        for action in actions:
            match action:
                case Launch(kernel, total, given):
                    engine.launch(kernel, total, [at(place) for place in given])
                case Product(product, given):
                    a, b, c = map(at, given)
                    engine.product(product, a, b, c)
                case Move(source, target, size):
                    engine.move(at(target), at(source), size)
                case Outside(equation, operands, results):
                    given_arrays = [self._array(at(p), x.type) for p, x in zip(operands, equation.inputs, strict=True)]
                    taken = [self._array(at(p), x.type) for p, x in zip(results, equation.outputs, strict=True)]
                    engine.outside(equation, given_arrays, taken)
                case Count(operands, result):
                    engine.set_number(at(result), max(self._number(at(place) + 8) for place in operands))
                case Ask():
                    if found := self._number(at(STATUS)):
                        return found
                case Repeat():
                    if found := self._repeat(action, scope):
                        return found
                case Retrace():
                    inner = scope.inside({name: at(place) for name, place in action.places.items()})
                    if found := retrace(action, inner.places, engine, partial(self._block, scope=inner)):
                        return found
                case Choose():
                    chosen = min(max(self._number(at(action.index)), 0), len(action.blocks) - 1)
                    inner = scope.inside({name: at(place) for name, place in action.places.items()})
                    if found := self._block(action.blocks[chosen], inner):
                        return found
        return 0

    def _number(self, address: int) -> int:
        return self._engine.number(address, np.dtype("int64"))

    def _array(self, address: int, type: ArrayType) -> Any:
        return self._engine.view(address, type.shape, type.dtype)

    # -- loops --------------------------------------------------------------------------------------------------------

    def _repeat(self, loop: Repeat, outer: _Scope) -> int:
        plan, engine = loop.plan, self._engine
        scope = outer.inside({name: outer.at(place) for name, place in loop.places.items()})
        places = scope.places
        work = places.get("%work", 0)
        places["%going"] = work + plan.bytes - ALIGNMENT
        turns = self._carries(loop, places, work + aligned(plan.scope.work))
        count = plan.length if plan.count is None else self._number(places["%count"])
        xs = [self._operand(places[f"%xs{k}"], nbytes(type), loop, scope) for k, type in enumerate(plan.x_types)]
        ys = [self._result(places[f"%ys{k}"], nbytes(type), loop, scope) for k, type in enumerate(plan.y_types)]
        trip = 0
        while count is None or plan.cond is not None or trip < count:
            if plan.cond is not None:
                if found := self._block(loop.test, scope):
                    return found
                if not engine.number(places["%going"], np.dtype("bool")):
                    break
            number = count - 1 - trip if plan.reverse and count is not None else trip
            for k, (base, step) in enumerate(xs):
                places[f"%x{k}"] = base + number * step
            for k, stack in enumerate(ys):
                places[f"%y{k}"] = stack.entry(number)
            if found := self._block(loop.body, scope):
                return found
            for k, (_, to, other) in turns.items():
                turns[k] = to, other, to
                places[f"%in{k}"], places[f"%to{k}"] = to, other
            trip += 1
        for k, (now, _, _) in turns.items():
            engine.move(places[f"%out{k}"], now, nbytes(plan.carry[k][0].type))
        if plan.trips is not None:
            engine.set_number(places["%trips"], trip)
        for stack in ys:
            stack.finish(trip if count is None else count)
        return 0

    def _carries(self, loop: Repeat, places: dict[str, int], free: int) -> dict[int, tuple[int, int, int]]:
        """For carries that are not overwritten in place: where they are, will be, and will be after that."""
        turns = {}
        for k, ((var, _), mode) in enumerate(zip(loop.plan.carry, loop.plan.modes, strict=True)):
            size = nbytes(var.type)
            if mode == "in place":
                self._engine.move(places[f"%out{k}"], places[f"%init{k}"], size)
                continue
            turns[k] = places[f"%init{k}"], free, free + aligned(size)
            places[f"%in{k}"], places[f"%to{k}"], _ = turns[k]
            free += 2 * aligned(size)
        return turns

    def _operand(self, address: int, size: int, loop: Repeat, scope: _Scope) -> tuple[int, int]:
        """The first element of a stacked operand, and the distance to the next; zeros where it has no entries."""
        if loop.plan.length is not None:
            return address, size
        if self._number(address + 8):
            return self._number(address), size
        zeros, owner = self._engine.allocate(size)
        scope.kept.append(owner)
        return zeros, 0

    def _result(self, address: int, size: int, loop: Repeat, scope: _Scope) -> _Stack:
        if loop.plan.length is not None:
            return _Stack(address, size)
        return _Growing(address, size, self._engine, scope.kept, loop.source)


@dataclass(slots=True)
class _Scope:
    """Where things are, by name, and what must live until the call ends."""

    places: dict[str, int]
    kept: list[Any]

    def at(self, place: Place) -> int:
        return self.places[place.base] + place.offset

    def inside(self, places: dict[str, int]) -> _Scope:
        shared = {name: self.places[name] for name in (STATUS.base, ARENA.base) if name in self.places}
        return _Scope({**places, **shared}, self.kept)


@dataclass(slots=True)
class _Stack:
    """A stacked result."""

    address: int
    size: int

    def entry(self, number: int) -> int:
        return self.address + number * self.size

    def finish(self, count: int) -> None:
        pass


@dataclass(slots=True)
class _Growing(_Stack):
    """A stacked result whose length is known when the loop has run; at its address are then a pointer and a count."""

    engine: Engine
    kept: list[Any]
    source: Source | str
    data: int = 0
    room: int = 0

    def entry(self, number: int) -> int:
        if number >= self.room:
            room = max(64, 2 * self.room)
            if room * self.size > LIMIT[0]:
                raise tape_overflow(self.source)
            data, owner = self.engine.allocate(room * self.size)
            self.kept.append(owner)
            if self.room:
                self.engine.move(data, self.data, self.room * self.size)
            self.data, self.room = data, room
        return self.data + number * self.size

    def finish(self, count: int) -> None:
        self.engine.set_number(self.address, self.data)
        self.engine.set_number(self.address + 8, count)
