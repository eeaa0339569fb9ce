"""Checks of integers: bounded and fits for indices, natural for exponents.

Invariant: an index that is out of bounds raises where it is used, and nothing outside of an array is read.
Start at ``bounded``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, IndexingError, InvalidValueError
from staged_ad.ir import UNKNOWN, ArrayType, Primitive, Source
from staged_ad.ir.lowerings import Bounded, Kernel
from staged_ad.ir.primitive import not_linear
from staged_ad.ir.types import INT64
from staged_ad.primitives.makers import Operation, check_kind
from staged_ad.primitives.reductions import reduce_max, reduce_min
from staged_ad.primitives.shaping import Batched


# bounded(i, bound, axis): indices into an axis, negative ones counted from the end; it raises where they are outside.
def _abstract_bounded(i: ArrayType, *, bound: int, axis: int) -> ArrayType:
    if i.dtype != INT64:
        raise DTypeError(f"indices must be int64, got {i}")
    return i.strong()


def _evaluate_bounded(i: Any, *, bound: int, axis: int) -> Any:
    i = np.asarray(i)
    outside = (i < -bound) | (i >= bound)
    if outside.any():
        raise IndexingError(f"index {i[outside][0]} is out of bounds for axis {axis} with size {bound}")
    return np.where(i < 0, i + bound, i)[()]


bounded: Operation = Operation(
    Primitive(
        "bounded",
        abstract_eval=_abstract_bounded,
        evaluate=_evaluate_bounded,
        jvp=lambda primals, tangents, **params: (bounded(primals[0], **params), None),
        transpose=not_linear("bounded"),
        batch=lambda size, values, batched, **params: (bounded(values[0], **params), True),
        lower=Bounded(),
    )
)


# fits(low, high, bound, axis): `bound` where all indices from low to high are inside, which `bounded` becomes in
# compiled code. Its result is part of the indices, so nothing is read before they are checked.
def _evaluate_fits(low: Any, high: Any, *, bound: int, axis: int) -> Any:
    _evaluate_bounded(np.asarray([low, high]), bound=bound, axis=axis)
    return INT64.type(bound)


def _out_of_bounds(bound: int, axis: int, place: Source | str, index: int) -> Exception:
    return IndexingError(f"index {index} is out of bounds for axis {axis} with size {bound} (at {place})")


def _emit_fits(kernel: Any, *, bound: int, axis: int) -> None:
    low, high = (kernel.value(f"load i64, ptr {buffer.name}") for buffer in kernel.inputs)
    below = kernel.value(f"icmp slt i64 {low}, {-bound}")
    above = kernel.value(f"icmp sge i64 {high}, {bound}")
    index = kernel.value(f"select i1 {below}, i64 {low}, i64 {high}")
    outside = kernel.value(f"or i1 {below}, {above}")
    where = kernel.equation.source or UNKNOWN
    kernel.fail_if(outside, _out_of_bounds, bound, axis, where, found=index)
    kernel.line(f"store i64 {bound}, ptr {kernel.outputs[0].name}")


fits: Operation = Operation(
    Primitive(
        "fits",
        abstract_eval=lambda low, high, *, bound, axis: ArrayType((), INT64),
        evaluate=_evaluate_fits,
        jvp=lambda primals, tangents, **params: (fits(*primals, **params), None),
        transpose=not_linear("fits"),
        batch=lambda size, values, batched, **params: _batch_fits(values, batched, **params),
        lower=Kernel(_emit_fits, cost=lambda *types, **params: 1.0, fails=lambda **params: True),
    )
)


def _batch_fits(values: Sequence[Any], batched: Sequence[bool], **params: Any) -> Batched:
    low, high = values
    low = reduce_min(low, axes=(0,)) if batched[0] else low
    high = reduce_max(high, axes=(0,)) if batched[1] else high
    return fits(low, high, **params), False


# natural(low): 0 where `low`, the least of some integers, is not negative. What it is added to is checked.
def _abstract_natural(low: ArrayType) -> ArrayType:
    check_kind("natural", low.dtype, "i")
    return low.strong()


def _negative_power(place: Source | str | None = None) -> Exception:
    where = "" if place is None else f" (at {place})"
    return InvalidValueError(
        f"Integers to negative integer powers are not allowed{where}; write 2.0 ** n, of an array x.astype(float) ** n"
    )


def _evaluate_natural(low: Any) -> Any:
    if np.any(np.asarray(low) < 0):
        raise _negative_power()
    return np.zeros_like(low)[()]


def _emit_natural(kernel: Any) -> None:
    low, result = kernel.inputs[0], kernel.outputs[0]
    value = kernel.value(f"load {low.element}, ptr {kernel.element(low, kernel.item)}")
    where = kernel.equation.source or UNKNOWN
    kernel.fail_if(kernel.value(f"icmp slt {low.element} {value}, 0"), _negative_power, where)
    kernel.line(f"store {result.element} 0, ptr {kernel.element(result, kernel.item)}")


natural: Operation = Operation(
    Primitive(
        "natural",
        abstract_eval=_abstract_natural,
        evaluate=_evaluate_natural,
        jvp=lambda primals, tangents: (natural(*primals), None),
        transpose=not_linear("natural"),
        batch=lambda size, values, batched: (natural(*values), True),
        lower=Kernel(
            _emit_natural, items=lambda low: low.size, cost=lambda low: float(low.size), fails=lambda **params: True
        ),
    )
)
