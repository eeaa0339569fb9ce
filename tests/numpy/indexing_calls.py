"""Calls of the functions that take elements, for test_functions.py.

Invariant: those without a call are refused, which test_advanced_indexing.py checks.
Start at ``INDEXING_CALLS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

K = np.array([[1, 0, 1], [0, 1, 0]])
M = np.array([True, False, True])

INDEXING_CALLS: dict[Callable[..., Any], list[Callable[[Any], Any]]] = {
    np.take: [
        lambda x: np.take(x, [0, -1, 5]),
        lambda x: np.take(x, K, axis=1),
        lambda x: np.take(x, 1, axis=-1),
        lambda x: np.take(x, [-4, 7], axis=1, mode="wrap"),
        lambda x: np.take(x, [-4, 7], axis=1, mode="clip"),
        lambda x: x.take([1, 1], 0),
    ],
    np.take_along_axis: [
        lambda x: np.take_along_axis(x, np.array([[[1, 0]], [[-1, 2]]]), axis=1),
        lambda x: np.take_along_axis(x, np.argmax(x, axis=1, keepdims=True), axis=1),
        lambda x: np.take_along_axis(x, np.array([3, 0, 3]), axis=None),
    ],
    np.choose: [
        lambda x: np.choose(K, [x[0].T, 2.0, x[1].T][:2]),
        lambda x: np.choose([0, 5, -1], [x[0, 0, 0], 2 * x[0, 1, 1]], mode="wrap"),
        lambda x: np.choose(1, [x[0], x[1]]),
    ],
    np.compress: [lambda x: np.compress(M, x, axis=1), lambda x: np.compress([0, 1, 1, 0], x)],
    np.extract: [lambda x: np.extract(K.T, x[0])],
    np.delete: [
        lambda x: np.delete(x, 1, axis=1),
        lambda x: np.delete(x, [0, -1]),
        lambda x: np.delete(x, slice(None, None, 2), axis=1),
        lambda x: np.delete(x, M, axis=1),
    ],
    np.insert: [
        lambda x: np.insert(x, 1, 0.5, axis=1),
        lambda x: np.insert(x, [0, 2], x[:, :1], axis=1),
        lambda x: np.insert(x, [1, 1], x[0, 0]),
        lambda x: np.insert(x, 1, np.ones((3, 2)), axis=0),
    ],
    np.append: [lambda x: np.append(x, 1.0), lambda x: np.append(x, x[:1], axis=0)],
    np.resize: [lambda x: np.resize(x, (5, 3)), lambda x: np.resize(x, 4), lambda x: np.resize(x[:0], (2,))],
    np.nonzero: [],
    np.flatnonzero: [],
    np.argwhere: [],
}
