"""Derivatives where eigenvalues or singular values coincide: right, or DegenerateError (docs/linalg.md).

Invariant: each function is tried at a matrix whose vectors are unit vectors and at one where they are not.
Start at ``MATRICES``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import DegenerateError
from tests.backends import MODES, in_mode
from tests.numerics import assert_close, gradient

L = np.linalg
rng = np.random.default_rng(0)
WEIGHTS = rng.normal(size=(3, 3))
TURNED = L.qr(rng.normal(size=(3, 3)))[0]
DIAGONAL = np.diag([1.0, 1.0, 3.0])
MATRICES = {"identity": np.eye(3), "diagonal": DIAGONAL, "turned": TURNED @ DIAGONAL @ TURNED.T}

every_mode = pytest.mark.parametrize("mode", MODES)
every_matrix = pytest.mark.parametrize("a", MATRICES.values(), ids=MATRICES)
every_pair = pytest.mark.parametrize("a", [DIAGONAL, MATRICES["turned"]], ids=["diagonal", "turned"])


def symmetric(x: Any) -> Any:
    return (x + x.T) / 2


def function_of(a: Any) -> Any:
    """The exponential by eigenvalues."""
    w, v = L.eigh(a)
    return (v * np.exp(w)) @ v.T


def exponential(a: Any) -> Any:
    w, v = L.eigh(a)
    return v @ np.diag(np.exp(w)) @ v.T


def projector(a: Any) -> Any:
    """On the eigenspace of the two smallest eigenvalues."""
    v = L.eigh(a)[1][:, :2]
    return v @ v.T


@every_matrix
@every_mode
def test_symmetric_functions_of_eigenvalues_are_right(a: Any, mode: str):
    for f, expected in (
        (lambda a: np.sum(L.eigvalsh(a) ** 2), 2 * a),
        (lambda a: np.sum(L.eigh(a)[0] ** 2), 2 * a),
        (lambda a: np.sum(np.exp(L.eigvalsh(a))), exponential(a)),
        (lambda a: np.sum(function_of(a) * np.eye(3)), exponential(a)),
        (lambda a: np.sum(L.svdvals(a) ** 2), 2 * a),
        (lambda a: L.norm(a, "nuc"), np.eye(3)),
    ):
        assert_close(in_mode(mode, sad.grad(f))(a), expected, 1e-10)


@every_matrix
def test_forward_mode_of_eigenvalues_alone_needs_no_vectors(a: Any):
    _, slope = sad.jvp(lambda a: np.sum(L.eigh(a)[0] ** 2), (a,), (WEIGHTS,))
    assert_close(slope, 2 * np.sum(a * WEIGHTS), 1e-10)


@every_pair
@every_mode
def test_functions_of_a_whole_eigenspace_are_right(a: Any, mode: str):
    found = in_mode(mode, sad.grad(lambda a: np.sum(projector(a) * WEIGHTS)))(a)
    expected = gradient(lambda a: np.sum(projector(symmetric(a)) * WEIGHTS), a, 1e-3)
    assert_close(found, symmetric(expected), 1e-8)


@every_pair
@every_mode
def test_a_vector_of_a_simple_eigenvalue_is_right(a: Any, mode: str):
    def f(a: Any) -> Any:
        v = L.eigh(a)[1][:, 2]
        return v @ WEIGHTS @ v  # signs are LAPACK's

    expected = gradient(lambda a: f(symmetric(a)), a, 1e-3)
    assert_close(in_mode(mode, sad.grad(f))(a), symmetric(expected), 1e-8)


@every_matrix
@every_mode
def test_what_depends_on_the_gap_is_an_error_and_no_number(a: Any, mode: str):
    """The gradients of functions of the matrix exist, but what reaches the rule does not tell them."""
    for f in (
        lambda a: np.sum(function_of(a) * WEIGHTS),
        lambda a: function_of(a)[0, 1] + function_of(a)[0, 0],
        lambda a: L.eigh(a)[1][0, 0],
        lambda a: np.sum(L.svd(a)[0] * WEIGHTS),
        lambda a: sad.jvp(lambda a: np.sum(function_of(a)), (a,), (WEIGHTS,))[1],
    ):
        with pytest.raises(DegenerateError, match=r"gap .*\(at .*test_linalg_degenerate.py"):
            in_mode(mode, sad.grad(f))(a)


@every_matrix
@every_mode
def test_second_derivatives_that_depend_on_the_gap_are_errors(a: Any, mode: str):
    slope = sad.grad(lambda a: np.sum(L.eigvalsh(a) ** 3))
    for second in (
        lambda a: sad.jvp(slope, (a,), (WEIGHTS,))[1],
        sad.grad(lambda a: np.sum(slope(a) * WEIGHTS)),
    ):
        with pytest.raises(DegenerateError):
            in_mode(mode, second)(a)


@every_matrix
def test_second_derivatives_in_directions_that_keep_the_eigenspaces_are_right(a: Any):
    found = sad.hvp(lambda a: np.sum(L.eigvalsh(a) ** 3), (a,), (np.eye(3),))
    assert_close(found, 6 * a, 1e-10)


@every_mode
def test_the_largest_of_equal_singular_values_share_equally(mode: str):
    assert_close(in_mode(mode, sad.grad(lambda a: L.norm(a, 2)))(np.eye(3)), np.eye(3) / 3)


@every_mode
def test_norms_of_singular_matrices_have_the_subgradient_of_least_norm(mode: str):
    a = np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 2.0])
    slope = in_mode(mode, sad.grad(lambda a: L.norm(a, "nuc")))
    assert_close(slope(a), a / L.norm(a), 1e-10)
    assert_close(slope(0 * a), 0 * a)


def test_vanishing_singular_values_hide_what_the_derivative_is():
    a = np.outer([1.0, 2.0, 3.0], [1.0, -1.0, 2.0])

    def product(a: Any) -> Any:
        u, s, vh = L.svd(a, full_matrices=False)
        return np.sum(WEIGHTS * ((u * s) @ vh))

    with pytest.raises(DegenerateError):
        sad.grad(product)(a)
    assert_close(sad.grad(lambda a: np.sum(L.svdvals(a) ** 2))(a), 2 * a, 1e-10)


@every_mode
def test_polar_factors_need_no_gap(mode: str):
    """``u v^H`` is the same whatever the basis of an eigenspace is."""

    def polar(a: Any) -> Any:
        u, _, vh = L.svd(a)
        return np.sum(WEIGHTS * (u @ vh))

    for a in MATRICES.values():
        assert_close(in_mode(mode, sad.grad(polar))(a), gradient(polar, a, 1e-3), 1e-8)


@every_mode
def test_qr_of_dependent_columns_is_an_error(mode: str):
    with pytest.raises(DegenerateError, match="full rank"):
        in_mode(mode, sad.grad(lambda a: np.sum(L.qr(a)[0])))(np.ones((3, 2)))


def test_one_degenerate_matrix_of_a_stack_is_an_error():
    stack = np.stack([np.diag([1.0, 2.0, 3.0]), np.eye(3)])
    f = sad.vmap(sad.grad(lambda a: np.sum(L.eigh(a)[1] * WEIGHTS)))
    assert f(stack[:1]).shape == (1, 3, 3)
    for g in (f, sad.jit(f)):
        with pytest.raises(DegenerateError):
            g(stack)
