"""Choice and comparison by element: select, piecewise, nan_to_num, isclose, isin, sinc, i0, ...

Invariant: what a condition excludes contributes neither a value nor a derivative.
Start at ``select``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError
from staged_ad.ir.types import BOOL, check_axis
from staged_ad.numpy.arrays import asarray
from staged_ad.numpy.assignment import fitted, plain
from staged_ad.numpy.halves import in_single
from staged_ad.numpy.promotion import as_value, check_cast, result_dtype, to_dtype, to_elements
from staged_ad.primitives.complexes import complex_
from staged_ad.primitives.linalg import require
from staged_ad.primitives.makers import typeof
from staged_ad.tracing import Tracer, unshared
from staged_ad.tracing.libraries import scipy_special


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if len(condlist) == 0:
        raise ValueError("select with an empty condition list is not possible")
    conditions = [asarray(c) for c in condlist]
    for k, condition in enumerate(conditions):
        if condition.dtype != bool:
            raise DTypeError(f"invalid entry {k} in condlist: should be boolean ndarray")
    kind, _ = result_dtype([typeof(as_value(x)) for x in (*choicelist, default)])
    *choices, result = map(asarray, (*choicelist, default))
    result = result.astype(kind)
    for choice in choices:
        check_cast(typeof(as_value(choice)), kind, "same_kind")
    for condition, choice in zip(conditions[::-1], choices[::-1], strict=True):
        result = np.where(condition, choice.astype(kind), result)
    return result


def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kwargs: Any) -> Any:
    """np.piecewise; each function is computed at all of `x`, so it must work element by element."""
    x = asarray(x)
    conditions = _conditions(condlist, x.ndim)
    if len(funclist) == len(conditions) + 1:
        conditions = [*conditions, ~_any_of(conditions)]
    elif len(funclist) != len(conditions):
        raise ValueError(
            f"with {len(conditions)} condition(s), either {len(conditions)} or {len(conditions) + 1} functions are "
            "expected"
        )
    result = np.zeros(x.shape, x.dtype)
    for condition, function in zip(conditions, funclist, strict=True):
        value = function(x, *args, **kwargs) if callable(function) else function
        result = np.where(condition, plain(to_elements(value, x.dtype)), result)
    return result


def _conditions(condlist: Any, ndim: int) -> list[Any]:
    single = np.ndim(condlist) == 0 if not isinstance(condlist, list | tuple) else False
    if single or (ndim != 0 and np.ndim(asarray(condlist[0])) == 0):
        condlist = [condlist]
    return [asarray(c).astype(bool) for c in condlist]


def _any_of(conditions: list[Any]) -> Any:
    found = conditions[0]
    for condition in conditions[1:]:
        found = found | condition
    return found


def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    value = asarray(x)
    found = _numbers(value, nan, posinf, neginf)
    if copy and found is value:  # integers
        return unshared(found) if isinstance(found, Tracer) else found.copy()
    if not copy and isinstance(x, Tracer) and (x.shape or not x.number):
        x[...] = found
        return x
    return found


def _numbers(x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    if x.dtype.kind == "c":  # each part for itself
        return complex_(*(_numbers(part, nan, posinf, neginf) for part in (x.real, x.imag)))
    if x.dtype.kind != "f":
        return x
    bounds = np.finfo(x.dtype)
    high, low = (bounds.max if posinf is None else posinf), (bounds.min if neginf is None else neginf)
    nan, high, low = (_substitute(value, x) for value in (nan, high, low))
    replaced = np.where(x == np.inf, high, np.where(np.isnan(x), nan, x))
    return np.where(x == -np.inf, low, replaced)


def _substitute(value: Any, x: Any) -> Any:
    """What stands in the place of real numbers; as in assignments, it may have more axes if these have length 1."""
    found = asarray(value)
    if found.dtype.kind == "c":
        raise DTypeError(f"nan_to_num: {found.dtype} cannot be cast to {x.dtype}")
    found = found.astype(x.dtype)
    return plain(fitted(as_value(found), x.shape)) if found.ndim else found


def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    x, y = (v if type(v) in (int, float) else asarray(v) for v in (a, b))
    y = float(y) if type(y) is int else y  # -1 is close to no unsigned integer
    if not isinstance(y, int | float) and y.dtype.kind in "iub":
        y = y.astype(np.result_type(y.dtype, 1.0))
    close = ((np.abs(x - y) <= atol + rtol * np.abs(y)) & np.isfinite(y)) | (x == y)
    return close | (np.isnan(x) & np.isnan(y)) if equal_nan else close


def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """np.allclose, as a traced boolean; Python may ask for its truth."""
    return _of_python(np.all(isclose(a, b, rtol, atol, equal_nan)))


def _of_python(truth: Any) -> Any:
    """A boolean of Python, which counts as an integer where numbers are added."""
    return to_dtype(truth, BOOL, weak=True) if isinstance(truth, Tracer) else bool(truth)


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    a1, a2 = asarray(a1), asarray(a2)
    if a1.shape != a2.shape:
        return False
    same = a1 == a2
    return _of_python(np.all(same | ((a1 != a1) & (a2 != a2)) if equal_nan else same))


def array_equiv(a1: Any, a2: Any) -> Any:
    a1, a2 = asarray(a1), asarray(a2)
    try:
        np.broadcast_shapes(a1.shape, a2.shape)
    except ValueError:
        return False
    return _of_python(np.all(a1 == a2))


def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    element, test_elements = asarray(element), asarray(test_elements)
    np.isin(np.empty(0, element.dtype), np.empty(0, test_elements.dtype), kind=kind)  # raises what NumPy raises
    found = np.any(element[..., None] == test_elements.reshape(-1), axis=-1)
    return ~found if invert else found


def _real(x: Any, name: str) -> Any:
    x = asarray(x)
    if x.dtype.kind == "c":
        raise DTypeError(f"np.{name} of complex numbers, which have no sign; ask for z.real, or use np.isinf")
    return x


def isposinf(x: Any, out: Any = None) -> Any:
    return _real(x, "isposinf") == np.inf


def isneginf(x: Any, out: Any = None) -> Any:
    return _real(x, "isneginf") == -np.inf


_SINC = (1.0, *[float(np.prod([-1.0 / (2 * j * (2 * j + 1)) for j in range(1, k + 1)])) for k in range(1, 10)])
"""Coefficients of sin(y) / y in y^2."""


@in_single
def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x); by its power series near 0, where quotients would spoil the derivatives."""
    x = asarray(x)
    y = np.pi * (x if x.dtype.kind in "fc" else x.astype(float))
    near = np.abs(y) < 0.5
    t = np.where(near, y, 0.0) ** 2
    series = t * _SINC[-1]
    for coefficient in _SINC[-2:0:-1]:
        series = (series + coefficient) * t
    away = np.where(near, 1.0, y)
    return np.where(near, series + _SINC[0], np.sin(away) / away)


@in_single
def i0(x: Any) -> Any:
    """The modified Bessel function of order 0."""
    x = asarray(x)
    if x.dtype.kind == "c":
        raise DTypeError("i0 not supported for complex values")
    return scipy_special.i0(x if x.dtype.kind == "f" else x.astype(float))


def sort_complex(a: Any) -> Any:
    x = np.sort(asarray(a))
    if x.dtype.kind == "c":
        return x
    return x.astype(np.complex64 if x.dtype.itemsize < 4 and x.dtype.kind in "iu" else np.complex128)


def fix(x: Any, out: Any = None) -> Any:
    return np.trunc(x)


def count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return np.sum(asarray(a) != 0, axis=axis, keepdims=keepdims)


def unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    lengths = [int(n) for n in np.atleast_1d(shape)]
    rest = _within(indices, math.prod(lengths), "flat")
    found: list[Any] = []
    for n in lengths[::-1] if order == "C" else lengths:
        found.append(np.remainder(rest, n).astype(np.intp))
        rest = rest // n
    return tuple(found[::-1] if order == "C" else found)


def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    lengths = [int(n) for n in np.atleast_1d(dims)]
    modes = [mode] * len(lengths) if isinstance(mode, str) else list(mode)
    flat: Any = 0
    steps = list(zip(multi_index, lengths, modes, strict=True))
    for index, n, rule in steps if order == "C" else steps[::-1]:
        if rule == "raise":
            place = _within(index, n, "coordinates")
        else:
            place = asarray(index).astype(np.intp)
            place = np.remainder(place, n) if rule == "wrap" else np.clip(place, 0, n - 1)
        flat = flat * n + place
    return flat


def _within(indices: Any, n: int, error: str) -> Any:
    """Indices from 0 to n - 1; others raise."""
    places = asarray(indices)
    if places.dtype.kind not in "iub":
        raise DTypeError(f"only int indices permitted, got {places.dtype}")
    places = places.astype(np.intp)
    return require(places, (places >= 0) & (places < n), error=error)


def _places_of_bits(bitorder: str) -> Any:
    """By how much each of eight bits is shifted in their byte."""
    if bitorder not in ("big", "little"):
        raise ValueError(f"bitorder must be either 'little' or 'big' (got {bitorder!r})")
    places = np.arange(8, dtype=np.uint8)
    return places[::-1] if bitorder == "big" else places


def unpackbits(a: Any, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Any:
    x = asarray(a)
    if x.dtype != np.uint8:
        raise DTypeError("Expected an input array of unsigned byte data type")
    if axis is None or not x.ndim:
        x, axis = x.reshape(-1), 0 if axis is None else check_axis(axis, 1)
    x = np.moveaxis(x, axis, -1)
    bits = (x[..., None] >> _places_of_bits(bitorder)) & np.uint8(1)
    bits = bits.reshape((*x.shape[:-1], 8 * x.shape[-1]))
    missing = 0 if count is None else count - bits.shape[-1]
    if missing > 0:
        bits = np.pad(bits, [*[(0, 0)] * (bits.ndim - 1), (0, missing)])
    return np.moveaxis(bits if count is None or missing > 0 else bits[..., :count], -1, axis)


def packbits(a: Any, /, axis: int | None = None, bitorder: str = "big") -> Any:
    x = asarray(a)
    if x.dtype.kind not in "biu":
        raise DTypeError("Expected an input array of integer or boolean data type")
    if axis is None or not x.ndim:
        x, axis = x.reshape(-1), 0 if axis is None else check_axis(axis, 1)
    x = (np.moveaxis(x, axis, -1) != 0).astype(np.uint8)
    x = np.pad(x, [*[(0, 0)] * (x.ndim - 1), (0, -x.shape[-1] % 8)])
    x = x.reshape((*x.shape[:-1], x.shape[-1] // 8, 8))
    shifted: Any = x << _places_of_bits(bitorder)
    packed: Any = np.sum(shifted, axis=-1, dtype=np.uint8)
    return np.moveaxis(packed, -1, axis)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.select: select,
    np.piecewise: piecewise,
    np.nan_to_num: nan_to_num,
    np.isclose: isclose,
    np.allclose: allclose,
    np.array_equal: array_equal,
    np.array_equiv: array_equiv,
    np.isin: isin,
    np.isposinf: isposinf,
    np.isneginf: isneginf,
    np.sinc: sinc,
    np.i0: i0,
    np.sort_complex: sort_complex,
    np.fix: fix,
    np.count_nonzero: count_nonzero,
    np.unravel_index: unravel_index,
    np.ravel_multi_index: ravel_multi_index,
    np.unpackbits: unpackbits,
    np.packbits: packbits,
}
