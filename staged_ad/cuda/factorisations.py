"""Factorisations of matrices by cuSOLVER and cuBLAS, through CuPy: stacks of matrices in, stacks out.

Their methods are not those of LAPACK to the last step, so that what a method is free to choose differs: the signs and
phases of eigenvectors, singular vectors and the columns of q, the basis of an eigenspace, which of equal pivots is
taken. Derivatives follow from the vectors and pivots that were found, and need no particular ones.

Invariant: no function writes to its operands. One that returns None has met what the library computes otherwise than
LAPACK; the host does it.
Start at ``FACTORISATIONS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from staged_ad.primitives.linalg import failure
from staged_ad.primitives.linalg_solving import exchanged
from staged_ad.tracing.libraries import Late

_cupyx: Any = Late("cupyx")
_scipy: Any = Late("cupyx.scipy.linalg")

SMALL: Final = 32
"""Rows up to which cuSOLVER's methods for many matrices at once are made; beyond, one is done after the other."""
_LETTERS: Final = {"f": "s", "d": "d", "F": "c", "D": "z"}


@contextmanager
def _failing(name: str) -> Iterator[None]:
    """Raise the error of that name where cuSOLVER says that it has failed, which CuPy asks for only if told to."""
    try:
        with _cupyx.errstate(linalg="raise"):
            yield
    except np.linalg.LinAlgError:
        raise failure(name) from None


def _cholesky(cupy: Any, a: Any) -> list[Any]:
    with _failing("definite"):
        return [cupy.linalg.cholesky(a)]


def _eigh(cupy: Any, a: Any, *, vectors: bool, lower: bool) -> list[Any]:
    triangle = "L" if lower else "U"

    def find(a: Any) -> list[Any]:
        return list(cupy.linalg.eigh(a, triangle)) if vectors else [cupy.linalg.eigvalsh(a, triangle)]

    with _failing("eigenvalues"):
        return find(a) if a.shape[-1] <= SMALL else _one_by_one(cupy, find, a)


def _one_by_one(cupy: Any, f: Callable[[Any], list[Any]], a: Any) -> list[Any]:
    """`f` of each matrix of a stack."""
    if a.ndim == 2:
        return f(a)
    lead, flat = a.shape[:-2], a.reshape((-1, *a.shape[-2:]))
    found = zip(*[f(flat[k]) for k in range(len(flat))], strict=True)
    return [cupy.stack(values).reshape((*lead, *values[0].shape)) for values in found]


def _svd(cupy: Any, a: Any, *, vectors: bool, full: bool) -> list[Any]:
    if not bool(cupy.isfinite(a).all()):
        raise failure("svd")
    with _failing("svd"):
        found = cupy.linalg.svd(a, full_matrices=full, compute_uv=vectors)
    return list(found) if vectors else [found]


def _qr(cupy: Any, a: Any, *, complete: bool) -> list[Any]:
    return list(cupy.linalg.qr(a, mode="complete" if complete else "reduced"))


# -- systems ----------------------------------------------------------------------------------------------------------


def _lu(cupy: Any, a: Any) -> list[Any] | None:
    """Behind a pivot that is zero NVIDIA's libraries leave NaN, and LAPACK goes on."""
    *lead, m, n = a.shape
    count, rank, letter = math.prod(lead), min(m, n), _LETTERS[a.dtype.char]
    columns = a.swapaxes(-2, -1).copy()  # in C order, and so each matrix in the order of columns
    pivots, info = cupy.empty((*lead, rank), np.int32), cupy.empty((count,), np.int32)
    size = m * n * a.dtype.itemsize
    if m == n and n * n <= 65536 * count:  # CuPy has measured where this is the faster way
        start = columns.data.ptr
        places = cupy.arange(start, start + size * count, size, dtype=np.uintp)
        factor = getattr(cupy.cuda.cublas, f"{letter}getrfBatched")
        factor(
            cupy.cuda.device.get_cublas_handle(), n, places.data.ptr, n, pivots.data.ptr, info.data.ptr, count
        )  # fmt: skip
    else:
        handle, factor = cupy.cuda.device.get_cusolver_handle(), getattr(cupy.cuda.cusolver, f"{letter}getrf")
        room = getattr(cupy.cuda.cusolver, f"{letter}getrf_bufferSize")(handle, m, n, columns.data.ptr, m)
        work = cupy.empty((room,), a.dtype)
        for k in range(count):
            place, found = columns.data.ptr + k * size, pivots.data.ptr + k * rank * pivots.dtype.itemsize
            factor(handle, m, n, place, m, work.data.ptr, found, info.data.ptr + k * info.dtype.itemsize)
    if bool((info != 0).any()):
        return None
    rows = pivots.get() - 1  # they are counted from 1
    return [columns.swapaxes(-2, -1), rows, exchanged(rows, m)]


def _triangular(cupy: Any, a: Any, b: Any, *, lower: bool, trans: bool, unit: bool) -> list[Any]:
    return [_scipy.solve_triangular(a, b, trans=int(trans), lower=lower, unit_diagonal=unit, check_finite=False)]


def _lu_solve(cupy: Any, lu: Any, order: Any, a: Any, b: Any, *, trans: bool) -> list[Any]:
    places = order[..., None]

    def solved(x: Any, lower: bool) -> Any:
        return _triangular(cupy, lu, x, lower=lower, trans=trans, unit=lower)[0]

    if not trans:
        return [solved(solved(cupy.take_along_axis(b, places, -2), True), False)]
    y = solved(solved(b, False), True)
    return [cupy.take_along_axis(y, cupy.argsort(places, axis=-2), -2)]


FACTORISATIONS: Final[dict[str, Callable[..., Sequence[Any] | None]]] = {
    "cholesky": _cholesky,
    "eigh": _eigh,
    "svd": _svd,
    "qr": _qr,
    "lu": _lu,
    "triangular_solve": _triangular,
    "lu_solve": _lu_solve,
}
"""By the names of primitives: the module, the operands and the parameters to the results, or None."""
