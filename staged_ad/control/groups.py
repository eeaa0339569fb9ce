"""Groups of lanes: in compiled code, a large batch of a program with loops is a scan over small batches of it.

The carry of a group stays in the nearest cache, groups run on several threads, and a lane that is finished waits for
its group alone. NumPy, which evaluates what is not compiled, rather has all lanes at once.

On other devices a lane that is small has a thread of its own: there a batch of loops is a scan over single lanes. Of a
program that does more, each small loop is such a scan, and the rest is a batch.

Invariant: results are those of the whole batch.
Start at ``run_mapped``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from staged_ad.control.layout import chosen, others
from staged_ad.control.masked import PLAIN, simple
from staged_ad.control.regions import entries
from staged_ad.control.scan import scan
from staged_ad.control.sweep import SWEEP_BACKWARD, SWEEP_FORWARD, SWEEP_LINEAR
from staged_ad.control.sweep_while import WHILE_FORWARD
from staged_ad.ir import Atom, Equation, Program, Var
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
HALVES = (SWEEP_FORWARD, WHILE_FORWARD, SWEEP_LINEAR, SWEEP_BACKWARD)


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
    pieces = _pieces(program) if on_device() and size > 1 else []
    if len(pieces) > 1:
        return _run_pieces(pieces, program, values, batched, size)
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


def _run_pieces(
    pieces: Sequence[Program], program: Program, values: Sequence[Any], batched: Sequence[int], size: int
) -> tuple[list[Any], list[Any]]:
    """The batch of `program`, piece by piece."""
    known: dict[Atom, tuple[Any, int]] = dict(zip(program.inputs, zip(values, batched, strict=True), strict=True))
    for piece in pieces:
        operands, flags = [known[var][0] for var in piece.inputs], [known[var][1] for var in piece.inputs]
        if any(flags):
            results, found = run_mapped(piece, operands, flags, size)
        else:
            results, found = run(piece, operands), [False] * len(piece.outputs)
        known.update(zip(piece.outputs, zip(results, found, strict=True), strict=True))
    names = tuple([atom for atom in known if isinstance(atom, Var)])
    mapped, flags = vmap_program(Program(names, (), program.outputs), [flag for _, flag in known.values()], size)
    return run(mapped, [value for value, _ in known.values()]), flags


def _pieces(program: Program) -> list[Program]:
    """The loops that a thread may run for each lane, and what stands between them, as programs of their own."""
    found: list[Program] = []
    needed: set[Atom] = set(program.outputs)
    for _, group in groupby(reversed(program.equations), key=_is_for_threads):
        equations = tuple(reversed(list(group)))
        made = {var: None for equation in equations for var in equation.outputs}
        read = dict.fromkeys(atom for equation in equations for atom in equation.inputs if isinstance(atom, Var))
        outputs, inputs = tuple([var for var in made if var in needed]), tuple([var for var in read if var not in made])
        needed.update(inputs)
        if outputs:
            found.append(Program(inputs, equations, outputs, program.name))
    return found[::-1]


def _is_for_threads(equation: Equation) -> bool:
    ragged = any(atom.type.ragged for atom in (*equation.inputs, *equation.outputs))
    return not ragged and not _is_half(equation) and _by_threads(Program((), (equation,), equation.outputs))


def _is_half(equation: Equation) -> bool:
    """Whether it holds a half of a checkpointed loop: a batch of one half leaves nothing for threads of the other."""
    inside = (equation for program in equation.programs for equation in program.equations)
    return equation.primitive in HALVES or any(map(_is_half, inside))


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
