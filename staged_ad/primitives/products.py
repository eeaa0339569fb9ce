"""dot_general: the one product of arrays; matmul, dot, tensordot, inner, outer and einsum are made of it.

Invariant: axes of the result are the batch axes, then the free axes of a, then those of b.
Start at ``dot_general``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, ShapeError
from staged_ad.ir import ArrayType, Linear, Primitive
from staged_ad.ir.lowerings import Product
from staged_ad.ir.primitive import Pair, not_linear
from staged_ad.ir.types import BOOL
from staged_ad.primitives.makers import Operation, is_zero, pair_product, plus, typeof
from staged_ad.primitives.shaping import Axes, transpose

Pairs = tuple[Axes, Axes]
"""Axes of a and the axes of b they go with."""


def free_axes(ndim: int, *used: Axes) -> Axes:
    taken = {axis for axes in used for axis in axes}
    return tuple(axis for axis in range(ndim) if axis not in taken)


def _abstract(a: ArrayType, b: ArrayType, *, contract: Pairs, batch: Pairs) -> ArrayType:
    if a.dtype != b.dtype:
        raise DTypeError(f"dot_general: operands have dtypes {a.dtype} and {b.dtype}")
    if a.dtype == BOOL:
        raise DTypeError("dot_general: sums of booleans are counts: cast them to integers")
    for left, right in (contract, batch):
        if [a.shape[k] for k in left] != [b.shape[k] for k in right]:
            raise ShapeError(
                f"shapes {a.shape} and {b.shape} do not fit: axes {left} of the first meet axes {right} of the second"
            )
    shape = [a.shape[k] for k in batch[0]]
    shape += [a.shape[k] for k in free_axes(a.ndim, contract[0], batch[0])]
    shape += [b.shape[k] for k in free_axes(b.ndim, contract[1], batch[1])]
    return ArrayType(tuple(shape), a.dtype)


def _evaluate(a: Any, b: Any, *, contract: Pairs, batch: Pairs) -> Any:
    """As a stack of matrix products."""
    a, b = np.asarray(a), np.asarray(b)
    a_free, b_free = free_axes(a.ndim, contract[0], batch[0]), free_axes(b.ndim, contract[1], batch[1])
    a = a.transpose(*batch[0], *a_free, *contract[0])
    b = b.transpose(*batch[1], *contract[1], *b_free)
    stack, m, n = len(batch[0]), len(a_free), len(b_free)
    outer, rows, columns = a.shape[:stack], a.shape[stack : stack + m], b.shape[b.ndim - n :]
    depth = int(np.prod(a.shape[stack + m :], dtype=int))
    left = a.reshape(*outer, int(np.prod(rows, dtype=int)), depth)
    right = b.reshape(*outer, depth, int(np.prod(columns, dtype=int)))
    return np.matmul(left, right).reshape((*outer, *rows, *columns))


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], **axes: Pairs) -> tuple[Any, Any]:
    (a, b), (a_dot, b_dot) = primals, tangents
    left = None if a_dot is None else dot_general(a_dot, b, **axes)
    right = None if b_dot is None else dot_general(a, b_dot, **axes)
    return dot_general(a, b, **axes), plus(left, right)


def _transpose(ct: Any, inputs: Sequence[Any], *, contract: Pairs, batch: Pairs) -> Any:
    """The cotangent contracted with the other operand over that one's free axes."""
    a, b = inputs
    if isinstance(a, Linear) and isinstance(b, Linear):
        return not_linear("dot_general")(ct, inputs)
    if isinstance(a, Linear):
        return [_cotangent(ct, a.type.ndim, b, contract, batch, first=True), None]
    swapped = (contract[1], contract[0]), (batch[1], batch[0])
    return [None, _cotangent(ct, b.type.ndim, a, *swapped, first=False)]


def _cotangent(ct: Any, ndim: int, other: Any, contract: Pairs, batch: Pairs, first: bool) -> Any:
    """The cotangent of the operand whose axes come first in the pairs, in that operand's own order of axes.

    Of the two orders of the product the one is taken whose result needs no transposition.
    """
    stack = len(batch[0])
    mine, others = free_axes(ndim, contract[0], batch[0]), free_axes(typeof(other).ndim, contract[1], batch[1])
    start = stack + (len(mine) if first else 0)  # where the other operand's free axes are in ct
    places = tuple(range(start, start + len(others)))
    stacked = tuple(range(stack))
    by_other = tuple(contract[0][k] for k in np.argsort(contract[1]))
    before = (*batch[0], *mine, *by_other)
    after = (*batch[0], *by_other, *mine)
    if after == tuple(range(ndim)) and before != after:
        return dot_general(other, ct, contract=(others, places), batch=(batch[1], stacked))
    product = dot_general(ct, other, contract=(places, others), batch=(stacked, batch[1]))
    return transpose(product, permutation=tuple(int(k) for k in np.argsort(before)))


def _batch(
    size: int, values: Sequence[Any], batched: Sequence[bool], *, contract: Pairs, batch: Pairs
) -> tuple[Any, bool]:
    (a, b), (a_batched, b_batched) = values, batched
    shift = tuple[Axes, Axes]

    def shifted(pairs: Pairs) -> shift:
        left = tuple(k + 1 for k in pairs[0]) if a_batched else pairs[0]
        right = tuple(k + 1 for k in pairs[1]) if b_batched else pairs[1]
        return left, right

    contract, batch = shifted(contract), shifted(batch)
    if a_batched and b_batched:
        return dot_general(a, b, contract=contract, batch=((0, *batch[0]), (0, *batch[1]))), True
    product = dot_general(a, b, contract=contract, batch=batch)
    # the batch is the first free axis of the batched operand; bring it to the front
    stack = len(batch[0])
    place = stack if a_batched else stack + len(free_axes(typeof(a).ndim, contract[0], batch[0]))
    rest = tuple(k for k in range(typeof(product).ndim) if k != place)
    return transpose(product, permutation=(place, *rest)), True


def _split(a: Pair, b: Pair, **axes: Pairs) -> Pair:
    """Four products of the parts; two where one operand is real."""
    if is_zero(a.imag):
        return Pair(dot_general(a.real, b.real, **axes), dot_general(a.real, b.imag, **axes))
    if is_zero(b.imag):
        return Pair(dot_general(a.real, b.real, **axes), dot_general(a.imag, b.real, **axes))
    return pair_product(dot_general, a, b, **axes)


dot_general: Operation = Operation(
    Primitive(
        "dot_general",
        abstract_eval=_abstract,
        evaluate=_evaluate,
        jvp=_jvp,
        transpose=_transpose,
        batch=_batch,
        lower=Product(),
        split=_split,
    )
)
