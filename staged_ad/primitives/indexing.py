"""Elements at computed places: gather, scatter, and update, whose places are known when the program is made.

``gather(x, *indices)`` reads and ``scatter(x, u, *indices)`` writes. There is one int64 array of indices for each of
the `axes` of x; all have one shape, whose first `batch` axes belong to the first `batch` axes of x. What is read or
written has the shape ``(batch, index axes, other axes of x)``.

Invariant: indices count from 0 and are inside of x: ``bounded`` (bounds.py) has seen to that.
Start at ``gather``; ``scatter`` with mode "add" is its adjoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, NotDifferentiableError, ShapeError
from staged_ad.ir import ArrayType, Linear, Primitive, filled
from staged_ad.ir.lowerings import Gather, Overwrite
from staged_ad.ir.types import FLOAT16, FLOAT32, INT64, Shape
from staged_ad.primitives.arithmetic import div, eq
from staged_ad.primitives.makers import (
    Operation,
    by_parts,
    check_kind,
    instantiate,
    mul,
    plus,
    scale,
    select,
    sub,
    typeof,
    with_batch,
    zeros,
)
from staged_ad.primitives.shaping import Axes, Batched, broadcast, cast, iota, reshape, slice_, transpose

MODES: dict[str, tuple[Any, str]] = {
    "set": (None, "biufc"),
    "add": (np.add, "iufc"),
    "mul": (np.multiply, "iuf"),
    "max": (np.maximum, "biuf"),
    "min": (np.minimum, "biuf"),
}
"""What scatter does with an element and its update, and the kinds of dtypes it does it for."""


def _others(ndim: int, axes: Axes, batch: int) -> Axes:
    """The axes of x that are read whole."""
    return tuple(k for k in range(batch, ndim) if k not in axes)


def _read_shape(x: ArrayType, indices: Sequence[ArrayType], axes: Axes, batch: int) -> Shape:
    """The shape of what is read or written."""
    first = indices[0]
    for index in indices:
        if index.dtype != INT64 or index.shape != first.shape:
            raise ShapeError(f"indices must be int64 of one shape, got {', '.join(map(str, indices))}")
    fits = len(axes) == len(indices) and list(axes) == sorted(set(axes)) and batch <= axes[0] and axes[-1] < x.ndim
    if not fits or x.shape[:batch] != first.shape[:batch]:
        raise ShapeError(f"indices of type {first} for axes {axes} with {batch} batch axes do not fit an array of {x}")
    return (*first.shape, *(x.shape[k] for k in _others(x.ndim, axes, batch)))


def _place(index: Any, positions: Any, x: ArrayType, *, axes: Axes, batch: int, **params: Any) -> list[Any]:
    """The index into x of the element at `index` of what is read, where the indices hold `positions`."""
    found = dict(zip(axes, positions, strict=True)) | {k: index[k] for k in range(batch)}
    others = _others(x.ndim, axes, batch)
    found |= dict(zip(others, index[len(index) - len(others) :], strict=True))
    return [found[k] for k in range(x.ndim)]


def _arranged(x: Any, indices: Sequence[Any], axes: Axes, batch: int) -> tuple[Any, tuple[Any, ...]]:
    """A view of a NumPy array, and the index at which it is what is read."""
    view = np.transpose(x, (*range(batch), *axes, *_others(np.ndim(x), axes, batch)))
    arrays = [np.asarray(index) for index in indices]
    lengths = np.shape(x)[:batch]
    beside = arrays[0].ndim
    grids = [np.arange(n).reshape([n if k == d else 1 for k in range(beside)]) for d, n in enumerate(lengths)]
    return view, (*grids, *arrays)


def _shifted(axes: Axes) -> Axes:
    return tuple(a + 1 for a in axes)


# gather(x, *indices, axes, batch)
def _abstract_gather(x: ArrayType, *indices: ArrayType, axes: Axes, batch: int) -> ArrayType:
    return x.strong().with_shape(_read_shape(x, indices, axes, batch))


def _evaluate_gather(x: Any, *indices: Any, axes: Axes, batch: int) -> Any:
    view, index = _arranged(x, indices, axes, batch)
    return view[index]


def _jvp_gather(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    (x, *indices), (x_dot, *_) = primals, tangents
    return gather(x, *indices, **params), None if x_dot is None else gather(x_dot, *indices, **params)


def _transpose_gather(ct: Any, inputs: Sequence[Any], **params: Any) -> list[Any]:
    x, *indices = inputs
    if x.type.dtype == FLOAT16:  # where an element has been read many times, its derivative is a long sum
        wide = zeros(x.type.with_dtype(FLOAT32)), cast(ct, dtype=FLOAT32, weak=False)
        summed = cast(scatter(*wide, *indices, mode="add", unique=False, **params), dtype=FLOAT16, weak=False)
    else:
        summed = scatter(zeros(x.type), ct, *indices, mode="add", unique=False, **params)
    return [summed, *[None] * len(indices)]


def _batch_gather(size: int, values: Sequence[Any], batched: Sequence[bool], *, axes: Axes, batch: int) -> Batched:
    x, *indices = values
    if not any(batched[1:]) and not batch:
        found = gather(x, *indices, axes=_shifted(axes), batch=0)  # the new axis is read whole
        return _moved(found, typeof(indices[0]).ndim, 0), True
    indices = [with_batch(size, index, flag) for index, flag in zip(indices, batched[1:], strict=True)]
    if batched[0]:
        return gather(x, *indices, axes=_shifted(axes), batch=batch + 1), True
    found = gather(x, *(_moved(index, 0, batch) for index in indices), axes=axes, batch=batch)
    return _moved(found, batch, 0), True


def _moved(x: Any, source: int, target: int) -> Any:
    """One axis at another place."""
    order = [k for k in range(typeof(x).ndim) if k != source]
    order.insert(target, source)
    return transpose(x, permutation=tuple(order))


gather: Operation = Operation(
    Primitive(
        "gather",
        abstract_eval=_abstract_gather,
        evaluate=_evaluate_gather,
        jvp=_jvp_gather,
        transpose=_transpose_gather,
        batch=_batch_gather,
        lower=Gather(_place),
        split=by_parts(lambda: gather),
    )
)


# scatter(x, u, *indices, axes, batch, mode, unique): x with the elements of u put in, added, ... one after another.
# `unique` says that no element is written twice. Of several that are set at one place the last one stays.
def _abstract_scatter(
    x: ArrayType, u: ArrayType, *indices: ArrayType, axes: Axes, batch: int, mode: str, unique: bool
) -> ArrayType:
    shape = _read_shape(x, indices, axes, batch)
    if u.shape != shape or u.dtype != x.dtype:
        raise ShapeError(f"scatter into {x} needs updates of shape {shape} and its dtype, got {u}")
    check_kind(f"scatter with mode {mode!r}", x.dtype, MODES[mode][1])
    return x.strong()


def _evaluate_scatter(x: Any, u: Any, *indices: Any, axes: Axes, batch: int, mode: str, unique: bool) -> Any:
    result = np.array(x)
    view, index = _arranged(result, indices, axes, batch)
    if mode == "set":
        view[index] = u
    else:
        MODES[mode][0].at(view, index, u)
    return result


def _jvp_scatter(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    (x, u, *indices), (x_dot, u_dot, *_) = primals, tangents
    y = scatter(x, u, *indices, **params)
    if x_dot is None and u_dot is None:
        return y, None
    match params["mode"]:
        case "set" | "add":
            if u_dot is None and params["mode"] == "add":
                return y, x_dot
            x_dot, u_dot = instantiate(x_dot, typeof(x).strong()), instantiate(u_dot, typeof(u).strong())
            return y, scatter(x_dot, u_dot, *indices, **params)
        case "mul":
            return y, _tangent_of_products(x, u, indices, x_dot, u_dot, params)
        case _:
            return y, _tangent_of_extrema(y, x, u, indices, x_dot, u_dot, params)


def _tangent_of_extrema(y: Any, x: Any, u: Any, indices: Any, x_dot: Any, u_dot: Any, params: Any) -> Any:
    """All that attain an extremum, the element and its updates, share its derivative equally."""
    where = {"axes": params["axes"], "batch": params["batch"]}
    dtype = typeof(x).dtype
    x_attains = cast(eq(x, y), dtype=dtype, weak=False)
    u_attains = cast(eq(u, gather(y, *indices, **where)), dtype=dtype, weak=False)
    sums = {**params, "mode": "add"}
    count = scatter(x_attains, u_attains, *indices, **sums)
    from_x = None if x_dot is None else scale(x_dot, div(x_attains, count))
    if u_dot is None:
        return from_x
    from_u = scale(u_dot, div(u_attains, gather(count, *indices, **where)))
    return scatter(instantiate(from_x, typeof(x).strong()), from_u, *indices, **sums)


def _tangent_of_products(x: Any, u: Any, indices: Any, x_dot: Any, u_dot: Any, params: Any) -> Any:
    """d(x p) = p dx + x dp, where p is the product of all updates of an element."""
    ones = filled(1, typeof(x).strong())
    y_dot = None if x_dot is None else scale(x_dot, scatter(ones, u, *indices, **params))
    if u_dot is None:
        return y_dot
    each = scale(u_dot, _products_of_the_others(x, u, indices, params))
    summed = scatter(zeros(typeof(x).strong()), each, *indices, **{**params, "mode": "add"})
    return plus(y_dot, scale(summed, x))


def _products_of_the_others(x: Any, u: Any, indices: Any, params: Any) -> Any:
    """For each update the product of the others of the same element.

    Zeros are left out of the product by which is divided. What they contribute is, with k of them among all updates:
    for one of them 1 if k is 1, the other one if k is 2, else 0; for the rest 1 if k is 0, it if k is 1, else 0. Their
    sum stands for it or the other one, so that its derivative is right too, which the second derivative needs.
    """
    where = {"axes": params["axes"], "batch": params["batch"]}
    type, none = typeof(u).strong(), zeros(typeof(x).strong())
    zero, one = zeros(type), filled(1, type)
    is_zero = eq(u, zero)
    rest = select(is_zero, one, u)

    def total(start: Any, values: Any, mode: str) -> Any:
        """What all updates of the same element give, at each of them."""
        return gather(scatter(start, values, *indices, **{**params, "mode": mode}), *indices, **where)

    product = total(filled(1, none.type), rest, "mul")
    count = total(none, cast(is_zero, dtype=type.dtype, weak=False), "add")
    zeros_sum = total(none, select(is_zero, u, zero), "add")
    beside_one = select(eq(count, one), one, select(eq(count, filled(2, type)), sub(zeros_sum, u), zero))
    beside_none = select(eq(count, zero), one, select(eq(count, one), zeros_sum, zero))
    return mul(div(product, rest), select(is_zero, beside_one, beside_none))


def _transpose_scatter(ct: Any, inputs: Sequence[Any], **params: Any) -> list[Any]:
    x, u, *indices = inputs
    if params["mode"] not in ("set", "add"):
        raise NotDifferentiableError(f"scatter with mode {params['mode']!r} is not linear, so it cannot be transposed")
    where = {"axes": params["axes"], "batch": params["batch"]}
    x_bar, u_bar = None, None
    if isinstance(u, Linear):
        u_bar = gather(ct, *indices, **where)
        if params["mode"] == "set" and not params["unique"]:
            u_bar = _where_it_stays(u_bar, typeof(ct), indices, **where)
    if isinstance(x, Linear):
        x_bar = (
            ct if params["mode"] == "add" else scatter(ct, zeros(_read_type(ct, indices, **where)), *indices, **params)
        )
    return [x_bar, u_bar, *[None] * len(indices)]


def _read_type(x: Any, indices: Sequence[Any], *, axes: Axes, batch: int) -> ArrayType:
    """The type of what is read from, or written into, `x`."""
    type: ArrayType = typeof(x).strong()
    return type.with_shape(_read_shape(type, [typeof(index) for index in indices], axes, batch))


def _where_it_stays(u_bar: Any, x: ArrayType, indices: Sequence[Any], *, axes: Axes, batch: int) -> Any:
    """Zero for the updates that a later one replaced: each place takes the greatest number of its updates."""
    shape: Shape = typeof(indices[0]).shape
    written = shape[batch:]
    size = int(np.prod(written, dtype=int))
    numbers = reshape(iota((size,), INT64, 0, indices), shape=written)
    numbers = broadcast(numbers, shape=shape, dims=tuple(range(batch, len(shape))))
    places = tuple(x.shape[k] for k in (*range(batch), *axes))
    where = {"axes": tuple(range(batch, batch + len(axes))), "batch": batch}
    board = zeros(ArrayType(places, INT64))
    last = gather(scatter(board, numbers, *indices, mode="max", unique=False, **where), *indices, **where)
    whole: Shape = typeof(u_bar).shape
    stays = broadcast(eq(last, numbers), shape=whole, dims=tuple(range(len(shape))))
    return select(stays, u_bar, zeros(typeof(u_bar)))


def _batch_scatter(size: int, values: Sequence[Any], batched: Sequence[bool], **params: Any) -> Batched:
    x, u = (with_batch(size, v, flag) for v, flag in zip(values[:2], batched[:2], strict=True))
    params["axes"] = _shifted(params["axes"])
    indices = values[2:]
    if not any(batched[2:]) and not params["batch"]:
        return scatter(x, _moved(u, 0, typeof(indices[0]).ndim), *indices, **params), True
    indices = [with_batch(size, index, flag) for index, flag in zip(indices, batched[2:], strict=True)]
    return scatter(x, u, *indices, **{**params, "batch": params["batch"] + 1}), True


def _combine(code: Any, old: Any, new: Any, mode: str) -> Any:
    if old.dtype == FLOAT16:  # rounded after each update, as np.add.at does
        return code.cast(_combine(code, code.cast(old, FLOAT32), code.cast(new, FLOAT32), mode), FLOAT16)
    match mode:
        case "set":
            return new
        case "add":
            return code.add(old, new)
        case "mul":
            return code.mul(old, new)
        case "max":
            return code.maximum(old, new)
        case _:
            return code.minimum(old, new)


scatter: Operation = Operation(
    Primitive(
        "scatter",
        abstract_eval=_abstract_scatter,
        evaluate=_evaluate_scatter,
        jvp=_jvp_scatter,
        transpose=_transpose_scatter,
        batch=_batch_scatter,
        lower=Overwrite(_place, _combine),
        split=by_parts(lambda: scatter),
    )
)


# update(x, u, start, step): x with x[start::step] replaced by u on every axis, as far as u goes.
def _region(u: ArrayType, start: Axes, step: Axes) -> Axes:
    return tuple(a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, u.shape, step, strict=True))


def _abstract_update(x: ArrayType, u: ArrayType, *, start: Axes, step: Axes) -> ArrayType:
    if u.dtype != x.dtype:
        raise DTypeError(f"update of {x} by {u}: the dtypes differ")
    fits = len(start) == len(step) == x.ndim == u.ndim and min((*start, 0)) == 0 < min((*step, 1))
    if not fits or any(b > n for b, n in zip(_region(u, start, step), x.shape, strict=True)):
        raise ShapeError(f"update of {x} by {u} from {start} in steps of {step}: it does not fit")
    return x.strong()


def _evaluate_update(x: Any, u: Any, *, start: Axes, step: Axes) -> Any:
    result = np.array(x)
    stop = _region(ArrayType(np.shape(u), INT64), start, step)
    result[tuple(slice(a, b, s) for a, b, s in zip(start, stop, step, strict=True))] = u
    return result


def _jvp_update(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
    y = update(*primals, **params)
    if all(t is None for t in tangents):
        return y, None
    return y, update(*(instantiate(t, typeof(v).strong()) for v, t in zip(primals, tangents, strict=True)), **params)


def _transpose_update(ct: Any, inputs: Sequence[Any], *, start: Axes, step: Axes) -> list[Any]:
    x, u = inputs
    type = typeof(u).strong()
    u_bar = slice_(ct, start=start, stop=_region(type, start, step), step=step) if isinstance(u, Linear) else None
    return [update(ct, zeros(type), start=start, step=step) if isinstance(x, Linear) else None, u_bar]


def _batch_update(size: int, values: Sequence[Any], batched: Sequence[bool], *, start: Axes, step: Axes) -> Batched:
    x, u = (with_batch(size, v, flag) for v, flag in zip(values, batched, strict=True))
    return update(x, u, start=(0, *start), step=(1, *step)), True


def _place_update(index: Any, positions: Any, x: ArrayType, *, start: Axes, step: Axes) -> list[Any]:
    return [i * s + a for i, a, s in zip(index, start, step, strict=True)]


update: Operation = Operation(
    Primitive(
        "update",
        abstract_eval=_abstract_update,
        evaluate=_evaluate_update,
        jvp=_jvp_update,
        transpose=_transpose_update,
        batch=_batch_update,
        lower=Overwrite(_place_update),
        split=by_parts(lambda: update),
    )
)
