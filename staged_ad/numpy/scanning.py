"""Cumulative sums and products, differences, gradients and integrals along an axis.

Invariant: signatures and result dtypes are NumPy's; `out` is refused.
Start at ``cumsum``; ``accumulate`` is the ``accumulate`` of ufuncs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, ShapeError, UnsupportedError
from staged_ad.ir.types import BOOL, INT64, canonical_dtype, check_axis
from staged_ad.numpy.indexing import getitem
from staged_ad.numpy.promotion import as_value, resolve, result_dtype, to_dtype, to_float, to_shape
from staged_ad.numpy.reducing import normalize_axes
from staged_ad.numpy.reducing import sum as sum_
from staged_ad.numpy.shaping import concatenate, moveaxis, ravel, reshape, where
from staged_ad.numpy.ufuncs import absolute, add, isnan, multiply, not_equal, subtract, true_divide
from staged_ad.primitives import arithmetic as a
from staged_ad.primitives import exponential as e
from staged_ad.primitives import scans
from staged_ad.primitives.makers import Operation, scale, typeof
from staged_ad.primitives.shaping import stop_gradient

LONGEST = 1000
"""Up to how many elements are folded or accumulated one by one; each step is recorded."""


def refuse_out(name: str, out: Any) -> None:
    if out is not None:
        raise UnsupportedError(f"np.{name}(..., out=...) is not supported on traced values; write y = np.{name}(...)")


def along(a_: Any, axis: int | None) -> tuple[Any, int]:
    """The value and the axis along which it is scanned or sorted; flat where the axis is None."""
    value = as_value(a_)
    type = typeof(value)
    if axis is None or (type.ndim == 0 and axis in (0, -1)):
        return reshape(value, -1), 0
    return to_dtype(value, type.dtype), check_axis(axis, type.ndim)


def operand(x: Any) -> Any:
    """What has Python's operators: an array or a Python number where the value is known, else a traced value."""
    value = as_value(x)
    if value.array is None:
        return value
    return value.array.item() if value.type.weak else value.array


def part(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    return getitem(x, (*(slice(None),) * axis, slice(start, stop)))


def _sum_dtype(dtype: np.dtype[Any], asked: Any) -> np.dtype[Any]:
    """Of sums and products: narrow integers and booleans are widened."""
    if asked is not None:
        return canonical_dtype(asked)
    if dtype.kind in "bi":
        return INT64
    return np.dtype("uint64") if dtype.kind == "u" else dtype


def _cumulative(name: str, operation: Operation, boolean: Operation) -> Callable[..., Any]:
    def scan(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
        refuse_out(name, out)
        value, k = along(a, axis)
        value = to_dtype(value, _sum_dtype(typeof(value).dtype, dtype))
        return (boolean if typeof(value).dtype == BOOL else operation)(value, axis=k, reverse=False)

    return scan


cumsum = _cumulative("cumsum", scans.cumsum, scans.cummax)
cumprod = _cumulative("cumprod", scans.cumprod, scans.cummin)


def _without_nan(scan: Callable[..., Any], neutral: int) -> Callable[..., Any]:
    def nan_scan(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
        value = as_value(a)
        if typeof(value).inexact:
            value = where(isnan(value), typeof(value).dtype.type(neutral), value)
        return scan(value, axis, dtype, out)

    return nan_scan


nancumsum = _without_nan(cumsum, 0)
nancumprod = _without_nan(cumprod, 1)


def _array_api(name: str, scan: Callable[..., Any], neutral: int) -> Callable[..., Any]:
    def cumulative(
        x: Any, /, *, axis: int | None = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Any:
        value = as_value(x)
        if axis is None and typeof(value).ndim > 1:
            raise ShapeError(f"np.{name}: for arrays of more than one dimension the axis is required")
        y = scan(value, axis, dtype, out)
        if not include_initial:
            return y
        k = check_axis(axis or 0, typeof(y).ndim)
        shape = typeof(y).shape
        return concatenate([np.full((*shape[:k], 1, *shape[k + 1 :]), neutral, typeof(y).dtype), y], axis=k)

    return cumulative


cumulative_sum = _array_api("cumulative_sum", cumsum, 0)
cumulative_prod = _array_api("cumulative_prod", cumprod, 1)


def _cumlogsumexp(x: Any, *, axis: int, reverse: bool) -> Any:
    """log(cumsum(exp(x))), each sum taken relative to the largest term so far.

    s[i] = s[i - 1] exp(m[i - 1] - m[i]) + exp(x[i] - m[i]) with m the running maximum, of which the result does not
    depend. An infinite maximum is no number to subtract.
    """
    largest = stop_gradient(scans.cummax(x, axis=axis, reverse=reverse))
    finite = to_dtype(a.lt(absolute(largest), math.inf), typeof(x).dtype)
    shift = scale(largest, finite)
    fades = e.exp(subtract(scans.shifted(shift, 0, axis, reverse), shift))
    total = scans.recurrence(fades, e.exp(subtract(x, shift)), axis=axis, reverse=reverse)
    return a.add(e.log(total), shift)


_ACCUMULATIONS: dict[np.ufunc, Callable[..., Any]] = {
    np.maximum: scans.cummax,
    np.minimum: scans.cummin,
    np.logical_or: scans.cummax,
    np.logical_and: scans.cummin,
    np.logaddexp: _cumlogsumexp,
}


def accumulate(ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    """``ufunc.accumulate``, where elements that share an extremum share its derivative."""
    refuse_out(f"{ufunc.__name__}.accumulate", out)
    check_loop(ufunc, dtype)
    if typeof(as_value(array)).ndim == 0:
        raise ShapeError("cannot accumulate on a scalar")
    if ufunc is np.add or ufunc is np.multiply:
        return (cumsum if ufunc is np.add else cumprod)(array, axis, dtype)
    value, k = along(array, axis)
    if dtype is not None:
        value = to_dtype(value, canonical_dtype(dtype))
    if ufunc not in _ACCUMULATIONS:
        return _step_by_step(ufunc, value, k)
    if ufunc is np.logaddexp:
        value = to_dtype(value, resolve(ufunc, [typeof(value)] * 2)[-1])
    elif ufunc in (np.logical_or, np.logical_and):
        value = value if typeof(value).dtype == BOOL else not_equal(value, 0)
    return _ACCUMULATIONS[ufunc](value, axis=k, reverse=False)


def check_loop(ufunc: np.ufunc, dtype: Any) -> None:
    """What gives each result of a fold computes in the very dtype that it is asked for."""
    if dtype is not None and ufunc.nin == 2 and ufunc.nout == 1:
        wanted = canonical_dtype(dtype)
        try:
            ufunc.resolve_dtypes((wanted, wanted, None), signature=(wanted, wanted, wanted))
        except TypeError as error:
            raise DTypeError(f"{error}") from None


def _step_by_step(ufunc: np.ufunc, value: Any, axis: int) -> Any:
    type = typeof(value)
    count, dtypes = type.shape[axis], resolve(ufunc, [type, type]) if ufunc.nin == 2 and ufunc.nout == 1 else ()
    if len(set(dtypes)) != 1 or count > LONGEST:
        raise UnsupportedError(
            f"np.{ufunc.__name__}.accumulate of {type} is not supported on traced values; write staged_ad.scan"
        )
    value = to_dtype(value, dtypes[0])
    found = [part(value, axis, 0, 1)] if count else []
    for k in range(1, count):
        found.append(ufunc(found[-1], part(value, axis, k, k + 1)))
    return concatenate(found, axis=axis) if found else value


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    value = as_value(a)
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}")
    if n == 0:
        return value
    if typeof(value).ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    k = check_axis(axis, typeof(value).ndim)
    before, behind = _end(prepend, value, k), _end(append, value, k)
    pieces = [x for x in (before, value, behind) if x is not None]
    if len(pieces) > 1:
        value = concatenate(pieces, axis=k)
    difference = not_equal if typeof(value).dtype == BOOL else subtract
    for _ in range(n):
        value = difference(part(value, k, 1, None), part(value, k, None, -1))
    return value


def _end(x: Any, value: Any, axis: int) -> Any:
    """What stands before or behind `value`: a scalar becomes one element of each sequence."""
    if x is np._NoValue:
        return None
    found = as_value(x)
    if typeof(found).ndim:
        return found
    shape = typeof(value).shape
    return to_shape(to_dtype(found, typeof(found).dtype), (*shape[:axis], 1, *shape[axis + 1 :]))


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    value = ravel(ary)
    dtype = typeof(value).dtype
    ends = [None if x is None else ravel(x) for x in (to_begin, to_end)]
    for name, end in zip(("to_begin", "to_end"), ends, strict=True):
        if end is not None and not np.can_cast(typeof(end).dtype, dtype, casting="same_kind"):
            raise TypeError(f"dtype of `{name}` must be compatible with input `ary` under the `same_kind` rule.")
    before, behind = (None if x is None else to_dtype(x, dtype) for x in ends)
    inner = subtract(part(value, 0, 1, None), part(value, 0, None, -1)) if typeof(value).size else value
    return concatenate([x for x in (before, inner, behind) if x is not None])


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """np.gradient; the spacings may be traced too."""
    if typeof(as_value(f)).dtype == BOOL:
        raise DTypeError("np.gradient of booleans is not defined; cast first")
    value = operand(to_float(f))
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    axes = _listed_axes(axis, value.ndim)
    results = []
    for k, h in zip(axes, _spacings(varargs, axes, value.shape), strict=True):
        if value.shape[k] < edge_order + 1:
            raise ShapeError(
                "Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) elements are "
                "required"
            )
        slopes = moveaxis(_slopes(operand(moveaxis(value, k, -1)), h, edge_order), -1, k)
        results.append(to_dtype(slopes, value.dtype))
    return results[0] if len(results) == 1 else tuple(results)


def _listed_axes(axis: Any, ndim: int) -> list[int]:
    """In the order in which they were given, which is that of the results."""
    normalize_axes(axis, ndim)
    if axis is None:
        return list(range(ndim))
    return [check_axis(k, ndim) for k in np.atleast_1d(axis)]


def _spacings(given: Sequence[Any], axes: Sequence[int], shape: Sequence[int]) -> list[Any]:
    """For each axis a number, or the distances between coordinates."""
    values = [operand(x) for x in given] or [1.0]
    if len(values) == 1 and np.ndim(values[0]) == 0:
        values = values * len(axes)
    if len(values) != len(axes):
        raise TypeError("invalid number of arguments")
    for k, x in zip(axes, values, strict=True):
        if np.ndim(x) > 1:
            raise ShapeError("distances must be either scalars or 1d")
        if np.ndim(x) and np.shape(x) != (shape[k],):
            raise ShapeError("when 1d, distances must match the length of the corresponding dimension")
    return [diff(to_float(x)) if np.ndim(x) else x for x in values]


def _slopes(f: Any, h: Any, order: int) -> Any:
    """Along the last axis: of second order inside, by parabolas; at the ends of first or second order."""
    d, r = (h[:-1], h[1:]) if np.ndim(h) else (h, h)
    left, here, right = f[..., :-2], f[..., 1:-1], f[..., 2:]
    if np.ndim(h):
        middle = (right * d**2 + here * (r**2 - d**2) - left * r**2) / (d * r * (d + r))
    else:
        middle = (right - left) / (2.0 * h)
    first, last = ((h[0], h[1 % len(h)]), (h[-1], h[-2 % len(h)])) if np.ndim(h) else ((h, h), (h, h))
    begin = _one_sided(f, *first, order)
    if order == 1:
        end = (f[..., -1:] - f[..., -2:-1]) / last[0]
    else:
        end = -_one_sided(f[..., ::-1], *last, order)
    return concatenate([begin, middle, end], axis=-1)


def _one_sided(f: Any, d: Any, r: Any, order: int) -> Any:
    """The slope at the first point; the next ones are at distances d, d + r."""
    near = (f[..., 1:2] - f[..., 0:1]) / d
    if order == 1:
        return near
    far = (f[..., 2:3] - f[..., 1:2]) / r
    return near - (far - near) / (d + r) * d


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """np.trapezoid: the integral of a polygon."""
    value = as_value(y)
    k = check_axis(axis, typeof(value).ndim)
    width = as_value(dx)
    if x is not None:
        places = as_value(x)
        alone = typeof(places).ndim == 1
        width = diff(places) if alone else diff(places, axis=axis)
        if alone:
            width = reshape(width, (-1, *(1,) * (typeof(value).ndim - 1 - k)))
    heights = add(part(value, k, 1, None), part(value, k, None, -1))
    return sum_(true_divide(multiply(width, heights), 2.0), axis=axis)


def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * math.pi) -> Any:
    """np.unwrap: adds multiples of the period so that steps are at most half of it. The derivative is that of p."""
    value, period = operand(p), operand(period)
    step = operand(diff(value, axis=axis))
    dtype = result_dtype([typeof(as_value(step)), typeof(as_value(period))])[0]
    half = period // 2 if dtype.kind in "iu" else period / 2
    lower = -half  # as an integer of Python it does not fit into unsigned ones
    inside = (step - lower) % period + lower
    upper = (inside == lower) & (step > 0)
    if dtype.kind in "iu":
        upper = upper & (period % 2 == 0)
    shift = where(upper, half, inside) - step
    shift = where(absolute(step) < (period / 2 if discont is None else discont), 0, shift)
    k = check_axis(axis, value.ndim)
    rest = add(part(value, k, 1, None), cumsum(shift, axis=axis))
    return to_dtype(concatenate([part(value, k, None, 1), rest], axis=k), dtype)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.cumsum: cumsum,
    np.cumprod: cumprod,
    np.nancumsum: nancumsum,
    np.nancumprod: nancumprod,
    np.cumulative_sum: cumulative_sum,
    np.cumulative_prod: cumulative_prod,
    np.diff: diff,
    np.ediff1d: ediff1d,
    np.gradient: gradient,
    np.trapezoid: trapezoid,
    np.unwrap: unwrap,
}
METHODS: dict[str, Callable[..., Any]] = {"cumsum": cumsum, "cumprod": cumprod}
