"""``x.flat``: the elements of a traced array in C order, to read, to write and to iterate over.

Invariant: what is read is a copy, what is written is written to the array, as in NumPy.
Start at ``Flat``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from staged_ad.tracing import Tracer, literal_of, traced_constant


class Flat:
    """np.flatiter of a traced array."""

    def __init__(self, base: Any) -> None:
        self.base = base
        self._next = 0

    def copy(self) -> Any:
        return self.base.flatten()

    def __len__(self) -> int:
        return int(self.base.size)

    def __iter__(self) -> Iterator[Any]:
        self._next = 0
        return self

    def __next__(self) -> Any:
        if self._next >= len(self):
            raise StopIteration
        self._next += 1
        return self[self._next - 1]

    @property
    def index(self) -> int:
        """The number of the element that comes next."""
        return self._next

    @property
    def coords(self) -> tuple[int, ...]:
        """The index of the element that comes next."""
        return tuple(map(int, np.unravel_index(self._next, self.base.shape)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            return self.base.reshape(-1)[index]
        return self.base.flatten()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        """Values repeat as often as needed."""
        if isinstance(index, Tracer) and index.dtype == bool:
            self.base[index.reshape(self.base.shape)] = value
            return
        positions = np.arange(len(self))
        if isinstance(index, Tracer):
            positions = traced_constant(literal_of(positions))
        np.put(self.base, positions[index], value)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return function(*map(plain, args), **{name: plain(value) for name, value in kwargs.items()})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return getattr(ufunc, method)(*map(plain, inputs), **kwargs)


def plain(value: Any) -> Any:
    """`value`, or the array of its elements where it is x.flat, also in lists."""
    if isinstance(value, Flat):
        return value.copy()
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


PROPERTIES: dict[str, Callable[..., Any]] = {"flat": Flat}
