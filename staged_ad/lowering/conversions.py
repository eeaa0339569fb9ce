"""Conversions that take more than one instruction: to integers, and of the floating-point numbers of 16 bits.

float16 is 16 bits in registers as in memory, which are loaded, chosen and stored, and cast before anything is computed
with them; so is bfloat16, which is only read.

Invariant: results are those of NumPy's astype, rounded once.
Start at ``Code.cast``, which calls what is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.ir.types import FLOAT16, FLOAT32, FLOAT64
from staged_ad.lowering.values import Value, element_type, vector_type

if TYPE_CHECKING:
    from staged_ad.lowering.code import Code

_BITS = np.dtype("int32")


def to_integer(code: Code, a: Value, dtype: np.dtype[Any]) -> Value:
    """As NumPy: the low bits of a wider signed integer, so that negative numbers wrap around."""
    if dtype.kind == "u" and dtype.itemsize == 8:
        zero, beyond = code.constant(0, a.dtype), code.constant(2.0**64, a.dtype)
        within = code.and_(code.compare("ge", a, zero), code.compare("lt", a, beyond))
        positive = _truncated(code, code.select(within, a, code.constant(2.0**63, a.dtype)), dtype)
        return code.select(code.compare("lt", a, zero), code.cast(_signed(code, a, np.dtype("int64")), dtype), positive)
    wide = np.dtype("int32" if dtype.itemsize < 4 or dtype == "int32" else "int64")
    return code.cast(_signed(code, a, wide), dtype)


def _signed(code: Code, a: Value, dtype: np.dtype[Any]) -> Value:
    """The integer towards zero; the least one, which is no index of an array, for NaN and what does not fit."""
    bound = 2.0 ** (8 * dtype.itemsize - 1)
    fits = code.compare("lt", code.abs(a), code.constant(bound, a.dtype))
    return _truncated(code, code.select(fits, a, code.constant(-bound, a.dtype)), dtype)


def _truncated(code: Code, a: Value, dtype: np.dtype[Any]) -> Value:
    """Of numbers that fit; LLVM says nothing of others."""
    target = vector_type(element_type(dtype), a.lanes)
    result = code.write(f"fpto{'s' if dtype.kind == 'i' else 'u'}i {a.operand} to {target}", target, (a,), a.depth)
    return Value(result, dtype, a.lanes, a.depth, None, True)


def of_short(code: Code, a: Value, dtype: np.dtype[Any]) -> Value:
    """A float16 or bfloat16 as another dtype: float32 has it exactly."""
    return code.cast((_of_half if a.dtype == FLOAT16 else _of_bfloat16)(code, a), dtype)


def _of_half(code: Code, a: Value) -> Value:
    if not code.externals.halves:
        return _of_half_by_bits(code, a)
    half, single = vector_type("half", a.lanes), vector_type("float", a.lanes)
    bits = code.write(f"bitcast {a.operand} to {half}", half, (a,), a.depth)
    name = code.write(f"fpext {half} {bits} to {single}", single, (bits,), a.depth)
    return Value(name, FLOAT32, a.lanes, a.depth)


def _of_bfloat16(code: Code, a: Value) -> Value:
    """It is the upper half of a float32."""
    whole = vector_type("i32", a.lanes)
    wide = code.write(f"zext {a.operand} to {whole}", whole, (a,), a.depth)
    sixteen = "16" if a.lanes == 1 else "splat (i32 16)"
    name = code.write(f"shl {whole} {wide}, {sixteen}", whole, (wide,), a.depth)
    return code.bitcast(Value(name, _BITS, a.lanes, a.depth), FLOAT32)


def to_half(code: Code, a: Value) -> Value:
    """A number as float16, from float32, which integers become first."""
    a = _odd(code, a) if a.dtype == FLOAT64 else code.cast(a, FLOAT32)
    if not code.externals.halves:
        return _to_half_by_bits(code, a)
    half, whole = vector_type("half", a.lanes), vector_type("i16", a.lanes)
    short = code.write(f"fptrunc {a.operand} to {half}", half, (a,), a.depth)
    name = code.write(f"bitcast {half} {short} to {whole}", whole, (short,), a.depth)
    return Value(name, FLOAT16, a.lanes, a.depth)


def _of_half_by_bits(code: Code, a: Value) -> Value:
    """Its exponent and mantissa as those of a float32, which is then too small by a power of two."""
    bits = code.cast(code.bitcast(a, np.dtype("uint16")), _BITS)
    magnitude = _times(code, code.and_(bits, _word(code, 0x7FFF)), 13)
    scaled = code.mul(code.bitcast(magnitude, FLOAT32), code.constant(2.0**112, FLOAT32))
    special = code.compare("ge", magnitude, _word(code, 0x7C00 << 13))  # infinite or NaN
    whole = code.select(special, code.or_(magnitude, _word(code, 0x7F800000)), code.bitcast(scaled, _BITS))
    return code.bitcast(code.or_(whole, _times(code, code.and_(bits, _word(code, 0x8000)), 16)), FLOAT32)


def _to_half_by_bits(code: Code, a: Value) -> Value:
    """Rounded to even by an addition of integers; what is subnormal by one to 1/2, of which it is the last bits."""
    bits = code.bitcast(a, _BITS)
    magnitude = code.and_(bits, _word(code, 0x7FFFFFFF))
    last = code.and_(code.shift_right(magnitude, _word(code, 13)), _word(code, 1))
    rounded = code.add(code.add(magnitude, _word(code, 0xFFF - (112 << 23))), last)
    beside_half = code.add(code.bitcast(magnitude, FLOAT32), code.constant(0.5, FLOAT32))
    small = code.sub(code.bitcast(beside_half, _BITS), _word(code, 0x3F000000))
    subnormal = code.compare("lt", magnitude, _word(code, 113 << 23))
    found = code.select(subnormal, small, code.shift_right(rounded, _word(code, 13)))
    beyond = code.select(
        code.compare("gt", magnitude, _word(code, 0x7F800000)), _word(code, 0x7E00), _word(code, 0x7C00)
    )
    found = code.select(code.compare("lt", magnitude, _word(code, 0x477FF000)), found, beyond)  # 65520
    sign = code.and_(code.shift_right(bits, _word(code, 16)), _word(code, 0x8000))
    return code.bitcast(code.cast(code.or_(found, sign), np.dtype("uint16")), FLOAT16)


def _word(code: Code, number: int) -> Value:
    return code.constant(number, _BITS)


def _times(code: Code, a: Value, power: int) -> Value:
    return code.shift_left(a, _word(code, power))


def _odd(code: Code, a: Value) -> Value:
    """A float64 as a float32 whose last bit says whether something was cut off, so that rounding it again is right.

    Rounding to odd (Boldo & Melquiond 2008): of the two neighbours of `a` the one whose last bit is set, unless float32
    has `a`. What overflows is infinite in float16 as well.
    """
    near, zero, one = code.cast(a, FLOAT32), code.constant(0, _BITS), code.constant(1, _BITS)
    back, bits = code.cast(near, FLOAT64), code.bitcast(near, _BITS)
    even = code.compare("eq", code.and_(bits, one), zero)
    beyond = code.compare("gt", code.abs(back), code.abs(a))
    other = code.select(beyond, code.sub(bits, one), code.add(bits, one))
    finite = code.compare("lt", code.abs(back), code.constant(np.inf, FLOAT64))
    moved = code.and_(code.and_(even, code.compare("ne", back, a)), finite)
    return code.bitcast(code.select(moved, other, bits), FLOAT32)
