"""Polynomials as arrays of coefficients, highest power first; convolve and correlate.

Invariant: no coefficient is dropped for being zero: shapes are static.
Start at ``convolve`` and ``polyval``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.numpy.arrays import asarray, is_traced, refuse
from staged_ad.primitives.shearing import windows


def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    a, v = np.atleast_1d(asarray(a)), np.atleast_1d(asarray(v))
    if len(v) > len(a):
        a, v = v, a
    return _slid(a, np.flip(v), mode)


def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    a, v = asarray(a), asarray(v).conj()
    if not (a.ndim and v.ndim):
        raise ShapeError("object of too small depth for desired array: correlate")
    if len(v) > len(a):
        return np.flip(_slid(v, a, mode))
    return _slid(a, v, mode)


def _slid(a: Any, v: Any, mode: str) -> Any:
    """c[k] = sum_j a[k + j] v[j], where v is not longer than a; `mode` says how far v may stick out."""
    if a.ndim != 1 or v.ndim != 1:
        raise ShapeError("object too deep for desired array: convolve takes vectors")
    m = len(v)
    if m == 0:
        raise ValueError("v cannot be empty" if len(a) else "a cannot be empty")
    outside = {"full": (m - 1, m - 1), "same": (m // 2, m - 1 - m // 2), "valid": (0, 0)}
    if mode not in outside:
        raise ValueError(f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})")
    a, v = a.astype(kind := np.result_type(a.dtype, v.dtype)), v.astype(kind)
    before, after = outside[mode]
    if kind.kind not in "fc":
        return np.matmul(windows(np.pad(a, (before, after)), m), v)
    parts = [np.matmul(windows(a, m), v)] if len(a) >= m else []
    if before:
        parts.insert(0, _overhanging(a[: m - 1], v, before))
    if after:  # the same from behind
        parts.append(np.flip(_overhanging(np.flip(a[1 - m :]), np.flip(v), after)))
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _overhanging(a: Any, v: Any, count: int) -> Any:
    """The first `count` sums, where v sticks out: its elements outside take no part, be they infinite."""
    m = len(v)
    inside = np.arange(count)[:, None] + np.arange(m) >= count
    products = windows(np.pad(a, (count, 0)), m)[:count] * v
    return np.sum(np.where(inside, products, products.dtype.type(0)), axis=1)


def polyval(p: Any, x: Any) -> Any:
    """Horner's rule."""
    p, x = asarray(p), asarray(x)
    y = np.zeros(x.shape, x.dtype)
    for k in range(len(p)):
        y = y * x + p[k]
    return y


def _aligned(a1: Any, a2: Any) -> tuple[Any, ...]:
    a1, a2 = np.atleast_1d(asarray(a1)), np.atleast_1d(asarray(a2))
    n = max(len(a1), len(a2))
    return _longer(a1, n), _longer(a2, n)


def _longer(a: Any, n: int) -> Any:
    return np.concatenate([np.zeros(n - len(a), a.dtype), a]) if n > len(a) else a


def _coefficients(a: Any) -> Any:
    """A vector of at least one coefficient."""
    a = np.atleast_1d(asarray(a))
    if a.ndim > 1:
        raise ShapeError(f"Polynomial must be 1d only (shape {a.shape})")
    return a if len(a) else np.zeros(1, a.dtype)


def polyadd(a1: Any, a2: Any) -> Any:
    return np.add(*_aligned(a1, a2))


def polysub(a1: Any, a2: Any) -> Any:
    return np.subtract(*_aligned(a1, a2))


def polymul(a1: Any, a2: Any) -> Any:
    """np.polymul, save that leading coefficients which happen to be zero are kept."""
    return convolve(_coefficients(a1), _coefficients(a2))


def polyder(p: Any, m: int = 1) -> Any:
    p = asarray(p)
    if p.ndim != 1:
        raise ShapeError(f"Polynomial must be 1d only (shape {p.shape})")
    if m < 0:
        raise ValueError("Order of derivative must be positive (see polyint)")
    for _ in range(int(m)):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    p = asarray(p)
    if m < 0:
        raise ValueError("Order of integral must be positive (see polyder)")
    constants = np.zeros(m) if k is None else np.atleast_1d(asarray(k))
    if len(constants) == 1 < m:
        constants = np.broadcast_to(constants, (m,))
    if len(constants) < m:
        raise ValueError("k must be a scalar or a rank-1 array of length 1 or >m.")
    for j in range(int(m)):
        p = np.concatenate([p / np.arange(len(p), 0, -1), constants[j : j + 1]])
    return p


def poly(seq_of_zeros: Any) -> Any:
    """np.poly of a list of zeros."""
    zeros = np.atleast_1d(asarray(seq_of_zeros))
    real = zeros.dtype.kind != "c"
    if zeros.ndim != 1:
        zeros = np.linalg.eigvals(zeros)
    zeros = zeros if zeros.dtype.kind in "fc" and zeros.dtype != np.float16 else zeros.astype(float)  # as NumPy
    p = np.ones(1, zeros.dtype)
    for k in range(len(zeros)):
        p = np.pad(p, (0, 1)) - np.pad(p * zeros[k], (1, 0))
    return (p.real if real else p) if len(zeros) else 1.0


def polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: bool | str = False
) -> Any:
    """np.polyfit without the estimates of errors: least squares with scaled columns."""
    refuse("polyfit", full=full or None, cov=cov or None)
    x, y = asarray(x) + 0.0, asarray(y) + 0.0
    if x.ndim != 1 or y.ndim not in (1, 2) or x.shape[0] != y.shape[0]:
        raise ShapeError("polyfit: expected vectors x and y of one length")
    if not x.size:
        raise ShapeError("polyfit: expected non-empty vector for x")
    if int(deg) < 0:
        raise ValueError("expected deg >= 0")
    columns, right = np.vander(x, int(deg) + 1), y
    if w is not None:
        w = asarray(w) + 0.0
        if w.shape != x.shape:
            raise TypeError(f"expected w to be a vector of the length of y, got shape {w.shape}")
        columns, right = columns * w[:, None], right * (w[:, None] if y.ndim == 2 else w)
    scale = np.sqrt(np.sum(columns * columns, axis=0))
    rcond = len(x) * np.finfo(x.dtype).eps if rcond is None else rcond
    solution = np.linalg.pinv((columns / scale).astype(np.result_type(columns, right)), rcond) @ right
    return (solution.T / scale).T


def poly1d(original: Callable[..., Any], self: Any, c_or_r: Any, r: bool = False, variable: Any = None) -> None:
    """The constructor of np.poly1d, which its methods call, too."""
    if not is_traced(c_or_r):
        return original(self, c_or_r, r, variable)
    given = asarray(c_or_r)
    if given.array is not None:
        return original(self, given.array, r, variable)
    coefficients = np.poly(given) if r else np.atleast_1d(given)
    if coefficients.ndim > 1:
        raise ValueError("Polynomial must be 1d only.")
    original(self, [1.0], False, variable)
    self._coeffs = coefficients
    return None


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.convolve: convolve,
    np.correlate: correlate,
    np.polyval: polyval,
    np.polyadd: polyadd,
    np.polysub: polysub,
    np.polymul: polymul,
    np.polyder: polyder,
    np.polyint: polyint,
    np.poly: poly,
    np.polyfit: polyfit,
}

CREATORS: dict[str, Callable[..., Any]] = {"poly1d.__init__": poly1d}
"""By the name of NumPy's function; each takes it first, then its arguments."""
