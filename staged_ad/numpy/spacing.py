"""Sequences between traced ends: linspace, logspace, geomspace.

Invariant: the count is static; the last element is the end itself.
Start at ``linspace``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.numpy.arrays import asarray, known
from staged_ad.tracing import Tracer


def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    count = operator.index(num)
    if count < 0:
        raise ValueError(f"Number of samples, {count}, must be non-negative.")
    intervals = count - 1 if endpoint else count
    kind = np.linspace(_like(start), _like(stop), 0, device=device).dtype
    start, stop = asarray(start).astype(kind), asarray(stop).astype(kind)
    delta = (stop - start).astype(kind)
    positions = np.arange(count, dtype=kind).reshape(-1, *(1,) * delta.ndim)
    if intervals > 0:
        step = delta / intervals
        samples = np.where(step == 0, positions / intervals * delta, positions * step) + start
    else:
        step = np.nan
        samples = positions * delta + start
    if endpoint and count > 1:
        samples = np.concatenate([samples[:-1], np.broadcast_to(stop, delta.shape)[None]])
    if axis != 0:
        samples = np.moveaxis(samples, 0, axis)
    if dtype is not None and np.issubdtype(dtype, np.integer):
        samples = np.floor(samples)
    samples = samples.astype(kind if dtype is None else dtype)
    return (samples, step) if retstep else samples


def _like(x: Any) -> Any:
    """A number that promotes as `x` does."""
    if isinstance(x, Tracer) and x.type.weak:
        return x.dtype.type().item()
    return x if isinstance(x, int | float | complex) else np.zeros((), asarray(x).dtype)


def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    if np.ndim(base):
        start, stop, base = asarray(start), asarray(stop), asarray(base)
        ndim = np.broadcast(*(np.empty(x.shape) for x in (start, stop, base))).ndim
        start, stop, base = (x.reshape((*(1,) * (ndim - x.ndim), *x.shape)) for x in (start, stop, base))
        base = np.expand_dims(base, axis)
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    powers = np.power(base, exponents)
    return powers if dtype is None else powers.astype(dtype)


def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    start, stop = asarray(start), asarray(stop)
    if any(np.any(known(end) == 0) for end in (start, stop)):
        raise ValueError("Geometric sequence cannot include zero")
    kind = np.result_type(start.dtype, stop.dtype, np.zeros((), dtype))
    start, stop = np.broadcast_arrays(start.astype(kind), stop.astype(kind))
    sign = np.sign(start)
    start, stop = start / sign, stop / sign
    samples = np.power(10.0, linspace(np.log10(start), np.log10(stop), num, endpoint))
    ends = [start[None]] if len(samples) else []
    last = [stop[None]] if endpoint and len(samples) > 1 else []
    samples = np.concatenate([*ends, samples[len(ends) : len(samples) - len(last)], *last]) * sign
    samples = np.moveaxis(samples, 0, axis) if axis != 0 else samples
    return samples.astype(kind if dtype is None else dtype)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.linspace: linspace,
    np.logspace: logspace,
    np.geomspace: geomspace,
}
