"""Examples of reductions, products, polynomials and statistics.

Invariant: see example.py. Start at ``SUMS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.coverage.example import Example, M, Table, V, X, numbers, on, q, steps, v, x

MASK = X > -0.2
C = np.array([[0.5, -1.0], [2.0, 0.25], [1.5, 3.0]])
P = numbers(4, low=0.5)
TABLE = numbers(7, 3)
HIGH = numbers(5, low=0.3, high=2.1)
FLOATS = ("float32",)


def holes(x: Any) -> Any:
    """Some elements replaced by NaN, where they can be."""
    return np.where(MASK, x, np.nan).astype(x.dtype) if x.dtype.kind == "f" else x


def _nan(f: Callable[..., Any], *options: dict[str, Any]) -> list[Example]:
    return x(*[lambda x, o=o: f(holes(x), **o) for o in ({}, {"axis": 1}, *options)])


def _sums(f: Callable[..., Any], *options: dict[str, Any]) -> list[Example]:
    return x(*[lambda x, o=o: f(x, **o) for o in ({}, {"axis": 1}, {"axis": (0, 2), "keepdims": True}, *options)])


SUMS: Table = {
    "numpy.sum": [
        *_sums(np.sum, {"where": MASK}, {"initial": 2.0}, {"axis": 2, "where": MASK[0], "initial": 1}),
        *on(np.zeros((0, 3)))(np.sum, lambda x: np.sum(x, axis=0)),
        *on(np.float64(2.0))(np.sum),
    ],
    "numpy.prod": [*_sums(np.prod, {"where": MASK, "axis": 1}, {"initial": 2.0}), *on(np.zeros((0, 3)))(np.prod)],
    "numpy.max": [
        *_sums(np.max, {"initial": 0.7, "axis": 1}, {"where": MASK, "initial": -5.0}),
        *on(np.zeros((0, 3)))(lambda x: np.max(x, initial=1.0), lambda x: np.max(x, axis=1)),
    ],
    "numpy.min": [*_sums(np.min, {"initial": 0.7, "axis": 1}, {"where": MASK, "initial": 5.0, "axis": 0})],
    "numpy.amax": x(np.amax),
    "numpy.amin": x(np.amin),
    "numpy.any": steps(lambda x: np.any(x > 1), lambda x: np.any(x, axis=1, where=MASK)),
    "numpy.all": steps(lambda x: np.all(x > -1, axis=0), lambda x: np.all(x, where=MASK)),
    "numpy.argmax": steps(np.argmax, lambda x: np.argmax(x, axis=1, keepdims=True)),
    "numpy.argmin": steps(np.argmin, lambda x: np.argmin(x, axis=1)),
    "numpy.count_nonzero": steps(
        lambda x: np.count_nonzero(x > 0, axis=1), lambda x: np.count_nonzero(x, keepdims=True)
    ),
    "numpy.mean": _sums(np.mean, {"where": MASK}, {"where": MASK, "axis": 1, "keepdims": True}),
    "numpy.var": [
        *_sums(np.var, {"ddof": 1}, {"correction": 1}, {"where": MASK, "ddof": 1}),
        *x(lambda x: np.var(x, axis=1, mean=np.mean(x, axis=1, keepdims=True))),
    ],
    "numpy.std": _sums(np.std, {"ddof": 1, "axis": 1}, {"where": MASK}),
    "numpy.ptp": x(np.ptp, lambda x: np.ptp(x, axis=1)),
    "numpy.average": on(X, dtypes=FLOATS)(
        np.average,
        lambda x: np.average(x, axis=1, weights=np.array([1.0, 2.0, 3.0])),
        lambda x: np.average(x, weights=x**2),
        lambda x: np.average(x, axis=(1, 2), weights=C**2),
        lambda x: np.average(x, axis=0, returned=True),
        lambda x: np.average(x, weights=x**2, returned=True, axis=1, keepdims=True),
    ),
    "numpy.nansum": _nan(np.nansum, {"initial": 1.0}, {"where": X > 0}),
    "numpy.nanprod": _nan(np.nanprod, {"axis": (0, 2)}),
    "numpy.nanmax": _nan(np.nanmax, {"initial": 0.3}, {"keepdims": True}),
    "numpy.nanmin": _nan(np.nanmin, {"initial": 0.3, "axis": 0}),
    "numpy.nanmean": _nan(np.nanmean, {"where": X > -0.5}),
    "numpy.nanvar": _nan(np.nanvar, {"ddof": 1}, {"correction": 1}, {"where": X > -0.5}),
    "numpy.nanstd": _nan(np.nanstd, {"keepdims": True}),
    "numpy.nanargmax": steps(lambda x: np.nanargmax(holes(x)), lambda x: np.nanargmax(holes(x), axis=1)),
    "numpy.nanargmin": steps(lambda x: np.nanargmin(holes(x)), lambda x: np.nanargmin(holes(x), axis=1, keepdims=True)),
    "numpy.diff": x(np.diff, lambda x: np.diff(x, n=2, axis=1)),
    "numpy.where": x(lambda x: np.where(x > 0, x**2, 2 * x), lambda x: np.where(X[0] > 0, x, 0)),
    "numpy.clip": x(lambda x: np.clip(x, -0.5, 0.5), lambda x: np.clip(x, x[0] - 0.1, C)),
    "numpy.round": steps(np.round, lambda x: np.round(x + 0.011, 1)),
    "numpy.around": steps(np.around),
    "numpy.dot": x(lambda x: np.dot(x, C.T), lambda x: np.dot(x[0, :, 0], x[1, :, 1])),
    "numpy.inner": x(lambda x: np.inner(x, C)),
    "numpy.outer": x(lambda x: np.outer(x, C)),
    "numpy.vdot": x(lambda x: np.vdot(x[0], C), lambda x: np.vdot(x, x)),
    "numpy.matmul": [*on(X, M)(lambda x, m: np.matmul(x, m.T)), *on(np.zeros((0, 3)), M)(np.matmul)],
    "numpy.tensordot": x(lambda x: np.tensordot(x, C, axes=([1, 2], [0, 1])), lambda x: np.tensordot(x[0], C, axes=0)),
    "numpy.einsum": on(X, M)(
        lambda x, m: np.einsum("ijk,jk->i", x, m),
        lambda x, m: np.einsum(x, [0, 1, 2], m, [1, 3], [0, 3]),
        lambda x, m: np.einsum(x, [..., 1, 2], m, [1, 2]),
    ),
    "numpy.einsum_path": steps(lambda x: x * np.einsum_path("ijk,jk->i", x, C)[0][1]),
    "numpy.kron": [*on(X, M)(np.kron), *on(np.float64(2.0), V)(np.kron), *on(np.zeros((0, 3)), M)(np.kron)],
    "numpy.cross": [
        *on(numbers(2, 3), numbers(3, low=0.2))(np.cross, lambda a, b: np.cross(b, a.T, axisb=0, axisc=0)),
        *q(lambda q: np.cross(q, q[::-1], axis=0)),
    ],
    "numpy.vecdot": on(X, M)(np.vecdot, lambda x, m: np.vecdot(x, m, axis=-2)),
    "numpy.matvec": on(X, numbers(2))(lambda a, b: np.matvec(a, b)),
    "numpy.vecmat": on(numbers(2, 3), X)(lambda a, b: np.vecmat(a, b)),
    "numpy.convolve": [
        *on(V, P)(*[lambda a, b, o=o: np.convolve(a, b, o) for o in ("full", "same", "valid")]),
        *on(P, V)(np.convolve, lambda a, b: np.convolve(a, b[:2], "same")),
    ],
    "numpy.correlate": [
        *on(V, P)(*[lambda a, b, o=o: np.correlate(a, b, o) for o in ("full", "same", "valid")]),
        *on(P, V)(*[lambda a, b, o=o: np.correlate(a, b, o) for o in ("full", "same", "valid")]),
    ],
    "numpy.polyval": on(V, M)(np.polyval, lambda p, x: np.polyval([2, 1], x), lambda p, x: np.polyval(p, 2.0)),
    "numpy.polyadd": on(V, P)(np.polyadd, lambda a, b: np.polyadd(a, 1.0)),
    "numpy.polysub": on(V, P)(np.polysub, lambda a, b: np.polysub(b, a)),
    "numpy.polymul": on(V, P)(np.polymul),
    "numpy.polyder": v(np.polyder, lambda p: np.polyder(p, 2), lambda p: np.polyder(p, 6)),
    "numpy.polyint": on(V, dtypes=FLOATS)(
        np.polyint, lambda p: np.polyint(p, 2, k=[1.5, 2.0]), lambda p: np.polyint(p, 3, k=2)
    ),
    "numpy.poly": v(np.poly),
    "numpy.cov": [
        *on(numbers(3, 4), numbers(2, 4, low=0.1), dtypes=FLOATS)(
            lambda a, b: np.cov(a),
            lambda a, b: np.cov(a, b),
            lambda a, b: np.cov(a, rowvar=False, bias=True),
            lambda a, b: np.cov(a, aweights=b[0], fweights=[1, 2, 3, 1]),
            lambda a, b: np.cov(a, ddof=0, fweights=[1, 2, 3, 1]),
        ),
        *on(V, dtypes=FLOATS)(np.cov),
    ],
    "numpy.corrcoef": on(numbers(3, 5) ** 3, numbers(2, 5, low=0.1), dtypes=FLOATS)(
        lambda a, b: np.corrcoef(a) * np.tri(3, k=-1), lambda a, b: np.corrcoef(a, b)[3:, :3]
    ),
    "numpy.histogram_bin_edges": [
        *x(
            np.histogram_bin_edges,
            lambda x: np.histogram_bin_edges(x, 3, range=(-1, 1)),
            lambda x: np.histogram_bin_edges(x, 3, range=(-1, 1)),
            lambda x: np.histogram_bin_edges(x * 0, 2),
        ),
        *steps(lambda x: np.histogram_bin_edges(x, [0, 1, 2])),
    ],
    "numpy.histogram": [
        *x(
            lambda x: np.histogram(X, 4, weights=x),
            lambda x: np.histogram(X, 3, weights=x**2, density=True),
            lambda x: np.histogram(x, 5)[1],
            lambda x: np.histogram(x, 3, range=(-0.5, 1), density=True)[1],
        ),
        *steps(lambda x: np.histogram(x, [-1, -0.5, 0.0, 1.0]), lambda x: np.histogram(x, 4, (X.min(), X.max()))),
    ],
    "numpy.histogramdd": on(numbers(7, 2), numbers(7, low=0.2))(
        lambda x, w: np.histogramdd(M, (2, 3), weights=w[:3], density=True)[0],
        lambda x, w: np.histogramdd(x, 3)[1],
        lambda x, w: np.histogramdd(TABLE, [np.linspace(-1, 2, 4), 2, 2], weights=w)[0],
    ),
    "numpy.histogram2d": on(V, numbers(5, low=0.3, high=2.1))(
        lambda a, b: np.histogram2d(V, HIGH, 3, weights=b),
        lambda a, b: np.histogram2d(a, b, (2, 3), range=[[-1.1, 1], [0, 3]])[0] * b[0],
        lambda a, b: np.histogram2d(a, b, [0.0, 0.5, 1.0, 1.5])[0] * b[0],
    ),
    "numpy.polyfit": on(V, numbers(5, low=0.3, high=2.1), dtypes=())(
        lambda x, y: np.polyfit(x, y, 2),
        lambda x, y: np.polyfit(x, np.stack([y, x * y], 1), 1, w=y),
    ),
    "numpy.interp": [
        *on(np.array([0.3, -0.7, 5.0, -9.0, 2.0]), numbers(6, low=-1.0, high=2.3), numbers(6))(
            lambda x, xp, fp: np.interp(x, np.sort(xp), fp),
            lambda x, xp, fp: np.interp(x, np.sort(xp), fp, left=fp[2], right=7.0),
            lambda x, xp, fp: np.interp(x, xp * 0.9, fp, period=3.0),
            lambda x, xp, fp: np.interp(x[0], [-2.0, 0.0, 2.0], fp[:3]),
            lambda x, xp, fp: np.interp(x, xp[:1] - 1, fp[:1]),
        ),
        *steps(
            lambda x: np.interp(x, [0.0, 1.0, 2.0, 4.0], [3.0, np.inf, np.inf, 2.0]),
            args=(np.array([0.0, 1.0, 1.5, 2.0, 4.0, np.nan, 0.5]),),
        ),
    ],
    "numpy.apply_along_axis": x(
        lambda x: np.apply_along_axis(np.sum, 1, x),
        lambda x: np.apply_along_axis(lambda v: np.outer(v, v), 1, x),
        lambda x: np.apply_along_axis(lambda v: v[::-1] ** 2, 0, x),
    ),
    "numpy.apply_over_axes": x(lambda x: np.apply_over_axes(np.sum, x, [0, 2])),
    "numpy.linalg.norm": on(X, dtypes=FLOATS)(
        np.linalg.norm,
        lambda x: np.linalg.norm(x, axis=(0, 1), keepdims=True),
        lambda x: np.linalg.norm(x[0, :, 0], 3),
        lambda x: np.linalg.norm(x, -np.inf, axis=1),
    ),
}
