"""Statistics of several variables, and functions that apply functions: cov, corrcoef, apply_along_axis.

Invariant: as NumPy; what counts is static, what weighs may be traced.
Start at ``cov``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.numpy.arrays import asarray, axis_of, known
from staged_ad.primitives.complexes import complex_


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    m = asarray(m)
    if m.ndim > 2 or (y is not None and np.ndim(y) > 2):
        raise ShapeError("m and y have at most 2 dimensions")
    rows = [_variables(m, rowvar)]
    if y is not None:
        rows.append(_others(asarray(y), rowvar))
    if not len(rows[0]):
        return np.zeros((0, 0))
    x = np.concatenate(rows) if len(rows) > 1 else rows[0]
    x = x.astype(np.result_type(x.dtype, np.float64) if dtype is None else dtype)
    degrees = (0 if bias else 1) if ddof is None else ddof
    given = {"fweights": fweights, "aweights": aweights}
    weights = [_weights(name, asarray(w), x.shape[1]) for name, w in given.items() if w is not None]
    w = None if not weights else weights[0] if len(weights) == 1 else weights[0] * weights[1]
    mean = np.average(x, axis=1, weights=w)
    total = float(x.shape[1]) if w is None else np.sum(w)
    if degrees == 0:
        factor = total
    elif w is None or aweights is None:
        factor = total - degrees
    else:
        factor = total - degrees * np.sum(w * asarray(aweights)) / total
    factor = np.maximum(factor, 0.0)
    x = x - mean[:, None]
    weighted = x if w is None else x * w
    return np.squeeze(np.matmul(x, weighted.T.conj()) / (float(factor) if w is None else factor))


def _weights(name: str, w: Any, count: int) -> Any:
    """What weighs the samples, as floats; traced weights are taken to be such as NumPy allows."""
    if w.shape != (count,):
        raise ShapeError(f"np.cov: {name} of shape {w.shape} for {count} samples; each takes one number")
    numbers = known(w)
    if numbers is not None:
        if name == "fweights" and np.any(numbers != np.around(numbers)):
            raise TypeError("fweights must be integer; those of aweights may be any numbers")
        if np.any(numbers < 0):
            raise ValueError(f"{name} cannot be negative")
    return w.astype(float)


def _variables(x: Any, rowvar: bool) -> Any:
    """One variable in each row."""
    table = np.atleast_2d(x)
    return table.T if not rowvar and x.ndim != 1 else table


def _others(y: Any, rowvar: bool) -> Any:
    """Those of `y`, which NumPy takes for one variable where it has one row."""
    table = np.atleast_2d(y)
    return table.T if not rowvar and len(table) != 1 else table


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    deviation = np.sqrt(np.diagonal(c).real)
    found = c / deviation[:, None] / deviation[None, :]
    if found.dtype.kind == "c":
        return complex_(np.clip(found.real, -1, 1), np.clip(found.imag, -1, 1))
    return np.clip(found, -1, 1)


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """np.apply_along_axis: one call for each line, each recorded; staged_ad.vmap records one for all."""
    x = np.moveaxis(asarray(arr), axis_of(asarray(arr), axis), -1)
    outer = x.shape[:-1]
    if 0 in outer:
        raise ShapeError("Cannot apply_along_axis when any iteration dimensions are 0")
    results = [asarray(func1d(x[index], *args, **kwargs)) for index in product(*map(range, outer))]
    stacked = np.stack(results)
    inner = stacked.shape[1:]
    place = axis_of(asarray(arr), axis)
    found = stacked.reshape((*outer, *inner))
    ends = range(len(outer), len(outer) + len(inner))
    return np.moveaxis(found, list(ends), list(range(place, place + len(inner)))) if inner else found


def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    x = asarray(a)
    for axis in [axes] if np.ndim(axes) == 0 else axes:
        result = func(x, axis_of(x, axis))
        x = result if result.ndim == x.ndim else np.expand_dims(result, axis_of(x, axis))
    return x


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.cov: cov,
    np.corrcoef: corrcoef,
    np.apply_along_axis: apply_along_axis,
    np.apply_over_axes: apply_over_axes,
}
