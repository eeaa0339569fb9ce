"""What passes do with loops: invariant values leave them, unused and unchanging carries go, products become one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.ir import Equation, Program, evaluate, verify
from staged_ad.passes import optimize

XS = np.linspace(0.1, 0.9, 6)


def optimized(f: Callable[..., Any], *args: Any) -> Program:
    """The program of f after all passes, which must give what it gave before."""
    traced = trace_call(f, args, {})
    program = verify(optimize(verify(traced.program)))
    before, after = evaluate(traced.program, *traced.values), evaluate(program, *traced.values)
    for x, y in zip(before, after, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)
    return program


def loops(program: Program) -> list[Equation]:
    return [equation for equation in program.equations if equation.primitive.name in ("scan", "while")]


def names(program: Program) -> list[str]:
    return [equation.primitive.name for equation in program.equations]


def everywhere(program: Program) -> Iterator[str]:
    for equation in program.equations:
        yield equation.primitive.name
        for inner in equation.programs:
            yield from everywhere(inner)


def test_what_does_not_change_is_computed_once_before_the_loop():
    def f(a, xs):
        return sad.scan(lambda y, x: (y * np.sin(a) + x, None), 0.0, xs)[0]

    program = optimized(f, 0.3, XS)
    (loop,) = loops(program)
    assert "sin" in names(program)
    assert "sin" not in everywhere(loop.params["body"])


def test_views_of_invariant_values_stay_in_the_loop():
    def f(a, xs):
        return sad.scan(lambda y, x: (y + a[:, None] * x, None), np.zeros((3, 4)), xs)[0]

    (loop,) = loops(optimized(f, np.ones(3), XS))
    assert [atom.type.shape for atom in loop.inputs if atom.type.shape] == [(3,), (3, 4), (6,)]


@pytest.mark.parametrize("kind", ["scan", "while_loop"])
def test_a_carry_that_does_not_change_is_no_carry(kind):
    def f(a, y):
        if kind == "scan":
            return sad.scan(lambda c, x: ((c[0], c[1] * c[0]), None), (a, y), None, length=4)[0]
        return sad.while_loop(lambda c: c[1] > 0.1, lambda c: (c[0], c[1] * c[0]), (a, y))

    (loop,) = loops(optimized(f, 0.5, 1.0))
    body = loop.params["body"]
    assert len(body.outputs) == 1
    assert len(body.inputs) == 2


def test_a_carry_that_nothing_uses_is_dropped_with_its_operands():
    def f(a, b):
        return sad.scan(lambda c, _: ((c[0] * a, c[1] * b), c[1]), (1.0, 1.0), None, length=4)[0][0]

    (loop,) = loops(optimized(f, 0.5, 0.7))
    assert len(loop.params["body"].outputs) == 1


def test_the_counter_of_a_loop_that_does_not_use_it_is_dropped():
    def f(x):
        return sad.fori_loop(0, 5, lambda i, y: y * x, 1.0)

    (loop,) = loops(optimized(f, 0.5))
    assert loop.params["carries"] == 1


def test_literals_go_into_the_body():
    def f(y):
        return sad.fori_loop(0, 5, lambda i, c: (c[0] * c[1], c[1]), (y, 1.0))[0]

    program = optimized(f, 0.5)
    assert "mul" not in everywhere(program)


def test_the_reverse_of_a_sum_needs_no_tape():
    def f(a, xs):
        return sad.scan(lambda total, x: (total + np.sin(a * x), None), 0.0, xs)[0]

    program = optimized(sad.grad(f, (0, 1)), 0.3, XS)
    (loop,) = loops(program)
    assert all(atom.type.shape in ((), XS.shape) for atom in loop.inputs)
    assert "sin" not in everywhere(program)


def test_the_reverse_of_a_map_makes_the_tape_of_an_inner_loop_again():
    def f(x):
        def one(x):
            return sad.while_loop(lambda y: y < 1.0, lambda y: y * (1 + x), 0.1)

        return np.sum(sad.map(one, x))

    program = optimized(sad.grad(f), XS)
    (loop,) = loops(program)
    assert not any(atom.type.ragged for atom in loop.inputs)


def test_invariant_residuals_are_not_stacked():
    def f(a, y):
        return sad.scan(lambda y, _: (y * np.exp(a), None), y, None, length=7)[0]

    program = optimized(sad.grad(f), np.full(3, 0.1)[0], 0.5)
    stacked = [v.type.shape for loop in loops(program) for v in loop.outputs if v.type.shape == (7,)]
    assert len(stacked) == 1


def test_of_a_residual_and_what_it_follows_from_the_smaller_is_stored():
    def f(x):
        def step(x, _):
            gap = x[:, None] - x[None, :]
            return x + 0.01 * np.sum(gap**3, axis=1), None

        return np.sum(sad.scan(step, x, None, length=5)[0])

    program = optimized(sad.grad(f), np.linspace(0, 1, 4))
    stacked = [v.type.shape for loop in loops(program) for v in loop.outputs if v.type.shape[:1] == (5,)]
    assert stacked == [(5, 4)]


def rnn(w, u, xs):
    def step(h, x):
        h = np.tanh(w @ h + u @ x)
        return h, None

    return np.sum(sad.scan(step, xs[0] * 0.0, xs)[0] ** 2)


def test_products_with_xs_and_sums_of_outer_products_leave_the_loop():
    random = np.random.default_rng(0)
    w, u, xs = random.normal(size=(40, 40)) / 7, random.normal(size=(40, 40)) / 7, random.normal(size=(5, 40))
    program = optimized(sad.grad(rnn, (0, 1)), w, u, xs)
    assert names(program).count("dot_general") == 3
    forward, backward = loops(program)
    assert list(everywhere(forward.params["body"])).count("dot_general") == 1
    assert list(everywhere(backward.params["body"])).count("dot_general") == 1
    assert all(atom.type.shape != (40, 40) for atom in backward.outputs)


def test_small_outer_products_stay_in_the_loop():
    random = np.random.default_rng(0)
    w, u, xs = random.normal(size=(3, 3)), random.normal(size=(3, 3)), random.normal(size=(5, 3))
    program = optimized(sad.grad(rnn, (0, 1)), w, u, xs)
    assert "dot_general" not in names(program)


def test_a_while_loop_is_not_moved_out_of_a_loop_that_may_not_run():
    def f(a, n):
        inner = lambda: sad.while_loop(lambda y: y < a, lambda y: y * 2.0, 1.0)
        return sad.fori_loop(0, n, lambda i, y: y + inner(), 0.0)

    program = optimized(f, 5.0, 0)
    assert names(program).count("while") == 0


def of_a_branch(a):
    return sad.cond(a[0, 0] > 0, lambda: a[a[0, 0].astype(int)], lambda: a[0])


RAISING = {
    "cholesky": lambda a: np.linalg.cholesky(-a)[0],
    "solve": lambda a: np.linalg.solve(0 * a, a[0]),
    "an index in a branch": of_a_branch,
    "a scan": lambda a: sad.scan(lambda c, x: (c + np.linalg.cholesky(-a)[0], None), a[0], a)[0],
}


@pytest.mark.parametrize("raising", RAISING.values(), ids=RAISING)
@pytest.mark.parametrize("loop", ["while", "for"])
def test_what_may_raise_is_not_moved_out_of_a_loop_that_may_not_run(loop: str, raising: Callable[..., Any]):
    def f(a, n):
        if loop == "for":
            return sad.fori_loop(0, n, lambda i, y: y + raising(a), a[0])
        return sad.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] + raising(a)), (0, a[0]))[1]

    a = 3.0 * np.eye(2)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(sad.jit(f)(a, 0), a[0])
        with pytest.raises((np.linalg.LinAlgError, IndexError)):
            sad.jit(f)(a, 1)


def test_small_arrays_in_loops_become_numbers():
    def f(p, y):
        def step(y, x):
            y = y + 0.1 * np.stack([p[0] * (y[1] - y[0]), y @ y, np.max(y) * x])
            return y, y[::-1]

        return sad.scan(step, y, XS)

    (loop,) = loops(optimized(f, np.array([0.3, 0.4]), np.array([0.1, 0.2, 0.3])))
    body = loop.params["body"]
    assert {atom.type.shape for e in body.equations for atom in e.outputs if e.primitive.name in ("mul", "add")} == {()}
    assert loop.params["carries"] == 3


def test_small_arrays_become_numbers_in_while_loops_and_their_conditions():
    def f(y):
        return sad.while_loop(lambda y: np.sum(y) < 5.0, lambda y: y * np.array([1.5, 1.1]), y)

    program = optimized(f, np.array([0.3, 0.4]))
    (loop,) = loops(program)
    assert "reduce_sum" not in everywhere(loop.params["cond"])
    np.testing.assert_allclose(sad.jit(f)(np.array([0.3, 0.4])), f(np.array([0.3, 0.4])), rtol=1e-14)


@pytest.mark.parametrize("shape", [(2, 2), (3, 3)])
def test_matrices_in_loops_become_numbers(shape):
    def f(a, x):
        return sad.scan(lambda c, _: (c @ a.T + np.eye(*shape)[::-1], c.sum(axis=0)), x, None, length=4)

    random = np.random.default_rng(0)
    args = random.normal(size=shape) / 3, random.normal(size=shape)
    program = optimized(f, *args)
    assert "dot_general" not in everywhere(program)
    for found, expected in zip(sad.jit(f)(*args), f(*args), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_larger_arrays_and_functions_of_arrays_stay_whole():
    def f(y):
        return sad.scan(lambda y, _: (np.tanh(y), None), y, None, length=4)[0]

    (loop,) = loops(optimized(f, np.linspace(0, 1, 8)))
    assert loop.params["carries"] == 1
