"""np.linalg on traced values against NumPy, finite differences and known numbers.

Invariant: matrices are well conditioned unless a test says what they are.
Start at ``FUNCTIONS``; what happens where values coincide is in test_linalg_degenerate.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import LinAlgError, UnsupportedError
from tests.backends import MODES, in_mode
from tests.checks import assert_derivatives, assert_value, flat
from tests.numerics import assert_close, assert_same, directional, inner

L = np.linalg
every_mode = pytest.mark.parametrize("mode", MODES)


def general(*shape: int) -> Any:
    x = np.random.default_rng(sum(shape)).normal(size=shape)
    return x + 2 * np.eye(*shape[-2:]) if len(shape) > 1 else x


def symmetrised(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` of the symmetric part of its argument: what it is of matrices that need not be symmetric."""
    return lambda a: f((a + np.swapaxes(a, -1, -2)) / 2)


def definite(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a: f(a @ np.swapaxes(a, -1, -2) + np.eye(a.shape[-1]))


FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "solve(matrix, vector)": (L.solve, general(3, 3), general(3)),
    "solve(matrix, columns)": (L.solve, general(3, 3), general(3, 2)),
    "solve(stack, stack)": (L.solve, general(2, 3, 3), general(2, 3, 2)),
    "solve(matrix, stack)": (L.solve, general(3, 3), general(4, 3, 2)),
    "solve(stack, stack) broadcast": (L.solve, general(2, 1, 3, 3), general(4, 3, 2)),
    "solve(large)": (L.solve, general(9, 9), general(9)),
    "inv": (L.inv, general(2, 3, 3)),
    "pinv of tall": (L.pinv, general(2, 4, 3)),
    "pinv of wide": (L.pinv, general(3, 5)),
    "pinv(hermitian)": (symmetrised(lambda a: L.pinv(a, hermitian=True)), general(3, 3)),
    "det of 2 x 2": (L.det, general(2, 2, 2)),
    "det of 3 x 3": (L.det, general(2, 3, 3)),
    "det of 4 x 4": (L.det, general(2, 4, 4)),
    "slogdet": (lambda a: tuple(L.slogdet(a))[::-1], general(2, 4, 4)),
    "cholesky": (definite(L.cholesky), general(2, 3, 3)),
    "cholesky(upper)": (definite(lambda a: L.cholesky(a, upper=True)), general(3, 3)),
    "qr of tall": (lambda a: tuple(L.qr(a)), general(2, 4, 3)),
    "qr of wide, r": (lambda a: L.qr(a)[1], general(2, 3, 5)),
    "qr(r)": (lambda a: L.qr(a, mode="r"), general(3, 3)),
    "svd, u": (lambda a: L.svd(a, full_matrices=False)[0], general(2, 4, 3)),
    "svd, vh": (lambda a: L.svd(a, full_matrices=False)[2], general(3, 4)),
    "svd of square": (lambda a: L.svd(a)[2], general(3, 3)),
    "svd(hermitian)": (symmetrised(lambda a: L.svd(a, hermitian=True)[2]), general(2, 4, 4)),
    "svd(hermitian), values": (symmetrised(lambda a: L.svd(a, True, False, True)), general(2, 4, 4)),
    "svdvals": (L.svdvals, general(2, 3, 4)),
    "eigh": (symmetrised(lambda a: L.eigh(a)[1]), general(2, 4, 4)),
    "eigh(U)": (symmetrised(lambda a: L.eigh(a, "U")[1]), general(4, 4)),
    "eigvalsh": (symmetrised(L.eigvalsh), general(2, 4, 4)),
    "lstsq of tall": (lambda a, b: tuple(L.lstsq(a, b)), general(5, 3), general(5)),
    "lstsq, residuals": (lambda a, b: L.lstsq(a, b)[1], general(5, 3), general(5, 2)),
    "lstsq of wide": (lambda a, b: tuple(L.lstsq(a, b)), general(3, 5), general(3, 2)),
    "matrix_power": (lambda a: L.matrix_power(a, 5), general(2, 3, 3)),
    "matrix_power, inverse": (lambda a: L.matrix_power(a, -2), general(3, 3) + 3 * np.eye(3)),
    "multi_dot": (lambda a, b, c: L.multi_dot([a, b, c]), general(3, 4), general(4, 2), general(2)),
    "tensorinv": (lambda a: L.tensorinv(a, 1), general(6, 6).reshape(6, 2, 3)),
    "tensorsolve": (L.tensorsolve, general(6, 6).reshape(2, 3, 6), general(2, 3)),
    "matrix_norm": (lambda a: L.matrix_norm(a, ord="nuc", keepdims=True), general(2, 3, 3)),
    "vector_norm": (lambda a: L.vector_norm(a, ord=3, axis=(0, 1)), general(2, 3)),
    "matmul": (L.matmul, general(2, 3), general(3, 2)),
    "outer": (L.outer, general(2), general(3)),
    "tensordot": (lambda a, b: L.tensordot(a, b, axes=1), general(2, 3), general(3, 2)),
    "matrix_transpose": (L.matrix_transpose, general(2, 3)),
}
for _ord in (None, "fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf):
    FUNCTIONS[f"norm({_ord}) of matrices"] = (lambda a, p=_ord: L.norm(a, p, axis=(0, 2)), general(3, 2, 4))
for _ord in (None, 2, -2, 1, -1, "fro", "nuc", np.inf, -np.inf):
    FUNCTIONS[f"cond({_ord})"] = (lambda a, p=_ord: L.cond(a, p), general(2, 3, 3))
for _ord in (None, 0, 1, 3, -1, 0.5, np.inf, -np.inf):
    FUNCTIONS[f"norm({_ord}) of vectors"] = (lambda a, p=_ord: L.norm(a, p, axis=1, keepdims=True), general(3, 4))

SECOND_ORDER = [
    "solve(matrix, vector)", "det of 3 x 3", "det of 4 x 4", "slogdet", "cholesky", "qr of tall", "qr of wide, r",
    "svd, u", "svd, vh", "eigh", "pinv of tall", "lstsq of tall", "norm(nuc) of matrices", "cond(None)",
]  # fmt: skip
"""One for each rule."""

every_function = pytest.mark.parametrize("name", FUNCTIONS)


@every_function
def test_values_are_numpys(name: str):
    f, *xs = FUNCTIONS[name]
    assert_value(f, *xs, tolerance=1e-11)


@every_function
def test_compiled_values_are_numpys_in_both_precisions_and_for_strided_arrays(name: str):
    f, *xs = FUNCTIONS[name]
    compiled = sad.jit(f)
    for ys, tolerance in (([np.asfortranarray(x) for x in xs], 1e-10), ([x.astype(np.float32) for x in xs], 2e-3)):
        found, expected = compiled(*ys), f(*ys)
        pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
        for one, other in pairs:
            assert_same(one, other, tolerance)


@every_function
def test_derivatives_are_the_limits_of_finite_differences(name: str):
    f, *xs = FUNCTIONS[name]
    assert_derivatives(f, *xs, tolerance=1e-8, step=5e-4)


@pytest.mark.parametrize("name", SECOND_ORDER)
@every_mode
def test_second_derivatives_agree_in_all_orders_of_the_modes(name: str, mode: str):
    f, *xs = FUNCTIONS[name]
    f = flat(f)
    every = tuple(range(len(xs)))
    x_dots = tuple(np.random.default_rng(1).normal(size=x.shape) for x in xs)

    def scalar(*ys: Any) -> Any:
        return np.sum(np.sin(f(*ys)))

    gradient = sad.grad(scalar, every)
    expected = [directional(lambda *ys, k=k: gradient(*ys)[k], xs, x_dots, 5e-4) for k in every]
    ways = [
        lambda *ys: sad.jvp(gradient, ys, x_dots)[1],
        sad.grad(lambda *ys: sad.jvp(scalar, ys, x_dots)[1], every),
        sad.grad(lambda *ys: sum(np.sum(g * v) for g, v in zip(gradient(*ys), x_dots, strict=True)), every),
    ]
    for way in ways:
        for one, other in zip(in_mode(mode, way)(*xs), expected, strict=True):
            assert_close(one, other, 1e-7)


@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0), (0, 3, 3), (1, 1)])
@every_mode
def test_empty_and_one_element_matrices(shape: tuple[int, ...], mode: str):
    a = np.broadcast_to(2 * np.eye(shape[-1]), shape).copy()
    for f in (L.inv, L.det, L.slogdet, L.cholesky, L.eigh, L.eigvalsh, L.svd, L.svdvals, L.qr):
        found, expected = in_mode(mode, lambda x, f=f: f(x))(a), f(a)
        parts = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
        for one, other in parts:
            assert_same(one, other)
        gradient = sad.grad(lambda x, f=f: np.sum(flat(f)(x)))(a)
        assert gradient.shape == shape


def test_results_are_numpys_named_tuples():
    a = general(3, 3)
    for f in (L.eigh, L.svd, L.qr, L.slogdet):
        assert type(sad.jit(f)(a)) is type(f(a))


def test_vmap_over_right_hand_sides_keeps_one_factorisation():
    a, b = general(3, 3), general(5, 3)
    mapped = sad.vmap(L.solve, (None, 0))
    assert_close(mapped(a, b), np.stack([L.solve(a, row) for row in b]))
    assert str(sad.trace(mapped)(a, b)).count("= lu ") == 1
    assert "f64[3,5]" in str(sad.trace(mapped)(a, b))  # columns of one system


def test_reverse_mode_of_solve_uses_the_factorisation_of_the_value():
    text = str(sad.trace(sad.grad(lambda a, b: np.sum(L.solve(a, b) ** 2), (0, 1)))(general(3, 3), general(3)))
    assert text.count("= lu ") == 1


def test_matrix_rank_and_lstsq_rank_are_integers_that_depend_on_the_data():
    full, deficient = np.eye(3), np.diag([1.0, 1.0, 0.0])
    rank = sad.jit(L.matrix_rank)
    assert (rank(full), rank(deficient)) == (3, 2)
    assert rank(full).dtype == L.matrix_rank(full).dtype
    solve = sad.jit(lambda a, b: tuple(L.lstsq(a, b)))
    for a in (general(4, 2), np.ones((4, 2))):
        for one, other in zip(solve(a, general(4)), L.lstsq(a, general(4)), strict=True):
            assert_same(one, np.asarray(other))


def test_least_squares_decompose_the_matrix_once():
    x, a = np.linspace(0.0, 1.0, 9), general(9, 3)
    for f in (lambda b: L.lstsq(a * b[0], b)[0], lambda b: np.polyfit(x * b[0], b, 3)):
        for g in (f, sad.grad(lambda b, f=f: np.sum(f(b) ** 2))):
            assert sad.jit(g).lower(general(9)).text("program").count("svd[") == 1


def test_lstsq_maps_over_a_batch_of_matrices_of_full_rank():
    a, b = general(3, 5, 2), general(3, 5)
    for k, value in enumerate(sad.vmap(lambda a, b: L.lstsq(a, b)[0])(a, b)):
        assert_close(value, L.lstsq(a[k], b[k])[0])


# -- known numbers ------------------------------------------------------------------------------------------------


@every_mode
def test_the_reference_numbers(mode: str):
    a = np.array([[4.0, 1.0], [2.0, 3.0]])
    for f, expected in (
        (L.det, [[3, -2], [-1, 4]]),
        (lambda a: L.slogdet(a)[1], [[0.3, -0.2], [-0.1, 0.4]]),
        (lambda a: np.sum(L.inv(a)), [[-0.02, -0.02], [-0.06, -0.06]]),
    ):
        assert_close(in_mode(mode, sad.grad(f))(a), expected)


@every_mode
def test_the_reference_numbers_of_cholesky(mode: str):
    """The number for the off-diagonal elements is the derivative by both, which are one number."""
    a, together = np.array([[4.0, 2.0], [2.0, 3.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    gradient = in_mode(mode, sad.grad(lambda a: np.sum(L.cholesky(a))))(a)
    assert_close(np.diag(gradient), [0.213388347648318, 0.353553390593274])
    assert_close(gradient, gradient.T)
    assert_close(np.sum(gradient * together), 0.146446609406726)


# -- singular matrices --------------------------------------------------------------------------------------------


def of_rank(rank: int, n: int = 4) -> Any:
    return general(n, n)[:, :rank] @ general(n + 1, n)[:rank]


def cofactors(a: Any) -> Any:
    n = len(a)
    minors = [[(-1) ** (i + j) * L.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(n)] for i in range(n)]
    return np.array(minors)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@every_mode
def test_the_gradient_of_det_is_the_matrix_of_cofactors_for_every_rank(n: int, mode: str):
    gradient = in_mode(mode, sad.grad(L.det))
    for rank in range(n + 1):
        assert_close(gradient(of_rank(rank, n)), cofactors(of_rank(rank, n)), 1e-10)


@pytest.mark.parametrize("n", [2, 3, 4])
@every_mode
def test_second_derivatives_of_det_are_right_for_every_rank(n: int, mode: str):
    """det is a polynomial: differences of its cofactors of order 8 are exact."""
    direction = general(n, n)
    product = in_mode(mode, lambda a: sad.hvp(L.det, (a,), (direction,)))
    for a in (*(of_rank(rank, n) for rank in range(n + 1)), np.eye(n)):
        assert_close(product(a), directional(cofactors, [a], [direction], 0.1), 1e-10)


def test_third_derivatives_of_det():
    direction = general(4, 4)

    def second(a: Any) -> Any:
        return sad.hvp(L.det, (a,), (direction,))

    found = sad.jvp(second, (general(4, 4),), (direction,))[1]
    assert_close(found, directional(second, [general(4, 4)], [direction], 0.1), 1e-9)


@every_mode
def test_singular_systems_are_an_error_that_names_the_line(mode: str):
    for f in (L.inv, lambda a: L.solve(a, np.ones(2)), lambda a: L.matrix_power(a, -1)):
        with pytest.raises(np.linalg.LinAlgError, match=r"Singular matrix \(at .*test_linalg.py:\d+"):
            in_mode(mode, sad.grad(lambda a, f=f: np.sum(f(a))))(np.ones((2, 2)))


@pytest.mark.parametrize("n", [2, 12])
@every_mode
def test_cholesky_of_what_is_not_positive_definite_is_an_error(n: int, mode: str):
    with pytest.raises(np.linalg.LinAlgError, match=r"not positive definite .*eigvalsh.* \(at .*test_linalg.py"):
        in_mode(mode, sad.grad(lambda a: np.sum(L.cholesky(a))))(np.eye(n) - 2 * np.diag(np.arange(n) == n - 1))


@every_mode
def test_slogdet_and_cond_of_singular_matrices_are_numpys(mode: str):
    a = np.ones((2, 2))
    assert in_mode(mode, lambda a: tuple(L.slogdet(a)))(a) == tuple(L.slogdet(a))
    assert in_mode(mode, lambda a: L.cond(a, 1))(a) == L.cond(a, 1) == np.inf


def test_bad_arguments_are_errors_of_numpys_kind():
    with pytest.raises(np.linalg.LinAlgError, match="square"):
        sad.jit(L.inv)(np.ones((2, 3)))
    with pytest.raises(LinAlgError, match="two-dimensional"):
        sad.jit(L.det)(np.ones(3))
    with pytest.raises(LinAlgError, match="do not fit"):
        sad.jit(L.solve)(np.eye(2), np.ones(3))
    with pytest.raises(UnsupportedError, match="raw"):
        sad.jit(lambda a: L.qr(a, mode="raw"))(np.eye(2))
    with pytest.raises(ValueError, match="Invalid norm order"):
        sad.jit(lambda a: L.norm(a, 3))(np.eye(2))
    with pytest.raises(TypeError, match="full_matrices=False"):
        sad.grad(lambda a: np.sum(L.svd(a)[0]))(np.ones((3, 2)))


def test_integer_matrices_are_computed_in_double_precision():
    a = np.array([[4, 1], [2, 3]])
    assert_value(L.inv, a)
    assert_value(L.det, a)
    assert_value(lambda a: L.matrix_power(a, 3), a)


def test_the_derivative_of_the_fastest_way_is_the_adjoint_of_its_transpose():
    a, b = general(2, 3, 3), general(2, 3, 2)
    y, pull = sad.vjp(L.solve, a, b)
    y_bar, dots = general(2, 3, 2), (general(2, 3, 3), general(2, 3, 2))
    _, y_dot = sad.jvp(L.solve, (a, b), dots)
    assert_close(inner(pull(y_bar), dots), inner([y_bar], [y_dot]))
    assert y.shape == (2, 3, 2)


def test_a_function_asks_whether_a_matrix_is_positive_definite_before_it_is_factored() -> None:
    def f(k: Any) -> Any:
        if np.linalg.eigvalsh(k)[0] <= 0:
            k = k + 3 * np.eye(2)
        return np.sum(np.log(np.diag(np.linalg.cholesky(k))))

    for k in (np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[3.0, 1.0], [1.0, 2.0]])):
        shifted = k + 3 * np.eye(2) * (k[0, 0] < 2)
        np.testing.assert_allclose(sad.jit(sad.grad(f))(k), np.linalg.inv(shifted) / 2)


@pytest.mark.parametrize("other", [99.0, np.nan])
def test_pinv_of_hermitian_matrices_reads_the_lower_triangle_alone(other: float):
    f = lambda a: np.sum(np.linalg.pinv(a, hermitian=True) * np.arange(9.0).reshape(3, 3))
    whole = general(3, 3)
    whole = whole + whole.T
    half = np.tril(whole) + np.triu(np.full((3, 3), other), 1)
    for g in (sad.grad(f), sad.jit(sad.grad(f)), lambda a: sad.hvp(f, (a,), (np.eye(3),))):
        assert_close(g(half), g(whole))
