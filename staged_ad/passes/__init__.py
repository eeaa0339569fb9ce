"""Passes: rewrites of a program that keep its meaning, run before compilation.

Invariant: a pass is a function ``Program -> Program``; ``PIPELINE`` is the one list of them.
Start at ``optimize``.
"""

from __future__ import annotations

from collections.abc import Callable

from staged_ad.ir import Program
from staged_ad.ir.cse import cse
from staged_ad.passes.accumulate import accumulate
from staged_ad.passes.assemble import assemble
from staged_ad.passes.carries import carries
from staged_ad.passes.complexes import complexes
from staged_ad.passes.dce import dce
from staged_ad.passes.factors import factors
from staged_ad.passes.fission import fission
from staged_ad.passes.fold import fold
from staged_ad.passes.forward import forward
from staged_ad.passes.hoist import hoist
from staged_ad.passes.inline import inline_calls
from staged_ad.passes.propagate import propagate
from staged_ad.passes.quotients import quotients
from staged_ad.passes.scalarize import scalarize
from staged_ad.passes.simplify import simplify


def optimize(program: Program) -> Program:
    """`program` after every pass of PIPELINE, and so the programs that its equations hold."""
    for rewrite in PIPELINE:
        program = rewrite(program)
    return program


def inner(program: Program) -> Program:
    """Bodies of loops and branches after every pass."""
    return program.with_programs(optimize)


def tidy(program: Program) -> Program:
    """Bodies after what the passes between `inner` and this one did to them."""
    return program.with_programs(lambda body: dce(cse(simplify(fold(body)))))


PIPELINE: tuple[Callable[[Program], Program], ...] = (
    inline_calls,
    dce,
    complexes,
    dce,
    forward,
    carries,
    propagate,
    inner,
    dce,
    hoist,
    fission,
    carries,
    dce,
    scalarize,
    tidy,
    fold,
    simplify,
    cse,
    quotients,
    factors,
    accumulate,
    assemble,
    dce,
)
