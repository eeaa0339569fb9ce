"""Bounds: checked indices by operations that have machine code.

Invariant: the indices that come out depend on the check, so nothing is read before it. Where code goes on behind a
check that failed, they are inside all the same.
Start at ``checked``.
"""

from __future__ import annotations

from functools import partial

from staged_ad.ir import Equation, Program, filled
from staged_ad.ir.lowerings import Bounded
from staged_ad.ir.rewriting import spliced
from staged_ad.primitives.arithmetic import lt, maximum, minimum
from staged_ad.primitives.bounds import fits
from staged_ad.primitives.makers import add, select, zeros
from staged_ad.primitives.reductions import reduce_max, reduce_min
from staged_ad.primitives.shaping import broadcast
from staged_ad.tracing import building


def checked(program: Program, goes_on: bool) -> Program:
    """`program` with the least and the greatest index checked, and the size added to negative ones.

    `goes_on` says that what follows runs even where the check fails.
    """
    return spliced(program, partial(_written, goes_on=goes_on))


def _written(equation: Equation, goes_on: bool) -> Program | None:
    if not isinstance(equation.primitive.lower, Bounded):
        return None
    (i,) = equation.inputs
    with building() as trace:
        trace.source = equation.source
        value = trace.add_input(i.type)
        if not value.size:
            return trace.finish([value])[0]
        every = tuple(range(value.ndim))
        low, high = (reduce_min(value, axes=every), reduce_max(value, axes=every)) if every else (value, value)
        size = fits(low, high, **equation.params)
        moved = add(value, broadcast(size, shape=value.shape, dims=()) if every else size)
        inside = select(lt(value, zeros(value.type)), moved, value)
        if goes_on:
            last = filled(max(equation.params["bound"] - 1, 0), value.type)
            inside = maximum(minimum(inside, last), zeros(value.type))
        return trace.finish([inside])[0]
