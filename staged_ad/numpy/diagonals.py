"""Diagonals and triangles: diag, diagonal, trace, tril, triu, vander.

Invariant: diagonals are slices of a flattened array, so they cost what they have.
Start at ``diagonal``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.numpy.arrays import asarray, axis_of, refuse


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    x = asarray(a)
    if x.ndim < 2:
        raise ShapeError("diag requires an array of at least two dimensions")
    first, second = axis_of(x, axis1), axis_of(x, axis2)
    if first == second:
        raise ShapeError("axis1 and axis2 cannot be the same")
    x = np.moveaxis(x, (first, second), (-2, -1))
    row, column = max(-offset, 0), max(offset, 0)
    n = max(min(x.shape[-2] - row, x.shape[-1] - column), 0)
    square = x[..., row : row + n, column : column + n]
    return square.reshape((*square.shape[:-2], n * n))[..., :: n + 1]


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    refuse("trace", out=out)
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


def diag(v: Any, k: int = 0) -> Any:
    x = asarray(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError("Input must be 1- or 2-d.")
    n = x.size
    rows = np.pad(x[:, None], ((0, 0), (0, n)))  # of length n + 1, so each starts one further in the square
    square = rows.reshape(-1)[: n * n].reshape(n, n)
    return np.pad(square, ((max(-k, 0), max(k, 0)), (max(k, 0), max(-k, 0))))


def diagflat(v: Any, k: int = 0) -> Any:
    return diag(asarray(v).reshape(-1), k)


def _triangle(m: Any, k: int, lower: bool) -> Any:
    x = asarray(m)
    if x.ndim == 1:
        x = np.broadcast_to(x, (x.size, x.size))  # as NumPy, whose mask has the shape of a square then
    inside = np.tri(x.shape[-2], x.shape[-1], k if lower else k - 1, dtype=bool)
    return np.where(inside if lower else ~inside, x, x.dtype.type(0))


def tril(m: Any, k: int = 0) -> Any:
    return _triangle(m, k, lower=True)


def triu(m: Any, k: int = 0) -> Any:
    return _triangle(m, k, lower=False)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    x = asarray(x)
    if x.ndim != 1:
        raise ShapeError("x must be a one-dimensional array or sequence.")
    count = len(x) if N is None else operator.index(N)
    if count < 0:
        raise ShapeError(f"np.vander: negative dimensions are not allowed, got N={N}")
    kind = np.result_type(x.dtype, int)
    powers = [np.ones(len(x), kind)]
    while len(powers) < count:
        powers.append(powers[-1] * x)
    columns = powers[:count]
    return np.stack(columns if increasing else columns[::-1], axis=1) if columns else np.zeros((len(x), 0), kind)


def _of_shape(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that reads nothing but the shape of its first argument."""
    return lambda arr, *args, **kwargs: function(np.broadcast_to(np.False_, np.shape(arr)), *args, **kwargs)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.diagonal: diagonal,
    np.trace: trace,
    np.diag: diag,
    np.diagflat: diagflat,
    np.tril: tril,
    np.triu: triu,
    np.vander: vander,
    np.diag_indices_from: _of_shape(np.diag_indices_from),
    np.tril_indices_from: _of_shape(np.tril_indices_from),
    np.triu_indices_from: _of_shape(np.triu_indices_from),
}
METHODS: dict[str, Callable[..., Any]] = {"diagonal": diagonal, "trace": trace}
