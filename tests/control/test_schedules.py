"""Checkpointing: forward steps equal the published recurrences and tables; every schedule can be followed.

Invariant: what a schedule costs is what ``forward_steps`` says, and ``check`` follows it on state numbers.
Start at ``by_recurrence``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged_ad.control.schedules import (
    INITIAL,
    LEVELS,
    Action,
    OnlineSweep,
    choose,
    forward_steps,
    reverse_schedule,
    revolve_steps,
    schedule,
    stride_limits,
)
from staged_ad.errors import ArgumentError, ShapeError, VerificationError

KINDS = ["states", "residuals"]
TABLE_SLOTS = [1, 2, 3, 5, 10, 20, 50]
TABLE = {  # Griewank and Walther 2000
    10: [45, 20, 15, 13, 9, 9, 9],
    100: [4950, 845, 490, 316, 222, 178, 148],
    1000: [499500, 28820, 12155, 6284, 3636, 2747, 1948],
}


@cache
def by_recurrence(kind, t, m):
    """The recurrences of Gruslys et al. 2016, as they are printed."""
    if t == 0:
        return 0
    if kind == "states":
        if m == 1:
            return t * (t + 1) // 2
        if m >= t:
            return 2 * t - 1
        return min(y + by_recurrence(kind, t - y, m - 1) + by_recurrence(kind, y, m) for y in range(1, t))
    if m >= t:
        return t
    splits = [t] if m == 1 else range(1, t + 1)
    return min(y + (by_recurrence(kind, t - y, m - 1) if y < t else 0) + by_recurrence(kind, y - 1, m) for y in splits)


@cache
def revolve_by_recurrence(length, slots):
    if length <= 1:
        return 0
    if slots == 1:
        return length * (length - 1) // 2
    return min(
        y + revolve_by_recurrence(length - y, slots - 1) + revolve_by_recurrence(y, slots) for y in range(1, length)
    )


def swept(length, slots):
    """A sweep over `length` steps, and what is in the slots, followed save by save."""
    sweep, contents = OnlineSweep(slots), {}
    for step in range(length):
        slot = sweep.save(step)
        if slot is not None:
            contents[slot] = step
    assert all(contents[slot] == state for state, slot in sweep.stored.items())
    return sweep


def online_steps(length, slots):
    """Sweep and completion, computed from the stride alone."""
    level = 0
    while (length - 1) // (1 << level) + 1 > stride_limits(slots)[level]:
        level += 1
    segments = [1 << level] * ((length - 1) >> level)
    segments.append(length - sum(segments))
    return length + sum(forward_steps(segment, slots - k, "states") for k, segment in enumerate(segments))


@pytest.mark.parametrize("length", TABLE)
def test_revolve_gives_the_published_table(length):
    assert [revolve_steps(length, slots) for slots in TABLE_SLOTS] == TABLE[length]


def test_forward_steps_are_those_published_for_thousand_steps_and_fifty_slots():
    assert forward_steps(1000, 50, "states") == 2948
    assert forward_steps(1000, 50, "residuals") == 1950
    assert round(schedule(1000, 50, "states").time_ratio(2.0), 2) == 1.65
    assert round(schedule(1000, 50, "residuals").time_ratio(2.0), 3) == 1.317


@pytest.mark.parametrize("slots", range(1, 13))
def test_closed_forms_equal_the_recurrences(slots):
    for length in range(61):
        assert revolve_steps(length, slots) == revolve_by_recurrence(length, slots)
        for kind in KINDS:
            assert forward_steps(length, slots, kind) == by_recurrence(kind, length, slots)


@given(st.sampled_from(KINDS), st.integers(0, 400), st.integers(1, 60))
def test_every_schedule_can_be_followed_and_costs_the_least(kind, length, slots):
    plan = schedule(length, slots, kind)
    plan.check()
    assert plan.forward_steps == forward_steps(length, slots, kind)
    assert plan.slots == min(slots, max(length, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slots", [1, 3, 40, 1000])
def test_long_loops_have_schedules_of_the_least_cost(kind, slots):
    plan = schedule(100_000, slots, kind)
    plan.check()
    assert plan.actions.dtype == np.int64
    assert plan.forward_steps == forward_steps(100_000, slots, kind)


def test_residual_slots_for_every_step_are_plain_backpropagation():
    plan = schedule(4, 9, "residuals")
    assert [Action(action) for action in plan.actions[:, 0]] == [Action.TAPE] * 4 + [Action.ADJOINT] * 4
    assert plan.time_ratio() == 1


def test_an_empty_loop_has_an_empty_schedule():
    for plan in [schedule(0, 3, "states"), schedule(0, 3, "residuals"), reverse_schedule(0, {}, 3), choose(0, 3, 8, 8)]:
        plan.check()
        assert plan.actions.shape == (0, 3)
        assert plan.time_ratio() == 1


@given(st.sampled_from(KINDS), st.integers(1, 60), st.integers(1, 9), st.data())
def test_the_check_finds_a_missing_row(kind, length, slots, data):
    plan = schedule(length, slots, kind)
    row = data.draw(st.integers(0, len(plan.actions) - 1))
    with pytest.raises(VerificationError):
        replace(plan, actions=np.delete(plan.actions, row, axis=0)).check()


@given(st.sampled_from(KINDS), st.integers(1, 60), st.integers(1, 9), st.data())
def test_the_check_finds_a_changed_number(kind, length, slots, data):
    plan = schedule(length, slots, kind)
    actions = plan.actions.copy()
    row, column = data.draw(st.integers(0, len(actions) - 1)), data.draw(st.integers(1, 2))
    actions[row, column] += data.draw(st.sampled_from([-1, 1]))
    with pytest.raises(VerificationError):
        replace(plan, actions=actions).check()


def test_the_check_counts_slots():
    for kind in KINDS:
        with pytest.raises(VerificationError, match="row"):
            replace(schedule(50, 6, kind), slots=5).check()


@given(st.integers(0, 300), st.integers(1, 30), st.integers(0, 100), st.integers(0, 400))
def test_the_cheaper_kind_is_chosen_and_fits(length, slots, state_size, residual_size):
    plan = choose(length, slots, state_size, residual_size)
    plan.check()
    slots = min(slots, max(length, 1))
    states = min(length, slots * residual_size // state_size if state_size else length)
    residuals_cost = forward_steps(length, slots, "residuals")
    states_cost = forward_steps(length, states, "states") if states else residuals_cost
    assert plan.forward_steps == min(states_cost, residuals_cost)
    assert plan.kind == ("states" if states_cost < residuals_cost else "residuals")
    if plan.kind == "states":
        assert plan.slots * state_size <= slots * residual_size


def test_small_states_are_stored_in_place_of_large_residual_sets():
    assert choose(1000, 10, 8, 8).kind == "residuals"
    assert choose(1000, 10, 8, 800).kind == "states"
    assert choose(1000, 10, 8, 800).slots == 1000


@given(st.integers(0, 600), st.integers(1, 24))
def test_a_loop_of_unknown_length_can_be_reversed(length, slots):
    sweep = swept(length, slots)
    plan = reverse_schedule(length, sweep.stored, slots)
    plan.check()
    if length:
        assert length + plan.forward_steps == online_steps(length, slots)


@given(st.integers(1, 200), st.integers(1, 12), st.data())
def test_any_stored_states_can_be_completed(length, slots, data):
    free = data.draw(st.permutations(range(slots - 1)))
    states = data.draw(st.sets(st.integers(1, max(length - 1, 1)), max_size=min(len(free), length - 1)))
    stored = dict(zip(sorted(states), free, strict=False))
    plan = reverse_schedule(length, stored, slots)
    plan.check()
    edges = [0, *sorted(states), length]
    assert plan.forward_steps == sum(
        forward_steps(b - a, slots - k, "states") for k, (a, b) in enumerate(pairwise(edges))
    )
    assert plan.stored == tuple(stored.items())
    assert INITIAL not in plan.actions[plan.actions[:, 0] == Action.SAVE, 2]


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 5, 7, 10, 20, 50, 100])
def test_an_unknown_length_costs_at_most_a_quarter_more_steps(slots):
    lengths = {*range(1, 1200), *(int(1.07**k) for k in range(100, 400))}
    # a stride changes right after limit * stride steps
    lengths |= {k * q + 1 for k, q in zip(stride_limits(slots)[:40], (1 << level for level in range(40)), strict=True)}
    worst = 9 / 7 if slots == 1 else 5 / 4
    for length in lengths:
        assert online_steps(length, slots) <= worst * (forward_steps(length, slots, "states") + 1)
        if length <= slots:
            assert online_steps(length, slots) == forward_steps(length, slots, "states") + 1


def test_an_online_sweep_stores_few_states():
    sweep = OnlineSweep(10)
    saves = sum(sweep.save(step) is not None for step in range(100_000))
    assert saves < 10 * 17


def test_limits_never_exceed_the_slots():
    for slots in range(1, 40):
        limits = stride_limits(slots)
        assert len(limits) == LEVELS
        assert all(1 <= limit <= slots for limit in limits)


def test_bad_sizes_and_kinds_are_refused():
    with pytest.raises(ShapeError, match="length of a loop"):
        schedule(-1, 3, "states")
    with pytest.raises(ShapeError, match="at least one slot"):
        forward_steps(3, 0, "residuals")
    with pytest.raises(ShapeError, match="at least one slot"):
        OnlineSweep(0)
    with pytest.raises(ShapeError, match="sizes in bytes"):
        choose(3, 1, -8, 8)
    with pytest.raises(ArgumentError, match="kind is"):
        schedule(3, 1, "both")
    with pytest.raises(ShapeError, match="stored states lie between"):
        reverse_schedule(5, {5: 0}, 3)
    with pytest.raises(ShapeError, match="slot of its own"):
        reverse_schedule(5, {1: 0, 2: 0}, 3)
    with pytest.raises(ShapeError, match="slot of its own"):
        reverse_schedule(5, {1: 2}, 3)
