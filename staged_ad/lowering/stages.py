"""Stages: a long loop body is cut into functions, so that code generation stays linear in its length.

Values that cross a cut go through a scratch array on the stack; nearly all of them would be spilled there anyway.

Invariant: the text of an instruction does not change: a stage loads a register from scratch under its own name.
Start at ``staged``.
"""

from __future__ import annotations

from staged_ad.lowering.values import Instruction

LONGEST = 600
"""Instructions in one body before it is cut."""
STAGE = 400
CELL = 512
"""Bytes of scratch per value: the largest vector there is, 64 lanes of 8 bytes (four registers of float32, indexed)."""


def staged(
    name: str, blocks: list[list[Instruction]], depth: int, allocas: list[str]
) -> tuple[list[str], list[Instruction]]:
    """Cut ``blocks[depth]``; returns the functions and the calls that stand in its place."""
    body = blocks[depth]
    if len(body) <= LONGEST:
        return [], body
    types = {"%arrays": "ptr", "%chunk": "i64"}
    types.update({f"%i{k}": "i64" for k in range(depth)})
    for block in blocks:
        types.update((instruction.result, instruction.type) for instruction in block if instruction.result)
    stages = _cut(body)
    behind = {use for instruction in blocks[depth + 1] for use in instruction.uses}
    cells: dict[str, int] = {}
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
            if register in outside and register not in cells:
                cells[register] = len(cells)
                calls += _save(register, types[register], cells[register])
        leaving = sorted(made & wanted_later[number])
        for register in leaving:
            cells.setdefault(register, len(cells))
        used_accumulators = sorted(register for register in reads if register in accumulators)
        functions.append(_function(f"{name}.stage{number}", stage, inputs, leaving, cells, types, used_accumulators))
        arguments = ", ".join(["ptr %scratch", *(f"ptr {a}" for a in used_accumulators)])
        calls.append(Instruction("", "", f"call void @{name}.stage{number}({arguments})", ()))
    for register in sorted((behind & set(cells)) - outside):
        calls += _load(register, types[register], cells[register])
    allocas.append(f"  %scratch = alloca [{len(cells)} x [{CELL} x i8]], align 64")
    return functions, calls


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


def _save(register: str, type: str, cell: int) -> list[Instruction]:
    place = f"%save{cell}"
    return [
        Instruction(place, "ptr", f"{place} = {_at(cell)}", ("%scratch",)),
        Instruction("", "", f"store {type} {register}, ptr {place}", (register, place)),
    ]


def _load(register: str, type: str, cell: int) -> list[Instruction]:
    place = f"%load{cell}"
    return [
        Instruction(place, "ptr", f"{place} = {_at(cell)}", ("%scratch",)),
        Instruction(register, type, f"{register} = load {type}, ptr {place}", (place,)),
    ]


def _at(cell: int) -> str:
    return f"getelementptr [{CELL} x i8], ptr %scratch, i64 {cell}"


def _function(
    name: str,
    stage: list[Instruction],
    inputs: list[str],
    leaving: list[str],
    cells: dict[str, int],
    types: dict[str, str],
    accumulators: list[str],
) -> str:
    parameters = ", ".join(["ptr noalias %scratch", *(f"ptr noalias {a}" for a in accumulators)])
    lines = [f"define internal void @{name}({parameters}) noinline nounwind {{"]
    for number, register in enumerate(inputs):
        lines.append(f"  %from{number} = {_at(cells[register])}")
        lines.append(f"  {register} = load {types[register]}, ptr %from{number}")
    lines += ["  " + instruction.text for instruction in stage]
    for number, register in enumerate(leaving):
        lines.append(f"  %to{number} = {_at(cells[register])}")
        lines.append(f"  store {types[register]} {register}, ptr %to{number}")
    return "\n".join([*lines, "  ret void", "}"])
