"""Where in the user's code are we? File, line and function of the nearest frame outside the libraries.

Invariant: what it says is the place that a traceback would show last of the user's code.
Start at ``user_source``.
"""

from __future__ import annotations

from staged_ad.frames import user_frame
from staged_ad.ir.program import Source


def user_source() -> Source | None:
    """The innermost frame that belongs to the user."""
    frame = user_frame()
    if frame is None:
        return None
    return Source(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)


def location(source: Source | None) -> str:
    """``file:line, in function`` followed by the line itself, for error messages."""
    if source is None:
        return "an unknown place"
    return f"{source.file}:{source.line}, in {source.function}"
