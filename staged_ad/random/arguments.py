"""What every sampler is given: a key, a shape, a dtype, parameters; checked here, with errors that name the sampler.

Invariant: a checked shape is a tuple of Python integers, a checked dtype one of the supported ones.
Start at ``check_key``.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, ConcretizationError, DTypeError, ShapeError, StagedADError
from staged_ad.ir.types import FLOAT16, canonical_dtype, describe
from staged_ad.numpy.promotion import to_shape
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import broadcast, cast
from staged_ad.tracing import Tracer
from staged_ad.tracing.trace import innermost

UINT32 = np.dtype("uint32")
_ADVICE = "make keys by random.key(seed), random.split(key) or random.fold_in(key, number)"


def check_key(what: str, key: Any) -> Any:
    """A key: a uint32 array of shape (2,)."""
    if type(key).__module__.startswith("numpy.random"):  # a module that NumPy imports when it is first asked for
        raise ArgumentError(f"{what}: key is a {type(key).__name__} of NumPy; {_ADVICE}")
    if not isinstance(key, Tracer | np.ndarray) or key.dtype != UINT32:
        found = key.type if isinstance(key, Tracer) else describe(key)
        raise ArgumentError(f"{what}: key must be a uint32 array of shape (2,), got {found}; {_ADVICE}")
    if key.shape != (2,):
        advice = "for a stack of keys write vmap, or take one of them" if key.shape[-1:] == (2,) else _ADVICE
        raise ShapeError(f"{what}: key must have shape (2,), got {key.shape}; {advice}")
    return key


def check_shape(what: str, shape: Any) -> tuple[int, ...]:
    """A shape: an integer or a sequence of them, none negative."""
    parts = shape if isinstance(shape, tuple | list) else (shape,)
    try:
        checked = tuple([operator.index(n) for n in parts])
    except ConcretizationError:
        raise
    except TypeError:
        raise ArgumentError(
            f"{what}: shape must be an integer or a tuple of integers, got {describe(shape)}; the key comes "
            "first, then shape or the parameters"
        ) from None
    if any(n < 0 for n in checked):
        raise ShapeError(f"{what}: shape must not be negative, got {checked}")
    return checked


def check_dtype(what: str, dtype: Any, kinds: str) -> np.dtype[Any]:
    """A supported dtype of one of the kinds, as in ``np.dtype.kind``."""
    try:
        found = canonical_dtype(dtype)
    except (TypeError, StagedADError):
        found = None
    if found is None or found.kind not in kinds or found == FLOAT16:
        wanted = {"f": "float32 or float64", "u": "an unsigned integer dtype", "iu": "an integer dtype"}[kinds]
        raise DTypeError(f"{what}: dtype must be {wanted}, got {dtype}")
    return found


def parameters(what: str, dtype: np.dtype[Any], shape: Any, **named: Any) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of the result, and the parameters of a distribution as arrays of `dtype` that broadcast to it.

    A shape of None is the common shape of the parameters.
    """
    values = [_parameter(what, name, value, dtype) for name, value in named.items()]
    return check_batch(what, shape, **{name: np.shape(v) for name, v in zip(named, values, strict=True)}), values


def check_batch(what: str, shape: Any, **named: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the result: `shape`, to which those of the parameters must broadcast, or for None what they give."""
    result = None if shape is None else check_shape(what, shape)
    try:
        own = np.broadcast_shapes(*named.values())
        fits = result is None or np.broadcast_shapes(own, result) == result
    except ValueError:
        fits = False
    if not fits:
        found = ", ".join(f"{name} {shape}" for name, shape in named.items())
        target = "to one shape" if result is None else f"to shape={result}"
        raise ShapeError(f"{what}: parameters of shapes {found} do not broadcast {target}")
    return own if result is None else result


def _parameter(what: str, name: str, value: Any, dtype: np.dtype[Any]) -> Any:
    try:
        array = value if isinstance(value, Tracer) else np.asarray(value)
        fits = typeof(array).dtype.kind in "biuf"
    except (StagedADError, ValueError):
        fits = False
    if not fits:
        found = describe(value)
        raise ArgumentError(f"{what}: {name} must be a real number or an array of them, got {found}")
    return array if array.dtype == dtype else cast(array, dtype=dtype, weak=False)


def spread(x: Any, shape: tuple[int, ...], *near: Any) -> Any:
    """`x` broadcast to `shape`; in the innermost trace of `near` it is recorded, so that a constant stays small."""
    if isinstance(x, Tracer) or typeof(x).shape == shape:
        return to_shape(x, shape)
    trace = innermost(near)
    if trace is None:
        return np.broadcast_to(x, shape)
    dims = tuple(range(len(shape) - typeof(x).ndim, len(shape)))
    return trace.emit(broadcast.primitive, [x], {"shape": shape, "dims": dims})


def check_axis_of(what: str, shape: Sequence[int], axis: Any) -> int:
    """`axis` counted from the front."""
    if not isinstance(axis, int | np.integer) or not -len(shape) <= axis < len(shape):
        raise ShapeError(f"{what}: axis {axis} is out of bounds for shape {tuple(shape)}")
    return int(axis) % len(shape)
