"""What the libraries of the device compute, as functions that depend on nothing that a method is free to choose.

Each gives many results, so that there is one program for a shape and a dtype.

Invariant: the emulated device and a GPU run these same functions, in tests/cuda and in tests/device.
Start at ``factorised`` and ``arranged``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

import staged_ad as sad

SHAPES = [(12, 12), (40, 40), (3, 12, 12), (2, 40, 40)]
DTYPES = ["float32", "float64", "complex64", "complex128"]
LENGTH = 150
"""Of sequences that no thread should go along."""


def operands(shape: tuple[int, ...], dtype: str) -> tuple[Any, Any]:
    """Well-conditioned matrices, and right-hand sides for them."""
    rng = np.random.default_rng(3)

    def random(*shape: int) -> Any:
        return rng.normal(size=shape) + (1j * rng.normal(size=shape) if dtype.startswith("c") else 0)

    n = shape[-1]
    return (random(*shape) + 2 * n**0.5 * np.eye(n)).astype(dtype), random(*shape[:-1], 3).astype(dtype)


def _hermitian(x: Any) -> Any:
    return x + np.conj(np.swapaxes(x, -1, -2))


def _adjoint(x: Any) -> Any:
    return np.conj(np.swapaxes(x, -1, -2))


def factorised(a: Any, b: Any) -> dict[str, Any]:
    """All factorisations of a stack of matrices."""
    n, wide = a.shape[-1], a[..., : a.shape[-1] // 2, :]
    tall, h = np.swapaxes(wide, -1, -2), _hermitian(a)
    w, v = np.linalg.eigh(h)
    upper, turned = np.linalg.eigh(h, UPLO="U")
    u, s, vh = np.linalg.svd(tall, full_matrices=False)
    whole = np.linalg.svd(wide, full_matrices=True)
    q, r = np.linalg.qr(tall)
    complete = np.linalg.qr(wide, mode="complete")
    triangle = np.tril(a)
    return {
        "eigenvalues": (w, upper, np.linalg.eigvalsh(h)),
        "eigenvectors": ((v * w[..., None, :]) @ _adjoint(v), (turned * upper[..., None, :]) @ _adjoint(turned)),
        "singular values": (s, whole[1], np.linalg.svd(wide, compute_uv=False)),
        "singular vectors": ((u * s[..., None, :]) @ vh, (whole[0] * s[..., None, :]) @ whole[2][..., : n // 2, :]),
        "basis": _adjoint(whole[2]) @ whole[2],
        "qr": (q @ r, complete[0] @ complete[1], np.abs(r)),
        "solve": (np.linalg.solve(a, b), np.linalg.inv(a)),
        "det": (np.linalg.slogdet(a / 2), np.linalg.det(a / n)),
        "cholesky": np.linalg.cholesky(a @ _adjoint(a)),
        "lu": [_product(*scipy.linalg.lu(x)) for x in (wide, tall)],
        "triangular": [
            scipy.linalg.solve_triangular(triangle, b, trans=trans, lower=True, unit_diagonal=unit)
            for trans, unit in ((0, False), (1, False), (2, False), (0, True))
            if a.ndim == 2
        ],
    }


def _total(a: Any, b: Any) -> Any:
    """A number in which vectors appear, but not their signs."""
    h, tall = _hermitian(a), a[..., : a.shape[-1] // 2]
    w, v = np.linalg.eigh(h)
    u, s, vh = np.linalg.svd(tall, full_matrices=False)
    q, r = np.linalg.qr(tall)
    parts = [
        (v * np.sin(w)[..., None, :]) @ _adjoint(v),
        (u * np.cos(s)[..., None, :]) @ vh,
        np.abs(q) * np.abs(np.swapaxes(r, -1, -2)[..., :1, :]),
        np.linalg.solve(a, b),
    ]
    return sum(np.sum(np.abs(x) ** 2 + np.real(x)) for x in parts) + np.sum(np.linalg.slogdet(a)[1])


def _product(*factors: Any) -> Any:
    first, second, third = factors
    return first @ second @ third


def slopes(a: Any, b: Any) -> Any:
    """The derivative through vectors, forwards and in reverse; of real matrices also the second one."""
    first = sad.grad(_total, (0, 1))(a, b), sad.jvp(_total, (a, b), (a, b))[1]
    return first if a.dtype.kind == "c" else (*first, sad.jvp(sad.grad(_total), (a, b), (a, b))[1])


def arranged(x: Any, w: Any) -> dict[str, Any]:
    """Sorting along both axes of a matrix, and of all numbers."""
    found = {
        "sort": (np.sort(x, 0), np.sort(x, 1), np.sort(x[0]), np.sort(x[0, :5])),
        "argsort": (np.argsort(x, 0, stable=True), np.argsort(x, 1, stable=True), np.argsort(x[0], stable=True)),
        "median": np.median(np.where(np.isnan(x), 0, x), 1) if x.dtype.kind == "f" else (),
    }
    if x.dtype.kind == "f":
        found["slopes"] = [sad.grad(lambda x, k=k: np.sum(np.sort(x, k) * w))(x) for k in (0, 1)]
    return found


def sequences(dtype: str) -> tuple[Any, Any]:
    """Rows with equal numbers; with zeros and NaN of both signs where there are such."""
    rng = np.random.default_rng(4)
    x = rng.integers(0, 2 if dtype == "bool" else 60, (LENGTH, LENGTH + 1)).astype(dtype)
    if x.dtype.kind in "if":
        x = x - x.dtype.type(30)
    if x.dtype.kind == "f":
        x[x == 3] = np.nan
        x[x == 4] = -np.float64(np.nan)
        x[x == 5] = -0.0
        x[7, 7], x[8, 8] = np.inf, -np.inf
    return x, rng.normal(size=x.shape).astype(dtype if x.dtype.kind == "f" else "float64")
