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
from staged_ad.errors import DTypeError, LoweringError, NotDifferentiableError
from staged_ad.ir import PRIMITIVES, ArrayType, Primitive
from staged_ad.ir.lowerings import Fold, Kernel
from staged_ad.ir.primitive import not_linear
from staged_ad.primitives.makers import Operation
from tests.backends import MODES, in_mode
from tests.checks import assert_derivatives, assert_value
from tests.numerics import assert_close, assert_same, directional

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


def slopes(f: Callable[..., Any], z: Any) -> Any:
    """``df/dx - i df/dy`` by finite differences."""
    units = np.eye(z.size).reshape(-1, *z.shape)
    parts = [directional(f, [z], [unit]) - 1j * directional(f, [z], [1j * unit]) for unit in units]
    return np.array(parts).reshape(z.shape)


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


# -- dtypes -------------------------------------------------------------------------------------------------------


@by_mode
@given(
    x=st.sampled_from(["bool", "int8", "int64", "float32", "float64", "complex64", "complex128"]),
    y=st.sampled_from([1j, 2.0, 3, np.complex64(1j), np.complex128(1j), np.float32(2), np.arange(1, 4)]),
    f=st.sampled_from([operator.add, operator.mul, operator.truediv]),
)
@settings(max_examples=10)
def test_results_have_numpys_dtypes(mode: str, x: str, y: Any, f: Any):
    array = np.array([1, 0, 1]).astype(x) + np.array(1).astype(x)
    assert_same(in_mode(mode, lambda x: f(x, y))(array), f(array, y))
    assert_same(in_mode(mode, lambda x: f(y, x + 1j))(array), f(y, array + 1j))


FUNCTIONS: list[Callable[[Any], Any]] = [
    *(np.real, np.imag, np.conj, np.abs, np.angle, np.sign, np.square, np.reciprocal, np.exp, np.sqrt, np.rint),
    *(np.isnan, np.isfinite, np.iscomplex, np.isreal, np.logical_not, np.var, np.std, np.mean, np.sum, np.prod),
    *(np.any, np.round, np.positive, np.negative, abs, lambda z: z.real, lambda z: z.imag, lambda z: z.conj().T),
    *(lambda z: np.angle(z, deg=True), lambda z: z * 1j + 2, lambda z: 1j * z, lambda z: z**2, lambda z: z**0.5),
    *(lambda z: 2**z, lambda z: z == z.conj(), lambda z: np.vdot(z, z), lambda z: np.where(z.real > 1, z, 0)),
    *(lambda z: np.diff(z.ravel()), lambda z: np.pad(z.ravel(), 1), lambda z: z.astype(np.complex64)),
]


@pytest.mark.parametrize("f", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_functions_give_numpys_values_dtypes_and_shapes(f: Callable[[Any], Any]):
    for z in (Z, A[:, 1:2].T[::-1], A[0, 0]):
        for dtype in (np.complex128, np.complex64):
            assert_value(f, z.astype(dtype))
    assert_same(sad.jit(f)(A), np.asarray(f(A)))


# -- the border of compiled code ----------------------------------------------------------------------------------


def outputs(z: Any) -> Any:
    return z, z * 2j + 1, np.abs(z), z.real > 0, np.sum(z), np.array([1j, 2.0])


@pytest.mark.parametrize(
    "z",
    [
        *(1 + 2j, np.complex64(1 + 2j), np.complex128(1 + 2j), np.array(1 - 2j), np.zeros(0, complex)),
        *(Z, Z.astype("c8"), A, A.T, A[::2, ::-1], np.zeros((2, 0, 3), "c8"), A.astype(">c16"), Z.real, np.arange(3)),
    ],
    ids=lambda z: f"{np.asarray(z).dtype}{np.shape(z)}",
)
def test_arguments_of_every_kind_go_in_and_come_out_as_numpys(z: Any):
    compiled = sad.jit(outputs)
    for _ in range(2):  # by the slow path, then by the fast one
        for found, expected in zip(compiled(z), outputs(np.asarray(z)[()]), strict=True):
            expected = np.asarray(expected)
            native = expected.astype(expected.dtype.newbyteorder("="))
            assert_same(found, native)
            assert isinstance(found, np.ndarray if native.shape else np.generic)


def test_results_of_compiled_code_share_no_memory_with_its_arguments():
    z = Z.copy()
    found = sad.jit(lambda z: z)(z)
    found[0] = 0
    assert z[0] == Z[0]


def test_a_signature_of_complex_numbers_is_not_that_of_real_ones():
    f = sad.jit(lambda x: x * 2)
    for x in (1.0, 1j, np.float64(1), np.complex64(1j), np.ones(2), np.ones(2, complex), np.ones(2, "c8")):
        assert_same(f(x), np.asarray(x * 2))


# -- control flow -------------------------------------------------------------------------------------------------


def scanned(z: Any) -> Any:
    carry, ys = sad.scan(lambda c, x: (np.sin(c * x) + 1j, (c, abs(x))), 1 + 0j, z)
    return abs(carry) ** 2 + np.sum(ys[0] * ys[1]).real


def checkpointed(z: Any) -> Any:
    step = lambda c, x: ((np.sin(c[0] * x) + 1j, c[1] * 0.9), None)
    return abs(sad.scan(step, (1 + 0j, 1.0), np.concatenate([z] * 4), checkpoint=3)[0][0])


def counted(z: Any) -> Any:
    return abs(sad.fori_loop(0, 7, lambda k, c: np.tanh(c * z) + 0.1j * k, z * 1j, checkpoint=3)).sum()


def while_small(z: Any) -> Any:
    return np.sum(sad.while_loop(lambda c: np.sum(abs(c)) < 30, lambda c: c * z + z * (1 + 1j), z)).imag


def while_checkpointed(z: Any) -> Any:
    step = lambda c: (c[0] * z * 1.5 + 1j + c[1], c[1] * 1.01)
    return np.sum(sad.while_loop(lambda c: np.sum(abs(c[0])) < 50, step, (z, 1.0 + 0j), checkpoint=3)[0]).imag


def nested(z: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        grown = sad.while_loop(lambda s: abs(s[0]) < 3, lambda s: (s[0] * (1.2 + 0.3j * x.real) + x, s[1] + 1), (c, 0))
        return grown[0] * 0.4 / (1 + abs(c)), (grown[0], x * 2)

    carry, ys = sad.scan(step, 0.3 + 0.1j, z)
    return np.sum(abs(ys[0]) ** 2) + abs(carry)


def branched(z: Any) -> Any:
    return np.sum(sad.cond(z[0].real > 0, lambda z: z * z, np.conj, z)).imag


def recomputed(z: Any) -> Any:
    return np.sum(sad.checkpoint(lambda z: np.exp(z) * z.conj())(z)).real


def mapped(z: Any) -> Any:
    return np.sum(sad.vmap(lambda a, z: np.vdot(a, z), in_axes=(0, None))(A, z)).real


def mapped_loops(z: Any) -> Any:
    loop = lambda z: sad.while_loop(lambda c: abs(c) < 5, lambda c: c * z + 1j, z * 1j)
    return np.sum(abs(sad.vmap(loop)(2 + z)))


LOOPS = [
    *(scanned, checkpointed, counted, while_small, while_checkpointed, nested),
    *(branched, recomputed, mapped, mapped_loops),
]


@by_mode
@pytest.mark.parametrize("f", LOOPS, ids=lambda f: f.__name__)
def test_control_flow_carries_complex_numbers(f: Callable[[Any], Any], mode: str):
    value, gradient = in_mode(mode, sad.value_and_grad(f))(Z)
    assert_close(value, f(Z))
    assert_close(gradient, slopes(f, Z), 1e-8)
    along = in_mode(mode, lambda z, v: sad.hvp(f, (z,), (v,)))(Z, W)
    assert_close(along, directional(sad.grad(f), [Z], [W], 1e-3), 1e-6)


@by_mode
def test_python_branches_on_complex_values(mode: str):
    f = in_mode(mode, sad.grad(lambda z: abs(z) if z else z.real))
    assert f(0j) == 1
    assert_close(f(3 + 4j), 0.6 - 0.8j)
    with pytest.raises(TypeError, match=r"int\(z.real\)"):
        sad.jit(lambda z: int(z))(1j)


def test_lists_of_traced_complex_numbers_become_arrays():
    f = lambda z: sad.numpy.array([[z[0], 1j], [2.0, z[1].real]])
    assert_same(sad.jit(f)(Z), np.array([[Z[0], 1j], [2.0, Z[1].real]]))
    assert_same(sad.jit(lambda z: sad.numpy.full((2,), z[0]))(Z), np.full(2, Z[0]))


def test_python_numbers_in_a_carry_become_complex():
    carry, _ = sad.scan(lambda c, x: (c * x + 1j, None), 1.0, Z)
    assert_close(carry, ((Z[0] + 1j) * Z[1] + 1j) * Z[2] + 1j)
    assert sad.scan(lambda c, x: (c * x, None), 1j, Z.astype("c8"))[0].dtype == np.complex64


@by_mode
@pytest.mark.parametrize("f", [np.sinc, np.cov, np.corrcoef, np.kron, np.vecdot, np.convolve], ids=lambda f: f.__name__)
def test_further_functions_of_complex_arrays(f: Any, mode: str):
    once = np.sinc if f is np.sinc else lambda z: f(z, W)
    assert_same(in_mode(mode, once)(Z), np.asarray(once(Z)))
    assert_derivatives(in_mode(mode, once), Z)


# -- indexing, sums, systems --------------------------------------------------------------------------------------


def assigned(z: Any) -> Any:
    y = np.zeros(4, complex)
    y[1:] = 1j * z
    y[0] += z[1]
    y[np.array([2, 0])] *= z[:2]
    return np.sum(abs(y) ** 3)


def accumulated(z: Any) -> Any:
    order = np.argsort(z.real)
    return np.sum(abs(np.cumprod(z) + np.cumsum(z)[order])) + np.sum(np.take(z, np.array([2, 2, 0])).imag)


@by_mode
@pytest.mark.parametrize("f", [assigned, accumulated], ids=lambda f: f.__name__)
def test_elements_are_assigned_accumulated_and_reordered(f: Callable[[Any], Any], mode: str):
    value, gradient = in_mode(mode, sad.value_and_grad(f))(Z)
    assert_close(value, f(Z))
    assert_close(gradient, slopes(f, Z), 1e-8)


SYSTEMS: dict[str, Callable[[Any], Any]] = {
    "solve": lambda a: np.sum(abs(np.linalg.solve(a, Z)) ** 2),
    "inv": lambda a: np.sum(np.linalg.inv(a) * A).imag,
    "det": lambda a: abs(np.linalg.det(a)),
    "cholesky": lambda a: np.sum(np.linalg.cholesky(a @ a.conj().T + np.eye(3)) * A).real,
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_factorisations_of_complex_matrices_are_differentiated_and_not_yet_compiled(name: str):
    assert_close(sad.grad(SYSTEMS[name])(A), slopes(SYSTEMS[name], A), 1e-7)
    with pytest.raises(LoweringError, match="of complex numbers has no machine code"):
        sad.jit(SYSTEMS[name])(A)


# -- operations without a rule, and kernels -----------------------------------------------------------------------


@pytest.fixture
def declared(monkeypatch: Any) -> Any:
    """Declares a primitive for one test: twice the operand."""

    def declare(lower: Any) -> Operation:
        monkeypatch.setattr("staged_ad.ir.primitive.PRIMITIVES", {})
        rules = (lambda z: z, lambda z: z * 2, not_linear("twice"), not_linear("twice"), not_linear("twice"))
        return Operation(Primitive("twice", *rules, lower))

    return declare


@pytest.mark.parametrize("lower", [Fold(lambda code, a, b: a, lambda dtype: 0), Kernel(lambda kernel: None)])
def test_an_operation_without_a_rule_for_complex_numbers_is_named(declared: Any, lower: Any):
    twice = declared(lower)
    assert "twice" not in PRIMITIVES
    with pytest.raises(LoweringError, match=r"twice of complex numbers has no machine code.*test_complex.py"):
        sad.jit(lambda z: twice(z))(Z)


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_a_kernel_gets_complex_numbers_as_numpy_has_them(declared: Any, dtype: str):
    """The code of the kernel sees buffers of complex numbers; each item is one of them."""
    seen: list[ArrayType] = []

    def emit(kernel: Any) -> None:
        (source,), (target,) = kernel.inputs, kernel.outputs
        seen.extend([source.type, target.type])
        part = "double" if dtype == "complex128" else "float"
        pointers = [kernel.element(buffer, kernel.item) for buffer in (source, target)]
        for k in (0, 1):
            first, second = (kernel.value(f"getelementptr {part}, ptr {p}, i64 {k}") for p in pointers)
            number = kernel.value(f"load {part}, ptr {first}")
            kernel.line(f"store {part} {kernel.value(f'fadd {part} {number}, {number}')}, ptr {second}")

    twice = declared(Kernel(emit, items=lambda z: z.size, interleaved=True))
    z = A.astype(dtype)
    assert_same(sad.jit(lambda z: 1j * twice(z * 3))(z), 6j * z)
    assert set(seen) == {ArrayType((3, 3), np.dtype(dtype))}
