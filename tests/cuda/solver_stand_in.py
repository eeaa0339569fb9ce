"""What cuSOLVER, cuBLAS and Thrust do, as CuPy calls them, by LAPACK and NumPy over the memory of the host.

They differ from LAPACK where NVIDIA's libraries may: vectors have other signs, behind a pivot that is zero there is
NaN, floating-point numbers are sorted by their bits, and a failure is raised only where it is asked for.

Invariant: signatures are those of CuPy 14; arrays are NumPy's, which cupy_stand_in.py wraps.
Start at ``LINALG`` and ``SOLVER``.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.linalg

_asked = threading.local()
calls: list[str] = []
"""The names of the functions that have been called, so that tests see who computed something."""


@contextmanager
def errstate(*, linalg: str) -> Iterator[None]:
    assert linalg in ("ignore", "raise")
    before, _asked.linalg = getattr(_asked, "linalg", "ignore"), linalg
    try:
        yield
    finally:
        _asked.linalg = before


def _noted(f: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(f.__name__)
        try:
            return f(*args, **kwargs)
        except np.linalg.LinAlgError:
            if getattr(_asked, "linalg", "ignore") == "raise":
                raise
            return np.full(args[0].shape, np.nan, args[0].dtype)

    return call


# -- cupy.linalg ------------------------------------------------------------------------------------------------------


@_noted
def cholesky(a: Any) -> Any:
    return np.linalg.cholesky(a)


@_noted
def eigh(a: Any, UPLO: str = "L") -> Any:  # as CuPy names it
    w, v = np.linalg.eigh(a, UPLO)  # type: ignore[call-overload]
    return w, -v


@_noted
def eigvalsh(a: Any, UPLO: str = "L") -> Any:  # as CuPy names it
    return np.linalg.eigvalsh(a, UPLO)  # type: ignore[arg-type]


@_noted
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    if not compute_uv:
        return np.linalg.svd(a, compute_uv=False)
    u, s, vh = np.linalg.svd(a, full_matrices=full_matrices)
    return -u, s, -vh


@_noted
def qr(a: Any, mode: str = "reduced") -> Any:
    assert mode in ("reduced", "complete")
    q, r = np.linalg.qr(a, mode=mode)  # type: ignore[call-overload]
    return -q, -r


LINALG = SimpleNamespace(cholesky=cholesky, eigh=eigh, eigvalsh=eigvalsh, svd=svd, qr=qr)


@_noted
def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False,
    overwrite_b: bool = False, check_finite: bool = False,
) -> Any:  # fmt: skip
    assert a.shape[:-2] == b.shape[: a.ndim - 2]
    assert not overwrite_b
    assert not check_finite
    x = np.empty_like(b)
    with np.errstate(all="ignore"):
        for index in np.ndindex(a.shape[:-2]):
            (trsm,) = scipy.linalg.get_blas_funcs(("trsm",), (a, b))
            x[index] = trsm(1.0, a[index], b[index], lower=lower, trans_a=trans, diag=unit_diagonal)
    return x


# -- cuSOLVER and cuBLAS by addresses: matrices lie in the order of columns ------------------------------------------


def _memory(address: int, shape: tuple[int, ...], dtype: Any) -> Any:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.ndarray(shape, dtype, (ctypes.c_char * size).from_address(address))


def _factored(a: Any, pivots: Any, info: Any) -> None:
    (getrf,) = scipy.linalg.get_lapack_funcs(("getrf",), (a,))
    factors, found, info[...] = getrf(a)
    if info > 0:
        factors[info:, info - 1 :] = np.nan
    a[...], pivots[...] = factors, found + 1


def _getrf(dtype: str) -> Callable[..., None]:
    def getrf(handle: int, m: int, n: int, A: int, lda: int, work: int, ipiv: int, info: int) -> None:
        assert handle == 2
        assert lda == m
        _memory(work, (m,), dtype).fill(7)
        calls.append("getrf")
        _factored(_memory(A, (n, m), dtype).T, _memory(ipiv, (min(m, n),), np.int32), _memory(info, (), np.int32))

    return getrf


def _getrf_buffer(handle: int, m: int, n: int, A: int, lda: int) -> int:
    return m


def _getrf_batched(dtype: str) -> Callable[..., None]:
    def getrf(handle: int, n: int, A: int, lda: int, pivots: int, info: int, count: int) -> None:
        assert handle == 1
        assert lda == n
        calls.append("getrfBatched")
        for k, address in enumerate(_memory(A, (count,), np.uintp).tolist()):
            numbers = _memory(pivots + 4 * n * k, (n,), np.int32)
            _factored(_memory(address, (n, n), dtype).T, numbers, _memory(info + 4 * k, (), np.int32))

    return getrf


_DTYPES = {"s": "float32", "d": "float64", "c": "complex64", "z": "complex128"}
SOLVER = {f"{letter}getrf": _getrf(dtype) for letter, dtype in _DTYPES.items()} | {
    f"{letter}getrf_bufferSize": _getrf_buffer for letter in _DTYPES
}
BLAS = {f"{letter}getrfBatched": _getrf_batched(dtype) for letter, dtype in _DTYPES.items()}


# -- sorting ----------------------------------------------------------------------------------------------------------


def _bits(x: Any) -> Any:
    """Integers in the order in which Thrust sorts: by the bits of numbers, zeros of both signs being equal."""
    if x.dtype.kind != "f":
        return x
    word = np.dtype(f"i{x.dtype.itemsize}")
    bits = np.where(x == 0, 0, x).astype(x.dtype).view(word)
    return np.where(bits < 0, np.iinfo(word).min - bits - 1, bits)


@_noted
def sort(a: Any, axis: int = -1) -> Any:
    return np.take_along_axis(a, np.argsort(_bits(a), axis=axis, kind="stable"), axis)


@_noted
def argsort(a: Any, axis: int = -1) -> Any:
    return np.argsort(_bits(a), axis=axis, kind="stable")


@_noted
def take_along_axis(a: Any, indices: Any, axis: int) -> Any:
    return np.take_along_axis(a, indices, axis)


@_noted
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int) -> None:
    np.put_along_axis(arr, indices, values, axis)


SORTING = {
    "isnan": np.isnan,
    "isfinite": np.isfinite,
    "where": np.where,
    "sort": sort,
    "argsort": argsort,
    "take_along_axis": take_along_axis,
    "put_along_axis": put_along_axis,
}
