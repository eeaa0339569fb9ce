"""Faults that random nests once found, each in its smallest form.

Invariant: every program is verified by the tests of random nests; here only what it gives is compared.
Start anywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.control.scan import SCAN, scan
from staged_ad.ir import ArrayType, Equation, Program, Var, evaluate, verify
from staged_ad.ir.types import FLOAT64, INT64
from staged_ad.passes import optimize
from staged_ad.primitives.trigonometric import sin
from staged_ad.tracing import building
from tests.backends import MODES, in_mode
from tests.numerics import assert_close


def test_a_loop_that_loses_its_results_to_passes_is_gone_with_its_operands():
    number, count = ArrayType((), FLOAT64), ArrayType((), INT64)
    x, y, z, after, times = Var(number), Var(number), Var(number), Var(number), Var(count)
    params = {"body": Program((x,), (), (x,)), "length": None, "reverse": False, "consts": 0, "carries": 1}
    still = Equation(SCAN, (times, y), params, (after,))  # a while loop leaves such a loop, in reverse mode under vmap
    body = Program((y, times), (still, Equation(sin.primitive, (after,), {}, (z,))), (z,))
    with building() as trace:
        carry, times = trace.add_inputs([number, count.stacked(3)])
        program, _ = trace.finish(scan(body, [], [carry], [times], length=3))
    (found,) = evaluate(verify(optimize(verify(program))), 0.5, np.array([0, 1, 2]))
    assert_close(found, np.sin(np.sin(np.sin(0.5))))


@pytest.mark.parametrize("mode", MODES)
def test_what_a_checkpoint_knows_may_come_from_an_equation_that_knows_a_part_of_its_results(mode: str):
    f = sad.checkpoint(lambda x: sad.map(lambda y: (np.sin(y), 2.0), x))
    assert_close(in_mode(mode, sad.grad(lambda x: f(x)[0][1] * f(x)[1][0]))(np.array([0.1, 0.2])), [0, 2 * np.cos(0.2)])
    nested = sad.checkpoint(sad.checkpoint(lambda x: (np.sin(x), 3.0)))
    assert_close(in_mode(mode, sad.grad(lambda x: nested(x)[0] * nested(x)[1]))(0.5), 3 * np.cos(0.5))


def nested_branches(depth: int):
    def wrapped(f):
        return lambda x: sad.cond(x > 0, lambda y: np.sin(f(y)) + 0.5, lambda y: -y, x)

    f = lambda x: x * 1.1
    for _ in range(depth):
        f = wrapped(f)
    return f


def test_derivatives_of_branches_in_branches_take_time_in_proportion_to_their_depth():
    f = nested_branches(24)  # twice as long for each level would take years
    x, slope = 0.5, 1.1
    value = 1.1 * x
    for _ in range(24):
        slope, value = slope * np.cos(value), np.sin(value) + 0.5
    assert_close(sad.grad(f)(x), slope)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_guard_of_an_integer_does_not_take_nan_for_a_number(bad: float):
    f = sad.jit(lambda x, n: sum([x] * int(n)) + x)
    assert f(2.0, 0.5) == 2.0
    with pytest.raises((ValueError, OverflowError, TypeError)):
        f(2.0, bad)
    assert f(2.0, 1.5) == 4.0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)])
def test_a_carry_without_elements(mode: str, shape: tuple[int, ...]):
    f = lambda x: sad.scan(lambda c, t: (c * t, c.sum()), x, np.ones(3))
    carry, sums = in_mode(mode, f)(np.zeros(shape))
    assert carry.shape == shape
    assert_close(sums, np.zeros(3))


@pytest.mark.parametrize("mode", MODES)
def test_no_lanes(mode: str):
    f = sad.vmap(lambda n: sad.fori_loop(0, n, lambda i, c: c + 1, 0.0))
    assert in_mode(mode, f)(np.zeros(0, int)).shape == (0,)
    g = sad.vmap(sad.grad(lambda x: sad.while_loop(lambda c: c < 2, lambda c: c * 2 + x, x)))
    assert in_mode(mode, g)(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("mode", MODES)
def test_lanes_in_step_meet_lanes_one_by_one(mode: str):
    def f(x):
        inner = lambda q: sad.cond(q > 1, lambda: q * 2, lambda: q + x)
        step = lambda c: (c[0] + 1, sad.while_loop(lambda q: q < 3, inner, c[1]))
        return sad.while_loop(lambda c: c[0] < 2, step, (0, x))[1]

    x = np.array([0.5, 0.7])
    assert_close(in_mode(mode, sad.vmap(sad.grad(f)))(x), [sad.grad(f)(y) for y in x])


def test_a_compiled_loop_over_what_it_does_not_change_does_not_end_with_its_condition_met():
    program = sad.jit(lambda x: sad.while_loop(lambda c: c < 10, lambda c: c * 1.0, x)).lower(1.0).program
    assert [equation.primitive.name for equation in program.equations] == ["while"]


def test_a_loop_that_hands_its_carry_on_as_it_is_does_not_end_with_its_condition_met():
    program = sad.jit(lambda x: sad.while_loop(lambda c: c < 10, lambda c: c, x)).lower(1.0).program
    assert [equation.primitive.name for equation in program.equations] == ["while"]


@pytest.mark.parametrize("loop", [sad.map, sad.vmap, lambda f: lambda ks: sad.scan(lambda c, k: (c, f(k)), 0, ks)[1]])
def test_python_reads_numbers_of_what_a_loop_finds_outside_of_it(loop: Any):
    def f(x: Any) -> Any:
        def step(k: Any) -> Any:
            return k * np.sum(x**2) * int(np.sum(abs(x))) if x[0] else k

        return np.sum(sad.map(step, np.ones(3)) if loop is sad.map else loop(step)(np.ones(3)))

    compiled = sad.jit(lambda x: (f(x), sad.grad(f)(x)))
    for x in (np.array([1.2, -0.7]), np.array([3.5, 2.0]), np.array([0.0, 2.0])):
        times = int(np.sum(abs(x))) if x[0] else 0
        value, slope = compiled(x)
        assert_close(value, 3 * np.sum(x**2) * times if times else 3.0)
        assert_close(slope, 6 * x * times)
