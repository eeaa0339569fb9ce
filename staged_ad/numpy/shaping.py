"""Shapes: reshape, transpose, stack, concatenate, where.

Invariant: signatures are NumPy's.
Start at ``array_of``, which holds what np.array cannot: nested lists of traced values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, ShapeError, UnsupportedError
from staged_ad.ir import ArrayType, Literal
from staged_ad.ir.types import canonical_dtype, check_axis
from staged_ad.numpy.indexing import getitem
from staged_ad.numpy.promotion import (
    as_value,
    check_cast,
    common_shape,
    result_dtype,
    to_dtype,
    to_elements,
    to_shape,
)
from staged_ad.numpy.ufuncs import not_equal
from staged_ad.primitives import shaping as p
from staged_ad.primitives.makers import select, typeof
from staged_ad.tracing import Tracer
from staged_ad.tracing.views import copied_order, fits_order, layout, order_of

WRAPS_AROUND = np.lib.NumpyVersion(np.__version__) < "2.5.0"
"""Whether NumPy takes Python integers that do not fit for choices of np.where."""


def _plain(x: Any) -> Any:
    """What users get: a literal, which is of this package alone, becomes an array."""
    return np.array(x.array) if isinstance(x, Literal) else x


def array_of(object: Any, dtype: Any = None, ndmin: int = 0) -> Any:
    """An array of nested lists that may hold traced values; a traced array is returned as it is."""
    return _plain(_array(object, dtype, ndmin))


def _array(object: Any, dtype: Any = None, ndmin: int = 0) -> Any:
    if isinstance(object, list | tuple):
        if not object:
            return as_value(np.array(object, dtype=dtype))
        rows = [_array(item, dtype) for item in object]
        if len({typeof(row).shape for row in rows}) > 1:
            shapes = ", ".join(str(typeof(row).shape) for row in rows)
            raise ArgumentError(f"array: the rows of a nested list have different shapes {shapes}")
        value = stack(rows)
    elif dtype is not None:
        value = to_elements(object, canonical_dtype(dtype), "the argument of array")
    else:
        value = as_value(object, "the argument of array")
    if typeof(value).weak:
        value = to_dtype(value, typeof(value).dtype)
    missing = ndmin - typeof(value).ndim
    return reshape(value, (*(1,) * missing, *typeof(value).shape)) if missing > 0 else value


def astype(x: Any, dtype: Any, order: Any = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True) -> Any:
    value, wanted = as_value(x), canonical_dtype(dtype)  # of None float64
    check_cast(typeof(value), wanted, casting)
    return laid_out(value, wanted, order, copy)


def laid_out(value: Any, dtype: Any, order: Any, copy: bool | None) -> Any:
    """`value` with that dtype in memory of that order; itself, where it has them and no copy is asked for."""
    found = value if dtype is None else to_dtype(value, canonical_dtype(dtype))
    if not isinstance(value, Tracer):
        return found
    letter = str(order or "K").upper()
    np.empty(0).copy(letter)  # type: ignore[arg-type]  # raises where there is no such order
    if found is value:
        if not copy and (letter in ("K", "A") or fits_order(value, letter)) and (value.shape or not value.number):
            return value
        found = value.handle()
    found.order = copied_order(value, letter)
    return found


def astype_function(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    np.empty(0, device=device)  # raises where there is no such device
    return astype(x, dtype, copy=copy)


def copy(a: Any, order: Any = "C") -> Any:
    """x.copy(); an argument without axes may be an array, and passes for one."""
    value = as_value(a)
    if not isinstance(value, Tracer):
        return value
    found = laid_out(value, None, order, True)
    return found.as_array() if value.home is None else found


def reshape(a: Any, /, *shape: Any, order: str = "C", newshape: Any = None, copy: Any = None) -> Any:
    value = as_value(a)
    target = shape[0] if len(shape) == 1 else shape
    target = (target,) if isinstance(target, int | np.integer) else tuple(int(n) for n in target)
    size = typeof(value).size
    if target.count(-1) > 1:
        raise ShapeError(f"can only specify one unknown dimension, got the shape {target}")
    if -1 in target:
        rest = -int(np.prod(target))
        if rest == 0 or size % rest:
            raise ShapeError(f"cannot reshape array of size {size} into shape {target}")
        target = tuple(size // rest if n == -1 else n for n in target)
    target = tuple(int(n) for n in target)
    if order in ("K", "k"):
        raise ValueError("order 'K' is not permitted for reshaping")
    axes = _reading(value, order)
    forwards = axes == tuple(range(len(axes)))
    if forwards and (str(order or "C").upper() != "F" or len(target) < 2):  # a vector is read alike, but not written
        return p.reshape(value, shape=target)
    found = p.reshape(p.transpose(value, permutation=axes), shape=target[::-1])
    return p.transpose(found, permutation=tuple(range(len(target)))[::-1])


def _reading(value: Any, order: Any) -> tuple[int, ...]:
    """The axes from the one along which places change most slowly to the fastest, where `order` says so."""
    forwards = tuple(range(typeof(value).ndim))
    letter = str(order or "C").upper()
    if letter not in ("C", "F", "A", "K"):
        raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got {order!r})")
    if letter == "F":
        return forwards[::-1]
    if letter == "C" or not isinstance(value, Tracer):
        return forwards
    if letter == "A":
        return forwards[::-1] if layout(value).flags.fnc else forwards
    return order_of(value) or forwards


def _reshape_function(a: Any, shape: Any = None, order: str = "C", *, copy: Any = None) -> Any:
    return reshape(a, shape, order=order)


def ravel(a: Any, order: str = "C") -> Any:
    value = as_value(a)
    return p.reshape(p.transpose(value, permutation=_reading(value, order)), shape=(typeof(value).size,))


def transpose(a: Any, *axes: Any) -> Any:
    value = as_value(a)
    ndim = typeof(value).ndim
    order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    if not order:
        return p.transpose(value, permutation=tuple(range(ndim))[::-1])
    permutation = tuple(check_axis(k, ndim) for k in order)
    return p.transpose(value, permutation=permutation)


def _transpose_function(a: Any, axes: Any = None) -> Any:
    return transpose(a) if axes is None else transpose(a, axes if isinstance(axes, int | np.integer) else tuple(axes))


def matrix_transpose(x: Any) -> Any:
    return swapaxes(x, -1, -2)


def _listed(axes: Any) -> list[int]:
    """One axis or several, as a list."""
    return [int(axes)] if isinstance(axes, int | np.integer) else [int(k) for k in axes]


def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    value = as_value(a)
    order = list(range(typeof(value).ndim))
    i, j = check_axis(axis1, len(order)), check_axis(axis2, len(order))
    order[i], order[j] = order[j], order[i]
    return p.transpose(value, permutation=tuple(order))


def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    value = as_value(a)
    ndim = typeof(value).ndim
    sources = [check_axis(k, ndim) for k in _listed(source)]
    targets = [check_axis(k, ndim) for k in _listed(destination)]
    if len(sources) != len(targets):
        raise ShapeError("np.moveaxis: `source` and `destination` must have the same number of elements")
    order = [k for k in range(ndim) if k not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return p.transpose(value, permutation=tuple(order))


def squeeze(a: Any, axis: Any = None) -> Any:
    value = as_value(a)
    shape = typeof(value).shape
    if axis is None:
        return p.reshape(value, shape=tuple(n for n in shape if n != 1))
    if not shape and isinstance(axis, int | np.integer) and -1 <= axis <= 0:
        return value
    axes = {check_axis(k, len(shape)) for k in _listed(axis)}
    if any(shape[k] != 1 for k in axes):
        raise ShapeError(
            f"cannot select an axis to squeeze out which has size not equal to one: axis={axis} of shape {shape}"
        )
    return p.reshape(value, shape=tuple(n for k, n in enumerate(shape) if k not in axes))


def expand_dims(a: Any, axis: Any) -> Any:
    value = as_value(a)
    axes = _listed(axis)
    ndim = typeof(value).ndim + len(axes)
    places = {check_axis(k, ndim) for k in axes}
    if len(places) != len(axes):
        raise ShapeError(f"np.expand_dims: repeated axis in axis={axis}")
    lengths = iter(typeof(value).shape)
    return p.reshape(value, shape=tuple(1 if k in places else next(lengths) for k in range(ndim)))


def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    value = as_value(array)
    target = (int(shape),) if isinstance(shape, int | np.integer) else tuple(shape)
    found = typeof(value).shape
    if len(found) > len(target) or any(m not in (1, n) for m, n in zip(found[::-1], target[::-1], strict=False)):
        raise ShapeError(f"cannot broadcast shape {found} to {target}")
    return to_shape(value, target)


def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    values = [as_value(x) for x in args]
    shape = common_shape([typeof(v) for v in values])
    return tuple(_plain(to_shape(v, shape)) for v in values)


def concatenate(
    arrays: Any, axis: int | None = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    if out is not None:
        raise UnsupportedError("np.concatenate(..., out=...) is not supported on traced values")
    if axis is not None and np.ndim(axis):
        raise ArgumentError("concatenate takes its arrays in one list: np.concatenate([x, y])")
    values = [as_value(x) for x in arrays]
    target = result_dtype([typeof(v) for v in values])[0] if dtype is None else canonical_dtype(dtype)
    for v in values:
        check_cast(typeof(v), target, casting)
    values = [to_dtype(v, target) for v in values]
    if axis is None:
        values, axis = [ravel(v) for v in values], 0
    if typeof(values[0]).ndim == 0:
        raise ShapeError(
            "zero-dimensional arrays cannot be concatenated: write np.stack for numbers, and np.concatenate([x, y]) "
            "with a list of the arrays"
        )
    return p.concatenate(*values, axis=check_axis(axis, typeof(values[0]).ndim))


def stack(arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    values = [as_value(x) for x in arrays]
    if len({typeof(v).shape for v in values}) > 1:
        shapes = " ".join(str(typeof(v).shape) for v in values)
        raise ShapeError(f"all input arrays must have the same shape, got {shapes}")
    place = check_axis(axis, typeof(values[0]).ndim + 1)
    return concatenate([expand_dims(v, place) for v in values], axis=place, out=out, dtype=dtype, casting=casting)


def flip(m: Any, axis: Any = None) -> Any:
    value = as_value(m)
    ndim = typeof(value).ndim
    axes = range(ndim) if axis is None else _listed(axis)
    return p.reverse(value, axes=tuple(sorted(check_axis(k, ndim) for k in axes)))


def _moves(shift: Any, axes: Any) -> Any:
    """Pairs of how far and along which axis; the shorter one is broadcast."""
    amounts = [int(shift)] if np.ndim(shift) == 0 else [int(amount) for amount in shift]
    try:
        return list(zip(*np.broadcast_arrays(amounts, axes), strict=True))
    except ValueError:
        raise ShapeError(f"np.roll cannot broadcast shifts {shift} and axes {tuple(axes)}") from None


def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    value = as_value(a)
    if axis is None:
        return reshape(roll(ravel(value), shift, 0), typeof(value).shape)
    for amount, k in _moves(shift, _listed(axis)):
        k = check_axis(k, typeof(value).ndim)
        n = typeof(value).shape[k]
        cut = (-int(amount)) % n if n else 0
        if cut:
            whole = (slice(None),) * k
            value = concatenate(
                [getitem(value, (*whole, slice(cut, None))), getitem(value, (*whole, slice(0, cut)))], k
            )
    return value


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise UnsupportedError("np.where with one argument has a result of unknown shape; give all three arguments")
    truth = as_value(condition)
    if typeof(truth).dtype != bool:
        truth = not_equal(truth, 0)
    values = [as_value(x), as_value(y)]
    dtype, _ = result_dtype([typeof(v) for v in values])
    first, second = (_wrapped(v, dtype) for v in values)
    shape = common_shape([typeof(v) for v in (truth, first, second)])
    return select(to_shape(truth, shape), to_shape(first, shape), to_shape(second, shape))


def _wrapped(value: Any, dtype: np.dtype[Any]) -> Any:
    """`value` as numbers of `dtype`; a Python integer that does not fit wraps around, for np.where before 2.5 alone."""
    if WRAPS_AROUND and isinstance(value, Literal) and value.type.weak and dtype.kind in "iu":
        return Literal(value.value.astype(dtype), ArrayType(value.type.shape, dtype))
    return to_dtype(value, dtype)


def shape_of(a_: Any) -> tuple[int, ...]:
    shape: tuple[int, ...] = typeof(as_value(a_)).shape
    return shape


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.reshape: _reshape_function,
    np.ravel: ravel,
    np.transpose: _transpose_function,
    np.permute_dims: _transpose_function,
    np.matrix_transpose: matrix_transpose,
    np.swapaxes: swapaxes,
    np.moveaxis: moveaxis,
    np.squeeze: squeeze,
    np.expand_dims: expand_dims,
    np.broadcast_to: broadcast_to,
    np.broadcast_arrays: broadcast_arrays,
    np.concatenate: concatenate,
    np.stack: stack,
    np.flip: flip,
    np.roll: roll,
    np.astype: astype_function,
    np.shape: shape_of,
    np.ndim: lambda a_: len(shape_of(a_)),
}
"""NumPy functions on shapes that work on traced values."""

METHODS: dict[str, Callable[..., Any]] = {
    "reshape": reshape,
    "ravel": ravel,
    "flatten": ravel,
    "transpose": lambda x, *axes: transpose(x, *(axes if axes != (None,) else ())),
    "swapaxes": swapaxes,
    "squeeze": squeeze,
    "astype": astype,
    "copy": copy,
}
PROPERTIES: dict[str, Callable[..., Any]] = {"T": transpose, "mT": matrix_transpose}
