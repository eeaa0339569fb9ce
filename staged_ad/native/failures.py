"""What the status of a call means that is not 0: a guard that failed, or an exception.

Invariant: statuses below ``FAILED`` are guards, counted from 1; the others are the failures of a module, in order.
Start at ``raise_status``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from staged_ad.errors import StagedADError

FOUND: Final = 25
"""The bits of a status that say what failed; those above may hold a number that was found there."""
FAILED: Final = 1 << (FOUND - 1)


class Failure(NamedTuple):
    """An exception that machine code cannot raise itself; `reads` where its last argument is what was found there."""

    make: Callable[..., Exception]
    arguments: tuple[Any, ...]
    reads: bool = False


def raise_status(status: int, failures: Sequence[Failure]) -> NoReturn:
    """Raise what a status means that is no failed guard; `failures` are those of the module."""
    number, found = status & (2 * FAILED - 1), status >> FOUND
    if FAILED <= number < FAILED + len(failures):
        failure = failures[number - FAILED]
        raise failure.make(*failure.arguments, *[found] * failure.reads)
    raise StagedADError(f"compiled code stopped with status {status}")
