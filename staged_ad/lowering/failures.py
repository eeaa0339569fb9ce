"""What the status of a call means that is not 0: a guard that failed, or an exception.

Invariant: statuses below ``FAILED`` are guards, counted from 1; the others are the failures of a module, in order.
Start at ``raise_status``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from staged_ad.errors import StagedADError

FAILED: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception that machine code cannot raise itself."""

    make: Callable[..., Exception]
    arguments: tuple[Any, ...]


def raise_status(status: int, failures: Sequence[Failure]) -> NoReturn:
    """Raise what a status means that is no failed guard; `failures` are those of the module."""
    if FAILED <= status < FAILED + len(failures):
        failure = failures[status - FAILED]
        raise failure.make(*failure.arguments)
    raise StagedADError(f"compiled code stopped with status {status}")
