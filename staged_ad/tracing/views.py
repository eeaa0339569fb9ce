"""Arrays that are changed in place: what NumPy means by views, for traced values.

A program never changes a value. A traced array that is written to stands for another value from then on; what shares
its memory, as slices and transposes do, is computed again when it is next read.

Invariant: only the function that made an array writes to it, so a caller's array never changes.
Start at ``write``; ``View`` links an array to the one that owns its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.tracing.operations import OPERATIONS

Look = Callable[[Any], Any]


class View:
    """How one array looks into the memory of another, its `base`.

    look
        The elements as a function of the base: a traced one, or an ndarray.
    put
        ``(base, elements) -> base`` with the elements written into it; None where they cannot be written.
    index
        What the base was indexed by, if it was.
    """

    __slots__ = ("_order", "base", "base", "index", "look", "put", "root", "seen")

    def __init__(self, base: Any, look: Look, put: Callable[[Any, Any], Any] | None, index: Any = ()) -> None:
        self.base = base
        self.look = look
        self.put = put
        self.index = index
        self.root: Any = root_of(base)
        self.seen: int = self.root.version
        self._order: Any = self  # not yet asked for

    @property
    def stale(self) -> bool:
        """Whether the memory has been written to since the view was last computed."""
        return bool(self.seen != self.root.version)

    @property
    def order(self) -> tuple[int, ...] | None:
        """The axes by falling strides; None for C order."""
        if self._order is self:
            self._order = memory_order(self.look(layout(self.base)))
        found: tuple[int, ...] | None = self._order
        return found


def root_of(tracer: Any) -> Any:
    """The array that owns the memory."""
    return tracer if tracer.window is None else tracer.window.root


def write(tracer: Any, value: Any) -> None:
    """Let `tracer` stand for `value`, of the same type, and with it all that shares its memory."""
    if hasattr(value, "handle"):
        value = value.handle()  # as it is now, also where it looks into the memory that is written to, or is it
    view = tracer.window
    if view is not None:
        write(view.base, view.put(view.base, value))
    tracer.become(value)
    if view is None:
        tracer.version += 1
    else:
        view.seen = view.root.version


def looked_at(base: Any, look: Look) -> tuple[Any, bool]:
    """What NumPy would give for `base`, an array without meaning, and whether it would look into the memory of `base`;
    reshape and ravel now and then copy it.
    """
    memory = layout(base)
    with np.errstate(all="ignore"):  # what it holds has no meaning
        found = look(memory)
    return found, isinstance(found, np.ndarray) and np.may_share_memory(found, memory)


def layout(tracer: Any) -> Any:
    """An array without meaning whose memory is laid out as NumPy's would be."""
    if tracer.window is not None:
        return tracer.window.look(layout(tracer.window.base))
    return _empty(tracer.shape, tracer.dtype, tracer.order)


def _empty(shape: tuple[int, ...], dtype: Any, order: tuple[int, ...] | None) -> Any:
    if order is None:
        return np.empty(shape, dtype)
    return np.empty([shape[axis] for axis in order], dtype).transpose(np.argsort(order))


def by_stride(strides: Sequence[int]) -> tuple[int, ...]:
    """Axes by falling strides; as in NumPy's iterators an axis without one passes no other, nor is it passed alone."""
    order: list[int] = []  # from the fastest axis
    for axis in reversed(range(len(strides))):
        place = len(order)
        for k in reversed(range(len(order))):
            if strides[axis] and strides[order[k]]:
                if abs(strides[order[k]]) <= abs(strides[axis]):
                    break
                place = k
        order.insert(place, axis)
    return tuple(order[::-1])


def memory_order(memory: Any) -> tuple[int, ...] | None:
    """The axes of an ndarray by falling strides; None for C order."""
    found = by_stride(memory.strides)
    return None if found == tuple(range(memory.ndim)) else found


def order_of(tracer: Any) -> tuple[int, ...] | None:
    """The order in which NumPy would lay out a copy of it with order='K'; None for that of C."""
    found: tuple[int, ...] | None = tracer.order if tracer.window is None else tracer.window.order
    return found


def common_order(arrays: Sequence[Any]) -> tuple[int, ...] | None:
    """The order in which NumPy lays out what it computes by element from `arrays`; None for that of C.

    ``arrays`` are tracers and others; numbers and arrays without meaning for the layout are left out by NumPy, too.
    """
    if all(memory_order(x) is None if isinstance(x, np.ndarray) else order_of(x) is None for x in arrays):
        return None
    memories = [x if isinstance(x, np.ndarray) else layout(x) for x in arrays]
    if any(0 in memory.shape for memory in memories):
        return None  # no elements, no order
    flags: Any = [*[["readonly"]] * len(memories), ["writeonly", "allocate"]]
    return memory_order(np.nditer([*memories, None], op_flags=flags).operands[-1])


def fits_order(tracer: Any, order: str) -> bool:
    """Whether its elements follow each other in memory in the order of 'C' or 'F'."""
    flags = layout(tracer).flags
    return bool(flags.c_contiguous if order == "C" else flags.f_contiguous)


def copied_order(tracer: Any, order: Any) -> tuple[int, ...] | None:
    """The order in memory that NumPy gives a copy of it, asked for one of 'C', 'F', 'A', 'K' or None, which is 'K'."""
    letter = str(order or "K").upper()
    if letter == "K":  # of broadcast axes, NumPy's copies and its iterators have their own orders
        return tracer.order if tracer.window is None else memory_order(np.empty_like(layout(tracer)))
    if letter == "F" or (letter == "A" and layout(tracer).flags.fnc):
        return memory_order(np.empty(tracer.shape, order="F"))
    return None


def put_by_place(look: Look) -> Callable[[Any, Any], Any]:
    """The `put` of a view that shows each element of its base at most once."""

    def put(base: Any, elements: Any) -> Any:
        numbers = np.empty_like(layout(base), np.int64)
        numbers[...] = np.arange(base.size).reshape(base.shape)
        places = look(numbers)
        order = np.argsort([-stride for stride in places.strides], kind="stable")
        if places.size == base.size and np.array_equal(places.transpose(order).reshape(-1), np.arange(base.size)):
            return elements.transpose(tuple(map(int, order))).reshape(base.shape)
        return OPERATIONS.operators["setitem"](base.reshape(-1), places, elements).reshape(base.shape)

    return put


def is_basic(index: Any, ndim: int) -> bool:
    """Whether NumPy's result of indexing by `index` is a view: no arrays, and not one element by integers alone."""
    parts = index if isinstance(index, tuple) else (index,)
    whole = sum(1 for part in parts if is_integer(part))
    return whole < max(ndim, len(parts)) and all(
        part is None or part is Ellipsis or isinstance(part, slice) or is_integer(part) for part in parts
    )


def is_integer(part: Any) -> bool:
    """Whether it is an integer as part of an index, or stands for one."""
    if isinstance(part, int | np.integer):
        return not isinstance(part, bool)
    if isinstance(part, np.ndarray) or not getattr(part, "number", True):
        return False  # an array of one position takes, as longer ones do
    return getattr(part, "shape", None) == () and part.dtype.kind in "iu"


def same_index(one: Any, other: Any) -> bool:
    ones, others = (index if isinstance(index, tuple) else (index,) for index in (one, other))
    return len(ones) == len(others) and all(
        a is b or (type(a) is type(b) and isinstance(a, int | np.integer | slice) and a == b)
        for a, b in zip(ones, others, strict=True)
    )


def without_tracers(index: Any) -> Any:
    """The index with 0 for integers that are not known: the layout of what it selects is the same."""
    if isinstance(index, tuple):
        return tuple(map(without_tracers, index))
    return 0 if is_integer(index) and not isinstance(index, int | np.integer) else index
