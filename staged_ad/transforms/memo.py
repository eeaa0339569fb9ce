"""Transforms remember what they made of a program.

Rules of primitives that hold programs transform each of them more than once: without a memory, programs in programs in
programs would take exponentially long.

Invariant: a memory lives as long as its program, and programs do not change.
Start at ``remembered``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from staged_ad.ir import Program

F = TypeVar("F", bound=Callable[..., Any])


def remembered(transform: F) -> F:
    """`transform`, which depends on nothing but a program and flags, computed once for each of them."""

    @wraps(transform)
    def looked_up(program: Program, *args: Any, **kwargs: Any) -> Any:
        names = sorted(kwargs)
        key = (transform.__name__, *map(_frozen, (*args, *(kwargs[name] for name in names))), *names)
        if key not in program.memo:
            program.memo[key] = transform(program, *args, **kwargs)
        return program.memo[key]

    return cast(F, looked_up)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) else value
