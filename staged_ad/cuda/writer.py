"""A nest as the function of one thread: ``void name(i64 thread, ptr arrays)``.

Invariant: threads of one team keep the same value of a sum, and run the same way to where they exchange it.
Start at ``ThreadWriter``; what it inherits writes the nests of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from staged_ad.cuda.threads import MEMORY_BYTES, WARP, Threads
from staged_ad.ir import Var
from staged_ad.ir.types import INT64
from staged_ad.lowering import folding
from staged_ad.lowering.memory import Memory
from staged_ad.lowering.nest import REGION, NestWriter
from staged_ad.lowering.rarely import RareCode
from staged_ad.lowering.regions import Reduce
from staged_ad.lowering.storage import Places
from staged_ad.lowering.values import Externals, Value, element_type, memory_type, vector_type

# What the target defines (target.py): ``i32 exchange.lanes(i32 value, i32 mask)``, the value of the thread of the warp
# whose number differs in the bits of the mask; ``exchange.barrier`` of the block; ``ptr exchange.shown()``, 8 bytes for
# each thread of the block, and ``ptr exchange.place()``, those of this thread.


class ThreadCode(RareCode):
    """Code of one thread. Functions of vectors are functions of their lanes."""

    def lanewise(self, function: str, *values: Value) -> Value:
        values = tuple(self.aligned(*values))
        lanes = values[0].lanes
        if lanes == 1:
            return super().lanewise(function, *values)
        parts = [
            super(ThreadCode, self).lanewise(function, *[self.part(v, k, 1) for v in values]) for k in range(lanes)
        ]
        wide = vector_type(parts[0].type, lanes)
        whole = "poison"
        for k, part in enumerate(parts):
            whole = self.write(
                f"insertelement {wide} {whole}, {part.operand}, i64 {k}", wide, (part, whole), part.depth
            )
        return parts[0]._replace(name=whole, lanes=lanes)


class ThreadMemory(Memory):
    """Memory of the device, where arrays begin at multiples of what a thread loads at once."""

    def alignment(self, dtype: np.dtype[Any]) -> int:
        return min(MEMORY_BYTES, dtype.itemsize * self.code.lanes)


class ThreadWriter(NestWriter):
    """Writes the function of one thread of a nest."""

    code_type = ThreadCode
    memory_type = ThreadMemory
    schedule: Threads

    def __init__(self, plan: Threads, storage: Places, externals: Externals, partials: Mapping[Var, Var]) -> None:
        super().__init__(plan, storage, externals, dict(partials))
        self.bounds: dict[int, tuple[Value, Value]] = {}  # of the loops of which a thread runs a part
        self._share_out()

    def text(self) -> str:
        self._write()
        lines = [f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{", "entry:"]
        lines += self.allocas
        lines += self._block(0)
        lines += self._loops(0, "entry")
        return "\n".join([*lines, "  ret void", "}"])

    def _write(self) -> None:
        self._write_body()
        for number, reduce in enumerate(self.nest.reduces):
            self._finish(reduce, self.accumulators.parts(number, self.after))

    def _mask(self) -> Value | None:
        return None  # vectors divide the lengths of their loops

    # -- the points of a thread -----------------------------------------------------------------------------------

    def _share_out(self) -> None:
        """Positions in what is spread, and bounds of loops, from the number of the thread."""
        plan, memory = self.schedule, self.memory
        kind = "i32" if plan.total < 1 << 31 else "i64"
        rest = "%chunk" if kind == "i64" else self.code.write("trunc i64 %chunk to i32", kind, ("%chunk",), 0)
        rest, member = self._divided(rest, kind, plan.team)
        rest, part = self._divided(rest, kind, plan.parts)
        memory.positions[self.chunk_dim] = part
        for number, dim in enumerate(reversed(plan.spread), 1):
            last = number == len(plan.spread)
            extent = plan.extent(dim)
            rest, position = ("", self._wide(rest, kind)) if last else self._divided(rest, kind, extent)
            if dim in plan.loops:
                each = self.code.constant(plan.each, INT64)
                start = self.code.mul(position, each)
                self.bounds[dim] = start, self.code.add(start, each)
                continue
            if dim == plan.vector:
                position = self.code.mul(position, self.code.constant(plan.lanes, INT64))
            memory.positions[dim] = position
        if plan.cut is not None:
            start = self.code.mul(part, self.code.constant(plan.each, INT64))
            end, limit = self.code.add(start, self.code.constant(plan.each, INT64)), plan.nest.domain[plan.cut]
            self.bounds[plan.cut] = start, self.code.minimum(end, self.code.constant(limit, INT64))
        if plan.split is None:
            return
        first = member
        if plan.parts > 1 and plan.cut is None:
            first = self.code.add(self.code.mul(part, self.code.constant(plan.team, INT64)), member)
        if plan.split == plan.vector:
            first = self.code.mul(first, self.code.constant(plan.lanes, INT64))
        start, end = self.bounds.get(plan.split) or super()._loop_bounds(plan.loops.index(plan.split))
        self.bounds[plan.split] = (first if start.literal == 0 else self.code.add(start, first)), end

    def _divided(self, number: str, kind: str, by: int) -> tuple[str, Value]:
        """Quotient, in a register of that type, and remainder."""
        if by == 1:
            return number, self.code.constant(0, INT64)
        quotient = self.code.write(f"udiv {kind} {number}, {by}", kind, (number,), 0)
        rest = self.code.write(f"urem {kind} {number}, {by}", kind, (number,), 0)
        return quotient, self._wide(rest, kind)

    def _wide(self, number: str, kind: str) -> Value:
        wide = number if kind == "i64" else self.code.write(f"zext {kind} {number} to i64", "i64", (number,), 0)
        return Value(wide, INT64, 1, 0)

    def _loop_bounds(self, k: int) -> tuple[Value, Value]:
        return self.bounds.get(self.schedule.loops[k]) or super()._loop_bounds(k)

    def _step(self, dim: int) -> int:
        plan = self.schedule
        turns = plan.team * (plan.parts if plan.cut is None else 1)
        return super()._step(dim) * (turns if dim == plan.split else 1)

    # -- sums of a team -------------------------------------------------------------------------------------------

    def _across(self, reduce: Reduce, whole: list[Value]) -> list[Value]:
        """The fold of all lanes of a team: butterflies in each warp, then its results through shared memory."""
        whole = super()._across(reduce, whole)
        team = self.schedule.team if self.schedule.split in self.nest.reduced else 1
        distance = min(team, WARP) // 2
        while distance:
            whole = folding.joined(self.code, reduce.rule, whole, [self._exchanged(value, distance) for value in whole])
            distance //= 2
        if team > WARP:
            parts = list(zip(*[self._of_warps(value, team) for value in whole], strict=True))
            while len(parts) > 1:
                joined = [
                    folding.joined(self.code, reduce.rule, list(a), list(b))
                    for a, b in zip(parts[::2], parts[1::2], strict=True)
                ]
                parts = [tuple(part) for part in joined]
            whole = list(parts[0])
        return whole

    def _exchanged(self, value: Value, distance: int) -> Value:
        name = self._helper("exchange", value, _exchange_text)
        return self._result(f"call {value.type} @{name}({value.operand}, i32 {distance})", value)

    def _of_warps(self, value: Value, team: int) -> list[Value]:
        """What each warp of the block has."""
        give, take = (
            self._helper(action, value, text) for action, text in (("give", _give_text), ("take", _take_text))
        )
        self.code.effect(f"call void @{give}({value.operand})", (value,), value.depth)
        taken = [self._result(f"call {value.type} @{take}(i64 {warp * WARP})", value) for warp in range(team // WARP)]
        self.code.effect("call void @exchange.barrier()", (), value.depth)
        return taken

    def _result(self, text: str, like: Value) -> Value:
        return like._replace(name=self.code.write(text, like.type, (like,), like.depth))

    def _helper(self, action: str, value: Value, text: Callable[[str, str, int], str]) -> str:
        element, words = element_type(value.dtype), max(1, value.dtype.itemsize // 4)
        return self.code.helper(f"{action}.{element}", text(element, memory_type(value.dtype), words))


def _exchange_text(element: str, stored: str, words: int) -> str:
    """A value of another thread of the warp, by words of 32 bits."""
    lines = [
        f"define internal {element} @exchange.{element}({element} %x, i32 %mask) alwaysinline convergent nounwind {{",
        "  %cell = alloca i64",
        "  store i64 0, ptr %cell",
        *_moved("%x", element, stored, "%cell"),
    ]
    for k in range(words):
        lines += [
            f"  %at{k} = getelementptr i32, ptr %cell, i64 {k}",
            f"  %mine{k} = load i32, ptr %at{k}",
            f"  %other{k} = call i32 @exchange.lanes(i32 %mine{k}, i32 %mask)",
            f"  store i32 %other{k}, ptr %at{k}",
        ]
    return "\n".join([*lines, *_returned(element, stored, "%cell")])


def _give_text(element: str, stored: str, words: int) -> str:
    """Every thread of the block shows a value to the others."""
    lines = [
        f"define internal void @give.{element}({element} %x) alwaysinline convergent nounwind {{",
        "  %place = call ptr @exchange.place()",
        *_moved("%x", element, stored, "%place"),
        "  call void @exchange.barrier()",
        "  ret void",
        "}",
    ]
    return "\n".join(lines)


def _take_text(element: str, stored: str, words: int) -> str:
    """The value that a thread of the block has shown."""
    lines = [
        f"define internal {element} @take.{element}(i64 %thread) alwaysinline nounwind {{",
        "  %all = call ptr @exchange.shown()",
        "  %place = getelementptr i64, ptr %all, i64 %thread",
    ]
    return "\n".join([*lines, *_returned(element, stored, "%place")])


def _moved(value: str, element: str, stored: str, place: str) -> list[str]:
    if element == stored:
        return [f"  store {element} {value}, ptr {place}"]
    return [f"  %kept = zext {element} {value} to {stored}", f"  store {stored} %kept, ptr {place}"]


def _returned(element: str, stored: str, place: str) -> list[str]:
    if element == stored:
        return [f"  %y = load {element}, ptr {place}", f"  ret {element} %y", "}"]
    return [
        f"  %kept.back = load {stored}, ptr {place}",
        f"  %y = trunc {stored} %kept.back to {element}",
        f"  ret {element} %y",
        "}",
    ]
