"""custom_jvp and custom_vjp: rules are used in every mode, order and surrounding, or refused.

Invariant: every rule is compared with finite differences, with the derivative that needs no rule, or with a formula.
Start at ``log1pexp``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import LeakedTracerError, NotDifferentiableError
from tests.backends import MODES, in_mode

every_mode = pytest.mark.parametrize("mode", MODES)
X = np.array([-1.5, 0.3, 2.0])
HIDDEN: list[Any] = []


@sad.custom_jvp
def log1pexp(x: Any) -> Any:
    return np.log1p(np.exp(x))


@log1pexp.defjvp
def log1pexp_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (x_dot,) = primals, tangents
    return log1pexp(x), x_dot * (1 - 1 / (1 + np.exp(x)))


@sad.custom_vjp
def clip_gradient(x: Any, limit: Any = 0.5) -> Any:
    return x


clip_gradient.defvjp(
    lambda x, limit: (x, limit), lambda limit, y_bar: (np.maximum(-limit, np.minimum(y_bar, limit)), None)
)


def expit(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# -- custom_jvp -----------------------------------------------------------------------------------------------------


@every_mode
def test_a_rule_replaces_the_derivative_where_it_would_overflow(mode: str):
    assert in_mode(mode, sad.grad(log1pexp))(1000.0) == 1.0
    assert sad.grad(lambda x: np.log1p(np.exp(x)))(1000.0) != 1.0


def test_values_without_a_derivative_are_those_of_the_function():
    assert log1pexp(X).tolist() == np.log1p(np.exp(X)).tolist()
    np.testing.assert_allclose(sad.jit(log1pexp)(X), np.log1p(np.exp(X)), rtol=1e-14)
    assert "custom_jvp" not in sad.jit(log1pexp).lower(X).text("program")


@given(st.floats(-20, 20))
@settings(max_examples=20, deadline=None)
def test_all_orders_of_all_modes_are_those_of_the_rule(x: float):
    s = expit(x)
    second, third = s * (1 - s), s * (1 - s) * (1 - 2 * s)
    grad, forward = sad.grad, lambda f: lambda x: sad.jvp(f, (x,), (1.0,))[1]
    for one in (grad, forward):
        np.testing.assert_allclose(one(log1pexp)(x), s, rtol=1e-9, atol=1e-14)
        for two in (grad, forward):
            np.testing.assert_allclose(two(one(log1pexp))(x), second, rtol=1e-5, atol=1e-14)
    np.testing.assert_allclose(grad(grad(grad(log1pexp)))(x), third, rtol=1e-4, atol=1e-14)


@every_mode
def test_rules_work_in_batches_and_batches_in_rules(mode: str):
    f = lambda x: np.sum(sad.vmap(log1pexp)(x))
    np.testing.assert_allclose(in_mode(mode, sad.grad(f))(X), expit(X), rtol=1e-13)
    np.testing.assert_allclose(in_mode(mode, sad.vmap(sad.grad(log1pexp)))(X), expit(X), rtol=1e-13)
    hessian = in_mode(mode, sad.hessian(lambda x: np.sum(log1pexp(x))))(X)
    np.testing.assert_allclose(hessian, np.diag(expit(X) * (1 - expit(X))), rtol=1e-12, atol=1e-15)


def twice(body: Callable[[Any], Any]) -> dict[str, Callable[[Any], Any]]:
    """Two applications of `body`, in every surrounding that holds programs."""
    return {
        "plain": lambda x: body(body(x)),
        "scan": lambda x: sad.scan(lambda c, _: (body(c), c), x, np.zeros(2))[0],
        "fori_loop": lambda x: sad.fori_loop(0, 2, lambda i, c: body(c), x),
        "while_loop": lambda x: sad.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, body(c[1])), (0, x))[1],
        "cond": lambda x: body(sad.cond(x > -1e9, body, np.negative, x)),
        "checkpoint": lambda x: sad.checkpoint(lambda x: body(body(x)))(x),
        "scan with slots": lambda x: sad.scan(lambda c, _: (body(c), None), x, np.zeros(2), checkpoint=1)[0],
        "map": lambda x: body(sad.map(body, np.ones(2) * x)[1]),
        "jit": lambda x: sad.jit(body)(sad.jit(body)(x)),
    }


@pytest.mark.parametrize("name", twice(log1pexp))
def test_rules_are_used_inside_of_loops_branches_and_checkpoints(name: str):
    f = twice(log1pexp)[name]
    plain = twice(lambda x: np.log1p(np.exp(x)))["plain"]
    for g in (lambda f: sad.grad(f), lambda f: sad.grad(sad.grad(f)), lambda f: sad.hessian(f)):
        expected = g(plain)(0.7)
        np.testing.assert_allclose(g(f)(0.7), expected, rtol=1e-12)
    np.testing.assert_allclose(sad.jit(sad.grad(f))(700.0), 1.0)
    np.testing.assert_allclose(sad.jvp(f, (700.0,), (1.0,))[1], 1.0)


def test_rules_of_several_arguments_are_added_up():
    @sad.custom_jvp
    def f(x: Any, y: Any, n: Any = 2) -> Any:
        return {"product": x * y, "power": x**n}

    f.defjvps(
        lambda x_dot, out, x, y, n: {"product": y * x_dot, "power": n * x ** (n - 1) * x_dot},
        lambda y_dot, out, x, y, n: {"product": x * y_dot, "power": np.zeros_like(x)},
        None,
    )
    sad.check_derivatives(lambda x, y: f(x, y=y), (X, X[::-1].copy()))
    assert sad.grad(lambda x: f(x, 1.0)["power"])(3.0) == 6.0


def test_arguments_without_derivative_are_passed_as_they_are():
    @sad.custom_jvp(nondiff_argnums=(0, 2))
    def apply(function: Any, x: Any, power: Any = 2) -> Any:
        return function(x) ** power

    @apply.defjvp
    def rule(function: Any, power: Any, primals: Any, tangents: Any) -> Any:
        y, y_dot = sad.jvp(function, primals, tangents)
        return y**power, 10.0 * power * y ** (power - 1) * y_dot

    assert sad.grad(lambda x: apply(np.exp, x))(0.0) == 20.0
    assert sad.grad(lambda x: apply(np.exp, x, 3))(0.0) == 30.0
    assert sad.jit(sad.grad(lambda x: apply(np.exp, x, power=3)))(0.0) == 30.0


def test_a_method_has_its_instance_among_the_arguments_without_derivative():
    class Model:
        scale = 3.0

        @sad.custom_jvp(nondiff_argnums=0)
        def __call__(self, x: Any) -> Any:
            return self.scale * x

        @__call__.defjvp
        def _rule(self, primals: Any, tangents: Any) -> Any:
            return self(primals[0]), 2 * self.scale * tangents[0]

    assert sad.grad(Model())(1.0) == 6.0


def test_integers_have_no_tangents_and_results_may_be_integers():
    @sad.custom_jvp
    def f(x: Any, n: Any) -> Any:
        return x * n, n + 1

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        (x, n), (x_dot, n_dot) = primals, tangents
        assert n_dot == 0.0
        return f(x, n), (n * x_dot + n_dot, 0)

    y, y_dot = sad.jvp(lambda x: f(x, np.int64(3)), (2.0,), (1.0,))
    assert (y, y_dot) == ((6.0, 4), (3.0, 0.0))


def test_a_rule_runs_only_when_a_derivative_is_taken_and_then_once():
    calls = []

    @sad.custom_jvp
    def f(x: Any) -> Any:
        return x**2

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        calls.append(0)
        return f(*primals), 2 * primals[0] * tangents[0]

    compiled = sad.jit(lambda x: sad.vmap(f)(x))
    compiled(X)
    assert len(calls) == 0
    gradient = sad.jit(sad.grad(lambda x: np.sum(sad.scan(lambda c, v: (f(c) + v, c), 0.0, x)[1])))
    gradient(X)
    gradient(X)
    assert len(calls) == 1


@pytest.mark.parametrize("wrap", [lambda f: f, sad.jit, sad.checkpoint], ids=["plain", "jit", "checkpoint"])
def test_traced_values_from_around_are_found_by_function_and_rule(wrap: Callable[[Any], Any]):
    def outer(a: Any) -> Any:
        @sad.custom_jvp
        def f(x: Any) -> Any:
            return np.sin(a) * x**2

        @f.defjvp
        def rule(primals: Any, tangents: Any) -> Any:
            return f(*primals), 2 * np.sin(a) * primals[0] * tangents[0]

        return sad.grad(wrap(f))(3.0) + sad.grad(sad.grad(f))(3.0)

    np.testing.assert_allclose(outer(0.4), 8 * np.sin(0.4))
    np.testing.assert_allclose(sad.grad(outer)(0.4), 8 * np.cos(0.4))
    np.testing.assert_allclose(sad.jit(sad.grad(outer))(0.4), 8 * np.cos(0.4))


def test_a_rule_alone_may_use_a_traced_value_from_around():
    def outer(limit: Any) -> Any:
        @sad.custom_vjp
        def f(x: Any) -> Any:
            return x

        f.defvjp(lambda x: (x, None), lambda _, y_bar: (np.minimum(y_bar, limit),))
        return sad.grad(lambda x: f(x) ** 2)(3.0)

    assert (outer(0.5), sad.grad(outer)(0.5), sad.jit(outer)(0.5)) == (0.5, 1.0, 0.5)


@every_mode
@pytest.mark.parametrize("maker", [sad.custom_jvp, sad.custom_vjp])
def test_a_derivative_with_respect_to_a_value_from_around_is_that_of_the_function(maker: Any, mode: str):
    def outer(a: Any) -> Any:
        @maker
        def f(x: Any) -> Any:
            return np.sin(a) * x

        if maker is sad.custom_jvp:
            f.defjvp(lambda primals, tangents: (f(*primals), 10 * tangents[0]))
        else:
            f.defvjp(lambda x: (f(x), ()), lambda _, y_bar: (10 * y_bar,))
        return f(2.0) + f(3.0 * a) + sad.vmap(f)(a * np.ones(2))[1]

    expected = 6 * np.cos(1.0) + 30 + 10
    np.testing.assert_allclose(in_mode(mode, sad.grad(outer))(1.0), expected)
    np.testing.assert_allclose(in_mode(mode, lambda a: sad.jvp(outer, (a,), (1.0,))[1])(1.0), expected)


def test_a_value_that_a_rule_hides_from_the_function_is_an_error_with_advice():
    @sad.custom_jvp
    def f(x: Any) -> Any:
        return 2 * x

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        return f(*primals), HIDDEN[0] * tangents[0]

    def outer(a: Any) -> Any:
        HIDDEN[:] = [a]
        return f(3 * a)

    with pytest.raises(LeakedTracerError, match=r"the rule rule .*test_custom_rules.* to f as an argument"):
        sad.grad(outer)(1.0)


# -- custom_vjp -----------------------------------------------------------------------------------------------------


@every_mode
def test_a_pullback_replaces_that_of_the_function(mode: str):
    f = lambda x: np.sum(clip_gradient(x) ** 2)
    np.testing.assert_allclose(in_mode(mode, sad.grad(f))(X), np.clip(2 * X, -0.5, 0.5))
    np.testing.assert_allclose(in_mode(mode, sad.vmap(sad.grad(lambda x: clip_gradient(x) ** 2)))(X), [-0.5, 0.5, 0.5])
    mapped = sad.grad(lambda x: np.sum(sad.vmap(clip_gradient)(x) ** 2))
    np.testing.assert_allclose(in_mode(mode, mapped)(X), np.clip(2 * X, -0.5, 0.5))


def _fixed_point(f: Any, a: Any, x: Any) -> Any:
    """The solution of x = f(a, x), by iteration; Christianson (1994) gives the pullback."""
    return sad.while_loop(lambda c: abs(c[1] - c[0]) > 1e-13, lambda c: (c[1], f(a, c[1])), (x, f(a, x)))[1]


fixed_point = sad.custom_vjp(_fixed_point, nondiff_argnums=(0,))


def fixed_point_forward(f: Any, a: Any, x: Any) -> Any:
    solution = fixed_point(f, a, x)
    return solution, (a, solution)


def fixed_point_backward(f: Any, residuals: Any, x_bar: Any) -> Any:
    a, x = residuals
    pull_x = sad.vjp(lambda x: f(a, x), x)[1]
    adjoint = _fixed_point(lambda _, u: x_bar + pull_x(u)[0], a, x_bar)
    return sad.vjp(lambda a: f(a, x), a)[1](adjoint)[0], None


fixed_point.defvjp(fixed_point_forward, fixed_point_backward)


def half(a: Any, x: Any) -> Any:
    return (x + a / x) / 2


@every_mode
def test_the_implicit_function_theorem_as_a_rule(mode: str):
    root = lambda a: fixed_point(half, a, 1.0)
    np.testing.assert_allclose(in_mode(mode, root)(2.0), np.sqrt(2.0), rtol=1e-13)
    np.testing.assert_allclose(in_mode(mode, sad.grad(root))(2.0), 0.5 / np.sqrt(2.0), rtol=1e-12)
    np.testing.assert_allclose(in_mode(mode, sad.grad(sad.grad(root)))(2.0), -0.25 * 2**-1.5, rtol=1e-11)


def test_second_derivatives_come_from_both_halves_of_the_rule():
    @sad.custom_vjp
    def cube(x: Any) -> Any:
        return x**3

    cube.defvjp(lambda x: (cube(x), {"x": x}), lambda r, y_bar: (3 * r["x"] ** 2 * y_bar,))
    f = lambda x: np.sum(cube(x) ** 2)
    expected = np.diag(30 * X**4)
    np.testing.assert_allclose(sad.hessian(f)(X), expected, rtol=1e-12)
    np.testing.assert_allclose(sad.jacrev(sad.grad(f))(X), expected, rtol=1e-12)
    np.testing.assert_allclose(sad.jit(lambda x, v: sad.hvp(f, (x,), (v,)))(X, X), expected @ X, rtol=1e-12)
    np.testing.assert_allclose(sad.vmap(sad.hessian(cube))(X), 6 * X, rtol=1e-12)
    sad.check_derivatives(cube, (X,), order=3)  # in forward mode, backward is transposed


def test_forward_mode_is_the_transpose_of_the_backward_half():
    @sad.custom_vjp
    def f(w: Any, x: Any) -> Any:
        return w @ x

    f.defvjp(lambda w, x: (w @ x, (w, x)), lambda r, g: (5 * np.outer(g, r[1]), 7 * r[0].T @ g))
    w, x, w_dot = np.arange(6.0).reshape(2, 3), X, np.ones((2, 3))
    for mode in MODES:
        y_dot = in_mode(mode, lambda w, x: sad.jvp(f, (w, x), (w_dot, x))[1])(w, x)
        np.testing.assert_allclose(y_dot, 5 * w_dot @ x + 7 * w @ x)
        rows = in_mode(mode, sad.vmap(lambda x_dot: sad.jvp(lambda x: f(w, x), (x,), (x_dot,))[1]))(np.eye(3))
        np.testing.assert_allclose(rows, 7 * w.T)


@pytest.mark.parametrize("name", twice(np.negative))
def test_pullbacks_are_used_inside_of_loops_branches_and_checkpoints(name: str):
    @sad.custom_vjp
    def square(x: Any) -> Any:
        return x**2

    square.defvjp(lambda x: (x**2, x), lambda x, y_bar: (20 * x * y_bar,))
    f = twice(square)[name]
    np.testing.assert_allclose(sad.grad(f)(0.5), 20 * 0.5 * 20 * 0.25)
    np.testing.assert_allclose(sad.jit(sad.grad(f))(0.5), 20 * 0.5 * 20 * 0.25)
    np.testing.assert_allclose(sad.grad(sad.grad(f))(0.5), 20 * 20 * 3 * 0.25)  # of 20 x (20 x^2)


def test_cotangents_of_shared_arguments_are_summed_over_the_batch():
    @sad.custom_vjp
    def f(w: Any, x: Any) -> Any:
        return w @ x, np.sum(w)

    f.defvjp(
        lambda w, x: (f(w, x), (w, x)),
        lambda r, bars: (np.outer(bars[0], r[1]) + bars[1] * np.ones_like(r[0]), r[0].T @ bars[0]),
    )
    w, xs = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(4, 3)
    loss = lambda f: lambda w, xs: sum(np.sum(y**2) for y in sad.vmap(f, in_axes=(None, 0))(w, xs))
    plain = lambda w, x: (w @ x, np.sum(w))
    for mode in MODES:
        for found, expected in zip(
            in_mode(mode, sad.grad(loss(f), (0, 1)))(w, xs), sad.grad(loss(plain), (0, 1))(w, xs), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-13)
    per_lane = sad.vmap(sad.grad(lambda w, x: np.sum(f(w, x)[0])), in_axes=(None, 0))(w, xs)
    np.testing.assert_allclose(per_lane, np.ones((4, 2, 1)) * xs[:, None, :])


def test_nests_of_arguments_residuals_and_results():
    @sad.custom_vjp
    def f(p: Any, n: Any) -> Any:
        return {"a": p["x"] * p["y"][0], "n": n + 1}

    f.defvjp(
        lambda p, n: (f(p, n), [p, (n,)]),
        lambda r, bar: ({"x": bar["a"] * r[0]["y"][0] + bar["n"], "y": [bar["a"] * r[0]["x"] * r[1][0]]}, None),
    )
    p = {"x": 2.0, "y": [3.0]}
    assert sad.grad(lambda p: f(p, np.int64(5))["a"])(p) == {"x": 3.0, "y": [10.0]}


@pytest.mark.parametrize(
    "derivative",
    [
        lambda f: sad.jvp(f, (1.0,), (1.0,)),
        lambda f: sad.jacfwd(f)(1.0),
        lambda f: sad.jit(sad.jacfwd(f))(1.0),
        lambda f: sad.linearize(f, 1.0)[1](1.0),
        lambda f: sad.grad(lambda x: sad.jvp(f, (x,), (1.0,))[1])(1.0),
    ],
    ids=["jvp", "jacfwd", "jit", "linearize", "reverse over forward"],
)
def test_forward_mode_is_refused_where_cotangents_are_not_linear_and_names_custom_jvp(derivative: Callable[[Any], Any]):
    with pytest.raises(NotDifferentiableError, match=r"of clip_gradient .*custom_jvp"):
        derivative(clip_gradient)


def test_a_traced_value_left_in_the_closure_by_an_earlier_call_does_no_harm():
    kept: list[Any] = []

    @sad.custom_jvp
    def f(x: Any) -> Any:
        kept.append(x)
        return x**2

    f.defjvp(lambda primals, tangents: (f(*primals), 2 * primals[0] * tangents[0]))
    assert [sad.grad(f)(3.0), sad.jit(sad.grad(sad.grad(f)))(4.0)] == [6.0, 2.0]


@every_mode
def test_rules_of_complex_functions(mode: str):
    @sad.custom_jvp
    def forward(z: Any) -> Any:
        return z**3

    forward.defjvp(lambda primals, tangents: (forward(*primals), 3 * primals[0] ** 2 * tangents[0]))

    @sad.custom_vjp
    def reverse(z: Any) -> Any:
        return z**3

    reverse.defvjp(lambda z: (reverse(z), z), lambda z, bar: (3 * z**2 * bar,))
    z = np.array([1 + 2j, 0.5 - 0.3j])
    expected = sad.grad(lambda z: np.sum(np.abs(z**3)))(z)
    for f in (forward, reverse):
        np.testing.assert_allclose(in_mode(mode, sad.grad(lambda z, f=f: np.sum(np.abs(f(z)))))(z), expected)
        holomorphic = sad.vmap(sad.grad(f, holomorphic=True))
        np.testing.assert_allclose(in_mode(mode, holomorphic)(z), 3 * z**2)


def test_rules_may_change_their_own_arrays_in_place():
    @sad.custom_jvp
    def f(x: Any) -> Any:
        y = np.zeros_like(x)
        y[0] = x[0] ** 2
        y[1:] += x[1:]
        return y

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        y_dot = tangents[0].copy()
        y_dot[0] *= 2 * primals[0][0]
        return f(*primals), y_dot

    sad.check_derivatives(f, (X,))
    np.testing.assert_allclose(sad.jit(sad.grad(lambda x: np.sum(f(x))))(X), [2 * X[0], 1, 1])
