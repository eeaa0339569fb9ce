"""Loops, branches and batches of them on the emulated device: their values and derivatives are those of NumPy.

Invariant: a function is traced as for a device, where each lane of a batch of small loops has a thread.
Start at ``check``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import staged_ad as sad
from staged_ad.api.calling import trace_prepared
from staged_ad.cuda.actions import Launch, Outside, Repeat
from staged_ad.cuda.program import emit
from staged_ad.errors import TapeOverflowError
from staged_ad.ir import Program, type_of
from staged_ad.lowering.regions import Opaque
from staged_ad.tracing import Trace
from staged_ad.tracing.trees import flatten
from tests.cuda.emulation import GEOMETRY, emulated
from tests.cuda.loop_cases import (
    CASES,
    NUMBERS,
    PARAMETERS,
    STATES,
    Case,
    each_case,
    lorenz,
    lorenz_for,
    newton,
    newton_again,
    roots,
    summed,
    systems,
)
from tests.numerics import assert_close
from tests.test_random_nests import Nest, Point, lanes, nests, points, tolerance, total


def traced(f: Callable[..., Any], *args: Any) -> Program:
    """The program of `f` for a device."""
    leaves, spec = flatten(list(args))
    trace = Trace(guarded=True, device="cuda")
    return trace_prepared(f, spec, [type_of(leaf) for leaf in leaves], {}, meanings=leaves, trace=trace).program


def check(f: Callable[..., Any], *args: Any, tolerance: float = 1e-11) -> None:
    program = traced(f, *args)
    for value, wanted in zip(emulated(program, *flatten(list(args))[0]), flatten(f(*args))[0], strict=True):
        assert_close(value, wanted, tolerance)


@each_case
def test_values_and_derivatives_are_those_of_numpy(case: Case):
    check(case.f, *case.args, tolerance=case.tolerance)


def launches(f: Callable[..., Any], *args: Any) -> list[int]:
    """The threads of each kernel; nothing else is done."""
    actions = emit(traced(f, *args), GEOMETRY).actions
    assert not any(isinstance(action, Repeat) for action in actions)
    return [action.total for action in actions if isinstance(action, Launch)]


def test_each_lane_of_a_loop_of_small_arrays_has_a_thread_that_runs_all_of_it():
    assert launches(sad.vmap(lorenz), STATES, PARAMETERS) == [40]
    assert launches(sad.vmap(newton), NUMBERS) == [100]


def test_so_it_has_in_reverse_mode_however_long_the_loop():
    assert launches(sad.grad(systems, (0, 1)), STATES, PARAMETERS) == [40, 120, 40]  # between them 2 s
    assert launches(sad.grad(summed(lorenz_for(1000))), STATES, PARAMETERS) == [40, 120, 40]
    assert launches(sad.grad(roots), NUMBERS) == [100]


@pytest.mark.parametrize("f", [sad.grad(systems), sad.vmap(sad.grad(lambda s, p: np.sum(lorenz(s, p) ** 2)))])
def test_lanes_lie_side_by_side_in_what_reverse_mode_keeps(f: Callable[..., Any]):
    steps = emit(traced(f, STATES, PARAMETERS), GEOMETRY).block.steps
    first, *_, last = [step.region.plan for step in steps if isinstance(step.region, Opaque)]
    assert set(first.distances.values()) == set(last.distances.values()) == {8}
    for plan in (first, last):
        (inner,) = [step.region.plan for step in plan.body.steps if isinstance(step.region, Opaque)]
        assert set(inner.distances.values()) == {8 * len(STATES)}


def test_what_all_lanes_share_has_its_derivative_from_threads_for_each_lane():
    def fit(parameters: Any, states: Any) -> Any:
        return np.mean(sad.vmap(lambda s: np.sum(lorenz(s, parameters) ** 2))(states))

    found = launches(sad.grad(fit), PARAMETERS[0], STATES)
    assert found[:2] == [40, 40]
    assert 1 not in found
    check(sad.grad(fit), PARAMETERS[0], STATES)
    check(sad.hessian(fit), PARAMETERS[0], STATES, tolerance=1e-9)


@pytest.mark.parametrize(
    "step",
    [
        lambda c, x: (c + np.sin(x), None),
        lambda c, x: (c - np.sin(x), x * 2),
        lambda c, x: (np.cos(x) + c, c * 0.0),
        lambda c, x: ((c + x) - x * x + 1.0, None),
        lambda c, x: (c + 1.0, x),
        lambda c, x: (c + c * x * 0.1, None),
        lambda c, x: (c + x, None),
    ],
)
def test_loops_that_only_add_up_have_a_thread_for_each_step(step: Callable[..., Any]):
    x = np.linspace(0.0, 1.0, 100)
    check(lambda x: sad.scan(step, 2.0, x), x)
    check(lambda x: sad.scan(step, np.ones(3), np.stack([x] * 3, 1)), x)
    check(lambda x: sad.scan(lambda c, x: ((step(c[0], x)[0], c[1] - x), None), (1.0, 2.0), x, reverse=True), x)
    check(sad.grad(lambda x: sad.scan(step, 2.0, x)[0]), x)


def test_lanes_that_do_more_than_loops_have_threads_for_these_and_the_rest_is_a_batch():
    def distance(state: Any, parameters: Any) -> Any:
        path = sad.scan(lambda s, _: (lorenz_for(1)(s, parameters),) * 2, state, None, length=100)[1]
        return np.mean((np.sin(path) - np.ones((100, 3))) ** 2)

    fit = sad.grad(lambda s, p: np.sum(sad.vmap(distance)(s, p)), (0, 1))
    assert launches(sad.vmap(distance), STATES, PARAMETERS) == [40, 40]
    for f in (fit, sad.vmap(sad.grad(distance, (0, 1)))):
        found = launches(f, STATES, PARAMETERS)
        assert (found[0], found[-1]) == (40, 40)
        check(f, STATES, PARAMETERS)


def test_lanes_that_go_back_and_forth_several_times_are_cut_where_they_turn_back():
    def f(x: Any) -> Any:
        y = sad.scan(lambda c, _: (np.sin(c) * x, c), x, None, length=30)[1]
        z = sad.scan(lambda c, v: (c * 0.5 + v, np.cos(c)), x, y, reverse=True)[1]
        w, t = sad.scan(lambda c, v: (c * v, c + v), 1.0, z)
        return w, x * 2, y[0], w + z[3], t

    assert launches(sad.vmap(f), NUMBERS) == [100, 100, 100]
    check(sad.vmap(f), NUMBERS)
    check(sad.vmap(sad.grad(lambda x: np.sum(f(x)[3]))), NUMBERS, tolerance=1e-9)


def test_a_pool_that_is_too_small_is_replaced_by_a_larger_one():
    check(sad.grad(roots), np.linspace(1.0, 9.0, 20000), tolerance=1e-9)


@pytest.mark.parametrize("f", [newton, sad.grad(newton), newton_again])
def test_a_loop_over_numbers_is_run_by_one_thread(f: Callable[..., Any]):
    assert launches(f, 3.0) == [1] * len(launches(f, 3.0))


def test_checkpointed_loops_over_numbers_are_run_by_one_thread_for_each_lane():
    assert launches(sad.grad(summed(lorenz_for(200, 5))), STATES, PARAMETERS) == [40, 120, 40]
    of_one = sad.grad(lambda s, p: np.sum(lorenz_for(200, 5)(s, p)))
    assert set(launches(of_one, STATES[0], PARAMETERS[0])) <= {1, 3}


def test_nothing_of_a_checkpointed_loop_over_large_arrays_is_computed_by_the_host():
    for case in CASES:
        assert not any(isinstance(action, Outside) for action in emit(traced(case.f, *case.args), GEOMETRY).actions)


def test_loops_with_what_no_thread_can_compute_go_step_by_step():
    check(
        sad.vmap(lambda v: sad.fori_loop(0, 3, lambda _, v: np.linalg.svd(v)[0] @ v, v)),
        STATES.reshape(10, 4, 3)[:, :3],
    )


@settings(max_examples=15)
@given(nests(), points())
def test_random_nests_and_their_gradients(nest: Nest, point: Point):
    check(lambda s, v, k: nest(sad, s, v, k), *point, tolerance=tolerance(nest, 1e-10))
    check(sad.grad(total(nest), (0, 1)), *point, tolerance=tolerance(nest, 1e-9))


@settings(max_examples=10)
@given(nests(), points())
def test_batches_of_random_nests(nest: Nest, point: Point):
    check(sad.vmap(sad.grad(total(nest), (0, 1))), *lanes(point), tolerance=tolerance(nest, 1e-9))


@pytest.fixture
def limited() -> Iterator[None]:
    before = sad.get_tape_limit()
    yield
    sad.set_tape_limit(before)


def test_a_loop_of_unknown_length_takes_what_the_tape_limit_allows(limited: None):
    def grown(x: Any) -> Any:
        return sad.while_loop(lambda y: y < 10, lambda y: y + 0.01 * np.cos(0.1 * y), x)

    sad.set_tape_limit(100_000)  # about 1,200 steps of 8 bytes
    check(sad.grad(grown), 1.0)
    sad.set_tape_limit(5_000)
    with pytest.raises(TapeOverflowError, match="the limit of 5000 bytes"):
        check(sad.grad(grown), 1.0)
