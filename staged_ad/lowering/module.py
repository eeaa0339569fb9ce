"""A program as the text of an LLVM module: ``int64 body(void **slots)`` and the functions it calls.

Invariant: the text depends on the program and the CPU alone.
Start at ``emit``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from staged_ad.ir import Program
from staged_ad.lowering.blocks import Block, make_block
from staged_ad.lowering.calls import ARENA, STATUS, Calls, Functions, nest_text
from staged_ad.lowering.opaque import opaque_text
from staged_ad.lowering.speculation import UNLIKELY
from staged_ad.lowering.storage import Storage, assign
from staged_ad.lowering.values import Externals
from staged_ad.native import llvm
from staged_ad.native.failures import Failure
from staged_ad.native.tape import ARENA_WORDS, CLEAR

LONG = 1000
"""Lines of a body from which it is cut into parts, so that compiling it takes linear time."""


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
    functions = Functions(Externals(precise=precise, halves=llvm.converts_halves()), nest_text, opaque_text)
    calls = Calls(functions, nested=False)
    for step in block.steps:
        calls.add(step, storage)
    text = _text(calls, functions)
    return Module(text, functions.externals.symbols, storage, block, functions.failures)


def _text(calls: Calls, functions: Functions) -> str:
    externals = functions.externals
    lines, parts = _parts(calls) if len(calls.lines) > LONG else (calls.lines, [])
    body = ["define i64 @body(ptr %slots) nounwind {", "entry:", *calls.allocas, *calls.table]
    if not parts:
        body += _bases(calls.lines)
    if STATUS.base in calls.bases:
        body += [f"  {STATUS.base} = alloca i64, align 64", f"  store i64 0, ptr {STATUS.base}"]
    if ARENA.base in calls.bases:
        words = f"[{ARENA_WORDS} x i64]"
        body += [f"  {ARENA.base} = alloca {words}, align 64", f"  store {words} zeroinitializer, ptr {ARENA.base}"]
        externals.declarations[CLEAR] = f"declare void @{CLEAR}(ptr)"
    body += [*lines, "  br label %fail", "fail:"]
    if ARENA.base in calls.bases:
        body.append(f"  call void @{CLEAR}(ptr {ARENA.base})")
    if STATUS.base in calls.bases:
        body += [f"  %state = load i64, ptr {STATUS.base}", "  ret i64 %state", "}"]
    else:
        body += ["  ret i64 0", "}"]
    helpers = [*externals.declarations.values(), *externals.helpers.values()]
    return "\n".join([llvm.header(), *helpers, *functions.texts, *parts, *body, UNLIKELY, ""])


def _bases(lines: Sequence[str]) -> list[str]:
    """Loads of the slots that `lines` read."""
    used = {int(number) for line in lines for number in re.findall(r"%base(\d+)", line)}
    loads = []
    for number in sorted(used):
        loads.append(f"  %slot{number} = getelementptr ptr, ptr %slots, i64 {number}")
        loads.append(f"  %base{number} = load ptr, ptr %slot{number}, align 8")
    return loads


def _parts(calls: Calls) -> tuple[list[str], list[str]]:
    """The lines of a long body as calls of functions, and these functions."""
    kept = [base for base in (STATUS.base, ARENA.base) if base in calls.bases]
    given = ["%slots", *(["%arrays.out"] if calls.table else []), *kept]
    signature = ", ".join(f"ptr {name}" for name in given)
    lines: list[str] = []
    parts: list[str] = []
    for number, (first, last) in enumerate(pairwise(calls.cuts(LONG // 2))):
        own = calls.lines[first:last]
        name = f"body.part{number}"
        # it only calls: passes find nothing in it
        head = [f"define internal i1 @{name}({signature}) nounwind noinline optnone {{", "entry:", *_bases(own)]
        tail = ["  ret i1 true", "fail:", "  ret i1 false", "}"]
        parts += [*head, *own, *tail]
        lines += [
            f"  %fine.{name} = call i1 @{name}({signature})",
            f"  br i1 %fine.{name}, label %after.{name}, label %fail",
            f"after.{name}:",
        ]
    return lines, parts
