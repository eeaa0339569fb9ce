"""Operations that move elements: cast, broadcast, reshape, transpose, slice, reverse, pad, concatenate, iota.

Invariant: all are linear; each is an index map (``View``) that its consumer reads through, save concatenate.
Start anywhere: each declaration stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, ShapeError
from staged_ad.ir import ArrayType, Linear, Primitive
from staged_ad.ir.lowerings import Alias, Index, Map, Pieces, View
from staged_ad.ir.primitive import Pair, not_linear
from staged_ad.ir.types import Shape, real_dtype_of
from staged_ad.primitives.makers import Operation, by_parts, instantiate, structural, typeof, with_batch, zeros
from staged_ad.tracing.trace import bind, innermost

Axes = tuple[int, ...]
Batched = tuple[Any, bool]

_sum, _real, _or = Operation("reduce_sum"), Operation("real"), Operation("or")


# cast(x, dtype): as ndarray.astype; `weak` marks the result as born from a Python scalar.
def _jvp_cast(primals: Sequence[Any], tangents: Sequence[Any], *, dtype: Any, weak: bool) -> tuple[Any, Any]:
    y = cast(primals[0], dtype=dtype, weak=weak)
    return y, cast(tangents[0], dtype=dtype, weak=False) if dtype.kind in "fc" else None


def _abstract_cast(x: ArrayType, *, dtype: Any, weak: bool) -> ArrayType:
    if x.is_complex and dtype.kind not in "bc":
        raise DTypeError(f"a cast from {x.dtype} to {dtype} drops the imaginary part; write x.real")
    return x.with_dtype(dtype, weak)


def _transpose_cast(ct: Any, inputs: Sequence[Any], *, dtype: Any, weak: bool) -> list[Any]:
    """Of what became complex, the real part."""
    type = inputs[0].type
    if dtype.kind == "c" and not type.is_complex:
        ct = _real(ct)
    return [cast(ct, dtype=type.dtype, weak=False)]


def _split_cast(x: Any, *, dtype: Any, weak: bool) -> Any:
    if dtype.kind == "b":
        return _or(cast(x.real, dtype=dtype, weak=weak), cast(x.imag, dtype=dtype, weak=weak))
    part = real_dtype_of(dtype)
    if isinstance(x, Pair):
        return Pair(cast(x.real, dtype=part, weak=weak), cast(x.imag, dtype=part, weak=weak))
    return Pair(cast(x, dtype=part, weak=weak), zeros(ArrayType(typeof(x).shape, part)))


cast: Operation = Operation(
    Primitive(
        "cast",
        abstract_eval=_abstract_cast,
        evaluate=lambda x, *, dtype, weak: np.asarray(x).astype(dtype)[()],
        jvp=_jvp_cast,
        transpose=_transpose_cast,
        batch=lambda size, values, batched, **params: (cast(values[0], **params), True),
        lower=Map(lambda code, x, *, dtype, weak: code.cast(x, dtype), computes=False),
        split=_split_cast,
    )
)


# broadcast(x, shape, dims): axis k of x becomes axis dims[k] of the result, repeated where x has length 1.
def _abstract_broadcast(x: ArrayType, *, shape: Shape, dims: Axes) -> ArrayType:
    fits = len(dims) == x.ndim and all(x.shape[k] in (1, shape[d]) for k, d in enumerate(dims))
    if not fits or list(dims) != sorted(set(dims)):
        raise ShapeError(f"cannot broadcast shape {x.shape} to {shape} along axes {dims}")
    return x.with_shape(shape)


def _evaluate_broadcast(x: Any, *, shape: Shape, dims: Axes) -> Any:
    x = np.asarray(x)
    aligned = [1] * len(shape)
    for k, d in enumerate(dims):
        aligned[d] = x.shape[k]
    return np.broadcast_to(x.reshape(aligned), shape)


def _transpose_broadcast(ct: Any, inputs: Sequence[Any], *, shape: Shape, dims: Axes) -> list[Any]:
    (x,) = inputs
    repeated = [d for d in range(len(shape)) if d not in dims or x.type.shape[dims.index(d)] != shape[d]]
    summed = _sum(ct, axes=tuple(repeated)) if repeated else ct
    return [reshape(summed, shape=x.type.shape)]


def _index_broadcast(index: Any, x: ArrayType, *, shape: Shape, dims: Axes) -> Any:
    return [index[d] if x.shape[k] == shape[d] else index[d].constant(0) for k, d in enumerate(dims)], []


broadcast: Operation = structural(
    "broadcast",
    _abstract_broadcast,
    _evaluate_broadcast,
    _transpose_broadcast,
    lambda size, values, batched, *, shape, dims: (
        broadcast(values[0], shape=(size, *shape), dims=(0, *(d + 1 for d in dims))),
        True,
    ),
    View(_index_broadcast),
)


# reshape(x, shape) in C order.
def _abstract_reshape(x: ArrayType, *, shape: Shape) -> ArrayType:
    if math.prod(shape) != x.size:
        raise ShapeError(f"cannot reshape array of size {x.size} into shape {shape}")
    return x.with_shape(shape)


_reshape: Operation = structural(
    "reshape",
    _abstract_reshape,
    lambda x, *, shape: np.reshape(x, shape),
    lambda ct, inputs, *, shape: [reshape(ct, shape=inputs[0].type.shape)],
    lambda size, values, batched, *, shape: (reshape(values[0], shape=(size, *shape)), True),
    Alias(),
)


def reshape(x: Any, *, shape: Shape) -> Any:
    return x if typeof(x).shape == shape else _reshape(x, shape=shape)


# transpose(x, permutation): axis k of the result is axis permutation[k] of x.
def _abstract_transpose(x: ArrayType, *, permutation: Axes) -> ArrayType:
    if sorted(permutation) != list(range(x.ndim)):
        raise ShapeError(f"axes {permutation} are not a permutation of the axes of shape {x.shape}")
    return x.with_shape(tuple(x.shape[p] for p in permutation))


def _invert(permutation: Axes) -> Axes:
    return tuple(int(k) for k in np.argsort(permutation))


_transpose: Operation = structural(
    "transpose",
    _abstract_transpose,
    lambda x, *, permutation: np.transpose(x, permutation),
    lambda ct, inputs, *, permutation: [transpose(ct, permutation=_invert(permutation))],
    lambda size, values, batched, *, permutation: (
        transpose(values[0], permutation=(0, *(p + 1 for p in permutation))),
        True,
    ),
    View(lambda index, x, *, permutation: ([index[k] for k in _invert(permutation)], [])),
)


def transpose(x: Any, *, permutation: Axes) -> Any:
    return x if permutation == tuple(range(len(permutation))) else _transpose(x, permutation=permutation)


# slice(x, start, stop, step): x[start:stop:step] on every axis, step > 0, stop <= length.
def _slice_shape(start: Axes, stop: Axes, step: Axes) -> Shape:
    return tuple(max(0, -(-(b - a) // s)) for a, b, s in zip(start, stop, step, strict=True))


def _abstract_slice(x: ArrayType, *, start: Axes, stop: Axes, step: Axes) -> ArrayType:
    if len(start) != x.ndim or any(
        a < 0 or b > n or s < 1 for a, b, s, n in zip(start, stop, step, x.shape, strict=True)
    ):
        raise ShapeError(f"slice {start}:{stop}:{step} does not fit shape {x.shape}")
    return x.with_shape(_slice_shape(start, stop, step))


def _evaluate_slice(x: Any, *, start: Axes, stop: Axes, step: Axes) -> Any:
    return np.asarray(x)[tuple(slice(a, b, s) for a, b, s in zip(start, stop, step, strict=True))]


def _transpose_slice(ct: Any, inputs: Sequence[Any], *, start: Axes, stop: Axes, step: Axes) -> list[Any]:
    """Steps are undone by a zero tail behind every element: pad in an axis of their own, then merge."""
    shape = inputs[0].type.shape
    for axis, s in enumerate(step):
        if s > 1:
            now = typeof(ct).shape
            ct = reshape(ct, shape=(*now[: axis + 1], 1, *now[axis + 1 :]))
            gap = [0] * len(typeof(ct).shape)
            gap[axis + 1] = s - 1
            ct = pad(ct, low=(0,) * len(gap), high=tuple(gap))
            ct = reshape(ct, shape=(*now[:axis], now[axis] * s, *now[axis + 1 :]))
    kept = typeof(ct).shape
    room = tuple(max(0, n - a) for n, a in zip(shape, start, strict=True))
    if any(k > r for k, r in zip(kept, room, strict=True)):  # the last zero tail may stick out
        kept = tuple(min(k, r) for k, r in zip(kept, room, strict=True))
        ct = slice_(ct, start=(0,) * len(kept), stop=kept, step=(1,) * len(kept))
    low = tuple(min(a, n) for a, n in zip(start, shape, strict=True))
    return [pad(ct, low=low, high=tuple(n - a - k for n, a, k in zip(shape, low, kept, strict=True)))]


slice_: Operation = structural(
    "slice",
    _abstract_slice,
    _evaluate_slice,
    _transpose_slice,
    lambda size, values, batched, *, start, stop, step: (
        slice_(values[0], start=(0, *start), stop=(size, *stop), step=(1, *step)),
        True,
    ),
    View(lambda index, x, *, start, stop, step: ([i * s + a for i, a, s in zip(index, start, step, strict=True)], [])),
)


reverse: Operation = structural(
    "reverse",
    lambda x, *, axes: x,
    lambda x, *, axes: np.flip(x, axes),
    lambda ct, inputs, *, axes: [reverse(ct, axes=axes)],
    lambda size, values, batched, *, axes: (reverse(values[0], axes=tuple(a + 1 for a in axes)), True),
    View(
        lambda index, x, *, axes: (
            [i * -1 + (x.shape[k] - 1) if k in axes else i for k, i in enumerate(index)],
            [],
        )
    ),
)


# pad(x, low, high): zeros before and after, on every axis.
def _abstract_pad(x: ArrayType, *, low: Axes, high: Axes) -> ArrayType:
    if min((*low, *high), default=0) < 0:
        raise ShapeError(f"negative padding {low}, {high}")
    return x.with_shape(tuple(a + n + b for a, n, b in zip(low, x.shape, high, strict=True)))


def _transpose_pad(ct: Any, inputs: Sequence[Any], *, low: Axes, high: Axes) -> list[Any]:
    stop = tuple(a + n for a, n in zip(low, inputs[0].type.shape, strict=True))
    return [slice_(ct, start=low, stop=stop, step=(1,) * len(low))]


def _index_pad(index: Any, x: ArrayType, *, low: Axes, high: Axes) -> Any:
    shifted = [i - a for i, a in zip(index, low, strict=True)]
    inside = [(i, n) for i, n, a, b in zip(shifted, x.shape, low, high, strict=True) if a or b]
    return shifted, inside


_pad: Operation = structural(
    "pad",
    _abstract_pad,
    lambda x, *, low, high: np.pad(x, tuple(zip(low, high, strict=True))),
    _transpose_pad,
    lambda size, values, batched, *, low, high: (pad(values[0], low=(0, *low), high=(0, *high)), True),
    View(_index_pad, pads=True),
)


def pad(x: Any, *, low: Axes, high: Axes) -> Any:
    return _pad(x, low=low, high=high) if any(low) or any(high) else x


# concatenate(*xs, axis)
def _abstract_concatenate(*types: ArrayType, axis: int) -> ArrayType:
    first = types[0]
    for other in types:
        if other.dtype != first.dtype or other.ndim != first.ndim:
            raise ShapeError(f"concatenate: operands of different numbers of axes, {', '.join(map(str, types))}")
        if any(k != axis and m != n for k, (m, n) in enumerate(zip(first.shape, other.shape, strict=True))):
            raise ShapeError(
                f"concatenate along axis {axis}: operands differ along another one, {', '.join(map(str, types))}"
            )
    length = sum(t.shape[axis] for t in types)
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    return ArrayType(shape, first.dtype, all(t.weak for t in types))


def _jvp_concatenate(primals: Sequence[Any], tangents: Sequence[Any], *, axis: int) -> tuple[Any, Any]:
    filled_tangents = [instantiate(t, typeof(x).strong()) for x, t in zip(primals, tangents, strict=True)]
    return concatenate(*primals, axis=axis), concatenate(*filled_tangents, axis=axis)


def _transpose_concatenate(ct: Any, inputs: Sequence[Any], *, axis: int) -> list[Any]:
    cotangents: list[Any] = []
    offset = 0
    shape = typeof(ct).shape
    for x in inputs:
        length = typeof(x).shape[axis]
        start, stop = [0] * len(shape), list(shape)
        start[axis], stop[axis] = offset, offset + length
        offset += length
        piece = (
            slice_(ct, start=tuple(start), stop=tuple(stop), step=(1,) * len(shape)) if isinstance(x, Linear) else None
        )
        cotangents.append(piece)
    return cotangents


def _batch_concatenate(size: int, values: Sequence[Any], batched: Sequence[bool], *, axis: int) -> Batched:
    repeated = [with_batch(size, v, b) for v, b in zip(values, batched, strict=True)]
    return concatenate(*repeated, axis=axis + 1), True


concatenate: Operation = Operation(
    Primitive(
        "concatenate",
        abstract_eval=_abstract_concatenate,
        evaluate=lambda *xs, axis: np.concatenate(xs, axis=axis),
        jvp=_jvp_concatenate,
        transpose=_transpose_concatenate,
        batch=_batch_concatenate,
        lower=Pieces(),
    )
)


# iota(shape, dtype, axis): each element is its own index along the axis.
def iota(shape: Shape, dtype: Any, axis: int, near: Sequence[Any] = ()) -> Any:
    """Recorded in the innermost trace of the values `near`, else computed."""
    if np.dtype(dtype).kind == "c":
        return cast(iota(shape, real_dtype_of(np.dtype(dtype)), axis, near), dtype=np.dtype(dtype), weak=False)
    params = {"shape": shape, "dtype": np.dtype(dtype), "axis": axis}
    trace = innermost(near)
    return bind(_iota, **params) if trace is None else trace.emit(_iota, (), params)


def _evaluate_iota(*, shape: Shape, dtype: Any, axis: int) -> Any:
    aligned = [1] * len(shape)
    aligned[axis] = shape[axis]
    return np.broadcast_to(np.arange(shape[axis], dtype=dtype).reshape(aligned), shape)


_iota: Primitive = Primitive(
    "iota",
    abstract_eval=lambda *, shape, dtype, axis: ArrayType(shape, dtype),
    evaluate=_evaluate_iota,
    jvp=lambda primals, tangents, **params: (bind(_iota, **params), None),
    transpose=not_linear("iota"),
    batch=lambda size, values, batched, **params: (bind(_iota, **params), False),
    lower=Index(lambda code, index, *, shape, dtype, axis: code.cast(code.index(index[axis]), dtype)),
)

# stop_gradient(x): x with derivative zero.
stop_gradient: Operation = Operation(
    Primitive(
        "stop_gradient",
        abstract_eval=lambda x: x,
        evaluate=lambda x: x,
        jvp=lambda primals, tangents: (stop_gradient(primals[0]), None),
        transpose=not_linear("stop_gradient"),
        batch=lambda size, values, batched: (stop_gradient(values[0]), True),
        lower=Map(lambda code, x: x, 0, computes=False),
        split=by_parts(lambda: stop_gradient),
    )
)
