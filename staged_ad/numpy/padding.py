"""np.pad in all of its modes.

Invariant: axes are padded one after the other, as in NumPy, so corners come out the same.
Start at ``pad``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import UnsupportedError
from staged_ad.numpy.arrays import along, asarray, static, taken
from staged_ad.primitives.shaping import pad as zero_pad
from staged_ad.tracing import Tracer

_OPTIONS: dict[str, set[str]] = {
    "constant": {"constant_values"},
    "linear_ramp": {"end_values"},
    "maximum": {"stat_length"},
    "minimum": {"stat_length"},
    "mean": {"stat_length"},
    "median": {"stat_length"},
    "reflect": {"reflect_type"},
    "symmetric": {"reflect_type"},
    "edge": set(),
    "wrap": set(),
    "empty": set(),
}


def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    if callable(mode):
        raise UnsupportedError(
            "np.pad with a function as its mode writes into an array; pad with zeros "
            "and add what the function would write"
        )
    if mode not in _OPTIONS:
        raise ValueError(f"mode '{mode}' is not supported")
    unknown = set(kwargs) - _OPTIONS[mode]
    if unknown:
        raise ValueError(f"unsupported keyword arguments for mode '{mode}': {unknown}")
    x = asarray(array)
    widths = _pairs(_by_axis(pad_width, x.ndim), x.ndim)
    if any(n < 0 for pair in widths for n in pair):
        raise ValueError("index can't contain negative values")
    if mode not in ("constant", "empty") and any(x.shape[k] == 0 and max(w) > 0 for k, w in enumerate(widths)):
        raise ValueError(f"can't extend an empty axis using modes other than 'constant' or 'empty', got {x.shape}")
    for axis, (low, high) in enumerate(widths):
        if low or high:
            x = _PADDINGS[mode](x, axis, low, high, **kwargs)
    return x


def _by_axis(pad_width: Any, ndim: int) -> Any:
    """A dictionary from axes to widths, which NumPy 2.4 takes, as one pair per axis."""
    if not isinstance(pad_width, dict):
        return static("pad", "pad_width", pad_width)
    widths = np.zeros((ndim, 2), int)
    for axis, width in pad_width.items():
        widths[axis] = width
    return widths


def _pairs(widths: Any, ndim: int) -> list[tuple[int, int]]:
    if widths.dtype.kind not in "iu":
        raise TypeError("`pad_width` must be of integral type.")
    return [(int(low), int(high)) for low, high in np.broadcast_to(widths, (ndim, 2))]


def _of_sides(values: Any, x: Any, axis: int) -> tuple[Any, Any]:
    """What an option says of the two sides of an axis; it may be traced."""
    table = np.broadcast_to(asarray(values), (x.ndim, 2))
    return table[axis, 0], table[axis, 1]


def _slab(x: Any, axis: int, width: int) -> tuple[int, ...]:
    return (*x.shape[:axis], width, *x.shape[axis + 1 :])


def _constant(x: Any, axis: int, low: int, high: int, constant_values: Any = 0) -> Any:
    if not isinstance(constant_values, Tracer | list | tuple) and np.all(np.asarray(constant_values) == 0):
        return _zeros(x, axis, low, high)
    sides = zip(_of_sides(constant_values, x, axis), (low, high), strict=True)
    first, last = (np.broadcast_to(value.astype(x.dtype), _slab(x, axis, width)) for value, width in sides)
    return np.concatenate([first, x, last], axis)


def _zeros(x: Any, axis: int, low: int, high: int) -> Any:
    before, after = (tuple(width if k == axis else 0 for k in range(x.ndim)) for width in (low, high))
    return zero_pad(x, low=before, high=after)


def _indexed(mode: str) -> Callable[..., Any]:
    """Modes that repeat elements: NumPy pads the positions."""

    def padded(x: Any, axis: int, low: int, high: int) -> Any:
        return taken(x, np.pad(np.arange(x.shape[axis]), (low, high), mode=mode), axis)  # type: ignore[call-overload]  # mode is one of NumPy's

    return padded


def _reflected(mode: str) -> Callable[..., Any]:
    def padded(x: Any, axis: int, low: int, high: int, reflect_type: str = "even") -> Any:
        if reflect_type == "even" or x.shape[axis] == 1:
            return _indexed(mode)(x, axis, low, high)
        return _turned(x, axis, low, high, 0 if mode == "symmetric" else 1)

    return padded


def _turned(x: Any, axis: int, low: int, high: int, skipped: int) -> Any:
    """Turned around both ends, again and again: twice the end minus the mirror image, which leaves out the end itself
    where `skipped` is 1.
    """
    period = x.shape[axis] - skipped
    while low or high:
        length = (x.shape[axis] - skipped) // period * period
        k = min(length, low)
        if k:
            mirrored = np.flip(x[along(axis, slice(skipped, skipped + k))], axis)
            x = np.concatenate([(2 * x[along(axis, slice(0, 1))] - mirrored).astype(x.dtype), x], axis)
        low -= k
        k, end = min(length, high), x.shape[axis] - skipped
        if k:
            mirrored = np.flip(x[along(axis, slice(end - k, end))], axis)
            x = np.concatenate([x, (2 * x[along(axis, slice(-1, None))] - mirrored).astype(x.dtype)], axis)
        high -= k
    return x


def _ramp(x: Any, axis: int, low: int, high: int, end_values: Any = 0) -> Any:
    first, last = _of_sides(end_values, x, axis)
    edges = x[along(axis, slice(0, 1))], x[along(axis, slice(-1, None))]
    before = _steps(first, edges[0], low, axis, x.dtype)
    after = np.flip(_steps(last, edges[1], high, axis, x.dtype), axis)
    return np.concatenate([before, x, after], axis)


def _steps(end: Any, edge: Any, width: int, axis: int, dtype: Any) -> Any:
    """From `end` towards `edge`, which is not reached."""
    return np.linspace(end, np.squeeze(edge, axis), width, endpoint=False, dtype=dtype, axis=axis)


def _statistic(statistic: Callable[..., Any]) -> Callable[..., Any]:
    def padded(x: Any, axis: int, low: int, high: int, stat_length: Any = None) -> Any:
        n = x.shape[axis]
        lengths = [n, n] if stat_length is None else np.broadcast_to(np.asarray(stat_length), (x.ndim, 2))[axis]
        first, last = (min(int(m), n) for m in lengths)
        if min(first, last) < 1 and statistic in (np.amax, np.amin):
            raise ValueError("stat_length of 0 yields no value for padding")
        sides = (x[along(axis, slice(0, first))], low), (x[along(axis, slice(n - last, n))], high)
        before, after = (_level(statistic, part, axis, _slab(x, axis, width)) for part, width in sides)
        return np.concatenate([before, x, after], axis)

    return padded


def _level(statistic: Callable[..., Any], part: Any, axis: int, shape: tuple[int, ...]) -> Any:
    value = statistic(part, axis=axis, keepdims=True)
    if part.dtype.kind in "iu" and value.dtype != part.dtype:
        value = np.round(value)
    return np.broadcast_to(value.astype(part.dtype), shape)


_PADDINGS: dict[str, Callable[..., Any]] = {
    "constant": _constant,
    "empty": _zeros,
    "edge": _indexed("edge"),
    "wrap": _indexed("wrap"),
    "reflect": _reflected("reflect"),
    "symmetric": _reflected("symmetric"),
    "linear_ramp": _ramp,
    "maximum": _statistic(np.amax),
    "minimum": _statistic(np.amin),
    "mean": _statistic(np.mean),
    "median": _statistic(np.median),
}

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {np.pad: pad}
