"""vmap of Python functions. Public through ``staged_ad``.

Invariant: a mapped argument is sliced along its axis, never copied per slice.
Start at ``vmap``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.api.calling import function_name, leaf_name, leaf_type, own, trace_prepared
from staged_ad.api.transformed import transforming
from staged_ad.control.groups import run_mapped
from staged_ad.errors import ArgumentError, ShapeError
from staged_ad.ir.types import check_axis
from staged_ad.primitives.makers import typeof, with_batch
from staged_ad.primitives.shaping import transpose
from staged_ad.tracing.trees import broadcast_prefix, flatten, unflatten


def vmap(f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """`f` applied to every slice of its arguments along an axis, as one vectorised function.

    Parameters
    ----------
    f
        A function of arrays, numbers, or nests of them. It may use traced values around it. Keyword arguments are
        passed on as they are, not mapped.
    in_axes
        The axis of each argument: an integer, None (the argument is the same for all), or a nest of them with
        one entry per argument, each a prefix of the argument's own structure.
    out_axes
        Where the axis goes in the results; None for results that do not depend on it.

    Returns
    -------
    A function of the arguments of `f` with one axis more, of length n, where `in_axes` says so. Its results are those
    of `f`, of the same structure and dtypes, with a new axis of length n where `out_axes` says.

    Raises
    ------
    ShapeError
        When the lengths of the mapped axes differ, or an axis does not exist.
    ArgumentError
        When `in_axes` or `out_axes` do not fit the structure they describe, no argument has an axis to map over, or
        out_axes is None for a result that depends on it.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.vmap(np.dot, in_axes=(0, None))(np.eye(2), np.array([3.0, 4.0])))
    [3. 4.]
    """

    @transforming(vmap, f, in_axes, out_axes)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        per_argument = list(in_axes) if isinstance(in_axes, tuple | list) else [in_axes] * len(args)
        if len(per_argument) != len(args):
            raise ArgumentError(
                f"vmap of {function_name(f)}: in_axes has {len(per_argument)} entries for {len(args)} arguments"
            )
        axes = broadcast_prefix(per_argument, list(args), "in_axes")
        leaves, spec = flatten(list(args))
        size, leading = _to_front(f, args, leaves, axes)
        types = [
            typeof(v) if axis is None else typeof(v).with_shape(typeof(v).shape[1:])
            for v, axis in zip(leading, axes, strict=True)
        ]
        meanings = [leaf if axis is None else None for leaf, axis in zip(leaves, axes, strict=True)]
        traced = trace_prepared(f, spec, types, kwargs, meanings=meanings)
        batched = traced.active([axis is not None for axis in axes])
        results, flags = run_mapped(traced.program, [*traced.captures, *leading], batched, size)
        outputs = unflatten(traced.out_spec, results)
        places = broadcast_prefix(out_axes, outputs, "out_axes")
        return unflatten(
            traced.out_spec, [_placed(f, *item, size) for item in zip(results, flags, places, strict=True)]
        )

    return mapped


def _to_front(
    f: Callable[..., Any], args: Sequence[Any], leaves: Sequence[Any], axes: Sequence[Any]
) -> tuple[int, list[Any]]:
    """The length of the mapped axes, and the leaves with their mapped axis first."""
    sizes: dict[int, str] = {}
    leading = []
    for k, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):

        def name(k: int = k) -> str:
            return leaf_name(f, range(len(args)), args, k)

        type = leaf_type(leaf, name)
        if axis is None:
            leading.append(leaf)
            continue
        if not isinstance(axis, int | np.integer) or not -type.ndim <= axis < type.ndim:
            raise ShapeError(f"vmap: {name()} has shape {type.shape}, it has no axis {axis}")
        place = int(axis) % type.ndim
        sizes.setdefault(type.shape[place], name())
        order = (place, *(d for d in range(type.ndim) if d != place))
        leading.append(transpose(leaf, permutation=order) if isinstance(leaf, np.ndarray) or place else leaf)
    if not sizes:
        raise ArgumentError(f"vmap of {function_name(f)}: no argument has an axis to map over")
    if len(sizes) > 1:
        found = "; ".join(f"{where} has length {size}" for size, where in sizes.items())
        raise ShapeError(f"vmap: the mapped axes differ in length: {found}")
    return next(iter(sizes)), leading


def _placed(f: Callable[..., Any], value: Any, batched: bool, axis: Any, size: int) -> Any:
    """A result with its batch axis where `axis` says."""
    if axis is None:
        if batched:
            raise ArgumentError(
                f"vmap of {function_name(f)}: out_axes is None for a result that depends on the mapped axis"
            )
        return own(value)
    value = with_batch(size, value, batched)
    ndim = typeof(value).ndim
    place = check_axis(axis, ndim)
    order = list(range(1, ndim))
    order.insert(place, 0)
    return own(transpose(value, permutation=tuple(order)))
