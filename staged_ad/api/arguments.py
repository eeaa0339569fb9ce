"""Which arguments are differentiated, and whether they and the results can be.

Invariant: what cannot be differentiated is refused with its name before anything is computed.
Start at ``argument_positions``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.api.calling import Traced, argument_name, function_name, leaf_name
from staged_ad.errors import ArgumentError, NotDifferentiableError
from staged_ad.ir import ArrayType
from staged_ad.ir.types import describe
from staged_ad.tracing.trees import unflatten

Argnums = int | Sequence[int]


def argument_positions(
    f: Callable[..., Any], argnums: Argnums, args: Sequence[Any], name: str = "argnums"
) -> list[int]:
    """The positions that `argnums` means, counted from the front; raises ArgumentError for what is not there."""
    try:
        numbers = [operator.index(k) for k in (argnums if isinstance(argnums, Sequence) else [argnums])]
    except TypeError:
        advice = f"; what {function_name(f)} is called with comes in a call of its own: grad(f)(x), not grad(f, x)"
        raise ArgumentError(
            f"{name} must be an integer or a sequence of integers, got {describe(argnums)}"
            + advice * isinstance(argnums, float | np.ndarray)
        ) from None
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise ArgumentError(
                f"{name}={argnums} needs {number + 1 if number >= 0 else -number} positional arguments of "
                f"{function_name(f)}, {len(args)} given; what is differentiated is passed by position, not by name"
            )
    found = [number % len(args) for number in numbers]
    for number in found:
        if args[number] is None:
            raise ArgumentError(f"{argument_name(f, number)} is None: there is nothing to differentiate")
    if len(set(found)) != len(found):
        raise ArgumentError(f"{name}={argnums} names an argument twice")
    return found


def check_differentiable(
    what: str, f: Callable[..., Any], traced: Traced, positions: Sequence[int], holomorphic: bool
) -> None:
    """Inputs must be floating-point or complex, with `holomorphic` complex; the error names the argument."""
    types = traced.program.input_types[len(traced.captures) :]
    for k, type in enumerate(types):
        if not type.inexact:
            name = leaf_name(f, positions, unflatten(traced.in_spec, traced.leaves), k)
            raise NotDifferentiableError(
                f"{what} needs floating-point inputs, but {name} has dtype {type.dtype}. Write 3.0 instead of 3, "
                "x.astype(float), or leave it out of argnums"
            )
        if holomorphic and not type.is_complex:
            name = leaf_name(f, positions, unflatten(traced.in_spec, traced.leaves), k)
            raise NotDifferentiableError(
                f"{what}: holomorphic=True needs complex inputs, {name} is real; write x.astype(complex), or leave "
                "holomorphic=True away"
            )


def check_result(what: str, f: Callable[..., Any], type: ArrayType, holomorphic: bool) -> None:
    """Results must be real, with `holomorphic` complex: the derivative of a complex result is no one number."""
    if type.is_complex != holomorphic:
        raise NotDifferentiableError(
            f"{what}: holomorphic=True needs a complex result, but {function_name(f)} returned {type}"
            if holomorphic
            else f"{what} needs a real result, but {function_name(f)} returned {type}. Return a real number, such as "
            "np.abs(z) or z.real, set holomorphic=True for the complex derivative of a holomorphic function, or use "
            "jvp or vjp"
        )


def as_given(argnums: Argnums, parts: Sequence[Any]) -> Any:
    """One part where `argnums` is a number, a tuple of parts where it is a sequence."""
    return tuple(parts) if isinstance(argnums, Sequence) else parts[0]
