"""What a checkpointed loop stores, where, and in which order it is reversed.

A slot holds the residual set of one iteration, what its reverse needs of its forward run, and the state after it, from
which later iterations run again; or, where that needs fewer forward steps, states alone are stored.

Invariant: all slots together are no larger than `checkpoint` residual sets of the plain reverse mode.
Start at ``keeping``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.control.layout import groups
from staged_ad.control.schedules import (
    INITIAL,
    Action,
    OnlineSweep,
    Schedule,
    forward_steps,
    reverse_schedule,
    schedule,
)
from staged_ad.ir import ArrayType, Equation, Literal, Program, Var
from staged_ad.ir.types import INT64

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIGNMENT = 64
HORIZON = 1 << 40
"""Iterations up to which a loop of unknown length stores states."""
MOST_STATES = 4096
"""States that a loop of unknown length stores at most: with so many, eight million iterations run thrice at most."""
OP_BITS, SLOT_BITS = 3, 20
"""A row of a table is one integer: the action, a slot plus 1, and a step or a second slot, from the lowest bit on."""


@dataclass(frozen=True)
class Layout:
    """Offsets in one array of bytes: `sets` residual sets, then states."""

    residuals: tuple[int, ...]
    set_bytes: int
    sets: int
    states: tuple[int, ...]
    state_bytes: int
    first_state: int
    bytes: int


@dataclass(frozen=True, eq=False)
class Keeping:
    """`body`: ``(consts, carry, xs) -> (carry, ys, residuals)``.

    The carries `state` are stored; a set holds `kept`, of which those in `after` are states after the iteration, which
    lie where RESTORE finds them; `again` computes the residuals from what is kept, consts and xs.
    """

    body: Program
    state: tuple[int, ...]
    kept: tuple[Var, ...]
    after: tuple[bool, ...]
    again: tuple[Equation, ...]
    layout: Layout
    schedule: Schedule | None
    table: NDArray[np.int64] | None
    slots: int

    @property
    def first(self) -> int:
        """The number of rows before the reverse begins."""
        assert self.table is not None
        found = np.flatnonzero((self.table & (1 << OP_BITS) - 1) == Action.ADJOINT)
        return int(found[0]) if len(found) else len(self.table)


@lru_cache(maxsize=256)
def keeping(body: Program, consts: int, carries: int, residuals: int, length: int | None, slots: int) -> Keeping:
    """The plan for a body whose last outputs are `residuals` residuals; without a length the loop is online."""
    slots = min(slots, (1 << SLOT_BITS) // 2)
    inner = groups(body.inputs, 0, consts, carries)
    wanted = [atom for atom in body.outputs[len(body.outputs) - residuals :] if isinstance(atom, Var)]
    state = _state(body, inner.carry, wanted)
    kept, again = _kept(body, [inner.carry[k] for k in state], wanted)
    ends = [body.outputs[k] for k in state]
    types = [inner.carry[k].type for k in state]
    after = [var in ends for var in kept]
    shared = length is not None and all(atom in kept for atom in ends) and len(set(ends)) == len(ends)
    if not shared:
        after = [False] * len(kept)
    set_offsets, set_bytes = _packed(var.type for var in kept)
    state_offsets, state_bytes = _packed(types)
    memory = slots * (_bytes(wanted) if not any(var.type.ragged for var in wanted) else max(state_bytes, 1))
    if length is None:
        count = max(1, min(memory // state_bytes if state_bytes else slots, MOST_STATES))
        layout = _layout(set_offsets, set_bytes, 1, state_offsets, state_bytes, count - 1)
        return Keeping(body, state, tuple(kept), tuple(after), again, layout, None, None, count)
    apart = 0 if shared else state_bytes
    states = min(memory // state_bytes if state_bytes else length, length, (1 << SLOT_BITS) // 2)
    least = forward_steps(length, states, "states") if states else math.inf
    sets = max(1, min(memory // max(set_bytes, 1), length))  # no fewer than will fit
    if least >= forward_steps(length, sets, "residuals"):
        sets = _most_sets(length, memory, max(set_bytes, 1), apart)
    if least < forward_steps(length, sets, "residuals"):
        after = [False] * len(kept)
        found = schedule(length, states, "states")
        layout = _layout(set_offsets, set_bytes, 1, state_offsets, state_bytes, found.slots - 1)
        return Keeping(body, state, tuple(kept), tuple(after), again, layout, found, encoded(found)[0], found.slots)
    found = schedule(length, sets, "residuals")
    table, used = encoded(found, shared)
    if shared:
        places = dict(zip(kept, set_offsets, strict=True))
        offsets = tuple([places[atom] for atom in ends if isinstance(atom, Var)])
        layout = Layout(set_offsets, set_bytes, found.slots, offsets, set_bytes, 0, found.slots * set_bytes)
    else:
        layout = _layout(set_offsets, set_bytes, found.slots, state_offsets, state_bytes, used)
    return Keeping(body, state, tuple(kept), tuple(after), again, layout, found, table, found.slots)


# -- what is stored -----------------------------------------------------------------------------------------------


def _state(body: Program, carry: Sequence[Var], wanted: Sequence[Var]) -> tuple[int, ...]:
    """The carries that the residuals of any later iteration depend on."""
    found: set[int] = set()
    while True:
        needed = {*wanted, *(body.outputs[k] for k in found)}
        for equation in reversed(body.equations):
            if any(var in needed for var in equation.outputs):
                needed.update(equation.inputs)
        more = {k for k, var in enumerate(carry) if var in needed} | found
        if more == found:
            return tuple(sorted(found))
        found = more


def _kept(body: Program, before: Sequence[Var], wanted: list[Var]) -> tuple[list[Var], tuple[Equation, ...]]:
    """What a set holds, and the equations by which the residuals follow from it.

    Ragged residuals have no fixed size: in their place the state is kept, from which the iteration runs once more.
    """
    if not any(var.type.ragged for var in wanted):
        return wanted, ()
    needed: set[Any] = set(wanted)
    again = []
    for equation in reversed(body.equations):
        if any(var in needed for var in equation.outputs):
            again.append(equation)
            needed.update(equation.inputs)
    return list(before), tuple(reversed(again))


# -- where --------------------------------------------------------------------------------------------------------


def _bytes(values: Iterable[Var]) -> int:
    return _packed(var.type for var in values)[1]


def _packed(types: Iterable[ArrayType]) -> tuple[tuple[int, ...], int]:
    """Offsets and the sum of all sizes; small arrays are not spread over cache lines."""
    offsets, total, widest = [], 0, 8
    for type in types:
        size = type.size * type.dtype.itemsize
        alignment = ALIGNMENT if size >= ALIGNMENT else 8
        total = _up(total, alignment)
        offsets.append(total)
        total += size
        widest = max(widest, alignment)
    return tuple(offsets), _up(total, widest)


def _up(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _layout(
    residuals: tuple[int, ...], set_bytes: int, sets: int, states: tuple[int, ...], state_bytes: int, count: int
) -> Layout:
    first = _up(sets * set_bytes, ALIGNMENT)
    return Layout(residuals, set_bytes, sets, states, state_bytes, first, first + count * state_bytes)


def _most_sets(length: int, memory: int, set_bytes: int, state_bytes: int) -> int:
    """The most residual sets in `memory` bytes, the states to continue from counted where they lie apart."""
    high = max(1, min(memory // set_bytes, length))
    low = max(1, min(memory // (set_bytes + state_bytes), high))
    while low < high:
        middle = (low + high + 1) // 2
        states = encoded(schedule(length, middle, "residuals"))[1] if state_bytes else 0
        if middle * set_bytes + states * state_bytes <= memory:
            low = middle
        else:
            high = middle - 1
    return low


# -- in which order -----------------------------------------------------------------------------------------------


def encoded(plan: Schedule, shared: bool = True) -> tuple[NDArray[np.int64], int]:
    """The rows of a schedule as integers, and the number of places for states.

    A TAPE names the place of the state after it, -1 where nothing is run from there, and a RESTORE the place where it
    lies. With `shared` residual sets and states have the same numbers.
    """
    actions = plan.actions.astype(np.int64)
    if plan.kind == "states":
        op, a, b = actions.T
        slot = np.where(
            (op == Action.SAVE) | (op == Action.RESTORE) | (op == Action.ADJOINT) | (op == Action.TAPE), b, 0
        )
        step = np.where(op == Action.ADVANCE, b, a)
        return _joined(op, slot, np.where(op == Action.TAPE, -1, step)), plan.slots - 1
    if shared:
        op, a, b = actions.T
        step = np.where((op == Action.ADVANCE) | (op == Action.TAPE), b, a)
        return _joined(op, np.where(op == Action.ADVANCE, 0, b), step), plan.slots
    return _with_states(actions)


def _with_states(actions: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Places for the states after taped iterations, from their TAPE to the last RESTORE."""
    rows = actions.tolist()
    lasts: dict[int, int] = {}  # of a TAPE, the last RESTORE of the state after it
    taped: dict[int, int] = {}
    for row, (op, _, b) in enumerate(rows):
        if op == Action.TAPE:
            taped[b] = row
        elif op == Action.RESTORE and b != INITIAL:
            lasts[taped[b]] = row
    ending = {last: tape for tape, last in lasts.items()}
    places: dict[int, int] = {}
    free: list[int] = []
    left: list[int] = []  # a state is read until the iteration after its RESTORE has run
    used = 0
    taped.clear()
    for row, (op, a, b) in enumerate(rows):
        place = step = a
        match Action(op):
            case Action.ADVANCE:
                place, step = 0, b
                free, left = free + left, []
            case Action.TAPE:
                place, step = b, INITIAL
                taped[b] = row
                if row in lasts:
                    if not free:
                        free.append(used)
                        used += 1
                    step = places[row] = free.pop()
                free, left = free + left, []
            case Action.RESTORE:
                place = INITIAL if b == INITIAL else places[taped[b]]
                if row in ending:
                    left.append(place)
            case _:
                place = b
        rows[row] = (op, place, step)
    op, slot, step = np.array(rows, np.int64).reshape(-1, 3).T
    return _joined(op, slot, step), used


def _joined(op: NDArray[np.int64], slot: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.int64]:
    table = op | (slot + 1) << OP_BITS | step << (OP_BITS + SLOT_BITS)
    table = np.ascontiguousarray(table, np.int64)
    table.flags.writeable = False
    return table


def decoded(row: int) -> tuple[Action, int, int]:
    return (
        Action(row & (1 << OP_BITS) - 1),
        ((row >> OP_BITS) & (1 << SLOT_BITS) - 1) - 1,
        row >> (OP_BITS + SLOT_BITS),
    )


def table_literal(table: NDArray[np.int64]) -> Literal:
    return Literal(table, ArrayType(table.shape, INT64))


# -- loops whose length only the run knows ------------------------------------------------------------------------


@lru_cache(maxsize=64)
def saves(slots: int) -> NDArray[np.int64]:
    """Rows (step, slot): the state before that step goes there. The last row is never reached."""
    sweep = OnlineSweep(slots)
    rows = []
    step = 0
    while step < HORIZON:
        step = (step // sweep.stride + 1) * sweep.stride
        slot = sweep.save(step)
        if slot is not None:
            rows.append((step, slot))
    table = np.array([*rows, (2**62, 0)], np.int64)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=4)
def online_table(count: int, slots: int) -> NDArray[np.int64]:
    """The rows that reverse a loop of `count` iterations which stored its states by ``saves(slots)``."""
    sweep = OnlineSweep(slots)
    for step, _ in saves(slots).tolist():
        if step >= count:
            break
        sweep.save(step)
    stored = {step: slot for step, slot in sweep.stored.items() if step < count}
    return encoded(reverse_schedule(count, stored, slots))[0]
