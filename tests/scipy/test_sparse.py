"""Constant sparse matrices of SciPy times traced arrays. Start anywhere: each test stands alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import staged_ad as sad
from tests.checks import assert_derivatives, assert_value

DENSE = np.array([[0.0, 2.0, 0.0, -1.0], [0.5, 0.0, 0.0, 0.0], [0.0, 3.0, 4.0, 0.0]])
S = scipy.sparse.csr_matrix(DENSE)
A = scipy.sparse.csc_array(DENSE)
TWICE = scipy.sparse.coo_array(([1.0, 2.0, 3.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 4))
X, Y = np.sin(np.arange(4.0)), np.cos(np.arange(8.0)).reshape(4, 2)
CALLS: dict[str, Callable[..., Any]] = {
    "matrix": lambda x, y: S @ x,
    "array": lambda x, y: A @ x,
    "times": lambda x, y: S * x,
    "dot": lambda x, y: S.dot(x),
    "from the right": lambda x, y: x[:3] @ S,
    "from the right of an array": lambda x, y: y[:3].T @ A,
    "transposed": lambda x, y: S.T @ x[:3],
    "of columns": lambda x, y: A @ y,
    "diagonals": lambda x, y: scipy.sparse.diags([1.0, -2.0, 1.0], [-1, 0, 1], shape=(4, 4)) @ x,
    "with places that repeat": lambda x, y: TWICE @ x,
    "of integers": lambda x, y: scipy.sparse.csr_array(DENSE.astype(int)) @ (10 * x).astype(int),
    "of complex numbers": lambda x, y: (1j * S) @ x,
    "empty": lambda x, y: scipy.sparse.csr_array((3, 4)) @ x,
}


@pytest.mark.parametrize("name", CALLS)
def test_products_are_scipys(name: str) -> None:
    assert_value(CALLS[name], X, Y, tolerance=1e-14)


def test_products_have_derivatives() -> None:
    assert_derivatives(lambda x: S.T @ np.sin(S @ x), X)
    np.testing.assert_array_equal(sad.jit(sad.jacobian(lambda x: S @ x))(X), DENSE)
    np.testing.assert_allclose(sad.vmap(lambda x: S @ x)(Y.T), (S @ Y).T)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(sad.errors.ShapeError, match=r"\(3, 4\).*\(2,\)"):
        sad.jit(lambda x: S @ x)(np.ones(2))
