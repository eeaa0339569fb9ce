"""Numbers from the literature, by forward and reverse mode, eager and jitted, to 1e-12.

The survey is Baydin, Pearlmutter, Radul, Siskind, *Automatic Differentiation in Machine Learning: a Survey*,
JMLR 18 (2018). Start at ``FIRST``, the ways to take a first derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.vjp import value_and_grad_program
from tests.backends import MODES, in_mode

Function = Callable[..., Any]
Derivative = Callable[[Function], Function]


def tangent(f: Function) -> Function:
    """The derivative of a function of one number, by forward mode."""
    return lambda x: sad.jvp(f, (x,), (1.0,))[1]


FIRST: dict[str, Derivative] = {"forward": sad.jacfwd, "reverse": sad.grad}
SCALAR: dict[str, Derivative] = {"forward": tangent, "reverse": sad.grad}
SECOND: dict[str, Derivative] = {
    "forward over forward": lambda f: sad.jacfwd(sad.jacfwd(f)),
    "forward over reverse": lambda f: sad.jacfwd(sad.grad(f)),
    "reverse over forward": lambda f: sad.jacrev(sad.jacfwd(f)),
    "reverse over reverse": lambda f: sad.jacrev(sad.grad(f)),
    "hessian": sad.hessian,
}

by_mode = pytest.mark.parametrize("mode", MODES)
by_first = pytest.mark.parametrize("D", FIRST.values(), ids=FIRST)
by_scalar = pytest.mark.parametrize("D", SCALAR.values(), ids=SCALAR)
by_second = pytest.mark.parametrize("H", SECOND.values(), ids=SECOND)


def close(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=1e-15)


def survey(x: Any) -> Any:
    return np.log(x[0]) + x[0] * x[1] - np.sin(x[1])


@by_mode
@by_first
def test_tables_2_and_3_of_the_survey(D: Derivative, mode: str):
    x = np.array([2.0, 5.0])
    close(in_mode(mode, survey)(x), 11.652071455223084)
    close(in_mode(mode, D(survey))(x), [5.5, 1.7163378145367737])


@by_mode
@by_second
def test_the_hessian_of_the_surveys_example(H: Derivative, mode: str):
    close(in_mode(mode, H(survey))(np.array([2.0, 5.0])), [[-0.25, 1], [1, -0.95892427466313847]])


@by_mode
@by_first
def test_the_adjoints_of_the_intermediates_of_table_3(D: Derivative, mode: str):
    def shifted(e: Any) -> Any:
        """Each intermediate v1 ... v5 with a shift of its own; its adjoint is the derivative in the shift."""
        v1, v2, v3 = np.log(2.0) + e[0], 2.0 * 5.0 + e[1], np.sin(5.0) + e[2]
        v4 = v1 + v2 + e[3]
        return v4 - v3 + e[4]

    close(in_mode(mode, D(shifted))(np.zeros(5)), [1, 1, -1, 1, 1])


def logistic_map(n: int) -> Function:
    def iterate(x: Any) -> Any:
        for _ in range(n - 1):
            x = 4 * x * (1 - x)
        return x

    return iterate


@by_mode
@by_scalar
def test_table_1_of_the_survey(D: Derivative, mode: str):
    l4 = logistic_map(4)
    close(in_mode(mode, D(l4))(0.2), float(Fraction(708288, 78125)))
    close(in_mode(mode, D(D(l4)))(0.2), 67.395584)
    close(in_mode(mode, D(D(D(l4))))(0.2), -3948.87168)
    close(in_mode(mode, D(logistic_map(10)))(0.2), -246.07692890735666)


@pytest.mark.parametrize("rewrite", [jvp_program, value_and_grad_program])
def test_expressions_do_not_swell_programs_grow_linearly(rewrite: Callable[..., Any]):
    def size(n: int) -> int:
        return len(rewrite(trace_call(logistic_map(n), [0.2], {}).program, [True]).equations)

    assert size(40) - size(20) == size(60) - size(40) == 2 * (size(30) - size(20)) > 0


def test_figure_3_of_the_survey_derivatives_are_exact_where_differences_are_not():
    l4, exact, h = logistic_map(4), 9.0660864, 1e-3
    assert abs((l4(0.2 + h) - l4(0.2)) / h - exact) == pytest.approx(3.30e-2, rel=5e-3)
    assert abs((l4(0.2 + h) - l4(0.2 - h)) / (2 * h) - exact) == pytest.approx(6.58e-4, rel=5e-3)
    assert abs(sad.grad(l4)(0.2) - exact) < 2e-14
    assert abs(tangent(l4)(0.2) - exact) < 2e-14


@by_mode
@by_first
def test_the_helmholtz_free_energy_of_figure_5(D: Derivative, mode: str):
    b = np.array([0.1, 0.05, 0.02])
    A = 0.1 / (1 + abs(np.arange(3)[:, None] - np.arange(3)))

    def energy(x: Any) -> Any:
        bx, root = b @ x, math.sqrt(2)
        mixing = np.sum(np.log(x / (1 - bx)))
        return mixing - x @ A @ x / (math.sqrt(8) * bx) * np.log((1 + (1 + root) * bx) / (1 + (1 - root) * bx))

    x = np.array([0.1, 0.2, 0.3])
    close(in_mode(mode, energy)(x), -5.06036571871723)
    close(in_mode(mode, D(energy))(x), [10.2517093091606, 5.07710083170122, 3.3108694863327])


@by_mode
@pytest.mark.parametrize("inner", SCALAR.values(), ids=[f"{name} inside" for name in SCALAR])
@pytest.mark.parametrize("outer", SCALAR.values(), ids=[f"{name} outside" for name in SCALAR])
def test_nested_derivatives_do_not_confuse_their_perturbations(outer: Derivative, inner: Derivative, mode: str):
    def one(x: Any) -> Any:
        return inner(lambda y: x + y)(3.0)

    for f, point, expected in [
        (lambda x: x * inner(lambda y: x + y)(1.0), 1.0, 1.0),
        (lambda x: x * inner(lambda y: x * y)(2.0), 1.0, 2.0),
        (lambda x: inner(lambda y: x)(x), 1.0, 0.0),
        (one, 5.0, 0.0),
        (lambda x: x * one(x), 5.0, 1.0),
        (lambda x: x * one(2 * x), 5.0, 1.0),
    ]:
        close(in_mode(mode, outer(f))(point), expected)


CLASSICAL: dict[str, tuple[Function, list[float], float, list[float], list[list[float]] | None]] = {
    "Rosenbrock": (
        lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2,
        [-1.2, 1.0],
        24.2,
        [-215.6, -88.0],
        [[1330.0, 480.0], [480.0, 200.0]],
    ),
    "Beale": (
        lambda x: sum((c - x[0] + x[0] * x[1] ** k) ** 2 for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))),
        [1.0, 1.0],
        14.203125,
        [0.0, 27.75],
        [[0.0, 27.75], [27.75, 68.5]],
    ),
    "Powell singular": (
        lambda x: (x[0] + 10 * x[1]) ** 2 + 5 * (x[2] - x[3]) ** 2 + (x[1] - 2 * x[2]) ** 4 + 10 * (x[0] - x[3]) ** 4,
        [3.0, -1.0, 0.0, 1.0],
        215.0,
        [306.0, -144.0, -2.0, -310.0],
        None,
    ),
}


@by_mode
@by_first
@pytest.mark.parametrize("name", CLASSICAL)
def test_gradients_of_classical_functions(name: str, D: Derivative, mode: str):
    f, x, value, gradient, _ = CLASSICAL[name]
    close(in_mode(mode, f)(np.array(x)), value)
    close(in_mode(mode, D(f))(np.array(x)), gradient)


@by_mode
@by_second
@pytest.mark.parametrize("name", [name for name, row in CLASSICAL.items() if row[-1]])
def test_hessians_of_classical_functions(name: str, H: Derivative, mode: str):
    f, x, _, _, hessian = CLASSICAL[name]
    np.testing.assert_allclose(in_mode(mode, H(f))(np.array(x)), hessian, rtol=1e-12, atol=1e-12)


@by_mode
@by_first
def test_a_hessian_times_a_vector_costs_one_column(D: Derivative, mode: str):
    f, x, _, _, hessian = CLASSICAL["Rosenbrock"]
    v = np.array([0.3, -0.7])
    expected = np.array(hessian) @ v
    close(in_mode(mode, lambda x, v: sad.hvp(f, (x,), (v,)))(np.array(x), v), expected)
    close(in_mode(mode, lambda x, v: sad.grad(lambda z: D(f)(z) @ v)(x))(np.array(x), v), expected)


@by_mode
@pytest.mark.parametrize("order", ["forward", "reverse", "alternating"])
def test_six_derivatives_of_tanh(order: str, mode: str):
    expected = [
        0.786447732965927,
        -0.726861981383587,
        -0.56520928825977,
        3.95221956372458,
        -3.26668647197139,
        -36.2795402917916255,  # recomputed to 40 digits
    ]
    f: Function = np.tanh
    for k, value in enumerate(expected):
        f = (tangent if order == "forward" or (order == "alternating" and k % 2) else sad.grad)(f)
        close(in_mode(mode, f)(0.5), value)


@by_mode
@by_scalar
def test_x_to_the_x(D: Derivative, mode: str):
    f: Function = lambda x: x**x
    close(in_mode(mode, D(f))(2.0), 6.7725887222397812)
    close(in_mode(mode, D(D(f)))(2.0), 13.466989500152368)


def det(a: Any) -> Any:
    return a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]


@by_mode
@by_first
def test_matrix_functions_of_two_rows(D: Derivative, mode: str):
    def sum_of_inverse(a: Any) -> Any:
        return (a[1, 1] - a[0, 1] - a[1, 0] + a[0, 0]) / det(a)

    a = np.array([[4.0, 1.0], [2.0, 3.0]])
    close(in_mode(mode, D(det))(a), [[3, -2], [-1, 4]])
    close(in_mode(mode, D(lambda a: np.log(det(a))))(a), [[0.3, -0.2], [-0.1, 0.4]])
    close(in_mode(mode, D(sum_of_inverse))(a), [[-0.02, -0.02], [-0.06, -0.06]])


@by_mode
@by_first
def test_cholesky_factor_of_two_rows(D: Derivative, mode: str):
    def sum_of_factor(x: Any) -> Any:
        a, b, c = x
        root = np.sqrt(a)
        return root + b / root + np.sqrt(c - (b / root) ** 2)

    expected = [0.213388347648318, 0.146446609406726, 0.353553390593274]
    close(in_mode(mode, D(sum_of_factor))(np.array([4.0, 2.0, 3.0])), expected)


NAN_FOR_NAIVE_METHODS: dict[str, tuple[Function, Any, Any]] = {
    "root of a square": (lambda x: np.sqrt(x**2), 0.0, 0.0),
    "guarded root": (lambda x: np.where(x > 0, np.sqrt(x), 0.0), 0.0, 0.0),
    "norm": (np.linalg.norm, np.zeros(3), np.zeros(3)),
    "root of a sum of squares": (lambda x: np.sqrt(np.sum(x**2)), np.zeros(3), np.zeros(3)),
}


@by_mode
@by_first
@pytest.mark.parametrize("name", NAN_FOR_NAIVE_METHODS)
def test_traps_have_derivative_zero(name: str, D: Derivative, mode: str):
    f, x, expected = NAN_FOR_NAIVE_METHODS[name]
    np.testing.assert_array_equal(in_mode(mode, D(f))(x), expected)


@by_mode
@by_first
def test_logsumexp_is_stable(D: Derivative, mode: str):
    for f in (sad.numpy.logsumexp, lambda x: np.logaddexp(x[0], x[1])):
        close(in_mode(mode, f)(np.array([1000.0, 1000.0])), 1000.6931471805599)
        close(in_mode(mode, D(f))(np.array([1000.0, 1000.0])), [0.5, 0.5])
        close(in_mode(mode, f)(np.array([0.0, -np.inf])), 0.0)
        close(in_mode(mode, D(f))(np.array([0.0, -np.inf])), [1.0, 0.0])


@by_mode
@by_scalar
def test_softplus_is_stable(D: Derivative, mode: str):
    softplus: Function = lambda x: np.logaddexp(x, 0.0)
    close(in_mode(mode, D(softplus))(50.0), 1.0)
    np.testing.assert_allclose(in_mode(mode, D(softplus))(-50.0), 1.9287498479639178e-22, rtol=1e-12)


@by_mode
@by_first
def test_power_at_the_points_of_the_table(D: Derivative, mode: str):
    partials = in_mode(mode, D(lambda p: p[0] ** p[1]))
    close(partials(np.array([0.0, 2.0])), [0.0, 0.0])
    assert partials(np.array([0.0, 1.0]))[0] == 1
    assert partials(np.array([0.0, 0.5]))[0] == np.inf
    close(partials(np.array([-2.0, 2.0]))[0], -4.0)
    for exponent, x, expected in [(2, 0.0, 0.0), (1, 0.0, 1.0), (0.5, 0.0, np.inf), (2, -2.0, -4.0)]:
        close(in_mode(mode, D(lambda x, n=exponent: x**n))(x), expected)


@by_mode
@by_first
def test_arctan2_and_hypot(D: Derivative, mode: str):
    close(in_mode(mode, D(lambda p: np.arctan2(p[0], p[1])))(np.array([1.0, -1.0])), [-0.5, -0.5])
    close(in_mode(mode, D(lambda p: np.hypot(p[0], p[1])))(np.array([3.0, 4.0])), [0.6, 0.8])
    for size in (1e-170, 1e-300, 1e170, 1e300):
        close(in_mode(mode, D(lambda p: np.arctan2(p[0], p[1])))(size * np.array([1.0, -1.0])) * size, [-0.5, -0.5])


@by_mode
@by_scalar
def test_arccosh_far_out(D: Derivative, mode: str):
    close(in_mode(mode, D(np.arccosh))(1e200) * 1e200, 1.0)
    close(in_mode(mode, D(np.arccosh))(2.0), 3**-0.5)


@by_mode
@by_scalar
def test_ten_steps_of_euler(D: Derivative, mode: str):
    def final(p: Any) -> Any:
        y = 3.0
        for _ in range(10):
            y = y - 0.15 * p * y
        return y

    close(in_mode(mode, D(final))(2.0), -0.1815912315)


@by_mode
@by_scalar
@pytest.mark.parametrize("inner", SCALAR.values(), ids=[f"{name} inside" for name in SCALAR])
def test_gradient_descent_as_a_program(inner: Derivative, D: Derivative, mode: str):
    loss: Function = lambda w: 2 * w**2 / 2

    def final_loss(a: Any) -> Any:
        w = 1.0
        for _ in range(10):
            w = w - a * inner(loss)(w)
        return loss(w)

    close(in_mode(mode, D(final_loss))(0.1), -0.57646075230342349)


@by_mode
@by_scalar
def test_newtons_iteration_for_the_square_root(D: Derivative, mode: str):
    def root(a: Any) -> Any:
        x = a
        for _ in range(8):
            x = (x + a / x) / 2
        return x

    close(in_mode(mode, D(root))(4.0), 0.25)
    close(in_mode(mode, D(D(root)))(4.0), -1 / 32)


@by_mode
@by_scalar
def test_a_fixed_point_by_unrolling(D: Derivative, mode: str):
    def fixed(a: Any) -> Any:
        x = 0.7
        for _ in range(120):
            x = np.cos(a * x)
        return x

    close(in_mode(mode, fixed)(1.0), 0.73908513321516064)
    close(in_mode(mode, D(fixed))(1.0), -0.29747434150983226)
