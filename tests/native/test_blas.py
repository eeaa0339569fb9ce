"""Products of row-major matrices: right for every orientation and size, the same bits with any threads."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest
import scipy

from staged_ad.native import blas, threads

Array = npt.NDArray[Any]
KINDS = {"f32": np.float32, "f64": np.float64}
INT, PTR = ctypes.c_int64, ctypes.c_void_p


def blas_brought() -> bool:
    return any(Path(scipy.__file__).parents[1].glob("scipy.libs/libscipy_openblas-*.so"))


def gemm(kind: str, a: Array, b: Array, trans_a: int, trans_b: int) -> Array:
    m, k = a.shape[::-1] if trans_a else a.shape
    n = b.shape[0] if trans_b else b.shape[1]
    c = np.full((m, n), np.nan, a.dtype)
    function = ctypes.CFUNCTYPE(None, INT, INT, INT, INT, INT, PTR, INT, PTR, INT, PTR, INT)(
        blas.product_address(f"staged_gemm_{kind}")
    )
    function(trans_a, trans_b, m, n, k, a.ctypes.data, a.shape[1], b.ctypes.data, b.shape[1], c.ctypes.data, n)
    return c


def gemv(kind: str, a: Array, x: Array, trans: int) -> Array:
    m, n = a.shape
    y = np.full(n if trans else m, np.nan, a.dtype)
    function = ctypes.CFUNCTYPE(None, INT, INT, INT, PTR, INT, PTR, PTR)(blas.product_address(f"staged_gemv_{kind}"))
    function(trans, m, n, a.ctypes.data, n, x.ctypes.data, y.ctypes.data)
    return y


def integers(shape: tuple[int, ...], dtype: Any) -> Array:
    """Small whole numbers, whose products and sums are exact."""
    return np.random.default_rng(0).integers(-4, 5, shape).astype(dtype)


def each_count_of_threads(compute: Any) -> list[Array]:
    before, results = threads.get_num_threads(), []
    for count in sorted({1, numba.config.NUMBA_NUM_THREADS}):
        threads.set_num_threads(count)
        results.append(compute())
    threads.set_num_threads(before)
    return results


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trans", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize(
    "size", [(1, 1, 1), (3, 5, 4), (17, 0, 3), (0, 4, 3), (2, 3, 0), (128, 256, 784), (300, 70, 999), (70, 901, 300)]
)
def test_gemm_is_the_product(kind: str, trans: tuple[int, int], size: tuple[int, int, int]) -> None:
    m, n, k = size
    a = integers((k, m) if trans[0] else (m, k), KINDS[kind])
    b = integers((n, k) if trans[1] else (k, n), KINDS[kind])
    want = (a.T if trans[0] else a) @ (b.T if trans[1] else b)
    np.testing.assert_array_equal(gemm(kind, a, b, *trans), want)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (0, 3), (3, 0), (20000, 50), (50, 20000), (1000, 1001)])
def test_gemv_is_the_product(kind: str, trans: int, size: tuple[int, int]) -> None:
    a = integers(size, KINDS[kind])
    x = integers((size[0] if trans else size[1],), KINDS[kind])
    np.testing.assert_array_equal(gemv(kind, a, x, trans), (a.T if trans else a) @ x)


@pytest.mark.parametrize("kind", KINDS)
def test_the_number_of_threads_changes_no_bit(kind: str) -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(shape).astype(KINDS[kind]) for shape in ((333, 411), (411, 257)))
    tall, x = rng.standard_normal((30011, 37)).astype(KINDS[kind]), rng.standard_normal(30011).astype(KINDS[kind])
    first, *others = each_count_of_threads(lambda: np.append(gemm(kind, a, b, 0, 0).ravel(), gemv(kind, tall, x, 1)))
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_the_fortran_functions_have_addresses() -> None:
    symbols = blas.blas_symbols()
    assert sorted(symbols) == ["dgemm_", "dgemv_", "sgemm_", "sgemv_"]
    assert all(symbols.values())


WITHOUT_FORTRAN = """
import ctypes
import numpy as np
import staged_ad as sad

load, loaded = ctypes.CDLL, []

def picky(path, *args, **kwargs):
    name = str(path)
    if "/proc/self/fd/" in name and not any("gfortran" in other for other in loaded):
        raise OSError("libgfortran: cannot open shared object file")
    loaded.append(name)
    return load(path, *args, **kwargs)

ctypes.CDLL = picky
a = np.arange(10000.0).reshape(100, 100)
assert np.array_equal(sad.jit(lambda a: a @ a)(a), a @ a)
assert [any(word in name for name in loaded) for word in ("gfortran", "/proc/self/fd/")] == [True, True], loaded
"""


@pytest.mark.skipif(not blas_brought(), reason="SciPy brings no OpenBLAS of its own")
def test_libraries_that_openblas_needs_are_loaded_where_numpy_brings_others() -> None:
    environment = os.environ | {"STAGED_AD_CACHE": "0"}
    subprocess.run([sys.executable, "-c", WITHOUT_FORTRAN], check=True, env=environment)


THEN_SCIPY = """
import ctypes
import os
import numpy as np
import staged_ad as sad
from staged_ad.native.blas import _private_openblas

before = dict(os.environ)
f = sad.jit(lambda a: a @ a)
a = np.random.default_rng(0).normal(size=(300, 300))
product = f(a)
import scipy.linalg._fblas as theirs

library = ctypes.CDLL(theirs.__file__)
print(library.scipy_openblas_get_num_threads(), _private_openblas().scipy_openblas_get_num_threads())
library.scipy_openblas_set_num_threads(2)
print(_private_openblas().scipy_openblas_get_num_threads(), np.array_equal(f(a), product), before == os.environ)
"""


@pytest.mark.skipif(not blas_brought(), reason="SciPy brings no OpenBLAS of its own")
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="OpenBLAS has one thread anyway")
@pytest.mark.parametrize("first", ["", "import scipy.linalg"])
@pytest.mark.parametrize("cache", ["0", "1"])
def test_scipy_has_an_openblas_of_its_own_whoever_comes_first(cache: str, first: str, tmp_path: Path) -> None:
    environment = os.environ | {"STAGED_AD_CACHE": cache, "STAGED_AD_CACHE_DIR": str(tmp_path / "cache")}
    environment["OPENBLAS_NUM_THREADS"] = "2"
    for _ in range(2):
        script = [sys.executable, "-c", first + THEN_SCIPY]
        found = subprocess.run(script, check=True, env=environment, stdout=subprocess.PIPE, text=True)
        assert found.stdout.splitlines() == ["2 1", "1 True True"]
