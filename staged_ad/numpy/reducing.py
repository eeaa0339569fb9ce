"""Reductions of NumPy: sum, mean, max, var, ...

Invariant: signatures and result dtypes are NumPy's.
Start at ``sum``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, ShapeError, UnsupportedError
from staged_ad.ir import filled
from staged_ad.ir.types import BOOL, FLOAT64, INT64, canonical_dtype, check_axis, real_dtype_of
from staged_ad.numpy.halves import in_single
from staged_ad.numpy.promotion import as_value, common_shape, to_dtype, to_float, to_shape
from staged_ad.numpy.shaping import array_of, broadcast_to
from staged_ad.numpy.ufuncs import UFUNCS, imag, multiply, not_equal, real, square, subtract, true_divide
from staged_ad.primitives import reductions as r
from staged_ad.primitives.arithmetic import maximum, minimum
from staged_ad.primitives.linalg import require
from staged_ad.primitives.makers import Operation, add, mul, select, typeof
from staged_ad.primitives.shaping import broadcast, reshape

Axis = int | Sequence[int] | None


def normalize_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = list(axis) if isinstance(axis, list | tuple | np.ndarray) and np.ndim(axis) else [axis]
    found = [check_axis(k, ndim) for k in axes]
    if len(set(found)) != len(found):
        raise ShapeError("duplicate value in 'axis'")
    return tuple(sorted(found))


def size_of(a: Any, axis: Axis = None) -> int:
    shape = typeof(as_value(a)).shape
    return math.prod(shape[k] for k in normalize_axes(axis, len(shape)))


def reduced_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes of ``ufunc.reduce``, which takes 0 and -1 for no axis of an array without axes."""
    if not ndim and isinstance(axis, int | np.integer):
        return () if -1 <= axis <= 0 else normalize_axes(axis, ndim)
    return normalize_axes(axis, ndim)


def _reduce(operation: Operation, value: Any, axis: Axis, keepdims: bool) -> Any:
    shape = typeof(value).shape
    axes = reduced_axes(axis, len(shape))
    value = to_dtype(value, typeof(value).dtype)  # not weak any more
    result = operation(value, axes=axes) if axes else value
    if keepdims:
        result = reshape(result, shape=tuple(1 if k in axes else n for k, n in enumerate(shape)))
    return result


def flag(keepdims: Any) -> bool:
    return keepdims is not np._NoValue and bool(keepdims)


def _refuse(name: str, **options: Any) -> None:
    for option, value in options.items():
        if _given(value):
            raise UnsupportedError(f"np.{name}(..., {option}=...) is not supported on traced values")


def _given(option: Any) -> bool:
    """Whether an option says anything."""
    return option is not None and option is not np._NoValue


def masked(value: Any, where: Any, identity: Any) -> Any:
    """`value` where the mask holds; elsewhere what leaves a reduction as it is."""
    if not _given(where) or where is True:
        return value
    type = typeof(value)
    mask = to_dtype(as_value(where), BOOL)
    if typeof(mask).ndim > type.ndim:
        raise ShapeError(
            "input operand has more dimensions than allowed by the axis remapping: where= has shape "
            f"{typeof(mask).shape}, the array {type.shape}"
        )
    if common_shape([type, typeof(mask)]) != type.shape:
        raise ShapeError(
            f"a reduction cannot repeat its array for a mask: where= has shape {typeof(mask).shape}, the array "
            f"{type.shape}; write np.broadcast_to for the array"
        )
    if isinstance(identity, int | float):
        identity = filled(identity, type)
    return select(to_shape(mask, type.shape), value, to_shape(identity, type.shape))


def _accumulating(name: str, operation: Operation, identity: int, combine: Operation) -> Callable[..., Any]:
    def reduce(
        a: Any,
        axis: Axis = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = None,
        where: Any = None,
    ) -> Any:
        _refuse(name, out=out)
        value = as_value(a)
        kind = typeof(value).dtype.kind
        if dtype is not None:
            target = canonical_dtype(dtype)
        elif kind in "bi":
            target = INT64
        else:
            target = np.dtype("uint64") if kind == "u" else typeof(value).dtype
        if target == BOOL:  # sums of booleans are `or`, products `and`
            value = reduce(to_dtype(value, BOOL), axis, INT64, None, keepdims, initial, where)
            return not_equal(value, 0)
        value = masked(to_dtype(value, target), where, identity)
        return _from_initial(combine, _reduce(operation, value, axis, flag(keepdims)), initial)

    return reduce


def _from_initial(combine: Operation, result: Any, initial: Any) -> Any:
    if not _given(initial):
        return result
    type = typeof(result)
    return combine(to_shape(to_dtype(as_value(initial), type.dtype), type.shape), result)


sum = _accumulating("sum", r.reduce_sum, 0, add)
prod = _accumulating("prod", r.reduce_prod, 1, mul)


def _extremum(name: str, operation: Operation, combine: Operation) -> Callable[..., Any]:
    def reduce(
        a: Any, axis: Axis = None, out: Any = None, keepdims: Any = False, initial: Any = None, where: Any = None
    ) -> Any:
        _refuse(name, out=out)
        value = as_value(a)
        value = to_dtype(value, typeof(value).dtype)
        if not _given(initial):
            if _given(where) and where is not True:
                raise ValueError(
                    f"reduction operation {name} has no identity, so to use a where mask one has to give "
                    "an initial value"
                )
            return _reduce(operation, value, axis, flag(keepdims))
        start = to_dtype(as_value(initial), typeof(value).dtype)
        value = masked(value, where, start)
        if not typeof(value).size:
            return array_of(broadcast_to(start, typeof(sum(value, axis=axis, keepdims=keepdims)).shape))
        return _from_initial(combine, _reduce(operation, value, axis, flag(keepdims)), start)

    return reduce


max = _extremum("max", r.reduce_max, maximum)
min = _extremum("min", r.reduce_min, minimum)


def _logical(name: str, operation: Operation, identity: int) -> Callable[..., Any]:
    def reduce(a: Any, axis: Axis = None, out: Any = None, keepdims: Any = False, *, where: Any = None) -> Any:
        _refuse(name, out=out)
        value = as_value(a)
        truth = value if typeof(value).dtype == BOOL else not_equal(value, 0)
        return _reduce(operation, masked(truth, where, identity), axis, flag(keepdims))

    return reduce


any = _logical("any", r.reduce_or, False)
all = _logical("all", r.reduce_and, True)


def _arg(name: str, operation: Operation) -> Callable[..., Any]:
    def reduce(a: Any, axis: int | None = None, out: Any = None, *, keepdims: Any = False) -> Any:
        _refuse(name, out=out)
        value = as_value(a)
        shape = typeof(value).shape
        if axis is None or (not shape and -1 <= axis <= 0):
            flat = reshape(value, shape=(typeof(value).size,))
            return reshape(operation(flat, axis=0), shape=(1,) * len(shape) if flag(keepdims) else ())
        k = check_axis(axis, len(shape))
        result = operation(value, axis=k)
        return reshape(result, shape=(*shape[:k], 1, *shape[k + 1 :])) if flag(keepdims) else result

    return reduce


argmax = _arg("argmax", r.argmax)
argmin = _arg("argmin", r.argmin)


@in_single
def mean(
    a: Any, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = None
) -> Any:
    _refuse("mean", out=out)
    return _mean(to_float(a) if dtype is None else as_value(a), axis, dtype, keepdims, where)


def _mean(value: Any, axis: Axis, dtype: Any, keepdims: Any, where: Any) -> Any:
    """The mean, in the dtype of the sum: NumPy rounds it to an integer where it is asked to."""
    total = sum(value, axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    return to_dtype(true_divide(total, _weight(value, axis, keepdims, where)), typeof(total).dtype)


def _weight(value: Any, axis: Axis, keepdims: Any, where: Any) -> Any:
    """How many elements are summed, as a number, or as an array where a mask decides."""
    if not _given(where) or where is True:
        return float(size_of(value, axis))
    dtype = typeof(value).dtype
    type = typeof(value).with_dtype(real_dtype_of(dtype) if dtype.kind in "fc" else FLOAT64)
    return sum(masked(filled(1, type), where, 0), axis=axis, keepdims=keepdims)


@in_single
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
    _refuse("var", out=out)
    if _given(correction):
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    value = to_float(a) if dtype is None else to_dtype(as_value(a), typeof(as_value(a)).dtype)
    if not _given(mean):
        mean = _mean(value, axis, dtype, True, where)
    difference = subtract(value, mean)
    squares = square(difference) if typeof(value).dtype.kind in "iuf" else square_of_modulus(difference)
    count = _weight(value, axis, keepdims, where)
    freedom = float(np.maximum(count - ddof, 0)) if isinstance(count, float) else maximum(subtract(count, ddof), 0.0)
    total = sum(squares, axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    return to_dtype(true_divide(total, freedom), typeof(total).dtype)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """x.var and x.std, which do not know `correction`."""

    @functools.wraps(function, assigned=(), updated=())
    def method(x: Any, *args: Any, **options: Any) -> Any:
        if "correction" in options:
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument 'correction'")
        return function(x, *args, **options)

    return method


def square_of_modulus(value: Any) -> Any:
    if typeof(value).is_complex:
        return square(real(value)) + square(imag(value))
    return square(value)


@in_single
@functools.wraps(var, assigned=(), updated=())  # it takes what var takes
def std(a: Any, *args: Any, **kwargs: Any) -> Any:
    return root_of_variance("std", as_value(var(a, *args, **kwargs)))


def root_of_variance(name: str, found: Any) -> Any:
    """In the dtype of the variance. NumPy rounds to integers what is one number, and refuses to round arrays."""
    type = typeof(found)
    if type.shape and type.dtype.kind not in "fc":
        raise DTypeError(f"np.{name}: roots are no {type.dtype}")
    return to_dtype(UFUNCS[np.sqrt](to_float(found)), type.dtype)


def ptp(a: Any, axis: Axis = None, out: Any = None, keepdims: Any = False) -> Any:
    _refuse("ptp", out=out)
    return subtract(max(a, axis=axis, keepdims=keepdims), min(a, axis=axis, keepdims=keepdims))


@in_single
def average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    if weights is None:
        found = mean(a, axis=axis, keepdims=keepdims)
        return (found, np.full(found.shape, float(size_of(a, axis)), found.dtype)[()]) if returned else found
    a, weights = to_float(a), as_value(weights)
    dtype = np.result_type(typeof(a).dtype, typeof(weights).dtype)
    weights = to_dtype(weights, dtype)
    axes = normalize_axes(axis, typeof(a).ndim)
    if typeof(weights).shape != typeof(a).shape:
        if axis is None or typeof(weights).shape != tuple(typeof(a).shape[k] for k in axes):
            raise ShapeError("np.average: weights need the shape of the array, or that of its axes which are averaged")
        weights = broadcast(weights, shape=typeof(a).shape, dims=axes)
    total = sum(weights, axis=axis, dtype=dtype, keepdims=keepdims)
    total = require(total, not_equal(total, 0), error="weights")
    found = true_divide(sum(multiply(a, weights), axis=axis, keepdims=keepdims), total)
    return (found, total) if returned else found


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.size: size_of,
    np.sum: sum,
    np.prod: prod,
    np.max: max,
    np.min: min,
    np.any: any,
    np.all: all,
    np.argmax: argmax,
    np.argmin: argmin,
    np.mean: mean,
    np.var: var,
    np.std: std,
    np.ptp: ptp,
    np.average: average,
    np.amax: max,
    np.amin: min,
}
METHODS: dict[str, Callable[..., Any]] = {
    "sum": sum,
    "prod": prod,
    "max": max,
    "min": min,
    "any": any,
    "all": all,
    "argmax": argmax,
    "argmin": argmin,
    "mean": mean,
    "var": _method(var),
    "std": _method(std),
}
