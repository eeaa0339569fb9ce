"""Groups of lanes: a large batch of a program with data-dependent loops as a scan over small batches of it.

Invariant: a lane that is finished costs something only until its group is.
Start at ``run_mapped``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from staged_ad.control.layout import chosen, others
from staged_ad.control.masked import WIDEST, simple
from staged_ad.control.scan import scan
from staged_ad.ir import Equation, Program
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import broadcast, concatenate, reshape, slice_
from staged_ad.tracing import run
from staged_ad.transforms.vmap import vmap_program


def run_mapped(
    program: Program, values: Sequence[Any], batched: Sequence[int], size: int
) -> tuple[list[Any], list[Any]]:
    """The outputs of the batch of `program`, and which of them are batched."""
    if size > WIDEST and _data_dependent(program):
        width = _width(size)
        mapped, flags = vmap_program(program, batched, width)
        along = list(map(bool, batched))
        if all(flags):
            groups = -(-size // width)
            xs = [_grouped(x, size, groups, width) for x in chosen(values, along)]
            inputs = (*others(mapped.inputs, along), *chosen(mapped.inputs, along))
            body = Program(inputs, mapped.equations, mapped.outputs, mapped.name)
            results = scan(body, others(values, along), [], xs, length=groups)
            return [_joined(y, size) for y in results], flags
    mapped, flags = vmap_program(program, batched, size)
    return run(mapped, values), flags


def _width(size: int) -> int:
    """How many lanes go together: a divisor of their number if there is one, else the last group is filled up."""
    return next((n for n in (32, 40, 24, 48, 16, 64) if size % n == 0), 32)


def _grouped(x: Any, size: int, groups: int, width: int) -> Any:
    """``[size, ...]`` as ``[groups, width, ...]``; the last lane fills up the last group."""
    shape = typeof(x).shape[1:]
    missing = groups * width - size
    if missing:
        start, stop = (size - 1, *[0] * len(shape)), (size, *shape)
        last = slice_(x, start=start, stop=stop, step=(1,) * len(stop))
        filling = broadcast(reshape(last, shape=shape), shape=(missing, *shape), dims=tuple(range(1, len(shape) + 1)))
        x = concatenate(x, filling, axis=0)
    return reshape(x, shape=(groups, width, *shape))


def _joined(y: Any, size: int) -> Any:
    """The inverse of `_grouped`."""
    groups, width, *shape = typeof(y).shape
    y = reshape(y, shape=(groups * width, *shape))
    if groups * width == size:
        return y
    return slice_(y, start=(0,) * (1 + len(shape)), stop=(size, *shape), step=(1,) * (1 + len(shape)))


def _data_dependent(program: Program) -> bool:
    """Whether `program` has loops for which lanes differ in their number of iterations and may run in step."""
    return any(all(map(simple, loop.programs)) for loop in _loops(program))


def _loops(program: Program) -> Iterator[Equation]:
    for equation in program.equations:
        if equation.primitive.name == "while" or equation.params.get("length", 0) is None:
            yield equation
        else:
            for inner in equation.programs:
                yield from _loops(inner)
