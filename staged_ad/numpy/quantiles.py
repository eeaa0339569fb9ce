"""Order statistics: median, quantile, percentile, and those that leave NaN out.

A quantile is an element of the sorted array or lies between two of them; so its derivative is that of the elements
it is made of. With respect to `q`, which may be traced, it is the distance of those two elements, times n - 1 or so.

Invariant: signatures, methods and result dtypes are NumPy's; a traced `q` beyond [0, 1] counts as the nearest bound.
Start at ``quantile``; ``INTERPOLATIONS`` are the nine of Hyndman and Fan, *Sample Quantiles in Statistical Packages*,
The American Statistician 50(4), 1996, and NumPy's own four.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, IndexingError, ShapeError, UnsupportedError
from staged_ad.ir.types import FLOAT64
from staged_ad.numpy.promotion import as_value, result_dtype, to_dtype
from staged_ad.numpy.reducing import Axis, flag, normalize_axes
from staged_ad.numpy.scanning import operand, refuse_out
from staged_ad.primitives import ordering as o
from staged_ad.primitives.indexing import gather
from staged_ad.primitives.linalg import require
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import reshape, transpose
from staged_ad.tracing import Tracer

FEW = 4
"""Up to so many known places are slices."""

Index = Callable[[Any, Any], Any]


def _between(alpha: float, beta: float) -> Index:
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


def _step(index: Index, stays: Callable[[Any, Any], Any]) -> Index:
    """The place below the index where `stays` holds, else the one above."""

    def place(n: Any, q: Any) -> Any:
        virtual = index(n, q)
        below = np.floor(virtual)
        return np.maximum(np.where(stays(virtual - below, below), below, below + 1), 0)

    return place


def _span(n: Any, q: Any) -> Any:
    return (n - 1) * q


def _fraction(share: Any, index: Any) -> Any:
    return share


INTERPOLATIONS: dict[str, tuple[Index, Callable[[Any, Any], Any] | None]] = {
    "inverted_cdf": (_step(lambda n, q: n * q - 1, lambda share, below: share == 0), None),
    "averaged_inverted_cdf": (lambda n, q: n * q - 1, lambda share, index: np.where(share == 0, 0.5, 1.0)),
    "closest_observation": (
        _step(lambda n, q: n * q - 1 - 0.5, lambda share, below: (share == 0) & (below % 2 == 1)),
        None,
    ),
    "interpolated_inverted_cdf": (_between(0, 1), _fraction),
    "hazen": (_between(0.5, 0.5), _fraction),
    "weibull": (_between(0, 0), _fraction),
    "linear": (_span, _fraction),
    "median_unbiased": (_between(1 / 3, 1 / 3), _fraction),
    "normal_unbiased": (_between(3 / 8, 3 / 8), _fraction),
    "lower": (lambda n, q: np.floor(_span(n, q)), None),
    "higher": (lambda n, q: np.ceil(_span(n, q)), None),
    "midpoint": (
        lambda n, q: 0.5 * (np.floor(_span(n, q)) + np.ceil(_span(n, q))),
        lambda share, index: np.where(index % 1 == 0, 0.0, 0.5),
    ),
    "nearest": (lambda n, q: np.around(_span(n, q)), None),
}
"""By name: the index in the sorted array, from 0 on, and the weight of the element above it, as a function of the
fraction of the index; None where the index is a whole number."""


def _rows(value: Any, axis: Axis) -> tuple[Any, tuple[int, ...]]:
    """The axes to reduce joined to one behind the others, and the shape of the result with `keepdims`."""
    shape = typeof(value).shape
    axes = normalize_axes(axis, len(shape))
    if not axes and shape and 0 in shape:
        raise ShapeError("cannot take quantiles along no axes of an array without elements")
    kept = [k for k in range(len(shape)) if k not in axes]
    moved = transpose(value, permutation=(*kept, *axes))
    count = int(np.prod([shape[k] for k in axes], dtype=int))
    joined = reshape(moved, shape=(*(shape[k] for k in kept), count))
    return joined, tuple(1 if k in axes else n for k, n in enumerate(shape))


def _pick(ordered: Any, index: Any) -> Any:
    """Elements along the last axis: `index` has axes in front of those of the rows, which it follows or repeats."""
    rows = ordered.ndim - 1
    index = np.clip(index, 0, ordered.shape[-1] - 1)  # a NaN is no index
    many = np.shape(index)[: np.ndim(index) - rows]
    if np.shape(index)[len(many) :] != (1,) * rows:
        beside = np.transpose(index, (*range(len(many), len(many) + rows), *range(len(many))))
        found = gather(ordered, beside, axes=(rows,), batch=rows)
        return np.transpose(found, (*range(rows, rows + len(many)), *range(rows)))
    index = np.reshape(index, many)
    if isinstance(index, Tracer) or index.size > FEW:
        return gather(ordered, index, axes=(rows,), batch=0)
    found = [ordered[..., int(k)] for k in index.ravel()]
    shape = (*many, *ordered.shape[:-1])
    return np.stack(found).reshape(shape) if found else np.zeros(shape, ordered.dtype)


def _isnan(x: Any) -> Any:
    return x != x


def _quantile(
    name: str, a: Any, q: Any, axis: Axis, method: str, keepdims: Any, weights: Any, skip: bool, percent: bool
) -> Any:
    if method not in INTERPOLATIONS:
        raise ValueError(f"{method!r} is not a valid method. Use one of: {list(INTERPOLATIONS)}")
    if weights is not None:
        raise UnsupportedError(
            f"np.{name}(..., weights=...) is not supported on traced values; repeat the "
            "elements, or write np.argsort, np.cumsum of the weights, and np.searchsorted"
        )
    q = operand(q)
    given = typeof(as_value(q))
    whole = method == "linear" and given.dtype.kind in "biu" and not percent
    place = operand(to_dtype(as_value(q), given.dtype if given.inexact else FLOAT64))
    if percent:
        place = place / given.dtype.type(100) if given.inexact else place / 100
    if np.ndim(place) > 2:
        raise ShapeError("q must be a scalar or 1d")
    if np.ndim(place) > 1 and not np.size(place):
        raise ShapeError(f"np.{name}: a table of quantiles without elements")
    allowed = (place >= 0) & (place <= 1)
    if isinstance(place, Tracer):
        place = require(place, allowed, error="quantiles")
    elif not np.all(allowed):
        raise ValueError(
            f"{'Percentiles' if percent else 'Quantiles'} must be in the range [0, {100 if percent else 1}]"
        )
    value = as_value(a)
    if typeof(value).dtype.kind == "c":
        raise DTypeError(
            f"np.{name} of {typeof(value).dtype}: complex numbers have no order; "
            "use the real and imaginary parts, or np.abs"
        )
    if skip and not typeof(value).size:
        return np.nanmean(operand(value), axis=axis, keepdims=flag(keepdims))  # as NumPy: whatever q is
    rows, kept = _rows(to_dtype(value, typeof(value).dtype), axis)
    last = typeof(rows).ndim - 1
    if typeof(rows).shape[last] == 0:
        raise IndexingError(f"np.{name} of no elements")
    result = _between_elements(operand(o.sort(rows, axis=last)), place, method, given.weak, whole, skip)
    return result.reshape(np.shape(place) + kept) if flag(keepdims) else result


def _between_elements(ordered: Any, q: Any, method: str, weak: bool, whole: bool, skip: bool) -> Any:
    """The quantiles of each sorted row, the axes of `q` in front. `weak`: `q` has no say in the dtype."""
    inexact = ordered.dtype.kind == "f"
    count: Any = ordered.shape[-1]
    q = np.reshape(q, np.shape(q) + (1,) * (ordered.ndim - 1))
    if skip and inexact:
        count = np.sum(~_isnan(ordered), axis=-1).astype(q.dtype)
    index, share = INTERPOLATIONS[method]
    virtual = index(count, q)
    last = count - 1 if isinstance(count, int) else np.maximum(count - 1, 0)
    below = np.clip(np.floor(virtual), 0, last)
    lower = _pick(ordered, below.astype(np.int64))
    if share is None or whole:
        result = lower
    else:
        inside = (virtual >= 0) & (virtual < last)
        upper = _pick(ordered, np.where(inside, below + 1, below).astype(np.int64))
        weight = share(virtual - below, virtual).astype(virtual.dtype)
        kind = ordered.dtype if inexact else FLOAT64
        weight = weight.astype(kind if weak else result_dtype([typeof(as_value(weight)), typeof(as_value(lower))])[0])
        result = _lerp(lower, upper, weight)
    if inexact and not skip:
        result = np.where(_isnan(ordered[..., -1]), np.full((), np.nan, ordered.dtype), result)
    return result


def _lerp(a: Any, b: Any, t: Any) -> Any:
    """From the nearer end, as NumPy does it."""
    gap = b - a
    return np.where(t >= 0.5, b - gap * (1 - t), a + gap * t)


def _quantiles(name: str) -> Callable[..., Any]:
    skip, percent = name.startswith("nan"), name.endswith("percentile")

    def quantile(
        a: Any,
        q: Any,
        axis: Axis = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: Any = False,
        *,
        weights: Any = None,
    ) -> Any:
        refuse_out(name, out)
        return _quantile(name, a, q, axis, method, keepdims, weights, skip, percent)

    return quantile


quantile, percentile, nanquantile, nanpercentile = map(
    _quantiles, ("quantile", "percentile", "nanquantile", "nanpercentile")
)


def _medians(name: str) -> Callable[..., Any]:
    skip = name == "nanmedian"

    def median(a: Any, axis: Axis = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False) -> Any:
        """The mean of the middle two elements, or of the middle one; NaN of no elements."""
        refuse_out(name, out)
        value = as_value(a)
        if skip and not typeof(value).size:
            return np.nanmean(operand(value), axis=axis, keepdims=flag(keepdims))
        rows, kept = _rows(to_dtype(value, typeof(value).dtype), axis)
        dtype = typeof(rows).dtype if typeof(rows).inexact else FLOAT64
        if typeof(rows).shape[-1] == 0:
            result = np.full(typeof(rows).shape[:-1], np.nan, dtype)[()]
        else:
            result = _middle(operand(o.sort(rows, axis=typeof(rows).ndim - 1)), dtype, skip)
        return result.reshape(kept) if flag(keepdims) else result

    return median


def _middle(ordered: Any, dtype: np.dtype[Any], skip: bool) -> Any:
    inexact = ordered.dtype.kind == "f"
    count: Any = np.full((1,) * (ordered.ndim - 1), ordered.shape[-1])
    if skip and inexact:
        count = np.sum(~_isnan(ordered), axis=-1)
    lower, upper = (_pick(ordered, np.maximum(k, 0)).astype(dtype) for k in ((count - 1) // 2, count // 2))
    middle = np.where(count % 2 == 1, lower, (lower + upper) / dtype.type(2))
    if skip or not inexact:
        return middle
    return np.where(_isnan(ordered[..., -1]), dtype.type(np.nan), middle)


median, nanmedian = map(_medians, ("median", "nanmedian"))

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.median: median,
    np.nanmedian: nanmedian,
    np.quantile: quantile,
    np.percentile: percentile,
    np.nanquantile: nanquantile,
    np.nanpercentile: nanpercentile,
}
