"""Methods of ufuncs: np.add.reduce, np.multiply.outer, np.add.reduceat; and their options dtype and casting.

Invariant: `axis` is 0 unless given, as for the methods of ufuncs in NumPy.
Start at ``reduce``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, ShapeError, UnsupportedError
from staged_ad.ir.types import canonical_dtype
from staged_ad.numpy import reducing
from staged_ad.numpy.arrays import along, asarray, axis_of, refuse, static
from staged_ad.numpy.assignment import plain
from staged_ad.numpy.exponentials import logsumexp
from staged_ad.numpy.promotion import as_value, to_elements
from staged_ad.numpy.scanning import LONGEST, accumulate, check_loop
from staged_ad.primitives.makers import typeof

_REDUCTIONS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: reducing.sum,
    np.multiply: reducing.prod,
    np.maximum: reducing.max,
    np.minimum: reducing.min,
    np.logical_and: reducing.all,
    np.logical_or: reducing.any,
}
"""Not NumPy's: those come back here where the mask alone is traced."""

_ASSOCIATIVE = {
    *(np.fmax, np.fmin, np.logaddexp2, np.hypot, np.bitwise_and, np.bitwise_or, np.bitwise_xor),
    *(np.logical_xor, np.gcd, np.lcm),
}


def reduce(
    ufunc: np.ufunc,
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    initial: Any = np._NoValue,
    where: Any = True,
) -> Any:
    name = f"{ufunc.__name__}.reduce"
    refuse(name, out=out)
    _check_binary(ufunc, "reduce")
    check_loop(ufunc, dtype)
    x = asarray(array)
    options = {"keepdims": keepdims, "where": where}
    if initial is None and ufunc.identity is not None:
        _check_without_identity(ufunc, x, axis, where)
    if ufunc in (np.logical_and, np.logical_or):
        if dtype is not None and np.dtype(dtype) != bool:
            raise DTypeError(f"np.{name} gives booleans, no dtype {dtype}")
        found = _REDUCTIONS[ufunc](x, axis=axis, **options)
        return found if initial is np._NoValue or initial is None else ufunc(found, initial)
    if initial is not np._NoValue and initial is not None:
        options["initial"] = initial
    if ufunc in (np.add, np.multiply):
        return _REDUCTIONS[ufunc](x, axis=axis, dtype=dtype, **options)
    if dtype is not None:
        x = x.astype(canonical_dtype(dtype))
    if ufunc in _REDUCTIONS:
        return _REDUCTIONS[ufunc](x, axis=axis, **options)
    if where is not True:
        x = _chosen(ufunc, x, where, options.get("initial"))
    if ufunc is np.logaddexp and x.dtype.kind == "f" and "initial" not in options and x.size:
        return logsumexp(x, axis=axis, keepdims=bool(keepdims))
    return _folded(ufunc, x, axis, bool(keepdims), options.get("initial"))


def _check_without_identity(ufunc: np.ufunc, x: Any, axis: Any, where: Any) -> None:
    """By ``initial=None`` users say that there is nothing to begin with."""
    if where is not True:
        raise ShapeError(
            f"reduction operation '{ufunc.__name__}' does not have an identity, so to use a where mask one has to "
            "specify 'initial'"
        )
    axes = reducing.reduced_axes(axis, x.ndim)
    if any(x.shape[k] == 0 for k in axes) and all(n for k, n in enumerate(x.shape) if k not in axes):
        raise ShapeError(f"zero-size array to reduction operation {ufunc.__name__} which has no identity")


def _chosen(ufunc: np.ufunc, x: Any, where: Any, initial: Any) -> Any:
    """The elements that a mask leaves out are such as leave the fold as it is."""
    neutral = initial if ufunc in (np.fmax, np.fmin) else ufunc.identity
    if neutral is None and (initial is not None or ufunc in (np.fmax, np.fmin)):
        refuse(f"{ufunc.__name__}.reduce", where=where)
    if neutral is None:
        raise ShapeError(
            f"reduction operation '{ufunc.__name__}' does not have an identity, so to use a where mask one has to "
            "specify 'initial'"
        )
    taken = ufunc.resolve_dtypes((x.dtype, x.dtype, None))[0]
    return reducing.masked(x.astype(taken), where, as_value(asarray(neutral).astype(taken)))


def _check_binary(ufunc: np.ufunc, method: str) -> None:
    if ufunc.nin != 2 or ufunc.nout != 1 or ufunc.signature is not None:
        raise UnsupportedError(
            f"np.{ufunc.__name__}.{method} is not supported on traced values: only "
            "functions of two operands with one result have it"
        )


def _folded(ufunc: np.ufunc, x: Any, axis: Any, keepdims: bool, initial: Any) -> Any:
    """The fold along one axis, written out; in pairs where the order does not matter."""
    axes = reducing.reduced_axes(axis, x.ndim)
    if len(axes) > 1 and ufunc not in _ASSOCIATIVE | {np.logaddexp}:
        raise ValueError(
            f"reduction operation '{ufunc.__name__}' is not reorderable, so at most one axis may be specified"
        )
    shape = tuple(1 if k in axes else n for k, n in enumerate(x.shape))
    rest = tuple(n for k, n in enumerate(x.shape) if k not in axes)
    count = math.prod(x.shape[k] for k in axes)
    x = np.moveaxis(x, list(axes), range(len(axes))).reshape((count, *rest))
    if len(x) == 1 and ufunc in (np.hypot, np.gcd):
        x = np.absolute(x)  # NumPy begins with 0
    if len(x) > LONGEST and ufunc not in _ASSOCIATIVE:
        raise UnsupportedError(
            f"np.{ufunc.__name__}.reduce of {len(x)} elements is not supported on traced values; "
            "write it as a loop: staged_ad.scan"
        )
    taken, _, given = ufunc.resolve_dtypes((x.dtype, x.dtype, None))
    if initial is not None:
        start = np.broadcast_to(plain(to_elements(initial, taken)), x.shape[1:])
        x = np.concatenate([start[None], x.astype(taken)])
    elif len(x) == 0 and ufunc.identity is not None:
        x = np.full((1, *x.shape[1:]), ufunc.identity)  # -1 has all bits set
    elif len(x) == 0:
        raise ShapeError(f"zero-size array to reduction operation {ufunc.__name__} which has no identity")
    if given != taken and ufunc is not np.logical_xor:
        raise DTypeError(f"np.{ufunc.__name__}.reduce: {taken} and {given} differ")
    found = _in_pairs(ufunc, x) if ufunc in _ASSOCIATIVE else _in_order(ufunc, list(x))
    if len(x) == 1:
        found = found.astype(given)
    return found.reshape(shape) if keepdims else found


def _in_order(ufunc: np.ufunc, parts: list[Any]) -> Any:
    found = parts[0]
    for part in parts[1:]:
        found = ufunc(found, part)
    return found


def _in_pairs(ufunc: np.ufunc, x: Any) -> Any:
    while len(x) > 1:
        half = len(x) // 2
        rest = x[2 * half :]
        x = ufunc(x[:half], x[half : 2 * half])
        x = np.concatenate([x, rest.astype(x.dtype)]) if len(rest) else x
    return x[0]


def outer(ufunc: np.ufunc, A: Any, B: Any, /, **options: Any) -> Any:
    if ufunc.nin != 2:
        _check_binary(ufunc, "outer")
    A, B = asarray(A), asarray(B)
    return ufunc(A.reshape(A.shape + (1,) * B.ndim), B, **options)


def reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    refuse(f"{ufunc.__name__}.reduceat", out=out)
    check_loop(ufunc, dtype)
    x = asarray(array)
    k = axis_of(x, axis)
    starts = static(f"{ufunc.__name__}.reduceat", "the array of indices", indices).tolist()
    n = x.shape[k]
    if any(not 0 <= start < n for start in starts):
        raise IndexError(f"index out-of-bounds in {ufunc.__name__}.reduceat [0, {n})")
    stops = [*starts[1:], n]
    pieces = [
        _piece(ufunc, x[along(k, slice(i, j if i < j else i + 1))], k, dtype)
        for i, j in zip(starts, stops, strict=True)
    ]
    return np.stack(pieces, axis=k)


def _piece(ufunc: np.ufunc, x: Any, axis: int, dtype: Any) -> Any:
    """One element alone keeps its sign: reduceat begins with it, and reduce with the identity."""
    if x.shape[axis] == 1 and ufunc in (np.hypot, np.gcd):
        wanted = ufunc.resolve_dtypes((x.dtype, x.dtype, None))[-1] if dtype is None else canonical_dtype(dtype)
        return np.squeeze(x, axis).astype(wanted)
    return reduce(ufunc, x, axis=axis, dtype=dtype)


def cast_operands(ufunc: np.ufunc, inputs: Sequence[Any], dtype: Any, casting: Any) -> list[Any]:
    """The operands as ``ufunc(..., dtype=dtype, casting=casting)`` computes with them."""
    values = [as_value(x) for x in inputs]
    specs = [typeof(v).dtype for v in values]
    signature = None if dtype is None else (*[None] * ufunc.nin, *[canonical_dtype(dtype)] * ufunc.nout)
    options: Any = {} if signature is None else {"signature": signature}
    try:
        dtypes = ufunc.resolve_dtypes((*specs, *[None] * ufunc.nout), casting=casting, **options)
    except TypeError as error:
        raise DTypeError(f"{error}") from None
    if dtype is None:
        return list(inputs)
    return [asarray(x).astype(d) for x, d in zip(inputs, dtypes, strict=False)]


UFUNC_METHODS: dict[str, Callable[..., Any]] = {
    "accumulate": accumulate,
    "reduce": reduce,
    "outer": outer,
    "reduceat": reduceat,
    "cast_operands": cast_operands,
}
