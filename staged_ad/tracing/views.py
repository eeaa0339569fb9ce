"""Arrays that are changed in place: what NumPy means by views, for traced values.

A program never changes a value. A traced array that is written to stands for another value from then on; what shares
its memory, as slices and transposes do, is computed again when it is next read.

Invariant: only the function that made an array writes to it, so a caller's array never changes.
Start at ``write``; ``View`` links an array to the one that owns its memory.
"""

from __future__ import annotations

from collections.abc import Callable
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

    __slots__ = ("base", "index", "look", "put", "root", "seen")

    def __init__(self, base: Any, look: Look, put: Callable[[Any, Any], Any] | None, index: Any = ()) -> None:
        self.base = base
        self.look = look
        self.put = put
        self.index = index
        self.root: Any = root_of(base)
        self.seen: int = self.root.version

    @property
    def stale(self) -> bool:
        """Whether the memory has been written to since the view was last computed."""
        return bool(self.seen != self.root.version)


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


def shares(base: Any, look: Look) -> bool:
    """Whether NumPy would look into the memory of `base`; reshape and ravel now and then copy it."""
    memory = layout(base)
    found = look(memory)  # traced where other traced arrays are among the arguments, as in np.broadcast_arrays(x, y)
    return isinstance(found, np.ndarray) and np.may_share_memory(found, memory)


def layout(tracer: Any) -> Any:
    """An array without meaning whose memory is laid out as NumPy's would be, were all that is no view in C order."""
    if tracer.window is not None:
        return tracer.window.look(layout(tracer.window.base))
    return np.empty(tracer.shape, np.complex64 if tracer.dtype.kind == "c" else np.bool_)  # z.real looks into z


def put_by_place(look: Look) -> Callable[[Any, Any], Any]:
    """The `put` of a view that shows each element of its base at most once."""

    def put(base: Any, elements: Any) -> Any:
        places = look(np.arange(base.size).reshape(base.shape))
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
