"""Lanes in step: a batch of loops with different numbers of iterations as one loop with a mask.

Each lane keeps its carry from the iteration on at which its own loop ends; the loop runs until the last lane is done.
So it serves small groups of lanes best, which share vector registers; groups.py makes them. A body that
holds a loop of its own could run for ever on the carry of a finished lane: such lanes run one by one.

Invariant: what a finished lane computes is never selected.
Start at ``masked_while``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.control.layout import Groups
from staged_ad.ir import Equation, Program
from staged_ad.ir.lowerings import Alias, ArgFold, Fold, Index, Inlined, Map, Pieces, Product, View
from staged_ad.ir.types import INT64
from staged_ad.primitives.arithmetic import and_, lt
from staged_ad.primitives.makers import add, select, typeof, with_batch
from staged_ad.primitives.reductions import reduce_max, reduce_or
from staged_ad.primitives.shaping import broadcast, cast
from staged_ad.tracing import Trace, bind, building, run
from staged_ad.tracing.trace import inline
from staged_ad.transforms.vmap import BEHIND, vmap_program

PLAIN = Map | View | Alias | Index | Fold | ArgFold | Product | Pieces | Inlined
"""The ways of operations on arrays that end whatever they are applied to."""


def in_step(*programs: Program) -> bool:
    """Whether loops with these programs may run with a mask."""
    return all(map(simple, programs))


def simple(program: Program) -> bool:
    """Whether `program` ends, whatever it is applied to."""
    return all(_ends(equation) and all(map(simple, equation.programs)) for equation in program.equations)


def _ends(equation: Equation) -> bool:
    if equation.primitive.name == "scan":
        return equation.params["length"] is not None
    if "cond" in equation.params:
        return False
    return isinstance(equation.primitive.lower, PLAIN)


def _kept(trace: Trace, active: Any, new: Sequence[Any], old: Sequence[Any]) -> list[Any]:
    """`new` where the lane is active, else `old`."""
    results = []
    for x, y in zip(new, old, strict=True):
        shape = typeof(x).shape
        mask = active if len(shape) == 1 else broadcast(active, shape=shape, dims=(0,))
        results.append(select(mask, x, y))
    return results


def masked_while(
    primitive: Any,
    size: int,
    parts: tuple[list[Any], list[Any], list[Any]],
    flags: tuple[list[Any], list[Any], list[Any]],
    params: dict[str, Any],
) -> tuple[list[Any], list[Any]]:
    """The carry, the number of iterations of each lane, and ys with the lanes behind their ragged axis."""
    cond, body = params["cond"], params["body"]
    tests, consts, carry = parts
    carries, outputs = len(carry), len(body.outputs)
    mapped, _ = vmap_program(body, [*flags[1], *[True] * carries], size, [True] * outputs)
    test, _ = vmap_program(cond, [*flags[0], *[True] * carries], size, [True])
    start = [with_batch(size, x, flag) for x, flag in zip(carry, flags[2], strict=True)]
    active = run(test, [*tests, *start])[0]
    zeros = with_batch(size, _zero(), False)
    with building() as trace:
        moving = trace.add_inputs([typeof(x) for x in [*start, active, zeros]])
        still, _ = trace.finish([reduce_or(moving[carries], axes=(0,))], cond.name)
    with building() as trace:
        fixed = trace.add_inputs([typeof(x) for x in [*tests, *consts]])
        moving = trace.add_inputs([typeof(x) for x in [*start, active, zeros]])
        now, going, count = moving[:carries], moving[carries], moving[carries + 1]
        results = inline(trace, mapped, [*fixed[len(tests) :], *now])
        following = _kept(trace, going, results[:carries], now)
        again = inline(trace, test, [*fixed[: len(tests)], *following])[0]
        counted = add(count, cast(going, dtype=INT64, weak=False))
        step, _ = trace.finish([*following, and_(going, again), counted, *results[carries:]], body.name)
    found = bind(
        primitive,
        *tests,
        *consts,
        *start,
        active,
        zeros,
        **{**params, "cond": still, "body": step, "cond_consts": 0, "body_consts": len(tests) + len(consts)},
    )
    stacks = found[carries + 3 :]
    flags_found = [True] * (carries + 1) + [BEHIND] * len(stacks)
    return [*found[:carries], found[carries + 1], *stacks], flags_found


def masked_scan(
    primitive: Any, size: int, parts: Groups, flags: Groups, params: dict[str, Any]
) -> tuple[list[Any], list[Any]]:
    """A scan whose lanes differ in their number of iterations; xs and ys have the lanes behind their ragged axis."""
    body, carries = params["body"], params["carries"]
    counts = with_batch(size, parts.trips[0], flags.trips[0])
    trips = reduce_max(counts, axes=(0,)) if size else _zero()
    mapped, _ = vmap_program(body, [*flags.consts, *[True] * carries, *flags.xs], size, [True] * len(body.outputs))
    start = [with_batch(size, x, flag) for x, flag in zip(parts.carry, flags.carry, strict=True)]
    step = -1 if params["reverse"] else 1
    first = add(trips, -1) if params["reverse"] else _zero()
    with building() as trace:
        fixed = trace.add_inputs([typeof(x) for x in [*parts.consts, counts]])
        number, *now = trace.add_inputs([typeof(x) for x in [first, *start]])
        slices = trace.add_inputs([typeof(x).slice() for x in parts.xs])
        results = inline(trace, mapped, [*fixed[:-1], *now, *slices])
        active = lt(broadcast(number, shape=(size,), dims=()), fixed[-1])
        following = _kept(trace, active, results[:carries], now)
        program, _ = trace.finish([add(number, step), *following, *results[carries:]], body.name)
    sizes = {"consts": len(parts.consts) + 1, "carries": carries + 1}
    found = bind(
        primitive, trips, *parts.consts, counts, first, *start, *parts.xs, **{**params, "body": program, **sizes}
    )
    return found[1:], [True] * carries + [BEHIND] * (len(found) - 1 - carries)


def _zero() -> Any:
    return INT64.type(0)
