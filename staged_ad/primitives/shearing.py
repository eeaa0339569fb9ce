"""Shears of the last two axes: sliding windows are shears of repeated rows, and antidiagonals become rows.

Invariant: each is the transpose of the other. Start at ``unshear``, then ``windows``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.ir import ArrayType
from staged_ad.ir.lowerings import View
from staged_ad.primitives.makers import Operation, structural, typeof
from staged_ad.primitives.shaping import broadcast


def _abstract_unshear(x: ArrayType) -> ArrayType:
    *stack, n, m = x.shape
    if not 1 <= m <= n:
        raise ShapeError(f"unshear: {m} columns of length {n}")
    return x.with_shape((*stack, n - m + 1, m))


def _evaluate_unshear(x: Any) -> Any:
    *stack, n, m = x.shape
    *outer, down, right = x.strides
    return np.lib.stride_tricks.as_strided(x, (*stack, n - m + 1, m), (*outer, down, down + right), writeable=False)


def _evaluate_shear(x: Any) -> Any:
    *stack, n, m = x.shape
    result = np.zeros((*stack, n + m - 1, m), x.dtype)
    *outer, down, right = result.strides
    np.lib.stride_tricks.as_strided(result, x.shape, (*outer, down, down + right))[...] = x
    return result


# unshear(x): y[..., i, j] = x[..., i + j, j]
unshear: Operation = structural(
    "unshear",
    _abstract_unshear,
    _evaluate_unshear,
    lambda ct, inputs: [shear(ct)],
    lambda size, values, batched: (unshear(values[0]), True),
    View(lambda index, x: ([*index[:-2], index[-2] + index[-1], index[-1]], [])),
)

# shear(x): y[..., k, j] = x[..., k - j, j], and 0 where there is none
shear: Operation = structural(
    "shear",
    lambda x: x.with_shape((*x.shape[:-2], x.shape[-2] + x.shape[-1] - 1, x.shape[-1])),
    _evaluate_shear,
    lambda ct, inputs: [unshear(ct)],
    lambda size, values, batched: (shear(values[0]), True),
    View(
        lambda index, x: (
            [*index[:-2], index[-2] + index[-1] * -1, index[-1]],
            [(index[-2] + index[-1] * -1, x.shape[-2])],
        ),
        pads=True,
    ),
)


def windows(x: Any, width: int) -> Any:
    """y[..., i, j] = x[..., i + j] for j < width: the windows along the last axis."""
    shape = typeof(x).shape
    return unshear(broadcast(x, shape=(*shape, width), dims=tuple(range(len(shape)))))
