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
from staged_ad.primitives.makers import Operation, elementwise


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
        lower=Map(lambda code, x, *, dtype: code.bitcast(x, dtype)),
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

# nextafter(x, y): the next number after x towards y
nextafter: Operation = elementwise(
    "nextafter", np.nextafter, lambda code, a, b: code.math("nextafter", a, b), 1, None, cost=20
)
