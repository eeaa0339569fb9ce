"""One row of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.library import Function, Library


@dataclass(frozen=True)
class Row:
    """A function to compile and the data to call it with.

    `function` returns a new, uncompiled function object at each call, so that no library can know it already.
    """

    name: str
    group: str
    data: Callable[[], tuple[Any, ...]]
    function: Callable[[Library], Function]
