"""Cumulative operations along one axis: cumsum, cumprod, cummax, cummin, and the linear recurrence.

``recurrence(a, b)`` is h[i] = a[i] h[i - 1] + b[i] from h[-1] = 0. The derivatives of all the others are recurrences,
which divide by nothing: so they are right where factors are zero, to every order.

Invariant: the result has the type of the operands; with `reverse` the order along the axis is the other way round.
Start at ``recurrence``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.ir import ArrayType, Linear, Primitive, filled
from staged_ad.ir.lowerings import Kernel
from staged_ad.ir.primitive import Pair, not_linear
from staged_ad.primitives.arithmetic import div, eq, maximum
from staged_ad.primitives.makers import (
    Operation,
    add,
    by_parts,
    mul,
    pair_product,
    plus,
    same_types,
    scale,
    typeof,
    with_batch,
)
from staged_ad.primitives.scan_kernels import MAXIMUM, MINIMUM, PRODUCT, RECURRENCE, SUM
from staged_ad.primitives.shaping import cast, concatenate, slice_
from staged_ad.tracing import bind

FEW_LANES = 8
"""Up to so many sequences side by side, Python's numbers are faster than arrays of one element for each."""


def _declare(
    name: str,
    kinds: str,
    evaluate: Callable[..., Any],
    jvp: Callable[..., Any],
    lower: Kernel,
    transpose: Callable[..., Any] | None = None,
    split: Callable[..., Any] | None = None,
) -> Operation:
    def abstract_eval(*types: ArrayType, axis: int, reverse: bool) -> ArrayType:
        type = same_types(name, types, kinds)
        if not 0 <= axis < type.ndim:
            raise ShapeError(f"{name}: axis {axis} does not fit shape {type.shape}")
        return type.strong()

    def forwards(*arrays: Any, axis: int, reverse: bool) -> Any:
        arrays = tuple(np.asarray(x) for x in arrays)
        if not reverse:
            return evaluate(*arrays, axis)
        return np.flip(evaluate(*(np.flip(x, axis) for x in arrays), axis), axis)

    def batch(
        size: int, values: Sequence[Any], batched: Sequence[bool], *, axis: int, reverse: bool
    ) -> tuple[Any, bool]:
        stacks = [with_batch(size, v, b) for v, b in zip(values, batched, strict=True)]
        return bind(primitive, *stacks, axis=axis + 1, reverse=reverse), True

    primitive = Primitive(name, abstract_eval, forwards, jvp, transpose or not_linear(name), batch, lower, split=split)
    return Operation(primitive)


def _piece(x: Any, axis: int, start: int, stop: int) -> Any:
    shape = typeof(x).shape
    low, high = [0] * len(shape), list(shape)
    low[axis], high[axis] = start, stop
    return slice_(x, start=tuple(low), stop=tuple(high), step=(1,) * len(shape))


def shifted(x: Any, first: float, axis: int, reverse: bool = False, step: int = 1) -> Any:
    """The predecessor of each element in the order of the scan, or that `step` places before; `first` where none is."""
    type = typeof(x)
    n = type.shape[axis]
    if n == 0:
        return x
    edge = filled(first, type.strong().with_shape((*type.shape[:axis], step, *type.shape[axis + 1 :])))
    rest = _piece(x, axis, step, n) if reverse else _piece(x, axis, 0, n - step)
    return concatenate(*((rest, edge) if reverse else (edge, rest)), axis=axis)


def _strong(a: Any, h: Any) -> Any:
    """a h, where zero is absorbing: as `scale`."""
    return np.where((a == 0) | (h == 0), np.zeros((), h.dtype), a * h)


def _evaluate_recurrence(a: Any, b: Any, axis: int) -> Any:
    if b.size == 0:
        return np.array(b)
    n = b.shape[axis]
    lanes_a, lanes_b = (np.moveaxis(x, axis, -1).reshape(-1, n) for x in (a, b))
    if len(lanes_b) <= FEW_LANES:
        h = np.array([list(_recur(*pair)) for pair in zip(lanes_a.tolist(), lanes_b.tolist(), strict=True)], b.dtype)
    else:
        h = np.array(lanes_b)
        for k in range(1, n):
            h[:, k] += _strong(lanes_a[:, k], h[:, k - 1])
    return np.moveaxis(h.reshape(*b.shape[:axis], *b.shape[axis + 1 :], n), -1, axis)


def _recur(a: list[float], b: list[float]) -> Iterator[float]:
    """One sequence; zero is absorbing."""
    steps = zip(a[1:], b[1:], strict=True)
    return accumulate(steps, lambda h, step: (step[0] * h if step[0] and h else 0.0) + step[1], initial=b[0])


def _jvp_recurrence(primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> tuple[Any, Any]:
    (a, b), (a_dot, b_dot) = primals, tangents
    h = recurrence(a, b, axis=axis, reverse=reverse)
    if a_dot is not None:
        b_dot = plus(b_dot, scale(a_dot, shifted(h, 0, axis, reverse)))
    return h, recurrence(a, b_dot, axis=axis, reverse=reverse)


def _transpose_recurrence(ct: Any, inputs: Sequence[Any], *, axis: int, reverse: bool) -> Any:
    a = inputs[0]
    if isinstance(a, Linear):
        return not_linear("recurrence")(ct, inputs)
    return [None, recurrence(shifted(a, 0, axis, not reverse), ct, axis=axis, reverse=not reverse)]


def _before(x: Pair, first: float, step: int, axis: int, reverse: bool) -> Pair:
    return Pair(shifted(x.real, first, axis, reverse, step), shifted(x.imag, 0, axis, reverse, step))


def _split_recurrence(a: Pair, b: Pair, *, axis: int, reverse: bool) -> Pair:
    """Each element joined with the one before it, then with two, with four (Kogge and Stone 1973)."""
    step = 1
    while step < typeof(b.real).shape[axis]:
        gained = pair_product(scale, a, _before(b, 0, step, axis, reverse))
        a = pair_product(mul, a, _before(a, 1, step, axis, reverse))
        b = Pair(add(b.real, gained.real), add(b.imag, gained.imag))
        step *= 2
    return b


def _split_cumprod(x: Pair, *, axis: int, reverse: bool) -> Pair:
    step = 1
    while step < typeof(x.real).shape[axis]:
        x = pair_product(mul, x, _before(x, 1, step, axis, reverse))
        step *= 2
    return x


# recurrence(a, b, axis, reverse): zero is absorbing in the product a[i] h[i - 1]; a[0] is not used.
recurrence: Operation = _declare(
    "recurrence",
    "fc",
    _evaluate_recurrence,
    _jvp_recurrence,
    RECURRENCE,
    _transpose_recurrence,
    split=_split_recurrence,
)


def _jvp_cumsum(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    return cumsum(primals[0], **params), cumsum(tangents[0], **params)


def _jvp_cumprod(primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> tuple[Any, Any]:
    """y[i] = x[i] y[i - 1], so y_dot[i] = x[i] y_dot[i - 1] + x_dot[i] y[i - 1]."""
    (x,), (x_dot,) = primals, tangents
    y = cumprod(x, axis=axis, reverse=reverse)
    gained = scale(x_dot, shifted(y, 1, axis, reverse))
    return y, recurrence(x, gained, axis=axis, reverse=reverse)


def _jvp_running(operation: Callable[[], Operation]) -> Callable[..., Any]:
    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, axis: int, reverse: bool) -> tuple[Any, Any]:
        """The elements that have attained the extremum so far share its derivative equally.

        Where the extremum changes, the sums over those elements begin anew; of a NaN they have none.
        """
        (x,), (x_dot,) = primals, tangents
        dtype = typeof(x).dtype
        y = operation()(x, axis=axis, reverse=reverse)
        attains = cast(eq(x, y), dtype=dtype, weak=False)
        lasts = cast(eq(y, shifted(y, 0, axis, reverse)), dtype=dtype, weak=False)
        count = recurrence(lasts, attains, axis=axis, reverse=reverse)
        total = recurrence(lasts, scale(x_dot, attains), axis=axis, reverse=reverse)
        return y, scale(total, div(1.0, maximum(count, 1.0)))

    return jvp


cumsum: Operation = _declare(
    "cumsum",
    "iufc",
    lambda x, axis: np.cumsum(x, axis, dtype=x.dtype),
    _jvp_cumsum,
    SUM,
    lambda ct, inputs, *, axis, reverse: [cumsum(ct, axis=axis, reverse=not reverse)],
    split=by_parts(lambda: cumsum),
)
cumprod: Operation = _declare(
    "cumprod",
    "iufc",
    lambda x, axis: np.cumprod(x, axis, dtype=x.dtype),
    _jvp_cumprod,
    PRODUCT,
    split=_split_cumprod,
)
cummax: Operation = _declare("cummax", "biuf", np.maximum.accumulate, _jvp_running(lambda: cummax), MAXIMUM)
cummin: Operation = _declare("cummin", "biuf", np.minimum.accumulate, _jvp_running(lambda: cummin), MINIMUM)
