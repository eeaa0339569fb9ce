"""Functions that take elements: take, take_along_axis, choose, compress, delete, insert, append, resize.

Invariant: signatures are NumPy's; where the shape of the result would depend on traced values, the error says what to
write instead.
Start at ``take``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, IndexingError, ShapeError, UnsupportedError
from staged_ad.ir import Literal
from staged_ad.ir.types import INT64, check_axis
from staged_ad.numpy.assignment import At, plain
from staged_ad.numpy.indexing import getitem, read_array
from staged_ad.numpy.promotion import as_value, common_shape, promote_dtypes, to_dtype, to_elements, to_shape
from staged_ad.numpy.scanning import along, operand
from staged_ad.numpy.shaping import broadcast_to, concatenate, ravel, reshape, stack, where
from staged_ad.numpy.ufuncs import UFUNCS, not_equal
from staged_ad.primitives.bounds import bounded
from staged_ad.primitives.indexing import gather
from staged_ad.primitives.linalg import require
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import transpose
from staged_ad.tracing import Tracer

_minimum, _maximum, _remainder = UFUNCS[np.minimum], UFUNCS[np.maximum], UFUNCS[np.remainder]
_less = UFUNCS[np.less]


def _refuse_out(name: str, out: Any) -> None:
    if out is not None:
        raise UnsupportedError(f"np.{name}(..., out=...) is not supported on traced values")


def _integers(name: str, indices: Any) -> Any:
    value = as_value(indices, f"the indices of {name}")
    kind = typeof(value).dtype.kind
    if kind not in "biu":
        raise DTypeError(f"np.{name}: indices must be integers, got {typeof(value).dtype}")
    if name == "choose" and typeof(value).dtype == np.uint64:
        raise DTypeError(f"np.{name}: uint64 is not cast to int64 by the rule 'safe'; cast the indices")
    return to_dtype(value, INT64)


def take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
    """np.take: elements along an axis; the indices may be traced.

    Parameters
    ----------
    a : array_like, shape (..., n, ...)
    indices : array_like of integers, of any shape
        Negative ones count from the end, unless they are clipped.
    axis : int, optional
        The axis of length n; by default `a` is flattened first.
    out
        Must be None.
    mode : {'raise', 'wrap', 'clip'}
        What indices outside of the axis do: raise, count on from the other end, or take the nearest element.

    Returns
    -------
    array
        Of the dtype of `a`; the axes of `indices` stand in the place of the axis.

    Raises
    ------
    IndexingError
        Where an index is out of bounds and the mode is 'raise', or the axis has no elements.
    DTypeError
        Where indices are no integers.
    ShapeError, ArgumentError, UnsupportedError
        Where there is no such axis, no such mode, or `out` is given.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> sad.jit(lambda i: sad.numpy.take(np.array([10.0, 20.0, 30.0]), i))(np.array([2, 0]))
    array([30., 10.])
    """
    _refuse_out("take", out)
    positions = _integers("take", indices)
    value, axis = along(a, axis)
    n = typeof(value).shape[axis]
    index = plain(within(positions, n, mode))
    if n == 0 and mode != "raise" and typeof(positions).size:
        raise IndexingError("cannot do a non-empty take from an empty axes.")
    return plain(getitem(value, (*(slice(None),) * axis, index)))


def within(positions: Any, n: int, mode: str) -> Any:
    """Positions along an axis of length n, made such as fit where the mode says so."""
    match mode:
        case "raise":
            return positions
        case "wrap":
            return _remainder(positions, max(n, 1))
        case "clip":
            return _minimum(_maximum(positions, 0), max(n - 1, 0))
        case _:
            raise ValueError(f"mode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """np.take_along_axis: each slice along the axis is indexed by the slice of `indices` beside it."""
    value, positions = as_value(arr), as_value(indices, "the indices of take_along_axis")
    if typeof(positions).dtype.kind not in "iu":
        raise IndexingError(f"`indices` must be an integer array, got {typeof(positions).dtype}")
    positions = to_dtype(positions, INT64)
    if axis is None:
        value, axis = ravel(value), 0
    ndim = typeof(value).ndim
    if typeof(positions).ndim != ndim:
        raise ShapeError("`indices` and `arr` must have the same number of dimensions")
    axis = check_axis(axis, ndim)
    beside = [k for k in range(ndim) if k != axis]
    shape, own = typeof(value).shape, typeof(positions).shape
    lead = np.broadcast_shapes(tuple(shape[k] for k in beside), tuple(own[k] for k in beside))
    n = shape[axis]
    order = (*beside, axis)
    value = transpose(value.array if isinstance(value, Literal) else value, permutation=order)
    positions = transpose(positions.array if isinstance(positions, Literal) else positions, permutation=order)
    value, positions = to_shape(as_value(value), (*lead, n)), to_shape(as_value(positions), (*lead, own[axis]))
    found = gather(value, bounded(positions, bound=n, axis=axis), axes=(ndim - 1,), batch=ndim - 1)
    back = [*range(ndim - 1)]
    back.insert(axis, ndim - 1)
    return plain(transpose(found, permutation=tuple(back)))


def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """np.choose: of several arrays, the one that `a` names at each element."""
    _refuse_out("choose", out)
    which = operand(_integers("choose", a))
    options = promote_dtypes(*(choices if isinstance(choices, list | tuple) else list(choices)))
    shape = common_shape([typeof(which), *map(typeof, options)])
    table = stack([to_shape(v, shape) for v in options])
    if mode == "raise":  # negative numbers do not count from the end here
        which = require(which, (which >= 0) & (which < len(options)), error="choice")
    index = as_value(within(which, len(options), mode))
    return take_along_axis(table, reshape(to_shape(index, shape), (1, *shape)), 0)[0]


def _known(name: str, value: Any, advice: str) -> np.ndarray[Any, Any]:
    """The numbers of an argument on which the shape of the result depends, read as ``if`` reads one."""
    known = read_array(value) if isinstance(value, Tracer) else value
    if known is None:
        raise UnsupportedError(f"np.{name} with a traced argument has a result of unknown shape; {advice}")
    return np.asarray(known)


def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Any:
    """np.compress with a condition that is not traced."""
    _refuse_out("compress", out)
    known = _known("compress", condition, "write np.where(condition, a, 0)")
    return take(a, np.flatnonzero(known), axis)


def extract(condition: Any, arr: Any) -> Any:
    """np.extract with a condition that is not traced."""
    known = _known("extract", condition, "write np.where(condition, arr, 0)")
    return take(arr, np.flatnonzero(known))


def _places(function: Callable[..., Any]) -> Callable[..., Any]:
    """nonzero and its kin."""

    def apply(a: Any) -> Any:
        return function(_known(function.__name__, not_equal(a, 0), _MASKS))

    return apply


_MASKS = "work with the mask: np.where(mask, a, b), np.sum(mask) for their number, np.argmax(mask) for the first"


def where_(condition: Any, *choices: Any) -> Any:
    """np.where; with one argument the places where it holds, read as ``if`` reads a value."""
    return where(condition, *choices) if choices else _places(np.nonzero)(condition)


def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """np.delete at positions that are not traced."""
    value = as_value(arr)
    if axis is None:
        value, axis = ravel(value), 0
    axis = check_axis(axis, typeof(value).ndim)
    n = typeof(value).shape[axis]
    fixed = isinstance(obj, slice) or (isinstance(obj, list) and not obj)  # an empty array would be of floats
    places = obj if fixed else _known("delete", obj, "write np.where with a mask of what stays")
    return take(value, np.delete(np.arange(n), places), axis)


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """np.insert at positions that are not traced."""
    value = as_value(arr)
    new = to_elements(values, typeof(value).dtype)
    places = obj if isinstance(obj, slice) else _known("insert", obj, "write np.concatenate of the parts, or np.where")
    # NumPy itself inserts the numbers of the new elements among those of the old ones
    size = typeof(value).size
    old_numbers = np.arange(size).reshape(typeof(value).shape)
    new_numbers = size + np.arange(typeof(new).size).reshape(typeof(new).shape)
    order = np.insert(old_numbers, places, new_numbers, axis)
    return take(concatenate([ravel(value), ravel(new)]), order)


def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """np.append"""
    if axis is None:
        return concatenate([ravel(arr), ravel(values)])
    return concatenate([arr, values], axis)


def resize(a: Any, new_shape: Any) -> Any:
    """np.resize: the elements over and over."""
    value = ravel(a)
    shape = (new_shape,) if isinstance(new_shape, int | np.integer) else tuple(int(n) for n in new_shape)
    if any(n < 0 for n in shape):
        raise ShapeError("all elements of `new_shape` must be non-negative")
    size, n = math.prod(shape), typeof(value).size
    if not n:
        return plain(broadcast_to(np.zeros((), typeof(value).dtype), shape))
    return reshape(take(value, np.arange(size) % n), shape)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.take: take,
    np.take_along_axis: take_along_axis,
    np.choose: choose,
    np.compress: compress,
    np.extract: extract,
    np.delete: delete,
    np.insert: insert,
    np.append: append,
    np.resize: resize,
    np.where: where_,
    np.nonzero: _places(np.nonzero),
    np.flatnonzero: _places(np.flatnonzero),
    np.argwhere: _places(np.argwhere),
}
METHODS: dict[str, Callable[..., Any]] = {
    "take": take,
    "choose": choose,
    "compress": lambda a, condition, axis=None, out=None: compress(condition, a, axis, out),
    "nonzero": FUNCTIONS[np.nonzero],
}
PROPERTIES: dict[str, Callable[..., Any]] = {"at": At}
