"""Histograms: counts of what lies between edges. Weights and edges have derivatives, counts have none.

Invariant: the number of bins is static; an element belongs to a bin by comparison with the edges themselves.
Start at ``histogram``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.numpy.arrays import asarray, known, static
from staged_ad.numpy.counting import bin_of, tally
from staged_ad.primitives.makers import check_kind


def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    if isinstance(bins, str):
        known = static("histogram_bin_edges", f"the array, of which bins={bins!r} makes a number of bins,", a)
        return np.histogram_bin_edges(known, bins, range)
    return _edges(asarray(a).reshape(-1), bins, range)


def _edges(x: Any, bins: Any, range: Any) -> Any:
    """The edges themselves, or as many as asked for between the least and the greatest number."""
    if np.ndim(bins):
        return _increasing(asarray(bins))
    check_kind("histogram", x.dtype, "biuf")
    if not hasattr(bins, "__index__"):
        raise TypeError("`bins` must be an integer, a string, or an array")
    count = operator.index(bins)
    if count < 1:
        raise ValueError("`bins` must be positive, when an integer")
    first, last = _ends(x, range)
    kind = np.result_type(first, last, x)
    return np.linspace(first, last, count + 1, dtype=kind if kind.kind == "f" else float)


def _increasing(edges: Any) -> Any:
    """Edges that are given; traced ones are taken to increase."""
    if edges.ndim != 1:
        raise ShapeError("`bins` must be 1d, when an array")
    numbers = known(edges)
    if numbers is not None and np.any(numbers[:-1] > numbers[1:]):
        raise ValueError("`bins` must increase monotonically, when an array")
    return edges


def _ends(x: Any, range: Any) -> tuple[Any, Any]:
    """The first edge and the last one; traced ones are taken to be finite and in order."""
    if range is not None:
        first, last = range
    elif x.size == 0:
        first, last = 0.0, 1.0
    else:
        first, last = np.min(x), np.max(x)
    least, largest = known(first), known(last)
    for end in (least, largest):
        if end is not None and not np.isfinite(end):
            raise ValueError(f"the ends of a range must be finite, got {end}")
    if least is None or largest is None:
        half = np.where(first == last, np.result_type(first, last, 0.5).type(0.5), 0)
        return first - half, last + half
    if least > largest:
        raise ValueError("max must be larger than min in range parameter.")
    return (first, last) if least != largest else (first - 0.5, last + 0.5)


def _members(x: Any, edges: Any) -> Any:
    """Whether element i is in bin j; the last bin has its right edge too."""
    column, inner = x[:, None], edges[1:-1]
    above = np.concatenate([column >= edges[:1], column >= inner], 1)
    below = np.concatenate([column < inner, column <= edges[-1:]], 1)
    return above & below


def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> tuple[Any, Any]:
    x = asarray(a)
    weights = None if weights is None else asarray(weights)
    if weights is not None and weights.shape != x.shape:
        raise ShapeError("weights should have the same shape as a.")
    x = x.reshape(-1)
    edges = histogram_bin_edges(x, bins, range)
    heavy = np.ones(x.shape, np.int64) if weights is None else weights.reshape(-1)
    counts = tally(bin_of(x, edges), heavy, len(edges) - 1)
    return (counts / np.diff(edges) / np.sum(counts) if density else counts), edges


def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, tuple[Any, ...]]:
    if hasattr(sample, "shape"):
        table = asarray(sample)
        columns = [table] if table.ndim == 1 else [table[:, k] for k in np.arange(table.shape[1])]
    else:
        columns = [asarray(x) for x in sample]
    if len({x.shape for x in (columns if weights is None else [*columns, asarray(weights)])}) > 1:
        raise ShapeError("the coordinates of a sample and its weights must have the same length")
    count = len(columns)
    several = list(bins) if isinstance(bins, Sequence) or np.ndim(bins) else [bins] * count
    if len(several) != count:
        raise ValueError("The dimension of bins must be equal to the dimension of the sample x.")
    ranges = [None] * count if range is None else list(range)
    if len(ranges) != count:
        raise ValueError("range argument must have one entry per dimension")
    edges = tuple(_edges(x, b, r) for x, b, r in zip(columns, several, ranges, strict=True))
    inside = [_members(x, e).astype(float) for x, e in zip(columns, edges, strict=True)]
    if weights is not None:
        inside[0] = inside[0] * asarray(weights)[:, None]
    letters = "abcdefghijklmnopqrstuvwxy"[:count]
    counts = np.einsum(",".join("z" + c for c in letters) + "->" + letters, *inside)
    if density:
        widths = [np.diff(e).reshape([-1 if k == j else 1 for j in np.arange(count)]) for k, e in enumerate(edges)]
        counts = counts / math.prod(widths[1:], start=widths[0]) / np.sum(counts)
    return counts, edges


def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, Any, Any]:
    if np.shape(x) != np.shape(y):
        raise ValueError("x and y must have the same length.")
    listed = isinstance(bins, list | tuple)
    one_for_both = len(bins) not in (1, 2) if listed else np.ndim(bins) == 1
    counts, (first, second) = histogramdd(
        [x, y], [asarray(bins)] * 2 if one_for_both else bins, range, density, weights
    )
    return counts, first, second


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.histogram_bin_edges: histogram_bin_edges,
    np.histogram: histogram,
    np.histogramdd: histogramdd,
    np.histogram2d: histogram2d,
}
