"""np.interp: piecewise linear interpolation, differentiable in the points, the nodes and the values.

Invariant: at a node the slope is that of the interval to its right, at the last node that of the last interval.
Start at ``interp``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.numpy.arrays import asarray, known
from staged_ad.numpy.ordering import searchsorted
from staged_ad.numpy.taking import take


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    x, xp = asarray(x).astype(float), asarray(xp).astype(float)
    fp = asarray(fp)
    fp = fp if fp.dtype.kind == "c" else fp.astype(float)
    if xp.ndim != 1 or fp.shape != xp.shape:
        raise ShapeError("fp and xp are not vectors of the same length")
    if len(xp) == 0:
        raise ValueError("array of sample points is empty")
    if period is not None:
        if known(period) == 0:
            raise ValueError("period must be a non-zero value")
        x, xp, fp = _periodic(x, xp, fp, abs(period))
        left = right = None
    if len(xp) == 1:
        inside = np.broadcast_to(fp, (*x.shape, 1))[..., 0]
    else:
        inside = _linear(x, xp, fp)
    below, above = (fp[end] if side is None else side for end, side in ((0, left), (-1, right)))
    found = np.where(x < xp[0], below, np.where(x > xp[-1], above, inside))
    return np.where(np.isnan(x), x, found)


def _periodic(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """The nodes of one period in order, and one more on either side."""
    x, xp = x % period, xp % period
    order = np.argsort(xp)
    xp, fp = take(xp, order), take(fp, order)
    xp = np.concatenate((xp[-1:] - period, xp, xp[:1] + period))
    return x, xp, np.concatenate((fp[-1:], fp, fp[:1]))


def _linear(x: Any, xp: Any, fp: Any) -> Any:
    k = np.clip(asarray(searchsorted(xp, x, side="right")) - 1, 0, len(xp) - 2)
    start, end, low, high = take(xp, k), take(xp, k + 1), take(fp, k), take(fp, k + 1)
    slope = (high - low) / (end - start)
    from_left = slope * (x - start) + low
    from_right = slope * (x - end) + high
    found = np.where((x == end) | (np.isnan(from_left) & (x != start)), from_right, from_left)
    level = np.where(x == end, high, low)  # where infinite values leave nothing else, as in NumPy
    return np.where(np.isnan(found) & ((x == start) | (x == end) | (low == high)), level, found)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {np.interp: interp}
