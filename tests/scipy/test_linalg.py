"""scipy.linalg on traced values against SciPy, finite differences and series.

Invariant: what takes plain arrays is SciPy's own.
Start at ``FUNCTIONS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import staged_ad as sad
from staged_ad.errors import ArgumentError, ShapeError, UnsupportedError
from staged_ad.scipy import linalg
from tests.backends import MODES, in_mode, through_program
from tests.checks import assert_derivatives, flat
from tests.numerics import assert_close, assert_same, directional

every_mode = pytest.mark.parametrize("mode", MODES)


def general(*shape: int) -> Any:
    x = np.random.default_rng(sum(shape)).normal(size=shape)
    return x + 2 * np.eye(*shape[-2:]) if len(shape) > 1 else x


def definite(a: Any) -> Any:
    return a @ np.swapaxes(a, -1, -2) + np.eye(a.shape[-1])


def solve_by_cholesky(s: Any, lower: bool) -> Callable[..., Any]:
    return lambda a, b: s.cho_solve((s.cho_factor(definite(a), lower=lower)[0], lower), b)


A, LARGE, B, COLUMNS = general(3, 3), general(10, 10), general(3), general(3, 2)

FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "solve": (lambda s, a, b: s.solve(a, b, overwrite_a=True), A, B),
    "solve(transposed)": (lambda s, a, b: s.solve(a, b, transposed=True), A, COLUMNS),
    "solve(pos)": (lambda s, a, b: s.solve(definite(a), b, assume_a="pos"), A, COLUMNS),
    "solve(pos, transposed)": (lambda s, a, b: s.solve(definite(a), b, assume_a="pos", transposed=True), A, B),
    "inv(pos)": (lambda s, a: s.inv(definite(a), assume_a="pos"), A),
    "solve(sym, lower)": (lambda s, a, b: s.solve(a + a.T, b, assume_a="sym", lower=True), A, B),
    "solve(tridiagonal)": (lambda s, a, b: s.solve(a, b, assume_a="tridiagonal"), general(4, 4), general(4)),
    "solve(banded)": (lambda s, a, b: s.solve(np.triu(a, -1), b, assume_a="banded"), general(4, 4), general(4, 2)),
    "solve(stack, vector)": (lambda s, a, b: s.solve(a, b), general(2, 3, 3), B),
    "lu_solve(stack, vector)": (lambda s, a, b: s.lu_solve(s.lu_factor(a), b), general(2, 3, 3), B),
    "solve_triangular(stack, vector)": (lambda s, a, b: s.solve_triangular(a, b), general(2, 3, 3), B),
    "solve_triangular": (lambda s, a, b: s.solve_triangular(a, b), A, B),
    "solve_triangular(lower, T)": (lambda s, a, b: s.solve_triangular(a, b, trans="T", lower=True), A, COLUMNS),
    "solve_triangular(unit)": (lambda s, a, b: s.solve_triangular(a, b, trans=1, unit_diagonal=True), A, B),
    "cho_solve": (lambda s, a, b: solve_by_cholesky(s, False)(a, b), A, B),
    "cho_solve(lower)": (lambda s, a, b: solve_by_cholesky(s, True)(a, b), A, COLUMNS),
    "cholesky": (lambda s, a: s.cholesky(definite(a)), A),
    "cholesky(lower)": (lambda s, a: s.cholesky(definite(a), lower=True), A),
    "lu, l": (lambda s, a: s.lu(a)[1], general(4, 3)),
    "lu, u": (lambda s, a: s.lu(a)[2], general(3, 4)),
    "lu(permute_l)": (lambda s, a: s.lu(a, permute_l=True), general(4, 4)),
    "lu_factor": (lambda s, a: s.lu_factor(a)[0], general(4, 4)),
    "lu_solve": (lambda s, a, b: s.lu_solve(s.lu_factor(a), b), A[::-1].copy(), B),
    "lu_solve(trans)": (lambda s, a, b: s.lu_solve(s.lu_factor(a), b, trans=1), A[::-1].copy(), COLUMNS),
    "inv": (lambda s, a: s.inv(a), A),
    "det": (lambda s, a: s.det(a), A),
    "pinv": (lambda s, a: s.pinv(a), general(4, 3)),
    "qr(economic)": (lambda s, a: s.qr(a, mode="economic"), general(4, 3)),
    "qr(r)": (lambda s, a: s.qr(a, mode="r"), general(3, 4)),
    "qr": (lambda s, a: s.qr(a), general(3, 4)),
    "svd": (lambda s, a: s.svd(a, full_matrices=False), general(4, 3)),
    "svdvals": (lambda s, a: s.svdvals(a), general(4, 3)),
    "eigh": (lambda s, a: np.abs(s.eigh(a + a.T)[1]), A),  # signs are NumPy's
    "eigh(eigvals_only)": (lambda s, a: s.eigh(a + a.T, eigvals_only=True), A),
    "eigvalsh(upper)": (lambda s, a: s.eigvalsh(a + a.T, lower=False), A),
    "expm": (lambda s, a: s.expm(a), A),
    "expm of a stack": (lambda s, a: s.expm(a), general(2, 3, 3)),
    "expm of a large norm": (lambda s, a: s.expm(a), 4 * general(3, 3)),
    "norm": (lambda s, a: s.norm(a, 1), A),
    "block_diag": (lambda s, a, b: s.block_diag(a, b, a), general(2, 3), B),
    "toeplitz": (lambda s, c, r: s.toeplitz(c, r), general(3), general(4)),
    "toeplitz(c)": (lambda s, c: s.toeplitz(c), general(3)),
}
SECOND_ORDER = ["solve_triangular(lower, T)", "cho_solve", "lu, u", "lu, l", "lu_solve", "expm", "solve(pos)"]

every_function = pytest.mark.parametrize("name", FUNCTIONS)


def with_module(name: str, module: Any) -> Callable[..., Any]:
    return lambda *xs: FUNCTIONS[name][0](module, *xs)


@every_function
def test_values_are_scipys(name: str):
    xs = FUNCTIONS[name][1:]
    expected = with_module(name, scipy.linalg)(*xs)
    for found in (
        through_program(with_module(name, linalg), *xs),
        sad.jit(with_module(name, linalg))(*xs),
        with_module(name, linalg)(*xs),
    ):
        pairs = zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]
        for one, other in pairs:
            assert_same(one, np.asarray(other), 1e-11)


@every_function
def test_derivatives_are_the_limits_of_finite_differences(name: str):
    assert_derivatives(with_module(name, linalg), *FUNCTIONS[name][1:], tolerance=1e-8, step=5e-4)


@pytest.mark.parametrize("name", SECOND_ORDER)
@every_mode
def test_second_derivatives_agree_in_all_orders_of_the_modes(name: str, mode: str):
    f, xs = flat(with_module(name, linalg)), FUNCTIONS[name][1:]
    every = tuple(range(len(xs)))
    x_dots = tuple(np.random.default_rng(1).normal(size=x.shape) for x in xs)

    def scalar(*ys: Any) -> Any:
        return np.sum(np.sin(f(*ys)))

    gradient = sad.grad(scalar, every)
    expected = [directional(lambda *ys, k=k: gradient(*ys)[k], xs, x_dots, 5e-4) for k in every]
    for way in (
        lambda *ys: sad.jvp(gradient, ys, x_dots)[1],
        sad.grad(lambda *ys: sad.jvp(scalar, ys, x_dots)[1], every),
        sad.grad(lambda *ys: sum(np.sum(g * v) for g, v in zip(gradient(*ys), x_dots, strict=True)), every),
    ):
        for one, other in zip(in_mode(mode, way)(*xs), expected, strict=True):
            assert_close(one, other, 1e-7)


def test_lu_gives_scipys_permutations_in_every_form():
    a = general(4, 4)[::-1].copy()
    for options in ({}, {"permute_l": True}, {"p_indices": True}):
        found = sad.jit(lambda a, o=options: linalg.lu(a, **o))(a)
        for one, other in zip(found, scipy.linalg.lu(a, **options), strict=True):
            assert_same(one, other)


def test_factors_of_a_matrix_solve_for_a_stack_of_right_hand_sides():
    a, b = general(3, 3), general(4, 3, 2)
    found = sad.jit(lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b))(a, b)
    assert_close(found, np.linalg.solve(a, b))
    found = sad.jit(lambda a, b: linalg.cho_solve(linalg.cho_factor(a), b))(definite(a), b)
    assert_close(found, np.linalg.solve(definite(a), b), 1e-11)


@every_mode
def test_expm_of_nilpotent_and_of_zero_matrices(mode: str):
    """The series ends: every derivative is a polynomial."""
    expm = in_mode(mode, linalg.expm)
    a = np.triu(np.ones((4, 4)), 1)
    assert_close(expm(a), np.eye(4) + a + a @ a / 2 + a @ a @ a / 6)
    slope = in_mode(mode, lambda e: sad.jvp(linalg.expm, (np.zeros((4, 4)),), (e,))[1])
    assert_close(slope(1e6 * a), 1e6 * a)
    second = in_mode(mode, lambda e: sad.jvp(lambda x: sad.jvp(linalg.expm, (x,), (e,))[1], (0 * e,), (e,))[1])
    assert_close(second(a), a @ a)


@pytest.mark.parametrize("n", [1, 2, 9])
@every_mode
def test_expm_of_several_sizes_norms_and_precisions(n: int, mode: str):
    expm = in_mode(mode, linalg.expm)
    for scale in (1e-8, 1.0, 30.0):
        a = scale * general(n, n) / n
        assert_close(expm(a), scipy.linalg.expm(a), 1e-11)
        assert_same(expm(a.astype(np.float32)), scipy.linalg.expm(a.astype(np.float32)), 1e-4)
    assert expm(np.zeros((2, 0, 0))).shape == (2, 0, 0)


@every_mode
def test_a_triangular_matrix_with_a_zero_on_its_diagonal_is_singular(mode: str):
    with pytest.raises(np.linalg.LinAlgError, match="ingular"):
        in_mode(mode, sad.grad(lambda a: np.sum(linalg.solve_triangular(a, np.ones(2)))))(np.ones((2, 2)) - np.eye(2))


@every_mode
@pytest.mark.parametrize("f", [linalg.inv, lambda a, **options: linalg.solve(a, np.ones(2), **options)])
def test_what_is_assumed_to_be_positive_definite_must_be_so(mode: str, f: Callable[..., Any]):
    with pytest.raises(np.linalg.LinAlgError, match=r"positive definite|ingular"):
        in_mode(mode, lambda a: f(a, assume_a="pos"))(np.array([[1.0, 2.0], [2.0, 1.0]]))


@pytest.mark.parametrize(
    ("name", "solve"),
    [
        ("solve", linalg.solve),
        ("solve", lambda a, b: linalg.solve(a, b, assume_a="pos")),
        ("solve_triangular", linalg.solve_triangular),
        ("cho_solve", lambda a, b: linalg.cho_solve((a, True), b)),
        ("lu_solve", lambda a, b: linalg.lu_solve(linalg.lu_factor(a), b)),
    ],
)
@pytest.mark.parametrize("b", [np.ones(3), np.ones((3, 1)), np.ones((1, 2))])
def test_errors_name_the_function_and_the_shapes_that_were_given(name: str, solve: Callable[..., Any], b: Any):
    with pytest.raises(ShapeError, match=re.escape(f"{name}: shapes (2, 2) and {b.shape} do not fit")):
        sad.jit(solve)(np.eye(2), b)


def test_an_unknown_structure_is_an_error():
    with pytest.raises(ArgumentError, match="assume_a='psd' is no structure"):
        sad.jit(lambda a: linalg.solve(a, a, assume_a="psd"))(np.eye(2))


def test_the_factor_of_one_matrix_solves_for_every_call_of_a_batch():
    a, b = definite(general(3, 3)), general(4, 3)
    mapped = sad.vmap(lambda a, b: linalg.solve(a, b, assume_a="pos"), in_axes=(None, 0))
    assert_close(sad.jit(mapped)(a, b), np.linalg.solve(a, b.T).T, 1e-11)
    assert str(sad.trace(mapped)(a, b)).count("f64[4,3,3]") == 0


def test_what_is_not_supported_says_what_to_write():
    for f, hint in (
        (lambda a: linalg.sqrtm(a), "eigh"),
        (lambda a: linalg.null_space(a), "rank"),
        (lambda a: linalg.qr(a, pivoting=True), "pivoting"),
        (lambda a: linalg.eigh(a, a), "cholesky"),
    ):
        with pytest.raises(UnsupportedError, match=hint):
            sad.jit(f)(np.eye(2))
    assert_close(linalg.sqrtm(4 * np.eye(2)), 2 * np.eye(2))


def test_pivots_of_any_integers_are_taken():
    lu, pivots = scipy.linalg.lu_factor(A[::-1])
    assert_close(
        sad.jit(lambda lu, p, b: linalg.lu_solve((lu, p), b))(lu, pivots.astype(np.int64), B),
        linalg.lu_solve((lu, pivots), B),
    )


@every_mode
def test_norms_and_ranks_of_no_elements_are_arrays(mode: str):
    nothing = np.zeros((0, 3))
    for f in (
        lambda a: np.linalg.matrix_rank(a) + 1,
        lambda a: linalg.norm(a, np.inf, axis=1) + 1,
        lambda a: np.max(a, initial=2) + 1,
    ):
        assert_same(in_mode(mode, f)(nothing), np.asarray(f(nothing)))
