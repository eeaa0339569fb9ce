"""Transforms nest in any order: every nest agrees with every other and with finite differences.

Invariant: the function has both kinds of curvature, a reduction, a product and a branch.
Start at ``SECOND_ORDER``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.ir import Program, verify
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.partial_eval import partial_eval
from staged_ad.transforms.vjp import value_and_grad_program, vjp_program
from staged_ad.transforms.vmap import vmap_program
from tests.backends import MODES, in_mode, run
from tests.numerics import assert_close, directional, gradient, jacobian

Function = Callable[..., Any]
A = np.array([[1.0, 0.5, -0.3], [0.2, -1.0, 0.7], [0.0, 0.4, 2.0]])
X = np.array([0.3, -0.7, 1.1])
by_mode = pytest.mark.parametrize("mode", MODES)


def scalar(x: Any) -> Any:
    y = np.tanh(A @ x) * np.where(x > 0, np.exp(x), x**3)
    return np.sum(y * y) + np.prod(x) * np.sin(x[0])


def vector(x: Any) -> Any:
    return np.concatenate([np.sin(A @ x) * x, [x[0] * x[1]], np.cumsum(np.ones(2)) * np.hypot(x[1], x[2])])


# ways to take a first derivative of a function of one array, with the shape (result, argument)
FIRST_ORDER: dict[str, Callable[[Function], Function]] = {
    "jacfwd": sad.jacfwd,
    "jacrev": sad.jacrev,
    "jacobian": sad.jacobian,
    "vmap of jvp": lambda f: lambda x: np.moveaxis(sad.vmap(lambda v: sad.jvp(f, (x,), (v,))[1])(np.eye(3)), 0, -1),
    "vmap of vjp": lambda f: lambda x: _rows(sad.vjp(f, x)),
    "loop of linearize": lambda f: lambda x: np.stack([sad.linearize(f, x)[1](v) for v in np.eye(3)], axis=-1),
    "linear_transpose of linearize": lambda f: (
        lambda x: _rows((f(x), sad.linear_transpose(sad.linearize(f, x)[1], np.zeros(3))))
    ),
}


def _rows(pair: tuple[Any, Function]) -> Any:
    y, pull = pair
    size = int(np.prod(y.shape))
    rows = sad.vmap(lambda v: pull(v)[0])(np.eye(size).reshape(size, *y.shape))
    return rows.reshape(*y.shape, 3)


SCALAR_FIRST: dict[str, Callable[[Function], Function]] = {**FIRST_ORDER, "grad": sad.grad}
SECOND_ORDER = list(itertools.product(FIRST_ORDER, SCALAR_FIRST))


@by_mode
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_all_jacobians_agree_with_finite_differences(name: str, mode: str):
    assert_close(in_mode(mode, FIRST_ORDER[name](vector))(X), jacobian(vector, X), 1e-10)


@by_mode
@pytest.mark.parametrize(("outer", "inner"), SECOND_ORDER, ids=[f"{a} of {b}" for a, b in SECOND_ORDER])
def test_all_second_derivatives_agree_with_finite_differences(outer: str, inner: str, mode: str):
    expected = jacobian(lambda x: sad.grad(scalar)(x), X)
    assert_close(in_mode(mode, FIRST_ORDER[outer](SCALAR_FIRST[inner](scalar)))(X), expected, 1e-10)


@by_mode
def test_hessian_and_hvp_agree_with_finite_differences(mode: str):
    expected = jacobian(lambda x: sad.grad(scalar)(x), X)
    assert_close(in_mode(mode, sad.hessian(scalar))(X), expected, 1e-10)
    v = np.array([0.2, -1.0, 0.5])
    assert_close(in_mode(mode, lambda x, v: sad.hvp(scalar, (x,), (v,)))(X, v), expected @ v, 1e-10)


@by_mode
@pytest.mark.parametrize(
    "order", list(itertools.product([sad.jacfwd, sad.jacrev], repeat=3)), ids=lambda o: " ".join(d.__name__ for d in o)
)
def test_third_derivatives_agree_in_all_orders(order: Any, mode: str):
    f: Function = scalar
    for derivative in order:
        f = derivative(f)
    assert_close(in_mode(mode, f)(X), jacobian(sad.hessian(scalar), X), 1e-9)


@by_mode
@pytest.mark.parametrize("inner", ["grad", "jvp", "vjp", "hessian", "jacfwd", "linearize"])
def test_vmap_of_a_derivative_is_the_derivative_of_each(inner: str, mode: str):
    batch = np.stack([X, 2 * X, X[::-1]])
    f: Function = {
        "grad": sad.grad(scalar),
        "jvp": lambda x: sad.jvp(vector, (x,), (x,))[1],
        "vjp": lambda x: sad.vjp(vector, x)[1](vector(x))[0],
        "hessian": sad.hessian(scalar),
        "jacfwd": sad.jacfwd(vector),
        "linearize": lambda x: sad.linearize(vector, x)[1](x * x),
    }[inner]
    assert_close(in_mode(mode, sad.vmap(f))(batch), np.stack([f(x) for x in batch]))


@by_mode
def test_derivatives_of_vmap_agree_with_finite_differences(mode: str):
    batch = np.stack([X, X[::-1]])
    f = lambda xs: np.sum(sad.vmap(scalar)(xs) * np.array([1.0, -2.0]))
    assert_close(in_mode(mode, sad.grad(f))(batch), gradient(f, batch), 1e-10)
    v = np.ones((2, 3)) * 0.3
    hv = in_mode(mode, lambda x, v: sad.jvp(sad.grad(f), (x,), (v,))[1])(batch, v)
    assert_close(hv, directional(sad.grad(f), [batch], [v]), 1e-9)
    doubled = in_mode(mode, sad.vmap(sad.vmap(sad.grad(scalar))))(np.stack([batch, 2 * batch]))
    assert_close(doubled[1, 0], sad.grad(scalar)(2 * X))


@by_mode
def test_per_example_gradients_with_shared_parameters(mode: str):
    rng = np.random.default_rng(1)
    w, xs, ys = rng.normal(size=3), rng.normal(size=(5, 3)), rng.normal(size=5)
    loss = lambda w, x, y: (np.tanh(x @ w) - y) ** 2
    found = in_mode(mode, sad.vmap(sad.grad(loss), in_axes=(None, 0, 0)))(w, xs, ys)
    assert_close(found, np.stack([sad.grad(loss)(w, x, y) for x, y in zip(xs, ys, strict=True)]))
    assert_close(found.mean(0), sad.grad(lambda w: np.mean(sad.vmap(loss, (None, 0, 0))(w, xs, ys)))(w))


def test_a_derivative_inside_a_loss_is_differentiated():
    """Training a derivative: the penalty is the square of the slope."""
    f = lambda w, x: np.sin(w * x) + w**2
    penalty = lambda w: sad.grad(f, 1)(w, 0.4) ** 2
    assert_close(sad.grad(penalty)(0.9), directional(penalty, [0.9], [1.0]), 1e-10)
    assert_close(sad.jvp(sad.grad(penalty), (0.9,), (1.0,))[1], directional(sad.grad(penalty), [0.9], [1.0]), 1e-10)


def test_a_gradient_at_a_point_that_depends_on_the_outer_variable():
    g = lambda x: sad.grad(lambda y: np.sum(np.sin(y) * x))(x * x)
    assert_close(sad.jacrev(g)(X), jacobian(g, X), 1e-10)
    assert_close(sad.jacfwd(g)(X), jacobian(g, X), 1e-10)


def test_two_different_derivatives_of_one_value_stay_apart():
    def f(x: Any) -> Any:
        a = sad.jvp(lambda y: y * x, (x,), (1.0,))[1]  # x
        b = sad.grad(lambda y: y * y * x)(x)  # 2 x^2
        return a * b

    assert_close(sad.grad(f)(1.5), 6 * 1.5**2)
    assert_close(sad.jvp(f, (1.5,), (1.0,))[1], 6 * 1.5**2)


def test_programs_are_sound_before_and_after_every_transform():
    program = verify(trace_call(scalar, [X], {}).program)
    both = verify(jvp_program(program, [True]))
    split = partial_eval(both, [True, False])
    verify(split.known)
    verify(split.unknown)
    pullback = vjp_program(program, [True])
    verify(pullback.forward)
    verify(pullback.backward)
    mapped, flags = vmap_program(verify(value_and_grad_program(program, [True])), [True], 4)
    verify(mapped)
    assert flags == [True, True]


@pytest.mark.parametrize("known", list(itertools.product([False, True], repeat=3)))
def test_the_halves_of_partial_evaluation_make_the_whole(known: tuple[bool, ...]):
    def f(x: Any, y: Any, z: Any) -> Any:
        a, b = np.sin(x) * 2.0, np.exp(y)
        return a + b, a * z, b, np.cos(z), np.float64(3.0), x

    values = [0.3, 0.4, 0.5]
    program = trace_call(f, values, {}).program
    split = partial_eval(program, known)
    assert [t for t, flag in zip(program.input_types, known, strict=True) if flag] == split.known.input_types
    first = run("evaluate", split.known, *(v for v, flag in zip(values, known, strict=True) if flag))
    count = sum(split.outputs_known)
    assert len(first) == count + split.residuals
    rest = run(
        "evaluate", split.unknown, *first[count:], *(v for v, flag in zip(values, known, strict=True) if not flag)
    )
    sooner, later = iter(first[:count]), iter(rest)
    assert [next(sooner if flag else later) for flag in split.outputs_known] == run("evaluate", program, *values)
    names = lambda p: sorted(e.primitive.name for e in p.equations)
    assert sorted(names(split.known) + names(split.unknown)) == names(program)


def test_a_value_used_by_two_equations_has_one_residual():
    program: Program = trace_call(lambda x: np.exp(x) * x + np.exp(x), [X], {}).program
    split = partial_eval(jvp_program(program, [True]), [True, False])
    assert split.residuals == len(set(split.known.outputs[sum(split.outputs_known) :]))
