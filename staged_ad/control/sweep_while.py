"""Checkpointed loops with a condition in reverse mode.

The first run counts the iterations and stores states as it goes, so that few run again wherever it ends; what
remains is linear, and a checkpointed scan of that many iterations.

Invariant: as for scans, sweep.py.
Start at ``checkpointed_while``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.control.scan import SCAN, plain_split
from staged_ad.control.sweep import checkpointed, forward_primitive
from staged_ad.control.while_loop import WHILE
from staged_ad.ir import Equation, Program


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


WHILE_FORWARD = forward_primitive("while_forward", WHILE, _loop)
