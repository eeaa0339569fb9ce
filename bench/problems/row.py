"""One row of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from math import inf
from typing import Any

from bench.library import Function, Library

UNROLLED = 1000  # steps that a library without loops is asked to run in Python
COMPILED = 5  # steps that it is asked to compile one after the other

__all__ = ["COMPILED", "UNROLLED", "Row", "inf"]


@dataclass(frozen=True)
class Row:
    """A function to compile and the data to call it with.

    `function` returns a new, uncompiled function object at each call, so that no library can know it already.
    `check` is given where JAX cannot differentiate the function so: another way to the same result, which JAX runs
    for comparison and which is not timed.
    """

    name: str
    group: str
    data: Callable[[], tuple[Any, ...]]
    function: Callable[[Library], Function]
    check: Callable[[Library], Function] | None = None
    base: Callable[[Library], Function] | None = None  # same arguments; what a gradient or HVP is the derivative of
    limit: float = 3.0  # what the derivative may cost, as a multiple of the base
    by_hand: Function | None = None  # the same result as a careful programmer writes it in Numba
    small: tuple[Callable[[], tuple[Any, ...]], Callable[[Library], Function]] | None = (
        None  # data, function: see accuracy
    )
    steps: float = 1  # of its loops, one after the other; inf where only values tell

    def matches(self, pattern: str) -> bool:
        """Whether the name or the group contains the pattern, or fits it (``chain*``)."""
        names = self.name.lower(), self.group.lower()
        return any(pattern.lower() in name or fnmatch(name, pattern.lower()) for name in names)

    @property
    def has_peer(self) -> bool:
        return self.check is None
