"""Gradients that are NaN because a slope is infinite: infinities of both signs meet in a sum.

Invariant: a NaN is excused by what was computed before it, never by itself.
Start at ``is_inherent``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.ir import Equation, Program, Var, evaluate
from staged_ad.tracing.trace import run


def is_inherent(g: Callable[..., Any], args: Sequence[Any], w: Any) -> bool:
    """Whether the cotangent `w` of g, on its way back, becomes infinite before it becomes NaN.

    It may also become NaN in a product of arrays with what is not finite, in which zero is not absorbing:
    docs/kinks.md. Any other NaN is a fault.
    """
    traced = trace_call(g, args, {})
    program = traced.program.lean
    steps = [program.inputs, *(equation.outputs for equation in program.equations)]
    known = tuple(chain.from_iterable(steps))
    values = dict(zip(known, evaluate(Program(program.inputs, program.equations, known), *traced.values), strict=True))
    for k, step in reversed(list(enumerate(steps))):
        rest = Program(tuple(chain.from_iterable(steps[: k + 1])), program.equations[k:], program.outputs)
        moving = [var for var in step if var.type.inexact]
        for var, cotangent in zip(moving, _cotangents(rest, values, moving, w), strict=True):
            if np.any(np.isnan(cotangent)):
                return any(_multiplies(equation, var, values) for equation in program.equations[k:])
            if np.any(np.isinf(cotangent)):
                return True
    return False


def _cotangents(rest: Program, values: dict[Var, Any], moving: Sequence[Var], w: Any) -> Sequence[Any]:
    """Those of some variables at the cotangent `w` of the result."""

    def result(*xs: Any) -> Any:
        given = {**values, **dict(zip(moving, xs, strict=True))}
        return run(rest, [given[var] for var in rest.inputs])[0]

    return sad.vjp(result, *[values[var] for var in moving])[1](w) if moving else []


def _multiplies(equation: Equation, var: Var, values: dict[Var, Any]) -> bool:
    """Whether it is a product of the array `var` with one that is not finite."""
    if equation.primitive.name != "dot_general" or var not in equation.inputs:
        return False
    others = list(equation.inputs)
    others.remove(var)  # once: it may be multiplied with itself
    return any(not np.all(np.isfinite(values[atom] if isinstance(atom, Var) else atom.array)) for atom in others)
