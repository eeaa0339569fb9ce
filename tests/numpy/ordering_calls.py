"""Calls of the functions that accumulate, sort, rank and count, for the tests in test_functions.py.

Invariant: each is a call on one array of shape (2, 3, 2) with distinct elements.
Start at ``SCANNING``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[Any], Any]
PLACES = np.array([0.0, 0.5, 2.0])

SCANNING: dict[Callable[..., Any], list[Call]] = {
    np.cumsum: [
        np.cumsum,
        lambda x: np.cumsum(x, axis=1),
        lambda x: np.cumsum(x, 0, "float32"),
        lambda x: x.cumsum(-1),
        lambda x: np.cumsum(x[0, 0, 0]),
        lambda x: np.cumsum(x[0, 0, 0], axis=0),
        lambda x: np.cumsum(x > 0),
        lambda x: np.cumsum(x, dtype=bool),
    ],
    np.cumprod: [
        np.cumprod,
        lambda x: np.cumprod(x, axis=1),
        lambda x: x.cumprod(0, dtype="float32"),
        lambda x: np.cumprod(x > 0, dtype=bool),
        lambda x: np.cumprod(np.where(x > 1.0, 0.0, x), axis=1),
    ],
    np.nancumsum: [lambda x: np.nancumsum(np.where(x > 0, x, np.nan), axis=1), lambda x: np.nancumsum(x)],
    np.nancumprod: [lambda x: np.nancumprod(np.where(x > 0, x, np.nan), axis=1), lambda x: np.nancumprod(x)],
    np.cumulative_sum: [
        lambda x: np.cumulative_sum(x, axis=1),
        lambda x: np.cumulative_sum(x, axis=-1, include_initial=True),
        lambda x: np.cumulative_sum(x[0, 0], include_initial=True),
        lambda x: np.cumulative_sum(x[0, 0, 0]),
        lambda x: np.cumulative_sum(x, axis=0, dtype="float32", include_initial=True),
    ],
    np.cumulative_prod: [
        lambda x: np.cumulative_prod(x, axis=1),
        lambda x: np.cumulative_prod(x, axis=-1, include_initial=True),
        lambda x: np.cumulative_prod(x[0, 0]),
    ],
    np.diff: [
        np.diff,
        lambda x: np.diff(x, axis=1),
        lambda x: np.diff(x, n=2, axis=1),
        lambda x: np.diff(x, n=0),
        lambda x: np.diff(x, prepend=0.5),
        lambda x: np.diff(x, axis=1, prepend=x[:, :1] * 2, append=1),
        lambda x: np.diff(PLACES, append=x[0, 0, 0]),
        lambda x: np.diff(x > 0, n=2, axis=1),
    ],
    np.ediff1d: [
        np.ediff1d,
        lambda x: np.ediff1d(x, to_end=x[0, 0], to_begin=np.array([3, 4], "int8")),
        lambda x: np.ediff1d(x[0, 0, 0]),
    ],
    np.gradient: [
        np.gradient,
        lambda x: np.gradient(x, axis=1),
        lambda x: np.gradient(x, 0.5, axis=(2, 1)),
        lambda x: np.gradient(x, 2, 0.5, np.array([1.0, 4.0])),
        lambda x: np.gradient(x, PLACES, axis=1),
        lambda x: np.gradient(x, axis=1, edge_order=2),
        lambda x: np.gradient(x, PLACES, axis=-2, edge_order=2),
        lambda x: np.gradient(PLACES**2, np.cumsum(np.exp(x[0, :, 0])), edge_order=2),
        lambda x: np.gradient(PLACES, x[0, 0, 0] + 3),
    ],
    np.trapezoid: [
        np.trapezoid,
        lambda x: np.trapezoid(x, dx=0.5, axis=1),
        lambda x: np.trapezoid(x, PLACES, axis=1),
        lambda x: np.trapezoid(x, x**2, axis=1),
        lambda x: np.trapezoid(PLACES, x[1, :, 1]),
        lambda x: np.trapezoid(x, dx=x[0, 0, 0], axis=0),
    ],
    np.unwrap: [
        lambda x: np.unwrap(9 * x, axis=1),
        lambda x: np.unwrap(x, period=0.27),
        lambda x: np.unwrap(x, 0.6, 1, period=1),
        lambda x: np.unwrap(np.arange(7) * 3 + x[0, 0, 0], period=5),
        lambda x: np.unwrap(np.array([0, 2, 5, 9, 8, 1]) + (x[0, 0] > 0)[0], period=4),
    ],
}

ORDERING: dict[Callable[..., Any], list[Call]] = {
    np.sort: [
        np.sort,
        lambda x: np.sort(x, axis=1),
        lambda x: np.sort(x, axis=None, kind="stable"),
        lambda x: np.sort(x, 0, stable=True),
        lambda x: np.sort(x[0, 0, 0], axis=None),
    ],
    np.argsort: [
        np.argsort,
        lambda x: np.argsort(x, axis=1, kind="stable"),
        lambda x: x.argsort(axis=None),
        lambda x: np.argsort(x[0, 0, 0]),
    ],
    np.partition: [lambda x: np.sort(np.partition(x, 1, axis=1)[:, :2], axis=1), lambda x: np.partition(x, 4, None)[4]],
    np.argpartition: [lambda x: np.argpartition(x, 4, None)[4], lambda x: x.argpartition(-1)[..., -1]],
    np.lexsort: [
        lambda x: np.lexsort((x[0, :, 0], x[1, :, 1] > 0)),
        lambda x: np.lexsort((x[0], x[1] > 0.2), axis=0),
        lambda x: np.lexsort(x),
    ],
    np.searchsorted: [
        lambda x: np.searchsorted(np.sort(x.ravel()), PLACES),
        lambda x: np.searchsorted(PLACES, x, side="right"),
        lambda x: x[0, 0].searchsorted(0.25),
        lambda x: np.searchsorted(x[0, :, 0], x, sorter=np.argsort(x[0, :, 0])),
    ],
    np.digitize: [
        lambda x: np.digitize(x, PLACES),
        lambda x: np.digitize(x, PLACES[::-1], right=True),
        lambda x: np.digitize(PLACES, np.sort(x[0, :, 0])),
        lambda x: np.digitize(PLACES, np.sort(x[0, :, 0])[::-1], True),
        lambda x: np.digitize(x, [0.5]),
    ],
    np.median: [
        np.median,
        lambda x: np.median(x, axis=1),
        lambda x: np.median(x, axis=(0, 2), keepdims=True),
        lambda x: np.median(x[0, 0, 0]),
        lambda x: np.median(x > 0),
    ],
    np.nanmedian: [
        np.nanmedian,
        lambda x: np.nanmedian(np.where(x == x[0, 1, 1], np.nan, x), axis=1),
        lambda x: np.nanmedian(np.where(x == x[1, 1, 0], np.nan, x), axis=(0, 2), keepdims=True),
    ],
    np.quantile: [
        lambda x: np.quantile(x, 0.3),
        lambda x: np.quantile(x, [0.0, 0.3, 0.9, 1.0], axis=1),
        lambda x: np.quantile(x, np.array([[0.2, 0.5]]), axis=(0, 2), keepdims=True),
        lambda x: np.quantile(x, 1, axis=1),
        lambda x: np.quantile(PLACES, np.abs(x[0]) / 20),
        lambda x: np.quantile(x, np.abs(x[0, 0, 0]) / 20, axis=1),
    ],
    np.percentile: [lambda x: np.percentile(x, 30), lambda x: np.percentile(x, (25, 50.0), axis=-2, keepdims=True)],
    np.nanquantile: [
        lambda x: np.nanquantile(np.where(x == x[0, 1, 1], np.nan, x), 0.3, axis=1),
        lambda x: np.nanquantile(np.where(x == x[0, 1, 1], np.nan, x), [0.3, 0.9], axis=(0, 1), keepdims=True),
        lambda x: np.nanquantile(np.where(x == x[0, 1, 1], np.nan, x), [[0.0, 0.1], [0.9, 1.0]], axis=1),
    ],
    np.nanpercentile: [lambda x: np.nanpercentile(np.where(x == x[0, 1, 1], np.nan, x), [20, 30.0])],
}

COUNTING: dict[Callable[..., Any], list[Call]] = {
    np.histogram: [
        lambda x: np.histogram(x)[::-1],
        lambda x: np.histogram(x, 4),
        lambda x: np.histogram(x, 3, range=(-0.5, 1)),
        lambda x: np.histogram(x, [-1, 0, 0.5, 1.5]),
        lambda x: np.histogram(x, 4, range=(-0.5, 1), density=True),
        lambda x: np.histogram(PLACES, 2, weights=x[0, :, 0]),
        lambda x: np.histogram(x[1], PLACES, weights=x[0], density=True),
        lambda x: np.histogram((9 * x).astype(int), 2),
    ],
    np.histogram_bin_edges: [np.histogram_bin_edges, lambda x: np.histogram_bin_edges(x, 3, (0, 1))],
    np.bincount: [
        lambda x: np.bincount(np.array([1, 3, 1]), x[0, :, 0]),
        lambda x: np.bincount(np.array([1, 0, 1]), x[0, :, 0], minlength=4),
    ],
}

REFUSED: list[Callable[..., Any]] = [
    np.unique,
    np.unique_values,
    np.unique_counts,
    np.unique_inverse,
    np.unique_all,
]
"""What has a message of its own, which test_ordering.py reads."""
