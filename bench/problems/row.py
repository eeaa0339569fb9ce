"""One row of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.library import Function, Library


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

    @property
    def has_peer(self) -> bool:
        return self.check is None
