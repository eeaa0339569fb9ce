"""Checkpointing: which steps of a loop to store and which to run again, when the loop is reversed.

Invariant: a schedule reverses every step once, last to first, with the least forward steps its slots allow.
Start at ``forward_steps``, then ``schedule``; ``OnlineSweep`` serves loops whose length is not known beforehand.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from staged_ad.errors import ArgumentError, ShapeError, VerificationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["states", "residuals"]
INITIAL = -1  # the slot of state 0; it is never overwritten
WORKING = 0  # the one residual slot of the kind "states"
LEVELS = 60  # strides up to 2**59 steps


class Action(IntEnum):
    """One row ``(action, a, b)`` of a schedule. Step t maps state t to state t + 1."""

    ADVANCE = 0  # run steps a, ..., b - 1 plain; state b is current
    SAVE = 1  # store the current state, which is state a, in slot b
    RESTORE = 2  # make state a, which is in slot b, current
    TAPE = 3  # run step a, its residual set goes to residual slot b; state a + 1 is current
    ADJOINT = 4  # reverse step a from the residual set in residual slot b; the slot is free again


def revolve_steps(length: int, slots: int) -> int:
    """The forward steps beyond the `length` taped ones, with `slots` stored states, the initial one included.

    r l - C(s + r, s + 1), r least with C(s + r, s) >= l (Griewank and Walther 2000, algorithm 799): r is the number of
    times that a step runs plain at most, and C(s + r, s) the longest loop that r allows.

    >>> revolve_steps(1000, 50)
    1948
    """
    _check_sizes(length, slots)
    r = _repetitions(length, slots)
    return r * length - math.comb(slots + r, slots + 1)


def forward_steps(length: int, slots: int, kind: Kind) -> int:
    """The least number of forward steps, the taped ones included, that reverse `length` steps.

    With R(l, s) = ``revolve_steps(l, s)`` both recurrences of Gruslys et al. 2016 have closed forms:

    - "states": C(t, m) = min over y of y + C(t - y, m - 1) + C(y, m) has C(t, m) = t + R(t, m): every step is taped
      once more after it last ran plain.
    - "residuals": D(t, m) = min over y of y + D(t - y, m - 1) + D(y - 1, m), D(0, m) = 0, has D(t, m) = R(t + 1, m).
      For D counts from step y - 1, which is taped on the way: D(t, m) + (the tape of a step t that is free) obeys the
      recurrence of R at l = t + 1, with the same y. With one slot only y = t is possible: D(t, 1) = t (t + 1) / 2.

    >>> forward_steps(1000, 50, "states"), forward_steps(1000, 50, "residuals")
    (2948, 1950)
    """
    _check_sizes(length, slots)
    _check_kind(kind)
    return length + revolve_steps(length, slots) if kind == "states" else revolve_steps(length + 1, slots)


def _repetitions(length: int, slots: int) -> int:
    """The least r with C(slots + r, slots) >= length."""
    high = 1
    while math.comb(slots + high, slots) < length:
        high *= 2
    low = high // 2 if high > 1 else 0
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if math.comb(slots + middle, slots) >= length else (middle + 1, high)
    return low


def _split(length: int, slots: int) -> int:
    """The largest y that attains the minimum of y + R(length - y, slots - 1) + R(y, slots), for length >= 2.

    With b(s, r) = C(s + r, s) the minimum is attained from max(b(s, r - 2), length - b(s - 1, r)) to
    min(b(s, r - 1), length - b(s - 1, r - 1)) (Griewank and Walther 2000). The largest y leaves the most steps before
    the stored one, which for residual sets gives fewer RESTORE than the smallest or the middle one.
    """
    r = _repetitions(length, slots)
    return min(math.comb(slots + r - 1, slots), length - math.comb(slots + r - 2, slots - 1))


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth value
class Schedule:
    """What to do, in order, to reverse a loop of `length` steps.

    Slots of the kind "states" hold states: the initial state, in slot INITIAL, is one of the `slots`, the others are
    numbered from 0 to slots - 2; the one residual slot is number 0. Slots of the kind "residuals" are numbered from 0
    to slots - 1 and hold the residual set of a step and the state after it: RESTORE of state a + 1 from the slot where
    TAPE left step a continues from there. The initial state, in slot INITIAL, is not counted. `stored` and `current`
    say what is there when the actions begin, beside state 0 in slot INITIAL: pairs (state, slot), and the current
    state.
    """

    length: int
    kind: Kind
    slots: int
    actions: NDArray[np.int64]  # of shape (n, 3), read-only
    stored: tuple[tuple[int, int], ...] = ()
    current: int = 0

    @property
    def forward_steps(self) -> int:
        """Steps run by ADVANCE and TAPE."""
        action, a, b = self.actions.T
        return int(np.sum((b - a)[action == Action.ADVANCE])) + int(np.count_nonzero(action == Action.TAPE))

    def time_ratio(self, backward_cost: float = 2.0) -> float:
        """Time over that of storing every residual set, where a backward step costs `backward_cost` forward ones."""
        plain = self.length * (1 + backward_cost)
        return (self.forward_steps + self.length * backward_cost) / plain if self.length else 1.0

    def check(self) -> None:
        """Run the actions on state numbers. Raises VerificationError, naming the row, on the first that is wrong."""
        states = {INITIAL: 0} | {slot: state for state, slot in self.stored}
        residuals: dict[int, int] = {}
        in_slots = self.slots - 1 if self.kind == "states" else 0  # what SAVE may write
        taped = 1 if self.kind == "states" else self.slots
        current, left = self.current, self.length
        for row, (action, a, b) in enumerate(self.actions.tolist()):
            match Action(action):
                case Action.ADVANCE:
                    sound, current = current == a < b <= left, b
                case Action.SAVE:
                    sound = current == a and 0 <= b < in_slots
                    states[b] = a
                case Action.RESTORE:
                    found = states.get(b) if self.kind == "states" or b == INITIAL else residuals.get(b, -2) + 1
                    sound, current = found == a, a
                case Action.TAPE:
                    sound = current == a < left and 0 <= b < taped and (b == WORKING or b not in residuals)
                    residuals[b], current = a, a + 1
                case Action.ADJOINT:
                    sound = residuals.pop(b, None) == a == left - 1
                    left = a
            if not sound:
                raise VerificationError(f"row {row} of the schedule, {Action(action).name} {a} {b}, cannot be followed")
        if left:
            raise VerificationError(f"the schedule ends before steps 0 to {left - 1} are reversed")


def schedule(length: int, slots: int, kind: Kind) -> Schedule:
    """The schedule of ``forward_steps(length, slots, kind)`` forward steps; slots beyond `length` are left out.

    >>> for action, a, b in schedule(3, 2, "states").actions.tolist():
    ...     print(Action(action).name, a, b)
    ADVANCE 0 1
    SAVE 1 0
    ADVANCE 1 2
    TAPE 2 0
    ADJOINT 2 0
    RESTORE 1 0
    TAPE 1 0
    ADJOINT 1 0
    RESTORE 0 -1
    TAPE 0 0
    ADJOINT 0 0
    """
    _check_sizes(length, slots)
    _check_kind(kind)
    slots = min(slots, max(length, 1))
    if kind == "states":
        actions = _from_states([(0, length, INITIAL)], list(range(slots - 1)), 0)
    else:
        actions = _from_residuals(length, list(range(slots)))
    return Schedule(length, kind, slots, actions)


def choose(length: int, slots: int, state_size: int, residual_size: int) -> Schedule:
    """The schedule with the fewest forward steps in the memory of `slots` residual sets; ties go to residual sets.

    The sizes are bytes; `residual_size` is that of all a slot of the kind "residuals" holds. The working residual set
    of the kind "states" is not counted. A backward step costs the same in both kinds, so its cost does not matter.
    """
    _check_sizes(length, slots)
    if state_size < 0 or residual_size < 0:
        raise ShapeError(f"sizes in bytes are not negative, got {state_size} and {residual_size}")
    slots = min(slots, max(length, 1))
    states = min(slots * residual_size // state_size, length) if state_size else length
    if states and forward_steps(length, states, "states") < forward_steps(length, slots, "residuals"):
        return schedule(length, states, "states")
    return schedule(length, slots, "residuals")


def _from_states(segments: Sequence[tuple[int, int, int]], free: list[int], current: int) -> NDArray[np.int64]:
    """Reverse each (start, stop, slot of state start), the last first, splitting it with the slots that are `free`.

    A segment frees its own slot when its first step is reversed, so those before it have one more to split with.
    """
    rows = array("q")
    pending = [segment for segment in segments if segment[0] < segment[1]]
    while pending:
        start, stop, slot = pending.pop()
        if start != current:
            rows.extend((Action.RESTORE, start, slot))
            current = start
        if stop - start > 1:
            current = start + _split(stop - start, len(free) + 1)
            pending.append((start, current, slot))
            rows.extend((Action.ADVANCE, start, current))
            if stop - current > 1:
                slot = free.pop()
                rows.extend((Action.SAVE, current, slot))
                pending.append((current, stop, slot))
                continue
        elif slot != INITIAL:
            free.append(slot)
        rows.extend((Action.TAPE, current, WORKING, Action.ADJOINT, current, WORKING))
        current += 1
    return _matrix(rows)


def _from_residuals(length: int, free: list[int]) -> NDArray[np.int64]:
    """Reverse `length` steps, storing residual sets in the slots that are `free`."""
    rows = array("q")
    current = 0
    pending = [(Action.ADVANCE, 0, length, INITIAL)]  # (ADVANCE: reverse the steps; ADJOINT: the one at start), slot
    while pending:
        task, start, stop, slot = pending.pop()
        if task == Action.ADJOINT:
            rows.extend((Action.ADJOINT, start, slot))
            free.append(slot)
        elif start < stop:
            if start != current:
                rows.extend((Action.RESTORE, start, slot))
            taped = start + _split(stop - start + 1, len(free)) - 1
            if start < taped:
                rows.extend((Action.ADVANCE, start, taped))
            target = free.pop()
            rows.extend((Action.TAPE, taped, target))
            current = taped + 1
            pending.append((Action.ADVANCE, start, taped, slot))
            pending.append((Action.ADJOINT, taped, current, target))
            pending.append((Action.ADVANCE, current, stop, target))
    return _matrix(rows)


class OnlineSweep:
    """Which states to store while a loop runs whose length is not known: those at the multiples of a stride.

    When ``limits[level]`` states are stored, the initial one included, every second one is dropped and the stride
    doubles. Before step t is run, ``save(t)`` tells where state t goes; when the loop has ended,
    ``reverse_schedule(length, sweep.stored, slots)`` reverses it. All steps together are at most 5/4 of the offline
    optimum, C(length, slots) + 1 (one more: that a last step is the last is seen when it has run); with one slot 9/7.
    That was measured for up to 100 slots and lengths up to 2**39, not proved. It stores O(slots log length) states in
    all, where the published rule of Wang, Moin and Iaccarino 2009 (minimal repetition) stores one at every step.

    The state is integers that native code can keep: `stride`, `level`, `count` and the permutation `order` of the
    slots, of which the first count - 1 hold the states at stride, 2 stride, ...
    """

    def __init__(self, slots: int) -> None:
        _check_sizes(0, slots)
        self.limits = stride_limits(slots)
        self.stride = 1
        self.level = 0
        self.count = 1
        self.order = list(range(slots - 1))

    def save(self, step: int) -> int | None:
        """The slot where state `step` is to be stored before step `step` runs, None to store nothing."""
        if step == 0:
            return None  # it is in slot INITIAL
        while step % self.stride == 0:
            if self.count < self.limits[self.level]:
                self.count += 1
                return self.order[self.count - 2]
            used = self.order[: self.count - 1]
            kept = used[1::2]
            self.order[: self.count - 1] = kept + used[::2]
            self.count = 1 + len(kept)
            self.stride *= 2
            self.level += 1
        return None

    @property
    def stored(self) -> dict[int, int]:
        """The slot of each stored state but the initial one."""
        return {(k + 1) * self.stride: slot for k, slot in enumerate(self.order[: self.count - 1])}


@cache
def stride_limits(slots: int) -> tuple[int, ...]:
    """How many states to store at stride 1, 2, 4, ..., 2**(LEVELS - 1), the initial one included.

    Limit k of stride q is the largest k <= slots such that a loop of k q steps needs no fewer steps with the states at
    multiples of 2 q: a state less in store is a slot more to reverse the last segments with.

    >>> stride_limits(10)[:12]
    (10, 10, 10, 10, 8, 8, 7, 6, 6, 5, 4, 4)
    """
    limits: list[int] = []
    least = 1
    fine = [revolve_steps(1, s) for s in range(slots, 0, -1)]  # fine[i]: of segment i, which has slots - i slots
    for level in range(LEVELS):
        coarse = [revolve_steps(2 << level, s) for s in range(slots, 0, -1)]
        best, fine_total, coarse_total = least, 0, 0
        for k in range(1, slots + 1):  # totals of k segments of stride q, and of k // 2 of stride 2 q
            fine_total += fine[k - 1]
            if k % 2 == 0:
                coarse_total += coarse[k // 2 - 1]
            rest = fine[k // 2] if k % 2 else 0  # the last segment is half as long
            if fine_total <= coarse_total + rest:
                best = max(best, k)
        limits.append(best)
        least = (best + 1) // 2
        fine = coarse
    return tuple(limits)


def reverse_schedule(length: int, stored: Mapping[int, int], slots: int) -> Schedule:
    """Reverse a loop that has run to its end; `stored` gives the slots of the states stored on the way.

    The segments between stored states are reversed from the last to the first, each by the binomial schedule for its
    own slot and those that are free by then: the least steps that keep each stored state until its segment's turn.
    """
    _check_sizes(length, slots)
    if not all(0 < state < length for state in stored):
        raise ShapeError(f"stored states lie between 0 and the length {length}, got {sorted(stored)}")
    used = set(stored.values())
    if len(used) < len(stored) or not used <= set(range(slots - 1)):
        raise ShapeError(f"each stored state has a slot of its own below {slots - 1}, got {dict(stored)}")
    starts = [(0, INITIAL), *sorted(stored.items())]
    stops = [*(state for state, _ in starts[1:]), length]
    segments = [(start, stop, slot) for (start, slot), stop in zip(starts, stops, strict=True)]
    actions = _from_states(segments, [slot for slot in range(slots - 1) if slot not in used], length)
    return Schedule(length, "states", slots, actions, tuple(starts[1:]), length)


def _matrix(rows: array[int]) -> NDArray[np.int64]:
    return np.frombuffer(rows.tobytes(), np.int64).reshape(-1, 3)


def _check_sizes(length: int, slots: int) -> None:
    if length < 0:
        raise ShapeError(f"the length of a loop is not negative, got {length}")
    if slots < 1:
        raise ShapeError(f"a schedule needs at least one slot, got {slots}")


def _check_kind(kind: str) -> None:
    if kind not in ("states", "residuals"):
        raise ArgumentError(f'kind is "states" or "residuals", got {kind!r}')
