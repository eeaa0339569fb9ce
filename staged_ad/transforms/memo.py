"""Transforms remember what they made of a program.

Rules of primitives that hold programs transform each of them more than once: without a memory, programs in programs in
programs would take exponentially long.

Invariant: a memory lives as long as its program, and programs do not change.
Start at ``remembered``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from staged_ad.ir import Program

P = ParamSpec("P")
R = TypeVar("R")


def remembered(transform: Callable[Concatenate[Program, P], R]) -> Callable[Concatenate[Program, P], R]:
    """`transform`, which depends on nothing but a program and flags, computed once for each of them."""

    @wraps(transform)
    def looked_up(program: Program, *args: P.args, **kwargs: P.kwargs) -> R:
        values = (*args, *(kwargs[name] for name in sorted(kwargs)))
        key = (transform.__name__, *map(_frozen, values), *sorted(kwargs))
        if key not in program.memo:
            program.memo[key] = transform(program, *args, **kwargs)
        found: R = program.memo[key]
        return found

    return looked_up


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) else value
