"""Methods and attributes of arrays that are about their elements one by one, or about memory: item, tolist, view.

Invariant: numbers that these give count as numbers of Python in the promotion of dtypes, as NumPy's would.
Start at ``METHODS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import UnsupportedError
from staged_ad.numpy.of_math import as_number
from staged_ad.primitives.complexes import complex_
from staged_ad.tracing import Tracer
from staged_ad.tracing.source import location, user_source
from staged_ad.tracing.views import layout


def item(x: Any, *args: Any) -> Any:
    if x.array is not None:
        return x.array.item(*args)
    if not args and x.size != 1:
        raise ValueError(f"can only convert an array of size 1 to a Python scalar (at {location(user_source())})")
    index = args[0] if len(args) == 1 else args
    return as_number(x[index] if isinstance(index, tuple) and args else x.reshape(-1)[index if args else 0])


def tolist(x: Any) -> Any:
    if x.array is not None:
        return x.array.tolist()
    return [tolist(row) if isinstance(row, Tracer) else row.item() for row in x] if x.ndim else as_number(x)


def view(x: Any, dtype: Any = None, type: Any = None) -> Any:
    """x.view(), which shares its memory with x; as NumPy does, also complex numbers as their parts, and back."""
    if dtype is None or dtype is np.ndarray or np.dtype(dtype) == x.dtype:
        return x
    wanted = np.dtype(dtype)
    if (x.dtype, wanted) not in _PARTS and (wanted, x.dtype) not in _PARTS:
        raise UnsupportedError(
            f"x.view({wanted}) of {x.type}: a traced value has no bytes; write x.astype for its numbers"
        )
    layout(x).view(wanted)  # NumPy checks the shape and the order in memory
    return parts(x) if x.dtype.kind == "c" else complex_(x[..., ::2], x[..., 1::2])


_PARTS = ((np.dtype(np.complex128), np.dtype(np.float64)), (np.dtype(np.complex64), np.dtype(np.float32)))


def parts(z: Any) -> Any:
    """Real and imaginary parts in turn along the last axis, which they make twice as long."""
    return np.stack([z.real, z.imag], -1).reshape(*z.shape[:-1], 2 * z.shape[-1])


METHODS: dict[str, Callable[..., Any]] = {
    "item": item,
    "tolist": tolist,
    "view": view,
    "is_integer": lambda x: np.isfinite(x) & (x == np.floor(x)),
}
PROPERTIES: dict[str, Callable[..., Any]] = {
    "nbytes": lambda x: x.size * x.dtype.itemsize,
    "itemsize": lambda x: x.dtype.itemsize,
}
