"""An OpenBLAS of our own with one thread per call, and products of matrices split by fixed rules.

Invariant: a product is cut at places that its sizes alone decide, so any number of threads gives the same bits.
Start at `product_address`; where the library comes from is `blas_symbols`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from staged_ad.frames import package_folder
from staged_ad.native import blas_code, thread_pool
from staged_ad.native.copies import copied, in_memory
from staged_ad.native.linking import NativeCode
from staged_ad.native.objects import shared_code
from staged_ad.native.once import once
from staged_ad.tracing.libraries import Late, numba

NAMES: Final = ("sgemm_", "dgemm_", "sgemv_", "dgemv_")


@once
def blas_symbols() -> Mapping[str, int]:
    """Addresses of ``sgemm_ dgemm_ sgemv_ dgemv_``: Fortran calling convention, 32-bit integers."""
    library = _private_openblas()
    if library is None:
        return {name: _from_scipy(name) for name in NAMES}
    return {name: ctypes.cast(getattr(library, "scipy_" + name), ctypes.c_void_p).value or 0 for name in NAMES}


@once
def product_address(name: str, serial: bool = False) -> int:
    """The address of a row-major product, for ``T`` in ``f32`` and ``f64``; sizes must be below 2**31.

    ``void staged_gemm_T(i64 transA, i64 transB, i64 M, i64 N, i64 K, ptr A, i64 lda, ptr B, i64 ldb, ptr C, i64 ldc)``
        ``C[M, N] = op(A)[M, K] op(B)[K, N]``; a leading dimension counts elements from row to row as stored.
    ``void staged_gemv_T(i64 trans, i64 M, i64 N, ptr A, i64 lda, ptr x, ptr y)``
        ``y = A x`` or ``y = A^T x`` for ``A[M, N]``, with contiguous vectors.

    A `serial` one computes the same bits in the calling thread alone.
    """
    threads = thread_pool.serial_symbols() if serial else thread_pool.parallel_symbols()
    # SciPy's own OpenBLAS has threads of its own, which a second split would only disturb.
    split = _private_openblas() is not None
    kind: blas_code.Kind = "f32" if name.endswith("f32") else "f64"
    write = blas_code.gemm_text if "gemm" in name else blas_code.gemv_text
    code = shared_code(f"{name} {split}", lambda: write(kind, split), {**blas_symbols(), **threads})
    _kept.append(code)
    return code.address


def lapack_address(name: str) -> int:
    """The address of a routine of BLAS or LAPACK, such as ``dpotrf``: Fortran calling convention, 32-bit integers."""
    library = _private_openblas()
    if library is not None and hasattr(library, f"scipy_{name}_"):
        return ctypes.cast(getattr(library, f"scipy_{name}_"), ctypes.c_void_p).value or 0
    module = "cython_blas" if hasattr(_cython_blas, name) else "cython_lapack"
    return int(numba.extending.get_cython_function_address(f"scipy.linalg.{module}", name))


_cython_blas: Any = Late("scipy.linalg.cython_blas")
_kept: Final[list[NativeCode]] = []


@once
def _private_openblas() -> ctypes.CDLL | None:
    """A second copy of SciPy's OpenBLAS in this process, or None where SciPy brings none.

    SciPy's copy has a pool of threads that spin while they wait: beside another pool, or on a machine that
    others use, products take up to fifty times as long. Its setting is the user's, so we do not change it.
    """
    folder = os.path.join(package_folder("scipy"), os.pardir, "scipy.libs")
    brought = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = next((name for name in brought if name.startswith("libscipy_openblas-") and name.endswith(".so")), None)
    if found is None:
        return None
    try:
        with _environment({"OPENBLAS_NUM_THREADS": "1"}), _copy(os.path.join(folder, found)) as path:
            try:
                library = ctypes.CDLL(path)
            except OSError:  # what it needs is found by name once it is loaded; where NumPy brings the same, it is
                _load([os.path.join(folder, name) for name in brought if "openblas" not in name])
                library = ctypes.CDLL(path)
    except OSError:
        return None
    return library if all(hasattr(library, "scipy_" + name) for name in NAMES) else None


def _load(libraries: Iterable[str]) -> None:
    """Load those of some libraries that can be."""
    for path in libraries:
        with contextlib.suppress(OSError):
            ctypes.CDLL(path)


@contextlib.contextmanager
def _copy(source: str) -> Iterator[str]:
    """A copy of a library: the loader would find an equal inode loaded already."""
    kept = copied(source)
    handle = in_memory(source) if kept is None else kept
    try:
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _from_scipy(name: str) -> int:
    return int(numba.extending.get_cython_function_address("scipy.linalg.cython_blas", name.rstrip("_")))
