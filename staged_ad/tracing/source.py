"""Where in the user's code are we? File, line and function of the nearest frame outside the libraries; what it does.

Invariant: what it says is the place that a traceback would show last of the user's code.
Start at ``user_source``.
"""

from __future__ import annotations

import dis
import functools
from bisect import bisect_right
from operator import attrgetter
from types import CodeType
from typing import Any

from staged_ad.frames import user_frame
from staged_ad.ir.program import Source


def user_source() -> Source | None:
    """The line at which the user's code is."""
    frame = user_frame()
    if frame is None:
        return None
    return Source(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


def location(source: Source | None) -> str:
    """``file:line, in function``, for error messages."""
    if source is None:
        return "an unknown place"
    return f"{source.file}:{source.line}, in {source.function}"


# -- what a line does ---------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _instructions(code: CodeType) -> list[dis.Instruction]:
    return list(dis.get_instructions(code))


def _until(code: CodeType, position: int) -> list[dis.Instruction]:
    """The instructions up to the one that contains `position`: while a function of Python is called, that is behind the
    start of the call.
    """
    instructions = _instructions(code)
    return instructions[: bisect_right(instructions, position, key=attrgetter("offset"))]


@functools.lru_cache(maxsize=4096)
def instruction_at(code: CodeType, position: int) -> str:
    """The name of the instruction at `position` of a code object; indexing is BINARY_SUBSCR in all versions."""
    before = _until(code, position)
    if not before:
        return ""
    found = before[-1]
    return "BINARY_SUBSCR" if found.opname == "BINARY_OP" and found.argrepr == "[]" else found.opname


@functools.lru_cache(maxsize=4096)
def called_name(code: CodeType, position: int) -> str | None:
    """The last name of the function that the call at `position` of a code object calls; None where nobody knows.

    Of all that is loaded at the place where the text of the call begins, it is what ends last before the call does.
    """
    instructions = _until(code, position)
    call = instructions[-1].positions if instructions else None
    if call is None or call.end_col_offset is None:
        return None
    name, longest = None, (-1, -1)
    for instruction in instructions:
        found = instruction.positions
        if found is None or not instruction.opname.startswith("LOAD_") or not isinstance(instruction.argval, str):
            continue
        end: Any = found.end_lineno, found.end_col_offset
        begins = (found.lineno, found.col_offset) == (call.lineno, call.col_offset)
        if begins and longest < end < (call.end_lineno, call.end_col_offset):
            name, longest = instruction.argval, end
    return name
