"""Half precision: float16 is stored and moved as it is, and computed with as float32.

An operation with operands of float16 becomes three: ``y:f16 = exp x:f16`` is ``a:f32 = cast x; b:f32 = exp a;
y:f16 = cast b``, where the types of the results are those that the operation has of float16. This is what NumPy's loops
do, which round once after each operation; sums and products of matrices are float32 to their end. Casts of
neighbouring operations stay: a value that is float16 in NumPy has been rounded to it.

Rules for derivatives and batches see the three, so that they compute in float32 as well, and nothing below them has to
know another kind of numbers: in machine code a value of float16 is 16 bits that are loaded, chosen, stored and cast.

bfloat16, of the package ml_dtypes, is what inputs may be: the first thing that happens to one is its cast to float32.

Invariant: no equation whose lowering ``computes`` has an operand or a result of float16.
Start at ``in_single``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.ir import PRIMITIVES, ArrayType, Literal, Primitive, Stack, type_of
from staged_ad.ir.types import FLOAT16, FLOAT32, is_bfloat16
from staged_ad.tracing.tracer import Tracer


def in_single(bind: Callable[..., Any], primitive: Primitive, values: Sequence[Any], params: dict[str, Any]) -> Any:
    """The results of an operation, of which operands are float16; `bind` applies primitives."""
    given = [v.type if isinstance(v, Tracer | Literal | Stack) else type_of(v) for v in values]
    types = primitive.abstract_eval(*given, **params)
    wide = [
        converted(bind, value, FLOAT32) if type.dtype == FLOAT16 else value
        for value, type in zip(values, given, strict=True)
    ]
    found = bind(primitive, *wide, **params)
    if primitive.multiple_results:
        return [_narrowed(bind, y, type) for y, type in zip(found, types, strict=True)]
    return _narrowed(bind, found, types)


def read(bind: Callable[..., Any], x: Tracer) -> Tracer:
    """What a function is given for an input: of bfloat16, the float32 that it is."""
    wide: Tracer = bind(PRIMITIVES["cast"], x, dtype=FLOAT32, weak=False) if is_bfloat16(x.dtype) else x
    return wide


def _narrowed(bind: Callable[..., Any], y: Any, type: ArrayType) -> Any:
    return converted(bind, y, FLOAT16, type.weak) if type.dtype == FLOAT16 else y


def converted(bind: Callable[..., Any], value: Any, dtype: np.dtype[Any], weak: bool = False) -> Any:
    """`value` as another dtype; constants stay constants."""
    atom = value.atom if isinstance(value, Tracer) else value
    if isinstance(atom, Literal) and atom.is_splat:
        with np.errstate(all="ignore"):
            literal = Literal(dtype.type(atom.value), ArrayType(atom.type.shape, dtype, weak))
        return value.owner.constant(literal) if isinstance(value, Tracer) else literal
    return bind(PRIMITIVES["cast"], value, dtype=dtype, weak=weak)
