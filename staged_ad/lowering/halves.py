"""float16 in machine code: 16 bits that are loaded, chosen and stored, and cast before anything is computed with them.

Invariant: casts round as NumPy's do, once.
Start at ``to_half`` and ``of_half``, which ``Code.cast`` calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.ir.types import FLOAT16, FLOAT32, FLOAT64
from staged_ad.lowering.values import Value, vector_type

if TYPE_CHECKING:
    from staged_ad.lowering.code import Code

_BITS = np.dtype("int32")


def of_half(code: Code, a: Value, dtype: np.dtype[Any]) -> Value:
    """A float16 as another dtype: float32 has it exactly."""
    half, single = vector_type("half", a.lanes), vector_type("float", a.lanes)
    bits = code.write(f"bitcast {a.operand} to {half}", half, (a,), a.depth)
    name = code.write(f"fpext {half} {bits} to {single}", single, (bits,), a.depth)
    return code.cast(Value(name, FLOAT32, a.lanes, a.depth), dtype)


def to_half(code: Code, a: Value) -> Value:
    """A number as float16, from float32, which integers become first."""
    a = _odd(code, a) if a.dtype == FLOAT64 else code.cast(a, FLOAT32)
    half, whole = vector_type("half", a.lanes), vector_type("i16", a.lanes)
    short = code.write(f"fptrunc {a.operand} to {half}", half, (a,), a.depth)
    name = code.write(f"bitcast {half} {short} to {whole}", whole, (short,), a.depth)
    return Value(name, FLOAT16, a.lanes, a.depth)


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
