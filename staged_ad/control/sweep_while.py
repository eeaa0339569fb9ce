"""Checkpointed loops with a condition in reverse mode.

The first run counts the iterations and stores states as it goes, so that few run again wherever it ends; what
remains is linear, and a checkpointed scan of that many iterations.

Invariant: as for scans, sweep.py.
Start at ``checkpointed_while``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from staged_ad.control.scan import SCAN, plain_split
from staged_ad.control.sweep import checkpointed, placed
from staged_ad.control.sweep_plan import Keeping, keeping
from staged_ad.control.sweep_programs import forward_program
from staged_ad.control.sweep_run import cache_type
from staged_ad.control.while_loop import WHILE
from staged_ad.ir import ArrayType, Equation, Primitive, Program, evaluate
from staged_ad.ir.lowerings import Inlined
from staged_ad.primitives.makers import zeros
from staged_ad.tracing import bind


def checkpointed_while(equation: Equation, known: Sequence[bool], split: Any) -> Any:
    """The split of a checkpointed loop; None where the plain one stores no more."""
    (before,), _, _ = split
    params, atoms = equation.params, equation.inputs
    tests = params["cond_consts"]
    carries = len(atoms) - tests - params["body_consts"]
    if len(params["body"].outputs) > carries:
        return None
    count = equation.outputs[carries]
    sizes = {"consts": params["body_consts"], "carries": carries, "checkpoint": params["checkpoint"]}
    scan = Equation(
        SCAN,
        (count, *atoms[tests:]),
        {"body": params["body"], "length": None, "reverse": False, **sizes},
        equation.outputs[:carries],
        equation.source,
    )
    flags = [True, *known[tests:]]
    found = checkpointed(scan, flags, plain_split(scan, flags))
    if found is None:
        return None
    (forward,), after, (*sooner, cache) = found
    sizes = {**forward.params, "cond": before.params["cond"], "cond_consts": before.params["cond_consts"]}
    first = Equation(WHILE_FORWARD, before.inputs, sizes, (*sooner, count, cache), equation.source)
    return [first], after, [*sooner, count, cache]


def _plan(params: dict[str, Any]) -> Keeping:
    return keeping(params["body"], params["consts"], params["carries"], params["residuals"], None, params["checkpoint"])


def _loop(params: dict[str, Any]) -> dict[str, Any]:
    """The loop that gives the results alone."""
    body: Program = params["body"]
    outputs = body.outputs[: params["carries"]]
    return {
        "cond": params["cond"],
        "body": Program(body.inputs, body.equations, outputs, body.name),
        "cond_consts": params["cond_consts"],
        "body_consts": params["consts"],
        "checkpoint": params["checkpoint"],
    }


def _abstract(*types: ArrayType, **params: Any) -> list[ArrayType]:
    return [*WHILE.abstract_eval(*types, **_loop(params)), cache_type(_plan(params).layout)]


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list[Any], list[Any]]:
    """The cache from the primals; results and tangents from the jvp of the loop."""
    *_, cache = bind(WHILE_FORWARD, *primals, **params)
    ys, y_dots = WHILE.jvp(primals, tangents, **_loop(params))
    return [*ys, cache], [*y_dots, None]


def _transpose(cts: Sequence[Any], inputs: Sequence[Any], **params: Any) -> list[Any]:
    found: list[Any] = WHILE.transpose(cts[:-1], inputs, **_loop(params))
    return found


def _batch(size: int, values: Sequence[Any], batched: Sequence[int], **params: Any) -> tuple[list[Any], list[int]]:
    """The batch of the loop. The cache is nobody's, as for scans."""
    results, flags = WHILE.batch(size, values, batched, **_loop(params))
    return [*results, zeros(cache_type(_plan(params).layout))], [*flags, False]


@lru_cache(maxsize=256)
def _program(*items: Any) -> Program:
    params = dict(items)
    return forward_program(params, _plan(params), params["cond"])


WHILE_FORWARD: Primitive = Primitive(
    "while_forward",
    abstract_eval=_abstract,
    evaluate=lambda *arrays, **params: evaluate(_program(*sorted(params.items())), *arrays),
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    lower=Inlined(lambda equation: placed(_program(*sorted(equation.params.items())), equation)),
    multiple_results=True,
)
