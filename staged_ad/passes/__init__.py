"""Passes: rewrites of a program that keep its meaning, run before compilation.

Invariant: a pass is a function ``Program -> Program``; ``PIPELINE`` is the one list of them.
Start at ``optimize``.
"""

from __future__ import annotations

from collections.abc import Callable

from staged_ad.ir import Program
from staged_ad.passes.assemble import assemble
from staged_ad.passes.cse import cse
from staged_ad.passes.dce import dce
from staged_ad.passes.fold import fold
from staged_ad.passes.inline import inline_calls
from staged_ad.passes.simplify import simplify

PIPELINE: tuple[Callable[[Program], Program], ...] = (inline_calls, dce, fold, simplify, cse, assemble, dce)


def optimize(program: Program) -> Program:
    """`program` after every pass of PIPELINE."""
    for rewrite in PIPELINE:
        program = rewrite(program)
    return program
