"""eigh and svd: eigenvalues and singular values, with their vectors.

The derivatives are those of M. Giles (2008), sections 3.1 and 3.2; what happens where values coincide is in
linalg_gaps.py.

Invariant: derivatives of values alone divide by no gap.
Start at ``eigh``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from staged_ad.errors import NotDifferentiableError
from staged_ad.ir import ArrayType, Primitive
from staged_ad.ir.lowerings import Kernel
from staged_ad.ir.primitive import not_linear
from staged_ad.ir.types import real_dtype_of
from staged_ad.primitives import linalg_lapack as code
from staged_ad.primitives.arithmetic import add, sub
from staged_ad.primitives.linalg import (
    ERRORS,
    batch_all,
    ctranspose,
    diagonal,
    failure,
    hermitian_part,
    matmul,
    matrices,
    real_part,
)
from staged_ad.primitives.linalg_code import cube_cost, stack
from staged_ad.primitives.linalg_gaps import column_quotient, gap_quotient, generic_basis, grouped, vanishing
from staged_ad.primitives.makers import Operation, typeof


# eigh(a) -> (w, v), or (w,) without `vectors`: eigenvalues in ascending order and orthonormal vectors in columns. Of a
# the lower triangle is read; the matrix is symmetric in derivatives.
def _abstract_eigh(a: ArrayType, *, vectors: bool, lower: bool) -> list[ArrayType]:
    matrices("eigh", a, square=True)
    values = ArrayType(a.shape[:-1], real_dtype_of(a.dtype))
    return [values, a.strong()] if vectors else [values]


def _evaluate_eigh(a: Any, *, vectors: bool, lower: bool) -> list[Any]:
    find: Any = np.linalg.eigh if vectors else np.linalg.eigvalsh
    try:
        found = find(a, "L" if lower else "U")
        return list(found) if vectors else [found]
    except np.linalg.LinAlgError:
        raise failure("eigenvalues") from None


def _jvp_eigh(
    primals: Sequence[Any], tangents: Sequence[Any], *, vectors: bool, lower: bool
) -> tuple[list[Any], list[Any]]:
    """With ``p = v^H a_dot v``: ``w_dot = diag(p)`` and ``v_dot = v g``, where ``g_ij = p_ij / (w_j - w_i)``.

    The phases of complex vectors are free: no vector moves along itself.
    """
    w, v = eigh(primals[0], vectors=True, lower=lower)
    v = matmul(v, generic_basis(w, typeof(v).is_complex))
    p = matmul(ctranspose(v), matmul(hermitian_part(tangents[0]), v))
    if not vectors:
        return [w], [real_part(diagonal(p))]
    p = grouped(p, w, check=False, zeros=0)
    return [w, v], [real_part(diagonal(p)), matmul(v, gap_quotient(p, w, skew=False, total=False))]


eigh: Operation = Operation(
    Primitive(
        "eigh",
        abstract_eval=_abstract_eigh,
        evaluate=_evaluate_eigh,
        jvp=_jvp_eigh,
        transpose=not_linear("eigh"),
        batch=batch_all(lambda: eigh.primitive),
        lower=Kernel(
            partial(code.emit_eigh, error=ERRORS["eigenvalues"]),
            items=stack,
            scratch=code.eigh_scratch,
            cost=cube_cost(10),
            interleaved=True,
            fails=lambda **params: True,
        ),
        multiple_results=True,
    )
)


# svd(a) -> (u, s, vh), or (s,) without `vectors`: singular values in descending order; thin, or square u and vh where
# `full`.
def _abstract_svd(a: ArrayType, *, vectors: bool, full: bool) -> list[ArrayType]:
    matrices("svd", a)
    *lead, m, n = a.shape
    k = min(m, n)
    s = ArrayType((*lead, k), real_dtype_of(a.dtype))
    if not vectors:
        return [s]
    rows, columns = (m, n) if full else (k, k)
    return [ArrayType((*lead, m, rows), a.dtype), s, ArrayType((*lead, columns, n), a.dtype)]


def _evaluate_svd(a: Any, *, vectors: bool, full: bool) -> list[Any]:
    if not np.all(np.isfinite(a)):  # LAPACK might not end
        raise failure("svd")
    find: Any = np.linalg.svd
    try:
        result = find(a, full_matrices=full, compute_uv=vectors)
    except np.linalg.LinAlgError:
        raise failure("svd") from None
    return list(result) if vectors else [result]


def _jvp_svd(
    primals: Sequence[Any], tangents: Sequence[Any], *, vectors: bool, full: bool
) -> tuple[list[Any], list[Any]]:
    """With ``p = u^H a_dot v``: ``s_dot = diag(p)``, and p makes u and v turn: its hermitian part, divided by
    ``s_j - s_i``, both alike, its skew part, divided by ``s_j + s_i``, against each other.

    On the diagonal the skew part is how the phases of complex vectors turn: u and v share that.

    In rectangular matrices the longer vectors also move out of the space that they span: by ``a_dot v / s``.
    """
    (a_dot,) = tangents
    m, n = typeof(a_dot).shape[-2:]
    if full and vectors and m != n:
        raise NotDifferentiableError(
            "np.linalg.svd(full_matrices=True) of a rectangular matrix returns any basis of the complement, which has "
            "no derivative; write full_matrices=False, or np.linalg.svdvals for the singular values alone"
        )
    u, s, vh = svd(primals[0], vectors=True, full=False)
    whole = typeof(u).is_complex
    u, v = matmul(u, generic_basis(s, whole, vanishing(s))), matmul(ctranspose(vh), generic_basis(s, whole))
    vh = ctranspose(v)
    moved = matmul(a_dot, v)
    p = matmul(ctranspose(u), moved)
    if not vectors:
        return [s], [real_part(diagonal(p))]
    p = grouped(p, s, check=False, zeros=2 if m == n and not whole else 1)
    alike = gap_quotient(p, s, skew=False, total=False)
    against = gap_quotient(p, s, skew=True, total=True)
    u_dot, v_dot = matmul(u, add(alike, against)), matmul(v, sub(alike, against))
    if m > n:
        u_dot = add(u_dot, column_quotient(sub(moved, matmul(u, p)), s))
    if n > m:
        outside = sub(matmul(ctranspose(a_dot), u), matmul(v, ctranspose(p)))
        v_dot = add(v_dot, column_quotient(outside, s))
    return [u, s, vh], [u_dot, real_part(diagonal(p)), ctranspose(v_dot)]


svd: Operation = Operation(
    Primitive(
        "svd",
        abstract_eval=_abstract_svd,
        evaluate=_evaluate_svd,
        jvp=_jvp_svd,
        transpose=not_linear("svd"),
        batch=batch_all(lambda: svd.primitive),
        lower=Kernel(
            partial(code.emit_svd, error=ERRORS["svd"]),
            items=stack,
            scratch=code.svd_scratch,
            cost=cube_cost(20),
            interleaved=True,
            fails=lambda **params: True,
        ),
        multiple_results=True,
    )
)
