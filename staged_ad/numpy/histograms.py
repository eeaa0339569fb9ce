"""Histograms of several variables: np.histogramdd and np.histogram2d.

Invariant: an element is counted in one dimension as np.histogram would; what lies outside in one is counted nowhere.
Start at ``histogramdd``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.numpy.arrays import asarray
from staged_ad.numpy.counting import bin_of, tally


def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, tuple[Any, ...]]:
    """np.histogramdd. Counts have no derivative; the sums are linear in the weights, the edges depend on the data."""
    columns = _columns(sample)
    count = len(columns)
    several = list(bins) if isinstance(bins, list | tuple) or np.ndim(bins) else [bins] * count
    if len(several) != count:
        raise ValueError("The dimension of bins must be equal to the dimension of the sample x.")
    ranges = [None] * count if range is None else list(range)
    if len(ranges) != count:
        raise ValueError("range argument must have one entry per dimension")
    edges = tuple(asarray(np.histogram_bin_edges(x, b, r)) for x, b, r in zip(columns, several, ranges, strict=True))
    lengths = [len(e) - 1 for e in edges]
    places = [asarray(bin_of(x, e)) for x, e in zip(columns, edges, strict=True)]
    outside, flat = False, np.zeros(columns[0].shape, np.int64)
    for place, n in zip(places, lengths, strict=True):
        outside, flat = outside | (place < 0) | (place >= n), flat * n + place
    heavy = np.ones(columns[0].shape) if weights is None else asarray(weights).astype(float)
    counts = tally(np.where(outside, -1, flat), heavy, math.prod(lengths)).reshape(lengths)
    if density:
        for axis, e in enumerate(edges):
            counts = counts / np.diff(e).reshape([-1 if k == axis else 1 for k in np.arange(count)])
        counts = counts / np.sum(tally(np.where(outside, -1, flat), heavy, math.prod(lengths)))
    return counts, edges


def _columns(sample: Any) -> list[Any]:
    """The values of each variable: the columns of a table, or the arrays of a list."""
    if not hasattr(sample, "shape"):
        return [asarray(x) for x in sample]
    table = asarray(sample)
    return [table] if table.ndim == 1 else [table[:, k] for k in np.arange(table.shape[1])]


def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Any, Any, Any]:
    if np.shape(x) != np.shape(y):
        raise ValueError("x and y must have the same length.")
    if not isinstance(bins, int) and len(bins) not in (1, 2):  # the edges for both
        bins = [asarray(bins)] * 2
    counts, (first, second) = histogramdd([x, y], bins, range, density, weights)
    return counts, first, second


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {np.histogramdd: histogramdd, np.histogram2d: histogram2d}
