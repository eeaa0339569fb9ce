"""Tracer: an array while a function is traced.

Invariant: the type of a tracer never changes; the value it stands for does when it is written to.
Start at ``Tracer``; its operators come from ``staged_ad/numpy`` by ``protocol.py``.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.errors import LeakedTracerError, MutationError
from staged_ad.ir import ArrayType, Atom, Literal, Source
from staged_ad.tracing.axisless import is_number
from staged_ad.tracing.protocol import ArrayProtocol
from staged_ad.tracing.snapshots import literal_of
from staged_ad.tracing.source import location
from staged_ad.tracing.views import View, root_of

if TYPE_CHECKING:
    from staged_ad.tracing.trace import Trace

OPEN: ContextVar[tuple[Trace, ...]] = ContextVar("open traces", default=())
"""The functions being traced, from the outermost to the innermost."""


class Tracer(ArrayProtocol):
    """Stands for an array while a function is traced.

    home
        The trace of the function that made it and may change it in place; None for arguments, which are the caller's.
    window, version
        Whose memory it looks into, and how often its own was written to; see views.py.
    order
        The axes from the one along which places in its own memory change most slowly; None for C order.
    number
        Whether NumPy would have a scalar in its place, which nobody can write to, if it has no axes.
    """

    __slots__ = ("_atom", "_owner", "home", "number", "order", "source", "version", "window")

    def __init__(self, trace: Trace, atom: Atom, source: Source | None = None) -> None:
        self._owner = trace
        self._atom = atom
        self.source = source
        self.window: View | None = None
        self.version = 0
        self.order: tuple[int, ...] | None = None
        self.number = True
        opened = OPEN.get()
        self.home: Trace | None = opened[-1] if opened else None

    @property
    def atom(self) -> Atom:
        """What it stands for now."""
        if self.window is not None and self.window.stale:
            self.follow(self.window)
        return self._atom

    @property
    def owner(self) -> Trace:
        if self.window is not None and self.window.stale:
            self.follow(self.window)
        return self._owner

    @property
    def type(self) -> ArrayType:
        return self._atom.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self._atom.type.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        raise MutationError(f"the shape of a traced array does not change in place: write y = y.reshape({shape})")

    @property
    def ndim(self) -> int:
        return len(self._atom.type.shape)

    @property
    def size(self) -> int:
        return self._atom.type.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._atom.type.dtype

    @dtype.setter
    def dtype(self, dtype: Any) -> None:
        raise MutationError("the dtype of a traced array does not change in place: write y = y.astype(dtype)")

    @property
    def array(self) -> Any:
        """The value, read-only, where it is known whatever the arguments of the traced function are; else None."""
        atom = self.atom
        return atom.array if isinstance(atom, Literal) else None

    def handle(self) -> Tracer:
        """Another array of the same value."""
        found = Tracer(self.owner, self.atom, self.source)
        found.number = self.number
        return found

    def as_array(self) -> Tracer:
        """Itself, as an array also where it has no axes."""
        self.number = False
        return self

    def follow(self, view: View) -> None:
        """Take the value that a view has after its base was written to."""
        view.seen = view.root.version
        self.become(view.look(view.base))

    def become(self, value: Any) -> None:
        """Stand for `value`, of the same type, from now on."""
        if isinstance(value, Tracer):
            self._owner, self._atom = value.owner, value.atom
        else:
            self._atom = literal_of(value)

    def check_open(self) -> None:
        """Raises LeakedTracerError after the function has returned that it belongs to."""
        check_open(self)

    def check_writable(self) -> None:
        """Raises MutationError unless the function that is being traced made the array, and NumPy could write to it."""
        if is_number(self):
            raise MutationError(
                "a number cannot be written to; write x = np.array(x) before, which is an array, or x = ... for a new "
                "number"
            )
        view, root = self.window, root_of(self)
        while view is not None:
            if view.put is None:
                raise MutationError("assignment destination is read-only; write x = x.copy() before")
            view = view.base.window
        check_open(root)
        if root.home is None:
            raise MutationError(
                "an argument of a traced function, or an array from outside of it, cannot be changed in place: the "
                "array belongs to the caller. Change a copy: x = x.copy() before, and return it"
            )
        if root.home not in OPEN.get()[-1:]:
            raise MutationError(
                "an array made outside of the function that is being traced cannot be changed in place: pass "
                "it as an argument, change a copy, x = x.copy(), and return it; in a loop it belongs into the carry"
            )

    def __repr__(self) -> str:
        return f"Tracer<{self.type}>"


def is_captured(tracer: Tracer) -> bool:
    """Whether a function that is being traced has `tracer` among its captures."""
    return any(tracer.atom in trace.captured for trace in OPEN.get())


def check_open(tracer: Tracer) -> None:
    if not tracer.owner.open and tracer.array is None and not is_captured(tracer):
        made = "an argument of it" if tracer.source is None else f"made at {location(tracer.source)}"
        raise LeakedTracerError(
            f"a traced value of type {tracer.type}, {made}, was used after the traced "
            "function had returned. Return the value from the function instead of keeping it in a global, a list or "
            "an attribute"
        )


def lent(value: Any) -> Any:
    """The same array for a function that may not change it in place."""
    if isinstance(value, Tracer):
        value = value.handle()
        value.home = None
    elif isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value
