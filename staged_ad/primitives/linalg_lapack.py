"""Machine code of the factorisations that are LAPACK's: QR, eigenvalues, singular values.

The routines are those that NumPy calls, on matrices in the same order and, as there, in double precision, so that
signs are NumPy's. A complex number takes two places of working memory.

Invariant: working memory is what LAPACK itself asks for.
Start at ``emit_qr``.
"""

from __future__ import annotations

from typing import Any

from staged_ad.errors import StagedADError
from staged_ad.ir import ArrayType
from staged_ad.primitives.linalg_code import (
    Matrix,
    call,
    complex_of,
    converted,
    copy,
    copy_triangle,
    fail,
    fail_unless_finite,
    item_matrix,
    loop,
    number,
)
from staged_ad.tracing.libraries import scipy_linalg

Error = tuple[type[StagedADError], str]


def _lwork(name: str, type: ArrayType, *sizes: int, **options: int) -> int:
    """The best length of the working memory of a routine of LAPACK, in numbers of the type."""
    ask = getattr(scipy_linalg.lapack, f"{'z' if type.is_complex else 'd'}{name}_lwork")
    return int(ask(*sizes, **options)[0].real)


def _places(type: ArrayType) -> tuple[str, int]:
    """The element of matrices in working memory, and the places that one takes."""
    return (complex_of("double"), 2) if type.is_complex else ("double", 1)


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
        lwork = max(_lwork("geqrf", a, m, n), 64 * columns)
    return m, n, k, columns, lwork


def qr_scratch(a: ArrayType, *, complete: bool) -> int:
    m, n, k, columns, lwork = _qr_sizes(a, complete)
    return (m * max(n, columns) + k + lwork) * 8 * _places(a)[1]


def emit_qr(k: Any, *, complete: bool) -> None:
    a, q, r = (item_matrix(k, buffer) for buffer in (*k.inputs, *k.outputs))
    m, n, count, columns, lwork = _qr_sizes(k.inputs[0].type, complete)
    rows = k.outputs[1].type.shape[-2]
    if not count:
        _identity(k, q, m, columns)
        return
    element, size = _places(k.inputs[0].type)
    work, tau, extra = pieces(k, size * m * max(n, columns), size * count, size * lwork)
    info = k.alloca("i32")
    reflected = Matrix(k, work, element, 1, m)
    copy(k, a, reflected, m, n)
    call(k, element, "geqrf", m, n, work, m, tau, extra, lwork, info)
    copy_triangle(k, reflected, r, rows, n, lower=False)
    call(k, element, "ungqr" if size == 2 else "orgqr", m, columns, count, work, m, tau, extra, lwork, info)
    copy(k, reflected, q, m, columns)


def _identity(k: Any, q: Matrix, rows: int, columns: int) -> None:
    with loop(k, 0, rows) as i, loop(k, 0, columns) as j:
        same, kind = k.value(f"icmp eq i64 {i}, {j}"), q.element
        q.store(k.value(f"select i1 {same}, {kind} {number(kind, 1.0)}, {kind} {number(kind, 0.0)}"), i, j)


# -- eigh ---------------------------------------------------------------------------------------------------------


def _eigh_sizes(a: ArrayType, vectors: bool) -> tuple[int, int, int, int]:
    """The size, and the lengths of the working memory: in numbers of the type, of complex matrices in real numbers
    too, in integers.
    """
    n = a.shape[-1]
    if not n:
        return 0, 1, 0, 1
    least = 1 + 6 * n + 2 * n * n if vectors else 2 * n + 1
    if a.is_complex:
        return n, max(2 * n + n * n, 33 * n), least, 3 + 5 * n
    return n, max(least, 66 * n), 0, 3 + 5 * n


def eigh_scratch(a: ArrayType, *, vectors: bool, lower: bool) -> int:
    n, lwork, real, liwork = _eigh_sizes(a, vectors)
    return (_places(a)[1] * (n * n + lwork) + n + real) * 8 + 4 * liwork


def emit_eigh(k: Any, *, vectors: bool, lower: bool, error: Error) -> None:
    a, n = item_matrix(k, k.inputs[0]), k.inputs[0].type.shape[-1]
    if not n:
        return
    element, size = _places(k.inputs[0].type)
    _, lwork, real, liwork = _eigh_sizes(k.inputs[0].type, vectors)
    info = k.alloca("i32")
    matrix, w, work, reals, integers = pieces(k, size * n * n, n, size * lwork, real, 0)
    columns = Matrix(k, matrix, element, 1, n)
    copy(k, a, columns, n, n)
    letters = ("V" if vectors else "N", "L" if lower else "U")
    more = (reals, real) if real else ()
    name = "heevd" if real else "syevd"
    call(k, element, name, *letters, n, matrix, n, w, work, lwork, *more, integers, liwork, info)
    _check(k, info, error)
    _copy_values(k, w, k.outputs[0])
    if vectors:
        copy(k, columns, item_matrix(k, k.outputs[1]), n, n)


# -- svd ----------------------------------------------------------------------------------------------------------


def _svd_sizes(a: ArrayType, vectors: bool, full: bool) -> tuple[int, int, int, int, int, int]:
    """Columns of u, rows of vh, lengths of the arrays that hold them, and those of the working memory: in numbers of
    the type, and of complex matrices in real numbers too.
    """
    m, n = a.shape[-2:]
    k = min(m, n)
    if not k:
        return 0, 0, 0, 0, 1, 0
    rows, columns = ((m, n) if full else (k, k)) if vectors else (1, 1)
    lwork = _lwork("gesdd", a, m, n, compute_uv=int(vectors), full_matrices=int(full))
    real = k * max(5 * k + 7, 2 * max(m, n) + 2 * k + 1) if a.is_complex else 0
    return rows, columns, (m * rows if vectors else 1), (columns * n if vectors else 1), lwork, real


def svd_scratch(a: ArrayType, *, vectors: bool, full: bool) -> int:
    m, n = a.shape[-2:]
    _, _, u, vh, lwork, real = _svd_sizes(a, vectors, full)
    return (_places(a)[1] * (m * n + u + vh + lwork) + min(m, n) + real) * 8 + 4 * 8 * min(m, n)


def emit_svd(k: Any, *, vectors: bool, full: bool, error: Error) -> None:
    a = item_matrix(k, k.inputs[0])
    m, n = k.inputs[0].type.shape[-2:]
    if not min(m, n):
        if vectors:
            for buffer in (k.outputs[0], k.outputs[2]):
                _identity(k, item_matrix(k, buffer), *buffer.type.shape[-2:])
        return
    element, size = _places(k.inputs[0].type)
    rows, columns, u_size, vh_size, lwork, real = _svd_sizes(k.inputs[0].type, vectors, full)
    lengths = (size * m * n, size * u_size, size * vh_size, min(m, n), size * lwork, real, 0)
    matrix, u, vh, s, work, reals, integers = pieces(k, *lengths)
    info = k.alloca("i32")
    fail_unless_finite(k, a, m, n, *error)
    copy(k, a, Matrix(k, matrix, element, 1, m), m, n)
    letter = "N" if not vectors else "A" if full else "S"
    ldu, ldvh = (m if vectors else 1), columns
    more = (reals,) if real else ()
    call(
        k, element, "gesdd", letter, m, n, matrix, m, s, u, ldu, vh, ldvh, work, lwork, *more, integers, info
    )  # fmt: skip
    _check(k, info, error)
    _copy_values(k, s, k.outputs[1 if vectors else 0])
    if vectors:
        copy(k, Matrix(k, u, element, 1, m), item_matrix(k, k.outputs[0]), m, rows)
        copy(k, Matrix(k, vh, element, 1, columns), item_matrix(k, k.outputs[2]), columns, n)


# -- eig ----------------------------------------------------------------------------------------------------------


def _eig_sizes(a: ArrayType, vectors: bool) -> tuple[int, int]:
    """The length of the vectors, and that of the working memory."""
    n = a.shape[-1]
    return (n * n if vectors else 1), _lwork("geev", a, n, compute_vl=0, compute_vr=int(vectors)) if n else 1


def eig_scratch(a: ArrayType, *, vectors: bool) -> int:
    n = a.shape[-1]
    v, lwork = _eig_sizes(a, vectors)
    return (_places(a)[1] * (n * n + v + lwork + 1) + (4 if a.is_complex else 2) * n) * 8


def emit_eig(k: Any, *, vectors: bool, error: Error, infinite: Error) -> None:
    a, n = item_matrix(k, k.inputs[0]), k.inputs[0].type.shape[-1]
    if not n:
        return
    type = k.inputs[0].type
    element, size = _places(type)
    v_size, lwork = _eig_sizes(type, vectors)
    lengths = (size * n * n, size * v_size, size * lwork, size, n, n, 2 * n if type.is_complex else 0)
    matrix, v, work, nothing, w, w_imag, reals = pieces(k, *lengths)
    info = k.alloca("i32")
    fail_unless_finite(k, a, n, n, *infinite)
    copy(k, a, Matrix(k, matrix, element, 1, n), n, n)
    values = (w,) if type.is_complex else (w, w_imag)
    more = (reals,) if type.is_complex else ()
    letter, ldv = ("V", n) if vectors else ("N", 1)
    call(
        k, element, "geev", "N", letter, n, matrix, n, *values, nothing, 1, v, ldv, work, lwork, *more, info
    )  # fmt: skip
    _check(k, info, error)
    found = Matrix(k, k.slice_of(k.outputs[0], n), k.outputs[0].element, n)
    columns = Matrix(k, v, element, 1, n)
    if type.is_complex:
        copy(k, Matrix(k, w, element, n), found, 1, n)
        if vectors:
            copy(k, columns, item_matrix(k, k.outputs[1]), n, n)
        return
    for imaginary, part in ((False, w), (True, w_imag)):
        copy(k, Matrix(k, part, element, n), found.part(imaginary), 1, n)
    if vectors:
        _join_pairs(k, columns, Matrix(k, w_imag, element, n), item_matrix(k, k.outputs[1]), n)


def _join_pairs(k: Any, v: Matrix, w_imag: Matrix, target: Matrix, n: int) -> None:
    """Vectors of a real matrix: of two conjugate ones LAPACK gives the real and the imaginary part of the first."""
    real, imag = target.part(False), target.part(True)
    with loop(k, 0, n) as j:
        turn = w_imag.load(0, j)
        first, second = (k.value(f"fcmp {test} double {turn}, 0.0") for test in ("ogt", "olt"))
        column = k.value(f"sub i64 {j}, {k.value(f'zext i1 {second} to i64')}")
        other = k.value(f"add i64 {j}, {k.value(f'zext i1 {first} to i64')}")
        with loop(k, 0, n) as i:
            real.store(converted(k, v.load(i, column), v.element, real.element), i, j)
            part = v.load(i, other)
            part = k.value(f"select i1 {second}, double {k.value(f'fneg double {part}')}, double {part}")
            moves = k.value(f"or i1 {first}, {second}")
            part = k.value(f"select i1 {moves}, double {part}, double 0.0")
            imag.store(converted(k, part, v.element, imag.element), i, j)
