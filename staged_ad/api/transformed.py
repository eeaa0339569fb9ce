"""What transforms make of functions: functions that can be pickled, for other processes.

Invariant: a pickle holds no traced program and no machine code, only names, functions and options.
Start at ``transforming``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import update_wrapper
from types import FunctionType, MethodType
from typing import Any

from staged_ad.api.calling import check_callable


class Transformed:
    """What ``make(f, *options)`` returns: `apply`, which calls `f` in its way."""

    def __init__(
        self, apply: Callable[..., Any], make: Callable[..., Any], f: Callable[..., Any], options: tuple[Any, ...]
    ) -> None:
        update_wrapper(self, f, updated=("__dict__",) if isinstance(f, FunctionType) else ())
        self._apply = apply
        self._made = make, f, options

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The transformed function of these arguments."""
        return self._apply(*args, **kwargs)

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        make, f, _ = self._made
        return f"<{make.__name__} of {getattr(f, '__name__', f)}>"

    def __reduce__(self) -> Any:
        """By name where it has one, else as the transform of its function."""
        make, f, options = self._made
        return name_of(self) or (make, (f, *options))


def transforming(
    make: Callable[..., Any], f: Callable[..., Any], *options: Any
) -> Callable[[Callable[..., Any]], Transformed]:
    """A decorator of the function that the transform ``make(f, *options)`` returns."""
    check_callable(make.__name__, f)
    return lambda apply: Transformed(apply, make, f, options)


def name_of(wrapper: Any) -> str | None:
    """The name in its module under which a wrapper is found, as a decorator leaves it; None where it has none."""
    name: str = getattr(wrapper, "__qualname__", "")
    found: Any = sys.modules.get(getattr(wrapper, "__module__", ""))
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is wrapper else None
