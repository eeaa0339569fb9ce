"""Calls that random ones have found wrong.

Invariant: a call is a function of one array, and that array.
Start at `CALLS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg, special

V = np.array([1.0, -2.5, 4.0])
N = np.array([np.nan, 2.5, 4.0, 9.0])
Z = np.array([1 + 2j, complex(np.nan, 1), 3 - 1j])
K = np.array([3, -2, 7], "int8")
W = np.array([1 - 0.04j, -2.26 + 0.2j, complex(-2, -0.0), complex(np.nan, -0.0)])
K64 = np.array([3, 2**64 - 2, 6], "uint64")
M = np.array([[1.5, 2.5], [-3.0, 4.0]])
MASK = np.array([True, False, True])


def _written(f: Callable[..., Any], k: Any) -> Any:
    """Computed in the dtype of the array that takes it."""
    found = np.zeros(np.shape(f(k)))
    f(k, axis=0, out=found)
    return found


def _placed(k: Any) -> Any:
    """Large integers that are no floats."""
    one, two = k.copy(), k.copy()
    np.place(one, [False, True, False], [1, 2])
    np.add(two, np.uint64(1), out=two, where=MASK)
    return np.stack([one, two])


def _masked_by(x: Any, value: Any) -> Any:
    y = x.copy()
    np.putmask(y, y > 0, value)
    return y


def _without_nan(x: Any) -> Any:
    y = x.copy()
    np.nan_to_num(y, copy=False, nan=7.0)
    return y


def _given(write: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    """An array that is given as `out`, by its place."""
    write(x, y)
    return y


def _accumulated(ufunc: np.ufunc, chosen: Any) -> Any:
    """Elements of which one takes several values."""
    y = chosen.copy()
    ufunc.at(y, [0, 1, 0, 2, 3], [True, False, chosen[2], True, False])
    return y


def _without_values(x: Any) -> Any:
    """Where nothing is chosen no values are needed."""
    y = x.copy()
    np.place(y, y > 100, [])
    return y


def _filled(y: Any, value: Any) -> Any:
    y.fill(value)
    return y


def _put_along(y: Any, places: Any, axis: int) -> Any:
    np.put_along_axis(y, places, 0.5, axis)
    return y


def _put(y: Any, values: Any) -> Any:
    """Its elements from both ends."""
    np.put(y, [0, -1], values)
    return y


CALLS: list[tuple[Callable[..., Any], Any]] = [
    *[(lambda x, f=f, t=t: getattr(np, f)(x, dtype=t), V) for f in ("mean", "var", "std") for t in ("float32", "int8")],
    *[(lambda x, f=f: getattr(np, f)(x, dtype="complex64"), V) for f in ("mean", "var", "std")],
    *[(lambda x, f=f: getattr(np, f)(x, dtype="bool"), K) for f in ("sum", "prod", "mean", "std", "cumsum")],
    *[(lambda x, f=f: getattr(np, f)(x), Z) for f in ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nancumsum")],
    (lambda z: np.var(z, where=MASK), Z),
    (lambda x: np.linalg.matrix_power(x[:2, None] * x[:2], 0), V),
    (lambda x: np.exp(np.linalg.matrix_power(x[:2, None] * x[:2], 0)), V),
    (lambda x: np.vdot(x > 1, x > 0), V),
    (lambda x: np.delete(x, []), V),
    (lambda x: np.std(x, where=False, ddof=-1), V),
    (lambda k: np.linspace(k > 1, np.float32(2.5), 4), K),
    (lambda x: np.linspace(x, 1.0, 3), V.astype("float32")),
    (lambda x: np.logspace(x, 1.0, 3), V.astype("float32")),
    *[(lambda x, f=f: getattr(np, f)(V, where=x > 0), V) for f in ("sum", "prod", "any", "all", "nansum")],
    *[(lambda x, f=f: getattr(np, f)(V, where=x > 0, initial=1.0), V) for f in ("max", "min")],
    *[(lambda x, f=f: getattr(np, f)(V, where=x > 0), V) for f in ("mean", "var", "std")],
    *[(lambda x, f=f: getattr(np, f)(x, dtype="complex64"), N) for f in ("nanmean", "nanvar", "nanstd")],
    (lambda x: np.nanstd(x, dtype="int8"), K),
    (lambda x: (x > 0).conj(), V),
    (lambda x: np.clip(x > 0, 0, np.int8(3)), V),
    (lambda x: np.correlate(x > 0, x > 1), V),
    (lambda z: 0**z, np.array([2 + 0j, 1j, -1 + 2j, 0j])),
    (lambda x: np.logical_xor.reduce(x[:1]), V),
    (lambda k: np.divide.reduce(k[:1]), K),
    (lambda k: np.allclose(k, -1), K.astype("uint16")),
    (lambda z: np.geomspace(z, 2.0 - 1j, 4), Z[::2]),
    (lambda k: np.angle(k, deg=True), K.astype("int16")),
    *[(lambda x, m=m: np.correlate(x, x, m), np.array([np.inf, 0.0, 2.0, 0.5])) for m in ("full", "same", "valid")],
    *[(lambda x, m=m: np.convolve(x, [1.0, np.nan, 0.0, 2.0], m), V) for m in ("full", "same", "valid")],
    (lambda k: np.convolve(k, K[:2]), K),
    (lambda k: np.logaddexp2.reduce(k, initial=2.5), K.astype(int)),
    (lambda k: _placed(k), np.array([2**64 - 1, 5, 2**64 - 3], "uint64")),
    (lambda x: np.einsum("kk,li->i", x[:, None] * N[:3], np.zeros((0, 2))), V),
    (lambda x: np.einsum("ii->i", np.where(np.eye(3) > 0, x, np.inf)), V),
    (lambda x: np.polymul(x[:0], x), V),
    *[
        (lambda x, m=m, w=w: np.pad(x, w, mode=m, reflect_type="odd"), np.array(v))
        for m in ("reflect", "symmetric")
        for w, v in [((9, 2), [1.0, np.nan, 3.0]), ((0, 7), [np.inf, 1.0]), (3, [5.0]), (2, [[1, 2], [3, 5]])]
    ],
    *[(lambda k, n=n: np.round(k, n), np.array([-127, 25, 15, 4], "int8")) for n in (-3, -1, 0, 2)],
    (lambda x: np.round(x * 1e4, -3), V),
    *[(lambda x, n=n: np.round(x, n), x) for n in (308, 400, -400) for x in (V, Z, K)],
    *[(lambda x, f=f: _accumulated(f, x > 2), N) for f in (np.add, np.multiply, np.maximum)],
    (lambda x: _without_values(x), V),
    (lambda x: np.transpose(x, []) * np.float32([1, 2]), 2.5),
    (lambda x: np.copy(x) * np.float32([1, 2]), 2.5),
    (lambda x: np.clip(x, np.float32([1, 2]), None), 3),
    (lambda k: np.bitwise_xor.reduce(k, initial=2), K),
    (lambda k: np.gcd.reduce(k, initial=6), K),
    (lambda x: np.hypot.reduce(x, initial=2), V),
    (lambda x: np.fmax.reduce(x, initial=5), N),
    (lambda x: np.subtract.reduce(x, initial=5), V),
    (lambda x: np.linspace(x, np.float32([1, 2]), 3), 2.5),
    (lambda x: np.logical_or.reduce(x > 9, initial=1), V),
    (lambda x: np.logical_and.reduce(x > -9, axis=None, initial=0, keepdims=True), V),
    (lambda k: np.clip(k, -1, 1), K.astype("uint8")),
    (lambda k: np.clip(k, -1000, 1000), K),
    (lambda x: round(x[1], 1), V * 1.23456),
    (lambda x: round(x[1]) * x, V * 1.23456),
    *[(lambda k, f=f: _written(f, k), np.array([2**62] * 3)) for f in (np.sum, np.prod, np.cumsum, np.add.accumulate)],
    (lambda x: _without_nan(x), N),
    (lambda x: np.nanquantile(x[:0], [[0.2], [0.7]], axis=0, keepdims=True), K[:, None]),
    (lambda x: np.nanpercentile(x[:0], [30.0]), V.astype("float32")),
    (lambda x: np.polymul(x[:0], True), V.astype("float32")),
    (lambda x: np.polyadd(x, x[:1]), V),
    (lambda z: np.cov(z[:, :0].T), Z[:, None]),
    (lambda x: np.select([x > 0, MASK], [np.float32(1.5), 2], 0.5), V),
    (lambda x: np.invert(-x, dtype="uint8", casting="unsafe"), V),
    *[(lambda x, t=t: x.astype(t), np.array([-1.5, -300.5, 300.5, 255.9, -0.5])) for t in ("uint8", "int8", "uint32")],
    (lambda x: x.astype("uint64"), np.array([-1.5, 1e19, 2.0**63, 9e18, 3.0], "float32")),
    (lambda x: sum([x[0] > 0, x[1] > 0, x[2] > 0]), V),
    (lambda k: k ** (k - k), K),
    *[(lambda k, t=t: np.reciprocal(np.append(k, [0, 1, -1]).astype(t)), K) for t in ("int8", "uint16", "bool")],
    *[(lambda x, u=u: u.accumulate(x), V) for u in (np.arctan2, np.fmax, np.subtract, np.heaviside)],
    *[(lambda k, u=u: u.accumulate(k, axis=1), K.reshape(1, 3, 1)) for u in (np.divide, np.bitwise_and, np.gcd)],
    *[(lambda x, f=f: f(x[0], axis=-1), V) for f in (np.sum, np.nanmax, np.argmin, np.ptp, np.squeeze, np.nanvar)],
    *[(lambda x, f=f: f(x[0], 2, axis=0), V) for f in (np.repeat, lambda x, n, axis: np.take(x, [0, 0], axis))],
    *[(lambda k, u=u: u.reduce(k[1:2]), K.astype(int)) for u in (np.hypot, np.gcd)],
    (lambda k: np.clip(k, True, k), K.astype("uint64")),
    (lambda x: np.subtract.reduce(x[0], axis=0, keepdims=True), V),
    *[(lambda x, f=f: True * f(x, x), V) for f in (np.allclose, np.array_equal, np.array_equiv)],
    (lambda x: np.array_equal(x, x) * np.int8(2) + np.array_equal(x, x[1:]), V),
    (lambda x: np.einsum("...ij,...->...", x, V[:0]), np.zeros((1, 0, 1))),
    (lambda k: np.logaddexp.accumulate(k), K.astype("int16")),
    (lambda z: np.angle(np.round(z, 1)), W),
    (lambda z: np.angle(np.nan_to_num(z)), W),
    (lambda x: np.hypot.reduceat(x, [1, 2]), V),
    (lambda k: np.gcd.reduceat(k, [1, 2, 0]), K),
    *[(lambda x, s=s: np.linalg.pinv(x.reshape(s)), np.zeros(0, int)) for s in ((0, 0), (2, 3, 0))],
    *[(lambda x, n=n: linalg.toeplitz(x.reshape(3, 2)[:, :n]), np.arange(6.0)) for n in (0, 2)],
    (lambda x: linalg.toeplitz(x[:, None], x[1:]), V),
    (lambda z: np.average(V, weights=z, returned=True), Z.real.astype("float32") + 1j),
    (lambda k: np.average(k, weights=np.float32([1, 2, 1]), returned=True), V),
    (lambda k: np.bincount(k[:0], weights=V[:0]), K),
    (lambda x: _masked_by(x[:0], 7.0), V),
    (lambda x: np.partition(x[:0], 0), V),
    (lambda x: np.roll(x, (1, 2, -1), 0), V),
    (lambda x: np.roll(x[None], 1, (0, 1)), V),
    (lambda x: np.histogram2d(x, x, [[0, 1, 5], [-3, 4]])[0], V),
    (lambda k: np.packbits(k[0] > 0, axis=-1), K),
    (lambda k: np.unpackbits(k[0].astype("uint8"), axis=0), K),
    *[(lambda k, t=t: np.signbit(k.astype(t)), K) for t in ("int8", "uint8", "bool")],
    (lambda x: np.divmod.outer(x, V), V),
    *[(lambda k, u=u: u.reduce(k, where=MASK), K) for u in (np.bitwise_and, np.bitwise_xor, np.gcd, np.logical_xor)],
    *[(lambda k, f=f: f(K64, k), K) for f in (np.equal, np.less, np.greater_equal, np.array_equal)],
    *[(lambda k, f=f: f(k, K), K64) for f in (np.not_equal, np.less_equal, np.greater)],
    (lambda x: linalg.toeplitz(x > 0), 2.5),
    (lambda x: special.logsumexp(x[:0], keepdims=True), V),
    *[(lambda x, p=p: np.linalg.norm(x.reshape(0, 2), p), V[:0]) for p in (1, 2, np.inf)],
    *[(lambda x, p=p: np.linalg.norm(x.reshape(2, 0), p), V[:0]) for p in (1, 2)],
    (lambda x: np.linalg.norm(x[:0], np.inf), V),
    (lambda x: np.fmax.reduce(x[:0], axis=(), initial=1.0), V),
    (lambda x: np.array([4.0 in x, 1.0 in x, 2.5 in x[:, None], x[0] in x, 1.0 in np.array(x[0])]), V),
    (lambda x: special.softmax(x[:0].reshape(0, 2), axis=1), V),
    *[(lambda x, f=f: f(N, x[0]), V) for f in (lambda n, t: n.clip(t, 3), lambda n, t: np.nan_to_num(n, nan=t))],
    (lambda x: np.pad(N, 1, constant_values=x[0]) + np.append(np.roll(N, np.argmax(x)), [x[1], 1]), V),
    (lambda x: (np.array(x[0] > 0) ** 2, np.full((), True) ** 2, (x[0] > 0) ** 2, np.array(x[0] > 0) ** 3), V),
    (lambda x: np.poly(x[:2, None] * x[1:] + 5 * np.eye(2)), V),
    *[(lambda x, u=u: u.reduce(x, where=x > 2, initial=3.0), N) for u in (np.fmax, np.fmin, np.hypot, np.logaddexp)],
    (lambda x: np.interp(x, x, np.cos(V)), np.array([0.0, 5e-324, 1.0])),
    (lambda k: (_put(k.copy(), k), np.cumprod(k, axis=0)), K[:2].astype(int)),
    *[(lambda x, t=t: np.einsum(t, x[:, None] < [0, 2], x[:, None] < [5, 2]), V) for t in ("ij,ij->j", "ij,kj")],
    (lambda x: np.einsum("ij->j", x[:, None] < [0, 2]), V),
    (lambda x: _put_along(x[:, None] * x, np.array([[1]]), 0), V),
    (lambda x: _put_along(x[:, None] * x, np.array([[2, 0]]), 1), V),
    (lambda x: np.fmod(0.0, (x - x) / 0.0), np.float64(2.5)),
    (lambda x: np.round(x, 1, out=np.full((2,), 7, complex)), np.array([2.317, -0.485], "float16")),
    *[(lambda x, f=f: f(x) * np.float32(1.5), -1) for f in (np.floor, np.positive, np.trunc)],
    (lambda x: np.einsum("i,j->", np.ones_like(x), np.ones_like(x)), V[:0]),
    (lambda x: np.nan_to_num(N[None], nan=x[None, :1]), V),
    (lambda x: 1 / np.modf(x)[0], np.array([-2.0, -0.0, 0.0, -np.inf, 3.0, -1.5])),
    (lambda x: 1 / np.sign(x), np.array([-0.0, 0.0, -3.0])),
    *[(lambda x: np.spacing(x), np.array([-0.0, 0.0, -3.0], t)) for t in ("float64", "float32")],
    (lambda x: 1 / special.round(np.append(x / 9, [0.0, -0.0])), V),
    *[(lambda x, f=f: (f(x) + f(x)) * f(x).real, 1.5) for f in (np.isnan, np.isinf, np.isfinite)],
    *[
        (lambda x, t=t: np.average(x, weights=K[::2].astype(t), returned=True)[0], V[:2].astype("f4"))
        for t in ("i1", "i8")
    ],
    *[(lambda x, f=f: f(x.astype("f2"), None, "f4"), V) for f in (np.mean, np.var, np.std, np.nanvar, np.nanstd)],
    *[(lambda x, f=f: f(x.astype("f2"), axis=0, dtype="f4"), V) for f in (np.var, np.std, np.nanstd)],
    (lambda x: (round(np.median(x[:0]), 1), round(np.average(x, returned=True)[1], 1)), V),
    *[(lambda k, t=t: np.bitwise_and.reduce(k[:0].astype(t)), K) for t in ("uint8", "int16", "bool")],
    (lambda k: round(np.bitwise_and.reduce(k[:0].astype("uint8"))), K),
    *[(lambda x, f=f: _given(f, x, x * 1), V * 1.26) for f in (lambda x, y: np.round(x, 1, y), np.fix)],
    *[(lambda x, f=f: _given(f, x, x < 9), V * np.inf) for f in (np.isposinf, np.isneginf)],
    *[
        (lambda x, f=f, n=n: _given(lambda x, y: getattr(x, f)(*n, y), x, x * 1), V * 1.26)
        for f, n in [("round", (1,)), ("cumsum", (0, None)), ("clip", (0, 1))]
    ],
    *[(lambda x, f=f: _given(lambda x, y: f(x, 0, None, y), x, x[0] * 1), M) for f in (np.sum, np.mean, np.std)],
    *[(lambda x, t=t: _filled(x.astype(t), np.uint64(2**64 - 1)), V) for t in ("uint64", "uint8", "float32")],
    *[(lambda x, f=f: f([x, K], dtype="int16", casting="unsafe"), V) for f in (np.concatenate, np.stack, np.hstack)],
    (lambda x: np.asfortranarray(x[0]), V),
    *[(lambda k, f=f: np.cos(f(k * np.int16(9000))), K.astype("int16")) for f in (np.rad2deg, np.degrees, np.deg2rad)],
    *[(lambda k, f=f: f(k), np.arange(-128, 128).astype("int8")) for f in (np.rad2deg, np.deg2rad)],
    (lambda m: linalg.inv(m, False, False) + linalg.det(m, False, True), M),
    (lambda m: linalg.solve_triangular(m, m[0], 1, True, False, False, False), M),
    (lambda x: x * np.size(np.outer(x, x), (0, 1)), V),
    *[(lambda x, t=t: special.logsumexp(x.astype(t)), V * [1e300, 1.0, np.inf]) for t in (float, "complex128")],
]

if np.lib.NumpyVersion(np.__version__) < "2.5.0":  # which refuses them since
    CALLS += [
        (lambda k: np.where(k > 0, -1, k), K.astype("uint8")),
        (lambda k: np.where(k > 0, k, 300), K.astype("uint8")),
        (lambda x: np.cross(x * [1.0, np.inf, 1.0], x[:2]), V),
        (lambda x: np.cross(x[:2] * np.inf, x * [1.0, 0.0, -1.0]), V),
    ]
