"""vjp: reverse mode is jvp, then partial_eval, then transpose.

Invariant: the forward half runs once; the backward half needs only residuals and cotangents.
Start at ``linearize_program``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from staged_ad.ir import Program, filled
from staged_ad.ir.cse import cse
from staged_ad.tracing import building
from staged_ad.tracing.trace import inline
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.partial_eval import Split, partial_eval
from staged_ad.transforms.transpose import transpose_program


def linearize_program(program: Program, active: Sequence[bool]) -> Split:
    """``x -> y`` becomes ``x -> (y, r)`` and ``(r, x_dot) -> y_dot``; what is equal is computed, and transposed, once.

    Bodies of loops stay as they are: the halves of a checkpointed one have to fit (control/sweep.py).

    The outputs of the first half are all primal outputs, then the residuals; the second half gives the tangents
    of the floating-point outputs.
    """
    both = jvp_program(cse(program), active)
    split = partial_eval(both, [True] * len(program.inputs) + [False] * sum(active))
    return _tangents_unknown(split, len(program.outputs))


def _tangents_unknown(split: Split, primal_outputs: int) -> Split:
    """Tangents that turned out known (constant zeros) are moved to the second half."""
    if not any(split.outputs_known[primal_outputs:]):
        return split
    outputs = split.known.outputs
    count = sum(split.outputs_known)
    constants = iter(outputs[primal_outputs:count])
    unknown = iter(split.unknown.outputs)
    tangents = tuple(next(constants) if flag else next(unknown) for flag in split.outputs_known[primal_outputs:])
    known = Program(
        split.known.inputs, split.known.equations, (*outputs[:primal_outputs], *outputs[count:]), split.known.name
    )
    rest = Program(split.unknown.inputs, split.unknown.equations, tangents, split.unknown.name)
    return Split(known, rest, split.outputs_known, split.residuals)


class Pullback(NamedTuple):
    """``forward: x -> (y, r)`` and ``backward: (r, y_bar of the floating-point outputs) -> x_bar``."""

    forward: Program
    backward: Program


def vjp_program(program: Program, active: Sequence[bool]) -> Pullback:
    """``x -> y`` becomes ``x -> (y, r)`` and ``(r, y_bar) -> x_bar`` for the active inputs."""
    split = linearize_program(program, active)
    linear = [False] * split.residuals + [True] * sum(active)
    return Pullback(split.known, transpose_program(split.unknown, linear))


def value_and_grad_program(program: Program, active: Sequence[bool]) -> Program:
    """``x -> (y, rest)`` with a scalar y becomes ``x -> (y, rest, x_bar)``."""
    pullback = vjp_program(program, active)
    count = len(program.outputs)
    with building() as trace:
        xs = trace.add_inputs(program.input_types)
        results = inline(trace, pullback.forward, xs)
        ys, residuals = results[:count], results[count:]
        seeds = [
            filled(1 if k == 0 else 0, type.strong())  # what follows the scalar is auxiliary
            for k, type in enumerate(program.output_types)
            if type.inexact
        ]
        x_bars = inline(trace, pullback.backward, [*residuals, *seeds])
        return trace.finish([*ys, *x_bars], f"grad_{program.name}")[0]
