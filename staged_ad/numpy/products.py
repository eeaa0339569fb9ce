"""More products: kron, cross, vecdot, matvec, vecmat, and einsum with its subscripts as lists.

Invariant: all are made of np.matmul, np.einsum and elementwise products.
Start at ``kron``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, ShapeError
from staged_ad.numpy.arrays import asarray, axis_of, refuse
from staged_ad.numpy.multiplying import einsum as einsum_of_text

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def kron(a: Any, b: Any) -> Any:
    a, b = asarray(a), asarray(b)
    ndim = max(a.ndim, b.ndim)
    left, right = ((1,) * (ndim - x.ndim) + x.shape for x in (a, b))
    x = a.reshape([n for m in left for n in (m, 1)])
    y = b.reshape([n for m in right for n in (1, m)])
    return (x * y).reshape([m * n for m, n in zip(left, right, strict=True)])


CROSSED = {2, 3} if np.lib.NumpyVersion(np.__version__) < "2.5.0" else {3}
"""How many components vectors of np.cross have."""


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = asarray(a), asarray(b)
    if a.ndim < 1 or b.ndim < 1:
        raise ShapeError("At least one array has zero dimension")
    a, b = np.moveaxis(a, axis_of(a, axisa), -1), np.moveaxis(b, axis_of(b, axisb), -1)
    if not {a.shape[-1], b.shape[-1]} <= CROSSED:
        raise ShapeError(
            f"np.cross of vectors of {a.shape[-1]} and {b.shape[-1]} components: there must be "
            f"{' or '.join(map(str, sorted(CROSSED)))}; write a[..., 0] * b[..., 1] - "
            "a[..., 1] * b[..., 0] for vectors of 2"
        )
    x, y = ([v[..., k] for k in range(v.shape[-1])] for v in (a, b))
    last = x[0] * y[1] - x[1] * y[0]
    if len(x) == len(y) == 2:
        return last
    if len(x) == 2:  # products with a third number that is not there are none, rather than 0 times infinity
        first, second = x[1] * y[2], -(x[0] * y[2])
    elif len(y) == 2:
        first, second = -(x[2] * y[1]), x[2] * y[0]
    else:
        first, second = x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2]
    return np.stack(np.broadcast_arrays(first, second, last), axis=axisc)


def _along(x: Any, axis: int) -> Any:
    return np.moveaxis(x, axis_of(x, axis), -1)


def vecdot(x1: Any, x2: Any, /, out: Any = None, *, axis: int = -1, keepdims: bool = False, **options: Any) -> Any:
    refuse("vecdot", out=out, **options)
    x1, x2 = _along(asarray(x1), axis), _along(asarray(x2), axis)
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"vecdot: vectors of lengths {x1.shape[-1]} and {x2.shape[-1]}")
    product = np.matmul(x1.conj()[..., None, :], x2[..., :, None])[..., 0, 0]
    return np.expand_dims(product, axis) if keepdims else product


def matvec(x1: Any, x2: Any, /, out: Any = None, **options: Any) -> Any:
    refuse("matvec", out=out, **options)
    return np.matmul(asarray(x1), asarray(x2)[..., :, None])[..., 0]


def vecmat(x1: Any, x2: Any, /, out: Any = None, **options: Any) -> Any:
    refuse("vecmat", out=out, **options)
    return np.matmul(asarray(x1).conj()[..., None, :], asarray(x2))[..., 0, :]


def einsum(*operands: Any, **options: Any) -> Any:
    """np.einsum with the subscripts as a string, or as lists: ``einsum(a, [0, 1], b, [1, 2], [0, 2])``."""
    if operands and isinstance(operands[0], str):
        return einsum_of_text(*operands, **options)
    pairs, output = list(operands), None
    if len(pairs) % 2:
        output = pairs.pop()
    text = ",".join(map(_labels, pairs[1::2]))
    return einsum_of_text(text if output is None else f"{text}->{_labels(output)}", *pairs[::2], **options)


def _labels(numbers: Any) -> str:
    if not isinstance(numbers, list | tuple):
        raise ArgumentError(
            "np.einsum needs its subscripts first, as a string such as 'ij,jk->ik', or a list of integers behind each "
            "operand"
        )
    return "".join("..." if k is Ellipsis else _LETTERS[k] for k in numbers)


def einsum_path(*operands: Any, **options: Any) -> Any:
    """np.einsum_path, which reads nothing but shapes."""
    shapes = [np.broadcast_to(0.0, x.shape) if hasattr(x, "type") else x for x in operands]
    return np.einsum_path(*shapes, **options)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.kron: kron,
    np.cross: cross,
    np.vecdot: vecdot,
    np.einsum: einsum,
    np.einsum_path: einsum_path,
    **({np.matvec: matvec, np.vecmat: vecmat} if hasattr(np, "matvec") else {}),  # since NumPy 2.2
}
