"""Counting: bincount and unique, which take the length that would depend on the values, and what histograms count by.

Counts have no derivative; sums of weights are linear in the weights.

Invariant: what falls outside is counted in one element behind the others, which is cut off.
Start at ``tally``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, InvalidValueError, ShapeError, UnsupportedError
from staged_ad.ir import ArrayType, Literal
from staged_ad.ir.types import FLOAT64, INT64
from staged_ad.numpy.ordering import searchsorted
from staged_ad.numpy.promotion import as_value, to_dtype
from staged_ad.numpy.scanning import cumsum, diff, operand
from staged_ad.numpy.shaping import array_of, broadcast_to, concatenate, ravel, where
from staged_ad.primitives import ordering as o
from staged_ad.primitives.indexing import gather, scatter
from staged_ad.primitives.makers import typeof, zeros


def tally(places: Any, weights: Any, length: int) -> Any:
    """The sum of the weights at each place; negative places, and those from `length` on, count nowhere."""
    outside = np.logical_or(np.less(places, 0), np.greater_equal(places, length))
    places = to_dtype(as_value(where(outside, length, places)), INT64)
    start = zeros(ArrayType((length + 1,), typeof(weights).dtype))
    summed = scatter(start, weights, places, axes=(0,), batch=0, mode="add", unique=False)
    return summed[:length]


def _ones(places: Any) -> Any:
    return as_value(np.ones(typeof(places).shape, INT64))


def bin_of(values: Any, edges: Any) -> Any:
    """The number of the bin of each value; the last bin holds its upper edge too."""
    last = np.shape(edges)[0] - 1
    place = operand(searchsorted(edges, values, "right")) - 1
    return where(np.equal(operand(values), edges[-1]), last - 1, place)


def _whole(x: Any, name: str) -> Any:
    value = as_value(operand(x))
    if typeof(value).ndim != 1:
        raise ShapeError(f"{name}: object of too small or too great depth for desired array")
    if not np.can_cast(typeof(value).dtype, INT64):
        raise DTypeError(f"Cannot cast array data from {typeof(value).dtype} to int64 according to the rule 'safe'")
    return to_dtype(value, INT64)


def _extremes(whole: Any, minlength: int) -> tuple[int, int]:
    """The least and the largest of some integers; traced ones are read as ``if`` reads them."""
    if isinstance(whole, Literal) or not typeof(whole).size:
        known = whole.array if isinstance(whole, Literal) else np.zeros(0, int)
        return int(np.min(known, initial=0)), int(np.max(known, initial=-1))
    x = operand(whole)
    within = x.owner.concretize(np.all((x >= 0) & (x < minlength)), bool)
    if within:
        return 0, minlength - 1
    found = [x.owner.concretize(extreme, int) for extreme in (np.min(x), np.max(x))]
    if within is None or None in found:
        raise UnsupportedError(
            "np.bincount of traced integers has a length that depends on them; "
            "write staged_ad.numpy.bincount(x, weights, length=n)"
        )
    return found[0], found[1]


def bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """np.bincount, whose length can be given; where it is not, traced integers are read as ``if`` reads them.

    Parameters
    ----------
    x : integers of shape (n,)
        With a `length`, those that are negative or not below it are not counted.
    weights : array of shape (n,), optional
        What each integer counts; the result is linear in it.
    minlength : int
        The least length of the result where no `length` is given; traced integers below it need one decision.
    length : int, optional
        The length of the result.

    Returns
    -------
    array of shape (length,)
        int64, with weights float64, which of no integers count nothing: int64.

    Raises
    ------
    UnsupportedError
        Where the integers are traced, have no single value, as in `vmap`, and no `length` is given.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> sad.jit(lambda x: sad.numpy.bincount(x, length=4))(np.array([1, 3, 1]))
    array([0, 2, 0, 1])
    """
    whole = _whole(x, "bincount")
    for name, number in (("minlength", minlength), ("length", length)):
        if number is not None and number < 0:
            raise InvalidValueError(f"bincount: {name!r} must not be negative, got {number}")
    if length is None:
        least, largest = _extremes(whole, minlength)
        if least < 0:
            raise ValueError("'list' argument must have no negative elements")
        length = max(largest + 1, minlength)
    heavy = _ones(whole) if weights is None or not typeof(whole).size else to_dtype(as_value(weights), FLOAT64)
    if typeof(heavy).shape != typeof(whole).shape:
        raise ValueError("The weights and list don't have the same length.")
    return tally(operand(whole), heavy, length)


def unique(x: Any, *, size: int, fill_value: Any = None, return_counts: bool = False) -> Any:
    """The first `size` of the sorted distinct elements of a flattened array.

    Parameters
    ----------
    x : array
    size : int
        The length of the result.
    fill_value : number, optional
        What follows where there are fewer distinct elements; by default the smallest of them.
    return_counts : bool
        Whether to return how often each occurs, too; what follows occurs 0 times.

    Returns
    -------
    array of shape (size,), or a pair of such arrays, the second one int64
        An element has the derivative of its first occurrence. NaN is equal to itself, as in np.unique.

    Raises
    ------
    ShapeError
        Where x has no elements.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> f = sad.jit(lambda x: sad.numpy.unique(x, size=3, fill_value=0.0, return_counts=True))
    >>> f(np.array([2.0, 1.0, 2.0]))
    (array([1., 2., 0.]), array([1, 2, 0]))
    """
    value = operand(ravel(x))
    n = value.shape[0]
    if size < 0:
        raise ShapeError(f"unique: size must not be negative, got {size}")
    if n == 0:
        raise ShapeError("unique: of no elements")
    ordered = o.sort(value, axis=0)
    before, here = ordered[:-1], ordered[1:]
    new = ~((before == here) | ((before != before) & (here != here)))
    rank = cumsum(concatenate([np.zeros(1, np.int64), new.astype(np.int64)]))
    starts = operand(searchsorted(rank, np.arange(size + 1)))
    exists = starts[:-1] < n
    found = gather(ordered, np.minimum(starts[:-1], n - 1), axes=(0,), batch=0)
    rest = ordered[0] if fill_value is None else broadcast_to(array_of(fill_value, value.dtype), ())
    values = where(exists, found, rest)
    return (values, diff(starts)) if return_counts else values


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {np.bincount: bincount}
