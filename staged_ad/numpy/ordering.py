"""Sorting and searching: sort, argsort, partition, lexsort, searchsorted, digitize, top_k.

Sorts are stable whatever `kind` is asked for; a partition is a full sort, whose elements are partitioned too. Sorting
is differentiated as the permutation that it is; where elements are equal, as that of the stable sort.

Invariant: signatures and result dtypes are NumPy's.
Start at ``sort``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError, UnsupportedError
from staged_ad.ir import Literal
from staged_ad.ir.types import INT64, canonical_dtype, check_axis
from staged_ad.numpy.promotion import as_value, to_dtype
from staged_ad.numpy.scanning import along, operand, part
from staged_ad.numpy.shaping import flip, ravel, reshape, where
from staged_ad.numpy.taking import take
from staged_ad.numpy.ufuncs import subtract
from staged_ad.primitives import ordering as o
from staged_ad.primitives.complexes import imag, real
from staged_ad.primitives.makers import typeof


def _refuse_fields(name: str, order: Any) -> None:
    if order is not None:
        raise UnsupportedError(
            f"np.{name}(..., order=...) is for structured arrays, which are not supported on traced values"
        )


def sort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """np.sort."""
    _refuse_fields("sort", order)
    np.sort(np.empty(0), kind=kind, stable=stable)  # raises what NumPy raises
    value = as_value(a)
    if axis is not None:
        check_axis(axis, typeof(value).ndim)
    value, k = along(value, axis)
    return o.permute(value, _places(value, k), axis=k) if typeof(value).is_complex else o.sort(value, axis=k)


def argsort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """np.argsort; always stable."""
    _refuse_fields("argsort", order)
    np.sort(np.empty(0), kind=kind, stable=stable)
    return _places(*along(a, axis))


def _places(value: Any, k: int) -> Any:
    """The indices that sort along an axis: complex numbers by their real parts, and then by their imaginary ones."""
    if not typeof(value).is_complex:
        return o.argsort(value, axis=k)
    return lexsort((imag(value), real(value)), k)


def partition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None) -> Any:
    """np.partition: the array is sorted."""
    _check_places(a, kth, axis, kind)
    return sort(a, axis, order=order)


def argpartition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None) -> Any:
    """np.argpartition: the indices are those that sort the array."""
    _check_places(a, kth, axis, kind)
    return argsort(a, axis, order=order)


def _check_places(a: Any, kth: Any, axis: int | None, kind: Any) -> None:
    np.partition(np.empty(1), 0, kind=kind)
    value, k = along(a, axis)
    n = typeof(value).shape[k]
    places = np.ravel(kth)
    if places.dtype == bool:
        raise ValueError("Booleans unacceptable as partition index")
    if places.dtype.kind not in "iu":
        raise TypeError("Partition index must be integer")
    for place in places:
        if n and not -n <= place < n:
            raise ShapeError(f"kth(={place}) out of bounds ({n})")


def lexsort(keys: Any, axis: int = -1) -> Any:
    """np.lexsort: by the last key, where it is equal by the one before it, and so on."""
    rows = [as_value(key) for key in keys]
    if not rows:
        raise TypeError("need sequence of keys with len > 0 in lexsort")
    shape = typeof(rows[0]).shape
    if any(typeof(row).shape != shape for row in rows):
        raise ShapeError("lexsort: all keys need to be the same shape")
    if not shape:
        return np.int64(0)
    k = check_axis(axis, len(shape))
    indices = o.argsort(rows[0], axis=k)
    for row in rows[1:]:
        indices = o.permute(indices, o.argsort(o.permute(row, indices, axis=k), axis=k), axis=k)
    return indices


def _side(side: str) -> bool:
    if side not in ("left", "right"):
        raise ValueError(f"search side must be 'left' or 'right' (got {side!r})")
    return side == "right"


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """np.searchsorted; of an array that is not sorted the result is as meaningless as NumPy's, but another."""
    array, wanted = as_value(a), as_value(v)
    if typeof(array).ndim != 1:
        raise ShapeError("object of too small depth for desired array")
    if sorter is not None:
        indices = to_dtype(as_value(sorter), INT64)
        if typeof(indices).shape != typeof(array).shape:
            raise ShapeError("sorter.size must equal input.size")
        array = as_value(take(array, indices))
    dtype = canonical_dtype(np.promote_types(typeof(array).dtype, typeof(wanted).dtype))
    shape = typeof(wanted).shape
    found = o.searchsorted(to_dtype(array, dtype), ravel(to_dtype(wanted, dtype)), right=_side(side))
    return reshape(found, shape)


def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """np.digitize; traced bins are taken to be monotonic."""
    edges = as_value(operand(bins))
    n = typeof(edges).size
    if isinstance(edges, Literal):
        steps = np.diff(edges.array)
        if not (np.all(steps >= 0) or np.all(steps <= 0)):
            raise ValueError("bins must be monotonically increasing or decreasing")
    side = "left" if right else "right"
    ascending = searchsorted(edges, x, side)
    if n < 2:
        return ascending
    descending = subtract(n, searchsorted(flip(edges), x, side))
    places = operand(edges)
    return where(np.less_equal(places[0], places[-1]), ascending, descending)


def top_k(x: Any, k: int, axis: int = -1) -> tuple[Any, Any]:
    """The `k` largest elements along an axis, the largest first, and their indices.

    Of equal elements that with the lower index comes first; NaN counts as the largest. The values are differentiable.

    Parameters
    ----------
    x : array of shape (..., n, ...)
    k : int
        At most n.
    axis : int
        The axis of length n; by default the last one.

    Returns
    -------
    values, indices : arrays of shape (..., k, ...)
        The indices are int64.

    Raises
    ------
    ShapeError
        Where k does not fit the axis.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> values, indices = sad.jit(lambda x: sad.numpy.top_k(x, 2))(np.array([1.0, 5.0, 3.0]))
    >>> values, indices
    (array([5., 3.]), array([1, 2]))
    """
    value, along_axis = along(x, axis)
    n = typeof(value).shape[along_axis]
    if not 0 <= k <= n:
        raise ShapeError(f"top_k: k = {k} of {n} elements")
    backwards = flip(value, along_axis)
    indices = o.argsort(backwards, axis=along_axis)

    def best(y: Any) -> Any:
        return flip(part(y, along_axis, n - k, None), along_axis)

    return best(o.permute(backwards, indices, axis=along_axis)), subtract(n - 1, best(indices))


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.sort: sort,
    np.argsort: argsort,
    np.partition: partition,
    np.argpartition: argpartition,
    np.lexsort: lexsort,
    np.searchsorted: searchsorted,
    np.digitize: digitize,
}
METHODS: dict[str, Callable[..., Any]] = {
    "argsort": argsort,
    "argpartition": argpartition,
    "searchsorted": searchsorted,
}
