"""Reductions that leave NaN out: nansum, nanmean, nanmax, nanvar, ...

Invariant: a NaN contributes neither to the value nor to the derivative.
Start at ``nansum``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError
from staged_ad.ir.types import canonical_dtype
from staged_ad.numpy.arrays import asarray, refuse
from staged_ad.numpy.halves import in_single
from staged_ad.numpy.promotion import as_value
from staged_ad.numpy.reducing import root_of_variance
from staged_ad.primitives.linalg import require


def _replaced(a: Any, value: float) -> Any:
    x = asarray(a)
    return np.where(np.isnan(x), x.dtype.type(value), x) if x.dtype.kind in "fc" else x


def _check_dtype(name: str, dtype: Any) -> None:
    if dtype is not None and canonical_dtype(dtype).kind not in "fc":
        raise DTypeError(f"np.{name}: if a is inexact, then dtype must be inexact")


def _nan_total(name: str, function: Callable[..., Any], nothing: float) -> Callable[..., Any]:
    def reduce(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = np._NoValue,
        where: Any = np._NoValue,
    ) -> Any:
        refuse(name, out=out)
        x = _replaced(a, nothing)
        return function(x, axis=axis, dtype=dtype, keepdims=keepdims, initial=initial, where=where)

    return reduce


def _nan_extremum(name: str, function: Callable[..., Any], fill: float) -> Callable[..., Any]:
    def reduce(
        a: Any,
        axis: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = np._NoValue,
        where: Any = np._NoValue,
    ) -> Any:
        refuse(name, out=out)
        x = asarray(a)
        value = function(_replaced(x, fill), axis=axis, keepdims=keepdims, initial=initial, where=where)
        if x.dtype.kind != "f" or initial is not np._NoValue:
            return value
        nothing = np.all(np.isnan(x), axis=axis, keepdims=keepdims, where=where)
        return np.where(nothing, x.dtype.type(np.nan), value)

    return reduce


nansum = _nan_total("nansum", np.sum, 0)
nanprod = _nan_total("nanprod", np.prod, 1)
nanmax = _nan_extremum("nanmax", np.max, -np.inf)
nanmin = _nan_extremum("nanmin", np.min, np.inf)


def _arg(function: Callable[..., Any], fill: float) -> Callable[..., Any]:
    def find(a: Any, axis: int | None = None, out: Any = None, *, keepdims: Any = False) -> Any:
        refuse(f"nan{function.__name__}", out=out)
        x = asarray(a)
        found = function(_replaced(x, fill), axis=axis, keepdims=keepdims)
        if x.dtype.kind not in "fc" or not found.size:
            return found
        return require(found, ~np.all(np.isnan(x), axis=axis, keepdims=keepdims), error="nan")

    return find


def _counted(x: Any, axis: Any, keepdims: Any, where: Any) -> Any:
    return np.sum(~np.isnan(x), axis=axis, dtype=np.intp, keepdims=keepdims, where=where)


@in_single
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = np._NoValue
) -> Any:
    refuse("nanmean", out=out)
    x = asarray(a)
    if x.dtype.kind not in "fc":
        return np.mean(x, axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    _check_dtype("nanmean", dtype)
    total = np.sum(_replaced(x, 0), axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    return total / _counted(x, axis, keepdims, where).astype(total.real.dtype)


@in_single
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = np._NoValue,
    mean: Any = np._NoValue,
    correction: Any = np._NoValue,
) -> Any:
    refuse("nanvar", out=out)
    if correction is not np._NoValue:
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    x = asarray(a)
    if x.dtype.kind not in "fc":
        return np.var(x, axis=axis, dtype=dtype, ddof=ddof, keepdims=keepdims, where=where, mean=mean)
    _check_dtype("nanvar", dtype)
    center = nanmean(x, axis, dtype, keepdims=True, where=where) if mean is np._NoValue else mean
    center = center if x.dtype.kind == "c" else np.real(center)
    difference = np.where(np.isnan(x), x.dtype.type(0), (x - center).astype(x.dtype))
    square = difference**2 if x.dtype.kind == "f" else difference.real**2 + difference.imag**2
    count = _counted(x, axis, keepdims, where)
    total = np.sum(square, axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    return total / np.where(count > ddof, count - ddof, np.nan).astype(total.real.dtype)


@in_single
@functools.wraps(nanvar, assigned=(), updated=())  # it takes what nanvar takes
def nanstd(a: Any, *args: Any, **kwargs: Any) -> Any:
    return root_of_variance("nanstd", as_value(nanvar(a, *args, **kwargs)))


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.nansum: nansum,
    np.nanprod: nanprod,
    np.nanmax: nanmax,
    np.nanmin: nanmin,
    np.nanargmax: _arg(np.argmax, -np.inf),
    np.nanargmin: _arg(np.argmin, np.inf),
    np.nanmean: nanmean,
    np.nanvar: nanvar,
    np.nanstd: nanstd,
}
