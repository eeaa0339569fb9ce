"""The memory that loops of unknown length may keep for their reverse.

Invariant: evaluate and machine code read the same limit.
Start at ``set_tape_limit``.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final

from staged_ad.errors import ArgumentError, TapeOverflowError
from staged_ad.ir import Source

LIMIT: Final = (ctypes.c_int64 * 1)(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
"""The limit in bytes, at an address that machine code reads; at the start half of the machine's memory."""


def set_tape_limit(bytes: Any) -> None:
    """Let the reverse of loops of unknown length keep at most `bytes` bytes in one call; a loop that needs more raises.

    The limit at the start is half of the machine's memory.

    Parameters
    ----------
    bytes
        A positive integer.

    Raises
    ------
    ArgumentError
        `bytes` is not a positive integer.

    Examples
    --------
    >>> import staged_ad as sad
    >>> before = sad.get_tape_limit()
    >>> sad.set_tape_limit(10**9)
    >>> sad.set_tape_limit(before)
    """
    if not isinstance(bytes, int) or isinstance(bytes, bool) or not 0 < bytes < 1 << 62:
        raise ArgumentError(f"set_tape_limit needs a positive number of bytes, got {bytes!r}")
    LIMIT[0] = bytes


def get_tape_limit() -> int:
    """The number of bytes that loops of unknown length may keep for their reverse in one call.

    Examples
    --------
    >>> import staged_ad as sad
    >>> sad.get_tape_limit() > 0
    True
    """
    return int(LIMIT[0])


def tape_overflow(where: Source | str) -> TapeOverflowError:
    """The error of the loop at `where`."""
    return TapeOverflowError(
        f"the loop at {where} needs more memory for its reverse than the limit of {get_tape_limit()} bytes. Does it "
        "end? Raise the limit by staged_ad.set_tape_limit(bytes), or let it compute parts again: "
        "while_loop(..., checkpoint=slots)"
    )
