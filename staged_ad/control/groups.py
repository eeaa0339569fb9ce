"""Groups of lanes: in compiled code, a large batch of a program with loops is a scan over small batches of it.

The carry of a group stays in the nearest cache, groups run on several threads, and a lane that is finished waits for
its group alone. NumPy, which evaluates what is not compiled, rather has all lanes at once.

On other devices a lane that is small has a thread of its own: there a batch of loops is a scan over single lanes.

Invariant: results are those of the whole batch.
Start at ``run_mapped``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from staged_ad.control.layout import chosen, others
from staged_ad.control.masked import PLAIN, simple
from staged_ad.control.regions import entries
from staged_ad.control.scan import scan
from staged_ad.ir import Equation, Program
from staged_ad.ir.lowerings import Branch, Entries, Gather, Loop
from staged_ad.ir.types import RAGGED
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import broadcast, concatenate, reshape, slice_
from staged_ad.tracing import compiling, on_device, run
from staged_ad.transforms.vmap import vmap_program

COUNTED = (128, 160, 200, 96, 80, 64, 256)
"""Lanes of a group for loops of one length for all lanes, by preference; the carry of a group stays in cache."""
THREAD = 64
"""Elements of an array up to which one thread of a device works on it: a launch takes as long as 1000 instructions."""
SMALL = 16
"""Elements of the arrays of one lane up to which its loop is run for a group of lanes at a time."""


def run_mapped(
    program: Program, values: Sequence[Any], batched: Sequence[int], size: int
) -> tuple[list[Any], list[Any]]:
    """The outputs of the batch of `program`, and which of them are batched."""
    if on_device() and size > 1 and _by_threads(program):
        along = list(map(bool, batched))
        inputs = (*others(program.inputs, along), *chosen(program.inputs, along))
        body = Program(inputs, program.equations, program.outputs, program.name)
        results = scan(body, others(values, along), [], chosen(values, along), length=size)
        return list(results), [True] * len(results)
    width = _width(program, size) if compiling() else size
    if width < size:
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


def _width(program: Program, size: int) -> int:
    """How many lanes go together: a divisor of their number if there is one, else the last group is filled up."""
    loops = list(_loops(program))
    if any(_data_dependent(loop) and all(map(simple, loop.programs)) for loop in loops):
        widths: tuple[int, ...] = (32, 40, 24, 48, 16, 64)
    elif loops and all(map(_small, loops)):
        widths = COUNTED
    else:
        return size
    if size <= widths[-1]:
        return size
    return next((n for n in widths if size % n == 0), widths[0])


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


def _loops(program: Program) -> Iterator[Equation]:
    """The outermost loops, and data-dependent ones inside of counted ones."""
    for equation in program.equations:
        inner = [loop for inside in equation.programs for loop in _loops(inside)]
        if _data_dependent(equation) or (equation.primitive.name == "scan" and not any(map(_data_dependent, inner))):
            yield equation
        else:
            yield from inner


def _by_threads(program: Program) -> bool:
    """Whether a thread of a device may run each lane of a program that holds loops, so that this pays."""
    return any(True for _ in _loops(program)) and _plain(program)


def _plain(program: Program) -> bool:
    kinds = PLAIN | Gather | Loop | Branch | Entries
    return all(
        isinstance(equation.primitive.lower, kinds) and is_little(equation) and all(map(_plain, equation.programs))
        for equation in program.equations
    )


def is_little(equation: Equation) -> bool:
    """Whether what an operation gives, a loop in one step, is little enough for a thread of a device."""
    return all(math.prod(n for n in type.shape if n != RAGGED) <= THREAD for type in entries(equation))


def _data_dependent(equation: Equation) -> bool:
    """Whether lanes may differ in their number of iterations."""
    return equation.primitive.name == "while" or equation.params.get("length", 0) is None


def _small(loop: Equation) -> bool:
    """Whether all that a lane computes in an iteration fits into registers or the nearest cache."""
    return all(
        simple(program) and all(atom.type.size <= SMALL for e in program.equations for atom in (*e.inputs, *e.outputs))
        for program in loop.programs
    )
