"""Reductions of NumPy: sum, mean, max, norm, ...

Invariant: signatures and result dtypes are NumPy's.
Start at ``sum``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError, UnsupportedError
from staged_ad.ir.types import BOOL, INT64, canonical_dtype, check_axis
from staged_ad.numpy.promotion import as_value, to_dtype, to_float
from staged_ad.numpy.ufuncs import imag, multiply, not_equal, real, square, subtract, true_divide
from staged_ad.primitives import exponential as e
from staged_ad.primitives import reductions as r
from staged_ad.primitives.makers import Operation, typeof
from staged_ad.primitives.shaping import broadcast, reshape
from staged_ad.tracing.source import location, user_source

Axis = int | Sequence[int] | None


def normalize_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = [axis] if isinstance(axis, int | np.integer) else list(axis)
    found = [check_axis(int(k), ndim) for k in axes]
    if len(set(found)) != len(found):
        raise ShapeError("duplicate value in 'axis'")
    return tuple(sorted(found))


def _reduce(operation: Operation, value: Any, axis: Axis, keepdims: bool) -> Any:
    shape = typeof(value).shape
    axes = normalize_axes(axis, len(shape))
    value = to_dtype(value, typeof(value).dtype)  # not weak any more
    result = operation(value, axes=axes) if axes else value
    if keepdims:
        result = reshape(result, shape=tuple(1 if k in axes else n for k, n in enumerate(shape)))
    return result


def _flag(keepdims: Any) -> bool:
    return keepdims is not np._NoValue and bool(keepdims)


def _refuse(name: str, **options: Any) -> None:
    for option, value in options.items():
        if value is not None and value is not np._NoValue and value is not True:
            raise UnsupportedError(
                f"np.{name}(..., {option}=...) is not supported on traced values (at {location(user_source())})"
            )


def _accumulating(name: str, operation: Operation) -> Callable[..., Any]:
    def reduce(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = None,
        where: Any = None,
    ) -> Any:
        _refuse(name, out=out, initial=initial, where=where)
        value = as_value(a)
        kind = typeof(value).dtype.kind
        if dtype is not None:
            target = canonical_dtype(dtype)
        elif kind in "bi":
            target = INT64
        else:
            target = np.dtype("uint64") if kind == "u" else typeof(value).dtype
        return _reduce(operation, to_dtype(value, target), axis, _flag(keepdims))

    return reduce


sum = _accumulating("sum", r.reduce_sum)
prod = _accumulating("prod", r.reduce_prod)


def _extremum(name: str, operation: Operation) -> Callable[..., Any]:
    def reduce(
        a: Any, axis: Axis = None, out: Any = None, keepdims: Any = False, initial: Any = None, where: Any = None
    ) -> Any:
        _refuse(name, out=out, initial=initial, where=where)
        return _reduce(operation, as_value(a), axis, _flag(keepdims))

    return reduce


max = _extremum("max", r.reduce_max)
min = _extremum("min", r.reduce_min)


def _logical(name: str, operation: Operation) -> Callable[..., Any]:
    def reduce(a: Any, axis: Axis = None, out: Any = None, keepdims: Any = False, *, where: Any = None) -> Any:
        _refuse(name, out=out, where=where)
        value = as_value(a)
        truth = value if typeof(value).dtype == BOOL else not_equal(value, 0)
        return _reduce(operation, truth, axis, _flag(keepdims))

    return reduce


any = _logical("any", r.reduce_or)
all = _logical("all", r.reduce_and)


def _arg(name: str, operation: Operation) -> Callable[..., Any]:
    def reduce(a: Any, axis: int | None = None, out: Any = None, *, keepdims: Any = False) -> Any:
        _refuse(name, out=out)
        value = as_value(a)
        shape = typeof(value).shape
        if axis is None:
            flat = reshape(value, shape=(typeof(value).size,))
            return reshape(operation(flat, axis=0), shape=(1,) * len(shape) if _flag(keepdims) else ())
        k = check_axis(axis, len(shape))
        result = operation(value, axis=k)
        return reshape(result, shape=(*shape[:k], 1, *shape[k + 1 :])) if _flag(keepdims) else result

    return reduce


argmax = _arg("argmax", r.argmax)
argmin = _arg("argmin", r.argmin)


def _count(value: Any, axis: Axis) -> int:
    shape = typeof(value).shape
    count = 1
    for k in normalize_axes(axis, len(shape)):
        count *= shape[k]
    return count


def mean(
    a: Any, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = None
) -> Any:
    _refuse("mean", out=out, where=where)
    value = to_float(a) if dtype is None else to_dtype(as_value(a), canonical_dtype(dtype))
    return true_divide(sum(value, axis=axis, keepdims=keepdims), float(_count(value, axis)))


def var(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    _refuse("var", out=out, where=where, mean=mean, correction=correction)
    value = to_float(a) if dtype is None else to_dtype(as_value(a), canonical_dtype(dtype))
    count = float(_count(value, axis))
    center = true_divide(sum(value, axis=axis, keepdims=True), count)
    return true_divide(
        sum(_square_of_modulus(subtract(value, center)), axis=axis, keepdims=keepdims),
        float(np.maximum(count - ddof, 0)),
    )


def _square_of_modulus(value: Any) -> Any:
    if typeof(value).is_complex:
        return square(real(value)) + square(imag(value))
    return square(value)


def std(a: Any, *args: Any, **kwargs: Any) -> Any:
    return e.sqrt(var(a, *args, **kwargs))


def ptp(a: Any, axis: Axis = None, out: Any = None, keepdims: Any = False) -> Any:
    _refuse("ptp", out=out)
    return subtract(max(a, axis=axis, keepdims=keepdims), min(a, axis=axis, keepdims=keepdims))


def average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    if returned:
        raise UnsupportedError(
            f"np.average(..., returned=True) is not supported on traced values (at {location(user_source())})"
        )
    if weights is None:
        return mean(a, axis=axis, keepdims=keepdims)
    a, weights = to_float(a), to_float(weights)
    if typeof(weights).shape != typeof(a).shape:
        if not isinstance(axis, int) or typeof(weights).ndim != 1:
            raise ShapeError("np.average: 1-d weights need an integer axis")
        weights = broadcast(weights, shape=typeof(a).shape, dims=(check_axis(axis, typeof(a).ndim),))
    total = sum(multiply(a, weights), axis=axis, keepdims=keepdims)
    return true_divide(total, sum(weights, axis=axis, keepdims=keepdims))
