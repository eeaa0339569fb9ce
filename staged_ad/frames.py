"""Which Python frames are the user's: the nearest one outside of this package and the libraries under it.

Invariant: looking costs about a microsecond; code objects are judged once.
Start at ``user_frame``.
"""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType

import numpy as np
import optree
import scipy

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_DEMO = os.path.join(_PACKAGE, "demo") + os.sep
_LIBRARIES = (
    _PACKAGE,
    os.path.dirname(os.path.abspath(np.__file__)) + os.sep,
    os.path.dirname(os.path.abspath(optree.__file__)) + os.sep,
    os.path.dirname(os.path.abspath(scipy.__file__)) + os.sep,
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
