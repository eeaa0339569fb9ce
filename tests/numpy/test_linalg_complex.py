"""np.linalg and scipy.linalg of complex matrices, and eigenvalues of matrices that need not be symmetric.

Invariant: what is differentiated depends on no phase of an eigenvector or singular vector, unless a test is about it.
Start at ``FUNCTIONS``; ``HOLOMORPHIC`` says which of them are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import staged_ad as sad
from staged_ad.errors import DegenerateError, LinAlgError
from staged_ad.scipy import linalg
from tests.backends import MODES, in_mode
from tests.numerics import assert_close, assert_same, directional, inner, slopes

L = np.linalg
every_mode = pytest.mark.parametrize("mode", MODES)


def normal(*shape: int) -> Any:
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def general(*shape: int) -> Any:
    return normal(*shape) + 3 * np.eye(*shape[-2:])


def adjoint(a: Any) -> Any:
    return np.conj(np.swapaxes(a, -1, -2))


def hermitian(a: Any) -> Any:
    return a + adjoint(a)


def definite(a: Any) -> Any:
    return a @ adjoint(a) + np.eye(a.shape[-1])


def of_eigh(a: Any, uplo: str = "L") -> Any:
    """A function of a hermitian matrix by its eigenvalues."""
    w, v = L.eigh(hermitian(a), uplo)
    return (v * np.sin(w)[..., None, :]) @ adjoint(v)


def of_svd(a: Any, hermitian: bool = False) -> Any:
    u, s, vh = L.svd(a, full_matrices=False, hermitian=hermitian)
    return (u * np.sin(s)[..., None, :]) @ vh


def of_eig(a: Any) -> Any:
    w, v = L.eig(a)
    return (v * np.sin(w)[..., None, :]) @ L.inv(v)


HOLOMORPHIC: dict[str, tuple[Any, ...]] = {
    "solve": (L.solve, general(2, 3, 3), normal(2, 3, 2)),
    "solve, large": (L.solve, general(9, 9), normal(9)),
    "inv": (L.inv, general(3, 3)),
    "det": (L.det, general(2, 3, 3)),
    "det, large": (L.det, general(4, 4)),
    "matrix_power": (lambda a: L.matrix_power(a, -3), general(3, 3)),
    "tensorsolve": (L.tensorsolve, general(4, 4).reshape(2, 2, 4), normal(2, 2)),
    "eigvals": (L.eigvals, general(2, 4, 4)),
    "function by eig": (of_eig, general(3, 3)),
    "expm": (linalg.expm, general(2, 3, 3)),
    "solve_triangular": (lambda a, b: linalg.solve_triangular(a, b, trans=1, lower=True), general(3, 3), normal(3)),
    "lu": (lambda a: linalg.lu(a)[2], general(3, 4)),
    "lu_solve": (lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b), general(3, 3)[::-1].copy(), normal(3, 2)),
    "solve(sym)": (lambda a, b: linalg.solve(a + a.T, b, assume_a="sym", lower=True), general(3, 3), normal(3)),
}

FUNCTIONS: dict[str, tuple[Any, ...]] = {
    **HOLOMORPHIC,
    "solve, real matrix": (L.solve, general(3, 3).real.copy(), normal(3)),
    "pinv": (L.pinv, normal(2, 4, 3)),
    "pinv(hermitian)": (lambda a: L.pinv(hermitian(a), hermitian=True), normal(3, 3)),
    "slogdet, phase": (lambda a: L.slogdet(a)[0], general(2, 3, 3)),
    "slogdet, modulus": (lambda a: L.slogdet(a)[1], general(2, 3, 3)),
    "cholesky": (lambda a: L.cholesky(definite(a)), normal(2, 3, 3)),
    "cholesky(upper)": (lambda a: L.cholesky(definite(a), upper=True), normal(3, 3)),
    "qr, q": (lambda a: L.qr(a)[0], normal(2, 4, 3)),
    "qr, r": (lambda a: L.qr(a)[1], normal(3, 5)),
    "eigvalsh": (lambda a: L.eigvalsh(hermitian(a)), normal(4, 4)),
    "function by eigh": (of_eigh, normal(2, 3, 3)),
    "function by eigh(U)": (lambda a: of_eigh(a, "U"), normal(3, 3)),
    "svdvals": (L.svdvals, normal(2, 3, 4)),
    "function by svd of tall": (of_svd, normal(4, 3)),
    "function by svd of wide": (of_svd, normal(3, 4)),
    "function by svd(hermitian)": (lambda a: of_svd(hermitian(a), True), normal(3, 3)),
    "moduli of u": (lambda a: abs(L.svd(a, full_matrices=False)[0]) ** 2, normal(3, 3)),
    "moduli of eigenvectors": (lambda a: abs(L.eig(a)[1]) ** 2, general(4, 4)),
    "eigvals of real": (lambda a: L.eigvals(a) + 0j, general(5, 5).real.copy()),
    "moduli of eigenvectors of real": (lambda a: abs(L.eig(a)[1]) ** 2, general(5, 5).real.copy()),
    "lstsq": (lambda a, b: L.lstsq(a, b)[0], normal(5, 3), normal(5)),
    "lstsq, residuals": (lambda a, b: L.lstsq(a, b)[1], normal(5, 3), normal(5, 2)),
    "solve_triangular(C)": (lambda a, b: linalg.solve_triangular(a, b, trans="C"), general(3, 3), normal(3)),
    "lu_solve(C)": (lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b, trans=2), general(3, 3), normal(3)),
    "cho_solve": (lambda a, b: linalg.cho_solve(linalg.cho_factor(definite(a)), b), normal(3, 3), normal(3)),
    "solve(pos)": (lambda a, b: linalg.solve(definite(a), b, assume_a="pos"), normal(3, 3), normal(3, 2)),
    "cond(1)": (lambda a: L.cond(a, 1), general(3, 3)),
    "cond": (L.cond, general(2, 3, 3)),
    "norm(nuc)": (lambda a: L.norm(a, "nuc"), normal(3, 2)),
    "norm(2)": (lambda a: L.norm(a, 2, axis=(0, 2)), normal(3, 2, 4)),
    "norm(inf)": (lambda a: L.norm(a, np.inf), normal(3, 2)),
    "norm(3) of vectors": (lambda a: L.norm(a, 3, axis=1), normal(3, 2)),
}
SECOND_ORDER = [
    "solve", "det", "det, large", "slogdet, phase", "slogdet, modulus", "cholesky", "qr, q", "function by eigh",
    "function by svd of tall", "function by eig", "moduli of eigenvectors", "expm", "pinv",
]  # fmt: skip
"""One for each rule."""

every_function = pytest.mark.parametrize("name", FUNCTIONS)


def random_like(x: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    found = rng.normal(size=np.shape(x))
    return found + 1j * rng.normal(size=np.shape(x)) if np.iscomplexobj(x) else found


@every_function
def test_values_and_derivatives_are_those_of_numpy_and_finite_differences(name: str):
    f, *xs = FUNCTIONS[name]
    expected, x_dots = f(*xs), tuple(random_like(x, 1) for x in xs)
    y_bar = random_like(expected, 2)
    slope = directional(f, xs, x_dots, 5e-4)
    for mode in MODES:
        y, y_dot, x_bars = in_mode(mode, all_of(f))(tuple(xs), x_dots, y_bar)
        assert_same(y, expected, 1e-11)
        assert_close(y_dot, slope, 1e-8)
        assert_close(inner(x_bars, x_dots), inner([y_bar], [slope]), 1e-8)
        assert [x_bar.dtype for x_bar in x_bars] == [x.dtype for x in xs]


def all_of(f: Callable[..., Any]) -> Callable[..., Any]:
    """Its value, the tangent and the cotangents."""

    def derivatives(xs: Any, x_dots: Any, y_bar: Any) -> Any:
        y, y_dot = sad.jvp(f, xs, x_dots)
        return y, y_dot, sad.vjp(f, *xs)[1](y_bar)

    return derivatives


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_second_derivatives_agree_in_all_orders_of_the_modes(name: str):
    f, *xs = FUNCTIONS[name]
    x_dots, weights = tuple(random_like(x, 1) for x in xs), random_like(f(*xs), 2)
    every = tuple(range(len(xs)))

    def scalar(*ys: Any) -> Any:
        return np.sum(np.sin((f(*ys) * weights).real))

    gradient = sad.grad(scalar, every)
    expected = [directional(lambda *ys, k=k: gradient(*ys)[k], xs, x_dots, 5e-4) for k in every]

    def ways(*ys: Any) -> Any:
        return [
            sad.jvp(gradient, ys, x_dots)[1],
            sad.grad(lambda *ys: sad.jvp(scalar, ys, x_dots)[1], every)(*ys),
            sad.grad(lambda *ys: sum(np.sum((g * v).real) for g, v in zip(gradient(*ys), x_dots, strict=True)), every)(
                *ys
            ),
        ]

    for mode in MODES:
        for way in in_mode(mode, ways)(*xs):
            for one, other in zip(way, expected, strict=True):
                assert_close(one, other, 1e-7)


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_derivatives_of_holomorphic_functions_are_linear_over_the_complex_numbers(name: str):
    f, *xs = FUNCTIONS[name]
    x_dots = tuple(random_like(x, 1) for x in xs)
    _, y_dot = sad.jvp(f, tuple(xs), x_dots)
    _, turned = sad.jvp(f, tuple(xs), tuple(1j * v for v in x_dots))
    assert_close(turned, 1j * y_dot, 1e-11)


def test_compiled_values_of_single_precision_and_of_strided_arrays():
    a, b = general(3, 3), normal(3, 2)
    calls: list[Callable[..., Any]] = [
        L.solve,
        lambda a, b: L.cholesky(definite(a)),
        lambda a, b: abs(L.qr(a)[0]),
        lambda a, b: of_eigh(a),
        lambda a, b: of_svd(a),
        lambda a, b: L.eig(a)[0],
        lambda a, b: linalg.lu(a)[2],
        lambda a, b: L.slogdet(a)[0],
    ]
    compiled = sad.jit(lambda a, b: [f(a, b) for f in calls])
    single = [x.astype(np.complex64) for x in (a, b)]
    strided = [np.repeat(x, 2, axis=1)[:, ::2] for x in (a, b)]
    for xs, tolerance in ((single, 1e-4), (strided, 1e-11)):
        for one, f in zip(compiled(*xs), calls, strict=True):
            assert_same(one, f(*xs), tolerance)


@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0), (0, 3, 3), (1, 1)])
def test_empty_and_one_element_matrices(shape: tuple[int, ...]):
    a = np.broadcast_to((2 + 0j) * np.eye(shape[-1]), shape).copy()
    calls = (L.inv, L.det, L.slogdet, L.cholesky, L.eigh, L.svd, L.qr, L.eig, L.eigvals)
    found = sad.jit(lambda x: [f(x) for f in calls])(a)
    gradients = sad.jit(lambda x: [sad.grad(lambda x, f=f: np.sum(first(f(x))).real)(x) for f in calls])(a)
    for one, other, gradient in zip(found, [f(a) for f in calls], gradients, strict=True):
        for value, expected in zip(*(y if isinstance(y, tuple) else (y,) for y in (one, other)), strict=True):
            assert_same(value, expected)
        assert gradient.shape == shape


def first(y: Any) -> Any:
    return y[0] if isinstance(y, tuple) else y


def test_a_stack_is_a_batch():
    a = general(3, 2, 2)
    for f in (L.inv, of_eigh, of_eig, L.det, lambda a: L.slogdet(a)[0]):
        assert_close(sad.jit(sad.vmap(f))(a), np.stack([f(x) for x in a]))
        slope = sad.grad(lambda a, f=f: np.sum(f(a)).real)
        assert_close(sad.vmap(slope)(a), slope(a))


# -- known derivatives --------------------------------------------------------------------------------------------


@every_mode
def test_the_gradients_of_determinants_are_inverses(mode: str):
    a = general(4, 4)
    assert_close(in_mode(mode, sad.grad(lambda a: L.slogdet(a)[1]))(a), L.inv(a).T)
    assert_close(in_mode(mode, sad.grad(L.det, holomorphic=True))(a), L.det(a) * L.inv(a).T, 1e-11)
    assert_close(in_mode(mode, sad.grad(lambda a: np.angle(L.slogdet(a)[0])))(a), -1j * L.inv(a).T)


@every_mode
def test_the_gradient_of_an_eigenvalue_is_made_of_its_left_and_right_vectors(mode: str):
    a = general(4, 4)
    _, left, right = scipy.linalg.eig(a, left=True)
    for k in range(4):
        pick = lambda a, k=k: L.eigvals(a)[k]
        y, x = left[:, k].conj(), right[:, k]
        assert_close(in_mode(mode, sad.grad(pick, holomorphic=True))(a), np.outer(y, x) / (y @ x))


@every_mode
def test_eigenvectors_keep_their_length_and_do_not_turn(mode: str):
    a, v = general(4, 4), normal(4, 4)
    for f in (lambda a: L.eig(a)[1], lambda a: L.eigh(hermitian(a))[1]):
        x, x_dot = in_mode(mode, lambda a, v, f=f: sad.jvp(f, (a,), (v,)))(a, v)
        assert_close(np.sum(x.conj() * x_dot, axis=0), np.zeros(4))


@every_mode
def test_eigenvalues_of_real_matrices_are_complex_in_traced_code(mode: str):
    a = np.array([[2.0, 1.0], [0.5, 1.0]])
    slope = in_mode(mode, sad.grad(lambda a: np.max(L.eigvals(a).real)))(a)
    assert slope.dtype == float
    w, v = in_mode(mode, lambda a: sad.vmap(L.eig)(a[None]))(a)
    assert (w.dtype, v.dtype) == (complex, complex)
    assert_close(slope, slopes(lambda a: np.max(L.eigvals(a).real), a).real, 1e-9)
    assert type(sad.jit(L.eig)(a)) is type(L.eig(a))


# -- values that coincide -----------------------------------------------------------------------------------------

U = L.qr(normal(3, 3))[0]
DIAGONAL = np.diag([1.0, 1.0, 3.0])
SKEWED = general(3, 3) @ DIAGONAL @ L.inv(general(3, 3))
MATRICES = {"identity": np.eye(3) + 0j, "turned": U @ DIAGONAL @ adjoint(U)}
WEIGHTS = normal(3, 3)


def exponential(a: Any) -> Any:
    w, v = L.eigh(a)
    return (v * np.exp(w)) @ adjoint(v)


def exponential_by_eig(a: Any) -> Any:
    w, v = L.eig(a)
    return (v * np.exp(w)) @ L.inv(v)


def polar(a: Any) -> Any:
    u, _, vh = L.svd(a)
    return np.sum(WEIGHTS * (u @ vh)).real


@pytest.mark.parametrize("a", MATRICES.values(), ids=MATRICES)
@every_mode
def test_functions_of_equal_eigenvalues_of_hermitian_matrices(a: Any, mode: str):
    for f, expected in (
        (lambda a: np.sum(L.eigh(a)[0] ** 2), 2 * a.conj()),
        (lambda a: np.trace(exponential(a)).real, exponential(a).conj()),
        (lambda a: np.sum(L.svdvals(a) ** 2), 2 * a.conj()),
        (polar, slopes(polar, a)),
    ):
        assert_close(in_mode(mode, sad.grad(f))(a), expected, 1e-10)


@pytest.mark.parametrize("a", [*MATRICES.values(), SKEWED], ids=[*MATRICES, "skewed"])
@every_mode
def test_functions_of_equal_eigenvalues_of_general_matrices(a: Any, mode: str):
    for f, expected in (
        (lambda a: np.sum(L.eigvals(a) ** 2), 2 * a.T),
        (lambda a: np.sum(L.eig(a)[0] ** 2), 2 * a.T),
        (lambda a: np.trace(exponential_by_eig(a)), linalg.expm(a).T),
    ):
        assert_close(in_mode(mode, sad.grad(f, holomorphic=True))(a), expected, 1e-10)


@pytest.mark.parametrize("a", MATRICES.values(), ids=MATRICES)
@every_mode
def test_what_depends_on_the_gap_is_an_error_and_no_number(a: Any, mode: str):
    """The second one only by a skew part, which no real basis shows."""
    for f in (
        lambda a: np.sum(exponential(a) * WEIGHTS).real,
        lambda a: exponential(a)[0, 1].imag,
        lambda a: np.sum(exponential_by_eig(a) * WEIGHTS).real,
        lambda a: np.sum(abs(L.eig(a)[1]) ** 2 * WEIGHTS.real),
        lambda a: np.sum(of_svd(a) * WEIGHTS).real,
    ):
        with pytest.raises(DegenerateError, match=r"gap .*\(at .*test_linalg_complex.py"):
            in_mode(mode, sad.grad(f))(a)


@every_mode
def test_one_vanishing_singular_value_hides_the_derivative_of_a_complex_matrix(mode: str):
    """Its derivative is a complex number, of which that of the singular value is the real part."""
    a = normal(3, 2) @ normal(2, 3)
    with pytest.raises(DegenerateError):
        in_mode(mode, sad.grad(lambda a: np.sum(WEIGHTS * of_svd(a)).real))(a)
    assert_close(in_mode(mode, sad.grad(lambda a: np.sum(L.svdvals(a) ** 2)))(a), 2 * a.conj(), 1e-10)


@every_mode
def test_matrices_without_a_basis_of_eigenvectors_are_an_error(mode: str):
    jordan = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    turn = general(3, 3).real
    for a in (jordan, turn @ jordan @ L.inv(turn)):
        with pytest.raises(DegenerateError, match=r"linearly dependent.*\(at .*test_linalg_complex.py"):
            in_mode(mode, sad.grad(lambda a: np.sum(L.eigvals(a) ** 2).real))(a)


@every_mode
def test_errors_are_numpys(mode: str):
    with pytest.raises(LinAlgError, match=r"infs or NaNs \(at .*test_linalg_complex.py"):
        in_mode(mode, sad.grad(lambda a: np.sum(L.eigvals(a)).real))(np.full((2, 2), np.nan))
    with pytest.raises(LinAlgError, match="Singular matrix"):
        in_mode(mode, sad.grad(lambda a: np.sum(L.inv(a)).real))(np.ones((2, 2), complex))
    with pytest.raises(LinAlgError, match="not positive definite"):
        in_mode(mode, sad.grad(lambda a: np.sum(L.cholesky(a)).real))(-np.eye(2) + 0j)
    with pytest.raises(LinAlgError, match="square"):
        in_mode(mode, sad.grad(lambda a: np.sum(L.eig(a)[0]).real))(np.ones((2, 3)))


def test_singular_matrices_have_derivatives_of_their_determinant():
    a = normal(4, 2) @ normal(2, 4)
    minors = [[(-1) ** (i + j) * L.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(4)] for i in range(4)]
    assert_close(sad.grad(L.det, holomorphic=True)(a), np.array(minors), 1e-11)
