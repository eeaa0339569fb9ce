"""Deferred: a program that is made when it is first needed: a derivative rule that the user wrote.

Invariant: it is made at most once, and never where no derivative is taken.
Start at ``Deferred``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

from staged_ad.control.layout import chosen, spread
from staged_ad.ir import Program
from staged_ad.primitives.makers import instantiate, typeof
from staged_ad.transforms.call import call
from staged_ad.transforms.jvp import symbolic_jvp

_serial = count()


@dataclass(frozen=True, eq=False)
class Deferred:
    """`about` says in error messages whose rule it is, and where it stands."""

    name: str
    about: str
    make: Callable[[], Program]
    serial: int = field(default_factory=lambda: next(_serial))

    @cached_property
    def program(self) -> Program:
        return self.make()

    def then(self, rewrite: Callable[[Program], Program]) -> Deferred:
        """What `rewrite` makes of the program, when it is needed."""
        return Deferred(self.name, self.about, lambda: rewrite(self.program))

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        """Its own in this process: programs with different rules are not equal."""
        return f"{self.name}#{self.serial}"


def with_tangents(values: Sequence[Any], captures: int) -> list[bool]:
    """Which operands a rule has tangents for: those of floating point, behind the captures."""
    return [k >= captures and typeof(value).inexact for k, value in enumerate(values)]


def tangents_for_rule(primals: Sequence[Any], tangents: Sequence[Any], captures: int) -> list[Any]:
    """The tangents that a rule takes; zeros where there are none."""
    flags = with_tangents(primals, captures)
    return [instantiate(t, typeof(x).strong()) for x, t, flag in zip(primals, tangents, flags, strict=True) if flag]


def along_captures(program: Program, primals: Sequence[Any], tangents: Sequence[Any], captures: int) -> list[Any]:
    """The tangents of the outputs along those of the captures, of which rules say nothing: by `program` itself."""
    active = [k < captures and t is not None for k, t in enumerate(tangents)]
    count = len(program.outputs)
    if not any(active):
        return [None] * count
    both, flags = symbolic_jvp(program, active, [False] * count)
    derivative = both.narrowed([True] * len(both.inputs), [k >= count for k in range(len(both.outputs))])
    return spread(call(derivative, *primals, *chosen(tangents, active)), flags)
