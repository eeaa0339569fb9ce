"""Example: one call of a supported function, with the arguments to call it on.

Invariant: arguments are float64 arrays with distinct elements, the same in every run.
Start at ``Example`` and the makers ``on`` and ``ufunc``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Table = dict[str, list["Example"]]
"""Examples by the full name of a function, such as ``numpy.kron``."""


@dataclass(frozen=True)
class Example:
    """One call.

    smooth
        Whether derivatives are compared with finite differences; False at kinks and jumps.
    dtypes
        What else the arguments are cast to, for values alone.
    expected
        What the call should give, where it is not the call itself on arrays.
    """

    call: Callable[..., Any]
    args: tuple[Any, ...]
    smooth: bool = True
    dtypes: tuple[str, ...] = ("float32", "int64")
    expected: Callable[..., Any] | None = None

    @property
    def reference(self) -> Callable[..., Any]:
        return self.expected or self.call

    def cast(self, dtype: str) -> Example:
        """The same with arguments of another dtype, which are not contiguous."""
        scale = 10 if np.dtype(dtype).kind in "iu" else 1  # so that numbers stay distinct
        args = [np.asarray(x) * (scale if np.asarray(x).dtype.kind == "f" else 1) for x in self.args]
        with np.errstate(all="ignore"):
            return replace(self, args=tuple(spread(x.astype(dtype)) for x in args))

    def with_dtypes(self, *dtypes: str) -> Example:
        return replace(self, dtypes=dtypes)


def spread(x: Any) -> Any:
    """`x` with gaps between its elements."""
    if x.ndim == 0:
        return x
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def numbers(*shape: int, low: float = -1.0, high: float = 1.3142) -> Any:
    """Distinct numbers between two bounds, in random order."""
    size = int(np.prod(shape))
    return np.random.default_rng(size).permutation(np.linspace(low, high, size)).reshape(shape)


X = numbers(2, 3, 2)
M = numbers(3, 2, low=0.31, high=2.83)
V = numbers(5)
Q = numbers(3, 3, low=-1.4, high=1.9)


def on(*args: Any, smooth: bool = True, dtypes: Sequence[str] = ("float32", "int64")) -> Callable[..., list[Example]]:
    """A maker of examples: each of its calls on these arguments."""
    return lambda *calls: [Example(call, args, smooth, tuple(dtypes)) for call in calls]


x = on(X)
m = on(M)
v = on(V)
q = on(Q)
"""Makers of calls on an array, a matrix, a vector and a square matrix."""


def steps(*calls: Callable[..., Any], args: tuple[Any, ...] = (X,)) -> list[Example]:
    """Calls whose derivatives are zero or jump."""
    return on(*args, smooth=False)(*calls)


def ufunc(function: Any, *intervals: tuple[float, float], dtypes: Sequence[str] = ("float32",)) -> list[Example]:
    """A ufunc on arrays that broadcast, on numbers, and on nothing."""
    shapes: list[list[tuple[int, ...]]] = [[(3, 1), (4,), (), (1, 4)], [()] * 4, [(0, 2), (2,), (), (1, 2)]]
    return [
        Example(
            function,
            tuple(numbers(*s, low=i[0], high=i[1]) for s, i in zip(row, intervals, strict=False)),
            dtypes=tuple(dtypes),
        )
        for row in shapes
    ]
