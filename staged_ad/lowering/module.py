"""A program as the text of an LLVM module: ``int64 body(void **slots)`` and the functions it calls.

Invariant: the text depends on the program and the CPU alone.
Start at ``emit``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from staged_ad.ir import Program
from staged_ad.lowering import native
from staged_ad.lowering.blocks import Block, make_block
from staged_ad.lowering.calls import ARENA, STATUS, Calls, Failure, Functions
from staged_ad.lowering.opaque import opaque_text
from staged_ad.lowering.storage import Storage, assign
from staged_ad.lowering.tape import ARENA_WORDS, CLEAR
from staged_ad.lowering.values import Externals

LONG = 1000
"""Lines of a body from which it is left as it is written."""


@dataclass(slots=True)
class Module:
    """The text, the addresses of what only this process can call, and what the entry has to provide.

    `failures` are the exceptions that statuses from ``FAILED`` on stand for.
    """

    text: str
    symbols: Mapping[str, int]
    storage: Storage
    block: Block
    failures: list[Failure]


def emit(program: Program, precise: bool = False) -> Module:
    block = make_block(program)
    storage = assign(block.program, block.steps, block.outputs, block.shared)
    functions = Functions(Externals({}, {}, {}, precise), opaque_text)
    calls = Calls(functions, nested=False)
    for step in block.steps:
        calls.add(step, storage)
    text = _text(calls, functions)
    return Module(text, functions.externals.symbols, storage, block, functions.failures)


def _text(calls: Calls, functions: Functions) -> str:
    # it only calls: passes find nothing in it, and where it is long take more than linear time for that
    plain = " noinline optnone" if len(calls.lines) > LONG else ""
    body = [f"define i64 @body(ptr %slots) nounwind{plain} {{", "entry:", *calls.allocas, *calls.table]
    bases = sorted((base for base in calls.bases if base.startswith("%base")), key=lambda base: int(base[5:]))
    for base in bases:
        number = base.removeprefix("%base")
        body.append(f"  %slot{number} = getelementptr ptr, ptr %slots, i64 {number}")
        body.append(f"  {base} = load ptr, ptr %slot{number}, align 8")
    needs_status = STATUS.base in calls.bases
    needs_arena = ARENA.base in calls.bases
    if needs_status:
        body += [f"  {STATUS.base} = alloca i64, align 64", f"  store i64 0, ptr {STATUS.base}"]
    if needs_arena:
        body.append(f"  {ARENA.base} = alloca [{ARENA_WORDS} x i64], align 64")
        words = f"[{ARENA_WORDS} x i64] zeroinitializer"
        body.append(f"  store {words}, ptr {ARENA.base}")
        functions.externals.declarations[CLEAR] = f"declare void @{CLEAR}(ptr)"
    body += [*calls.lines, "  br label %fail", "fail:"]
    if needs_arena:
        body.append(f"  call void @{CLEAR}(ptr {ARENA.base})")
    if needs_status:
        body += [f"  %state = load i64, ptr {STATUS.base}", "  ret i64 %state", "}"]
    else:
        body += ["  ret i64 0", "}"]
    externals = functions.externals
    parts = [*externals.declarations.values(), *externals.helpers.values(), *functions.texts, *body]
    return "\n".join([native.header(), *parts, ""])
