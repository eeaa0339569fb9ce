"""Ufuncs that look into numbers: frexp, ldexp, modf, nextafter, spacing, signbit; gcd, lcm and counts of bits.

Invariant: a power of two is exact, subnormal results included.
Start at ``ldexp``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.ir.types import FLOAT16, FLOAT32
from staged_ad.numpy.halves import in_single
from staged_ad.numpy.promotion import apply_ufunc, as_value, resolve, to_dtype
from staged_ad.primitives import bits
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import stop_gradient
from staged_ad.tracing import Tracer


def _loop(ufunc: np.ufunc, *xs: Any) -> list[Any]:
    """The operands in the dtypes that `ufunc` computes in; one of them stays traced."""
    values = [as_value(x) for x in xs]
    dtypes = resolve(ufunc, [typeof(v) for v in values])
    found = [to_dtype(v, d) for v, d in zip(values, dtypes, strict=False)]
    return [v if isinstance(v, Tracer) else np.array(v.array) for v in found]


def _layout(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], int, int]:
    """The integers that hold the bits of a float, how many of them are mantissa, and the bias of the exponent."""
    info = np.finfo(dtype)
    return np.dtype(f"int{info.bits}"), info.nmant, 1 - info.minexp


def _power_of_two(n: Any, dtype: np.dtype[Any]) -> Any:
    """2**n for exponents of normal numbers."""
    kind, mantissa, bias = _layout(dtype)
    return bits.bitcast((n.astype(kind) + bias) << mantissa, dtype=dtype)


def ldexp(x: Any, n: Any) -> Any:
    """x 2^n in three factors; those downwards stop short, so that only the last one rounds."""
    x, n = _loop(np.ldexp, x, n)
    if x.dtype == FLOAT16:  # its powers of two are too few for three factors
        return ldexp(x.astype(FLOAT32), n).astype(FLOAT16)
    _, mantissa, bias = _layout(x.dtype)
    low = 2 + mantissa - bias
    for least in (low, low, 1 - bias):
        part = np.clip(n, least, bias)
        x, n = x * _power_of_two(part, x.dtype), n - part
    return x


@in_single
def frexp(x: Any) -> tuple[Any, Any]:
    (x,) = _loop(np.frexp, x)
    kind, mantissa, bias = _layout(x.dtype)
    subnormal = (np.abs(x) < np.finfo(x.dtype).smallest_normal) & (x != 0)
    normal = np.where(subnormal, x * 2.0 ** (mantissa + 2), x)
    field = (bits.bitcast(normal, dtype=kind) >> mantissa) & (2 * bias + 1)
    plain = (x != 0) & (field != 2 * bias + 1)  # neither zero nor infinite nor NaN
    exponent = field - (bias - 1) - np.where(subnormal, mantissa + 2, 0)
    exponent = np.where(plain, exponent, 0).astype(np.int32)
    return ldexp(x, -exponent), exponent


def modf(x: Any) -> tuple[Any, Any]:
    (x,) = _loop(np.modf, x)
    whole, zero = np.trunc(x), x.dtype.type(0)
    rest = np.where(signbit(x), -(whole - x), x - whole)  # zeros have the sign of x
    return np.where(np.isinf(x), np.copysign(zero, x), rest), whole


def signbit(x: Any) -> Any:
    if typeof(as_value(x)).dtype.itemsize == 1:
        return np.less(x, 0)  # NumPy looks at half floats
    (x,) = _loop(np.signbit, x)
    return np.copysign(x.dtype.type(1), x) < 0


def nextafter(x1: Any, x2: Any) -> Any:
    return apply_ufunc(np.nextafter, bits.nextafter, (x1, x2))


def spacing(x: Any) -> Any:
    (x,) = _loop(np.spacing, x)
    if x.dtype == FLOAT16:  # always upwards in NumPy
        return stop_gradient(np.where(np.isfinite(x), np.nextafter(x, FLOAT16.type(np.inf)) - x, FLOAT16.type(np.nan)))
    infinity = x.dtype.type(np.inf)
    return stop_gradient(np.nextafter(x, np.where(x < 0, -infinity, infinity)) - x)  # upwards from -0.0 too


@in_single
def logaddexp2(x1: Any, x2: Any) -> Any:
    x1, x2 = _loop(np.logaddexp2, x1, x2)
    return np.logaddexp(x1 * math.log(2), x2 * math.log(2)) / math.log(2)


def gcd(x1: Any, x2: Any) -> Any:
    return apply_ufunc(np.gcd, bits.gcd, (x1, x2))


def lcm(x1: Any, x2: Any) -> Any:
    x1, x2 = _loop(np.lcm, x1, x2)
    return np.abs(x1) // np.gcd(x1, x2) * np.abs(x2)


def bitwise_count(x: Any) -> Any:
    """The ones in the binary form of magnitudes: counted in pairs, in fours, in bytes, and then added up."""
    (x,) = _loop(np.bitwise_count, x)
    unsigned = np.abs(x).astype(f"u{x.dtype.name.removeprefix('u')}")  # of the least integer, which has no magnitude
    v = unsigned.astype(np.uint64)
    pairs, fours, bytes_ = (np.uint64(m * 0x0101010101010101) for m in (0x55, 0x33, 0x0F))
    v = v - ((v >> np.uint64(1)) & pairs)
    v = (v & fours) + ((v >> np.uint64(2)) & fours)
    v = (v + (v >> np.uint64(4))) & bytes_
    return ((v * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint8)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.ldexp: ldexp,
    np.frexp: frexp,
    np.modf: modf,
    np.signbit: signbit,
    np.nextafter: nextafter,
    np.spacing: spacing,
    np.logaddexp2: logaddexp2,
    np.gcd: gcd,
    np.lcm: lcm,
    np.bitwise_count: bitwise_count,
}
