"""Reductions over axes: sum, prod, max, min, any, all, argmax, argmin.

Invariant: the result has the operand's dtype and lacks the reduced axes; empty max and min are refused.
Start at ``_reduction``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.ir import ArrayType, Primitive
from staged_ad.ir.lowerings import ArgFold, Fold
from staged_ad.ir.primitive import Pair, not_linear
from staged_ad.ir.types import INT64
from staged_ad.primitives.arithmetic import div, eq
from staged_ad.primitives.makers import Operation, by_parts, check_kind, mul, pair_product, plus, scale, typeof
from staged_ad.primitives.shaping import Axes, broadcast, cast, concatenate, slice_


def _kept(shape: tuple[int, ...], axes: Axes) -> tuple[int, ...]:
    return tuple(d for d in range(len(shape)) if d not in axes)


def _spread(y: Any, x: Any, axes: Axes) -> Any:
    """`y`, a reduction of `x` over `axes`, repeated to the shape of `x`."""
    shape = typeof(x).shape
    return broadcast(y, shape=shape, dims=_kept(shape, axes))


def _reduction(
    name: str,
    evaluate: Callable[..., Any],
    jvp: Callable[..., Any],
    lower: Fold,
    transpose: Callable[..., Any] | None = None,
    kinds: str = "iuf",
    empty: bool = True,
    split: Callable[..., Any] | None = None,
) -> Operation:
    def abstract_eval(x: ArrayType, *, axes: Axes) -> ArrayType:
        if list(axes) != sorted(set(axes)) or any(not 0 <= a < x.ndim for a in axes):
            raise ShapeError(f"{name}: axes {axes} do not fit shape {x.shape}")
        check_kind(name, x.dtype, kinds)
        if not empty and any(x.shape[a] == 0 for a in axes):
            word = name.removeprefix("reduce_")
            raise ShapeError(
                f"zero-size array to reduction operation {word}imum, which has no identity: np.{word}(x, initial=...) "
                "says what it is for no elements"
            )
        return x.with_shape(tuple(x.shape[d] for d in _kept(x.shape, axes)))

    def evaluate_checked(x: Any, *, axes: Axes) -> Any:
        x = np.asarray(x)
        return evaluate(x, axis=axes, dtype=x.dtype) if evaluate in (np.sum, np.prod) else evaluate(x, axis=axes)

    def batch(size: int, values: Sequence[Any], batched: Sequence[bool], *, axes: Axes) -> tuple[Any, bool]:
        return operation(values[0], axes=tuple(a + 1 for a in axes)), True

    operation = Operation(
        Primitive(name, abstract_eval, evaluate_checked, jvp, transpose or not_linear(name), batch, lower, split=split)
    )
    return operation


def _jvp_sum(primals: Sequence[Any], tangents: Sequence[Any], *, axes: Axes) -> tuple[Any, Any]:
    return reduce_sum(primals[0], axes=axes), reduce_sum(tangents[0], axes=axes)


def _jvp_extremum(operation: Callable[[], Operation]) -> Callable[..., Any]:
    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, axes: Axes) -> tuple[Any, Any]:
        """The elements that attain the extremum share its derivative equally."""
        (x,), (x_dot,) = primals, tangents
        y = operation()(x, axes=axes)
        attained = cast(eq(x, _spread(y, x, axes)), dtype=typeof(x).dtype, weak=False)
        share = div(attained, _spread(reduce_sum(attained, axes=axes), x, axes))
        return y, reduce_sum(scale(x_dot, share), axes=axes)

    return jvp


def _jvp_prod(primals: Sequence[Any], tangents: Sequence[Any], *, axes: Axes) -> tuple[Any, Any]:
    """Products of halves, over and over: right where factors are zero, as prod(x) / x is not."""
    (x,), (x_dot,) = primals, tangents
    y = reduce_prod(x, axes=axes)
    for axis in axes:
        while (n := typeof(x).shape[axis]) > 1:
            (a, b, rest), (a_dot, b_dot, rest_dot) = _halves(x, axis, n), _halves(x_dot, axis, n)
            x, x_dot = mul(a, b), plus(scale(a_dot, b), scale(b_dot, a))
            if rest is not None:
                x, x_dot = concatenate(x, rest, axis=axis), concatenate(x_dot, rest_dot, axis=axis)
    return y, reduce_sum(x_dot, axes=axes)


def _halves(x: Any, axis: int, n: int) -> tuple[Any, Any, Any]:
    shape = typeof(x).shape

    def piece(start: int, stop: int) -> Any:
        low, high = [0] * len(shape), list(shape)
        low[axis], high[axis] = start, stop
        return slice_(x, start=tuple(low), stop=tuple(high), step=(1,) * len(shape))

    half = n // 2
    return piece(0, half), piece(half, 2 * half), piece(2 * half, n) if n % 2 else None


def _no_tangent(operation: Callable[[], Operation]) -> Callable[..., Any]:
    return lambda primals, tangents, **params: (operation()(primals[0], **params), None)


def _least(dtype: Any) -> Any:
    return -math.inf if dtype.kind == "f" else np.iinfo(dtype).min if dtype.kind != "b" else False


def _greatest(dtype: Any) -> Any:
    return math.inf if dtype.kind == "f" else np.iinfo(dtype).max if dtype.kind != "b" else True


def _transpose_reduce_sum(ct: Any, inputs: Sequence[Any], *, axes: Axes) -> list[Any]:
    shape = inputs[0].type.shape
    return [broadcast(ct, shape=shape, dims=_kept(shape, axes))]


reduce_sum: Operation = _reduction(
    "reduce_sum",
    np.sum,
    _jvp_sum,
    Fold(lambda code, a, b: code.add(a, b), lambda dtype: 0),
    transpose=_transpose_reduce_sum,
    kinds="iufc",
    split=by_parts(lambda: reduce_sum),
)


def _split_prod(x: Pair, *, axes: Axes) -> Pair:
    """Products of halves, over and over."""
    for axis in axes:
        while (n := typeof(x.real).shape[axis]) > 1:
            (a, b, rest), (a_imag, b_imag, rest_imag) = _halves(x.real, axis, n), _halves(x.imag, axis, n)
            x = pair_product(mul, Pair(a, a_imag), Pair(b, b_imag))
            if rest is not None:
                x = Pair(concatenate(x.real, rest, axis=axis), concatenate(x.imag, rest_imag, axis=axis))
    if 0 in [typeof(x.real).shape[axis] for axis in axes]:
        return Pair(reduce_prod(x.real, axes=axes), reduce_sum(x.imag, axes=axes))
    return Pair(reduce_sum(x.real, axes=axes), reduce_sum(x.imag, axes=axes))


reduce_prod: Operation = _reduction(
    "reduce_prod",
    np.prod,
    _jvp_prod,
    Fold(lambda code, a, b: code.mul(a, b), lambda dtype: 1),
    kinds="iufc",
    split=_split_prod,
)
reduce_max: Operation = _reduction(
    "reduce_max",
    np.max,
    _jvp_extremum(lambda: reduce_max),
    Fold(lambda code, a, b: code.maximum(a, b), _least),
    kinds="biuf",
    empty=False,
)
reduce_min: Operation = _reduction(
    "reduce_min",
    np.min,
    _jvp_extremum(lambda: reduce_min),
    Fold(lambda code, a, b: code.minimum(a, b), _greatest),
    kinds="biuf",
    empty=False,
)
reduce_or: Operation = _reduction(
    "reduce_or",
    np.any,
    _no_tangent(lambda: reduce_or),
    Fold(lambda code, a, b: code.or_(a, b), lambda dtype: False),
    kinds="b",
)
reduce_and: Operation = _reduction(
    "reduce_and",
    np.all,
    _no_tangent(lambda: reduce_and),
    Fold(lambda code, a, b: code.and_(a, b), lambda dtype: True),
    kinds="b",
)


def _arg_extremum(name: str, evaluate: Callable[..., Any], better: str) -> Operation:
    """The index of the first extremum along an axis; a NaN counts as the extremum, as in NumPy."""

    def abstract_eval(x: ArrayType, *, axis: int) -> ArrayType:
        check_kind(name, x.dtype, "biuf")
        if not 0 <= axis < x.ndim or x.shape[axis] == 0:
            raise ShapeError(f"{name} of an empty sequence: axis {axis} of shape {x.shape}")
        return ArrayType((*x.shape[:axis], *x.shape[axis + 1 :]), INT64)

    operation = Operation(
        Primitive(
            name,
            abstract_eval,
            lambda x, *, axis: evaluate(x, axis=axis),
            lambda primals, tangents, *, axis: (operation(primals[0], axis=axis), None),
            not_linear(name),
            lambda size, values, batched, *, axis: (operation(values[0], axis=axis + 1), True),
            ArgFold(better),
        )
    )
    return operation


argmax: Operation = _arg_extremum("argmax", np.argmax, "gt")
argmin: Operation = _arg_extremum("argmin", np.argmin, "lt")
