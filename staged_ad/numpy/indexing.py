"""Indexing: integers, slices, None, Ellipsis, arrays of integers, masks, and traced integers among them.

Invariant: as NumPy; an index of another kind raises and says what to write instead.
Start at ``getitem``; ``Selection`` is what an index means, for reading and for writing (assignment.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from staged_ad.errors import IndexingError, UnsupportedError
from staged_ad.ir import Literal
from staged_ad.ir.types import INT64, Shape, describe
from staged_ad.numpy.promotion import as_value, to_dtype, to_shape
from staged_ad.primitives.bounds import bounded
from staged_ad.primitives.indexing import gather
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import reshape, reverse, slice_, transpose
from staged_ad.tracing import Tracer, compiling


def getitem(x: Any, index: Any) -> Any:
    return read(x, selection(index, typeof(x).shape))


@dataclass(slots=True)
class Selection:
    """What an index selects of an array of some shape.

    First each axis is cut by ``start, stop, step`` and turned around where it is in `flipped`; then the axes are those
    of `shape`, where integers and None have made axes of length 1 or none; `axes` are their numbers in the array, -1
    for new ones. `arrays` are the positions along some of these axes, all of one shape, which the result has at axis
    `place` in their stead.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    step: tuple[int, ...]
    flipped: tuple[int, ...]
    shape: Shape
    axes: tuple[int, ...]
    arrays: dict[int, Any] = field(default_factory=dict)
    place: int = 0

    @property
    def ranges(self) -> list[range]:
        """The positions along each axis of the array that the cut leaves, in the order of the result."""
        cuts = map(range, self.start, self.stop, self.step)
        return [cut[::-1] if axis in self.flipped else cut for axis, cut in enumerate(cuts)]

    @property
    def index_shape(self) -> Shape:
        """The shape of the arrays of positions."""
        return next((typeof(array).shape for array in self.arrays.values()), ())

    @property
    def others(self) -> tuple[int, ...]:
        """The axes of `shape` without positions."""
        return tuple(k for k in range(len(self.shape)) if k not in self.arrays)

    @property
    def result(self) -> Shape:
        kept = [self.shape[k] for k in self.others]
        return (*kept[: self.place], *self.index_shape, *kept[self.place :])

    @property
    def from_front(self) -> tuple[int, ...]:
        """The axes of the result in the order in which those of the positions come first."""
        ndim, own = len(self.result), range(self.place, self.place + len(self.index_shape))
        return (*own, *(k for k in range(ndim) if k not in own))

    @property
    def unique(self) -> bool:
        """Whether no element is selected twice, as far as is known."""
        size = math.prod(self.index_shape)
        fixed = [np.ravel(a.array) for a in self.arrays.values() if isinstance(a, Literal) and not a.is_splat]
        return size <= 1 or (bool(fixed) and len(np.unique(np.stack(fixed), axis=1).T) == size)


def read(x: Any, chosen: Selection) -> Any:
    """The elements of `x` that are selected."""
    n = typeof(x).shape
    if chosen.start != (0,) * len(n) or chosen.stop != n or any(s != 1 for s in chosen.step):
        x = slice_(x, start=chosen.start, stop=chosen.stop, step=chosen.step)
    if chosen.flipped:
        x = reverse(x, axes=chosen.flipped)
    x = reshape(x, shape=chosen.shape)
    if not chosen.arrays:
        return x
    found = gather(x, *chosen.arrays.values(), axes=tuple(chosen.arrays), batch=0)
    order = chosen.from_front
    return transpose(found, permutation=tuple(order.index(k) for k in range(len(order))))


# -- what an index means ------------------------------------------------------------------------------------------


def selection(index: Any, shape: Shape) -> Selection:
    """The meaning of ``x[index]`` for `x` of the given shape. Raises IndexingError as NumPy would."""
    parts = _expanded(index, len(shape))
    advanced = any(isinstance(part, _Array) for part in parts)
    start: list[int] = []
    stop: list[int] = []
    step: list[int] = []
    flipped: list[int] = []
    cut: list[int] = []
    axes: list[int] = []
    arrays: dict[int, Any] = {}
    limits: list[tuple[int, int]] = []  # the length and the number of the axis of each of the arrays
    places: list[int] = []  # the numbers of the parts that are arrays
    before = 0  # axes in front of the first of them
    axis = 0
    for number, part in enumerate(parts):
        if part is Ellipsis:
            continue
        if part is None:
            cut.append(1)
            axes.append(-1)
            continue
        if isinstance(part, _Array) and part.new_axis:
            n = 1
        else:
            n = shape[axis]
        if isinstance(part, slice):
            positions = range(n)[part]
            if positions.step < 0:
                flipped.append(axis)
                positions = positions[::-1]
            bounds = (positions[0], positions[-1] + 1) if positions else (0, 0)  # no further than its last element
            cut.append(len(positions))
            axes.append(axis)
            _append((start, stop, step), (*bounds, abs(positions.step)))
        elif advanced:
            before = len(cut) if not places else before
            if not isinstance(part, _Array):
                part = _Array(Literal(INT64.type(_wrapped(part, n, axis))))
            elif part.length not in (None, n):
                raise IndexingError(
                    f"boolean index did not match indexed array along axis {axis}; size of axis is {n} but size of "
                    f"corresponding boolean axis is {part.length}"
                )
            arrays[len(cut)] = part.value
            limits.append((n, axis))
            places.append(number)
            cut.append(n)
            axes.append(-1 if part.new_axis else axis)
            if not part.new_axis:
                _append((start, stop, step), (0, n, 1))
        else:
            k = _wrapped(part, n, axis)
            _append((start, stop, step), (k, k + 1, 1))
        axis += not (isinstance(part, _Array) and part.new_axis)
    together = bool(places) and places[-1] - places[0] + 1 == len(places)
    return Selection(
        tuple(start),
        tuple(stop),
        tuple(step),
        tuple(flipped),
        tuple(cut),
        tuple(axes),
        _broadcast(arrays, limits),
        before if together else 0,
    )


def _append(lists: tuple[list[int], ...], values: tuple[int, ...]) -> None:
    for one, value in zip(lists, values, strict=True):
        one.append(value)


def _wrapped(part: Any, n: int, axis: int) -> int:
    k = int(part)
    if not -n <= k < n:
        raise IndexingError(f"index {k} is out of bounds for axis {axis} with size {n}")
    return k % n


def _inside(array: Any, n: int, axis: int) -> Any:
    """Positions counted from 0, checked now where they are known, else when the program runs."""
    if not isinstance(array, Literal):
        return bounded(to_dtype(array, INT64), bound=n, axis=axis)
    positions = np.asarray(array.array, INT64)
    outside = (positions < -n) | (positions >= n)
    if outside.any():
        k = positions[outside][0]
        raise IndexingError(f"index {k} is out of bounds for axis {axis} with size {n}")
    return as_value(np.where(positions < 0, positions + n, positions))


def _broadcast(arrays: dict[int, Any], limits: list[tuple[int, int]]) -> dict[int, Any]:
    """Positions of one shape, each inside of its axis; where there are none, NumPy does not check them."""
    shapes = [typeof(array).shape for array in arrays.values()]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " ".join(map(str, shapes))
        raise IndexingError(
            f"shape mismatch: indexing arrays could not be broadcast together with shapes {listed}"
        ) from None
    if 0 in shape:
        return {axis: as_value(np.zeros(shape, INT64)) for axis in arrays}
    inside = [_inside(array, n, axis) for array, (n, axis) in zip(arrays.values(), limits, strict=True)]
    return {axis: _spread(array, shape) for axis, array in zip(arrays, inside, strict=True)}


def _spread(array: Any, shape: Shape) -> Any:
    if isinstance(array, Literal) and not array.is_splat:
        return as_value(np.ascontiguousarray(np.broadcast_to(array.array, shape)))
    return to_shape(array, shape)


# -- the parts of an index ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Array:
    """An array of positions along one axis; a single boolean has an axis of its own, of length 1.

    `length` is that of the mask which it comes from.
    """

    value: Any
    new_axis: bool = False
    length: int | None = None


def _expanded(index: Any, ndim: int) -> list[Any]:
    """Slices, integers, None, arrays and at most one Ellipsis, with slices for the axes that were not mentioned."""
    parts: list[Any] = []
    axis = 0
    listed = index if isinstance(index, tuple) else (index,)
    for part in listed:
        for found in _parts(part):
            parts.append(found)
            axis += found is not None and found is not Ellipsis and not (isinstance(found, _Array) and found.new_axis)
    if sum(part is Ellipsis for part in parts) > 1:
        raise IndexingError("an index can only have a single ellipsis ('...')")
    if axis > ndim:
        raise IndexingError(f"too many indices: the array is {ndim}-dimensional, but {axis} were indexed")
    gap: list[Any] = [slice(None)] * (ndim - axis)
    place = next((k for k, part in enumerate(parts) if part is Ellipsis), None)
    return [*parts, *gap] if place is None else [*parts[: place + 1], *gap, *parts[place + 1 :]]


def _parts(part: Any) -> list[Any]:
    """What one element of an index stands for: of a mask, the positions along each of its axes."""
    if isinstance(part, Tracer) and part.array is not None:
        part = part.array  # made by np.array in the traced function, say
    if part is None or part is Ellipsis:
        return [part]
    if isinstance(part, slice):
        return [_static(part)]
    if isinstance(part, bool | np.bool_):
        return [_Array(as_value(np.zeros(int(part), INT64)), new_axis=True)]
    if isinstance(part, int | np.integer):
        return [part]
    if isinstance(part, range):
        part = np.array(part, INT64)
    if not isinstance(part, Tracer | np.ndarray | list | tuple):
        raise IndexingError(
            "only integers, slices, None, Ellipsis and arrays of integers or booleans are valid indices, got "
            f"{describe(part)}"
        )
    value = as_value(np.asarray(part, INT64) if isinstance(part, list | tuple) and not _holds(part) else part)
    if isinstance(value, Tracer) and isinstance(value.atom, Literal):
        value = value.atom
    type = typeof(value)
    if type.dtype == np.bool_:
        return _positions(value)
    if isinstance(value, Literal) and not type.shape and type.dtype.kind in "iu":
        return [int(value.value)]
    if type.dtype.kind not in "iu":
        raise IndexingError(f"arrays used as indices must be of integer (or boolean) type, got {type.dtype}")
    return [_Array(value)]


def _holds(part: Any) -> bool:
    """Whether a nested list has elements; NumPy takes an empty one for integers."""
    return any(_holds(item) if isinstance(item, list | tuple) else True for item in part)


def _static(part: slice) -> slice:
    for bound in (part.start, part.stop, part.step):
        if isinstance(bound, Tracer) and bound.owner.concretize(bound, int) is None:
            raise UnsupportedError(
                "a slice whose bounds are traced has no static shape: write np.take(x, start + "
                "np.arange(length)) for a window, or np.where with a mask of positions"
            )
    return part


WORD = 62
"""Elements of a mask that Python reads as one integer."""
LONGEST_READ = 64 * WORD
"""Elements of a mask that a compiled function compares with those that it was compiled for."""


def read_mask(mask: Any) -> Any:
    """The booleans of a traced mask as an array, read as ``if`` reads one: None where they have no single value.

    In a compiled function they are guarded, so that other values lead to another variant.
    """
    if mask.array is not None:
        return mask.array
    flat = reshape(mask, shape=(mask.size,))
    if compiling() and mask.size > LONGEST_READ:
        return None
    found = np.zeros(mask.size, bool)
    for start in range(0, mask.size, WORD):
        bits = getitem(flat, slice(start, start + WORD))
        word = np.sum(np.where(bits, 1 << np.arange(bits.size), 0))
        number = word.owner.concretize(word, int)
        if number is None:
            return None
        found[start : start + WORD] = (number >> np.arange(bits.size)) & 1
    return found.reshape(mask.shape)


def read_array(x: Any) -> Any:
    """The booleans or integers of a traced array, read as ``if`` reads one; None where they have no single value."""
    if x.array is not None or x.dtype == np.bool_:
        return read_mask(x)
    if compiling() and x.size > LONGEST_READ // WORD:
        return None
    numbers = [n.owner.concretize(n, int) for n in reshape(x, shape=(x.size,))]
    return None if None in numbers else np.array(numbers, x.dtype).reshape(x.shape)


def _positions(mask: Any) -> list[Any]:
    if isinstance(mask, Tracer):
        known = read_mask(mask)
        if known is None:
            raise UnsupportedError(
                "what a traced mask selects has no static shape: write np.where(mask, x, 0), as in "
                "np.sum(np.where(mask, x, 0)) for np.sum(x[mask]); x[mask] = value works"
            )
        mask = as_value(known)
    if not mask.type.shape:
        return _parts(bool(mask.value))
    lengths = mask.type.shape
    return [
        _Array(as_value(np.asarray(k, INT64)), length=n) for k, n in zip(np.nonzero(mask.array), lengths, strict=True)
    ]
