"""Sorting along an axis, moving elements by a permutation, and searching in sorted arrays.

Where elements are equal, their order is that of a stable sort; each of their orders gives a derivative of sorting, and
this is the one taken. NaN is behind all numbers, as in NumPy.

Invariant: an array of indices along an axis holds each of 0, ..., n - 1 once.
Start at ``argsort`` and ``sort``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, ShapeError
from staged_ad.ir import ArrayType, Primitive
from staged_ad.ir.lowerings import Kernel
from staged_ad.ir.primitive import not_linear
from staged_ad.ir.types import INT64
from staged_ad.primitives.makers import Operation, by_parts, check_kind, typeof, with_batch
from staged_ad.primitives.shaping import reshape
from staged_ad.primitives.sort_kernels import ARGSORT, PERMUTE, SEARCH, SORT, UNPERMUTE
from staged_ad.tracing import bind


def _check(name: str, x: ArrayType, axis: int, kinds: str = "biuf") -> None:
    check_kind(name, x.dtype, kinds)
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"{name}: axis {axis} does not fit shape {x.shape}")


def _abstract_argsort(x: ArrayType, *, axis: int) -> ArrayType:
    _check("argsort", x, axis)
    return ArrayType(x.shape, INT64)


argsort: Operation = Operation(
    Primitive(
        "argsort",
        abstract_eval=_abstract_argsort,
        evaluate=lambda x, *, axis: np.argsort(x, axis=axis, kind="stable"),
        jvp=lambda primals, tangents, *, axis: (argsort(primals[0], axis=axis), None),
        transpose=not_linear("argsort"),
        batch=lambda size, values, batched, *, axis: (argsort(values[0], axis=axis + 1), True),
        lower=ARGSORT,
    )
)


def _abstract_sort(x: ArrayType, *, axis: int) -> ArrayType:
    _check("sort", x, axis)
    return x.strong()


def _jvp_sort(primals: Sequence[Any], tangents: Sequence[Any], *, axis: int) -> tuple[Any, Any]:
    (x,), (x_dot,) = primals, tangents
    order = argsort(x, axis=axis)
    return permute(x, order, axis=axis), permute(x_dot, order, axis=axis)


sort: Operation = Operation(
    Primitive(
        "sort",
        abstract_eval=_abstract_sort,
        evaluate=lambda x, *, axis: np.sort(x, axis=axis),
        jvp=_jvp_sort,
        transpose=not_linear("sort"),
        batch=lambda size, values, batched, *, axis: (sort(values[0], axis=axis + 1), True),
        lower=SORT,
    )
)


def _moving(name: str, evaluate: Callable[..., Any], back: Callable[[], Operation], lower: Kernel) -> Operation:
    """An operation on an array and a permutation; `back` undoes it."""

    def abstract_eval(x: ArrayType, order: ArrayType, *, axis: int) -> ArrayType:
        _check(name, x, axis, "biufc")
        if order.shape != x.shape or order.dtype != INT64:
            raise ShapeError(f"{name}: the order of {x} is {order}")
        return x.strong()

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], *, axis: int) -> tuple[Any, Any]:
        (x, order), (x_dot, _) = primals, tangents
        y = operation(x, order, axis=axis)
        return y, None if x_dot is None else operation(x_dot, order, axis=axis)

    def batch(size: int, values: Sequence[Any], batched: Sequence[bool], *, axis: int) -> tuple[Any, bool]:
        return operation(*map(with_batch, (size, size), values, batched), axis=axis + 1), True

    operation = Operation(
        Primitive(
            name,
            abstract_eval,
            evaluate,
            jvp,
            lambda ct, inputs, *, axis: [back()(ct, inputs[1], axis=axis), None],
            batch,
            lower,
            split=by_parts(lambda: operation),
        )
    )
    return operation


def _evaluate_unpermute(x: Any, order: Any, *, axis: int) -> Any:
    y = np.empty_like(x)
    np.put_along_axis(y, order, x, axis)
    return y


# permute(x, order): y[k] = x[order[k]] along the axis; unpermute(y, order): x[order[k]] = y[k]. Unlike those of gather
# and scatter their places are known to be distinct and inside: each is the other's inverse and adjoint, with nothing to
# sum, so that the rows of a stack need not wait for each other.
permute: Operation = _moving(
    "permute", lambda x, order, *, axis: np.take_along_axis(x, order, axis), lambda: unpermute, PERMUTE
)
unpermute: Operation = _moving("unpermute", _evaluate_unpermute, lambda: permute, UNPERMUTE)


# searchsorted(a, v, right): where each v goes in the sorted last axis of a; behind what equals it, if `right`.
def _abstract_searchsorted(a: ArrayType, v: ArrayType, *, right: bool) -> ArrayType:
    check_kind("searchsorted", a.dtype, "biuf")
    if a.ndim < 1 or v.ndim != a.ndim or a.shape[:-1] != v.shape[:-1]:
        raise ShapeError(f"searchsorted: {v} in {a}")
    if a.dtype != v.dtype:
        raise DTypeError(f"searchsorted: operands have dtypes {a.dtype} and {v.dtype}")
    check_kind("searchsorted", a.dtype, "biuf")
    return ArrayType(v.shape, INT64)


def _evaluate_searchsorted(a: Any, v: Any, *, right: bool) -> Any:
    side: Any = "right" if right else "left"
    found = np.zeros(v.shape, np.int64)
    for index in np.ndindex(v.shape[:-1]):
        found[index] = np.searchsorted(a[index], v[index], side)
    return found


def _batch_searchsorted(size: int, values: Sequence[Any], batched: Sequence[bool], *, right: bool) -> tuple[Any, bool]:
    a, v = values
    if not batched[0] and typeof(a).ndim == 1:
        shape = typeof(v).shape
        return reshape(searchsorted(a, reshape(v, shape=(typeof(v).size,)), right=right), shape=shape), True
    return searchsorted(with_batch(size, a, batched[0]), with_batch(size, v, batched[1]), right=right), True


searchsorted: Operation = Operation(
    Primitive(
        "searchsorted",
        abstract_eval=_abstract_searchsorted,
        evaluate=_evaluate_searchsorted,
        jvp=lambda primals, tangents, *, right: (bind(searchsorted.primitive, *primals, right=right), None),
        transpose=not_linear("searchsorted"),
        batch=_batch_searchsorted,
        lower=SEARCH,
    )
)
