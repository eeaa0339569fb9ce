"""Functions of lists that hold traced values, as in np.mean(losses), of numbers alone, as in np.linspace, and np.r_.

NumPy asks an array which functions are its own, but not a list what it holds. While a function is traced, these
functions look into the lists that they are given; and where they make an array of numbers, it can hold traced values.

Invariant: a list counts as the array that np.array makes of it; arrays of integers that NumPy makes stay NumPy's, which
are positions and counts.
Start at ``CREATORS``; ``tracing/creation.py`` puts them in the place of NumPy's functions.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np

from staged_ad.errors import UnsupportedError
from staged_ad.numpy.arrays import is_traced, listed
from staged_ad.numpy.creation import made
from staged_ad.numpy.promotion import as_value, result_dtype, to_dtype
from staged_ad.numpy.shaping import array_of, concatenate, reshape, transpose
from staged_ad.primitives.makers import typeof

_ORDINARY = [
    *("sum", "prod", "mean", "std", "var", "max", "min", "amax", "amin", "ptp", "any", "all", "argmax", "argmin"),
    *("nansum", "nanmean", "nanmax", "nanmin", "median", "average", "quantile", "percentile", "cumsum", "cumprod"),
    *("sort", "argsort", "diff", "dot", "vdot", "inner", "outer", "cross", "kron", "tensordot", "trace"),
    *("clip", "round", "interp", "polyval", "convolve", "trapezoid", "reshape", "ravel", "transpose", "einsum"),
    *("atleast_1d", "atleast_2d", "atleast_3d", "squeeze", "expand_dims", "swapaxes", "moveaxis", "fliplr", "flipud"),
    *("rot90", "broadcast_to", "array_split", "hsplit", "vsplit", "delete", "partition", "isin", "ix_"),
    *("cov", "corrcoef", "sinc", "count_nonzero", "ndim", "shape", "size"),
    *("flip", "allclose", "isclose", "real", "imag", "array_equal", "polyfit", "gradient", "searchsorted", "bincount"),
    *("linalg.norm", "linalg.solve", "linalg.inv", "linalg.det", "linalg.slogdet", "linalg.cholesky", "linalg.qr"),
    *("linalg.lstsq", "linalg.eigh", "linalg.eigvalsh", "linalg.svd", "linalg.matrix_power"),
]

_MAKING = [
    *("arange", "linspace", "logspace", "geomspace", "meshgrid", "tri", "vander", "indices", "fromfunction"),
    *(
        "diag",
        "diagflat",
        "tile",
        "repeat",
        "tril",
        "triu",
        "append",
        "insert",
        "outer",
        "kron",
        "where",
    ),
    *("bartlett", "blackman", "hamming", "hanning", "kaiser", "fft.fftfreq", "fft.rfftfreq"),
]
"""Functions that people make arrays with, to write into them."""

_OF_THE_FIRST = {"pad": "array", "roll": "a", "nan_to_num": "x", "unwrap": "p", "take": "a"}
"""Functions that NumPy asks their first argument for alone, with its name; others may be traced too."""

_JOINING = ["concatenate", "concat", "stack", "vstack", "hstack", "dstack", "column_stack"]


def taking_lists(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose arguments may be lists that hold traced values; tuples, as those of cho_factor, stay."""
    return lambda *args, **kwargs: function(*(listed(x) if isinstance(x, list) else x for x in args), **kwargs)


def _of_lists(original: Any, *args: Any, **kwargs: Any) -> Any:
    return original(*map(listed, args), **{name: listed(value) for name, value in kwargs.items()})


def making(original: Any, *args: Any, **kwargs: Any) -> Any:
    return _own(_of_lists(original, *args, **kwargs), (*args, *kwargs.values()))


def _of_the_first(name: str) -> Callable[..., Any]:
    def apply(original: Any, *args: Any, **kwargs: Any) -> Any:
        if not args and name in kwargs:
            args = (kwargs.pop(name),)
        if args and not is_traced(args[0]) and is_traced(*args[1:], *kwargs.values()):
            args = (made(np.asarray(args[0])), *args[1:])
        return making(original, *args, **kwargs)

    return apply


def _joining(original: Any, arrays: Any, *args: Any, **kwargs: Any) -> Any:
    if isinstance(arrays, list | tuple):
        arrays = list(map(listed, arrays))
    return _own(original(arrays, *args, **kwargs), (*args, *kwargs.values()))


def _block(original: Any, arrays: Any) -> Any:
    return _own(original(arrays), ())


def _own(result: Any, args: tuple[Any, ...]) -> Any:
    """Arrays of floating-point numbers that share no memory with `args` as arrays that can hold traced values."""
    if type(result) in (tuple, list):
        return type(result)(_own(item, args) for item in result)
    if not isinstance(result, np.ndarray) or result.dtype.kind not in "fc" or not result.ndim:
        return result
    shared = any(isinstance(arg, np.ndarray) and np.may_share_memory(arg, result) for arg in args)
    return result if shared else made(result)


def _joined(original: Any, key: Any) -> Any:
    """np.r_[key] or np.c_[key]."""
    items = list(key) if isinstance(key, tuple) else [key]
    if not is_traced(items):
        return made(original[key])
    axis, ndmin, place = original.axis, original.ndmin, original.trans1d
    if isinstance(items[0], str):
        numbers = _directive(items.pop(0))
        axis, ndmin, place = numbers + [axis, ndmin, place][len(numbers) :]
    arrays = [np.r_[item] if isinstance(item, slice) else item for item in items]
    values = [as_value(array_of(item) if isinstance(item, list | tuple) else item) for item in arrays]
    dtype, _ = result_dtype([typeof(value) for value in values])
    return concatenate([_raised(to_dtype(value, dtype), ndmin, place) for value in values], axis)


def _directive(text: str) -> list[int]:
    """The numbers in 'axis,ndmin,place', of which the last ones may be absent."""
    if text in ("r", "c"):
        raise UnsupportedError(
            f"np.r_[{text!r}, ...] makes a np.matrix, which holds no traced values; write np.atleast_2d(np.r_[...])"
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


def _fromiter(original: Any, iter: Any, dtype: Any, count: int = -1, **kwargs: Any) -> Any:
    items = list(islice(iter, count if count >= 0 else None))
    if len(items) < count:
        raise ValueError(f"iterator too short: Expected {count} but iterator had only {len(items)} items.")
    return array_of(items, dtype) if is_traced(items) else _own(original(items, dtype, **kwargs), ())


def _grid(original: Any, key: Any) -> Any:
    """np.mgrid[key] or np.ogrid[key]."""
    return _own(original[key], ())


CREATORS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_ORDINARY, _of_lists),
    **dict.fromkeys(_MAKING, making),
    **{function: _of_the_first(first) for function, first in _OF_THE_FIRST.items()},
    **dict.fromkeys(_JOINING, _joining),
    "fromiter": _fromiter,
    "block": _block,
    "mgrid": _grid,
    "ogrid": _grid,
    "r_": _joined,
    "c_": _joined,
}
"""By the name of NumPy's function; each takes it first, then its arguments."""
