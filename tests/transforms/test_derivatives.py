"""The public functions: arguments, containers, auxiliary results, integer results, unused inputs.

Invariant: results have the structure, shapes and dtypes that the documentation says.
Start anywhere: each test stands alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import NotDifferentiableError
from tests.backends import MODES, in_mode
from tests.numerics import assert_close, assert_same, directional

X, Y = np.array([1.0, 2.0]), np.array([3.0, -1.0])
by_mode = pytest.mark.parametrize("mode", MODES)


def f(x: Any, y: Any) -> Any:
    return np.sum(np.sin(x) * y**2)


@by_mode
@pytest.mark.parametrize(
    ("argnums", "expected"), [(0, "x"), (1, "y"), (-1, "y"), ((0,), "(x,)"), ((1, 0), "(y, x)"), ([0, 1], "(x, y)")]
)
def test_argnums_choose_the_arguments(argnums: Any, expected: str, mode: str):
    gradients = eval(expected, {"x": np.cos(X) * Y**2, "y": 2 * np.sin(X) * Y})
    for derivative in (sad.grad, sad.jacfwd, sad.jacrev, sad.jacobian):
        found = in_mode(mode, derivative(f, argnums))(X, Y)
        assert isinstance(found, tuple) == isinstance(gradients, tuple)
        for one, other in zip(np.atleast_2d(found), np.atleast_2d(gradients), strict=True):
            assert_close(one, other)


def test_hessians_with_several_arguments_have_blocks():
    blocks = sad.hessian(f, (0, 1))(X, Y)
    assert_close(blocks[0][0], np.diag(-np.sin(X) * Y**2))
    assert_close(blocks[0][1], np.diag(2 * np.cos(X) * Y))
    assert_close(blocks[1][0], np.diag(2 * np.cos(X) * Y))
    assert_close(blocks[1][1], np.diag(2 * np.sin(X)))


def test_other_arguments_may_be_anything():
    def g(x: Any, name: str, *rest: Any, scale: float = 1.0, flag: bool = False) -> Any:
        assert name == "sum"
        assert flag
        return np.sum(x) * scale * len(rest)

    assert_same(sad.grad(g)(X, "sum", None, object(), scale=2.0, flag=True), np.array([4.0, 4.0]))


@by_mode
def test_auxiliary_results_are_passed_on(mode: str):
    g = lambda x: (np.sum(x**2), {"twice": 2 * x, "count": x.size, "whole": np.round(x).astype(int)})
    gradient, aux = in_mode(mode, sad.grad(g, has_aux=True))(X)
    assert_same(gradient, 2 * X)
    assert_same(aux["twice"], 2 * X)
    assert aux["count"] == 2
    assert_same(aux["whole"], np.array([1, 2]))
    (value, aux), gradient = in_mode(mode, sad.value_and_grad(g, has_aux=True))(X)
    assert (value, aux["count"]) == (5.0, 2)
    y, y_dot, aux = sad.jvp(g, (X,), (X,), has_aux=True)
    assert (y, y_dot) == (5.0, 10.0)
    y, pull, aux = sad.vjp(g, X, has_aux=True)
    assert_same(pull(1.0)[0], 2 * X)
    assert_same(aux["twice"], 2 * X)


def test_auxiliary_results_keep_traced_values_of_an_outer_derivative():
    g = lambda x: (x**3, x**2)
    assert sad.grad(lambda x: sad.grad(g, has_aux=True)(x)[1])(3.0) == 6.0


@by_mode
def test_unused_inputs_have_zero_derivatives(mode: str):
    g = lambda x, y: np.sum(x)
    assert_same(in_mode(mode, sad.grad(g, 1))(X, Y), np.zeros(2))
    assert_same(sad.jvp(g, (X, Y), (0 * X, Y))[1], np.float64(0))
    assert_same(in_mode(mode, sad.jacfwd(lambda x, y: x, 1))(X, Y), np.zeros((2, 2)))
    assert_same(in_mode(mode, sad.jacrev(lambda x, y: x, 1))(X, Y), np.zeros((2, 2)))
    assert_same(sad.vjp(g, X, Y)[1](1.0)[1], np.zeros(2))
    assert_same(sad.linearize(g, X, Y)[1](0 * X, Y), np.float64(0))
    assert_same(sad.linear_transpose(lambda x, y: x, X, Y)(X)[1], np.zeros(2))
    assert_same(sad.hessian(g, 1)(X, Y), np.zeros((2, 2)))


@by_mode
def test_constant_results_have_zero_derivatives(mode: str):
    for constant in (2.0, np.float64(3.0)):
        assert_same(in_mode(mode, sad.grad(lambda x, c=constant: c))(X), np.zeros(2))
        assert_same(in_mode(mode, sad.jacfwd(lambda x, c=constant: c))(X), np.zeros(2))
    assert_same(sad.jacrev(lambda x: np.ones(3))(X), np.zeros((3, 2)))
    assert_same(sad.jvp(lambda x: np.ones(3), (X,), (X,))[1], np.zeros(3))


def test_the_identity_is_its_own_derivative():
    assert sad.grad(lambda x: x)(2.0) == 1.0
    assert_same(sad.jacfwd(lambda x: x)(X), np.eye(2))
    assert_same(sad.jacrev(lambda x: (x, {"again": x}))(X)[1]["again"], np.eye(2))


def test_a_variable_that_is_returned_and_used_twice_collects_all_its_cotangents():
    _, pull = sad.vjp(lambda x: (x, x, np.sin(x), x), X)
    assert_close(pull((X, X, X, Y))[0], X + X + Y + np.cos(X) * X)


def test_integer_results_have_zero_tangents_and_take_part_in_no_cotangent():
    g = lambda x: (np.argmax(x), np.sum(x**2), x > 0, x.astype(int))
    y, y_dot = sad.jvp(g, (X,), (X,))
    assert_same(y[0], np.int64(1))
    assert_same(y_dot[0], np.float64(0))
    assert_same(y_dot[1], np.float64(10))
    assert_same(y_dot[2], np.zeros(2))
    _, pull = sad.vjp(g, X)
    zero = np.zeros(2)
    assert_same(pull((0.0, 1.0, zero, zero))[0], 2 * X)
    _, linear = sad.linearize(g, X)
    assert_same(linear(X)[1], np.float64(10))


@by_mode
def test_integers_inside_a_function_carry_no_derivative(mode: str):
    g = lambda x: np.sum(x * np.arange(2)) + np.argmax(x) * x[0] + np.sum(np.floor(x) * x) + np.sum(x.astype(int)) * 2.0
    assert_same(in_mode(mode, sad.grad(g))(X + 0.5), np.arange(2) + np.array([1.0, 0.0]) + np.floor(X + 0.5))


def test_maxima_picked_by_a_comparison_have_the_derivative_of_the_winner():
    g = lambda x: np.sum(np.where(np.arange(3) == np.argmax(x), x**2, 0.0))
    assert_same(sad.grad(g)(np.array([1.0, 3.0, 2.0])), np.array([0.0, 6.0, 0.0]))


def test_linearize_runs_its_function_once():
    calls = []

    def g(x: Any) -> Any:
        calls.append(x)
        return np.sin(x) * x

    y, linear = sad.linearize(g, X)
    for v in (X, Y, X + Y):
        assert_close(linear(v), (np.cos(X) * X + np.sin(X)) * v)
    assert_close(y, np.sin(X) * X)
    assert len(calls) == 1


def test_vjp_can_be_pulled_many_times():
    calls = []
    _, pull = sad.vjp(lambda x: (calls.append(0), np.tanh(x))[1], X)
    for bar in (X, Y):
        assert_close(pull(bar)[0], bar / np.cosh(X) ** 2)
    assert len(calls) == 1


def test_linear_transpose_of_linear_functions():
    a = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert_same(sad.linear_transpose(lambda x: a @ x, X)(np.ones(3))[0], a.sum(0))
    x_bar, y_bar = sad.linear_transpose(lambda x, y: 2 * x - y[::-1], X, Y)(np.array([1.0, 10.0]))
    assert_same(x_bar, np.array([2.0, 20.0]))
    assert_same(y_bar, np.array([-10.0, -1.0]))


@pytest.mark.parametrize(
    "g", [np.sin, lambda x: x * x, lambda x: 1 / x, lambda x: x @ x, lambda x: np.max(x), np.hypot, lambda x: x**2]
)
def test_linear_transpose_of_what_is_not_linear_says_so(g: Any):
    arguments = (X, X) if g is np.hypot else (X,)
    with pytest.raises(NotDifferentiableError, match="not linear"):
        sad.linear_transpose(g, *arguments)


@pytest.mark.parametrize("g", [lambda x: x + 1, lambda x: np.concatenate([x, np.ones(1)])])
def test_affine_functions_are_transposed_as_their_linear_part(g: Any):
    n = g(X).size
    assert_same(sad.linear_transpose(g, X)(np.ones(n))[0], np.ones(2))


def test_nested_containers_go_through_every_transform():
    params = {"layers": [(np.eye(2), np.zeros(2)), (2 * np.eye(2), np.ones(2))], "scale": 0.5}

    def loss(p: Any, x: Any) -> Any:
        for w, b in p["layers"]:
            x = np.tanh(w @ x + b)
        return np.sum(x) * p["scale"]

    gradient = sad.grad(loss)(params, X)
    assert sorted(gradient) == ["layers", "scale"]
    assert gradient["layers"][1][0].shape == (2, 2)
    assert_close(gradient["scale"], loss(params, X) / 0.5)
    hessian = sad.hessian(loss)(params, X)
    block = hessian["layers"][0][1]["layers"][1][0]
    assert block.shape == (2, 2, 2)

    def moved(t: float) -> Any:
        shifted = {
            "layers": [params["layers"][0], (params["layers"][1][0] + t * np.eye(2), params["layers"][1][1])],
            "scale": 0.5,
        }
        return sad.grad(loss)(shifted, X)["layers"][0][1]

    assert_close(np.einsum("ijj->i", block), directional(moved, [0.0], [1.0]), 1e-10)
    rows = sad.vmap(sad.grad(loss), in_axes=(None, 0))(params, np.stack([X, Y]))
    assert rows["layers"][0][0].shape == (2, 2, 2)


def test_vmap_over_other_axes_and_containers():
    x = np.arange(6.0).reshape(2, 3)
    assert_same(sad.vmap(np.sum, in_axes=1)(x), x.sum(0))
    assert_same(sad.vmap(np.sum, in_axes=-1)(x), x.sum(0))
    assert_same(sad.vmap(lambda r: r * 2, in_axes=0, out_axes=1)(x), 2 * x.T)
    assert_same(sad.vmap(lambda r: r * 2, out_axes=-1)(x), 2 * x.T)
    assert_same(sad.vmap(lambda p: p["a"] + p["b"], in_axes=({"a": 0, "b": None},))({"a": x, "b": x[0]}), x + x[0])
    a, b = sad.vmap(lambda r, s: (r + s, s), in_axes=(0, None), out_axes=(0, None))(x, 1.0)
    assert_same(a, x + 1)
    assert_same(b, np.float64(1.0))
    assert_same(sad.vmap(lambda r: 3.0)(x), np.full(2, 3.0))
    assert_same(sad.vmap(lambda r: np.arange(2))(x), np.tile(np.arange(2), (2, 1)))
    assert_same(sad.vmap(lambda r, *, k: r * k)(x, k=2.0), 2 * x)


def test_vmap_over_nothing_gives_nothing():
    assert_same(sad.vmap(lambda r: np.sum(r) * r)(np.zeros((0, 3))), np.zeros((0, 3)))


def test_results_of_vmap_are_not_views_of_its_arguments():
    x = np.arange(6.0).reshape(2, 3)
    for mapped in (sad.vmap(lambda r: r), sad.vmap(lambda r: r, in_axes=1, out_axes=1), sad.vmap(lambda r: r[::-1])):
        y = mapped(x)
        assert not np.shares_memory(x, y)
        assert y.flags.writeable


def test_numpy_scalars_python_numbers_and_lists_of_numbers_are_arguments():
    assert_same(sad.grad(lambda x: x**2)(3.0), np.float64(6))
    assert_same(sad.grad(lambda x: x**2)(np.float32(3.0)), np.float32(6))
    assert sad.grad(lambda x: x[0] * x[1])([3.0, 4.0]) == [4.0, 3.0]


def test_derivatives_of_functions_of_empty_arrays():
    empty = np.zeros((0, 3))
    assert_same(sad.grad(lambda x: np.sum(x**2) + 1.0)(empty), empty)
    assert_same(sad.jacfwd(lambda x: np.sum(x, axis=0))(empty), np.zeros((3, 0, 3)))
    assert_same(sad.jacrev(lambda x: np.sin(x))(empty), np.zeros((0, 3, 0, 3)))


def test_the_derivative_of_a_derivative_function_keeps_its_name_and_doc():
    def named(x: Any) -> Any:
        """Its doc."""
        return x

    for derivative in (sad.grad, sad.value_and_grad, sad.jacfwd, sad.jacrev, sad.hessian, sad.vmap):
        assert (derivative(named).__name__, derivative(named).__doc__) == ("named", "Its doc.")


def test_inputs_and_results_share_no_memory():
    x = np.arange(3.0)
    _, pull = sad.vjp(lambda x: (x, x.reshape(3, 1)), x)
    for found in (
        *sad.jvp(lambda x: x, (x,), (x,)),
        pull((x, np.zeros((3, 1))))[0],
        sad.linearize(lambda x: x, x)[1](x),
        sad.linearize(lambda x: x, x)[0],
        sad.linear_transpose(lambda x: x, x)(x)[0],
    ):
        assert not np.shares_memory(found, x)


def test_reverse_mode_differentiates_once_what_is_computed_twice():
    def minor(A: Any, row: int, columns: tuple[int, ...]) -> Any:
        parts = [columns[:k] + columns[k + 1 :] for k in range(len(columns))]
        rest = [minor(A, row + 1, part) if part else 1.0 for part in parts]
        return sum((-1) ** k * A[row, c] * r for k, (c, r) in enumerate(zip(columns, rest, strict=True)))

    def slopes(A: Any) -> Any:
        return sad.grad(lambda A: minor(A, 0, tuple(range(len(A)))))(A)

    def products(n: int) -> int:
        program = sad.trace(slopes)(np.eye(n))
        return sum(equation.primitive.name in ("mul", "scale") for equation in program.equations)

    A = np.array([[2.0, 1.0, 0.5], [0.3, 1.0, -1.0], [1.0, 4.0, 2.0]])
    assert_close(slopes(A), np.linalg.det(A) * np.linalg.inv(A).T)
    assert products(6) < 3 * products(5)  # there are n 2**(n - 1) of them, and not n! e


@by_mode
def test_derivatives_of_numbers_are_numbers(mode: str):
    for derivative in (sad.grad, sad.jacfwd, sad.jacrev, sad.jacobian, sad.hessian):
        for x in (0.3, np.float64(0.3), np.array(0.3)):
            assert type(in_mode(mode, derivative(np.sin))(x)) is np.float64
