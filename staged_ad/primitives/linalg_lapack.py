"""Machine code of the factorisations that are LAPACK's: QR, eigenvalues, singular values.

The routines are those that NumPy calls, on matrices in the same order and, as there, in double precision, so that
signs are NumPy's.

Invariant: working memory is what LAPACK itself asks for.
Start at ``emit_qr``.
"""

from __future__ import annotations

from typing import Any

import scipy.linalg

from staged_ad.errors import LinAlgError
from staged_ad.ir import ArrayType
from staged_ad.primitives.linalg_code import (
    Matrix,
    call,
    copy,
    copy_triangle,
    fail,
    fail_unless_finite,
    item_matrix,
    loop,
)

Error = tuple[type[LinAlgError], str]


def _lwork(name: str, *sizes: int, **options: int) -> int:
    """The best length of the working memory of a routine of LAPACK."""
    ask = getattr(scipy.linalg.lapack, f"d{name}_lwork")
    return int(ask(*sizes, **options)[0].real)


def pieces(k: Any, *lengths: int) -> list[str]:
    """Arrays of these lengths, one after the other in the working memory."""
    places, offset = [], 0
    for length in lengths:
        places.append(k.value(f"getelementptr double, ptr {k.scratch}, i64 {offset}"))
        offset += length
    return places


def _copy_values(k: Any, source: str, buffer: Any) -> None:
    """Eigenvalues or singular values from working memory to a result."""
    count = buffer.type.shape[-1]
    target = Matrix(k, k.slice_of(buffer, count), buffer.element, count)
    copy(k, Matrix(k, source, "double", count), target, 1, count)


def _check(k: Any, info: str, error: Error) -> None:
    fail(k, k.value(f"icmp ne i32 {k.value(f'load i32, ptr {info}')}, 0"), *error)


# -- qr -----------------------------------------------------------------------------------------------------------


def _qr_sizes(a: ArrayType, complete: bool) -> tuple[int, int, int, int, int]:
    """Rows, columns, reflections, columns of q, and the length of the working memory of LAPACK."""
    m, n = a.shape[-2:]
    k = min(m, n)
    columns = m if complete else k
    lwork = 1
    if k:
        lwork = max(_lwork("geqrf", m, n), 64 * columns)
    return m, n, k, columns, lwork


def qr_scratch(a: ArrayType, *, complete: bool) -> int:
    m, n, k, columns, lwork = _qr_sizes(a, complete)
    return (m * max(n, columns) + k + lwork) * 8


def emit_qr(k: Any, *, complete: bool) -> None:
    a, q, r = (item_matrix(k, buffer) for buffer in (*k.inputs, *k.outputs))
    m, n, count, columns, lwork = _qr_sizes(k.inputs[0].type, complete)
    rows = k.outputs[1].type.shape[-2]
    if not count:
        _identity(k, q, m, columns)
        return
    work, tau, extra = pieces(k, m * max(n, columns), count, lwork)
    info = k.alloca("i32")
    reflected = Matrix(k, work, "double", 1, m)
    copy(k, a, reflected, m, n)
    call(k, "double", "geqrf", m, n, work, m, tau, extra, lwork, info)
    copy_triangle(k, reflected, r, rows, n, lower=False)
    call(k, "double", "orgqr", m, columns, count, work, m, tau, extra, lwork, info)
    copy(k, reflected, q, m, columns)


def _identity(k: Any, q: Matrix, rows: int, columns: int) -> None:
    with loop(k, 0, rows) as i, loop(k, 0, columns) as j:
        q.store(k.value(f"uitofp i1 {k.value(f'icmp eq i64 {i}, {j}')} to {q.element}"), i, j)


# -- eigh ---------------------------------------------------------------------------------------------------------


def _eigh_sizes(a: ArrayType, vectors: bool) -> tuple[int, int, int]:
    """The size, and the lengths of the floating-point and the integer working memory."""
    n = a.shape[-1]
    if not n:
        return 0, 1, 1
    least = 1 + 6 * n + 2 * n * n if vectors else 2 * n + 1
    return n, max(least, 66 * n), 3 + 5 * n


def eigh_scratch(a: ArrayType, *, vectors: bool, lower: bool) -> int:
    n, lwork, liwork = _eigh_sizes(a, vectors)
    return (n * n + n + lwork) * 8 + 4 * liwork


def emit_eigh(k: Any, *, vectors: bool, lower: bool, error: Error) -> None:
    a, n = item_matrix(k, k.inputs[0]), k.inputs[0].type.shape[-1]
    if not n:
        return
    _, lwork, liwork = _eigh_sizes(k.inputs[0].type, vectors)
    info = k.alloca("i32")
    matrix, w, work, integers = pieces(k, n * n, n, lwork, 0)
    columns = Matrix(k, matrix, "double", 1, n)
    copy(k, a, columns, n, n)
    letters = ("V" if vectors else "N", "L" if lower else "U")
    call(k, "double", "syevd", *letters, n, matrix, n, w, work, lwork, integers, liwork, info)
    _check(k, info, error)
    _copy_values(k, w, k.outputs[0])
    if vectors:
        copy(k, columns, item_matrix(k, k.outputs[1]), n, n)


# -- svd ----------------------------------------------------------------------------------------------------------


def _svd_sizes(a: ArrayType, vectors: bool, full: bool) -> tuple[int, int, int, int, int]:
    """Columns of u, rows of vh, lengths of the arrays that hold them, and the length of the working memory."""
    m, n = a.shape[-2:]
    k = min(m, n)
    if not k:
        return 0, 0, 0, 0, 1
    rows, columns = ((m, n) if full else (k, k)) if vectors else (1, 1)
    lwork = _lwork("gesdd", m, n, compute_uv=int(vectors), full_matrices=int(full))
    return rows, columns, (m * rows if vectors else 1), (columns * n if vectors else 1), lwork


def svd_scratch(a: ArrayType, *, vectors: bool, full: bool) -> int:
    m, n = a.shape[-2:]
    _, _, u, vh, lwork = _svd_sizes(a, vectors, full)
    return (m * n + u + vh + min(m, n) + lwork) * 8 + 4 * 8 * min(m, n)


def emit_svd(k: Any, *, vectors: bool, full: bool, error: Error) -> None:
    a = item_matrix(k, k.inputs[0])
    m, n = k.inputs[0].type.shape[-2:]
    if not min(m, n):
        if vectors:
            for buffer in (k.outputs[0], k.outputs[2]):
                _identity(k, item_matrix(k, buffer), *buffer.type.shape[-2:])
        return
    rows, columns, u_size, vh_size, lwork = _svd_sizes(k.inputs[0].type, vectors, full)
    matrix, u, vh, s, work, integers = pieces(k, m * n, u_size, vh_size, min(m, n), lwork, 0)
    info = k.alloca("i32")
    fail_unless_finite(k, a, m, n, *error)
    copy(k, a, Matrix(k, matrix, "double", 1, m), m, n)
    letter = "N" if not vectors else "A" if full else "S"
    ldu, ldvh = (m if vectors else 1), columns
    call(
        k, "double", "gesdd", letter, m, n, matrix, m, s, u, ldu, vh, ldvh, work, lwork, integers, info
    )  # fmt: skip
    _check(k, info, error)
    _copy_values(k, s, k.outputs[1 if vectors else 0])
    if vectors:
        copy(k, Matrix(k, u, "double", 1, m), item_matrix(k, k.outputs[0]), m, rows)
        copy(k, Matrix(k, vh, "double", 1, columns), item_matrix(k, k.outputs[2]), columns, n)
