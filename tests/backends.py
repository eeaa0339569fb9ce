"""The two ways in which a program runs and the two ways in which a function is called; tests run under both.

Invariant: what is not there yet is skipped here and nowhere else.
Start at ``BACKENDS`` (programs) and ``MODES`` (functions).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad
from staged_ad.calling import trace_call
from staged_ad.ir import Program, evaluate, verify
from staged_ad.tracing.trees import unflatten

# To be removed when the compiled backend and jit are public: then import both at the top.
try:
    from staged_ad.lowering import compile_program
except ImportError:
    compile_program = None  # type: ignore[assignment]
jit: Callable[..., Any] | None = getattr(staged_ad, "jit", None)
_NO_BACKEND = pytest.mark.skipif(compile_program is None, reason="there is no compiled backend yet")
_NO_JIT = pytest.mark.skipif(jit is None, reason="there is no jit yet")

BACKENDS = ["evaluate", pytest.param("compiled", marks=_NO_BACKEND)]
MODES = ["eager", pytest.param("jit", marks=_NO_JIT)]


def run(backend: str, program: Program, *arrays: Any) -> list[Any]:
    """The outputs of `program`, which is verified first."""
    verify(program)
    if backend == "evaluate":
        return evaluate(program, *arrays)
    assert compile_program is not None
    return list(compile_program(program)(*(np.asarray(array) for array in arrays)))


def in_mode(mode: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, or ``jit(f)``."""
    if mode == "eager":
        return f
    assert jit is not None
    return jit(f)


def through_program(f: Callable[..., Any], *args: Any) -> Any:
    """``f(*args)`` by way of a program, which is verified."""
    traced = trace_call(f, args, {})
    return unflatten(traced.out_spec, run("evaluate", traced.program, *traced.values))
