"""Operations on ragged arrays: the number of entries, and sums of cotangents.

Invariant: a ragged array without entries stands for zeros of any length.
Start at ``join``, which ``plus`` calls where cotangents are ragged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.control.scan import scan
from staged_ad.ir import ArrayType, Equation, Linear, Primitive, Program, Stack
from staged_ad.ir.lowerings import Entries, Inlined
from staged_ad.ir.primitive import not_linear
from staged_ad.ir.ragged import entry, stacked
from staged_ad.ir.types import INT64, RAGGED
from staged_ad.primitives.makers import plus
from staged_ad.tracing import bind, building


def _abstract_join(a: ArrayType, b: ArrayType) -> ArrayType:
    if a != b or not a.ragged:
        raise TypeError(f"join of {a} and {b}")
    return a


def _evaluate_join(a: Any, b: Any) -> Any:
    if not isinstance(a, Stack):
        return np.add(a, b)
    inner = a.type.slice()
    pairs = [(entry(a, k, inner), entry(b, k, inner)) for k in range(max(len(a), len(b)))]
    return stacked([_evaluate_join(x, y) for x, y in pairs], inner, None if a.type.shape[0] == RAGGED else len(a))


def _joining(equation: Equation) -> Program:
    """A scan that adds entry by entry."""
    type = equation.outputs[0].type
    inner = type.slice()
    with building() as trace:
        x, y = trace.add_inputs([inner, inner])
        body, _ = trace.finish([plus(x, y)], "join")
    with building() as trace:
        a, b = trace.add_inputs([type, type])
        if type.shape[0] == RAGGED:
            results = scan(body, [], [], [a, b], length=None, count=bind(ENTRIES, a, b))
        else:
            results = scan(body, [], [], [a, b], length=type.shape[0])
        return trace.finish(results, "join")[0]


def _jvp_join(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    return bind(JOIN, *primals), plus(*tangents)


JOIN = Primitive(
    "join",
    abstract_eval=_abstract_join,
    evaluate=_evaluate_join,
    jvp=_jvp_join,
    transpose=lambda ct, inputs: [ct if isinstance(x, Linear) else None for x in inputs],
    batch=lambda size, values, batched: (_join_batched(values, batched), batched[0]),
    lower=Inlined(_joining),
)


def _join_batched(values: Sequence[Any], batched: Sequence[int]) -> Any:
    if batched[0] != batched[1]:
        raise TypeError("a ragged array does not depend on the lane as its partner does")
    return bind(JOIN, *values)


def _jvp_entries(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, None]:
    return bind(ENTRIES, *primals), None


# entries(a, b): how many entries two ragged arrays have, of which one may stand for zeros.
ENTRIES: Primitive = Primitive(
    "entries",
    abstract_eval=lambda a, b: ArrayType((), INT64),
    evaluate=lambda a, b: np.int64(max(len(a), len(b))),
    jvp=_jvp_entries,
    transpose=not_linear("entries"),
    batch=not_linear("entries"),
    lower=Entries(),
)
