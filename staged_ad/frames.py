"""Which Python frames are the user's: the nearest one outside of this package and the libraries under it.

Invariant: looking costs about a microsecond; code objects are judged once.
Start at ``user_frame``.
"""

from __future__ import annotations

import functools
import os
import sys
from importlib.util import find_spec
from types import CodeType, FrameType


def package_folder(package: str) -> str:
    """Where a package is installed, which is not imported for this."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"staged_ad needs {package}: python -m pip install {package}")
    return os.path.dirname(os.path.abspath(spec.origin)) + os.sep


_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_DEMO = os.path.join(_PACKAGE, "demo") + os.sep
_LIBRARIES = (
    _PACKAGE,
    *map(package_folder, ("numpy", "optree", "scipy")),
    functools.__file__,  # cached properties and partial calls of ours
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
