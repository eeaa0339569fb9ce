"""Joining, cutting, repeating and rearranging: hstack, split, tile, repeat, block, meshgrid, rot90, ...

Invariant: positions and counts are known while tracing; what depends on them is only the shape.
Start at ``tile``; ``FUNCTIONS`` lists all.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.ir.types import check_axis
from staged_ad.numpy.arrays import asarray, axis_of, static, taken
from staged_ad.numpy.assignment import plain
from staged_ad.numpy.indexing import getitem
from staged_ad.numpy.promotion import as_value
from staged_ad.numpy.scanning import along
from staged_ad.numpy.shaping import concatenate, expand_dims, reshape
from staged_ad.primitives.makers import typeof


def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    values = [atleast_1d(x) for x in tup]
    return concatenate(values, axis=0 if typeof(values[0]).ndim == 1 else 1, dtype=dtype, casting=casting)


def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    return concatenate([atleast_2d(x) for x in tup], axis=0, dtype=dtype, casting=casting)


def column_stack(tup: Any) -> Any:
    return concatenate([v if typeof(v).ndim > 1 else expand_dims(v, 1) for v in map(atleast_1d, tup)], axis=1)


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    value = as_value(ary)
    k = check_axis(axis, typeof(value).ndim)
    n = typeof(value).shape[k]
    if isinstance(indices_or_sections, int | np.integer):
        if n % indices_or_sections:
            raise ShapeError(
                f"array split does not result in an equal division: {n} by {indices_or_sections}; write np.array_split"
            )
        width = n // indices_or_sections
        bounds = list(range(0, n + 1, width)) if width else [0] * (indices_or_sections + 1)
    else:
        bounds = [0, *indices_or_sections, n]
    whole = (slice(None),) * k
    return [getitem(value, (*whole, slice(i, j))) for i, j in pairwise(bounds)]


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    x, indices_or_sections = asarray(ary), static("array_split", "the places to cut at", indices_or_sections)
    k = axis_of(x, axis)
    pieces = np.array_split(np.arange(x.shape[k]), indices_or_sections)
    if indices_or_sections.ndim:
        return np.split(x, indices_or_sections.tolist(), k)
    return np.split(x, np.cumsum([len(piece) for piece in pieces])[:-1], k)


def _splitting(name: str, least: int, axis: int) -> Callable[..., Any]:
    def split(ary: Any, indices_or_sections: Any) -> Any:
        x = asarray(ary)
        if x.ndim < least:
            raise ShapeError(f"{name} only works on arrays of {least} or more dimensions")
        return np.split(x, indices_or_sections, min(axis, x.ndim - 1))

    return split


def unstack(x: Any, /, *, axis: int = 0) -> Any:
    x = asarray(x)
    if x.ndim == 0:
        raise ShapeError("Input array must be at least 1-d")
    return tuple(np.moveaxis(x, axis, 0))


def atleast_1d(*xs: Any) -> Any:
    values = [reshape(x, 1) if typeof(as_value(x)).ndim == 0 else as_value(x) for x in xs]
    return plain(values[0]) if len(values) == 1 else tuple(map(plain, values))


def atleast_2d(*xs: Any) -> Any:
    values = [expand_dims(v, 0) if typeof(v).ndim == 1 else v for v in map(atleast_1d, xs)]
    return plain(values[0]) if len(values) == 1 else tuple(map(plain, values))


def atleast_3d(*arys: Any) -> Any:
    found = []
    for x in map(asarray, arys):
        match x.ndim:
            case 0:
                x = x.reshape(1, 1, 1)
            case 1:
                x = x[None, :, None]
            case 2:
                x = x[:, :, None]
        found.append(x)
    return found[0] if len(found) == 1 else tuple(found)


def dstack(tup: Any) -> Any:
    return np.concatenate([atleast_3d(x) for x in tup], 2)


def block(arrays: Any) -> Any:
    depth, ndim = _depth(arrays), _most_dimensions(arrays)
    return _block(arrays, depth, max(depth, ndim), 0)


def _depth(nested: Any) -> int:
    if not isinstance(nested, list):
        return 0
    if not nested:
        raise ShapeError("np.block: lists cannot be empty")
    depths = {_depth(item) for item in nested}
    if len(depths) > 1:
        raise ShapeError("np.block: list depths are mismatched")
    return 1 + depths.pop()


def _most_dimensions(nested: Any) -> int:
    return max(map(_most_dimensions, nested)) if isinstance(nested, list) else np.ndim(asarray(nested))


def _block(nested: Any, depth: int, ndim: int, level: int) -> Any:
    if level == depth:
        x = asarray(nested)
        return x.reshape((*(1,) * (ndim - x.ndim), *x.shape))
    return np.concatenate([_block(item, depth, ndim, level + 1) for item in nested], level - depth)


def tile(A: Any, reps: Any) -> Any:
    x = asarray(A)
    counts = [int(n) for n in static("tile", "reps", reps).reshape(-1)]
    ndim = max(x.ndim, len(counts))
    counts = [1] * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - x.ndim) + x.shape
    pairs = [n for k in range(ndim) for n in (counts[k], shape[k])]
    apart = x.reshape([n for m in shape for n in (1, m)])
    return np.broadcast_to(apart, tuple(pairs)).reshape([c * n for c, n in zip(counts, shape, strict=True)])


def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    value, k = along(asarray(a), axis)
    x = asarray(value)
    n = x.shape[k]
    counts = static("repeat", "repeats", repeats)
    if counts.size != 1:
        return taken(x, np.repeat(np.arange(n), counts), k)
    count = int(counts.reshape(()))
    if count < 0:
        raise ValueError("repeats may not contain negative values.")
    shape = (*x.shape[: k + 1], count, *x.shape[k + 1 :])
    return np.broadcast_to(np.expand_dims(x, k + 1), shape).reshape((*shape[:k], n * count, *shape[k + 2 :]))


def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    x = asarray(m)
    axes = tuple(axes)
    if len(axes) != 2:
        raise ShapeError("len(axes) must be 2.")
    first, second = (axis_of(x, axis) for axis in axes)
    if first == second:
        raise ShapeError("Axes must be different.")
    match k % 4:
        case 0:
            return x
        case 1:
            return np.swapaxes(np.flip(x, second), first, second)
        case 2:
            return np.flip(x, (first, second))
        case _:
            return np.flip(np.swapaxes(x, first, second), second)


def fliplr(m: Any) -> Any:
    if np.ndim(m) < 2:
        raise ShapeError("Input must be >= 2-d.")
    return np.flip(asarray(m), 1)


def flipud(m: Any) -> Any:
    if np.ndim(m) < 1:
        raise ShapeError("Input must be >= 1-d.")
    return np.flip(asarray(m), 0)


def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    x = asarray(a)
    k = axis_of(x, axis)
    if not -x.ndim <= start <= x.ndim:
        raise ShapeError(f"'start' arg requires {-x.ndim} <= start < {x.ndim + 1}, but {start} was passed in")
    place = start + x.ndim if start < 0 else start
    return np.moveaxis(x, k, place - 1 if k < place else place)


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    vectors = [asarray(x).reshape(-1) for x in xi]
    ndim = len(vectors)
    places = list(range(ndim))
    if indexing == "xy" and ndim > 1:
        places[:2] = 1, 0
    shape = [0] * ndim
    for place, x in zip(places, vectors, strict=True):
        shape[place] = x.size
    grids = [
        x.reshape([x.size if k == place else 1 for k in range(ndim)]) for place, x in zip(places, vectors, strict=True)
    ]
    return tuple(grids if sparse else [np.broadcast_to(grid, tuple(shape)) for grid in grids])


def ix_(*args: Any) -> Any:
    vectors = [asarray(x) for x in args]
    if any(x.ndim != 1 for x in vectors):
        raise ShapeError("Cross index must be 1 dimensional")
    found = []
    for place, x in enumerate(vectors):
        positions = np.nonzero(static("ix_", "a boolean array", x))[0] if x.dtype == bool else x
        found.append(positions.reshape([positions.size if k == place else 1 for k in range(len(vectors))]))
    return tuple(found)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.hstack: hstack,
    np.vstack: vstack,
    np.column_stack: column_stack,
    np.split: split,
    np.array_split: array_split,
    np.hsplit: _splitting("hsplit", 1, 1),
    np.vsplit: _splitting("vsplit", 2, 0),
    np.dsplit: _splitting("dsplit", 3, 2),
    np.atleast_1d: atleast_1d,
    np.atleast_2d: atleast_2d,
    np.atleast_3d: atleast_3d,
    np.dstack: dstack,
    np.block: block,
    np.tile: tile,
    np.repeat: repeat,
    np.rot90: rot90,
    np.fliplr: fliplr,
    np.flipud: flipud,
    np.rollaxis: rollaxis,
    np.meshgrid: meshgrid,
    np.ix_: ix_,
    **({np.unstack: unstack} if hasattr(np, "unstack") else {}),  # since NumPy 2.1
}
METHODS: dict[str, Callable[..., Any]] = {"repeat": repeat}
