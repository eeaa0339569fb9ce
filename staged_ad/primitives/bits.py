"""Operations on the bits of numbers: bitcast, and the greatest common divisor of integers.

Invariant: none has a derivative. Start at ``bitcast``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from staged_ad.errors import DTypeError
from staged_ad.ir import ArrayType, Primitive
from staged_ad.ir.lowerings import Map
from staged_ad.ir.primitive import not_linear
from staged_ad.ir.types import FLOAT16, FLOAT32
from staged_ad.primitives.makers import Operation, elementwise

_INT16 = np.dtype("int16")


# bitcast(x, dtype): the same bits as another dtype of the same width.
def _abstract_bitcast(x: ArrayType, *, dtype: np.dtype[Any]) -> ArrayType:
    if x.dtype.itemsize != dtype.itemsize or "b" in (x.dtype.kind, dtype.kind):
        raise DTypeError(f"the bits of {x.dtype} cannot be read as {dtype}")
    return x.with_dtype(dtype)


bitcast: Operation = Operation(
    Primitive(
        "bitcast",
        abstract_eval=_abstract_bitcast,
        evaluate=lambda x, *, dtype: np.ascontiguousarray(x).reshape(np.shape(x)).view(dtype)[()],
        jvp=lambda primals, tangents, *, dtype: (bitcast(primals[0], dtype=dtype), None),
        transpose=not_linear("bitcast"),
        batch=lambda size, values, batched, *, dtype: (bitcast(values[0], dtype=dtype), True),
        lower=Map(lambda code, x, *, dtype: code.bitcast(x, dtype), computes=False),
    )
)


def _emit_gcd(code: Any, a: Any, b: Any) -> Any:
    """Euclid's algorithm on magnitudes; that of the least integer is itself, read without its sign."""
    kind = f"i{8 * a.dtype.itemsize}"
    text = f"""define internal {kind} @gcd.{kind}({kind} %x, {kind} %y) nounwind {{
start:
  br label %loop
loop:
  %a = phi {kind} [ %x, %start ], [ %b, %step ]
  %b = phi {kind} [ %y, %start ], [ %rest, %step ]
  %done = icmp eq {kind} %b, 0
  br i1 %done, label %end, label %step
step:
  %rest = urem {kind} %a, %b
  br label %loop
end:
  ret {kind} %a
}}"""
    return code.lanewise(code.helper(f"gcd.{kind}", text), code.abs(a), code.abs(b))


gcd: Operation = elementwise("gcd", np.gcd, _emit_gcd, None, None, kinds="iu", cost=200)


def _emit_nextafter(code: Any, a: Any, b: Any) -> Any:
    """Of float16 by its bits: one more of them is farther from 0."""
    if a.dtype != FLOAT16:
        return code.math("nextafter", a, b)
    x, y = code.cast(a, FLOAT32), code.cast(b, FLOAT32)
    zero, bits = code.constant(0, FLOAT32), code.bitcast(a, _INT16)
    outwards = code.not_(code.xor(code.compare("gt", y, x), code.compare("gt", x, zero)))
    moved = code.add(bits, code.select(outwards, code.constant(1, _INT16), code.constant(-1, _INT16)))
    least = code.or_(code.and_(code.bitcast(b, _INT16), code.constant(-(2**15), _INT16)), code.constant(1, _INT16))
    near = code.bitcast(code.select(code.compare("eq", x, zero), least, moved), FLOAT16)
    nan = code.cast(code.add(x, y), FLOAT16)
    ordered = code.and_(code.compare("eq", x, x), code.compare("eq", y, y))
    return code.select(code.compare("eq", x, y), a, code.select(ordered, near, nan))


# nextafter(x, y): the next number after x towards y
nextafter: Operation = elementwise("nextafter", np.nextafter, _emit_nextafter, 1, None, cost=20, computes=False)
