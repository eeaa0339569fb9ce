"""scipy.fft on traced values: the functions of np.fft, which have the same names and the same meaning.

Invariant: on plain arrays SciPy's own functions are called. Start at ``transformed``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.fft

from staged_ad.errors import UnsupportedError
from staged_ad.ir.types import FLOAT16, FLOAT32
from staged_ad.numpy.arrays import asarray, is_traced
from staged_ad.tracing.operations import OPERATIONS

_OF_VECTORS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
_OF_ARRAYS = ("fft2", "ifft2", "fftn", "ifftn", "rfft2", "irfft2", "rfftn", "irfftn")


def transformed(
    name: str,
    original: Callable[..., Any],
    x: Any,
    size: Any = None,
    axes: Any = None,
    norm: str | None = None,
    overwrite_x: bool = False,
    workers: int | None = None,
    *,
    plan: Any = None,
    **named: Any,
) -> Any:
    """``scipy.fft.name``, whose size is `n` or `s` and whose axis is `axis` or `axes` by name."""
    given = {**_named(name, size, axes), **named, "norm": norm}
    if not is_traced(x):
        return original(x, overwrite_x=overwrite_x, workers=workers, plan=plan, **given)
    if plan is not None:
        raise UnsupportedError(f"scipy.fft.{name}(..., plan=...) of traced values")
    x = asarray(x)
    x = x.astype(FLOAT32) if x.dtype == FLOAT16 else x
    if given.get("s") is not None and given.get("axes") is None:
        given["axes"] = tuple(range(x.ndim))[-len(given["s"]) :]
    return getattr(np.fft, name)(x, **given)


def _named(name: str, size: Any, axes: Any) -> dict[str, Any]:
    """What was given by position, by its name."""
    words = ("n", "axis") if name in _OF_VECTORS else ("s", "axes")
    return {word: value for word, value in zip(words, (size, axes), strict=True) if value is not None}


def _shifted(name: str, original: Callable[..., Any], x: Any, axes: Any = None) -> Any:
    return getattr(np.fft, name)(x, axes) if is_traced(x) else original(x, axes)


OPERATIONS.creators.update(
    {f"{scipy.fft.__name__}.{name}": partial(transformed, name) for name in (*_OF_VECTORS, *_OF_ARRAYS)}
)
OPERATIONS.creators.update(
    {f"{scipy.fft.__name__}.{name}": partial(_shifted, name) for name in ("fftshift", "ifftshift")}
)
