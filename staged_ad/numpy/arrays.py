"""What the compositions of this package begin with: arguments as arrays, static choices along an axis.

Invariant: compositions are written in NumPy itself: what is traced goes back through the protocols, what is not stays
an array, and dtypes are NumPy's in either case.
Start at ``asarray``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from staged_ad.errors import ConcretizationError, UnsupportedError
from staged_ad.ir.types import check_axis
from staged_ad.numpy.promotion import to_dtype
from staged_ad.numpy.shaping import array_of
from staged_ad.tracing import Tracer

FEW = 16
"""Up to how many slices are better than a table of positions."""


def asarray(x: Any) -> Any:
    """`x` as np.asarray would give it: a traced value that is not weak, or an array."""
    if isinstance(x, Tracer):
        return to_dtype(x, x.dtype)
    if isinstance(x, list | tuple) and is_traced(x):
        return array_of(x)
    return np.asarray(x)


def is_traced(*xs: Any) -> bool:
    """Whether there is a traced value among `xs`, or in the lists among them."""
    return any(is_traced(*x) if isinstance(x, list | tuple) else isinstance(x, Tracer) for x in xs)


def listed(x: Any) -> Any:
    """A list or tuple that holds traced values as an array; anything else as it is."""
    return array_of(x) if isinstance(x, list | tuple) and is_traced(x) else x


def known(x: Any) -> Any:
    """`x` as an array whose numbers are known; None where they depend on the arguments."""
    if isinstance(x, Tracer):
        return x.array
    return None if is_traced(x) else np.asarray(x)


def static(name: str, argument: str, x: Any) -> Any:
    """`x` as an array whose numbers are known; raises ConcretizationError where they depend on the arguments."""
    found = known(x)
    if found is None:
        raise ConcretizationError(
            f"np.{name}: {argument} is traced, but the shape of the result depends on it. Pass it as a static "
            "argument, or compute it from shapes"
        )
    return found


def refuse(name: str, **options: Any) -> None:
    """Raise UnsupportedError for the first option that was given."""
    for option, value in options.items():
        if value is not None and value is not np._NoValue:
            raise UnsupportedError(f"np.{name}(..., {option}=...) is not supported on traced values")


def axis_of(x: Any, axis: Any) -> int:
    """`axis` of `x`, counted from the front."""
    return check_axis(axis, x.ndim)


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that takes `part` of an axis, and all of those before it."""
    return (*(slice(None),) * axis, part)


def taken(x: Any, positions: Any, axis: int) -> Any:
    """np.take at known positions; a few runs of neighbours are slices."""
    positions = np.asarray(positions, dtype=np.int64)
    runs = list(islice(_runs(positions), FEW + 1))
    if not runs or len(runs) > FEW:
        return np.take(x, positions, axis)
    pieces = [x[along(axis, part)] for part in runs]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis)


def _runs(positions: Any) -> Iterator[slice]:
    """Slices that go through `positions` in order, each upwards or downwards by one."""
    start = 0
    while start < len(positions):
        stop, step = start + 1, 1
        if stop < len(positions) and abs(positions[stop] - positions[start]) == 1:
            step = int(positions[stop] - positions[start])
            while stop < len(positions) and positions[stop] - positions[stop - 1] == step:
                stop += 1
        last = int(positions[stop - 1]) + step
        yield slice(int(positions[start]), None if last < 0 else last, step)
        start = stop
