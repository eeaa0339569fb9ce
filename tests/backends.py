"""The two ways in which a program runs and the two ways in which a function is called; tests run under both.

Invariant: programs are verified before they run.
Start at ``BACKENDS`` (programs) and ``MODES`` (functions).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import staged_ad
from staged_ad.api.calling import trace_call
from staged_ad.ir import Program, evaluate, verify
from staged_ad.lowering.compiled import compile_program
from staged_ad.tracing.trees import unflatten

BACKENDS = ["evaluate", "compiled"]
MODES = ["eager", "jit"]


def run(backend: str, program: Program, *arrays: Any) -> list[Any]:
    """The outputs of `program`, which is verified first."""
    verify(program)
    if backend == "evaluate":
        return evaluate(program, *arrays)
    return list(compile_program(program)(*(np.asarray(array) for array in arrays)))


def in_mode(mode: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, or ``jit(f)``."""
    return f if mode == "eager" else staged_ad.jit(f)


def through_program(f: Callable[..., Any], *args: Any) -> Any:
    """``f(*args)`` by way of a program, which is verified."""
    traced = trace_call(f, args, {})
    return unflatten(traced.out_spec, run("evaluate", traced.program, *traced.values))
