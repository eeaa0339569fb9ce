"""np.linalg: norms, condition, rank, and the names that np.linalg shares with np.

Invariant: a norm at a kink has the subgradient of docs/kinks.md: extrema that tie share equally, corners have slope 0.
Start at ``norm``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import LinAlgError
from staged_ad.ir.types import check_axis
from staged_ad.numpy.halves import in_single
from staged_ad.numpy.linalg import FUNCTIONS as FACTORISATIONS
from staged_ad.numpy.linalg import as_matrix, eigvalsh, svdvals
from staged_ad.numpy.multiplying import matmul, outer, tensordot
from staged_ad.numpy.promotion import as_value, to_dtype, to_float
from staged_ad.numpy.reducing import Axis, normalize_axes, square_of_modulus
from staged_ad.numpy.reducing import any as any_of
from staged_ad.numpy.reducing import max as maximum_of
from staged_ad.numpy.reducing import min as minimum_of
from staged_ad.numpy.reducing import sum as sum_of
from staged_ad.numpy.shaping import matrix_transpose, moveaxis, where
from staged_ad.numpy.ufuncs import absolute, isnan, not_equal, true_divide
from staged_ad.primitives import exponential as e
from staged_ad.primitives import linalg_solving as solving
from staged_ad.primitives.linalg import identity_like
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import reshape, stop_gradient


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """Norms of vectors and matrices. The derivative at 0 is 0."""
    value = to_float(x)
    ndim = typeof(value).ndim
    if axis is None and (ord is None or (ord == 2 and ndim == 1) or (ord in ("f", "fro") and ndim == 2)):
        return _euclidean(value, None, keepdims)
    axes = list(range(ndim)) if axis is None else [axis] if isinstance(axis, int | np.integer) else list(axis)
    if len(axes) == 1:
        return vector_norm(value, axis=int(axes[0]), keepdims=keepdims, ord=2 if ord is None else ord)
    if len(axes) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    return _matrix_norm(value, (int(axes[0]), int(axes[1])), keepdims, "fro" if ord is None else ord)


@in_single
def _euclidean(value: Any, axis: Axis, keepdims: bool) -> Any:
    return e.sqrt(sum_of(square_of_modulus(value), axis=axis, keepdims=keepdims))


def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Norms of vectors; without an axis, or with several, these axes make one vector."""
    value = to_float(x)
    shape = typeof(value).shape
    if axis is not None:
        normalize_axes(axis, len(shape))
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order {ord!r} for vectors")
    magnitude = absolute(value)
    if ord == np.inf:
        return _largest(magnitude, axis, keepdims)
    if ord == -np.inf:
        return minimum_of(magnitude, axis=axis, keepdims=keepdims)
    if ord == 0:
        return sum_of(to_dtype(not_equal(value, 0), typeof(magnitude).dtype), axis=axis, keepdims=keepdims)
    if ord == 1:
        return sum_of(magnitude, axis=axis, keepdims=keepdims)
    if ord is None or ord == 2:
        return _euclidean(value, axis, keepdims)
    return sum_of(magnitude**ord, axis=axis, keepdims=keepdims) ** (1 / ord)


def _largest(magnitude: Any, axis: Axis, keepdims: bool = False) -> Any:
    """Of no elements 0."""
    initial = {} if typeof(magnitude).size else {"initial": 0}
    return maximum_of(magnitude, axis=axis, keepdims=keepdims, **initial)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return _matrix_norm(to_float(x), (-2, -1), keepdims, ord)


def _matrix_norm(value: Any, axes: tuple[int, int], keepdims: bool, ord: Any) -> Any:
    ndim = typeof(value).ndim
    row, column = (check_axis(k, ndim) for k in axes)
    if row == column:
        raise ValueError("Duplicate axes given.")
    if ord in (None, "fro", "f"):
        return _euclidean(value, (row, column), keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        summed, other = (row, column) if abs(ord) == 1 else (column, row)
        sums = sum_of(absolute(value), axis=summed, keepdims=True)
        result = (_largest if ord > 0 else minimum_of)(sums, axis=other, keepdims=True)
    elif ord in (2, -2, "nuc"):
        result = _of_singular_values(moveaxis(value, (row, column), (-2, -1)), ord)
        shape = typeof(value).shape
        result = reshape(result, shape=tuple(1 if k in (row, column) else n for k, n in enumerate(shape)))
    else:
        raise ValueError("Invalid norm order for matrices.")
    if keepdims:
        return result
    shape = typeof(result).shape
    return reshape(result, shape=tuple(n for k, n in enumerate(shape) if k not in (row, column)))


def _of_singular_values(value: Any, ord: Any) -> Any:
    s = svdvals(as_matrix(value))
    if ord == "nuc":
        return sum_of(_without_noise(s), axis=-1)
    return (_largest if ord == 2 else minimum_of)(s, axis=-1)


def _without_noise(s: Any) -> Any:
    """Singular values that are rounding are 0, and have derivative 0: that of least norm."""
    if typeof(s).shape[-1] == 0:
        return s
    least = np.finfo(typeof(s).dtype).eps * typeof(s).shape[-1]
    return where(s > stop_gradient(maximum_of(s, axis=-1, keepdims=True)) * float(least), s, 0.0)


def cond(x: Any, p: Any = None) -> Any:
    """The condition number; inf for singular matrices."""
    if 0 in typeof(as_value(x)).shape[-2:]:
        raise LinAlgError("cond is not defined on empty arrays")
    value = as_matrix(x, square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        s = svdvals(value)
        largest, least = s[..., 0], s[..., -1]
        result = true_divide(least, largest) if p == -2 else true_divide(largest, least)
    else:
        axes = (-2, -1)
        result = norm(value, p, axes) * norm(_inverse_or_nan(value), p, axes)
    nothing = any_of(isnan(value), axis=(-2, -1))
    return where(isnan(result) & ~nothing, np.inf, result)


def _inverse_or_nan(a: Any) -> Any:
    factors, _, order = solving.lu(stop_gradient(a))
    n = typeof(a).shape[-1]
    return solving.lu_solve(factors, order, a, identity_like(a, n, n), trans=False)


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    value = as_value(A)
    if typeof(value).ndim < 2:
        return to_dtype(any_of(not_equal(value, 0)), np.dtype("int64"))
    value = as_matrix(value)
    s = stop_gradient(absolute(eigvalsh(value)) if hermitian else svdvals(value))
    if tol is None:
        if rtol is None:
            rtol = max(typeof(value).shape[-2:]) * float(np.finfo(typeof(s).dtype).eps)
        bound = maximum_of(s, axis=-1, keepdims=True, initial=0) * np.asarray(rtol, typeof(s).dtype)[..., None]
    elif rtol is not None:
        raise ValueError("`tol` and `rtol` can't be both set.")
    else:
        bound = np.asarray(tol)[..., None]
    return sum_of(s > bound, axis=-1)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    return np.trace(x, offset, axis1=-2, axis2=-1, dtype=dtype)


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return np.diagonal(x, offset, axis1=-2, axis2=-1)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    for x in (x1, x2):
        if typeof(as_value(x)).shape[axis] != 3:
            raise ValueError("Both input arrays must be (arrays of) 3-dimensional vectors")
    return np.cross(x1, x2, axis=axis)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    product: Any = np.vecdot
    return product(x1, x2, axis=axis)


def _outer(x1: Any, x2: Any, /) -> Any:
    if typeof(as_value(x1)).ndim != 1 or typeof(as_value(x2)).ndim != 1:
        raise ValueError("Input arrays must be one-dimensional")
    return outer(x1, x2)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    **FACTORISATIONS,
    **{
        getattr(np.linalg, f.__name__): f
        for f in (norm, vector_norm, matrix_norm, cond, matrix_rank, trace, diagonal, cross, vecdot)
    },
    np.linalg.outer: _outer,
    np.linalg.matmul: lambda x1, x2, /: matmul(x1, x2),
    np.linalg.tensordot: lambda x1, x2, /, *, axes=2: tensordot(x1, x2, axes),
    np.linalg.matrix_transpose: matrix_transpose,
}
"""Everything of np.linalg that works on traced values."""
