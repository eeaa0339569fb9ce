"""Examples of linear algebra: np.linalg, and what staged_ad.scipy.linalg has.

Invariant: results are made free of the signs and the order that a factorisation may choose.
Start at ``MATRICES``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg as sl

import staged_ad as sad
from tests.coverage.example import Example, M, Q, Table, V, X, m, numbers, on, steps, x

STACK = numbers(2, 3, 3, low=-1.2, high=2.1)
B = numbers(3, 2, low=0.2)
SQUARE = numbers(4, 2, 2) + 3 * np.eye(4).reshape(4, 2, 2)
TURNING = np.array([[0.5, 2.0, 0.0], [-1.0, 0.7, 0.3], [0.2, 0.0, 3.0]])
"""Two of its eigenvalues are complex."""
FLOATS = ("float32",)


def adjoint(a: Any) -> Any:
    """The transposed matrices; of complex ones the conjugates of them."""
    return np.conj(np.swapaxes(a, -1, -2))


def definite(a: Any) -> Any:
    """A positive definite matrix for each matrix."""
    return np.matmul(a, adjoint(a)) + 2.0 * np.eye(a.shape[-1], dtype=a.dtype)


def positive(a: Any) -> Any:
    """A matrix with positive eigenvalues that is not symmetric."""
    return np.matmul(definite(a), definite(adjoint(a)))


def symmetric(a: Any) -> Any:
    """Of complex numbers hermitian."""
    return a + adjoint(a)


def sizes(*arrays: Any) -> list[Any]:
    """The squares of absolute values, which do not depend on phases."""
    return [abs(y) ** 2 for y in arrays]


def moments(w: Any) -> list[Any]:
    """What does not depend on the order of eigenvalues."""
    return [np.sum(w**k, axis=-1) for k in (1, 2, 3)]


def spectrum(a: Any) -> list[Any]:
    """Of eigenvalues and eigenvectors what does not depend on their order and their phases."""
    w, v = np.linalg.eig(a)
    return [*moments(w * (1 + 0j)), np.sum(abs(v) ** 2 * w[..., None, :], axis=-1) * (1 + 0j)]


def _both(*calls: Callable[..., Any]) -> list[Example]:
    """Calls on a matrix and on a stack of them."""
    return [*on(Q, dtypes=())(*calls), *on(STACK, dtypes=())(*calls[:1])]


def _own(*calls: Callable[..., Any]) -> list[Example]:
    """Calls of ``staged_ad.scipy.linalg``, and what SciPy gives."""
    return [Example(lambda a, f=f: f(sad.scipy.linalg, a), (Q,), True, (), lambda a, f=f: f(sl, a)) for f in calls]


MATRICES: Table = {
    "numpy.linalg.cholesky": _both(lambda a: np.linalg.cholesky(definite(a))),
    "numpy.linalg.cond": _both(np.linalg.cond, lambda a: np.linalg.cond(a**3 + a, 1)),
    "numpy.linalg.cross": on(numbers(2, 3), numbers(3, low=0.2))(np.linalg.cross),
    "numpy.linalg.det": _both(np.linalg.det),
    "numpy.linalg.diagonal": x(np.linalg.diagonal, lambda x: np.linalg.diagonal(x, offset=1)),
    "numpy.linalg.eig": _both(lambda a: spectrum(positive(a)), lambda a: spectrum(TURNING + 0.1 * a)),
    "numpy.linalg.eigvals": _both(
        lambda a: moments(np.linalg.eigvals(positive(a)) * (1 + 0j)),
        lambda a: moments(np.linalg.eigvals(TURNING + 0.1 * a)),
    ),
    "numpy.linalg.eigh": _both(lambda a: [np.linalg.eigh(symmetric(a))[0], *sizes(np.linalg.eigh(symmetric(a))[1])]),
    "numpy.linalg.eigvalsh": _both(lambda a: np.linalg.eigvalsh(symmetric(a))),
    "numpy.linalg.inv": _both(np.linalg.inv),
    "numpy.linalg.lstsq": on(M, numbers(3, low=0.2), dtypes=())(lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0]),
    "numpy.linalg.matmul": on(STACK, B)(np.linalg.matmul),
    "numpy.linalg.matrix_norm": [
        *x(np.linalg.matrix_norm, lambda x: np.linalg.matrix_norm(x, ord=1, keepdims=True)),
        *on(STACK, dtypes=())(lambda a: np.linalg.matrix_norm(a, ord=2), lambda a: np.linalg.matrix_norm(a, ord="nuc")),
    ],
    "numpy.linalg.matrix_power": _both(lambda a: np.linalg.matrix_power(a, 3), lambda a: np.linalg.matrix_power(a, -2)),
    "numpy.linalg.matrix_rank": steps(np.linalg.matrix_rank, args=(STACK,)),
    "numpy.linalg.matrix_transpose": x(np.linalg.matrix_transpose),
    "numpy.linalg.multi_dot": on(Q, B, numbers(2))(lambda a, b, c: np.linalg.multi_dot([a, b, c])),
    "numpy.linalg.outer": on(V, numbers(3))(np.linalg.outer),
    "numpy.linalg.pinv": m(np.linalg.pinv),
    "numpy.linalg.qr": _both(lambda a: [abs(y) for y in np.linalg.qr(a)]),
    "numpy.linalg.slogdet": _both(lambda a: np.linalg.slogdet(a)),
    "numpy.linalg.solve": on(STACK, B, dtypes=())(np.linalg.solve, lambda a, b: np.linalg.solve(a[0], b[:, 0])),
    "numpy.linalg.svd": _both(lambda a: sizes(*np.linalg.svd(a))),
    "numpy.linalg.svdvals": _both(lambda a: np.linalg.svdvals(a)),
    "numpy.linalg.tensordot": x(lambda x: np.linalg.tensordot(x, X, axes=([1, 2], [1, 2]))),
    "numpy.linalg.tensorinv": on(SQUARE, dtypes=())(lambda a: np.linalg.tensorinv(a, ind=1)),
    "numpy.linalg.tensorsolve": on(SQUARE, numbers(4, low=0.3), dtypes=())(np.linalg.tensorsolve),
    "numpy.linalg.trace": x(np.linalg.trace, lambda x: np.linalg.trace(x, offset=-1)),
    "numpy.linalg.vecdot": on(X, M)(np.linalg.vecdot),
    "numpy.linalg.vector_norm": on(X, dtypes=FLOATS)(
        np.linalg.vector_norm,
        lambda x: np.linalg.vector_norm(x, axis=1, ord=3),
        lambda x: np.linalg.vector_norm(x, ord=1),
    ),
    "staged_ad.scipy.linalg.expm": _own(lambda sl, a: sl.expm(a)),
    "staged_ad.scipy.linalg.solve_triangular": _own(lambda sl, a: sl.solve_triangular(a, B, lower=True)),
    "staged_ad.scipy.linalg.cho_factor": _own(lambda sl, a: np.triu(sl.cho_factor(definite(a))[0])),
    "staged_ad.scipy.linalg.cho_solve": _own(lambda sl, a: sl.cho_solve(sl.cho_factor(definite(a)), B)),
    "staged_ad.scipy.linalg.cholesky": _own(lambda sl, a: sl.cholesky(definite(a))),
    "staged_ad.scipy.linalg.lu": _own(lambda sl, a: sl.lu(a)),
    "staged_ad.scipy.linalg.lu_factor": _own(lambda sl, a: sl.lu_factor(a)[0]),
    "staged_ad.scipy.linalg.lu_solve": _own(lambda sl, a: sl.lu_solve(sl.lu_factor(a), B)),
    "staged_ad.scipy.linalg.solve": _own(lambda sl, a: sl.solve(a, B)),
    "staged_ad.scipy.linalg.inv": _own(lambda sl, a: sl.inv(a)),
    "staged_ad.scipy.linalg.det": _own(lambda sl, a: sl.det(a)),
    "staged_ad.scipy.linalg.eigh": _own(lambda sl, a: sl.eigh(symmetric(a))[0]),
    "staged_ad.scipy.linalg.eigvalsh": _own(lambda sl, a: sl.eigvalsh(symmetric(a))),
    "staged_ad.scipy.linalg.norm": _own(lambda sl, a: sl.norm(a)),
    "staged_ad.scipy.linalg.pinv": _own(lambda sl, a: sl.pinv(a)),
    "staged_ad.scipy.linalg.qr": _own(lambda sl, a: abs(sl.qr(a)[1])),
    "staged_ad.scipy.linalg.svd": _own(lambda sl, a: sl.svd(a)[1]),
    "staged_ad.scipy.linalg.svdvals": _own(lambda sl, a: sl.svdvals(a)),
    "staged_ad.scipy.linalg.block_diag": _own(lambda sl, a: sl.block_diag(a, B)),
    "staged_ad.scipy.linalg.toeplitz": _own(lambda sl, a: sl.toeplitz(a[0])),
}
