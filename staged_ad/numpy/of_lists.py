"""Functions of lists that hold traced values, as in np.mean(losses), and np.r_ and np.c_.

NumPy asks an array which functions are its own, but not a list what it holds. While a function is traced, these
functions look into the lists that they are given.

Invariant: a list counts as the array that np.array makes of it.
Start at ``CREATORS``; ``tracing/creation.py`` puts them in the place of NumPy's functions.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np

from staged_ad.errors import UnsupportedError
from staged_ad.numpy.creation import holds_tracers, made
from staged_ad.numpy.promotion import as_value, result_dtype, to_dtype
from staged_ad.numpy.shaping import array, concatenate, reshape, transpose
from staged_ad.primitives.makers import typeof
from staged_ad.tracing.source import location, user_source

_ORDINARY = [
    *("sum", "prod", "mean", "std", "var", "max", "min", "amax", "amin", "ptp", "any", "all", "argmax", "argmin"),
    *("nansum", "nanmean", "nanmax", "nanmin", "median", "average", "quantile", "percentile", "cumsum", "cumprod"),
    *("sort", "argsort", "diff", "dot", "vdot", "inner", "outer", "cross", "kron", "tensordot", "trace"),
    *("where", "clip", "round", "interp", "polyval", "convolve", "trapezoid", "reshape", "ravel", "transpose"),
    *("diag", "diagflat", "tile", "repeat", "roll", "flip", "tril", "triu", "allclose", "isclose", "real", "imag"),
    *("linalg.norm", "linalg.solve", "linalg.inv", "linalg.det", "linalg.slogdet", "linalg.cholesky", "linalg.qr"),
    *("linalg.lstsq", "linalg.eigh", "linalg.eigvalsh", "linalg.svd", "linalg.matrix_power"),
]


def _of_lists(original: Any, *args: Any, **kwargs: Any) -> Any:
    return original(*map(_as_array, args), **{name: _as_array(value) for name, value in kwargs.items()})


def _as_array(value: Any) -> Any:
    return array(value) if isinstance(value, list | tuple) and holds_tracers(value) else value


def _joined(original: Any, key: Any) -> Any:
    """np.r_[key] or np.c_[key]."""
    items = list(key) if isinstance(key, tuple) else [key]
    if not holds_tracers(items):
        return made(original[key])
    axis, ndmin, place = original.axis, original.ndmin, original.trans1d
    if isinstance(items[0], str):
        numbers = _directive(items.pop(0))
        axis, ndmin, place = numbers + [axis, ndmin, place][len(numbers) :]
    arrays = [np.r_[item] if isinstance(item, slice) else item for item in items]
    values = [as_value(array(item) if isinstance(item, list | tuple) else item) for item in arrays]
    dtype, _ = result_dtype([typeof(value) for value in values])
    return concatenate([_raised(to_dtype(value, dtype), ndmin, place) for value in values], axis)


def _directive(text: str) -> list[int]:
    """The numbers in 'axis,ndmin,place', of which the last ones may be absent."""
    if text in ("r", "c"):
        raise UnsupportedError(
            f"np.r_[{text!r}, ...] makes a np.matrix, which holds no traced values (at {location(user_source())}); "
            "write np.atleast_2d(np.r_[...])"
        )
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"unknown special directive {text!r}") from None


def _raised(value: Any, ndmin: int, place: int) -> Any:
    """With axes of length 1 up to `ndmin` axes; the own ones begin at `place`, those before 0 counted from behind."""
    ndim = typeof(value).ndim
    missing = max(ndmin - ndim, 0)
    if not missing:
        return value
    front = reshape(value, (1,) * missing + typeof(value).shape)
    if place == -1:
        return front
    before = place + missing + 1 if place < 0 else place
    axes = list(range(ndmin))
    return transpose(front, axes[:before] + axes[missing:] + axes[before:missing])


CREATORS: dict[str, Callable[..., Any]] = {
    **{name: _of_lists for name in _ORDINARY if callable(attrgetter(name)(np))},
    "r_": _joined,
    "c_": _joined,
}
"""By the name of NumPy's function; each takes it first, then its arguments."""
