"""Work for many threads where an operation's points come one after another, so that one thread would do all.

Cumulative sums and extrema of few long sequences are those of blocks, to which what the blocks before give is added.
The updates of a `scatter`, of which several may be for one element, are sorted by their places; each element has a
thread, which goes through its updates in their order. A condition on many numbers is one on whether all of them hold.

Invariant: updates keep their order, so that a scatter gives the same bits; sums differ by rounding.
Start at ``shared``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np

from staged_ad.control.groups import THREAD
from staged_ad.control.scan import scan
from staged_ad.ir import ArrayType, Equation, Literal, Program, filled
from staged_ad.ir.rewriting import spliced
from staged_ad.ir.types import INT64
from staged_ad.primitives.arithmetic import floor_div, maximum, minimum
from staged_ad.primitives.complexes import interleaved
from staged_ad.primitives.indexing import gather
from staged_ad.primitives.linalg import require
from staged_ad.primitives.makers import add, mul, select, sub, typeof, zeros
from staged_ad.primitives.ordering import argsort, permute, searchsorted
from staged_ad.primitives.reductions import reduce_and
from staged_ad.primitives.scans import cummax, cummin, cumsum, shifted
from staged_ad.primitives.shaping import broadcast, concatenate, iota, reshape, slice_, transpose
from staged_ad.tracing import building

LONG: Final = 512
"""Points in a row from which they are shared."""
BLOCK: Final = 64
"""Elements of a block of a cumulative sum."""
ENOUGH: Final = 1 << 13
"""Sequences that have threads enough."""

Combine = Callable[[Any, Any], Any]

_CUMULATIVE: Final[dict[str, tuple[Any, Combine, Callable[[np.dtype[Any]], Any]]]] = {
    "cumsum": (cumsum, add, lambda dtype: -0.0 if dtype.kind == "f" else 0),
    "cummax": (cummax, maximum, lambda dtype: -np.inf if dtype.kind == "f" else _range(dtype)[0]),
    "cummin": (cummin, minimum, lambda dtype: np.inf if dtype.kind == "f" else _range(dtype)[1]),
}
_UPDATES: Final[dict[str, Combine]] = {
    "set": lambda old, new: new,
    "add": add,
    "mul": mul,
    "max": maximum,
    "min": minimum,
}


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def shared(program: Program) -> Program:
    """An optimised program whose long sequential operations, inside of loops too, are work for many threads."""
    inside = tuple(equation.with_programs(shared) for equation in program.equations)
    return spliced(replace(program, equations=inside), _rewritten)


def _rewritten(equation: Equation) -> Program | None:
    """What is to be done instead; None where the operation stays."""
    name, params = equation.primitive.name, dict(equation.params)
    if name in _CUMULATIVE:
        type, axis = equation.inputs[0].type, params["axis"]
        if type.shape[axis] < LONG or type.size // type.shape[axis] >= ENOUGH:
            return None
        write: Callable[..., Any] = lambda x: _in_blocks(name, x, **params)
    elif name == "scatter":
        if params["unique"] or equation.inputs[2].type.size < LONG or not equation.outputs[0].type.size:
            return None
        first = equation.inputs[0]
        start = first if isinstance(first, Literal) and first.is_splat else None
        write = lambda *operands: _by_elements(start, *operands, **params)
    elif (error := _required(equation)) is not None and max(atom.type.size for atom in equation.inputs) > THREAD:
        write = lambda x, ok: _where_all_hold(x, ok, error)
    else:
        return None
    with building() as trace:
        trace.source = equation.source
        found = write(*trace.add_inputs([atom.type for atom in equation.inputs]))
        return trace.finish([found], name)[0]


# -- conditions -------------------------------------------------------------------------------------------------------


def _required(equation: Equation) -> str | None:
    """The name of the error that an equation raises where its condition does not hold; None of other equations."""
    params = dict(equation.params)
    if equation.primitive is interleaved:
        return params["params"][0][1] if params["of"] is require.primitive else None
    return params["error"] if equation.primitive is require.primitive else None


def _where_all_hold(x: Any, ok: Any, error: str) -> Any:
    """`x`; where the error has been found, there are zeros, which nobody gets to see."""
    every = reduce_and(ok, axes=tuple(range(typeof(ok).ndim)))
    held = require(every, every, error=error)
    type = typeof(x).strong()
    return select(broadcast(held, shape=type.shape, dims=()), x, zeros(type))


# -- cumulative operations --------------------------------------------------------------------------------------------


def _in_blocks(name: str, x: Any, *, axis: int, reverse: bool) -> Any:
    operation, combine, identity = _CUMULATIVE[name]
    type = typeof(x).strong()
    lead, n, tail = type.shape[:axis], type.shape[axis], type.shape[axis + 1 :]
    if n < LONG:
        return operation(x, axis=axis, reverse=reverse)
    start, rows = identity(type.dtype), -(-n // BLOCK)
    if rows * BLOCK > n:
        x = concatenate(x, filled(start, type.with_shape((*lead, rows * BLOCK - n, *tail))), axis=axis)
    inside = operation(reshape(x, shape=(*lead, rows, BLOCK, *tail)), axis=axis + 1, reverse=reverse)
    last = 0 if reverse else BLOCK - 1
    ends = reshape(_cut(inside, axis + 1, last, last + 1), shape=(*lead, rows, *tail))
    before = shifted(_in_blocks(name, ends, axis=axis, reverse=reverse), start, axis, reverse)
    dims = (*range(axis + 1), *range(axis + 2, len(lead) + 2 + len(tail)))
    whole = combine(broadcast(before, shape=typeof(inside).shape, dims=dims), inside)
    return _cut(reshape(whole, shape=(*lead, rows * BLOCK, *tail)), axis, 0, n)


def _cut(x: Any, axis: int, start: int, stop: int) -> Any:
    shape = typeof(x).shape
    low = tuple(start if k == axis else 0 for k in range(len(shape)))
    high = tuple(stop if k == axis else n for k, n in enumerate(shape))
    return slice_(x, start=low, stop=high, step=(1,) * len(shape))


# -- scatter ----------------------------------------------------------------------------------------------------------


def _by_elements(
    start: Literal | None,
    x: Any,
    updates: Any,
    *indices: Any,
    axes: tuple[int, ...],
    batch: int,
    mode: str,
    unique: bool,
) -> Any:
    """A thread for each element: `x` as rows that indices choose, of which each has some columns.

    `start` is given where all elements of `x` are one number: then nobody has to store them.
    """
    shape = typeof(x).shape
    first = (*range(batch), *axes)
    order_of_axes = (*first, *(k for k in range(len(shape)) if k not in first))
    rows = math.prod(shape[k] for k in first)
    columns = math.prod(shape) // rows
    places = _places([shape[k] for k in first], indices, batch)
    order = argsort(places, axis=0)
    found, every = permute(places, order, axis=0), iota((rows,), INT64, 0, (places,))
    ends = [searchsorted(found, every, right=right) for right in (False, True)]
    operands = order, reshape(updates, shape=(typeof(updates).size,)), *ends
    lanes = [iota((rows * columns,), INT64, 0, (places,))]
    if start is None:
        lanes.append(reshape(transpose(x, permutation=order_of_axes), shape=(rows * columns,)))
    types = [typeof(value).strong() for value in operands]
    body = _lane(types, typeof(x).strong().with_shape(()), start, columns, _UPDATES[mode])
    (result,) = scan(body, operands, [], lanes, length=rows * columns)
    back = tuple(int(k) for k in np.argsort(order_of_axes))
    return transpose(reshape(result, shape=tuple(shape[k] for k in order_of_axes)), permutation=back)


def _places(lengths: list[int], indices: Any, batch: int) -> Any:
    """The row of each update, in a row."""
    shape = typeof(indices[0]).shape
    parts = [iota(shape, INT64, k, indices) for k in range(batch)] + list(indices)
    found = parts[0]
    for length, part in zip(lengths[1:], parts[1:], strict=True):
        found = add(mul(found, length), part)
    return reshape(found, shape=(math.prod(shape),))


def _lane(types: list[ArrayType], element: ArrayType, first: Literal | None, columns: int, combine: Combine) -> Program:
    """``(order, updates, starts, stops, number of the element, element) -> element with its updates``."""
    index = ArrayType((), INT64)
    with building() as trace:
        order, updates, starts, stops, number = trace.add_inputs([*types, index])
        value = trace.add_input(element) if first is None else filled(first.value, element)
        row = number if columns == 1 else floor_div(number, columns)
        column = sub(number, mul(row, columns))
        start, stop = _at(starts, row), _at(stops, row)
        step = _update([*types[:2], index, index], element, columns, combine)
        zero = filled(0, index)
        found = scan(step, [order, updates, start, column], [zero, value], [], length=None, count=sub(stop, start))
        return trace.finish([found[1]], "element")[0]


def _update(types: list[ArrayType], element: ArrayType, columns: int, combine: Combine) -> Program:
    """``(order, updates, start, column, k, element) -> (k + 1, element with the k-th of its updates)``."""
    with building() as trace:
        order, updates, start, column, k, value = trace.add_inputs([*types, ArrayType((), INT64), element])
        place = add(mul(_at(order, add(start, k)), columns), column)
        return trace.finish([add(k, 1), combine(value, _at(updates, place))], "update")[0]


def _at(x: Any, index: Any) -> Any:
    return gather(x, index, axes=(0,), batch=0)
