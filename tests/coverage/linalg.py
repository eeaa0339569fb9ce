"""Examples of np.linalg and scipy.linalg.

Invariant: matrices are regular, and stay so when their elements come in reverse order.
Start at ``LINALG``; more shapes and what happens at singular matrices are in tests/numpy/test_linalg.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from staged_ad.scipy import linalg
from tests.coverage.example import Example, Table

L = np.linalg


def matrix(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape)


A, B, TALL, VECTOR = matrix(3, 3) + 3 * np.eye(3), matrix(3, 2), matrix(4, 3), matrix(3)


def of(call: Callable[..., Any], *args: Any, smooth: bool = True) -> list[Example]:
    return [Example(call, args, smooth, ("float32",))]


def definite(a: Any) -> Any:
    return a @ a.T + np.eye(len(a))


NUMPY: Table = {
    "solve": of(L.solve, A, B),
    "inv": of(L.inv, A),
    "pinv": of(L.pinv, TALL),
    "det": of(L.det, A),
    "slogdet": of(lambda a: tuple(L.slogdet(a)), A),
    "cholesky": of(lambda a: L.cholesky(definite(a)), A),
    "qr": of(lambda a: tuple(L.qr(a)), TALL),
    "svd": of(lambda a: L.svd(a, full_matrices=False)[1], TALL),
    "svdvals": of(L.svdvals, TALL),
    "eigh": of(lambda a: L.eigh(definite(a))[0], A),
    "eigvalsh": of(lambda a: L.eigvalsh(definite(a)), A),
    "lstsq": of(lambda a, b: L.lstsq(a, b)[0], TALL, matrix(4)),
    "norm": of(lambda a: L.norm(a, "nuc"), TALL),
    "vector_norm": of(lambda a: L.vector_norm(a, axis=0), TALL),
    "matrix_norm": of(lambda a: L.matrix_norm(a, ord=2), TALL),
    "cond": of(L.cond, A),
    "matrix_rank": of(L.matrix_rank, TALL),
    "matrix_power": of(lambda a: L.matrix_power(a, 3), A),
    "multi_dot": of(lambda a, b, c: L.multi_dot([a, b, c]), TALL, A, B),
    "tensorinv": of(lambda a: L.tensorinv(a, 1), matrix(6, 2, 3)),
    "tensorsolve": of(L.tensorsolve, matrix(2, 3, 6), matrix(2, 3)),
    "matmul": of(L.matmul, A, B),
    "tensordot": of(lambda a, b: L.tensordot(a, b, axes=1), A, B),
    "outer": of(L.outer, VECTOR, matrix(2)),
    "cross": of(L.cross, VECTOR, matrix(4, 3)),
    "vecdot": of(L.vecdot, A, VECTOR),
    "diagonal": of(lambda a: L.diagonal(a, offset=1), A),
    "trace": of(L.trace, A),
    "matrix_transpose": of(L.matrix_transpose, TALL),
}


def scipys(call: Callable[..., Any], *args: Any) -> list[Example]:
    """A call of a module: of ours, and for what it should give of SciPy's."""
    return [
        Example(lambda *xs: call(linalg, *xs), args, True, ("float32",), lambda *xs: call(scipy.linalg, *xs)),
    ]


SCIPY: Table = {
    "solve": scipys(lambda s, a, b: s.solve(a, b), A, B),
    "solve_triangular": scipys(lambda s, a, b: s.solve_triangular(a, b), A, B),
    "inv": scipys(lambda s, a: s.inv(a), A),
    "det": scipys(lambda s, a: s.det(a), A),
    "pinv": scipys(lambda s, a: s.pinv(a), TALL),
    "cholesky": scipys(lambda s, a: s.cholesky(definite(a)), A),
    "cho_factor": scipys(lambda s, a: np.triu(s.cho_factor(definite(a))[0]), A),
    "cho_solve": scipys(lambda s, a, b: s.cho_solve(s.cho_factor(definite(a)), b), A, B),
    "lu": scipys(lambda s, a: s.lu(a)[1:], A),
    "lu_factor": scipys(lambda s, a: s.lu_factor(a)[0], A),
    "lu_solve": scipys(lambda s, a, b: s.lu_solve(s.lu_factor(a), b), A, B),
    "qr": scipys(lambda s, a: s.qr(a, mode="economic"), TALL),
    "svd": scipys(lambda s, a: s.svd(a, full_matrices=False)[1], TALL),
    "svdvals": scipys(lambda s, a: s.svdvals(a), TALL),
    "eigh": scipys(lambda s, a: s.eigh(definite(a))[0], A),
    "eigvalsh": scipys(lambda s, a: s.eigvalsh(definite(a)), A),
    "expm": scipys(lambda s, a: s.expm(a), A / 3),
    "norm": scipys(lambda s, a: s.norm(a), TALL),
    "block_diag": scipys(lambda s, a, b: s.block_diag(a, b), A, B),
    "toeplitz": scipys(lambda s, c, r: s.toeplitz(c, r), VECTOR, matrix(4)),
}

LINALG: Table = {
    **{f"numpy.linalg.{name}": examples for name, examples in NUMPY.items()},
    **{f"staged_ad.scipy.linalg.{name}": examples for name, examples in SCIPY.items()},
}
