"""Basic indexing: integers, slices, None and Ellipsis.

Invariant: as NumPy; an index of another kind raises and says what to write instead.
Start at ``getitem``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from staged_ad.errors import IndexingError, UnsupportedError
from staged_ad.ir.types import describe
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import reshape, reverse, slice_
from staged_ad.tracing import Tracer
from staged_ad.tracing.source import location, user_source


def getitem(x: Any, index: Any) -> Any:
    shape = typeof(x).shape
    parts = _expanded(index, len(shape))
    starts: list[int] = []
    stops: list[int] = []
    steps: list[int] = []
    flipped: list[int] = []
    result: list[int] = []
    axis = 0
    for part in parts:
        if part is None:
            result.append(1)
            continue
        n = shape[axis]
        if isinstance(part, slice):
            positions = range(n)[part]
            step = positions.step
            if step < 0:
                flipped.append(axis)
                positions = positions[::-1]
            starts.append(positions.start if positions else 0)
            stops.append(positions[-1] + 1 if positions else 0)
            steps.append(abs(step))
            result.append(len(positions))
        else:
            k = int(part)
            if not -n <= k < n:
                raise IndexingError(
                    f"index {k} is out of bounds for axis {axis} with size {n} (at {location(user_source())})"
                )
            starts.append(k % n)
            stops.append(k % n + 1)
            steps.append(1)
        axis += 1
    whole = all(a == 0 and b == n and s == 1 for a, b, s, n in zip(starts, stops, steps, shape, strict=True))
    if not whole:
        x = slice_(x, start=tuple(starts), stop=tuple(stops), step=tuple(steps))
    if flipped:
        x = reverse(x, axes=tuple(flipped))
    return reshape(x, shape=tuple(result))


def _expanded(index: Any, ndim: int) -> list[Any]:
    """One entry for every axis and every new axis."""
    parts = list(index) if isinstance(index, tuple) else [index]
    for part in parts:
        _check(part)
    used = sum(1 for part in parts if part is not None and part is not Ellipsis)
    if used > ndim:
        raise IndexingError(
            f"too many indices: the array is {ndim}-dimensional, but {used} were indexed (at {location(user_source())})"
        )
    gap: list[Any] = [slice(None)] * (ndim - used)
    places = [k for k, part in enumerate(parts) if part is Ellipsis]
    if len(places) > 1:
        raise IndexingError("an index can only have a single ellipsis ('...')")
    if places:
        return [*parts[: places[0]], *gap, *parts[places[0] + 1 :]]
    return [*parts, *gap]


def _check(part: Any) -> None:
    where = f"(at {location(user_source())})"
    if isinstance(part, Tracer) and part.dtype != np.bool_:
        raise UnsupportedError(
            f"an index that is a traced value is not supported {where}: in a loop scan over the array, as in "
            "scan(f, init, x), which hands its slices over; elsewhere write np.sum(np.where(np.arange(n) == i, x, 0))"
        )
    if isinstance(part, bool | np.bool_ | Tracer) or (
        isinstance(part, np.ndarray | list) and np.asarray(part).dtype == bool
    ):
        raise UnsupportedError(f"indexing a traced array by a boolean mask is not supported {where}; write np.where")
    if isinstance(part, np.ndarray | list):
        raise UnsupportedError(
            f"indexing a traced array by an array of integers is not supported {where}; write np.stack([x[k] for k in "
            "...]) for a few, or a product with a one-hot matrix"
        )
    if isinstance(part, slice):
        for bound in (part.start, part.stop, part.step):
            if isinstance(bound, Tracer):
                raise UnsupportedError(
                    f"a slice bound that is a traced value is not supported {where}: shapes are static"
                )
        return
    if part is None or part is Ellipsis or isinstance(part, int | np.integer):
        return
    raise IndexingError(
        f"only integers, slices, None and Ellipsis are valid indices of a traced array, got {describe(part)} {where}"
    )
