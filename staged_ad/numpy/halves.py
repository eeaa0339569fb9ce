"""float16 in functions that are compositions: what one of NumPy's computes in float32 is computed so here.

Operations on float16 are computed in float32 and rounded (tracing/halves.py), and so compositions of them round after
each. Where NumPy's function is one operation, or its own float32 inside, as in means, this would be another result; of
sums of squares it would be infinite long before.

Invariant: results have the dtypes that they had without the decorator.
Start at ``in_single``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.ir import Literal
from staged_ad.ir.types import FLOAT16, FLOAT32
from staged_ad.numpy.promotion import as_value, to_dtype
from staged_ad.tracing import Tracer


def in_single(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which computes with float32 where it is given float16, and rounds its results once.

    A `dtype` that is asked for says how to compute.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def apply(*args: Any, **kwargs: Any) -> Any:
        dtypes = [_dtype(x) for x in (*args, *kwargs.values())]
        if FLOAT16 not in dtypes or signature.bind(*args, **kwargs).arguments.get("dtype") is not None:
            return function(*args, **kwargs)
        result = function(*map(_widened, args), **{name: _widened(x) for name, x in kwargs.items()})
        stays = any(dtype is not None and np.promote_types(dtype, FLOAT16) == FLOAT32 for dtype in dtypes)
        return result if stays else _narrowed(result)

    return apply


def _dtype(x: Any) -> Any:
    if isinstance(x, Tracer | Literal):
        return None if x.type.weak else x.type.dtype
    return x.dtype if isinstance(x, np.ndarray | np.generic) else None


def _widened(x: Any) -> Any:
    return to_dtype(as_value(x), FLOAT32) if _dtype(x) == FLOAT16 else x


def _narrowed(y: Any) -> Any:
    if isinstance(y, tuple):
        return tuple(map(_narrowed, y))
    if isinstance(y, np.ndarray | np.generic):
        return y.astype(FLOAT16) if y.dtype == FLOAT32 else y
    return to_dtype(y, FLOAT16) if _dtype(y) == FLOAT32 else y
