"""np.fft on traced values: transforms over any axes, shifts.

Invariant: signatures, lengths, scalings and dtypes are NumPy's.
Start at ``fft``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, ShapeError
from staged_ad.ir.types import FLOAT16, check_axis, complex_dtype_of
from staged_ad.numpy.promotion import as_value, to_dtype, to_float
from staged_ad.numpy.shaping import moveaxis, roll
from staged_ad.numpy.ufuncs import multiply
from staged_ad.primitives import fourier
from staged_ad.primitives.complexes import conj
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import pad, slice_

_OTHER = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}
Norm = str | None


def _swapped(norm: Norm) -> Norm:
    if norm not in _OTHER:
        raise ValueError(f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".')
    return _OTHER[norm]


def _scaled(y: Any, n: int, norm: Norm) -> Any:
    """`y` with the factor that a forward transform of length n has."""
    match _swapped(_swapped(norm)):
        case "backward":
            return y
        case "ortho":
            factor = 1 / math.sqrt(n)
        case _:
            factor = 1 / n
    return multiply(y, np.asarray(factor, typeof(y).real.dtype))


def _length(name: str, n: Any, otherwise: int) -> int:
    length = otherwise if n is None else int(n)
    if length < 1:
        raise ShapeError(f"np.fft.{name}: invalid number of FFT data points ({length}) specified")
    return length


def _moved(x: Any, source: int, target: int) -> Any:
    return x if (source - target) % typeof(x).ndim == 0 else moveaxis(x, source, target)


def _fitted(x: Any, axis: int, n: int) -> Any:
    """`x` with `axis` last, cut off or filled up with zeros to n elements."""
    x = _moved(x, axis, -1)
    type = typeof(x)
    lead, length = type.ndim - 1, type.shape[-1]
    if length > n:
        return slice_(x, start=(0,) * type.ndim, stop=(*type.shape[:-1], n), step=(1,) * type.ndim)
    if length < n:
        return pad(x, low=(0,) * type.ndim, high=(*(0,) * lead, n - length))
    return x


def _to_complex(x: Any) -> Any:
    value = to_float(x)
    type = typeof(value)
    return to_dtype(value, type.dtype if type.is_complex else complex_dtype_of(type.dtype))


def _along(name: str, a: Any, axis: int) -> tuple[Any, int]:
    value = as_value(a, f"the operand of np.fft.{name}")
    return value, check_axis(axis, typeof(value).ndim)


def _complex_transform(name: str, inverse: bool) -> Callable[..., Any]:
    def transform(a: Any, n: Any = None, axis: int = -1, norm: Norm = None) -> Any:
        value, k = _along(name, a, axis)
        length = _length(name, n, typeof(value).shape[k])
        y = fourier.fft(_fitted(_to_complex(value), k, length), inverse=inverse)
        return _moved(_scaled(y, length, _swapped(norm) if inverse else norm), -1, k)

    return transform


fft = _complex_transform("fft", False)
ifft = _complex_transform("ifft", True)


def rfft(a: Any, n: Any = None, axis: int = -1, norm: Norm = None) -> Any:
    value, k = _along("rfft", a, axis)
    value = to_float(value)
    if typeof(value).is_complex:
        raise DTypeError(f"np.fft.rfft needs real numbers, got {typeof(value).dtype}; write np.fft.fft")
    length = _length("rfft", n, typeof(value).shape[k])
    y = fourier.rfft(_fitted(to_dtype(value, typeof(value).dtype), k, length))
    return _moved(_scaled(y, length, norm), -1, k)


def irfft(a: Any, n: Any = None, axis: int = -1, norm: Norm = None) -> Any:
    value, k = _along("irfft", a, axis)
    length = _length("irfft", n, 2 * (typeof(value).shape[k] - 1))
    x = fourier.irfft(_fitted(_to_complex(value), k, length // 2 + 1), n=length)
    return _like(value, _moved(_scaled(x, length, _swapped(norm)), -1, k))


def _like(value: Any, result: Any) -> Any:
    """Of real numbers of float16 NumPy's results are float16, where they are real."""
    return to_dtype(result, FLOAT16) if typeof(value).dtype == FLOAT16 else result


def hfft(a: Any, n: Any = None, axis: int = -1, norm: Norm = None) -> Any:
    return _like(as_value(a), irfft(conj(_to_complex(a)), n, axis, _swapped(norm)))


def ihfft(a: Any, n: Any = None, axis: int = -1, norm: Norm = None) -> Any:
    return conj(rfft(a, n, axis, _swapped(norm)))


def _lengths(a: Any, s: Any, axes: Any, halved: bool = False) -> tuple[list[int], list[int]]:
    """Length and axis of each transform; `halved`: the last axis holds half of the coefficients."""
    shape = typeof(a).shape
    if s is not None and axes is None:
        warnings.warn(
            "`axes` should not be `None` if `s` is not `None` (Deprecated in NumPy 2.0).",
            DeprecationWarning,
            stacklevel=4,
        )
    count = len(shape) if s is None else len(s)
    chosen = [check_axis(k, len(shape)) for k in (range(-count, 0) if axes is None else axes)]
    if s is None:
        lengths = [shape[k] for k in chosen]
        if halved and lengths:
            lengths[-1] = 2 * (lengths[-1] - 1)
    else:
        lengths = [shape[k] if n is None or int(n) == -1 else int(n) for n, k in zip(s, chosen, strict=False)]
    if len(s if s is not None else chosen) != len(chosen):
        raise ShapeError("Shape and axes have different lengths.")
    return lengths, chosen


def _repeated(function: Callable[..., Any], name: str, default: Sequence[int] | None) -> Callable[..., Any]:
    def transform(a: Any, s: Any = None, axes: Any = default, norm: Norm = None) -> Any:
        value = as_value(a)
        lengths, chosen = _lengths(value, s, axes)
        for n, k in reversed(list(zip(lengths, chosen, strict=True))):
            value = function(value, n, k, norm)
        return value

    return transform


def _real_repeated(name: str, default: Sequence[int] | None) -> Callable[..., Any]:
    def transform(a: Any, s: Any = None, axes: Any = default, norm: Norm = None) -> Any:
        lengths, chosen = _lengths(as_value(a), s, axes)
        value = rfft(a, lengths[-1], chosen[-1], norm)
        for n, k in list(zip(lengths, chosen, strict=True))[-2::-1]:
            value = fft(value, n, k, norm)
        return value

    return transform


def _inverse_real_repeated(name: str, default: Sequence[int] | None) -> Callable[..., Any]:
    def transform(a: Any, s: Any = None, axes: Any = default, norm: Norm = None) -> Any:
        value = as_value(a)
        lengths, chosen = _lengths(value, s, axes, halved=True)
        for n, k in list(zip(lengths, chosen, strict=True))[:-1]:
            value = ifft(value, n, k, norm)
        return irfft(value, lengths[-1], chosen[-1], norm)

    return transform


def _shift(sign: int) -> Callable[..., Any]:
    def shift(x: Any, axes: Any = None) -> Any:
        value = as_value(x)
        shape = typeof(value).shape
        listed = range(len(shape)) if axes is None else [axes] if isinstance(axes, int | np.integer) else axes
        chosen = tuple(check_axis(k, len(shape)) for k in listed)
        if not chosen:
            name = "fftshift" if sign > 0 else "ifftshift"
            raise ShapeError(f"np.fft.{name} needs an axis: the array has shape {shape}")
        moves = tuple(shape[k] // 2 if sign > 0 else -(shape[k] // 2) for k in chosen)
        return roll(value, moves, chosen)

    return shift


_LAST = (-2, -1)
FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.fft.fft: fft,
    np.fft.ifft: ifft,
    np.fft.rfft: rfft,
    np.fft.irfft: irfft,
    np.fft.hfft: hfft,
    np.fft.ihfft: ihfft,
    np.fft.fft2: _repeated(fft, "fft2", _LAST),
    np.fft.ifft2: _repeated(ifft, "ifft2", _LAST),
    np.fft.fftn: _repeated(fft, "fftn", None),
    np.fft.ifftn: _repeated(ifft, "ifftn", None),
    np.fft.rfft2: _real_repeated("rfft2", _LAST),
    np.fft.irfft2: _inverse_real_repeated("irfft2", _LAST),
    np.fft.rfftn: _real_repeated("rfftn", None),
    np.fft.irfftn: _inverse_real_repeated("irfftn", None),
    np.fft.fftshift: _shift(1),
    np.fft.ifftshift: _shift(-1),
}
"""np.fft; fftfreq and rfftfreq take no arrays."""
