"""What checkpointed loops of unknown length ask Python for: the table of actions of their backward run.

Invariant: a callback returns 0 only where Python failed.
Start at ``symbols``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Final

from staged_ad.control.sweep_plan import online_table

ROWS, FILL = "staged_sweep_rows", "staged_sweep_fill"


def symbols() -> Mapping[str, int]:
    """The addresses of both functions."""
    return {name: ctypes.cast(f, ctypes.c_void_p).value or 0 for name, f in _CALLBACKS.items()}


def _rows(count: int, slots: int) -> int:
    """The number of rows plus 1: where Python fails, ctypes returns 0."""
    return len(online_table(count, slots)) + 1


def _fill(count: int, slots: int, target: int) -> int:
    table = online_table(count, slots)
    ctypes.memmove(target, table.ctypes.data, table.nbytes)
    return 1


_CALLBACKS: Final = {
    ROWS: ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(_rows),
    FILL: ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(_fill),
}
