"""Loops over items that do not depend on each other: a thread runs each item where it can, else all go step by step.

Invariant: results are those of the loop.
Start at ``in_step``.
"""

from __future__ import annotations

from functools import partial

from staged_ad.control.scan import SCAN
from staged_ad.cuda.outside import outside
from staged_ad.cuda.planner import fits_a_thread
from staged_ad.ir import Equation, Program
from staged_ad.ir.lowerings import Sweep
from staged_ad.ir.rewriting import spliced
from staged_ad.passes import optimize
from staged_ad.passes.inline import inline_calls
from staged_ad.transforms.vmap import vmap_program

DEEPEST = 3
"""Batches of batches that are made."""
LARGEST = 1 << 28
"""Elements of all values of a batch up to which it is made: a loop takes less memory."""


def in_step(program: Program, depth: int = DEEPEST) -> Program:
    """A traced program whose loops over independent items are batches, unless one thread can run an item."""
    return spliced(inline_calls(program), partial(_batch, depth=depth))


def _batch(equation: Equation, depth: int) -> Program | None:
    """What is to be done instead of a loop; None where it stays.

    Lanes that cannot run in step are such a loop again, so that there must be an end.
    """
    if not depth or not _is_batch(equation):
        return None
    body, fixed, length = equation.params["body"], equation.params["consts"], equation.params["length"]
    flags = [k >= fixed for k in range(len(equation.inputs))]
    return in_step(vmap_program(body, flags, length, [True] * len(body.outputs))[0], depth - 1)


def _is_batch(equation: Equation) -> bool:
    params = equation.params
    if equation.primitive is not SCAN or params["carries"] or not params["length"]:
        return False
    optimized = optimize(params["body"])
    if _holds_sweep(optimized):
        return False  # a batch keeps nothing for the other half of a checkpointed loop
    body = outside(optimized)
    work = sum(var.type.size for inside in body.equations for var in inside.outputs if not var.type.ragged)
    return not fits_a_thread(body) and work * params["length"] <= LARGEST


def _holds_sweep(program: Program) -> bool:
    return any(
        isinstance(equation.primitive.lower, Sweep) or any(map(_holds_sweep, equation.programs))
        for equation in program.equations
    )
