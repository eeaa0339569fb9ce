"""Where in the user's code are we? File, line and function of the nearest frame outside the libraries.

Invariant: looking costs about a microsecond; code objects are judged once.
Start at ``user_source``.
"""

from __future__ import annotations

import dis
import functools
import os
import sys
from importlib.util import find_spec
from types import CodeType, FrameType
from typing import Any

from staged_ad.ir.program import Source


def package_folder(package: str) -> str:
    """Where a package is installed, which is not imported for this."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"staged_ad needs {package}: python -m pip install {package}")
    return os.path.dirname(os.path.abspath(spec.origin)) + os.sep


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_DEMO = os.path.join(_PACKAGE, "demo") + os.sep
_LIBRARIES = (
    _PACKAGE,
    *map(package_folder, ("numpy", "optree", "scipy")),
    "<__array_function__",
    "<frozen",
)
_internal: dict[CodeType, bool] = {}


def is_internal(code: CodeType) -> bool:
    known = _internal.get(code)
    if known is None:
        name = code.co_filename
        known = _internal[code] = name.startswith(_LIBRARIES) and not name.startswith(_DEMO)
    return known


def user_frame() -> FrameType | None:
    """The innermost frame that belongs to the user."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_internal(frame.f_code):
        frame = frame.f_back
    return frame


def user_source() -> Source | None:
    """The line at which the user's code is."""
    frame = user_frame()
    if frame is None:
        return None
    return Source(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


def location(source: Source | None) -> str:
    """``file:line, in function`` followed by the line itself, for error messages."""
    if source is None:
        return "an unknown place"
    return f"{source.file}:{source.line}, in {source.function}"


# -- what a line does ---------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def instruction_at(code: CodeType, position: int) -> str:
    """The name of the instruction at `position` of a code object; indexing is BINARY_SUBSCR in all versions."""
    found = next((i for i in dis.get_instructions(code) if i.offset == position), None)
    if found is None:
        return ""
    return "BINARY_SUBSCR" if found.opname == "BINARY_OP" and found.argrepr == "[]" else found.opname


@functools.lru_cache(maxsize=4096)
def called_name(code: CodeType, position: int) -> str | None:
    """The last name of the function that the call at `position` of a code object calls; None where nobody knows.

    Of all that is loaded at the place where the text of the call begins, it is what ends last before the call does.
    """
    instructions = list(dis.get_instructions(code))
    call = next((i.positions for i in instructions if i.offset == position), None)
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
