"""Complex numbers: the convention of derivatives, holomorphic functions, control flow and the border of compiled code.

Invariant: expected derivatives are finite differences in the real and the imaginary part, or formulas.
Start at ``test_the_gradient_of_a_real_function_is_the_slope_in_x_minus_i_times_the_slope_in_y``.
"""

from __future__ import annotations

import doctest
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import DTypeError, NotDifferentiableError
from tests.backends import MODES, in_mode
from tests.checks import assert_derivatives
from tests.numerics import assert_close, assert_same, directional, slopes

by_mode = pytest.mark.parametrize("mode", MODES)
RNG = np.random.default_rng(7)
Z = RNG.uniform(0.3, 1.5, 3) + 1j * RNG.uniform(-1.5, 1.5, 3)
W = RNG.uniform(-1.5, 1.5, 3) + 1j * RNG.uniform(0.3, 1.5, 3)
A = RNG.uniform(-1, 1, (3, 3)) + 1j * RNG.uniform(-1, 1, (3, 3))

REAL: dict[str, Callable[[Any], Any]] = {
    "abs": lambda z: np.sum(np.abs(z)),
    "square of abs": lambda z: np.sum(abs(z) ** 2 * z.real),
    "angle": lambda z: np.sum(np.angle(z) * z.imag),
    "sign": lambda z: np.sum(np.sign(z).real * z.imag),
    "quadratic form": lambda z: np.vdot(z, A @ z).real,
    "bilinear form": lambda z: (z @ A @ z).imag,
    "log and power": lambda z: np.sum((np.log(z) * z**1.5).real),
    "quotient": lambda z: np.sum((z.conj() / (z + 2j)).imag),
    "norm and std": lambda z: np.linalg.norm(z) + np.std(z) + np.linalg.norm(z, 1),
    "product": lambda z: abs(np.prod(z)),
    "cast of parts": lambda z: np.sum(z.real.astype(complex) * z).imag,
    "selected": lambda z: np.sum(np.where(z.imag > 0, z * z, 3 * z).imag),
    "parts": lambda z: np.sum(np.stack([z, z.conj()]).reshape(-1)[::2].imag * z.real),
}
HOLOMORPHIC: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "exp": (np.exp, np.exp),
    "exp2": (np.exp2, lambda z: np.log(2) * np.exp2(z)),
    "expm1": (np.expm1, np.exp),
    "log": (np.log, lambda z: 1 / z),
    "log2": (np.log2, lambda z: 1 / z / np.log(2)),
    "log10": (np.log10, lambda z: 1 / z / np.log(10)),
    "log1p": (np.log1p, lambda z: 1 / (1 + z)),
    "sqrt": (np.sqrt, lambda z: 0.5 / np.sqrt(z)),
    "power": (lambda z: z ** (1 + 2j), lambda z: (1 + 2j) * z**2j),
    "exponential": (lambda z: (1 + 2j) ** z, lambda z: np.log(1 + 2j) * (1 + 2j) ** z),
    "integer power": (lambda z: z**-3, lambda z: -3 * z**-4),
    "reciprocal": (np.reciprocal, lambda z: -1 / z**2),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda z: -np.sin(z)),
    "tan": (np.tan, lambda z: 1 / np.cos(z) ** 2),
    "sinh": (np.sinh, np.cosh),
    "cosh": (np.cosh, np.sinh),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "arcsin": (np.arcsin, lambda z: 1 / np.sqrt(1 - z**2)),
    "arccos": (np.arccos, lambda z: -1 / np.sqrt(1 - z**2)),
    "arctan": (np.arctan, lambda z: 1 / (1 + z**2)),
    "arcsinh": (np.arcsinh, lambda z: 1 / np.sqrt(1 + z**2)),
    "arccosh": (np.arccosh, lambda z: 1 / np.sqrt(z - 1) / np.sqrt(z + 1)),
    "arctanh": (np.arctanh, lambda z: 1 / (1 - z**2)),
}

by_real = pytest.mark.parametrize("name", REAL)
by_holomorphic = pytest.mark.parametrize("name", HOLOMORPHIC)


def test_the_examples_of_the_documentation_run():
    page = Path(__file__).parent.parent / "docs" / "complex.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 8
    assert failed == 0


# -- the convention -----------------------------------------------------------------------------------------------


@by_mode
@by_real
def test_the_gradient_of_a_real_function_is_the_slope_in_x_minus_i_times_the_slope_in_y(name: str, mode: str):
    value, gradient = in_mode(mode, sad.value_and_grad(REAL[name]))(Z)
    assert_same(value, np.asarray(REAL[name](Z)))
    assert_close(gradient, slopes(REAL[name], Z), 1e-9)
    assert gradient.dtype == complex


@by_real
def test_both_modes_of_real_functions_agree_with_finite_differences(name: str):
    assert_derivatives(REAL[name], Z)


@by_mode
@by_real
def test_the_second_derivative_of_a_real_function_is_that_in_its_real_and_imaginary_parts(name: str, mode: str):
    f = REAL[name]
    along = W[::-1] * 0.5
    found = in_mode(mode, lambda z, v: sad.hvp(f, (z,), (v,)))(Z, along)
    n = len(Z)
    hessian = sad.hessian(lambda p: f(p[:n] + 1j * p[n:]))(np.concatenate([Z.real, Z.imag]))
    turned = hessian @ np.concatenate([along.real, along.imag])
    assert_close(found, turned[:n] - 1j * turned[n:], 1e-9)
    assert_close(found, directional(sad.grad(f), [Z], [along]), 1e-8)


def test_steepest_descent_goes_along_the_conjugate():
    f = lambda z: np.sum(abs(A @ z - W) ** 2)
    gradient = sad.jit(sad.grad(f))
    z = Z
    for _ in range(4000):
        z = z - 0.1 * np.conj(gradient(z))
    assert_close(A @ z, W, 1e-2)
    assert_close(np.conj(sad.grad(f)(Z)), 2 * A.conj().T @ (A @ Z - W))


LINEAR: dict[str, tuple[Callable[[Any], Any], Any, Callable[[Any], Any]]] = {
    "product": (lambda z: (1 + 2j) * z, Z, lambda c: (1 + 2j) * c),
    "matrix": (lambda z: A @ z, Z, lambda c: A.T @ c),
    "conj": (np.conj, Z, np.conj),
    "real": (np.real, Z, lambda c: c + 0j),
    "imag": (np.imag, Z, lambda c: -1j * c),
    "complex of real": (lambda x: x + 0j, Z.real, np.real),
    "complex of imaginary": (lambda x: 1j * x, Z.real, lambda c: -c.imag),
    "cast": (lambda x: x.astype(complex), Z.real, np.real),
    "sum": (np.sum, Z, lambda c: np.full(3, c)),
}


@by_mode
@pytest.mark.parametrize("name", LINEAR)
def test_transposes_are_not_conjugated(name: str, mode: str):
    f, x, expected = LINEAR[name]
    c = np.asarray(f(W if np.iscomplexobj(x) else W.real))
    (found,) = in_mode(mode, lambda c: sad.linear_transpose(f, x)(c))(c)
    assert_same(found, np.asarray(expected(c)))


# -- holomorphic functions ----------------------------------------------------------------------------------------


@by_mode
@by_holomorphic
def test_the_derivative_of_a_holomorphic_function_is_its_formula(name: str, mode: str):
    f, derivative = HOLOMORPHIC[name]
    for z in Z:
        assert_close(in_mode(mode, sad.grad(f, holomorphic=True))(z), derivative(z), 1e-11)
    assert_close(in_mode(mode, sad.jacrev(f, holomorphic=True))(Z), np.diag(derivative(Z)), 1e-11)


@by_holomorphic
def test_holomorphic_functions_satisfy_the_cauchy_riemann_equations(name: str):
    f, derivative = HOLOMORPHIC[name]
    along_x, along_y = (sad.jvp(f, (Z,), (np.full(3, unit),))[1] for unit in (1 + 0j, 1j))
    assert_close(along_y, 1j * along_x, 1e-12)
    assert_close(along_x, derivative(Z), 1e-11)


@by_holomorphic
def test_second_derivatives_of_holomorphic_functions_are_differences_of_the_first(name: str):
    f, derivative = HOLOMORPHIC[name]
    found = sad.hessian(lambda z: np.sum(f(z)), holomorphic=True)(Z)
    assert_close(found, np.diag(directional(derivative, [Z], [np.ones(3)])), 1e-8)
    assert_same(found, sad.jacrev(sad.jacfwd(lambda z: np.sum(f(z)), holomorphic=True), holomorphic=True)(Z), 1e-10)


SIDES = [complex(x, y) for x in (-2.0, 2.0) for y in (0.0, -0.0)]


@by_mode
@pytest.mark.parametrize("name", ["sqrt", "log", "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh"])
def test_on_a_branch_cut_the_derivative_is_that_of_the_side_the_zero_says(name: str, mode: str):
    f, derivative = HOLOMORPHIC[name]
    f = in_mode(mode, f)
    for z in SIDES:
        if name in ("arctan", "arcsinh"):
            z = complex(z.imag, z.real)
        step = complex(np.copysign(1e-9, z.real), np.copysign(1e-9, z.imag))
        value, slope = sad.jvp(f, (z,), (1 + 0j,))
        assert_close(value, getattr(np, name)(z))
        assert_close(value, f(z + step), 1e-7)
        assert_close(slope, derivative(z + step), 1e-7)


STEPS: list[Callable[[Any, Any], Any]] = [
    *(operator.add, operator.sub, operator.mul, lambda a, b: a / (3 + 2j + b), lambda a, b: np.exp(0.3 * a) * b),
    *(lambda a, b: np.conj(a) * b, lambda a, b: a.real * b, lambda a, b: 1j * b.imag + a, lambda a, b: np.sin(a) - b),
    *(lambda a, b: abs(a + 4) * b, lambda a, b: np.where(a.real > b.real, a, b), lambda a, b: np.sqrt(a + 5) + b),
    *(lambda a, b: np.sum(a) + b, lambda a, b: b[::-1] * a[0], lambda a, b: np.vdot(a, b) * a, lambda a, b: a**2 - b),
]


@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=6))
@settings(max_examples=25)
def test_random_expressions_have_the_same_derivatives_in_all_modes_and_by_differences(steps: Any):
    def f(z: Any) -> Any:
        values = [z, 0.5 * z + 1j]
        for step, i, j in steps:
            found = step(values[i % len(values)], values[j % len(values)])
            values.append(found / (1 + np.sum(abs(found) ** 2)))
        return np.sum(values[-1] * (1 - 0.5j)).real

    value, gradient = sad.value_and_grad(f)(Z)
    value_compiled, gradient_compiled = sad.jit(sad.value_and_grad(f))(Z)
    assert_close(value_compiled, value, 1e-11)
    assert_close(gradient_compiled, gradient, 1e-11)
    assert_close(sad.jvp(f, (Z,), (W,))[1], np.sum(gradient * W).real, 1e-11)
    assert_close(gradient, slopes(f, Z), 1e-7)


@by_mode
def test_the_modulus_and_the_sign_are_flat_at_zero(mode: str):
    assert in_mode(mode, sad.grad(lambda z: np.linalg.norm(np.stack([z, 0 * z]))))(0j) == 0
    for f in (lambda z: abs(z), lambda z: np.sign(z).real):
        assert in_mode(mode, sad.grad(f))(0j) == 0
        assert in_mode(mode, lambda z, f=f: sad.hvp(f, (z,), (z + 1,)))(0j) == 0


# -- what is refused ----------------------------------------------------------------------------------------------

REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: sad.grad(np.exp)(1j), NotDifferentiableError, "real result.*c128.*holomorphic=True"),
    (lambda: sad.grad(np.exp, holomorphic=True)(1.0), NotDifferentiableError, r"complex inputs.*argument 0 .* is real"),
    (lambda: sad.grad(np.abs, holomorphic=True)(1j), NotDifferentiableError, "complex result.*f64"),
    (lambda: sad.grad(np.exp, holomorphic=True)(1), NotDifferentiableError, "int64"),
    (lambda: sad.jacrev(np.exp)(Z), NotDifferentiableError, "jacrev needs a real result"),
    (lambda: sad.jacfwd(np.abs)(Z), NotDifferentiableError, "jacfwd needs real arguments.*jacrev"),
    (lambda: sad.jacobian(np.exp)(Z), NotDifferentiableError, "holomorphic=True"),
    (lambda: sad.jit(lambda z: z.astype(float))(Z), DTypeError, "z.real"),
    (lambda: sad.jit(lambda z: np.sum(z, dtype=float))(Z), DTypeError, "z.real"),
    (lambda: sad.jvp(np.sin, (Z,), (Z.astype("c8"),)), DTypeError, "must have dtype complex128, got complex64"),
]


@pytest.mark.parametrize(("call", "error", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_has_no_derivative_is_refused_with_advice(call: Any, error: Any, said: str):
    with pytest.raises(error, match=said):
        call()


def test_jacobians_of_real_to_complex_and_complex_to_real_choose_the_mode_that_has_one():
    assert_close(sad.jacobian(lambda x: np.exp(1j * x))(Z.real), np.diag(1j * np.exp(1j * Z.real)))
    assert_close(sad.jacobian(lambda z: abs(z) ** 2)(Z), np.diag(2 * Z.conj()))


PARTS = (0.0, -0.0, 1.0, -2.0, np.inf, -np.inf, np.nan)
ENDS = np.array([complex(a, b) for a in PARTS for b in PARTS])
OF_ENDS = [np.sin, np.cos, np.tan, np.exp, np.sinh, np.cosh, np.tanh, np.log, np.sqrt]
OF_ENDS += [np.arcsin, np.arccos, np.arctan, np.arcsinh, np.arccosh, np.arctanh]


def test_functions_of_infinite_numbers_and_of_nan_are_numpys() -> None:
    """Beside a part that is infinite or NaN, C leaves signs open: of what grows (exp, sin, ...), and of zeros."""
    found = sad.jit(lambda z: [f(z) for f in OF_ENDS])(ENDS)
    certain = ~np.isnan(ENDS) & (np.isfinite(ENDS.real) | np.isfinite(ENDS.imag))
    for f, values in zip(OF_ENDS, found, strict=True):
        with np.errstate(all="ignore"):
            expected = f(ENDS)
        signed = certain | (f not in (np.exp, np.sin, np.cos, np.sinh, np.cosh))
        for part in (np.real, np.imag):
            one, other = part(values), part(expected)
            np.testing.assert_allclose(np.abs(one), np.abs(other), rtol=1e-13, err_msg=f.__name__)
            np.testing.assert_allclose(one[signed], other[signed], rtol=1e-13, err_msg=f.__name__)
            zeros = certain & ~np.isnan(expected)
            np.testing.assert_array_equal(np.signbit(one[zeros]), np.signbit(other[zeros]), err_msg=f.__name__)


def test_quotients_of_infinite_numbers_and_of_nan_are_numpys() -> None:
    a, b = (x.ravel() for x in np.meshgrid(ENDS, ENDS))
    with np.errstate(all="ignore"):
        expected = a / b
    np.testing.assert_allclose(sad.jit(np.divide)(a, b), expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_powers_by_whole_numbers_are_products(dtype: Any) -> None:
    random = np.random.default_rng(0)
    z = np.concatenate([[1j, -1, 2 - 1j, 0.5j], np.exp(2j * np.pi * random.uniform(size=196))]).astype(dtype)
    n = np.concatenate([[7, -2, 3, 4], random.integers(-99, 100, 196)]).astype(dtype)
    np.testing.assert_allclose(sad.jit(np.power)(z, n), np.power(z, n), rtol=4 * np.finfo(dtype).eps)
    assert np.all(np.isreal(sad.jit(lambda n: 1j**n)(np.arange(-8, 8, 2))))
