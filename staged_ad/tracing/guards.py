"""Guards: what Python read of a traced value, checked again by every later run of the compiled program.

Invariant: guards stand in the outermost program of a ``jit`` only, which no transform rewrites; their order is that
in which Python asked, and their numbers count from 0. Start at ``guard``; ``Trace.concretize`` records them.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import numpy as np

from staged_ad.errors import GuardFailure, NotDifferentiableError
from staged_ad.ir import ArrayType, Primitive, Source
from staged_ad.ir.lowerings import Check
from staged_ad.ir.types import BOOL, INT64


class Guard(NamedTuple):
    """One guard of a traced program: what Python read (a bool of ``if``, an int of ``range``), and where."""

    expected: bool | int
    source: Source | None


def _abstract(operand: ArrayType, *, expected: bool | int, number: int) -> list[ArrayType]:
    if operand.shape or operand.dtype != (BOOL if isinstance(expected, bool) else INT64):
        raise TypeError(f"a guard for {expected!r} cannot read a value of type {operand}")
    return []


def _evaluate(operand: Any, *, expected: bool | int, number: int) -> tuple[()]:
    value = np.asarray(operand).item()
    if value != expected:
        raise GuardFailure(number, expected, value)
    return ()


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotDifferentiableError("a guard cannot be transformed: it stands in the program of an outermost jit only")


guard = Primitive(
    name="guard",
    abstract_eval=_abstract,
    evaluate=_evaluate,
    jvp=_refuse,
    transpose=_refuse,
    batch=_refuse,
    lower=Check(),
    multiple_results=True,
)
