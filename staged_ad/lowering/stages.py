"""Stages: a long loop body is cut into functions, so that code generation stays linear in its length.

Values that cross a cut go through a scratch array; nearly all of them would be spilled to the stack anyway. It is on
the stack where it is short, and a value's place is free again behind the last stage that reads it.

Invariant: the text of an instruction does not change: a stage loads a register from scratch under its own name.
Start at ``staged``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from staged_ad.lowering.values import Instruction

LONGEST = 600
"""Instructions in one body before it is cut."""
STAGE = 400
ON_STACK = 1 << 16
"""Bytes of scratch on the stack; threads may have a small one."""
ALIGNMENT = 64
_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64, "ptr": 64}
_TYPE = re.compile(r"(?:<(\d+) x )?(?:i(\d+)|(\w+))>?")


class Cut(NamedTuple):
    """A body that is cut: the functions, the calls that stand in its place, and the lines around the loops."""

    functions: list[str]
    calls: list[Instruction]
    before: list[str]
    after: list[str]


class _Scratch:
    """Places of registers, as offsets into the scratch array; those of one size are used again."""

    def __init__(self) -> None:
        self.offsets: dict[str, int] = {}
        self.size = 0
        self._free: dict[int, list[int]] = {}

    def take(self, register: str, type: str) -> None:
        if register in self.offsets:
            return
        size = size_of(type)
        free = self._free.get(size)
        if free:
            self.offsets[register] = free.pop()
            return
        alignment = min(size, ALIGNMENT)
        self.offsets[register] = -(-self.size // alignment) * alignment
        self.size = self.offsets[register] + size

    def give(self, register: str, type: str) -> None:
        self._free.setdefault(size_of(type), []).append(self.offsets.pop(register))

    def at(self, register: str) -> str:
        return f"getelementptr i8, ptr %scratch, i64 {self.offsets[register]}"


def size_of(type: str) -> int:
    """The bytes of a register of that LLVM type in memory: a power of two."""
    found = _TYPE.fullmatch(type)
    assert found is not None, type
    lanes, integer, name = found.groups()
    bits = int(lanes or 1) * (int(integer) if integer else _BITS[name])
    return 1 << max(0, (bits - 1).bit_length() - 3)


def staged(name: str, blocks: list[list[Instruction]], depth: int, allocas: list[str]) -> Cut:
    """Cut ``blocks[depth]``, unless it is short."""
    body = blocks[depth]
    if len(body) <= LONGEST:
        return Cut([], body, [], [])
    types = {"%arrays": "ptr", "%chunk": "i64"}
    types.update({f"%i{k}": "i64" for k in range(depth)})
    for block in blocks:
        types.update((instruction.result, instruction.type) for instruction in block if instruction.result)
    stages = _cut(body)
    behind = {use for instruction in blocks[depth + 1] for use in instruction.uses}
    scratch = _Scratch()
    functions: list[str] = []
    calls: list[Instruction] = []
    outside = set(types).difference(instruction.result for instruction in body)
    wanted_later = _wanted_later(stages, behind)
    accumulators = {line.split(" = ")[0].strip() for line in allocas}
    for number, stage in enumerate(stages):
        made = {instruction.result for instruction in stage}
        reads = sorted({u for i in stage for u in i.uses if u.startswith("%") and u not in made})
        inputs = [register for register in reads if register not in accumulators]
        for register in inputs:
            if register in outside and register not in scratch.offsets:
                scratch.take(register, types[register])
                calls += _save(register, types[register], scratch, f"%save{len(calls)}")
        loads = [(register, types[register], scratch.at(register)) for register in inputs]
        for register in inputs:
            if register not in wanted_later[number]:
                scratch.give(register, types[register])
        leaving = sorted(made & wanted_later[number])
        for register in leaving:
            scratch.take(register, types[register])
        stores = [(register, types[register], scratch.at(register)) for register in leaving]
        used_accumulators = sorted(register for register in reads if register in accumulators)
        functions.append(_function(f"{name}.stage{number}", stage, loads, stores, used_accumulators))
        arguments = ", ".join(["ptr %scratch", *(f"ptr {a}" for a in used_accumulators)])
        calls.append(Instruction("", "", f"call void @{name}.stage{number}({arguments})", ()))
    for register in sorted((behind & set(scratch.offsets)) - outside):
        calls += _load(register, types[register], scratch, f"%load{len(calls)}")
    return Cut(functions, calls, *_memory(scratch.size))


def _memory(size: int) -> tuple[list[str], list[str]]:
    """Lines that get the scratch array, and give it back; where there is no memory, a long one is on the stack, too."""
    if size <= ON_STACK:
        return [f"  %scratch = alloca [{max(size, 1)} x i8], align {ALIGNMENT}"], []
    before = [
        f"  %scratch.block = call ptr @malloc(i64 {size + ALIGNMENT})",
        "  %scratch.none = icmp eq ptr %scratch.block, null",
        f"  %scratch.bytes = select i1 %scratch.none, i64 {size}, i64 0",
        f"  %scratch.stack = alloca i8, i64 %scratch.bytes, align {ALIGNMENT}",
        f"  %scratch.above = getelementptr i8, ptr %scratch.block, i64 {ALIGNMENT - 1}",
        f"  %scratch.heap = call ptr @llvm.ptrmask.p0.i64(ptr %scratch.above, i64 -{ALIGNMENT})",
        "  %scratch = select i1 %scratch.none, ptr %scratch.stack, ptr %scratch.heap",
    ]
    return before, ["  call void @free(ptr %scratch.block)"]


MEMORY = {
    "malloc": "declare noalias ptr @malloc(i64)",
    "free": "declare void @free(ptr)",
    "llvm.ptrmask.p0.i64": "declare ptr @llvm.ptrmask.p0.i64(ptr, i64)",
}
"""Declarations of what these lines call."""


def _cut(body: list[Instruction]) -> list[list[Instruction]]:
    count = -(-len(body) // STAGE)
    size = -(-len(body) // count)
    return [body[k : k + size] for k in range(0, len(body), size)]


def _wanted_later(stages: list[list[Instruction]], behind: set[str]) -> list[set[str]]:
    """For each stage, what the following ones and the code behind the loop read."""
    wanted: list[set[str]] = []
    later = set(behind)
    for stage in reversed(stages):
        wanted.append(set(later))
        later |= {use for instruction in stage for use in instruction.uses}
    return wanted[::-1]


def _save(register: str, type: str, scratch: _Scratch, place: str) -> list[Instruction]:
    return [
        Instruction(place, "ptr", f"{place} = {scratch.at(register)}", ("%scratch",)),
        Instruction("", "", f"store {type} {register}, ptr {place}", (register, place)),
    ]


def _load(register: str, type: str, scratch: _Scratch, place: str) -> list[Instruction]:
    return [
        Instruction(place, "ptr", f"{place} = {scratch.at(register)}", ("%scratch",)),
        Instruction(register, type, f"{register} = load {type}, ptr {place}", (place,)),
    ]


def _function(
    name: str,
    stage: list[Instruction],
    loads: list[tuple[str, str, str]],
    stores: list[tuple[str, str, str]],
    accumulators: list[str],
) -> str:
    """A stage; `loads` and `stores` have registers, their types and their places."""
    parameters = ", ".join(["ptr noalias %scratch", *(f"ptr noalias {a}" for a in accumulators)])
    lines = [f"define internal void @{name}({parameters}) noinline nounwind {{"]
    for number, (register, type, place) in enumerate(loads):
        lines += [f"  %from{number} = {place}", f"  {register} = load {type}, ptr %from{number}"]
    lines += ["  " + instruction.text for instruction in stage]
    for number, (register, type, place) in enumerate(stores):
        lines += [f"  %to{number} = {place}", f"  store {type} {register}, ptr %to{number}"]
    return "\n".join([*lines, "  ret void", "}"])
