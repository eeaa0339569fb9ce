"""Functions of lists that hold traced values, np.r_ and np.c_, and windows.

Invariant: NumPy's own results are expected: values, dtypes, shapes.
Start at ``JOINED``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import staged_ad as sad
from staged_ad.errors import UnsupportedError
from tests.checks import assert_derivatives, assert_value

TABLE = np.arange(8.0).reshape(2, 4)
X, M, S = np.array([1.0, 2.5, -0.5]), np.arange(6.0).reshape(2, 3), 2.5
windows = np.lib.stride_tricks.sliding_window_view

JOINED: dict[str, Callable[[Any, Any, Any], Any]] = {
    "r_": lambda x, M, s: np.r_[x, s, 0, 1:4, 0:1:3j, [s, 2], x[1:]],
    "r_ along an axis": lambda x, M, s: np.r_["1", M, M],
    "r_ of rows": lambda x, M, s: np.r_["0,2", x, M, [1, 2, s]],
    "r_ of columns": lambda x, M, s: np.r_["-1,2,0", x[:2], M],
    "r_ in the middle": lambda x, M, s: np.r_["0,3,1", x, 0:3],
    "r_ from behind": lambda x, M, s: np.r_["0,3,-2", x, x],
    "r_ of complex numbers": lambda x, M, s: np.r_[x, 1j * x],
    "r_ of one array": lambda x, M, s: np.r_[x],
    "c_": lambda x, M, s: np.c_[x, x**2, 0:3],
    "c_ of matrices": lambda x, M, s: np.c_[M, M],
    "c_ with a directive": lambda x, M, s: np.c_["1,2", x, x],
}
LISTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "mean": lambda x, M, s: np.mean([s, s * 2, x[0]]),
    "argmin": lambda x, M, s: np.argmin([s, x[0], x[1]]),
    "sum along an axis": lambda x, M, s: np.sum((x, x * 2), axis=0),
    "dot": lambda x, M, s: np.dot(np.array([1.0, 2.0]), [s, x[2]]),
    "where": lambda x, M, s: np.where([True, False], [s, s], 0.0),
    "clip": lambda x, M, s: np.clip(x, [s, 0.0, -s], a_max=[s, 1.0, s]),
    "atleast_1d": lambda x, M, s: np.atleast_1d([x[0], 3]),
    "atleast_2d": lambda x, M, s: np.atleast_2d([x[0], 3], s)[0],
    "expand_dims": lambda x, M, s: np.expand_dims([x[0], s], 0),
    "swapaxes": lambda x, M, s: np.swapaxes([[x[0], s], [1, 2]], 0, 1),
    "broadcast_to": lambda x, M, s: np.broadcast_to([x[0], s], (3, 2)),
    "array_split": lambda x, M, s: np.array_split([x[0], s, 1, 2], 2)[1],
    "take": lambda x, M, s: np.take([x[0], s, 1], [2, 0]),
    "take from an array from outside": lambda x, M, s: np.take(TABLE, (x > 0).astype(int), axis=1, mode="clip") * s,
    "take from a list": lambda x, M, s: np.take([1.0, 2.0, 3.0], (s > 0) * 2) * s,
    "take by its names": lambda x, M, s: np.take(indices=[(s > 0) * 2, 1], a=TABLE[0]) * x[:2],
    "pad by its names": lambda x, M, s: np.pad(array=TABLE, pad_width=1, constant_values=s),
    "cov": lambda x, M, s: np.cov([x[0], s, 1, 2]),
    "shape": lambda x, M, s: x * np.shape([[x[0], s]])[1],
    "linalg.norm": lambda x, M, s: np.linalg.norm([x[0], s]),
    "linalg.solve": lambda x, M, s: np.linalg.solve([[x[0], s], [3, x[1]]], [s, 1]),
    "logsumexp": lambda x, M, s: scipy.special.logsumexp([s, x[0], 1.0]),
    "scipy.linalg.solve": lambda x, M, s: scipy.linalg.solve([[x[0], s], [3, x[1]]], [s, 1]),
    "scipy.linalg.block_diag": lambda x, M, s: scipy.linalg.block_diag([x[0], s], [[2.0]]),
    "windows": lambda x, M, s: windows(M, (2, 2)),
    "windows along an axis": lambda x, M, s: windows(M, 2, axis=1).mean(axis=-1),
}


@pytest.mark.parametrize("f", [*JOINED.values(), *LISTS.values()], ids=[*JOINED, *LISTS])
def test_lists_that_hold_traced_values_are_arrays(f: Callable[..., Any]) -> None:
    assert_value(f, X, M, S)


@pytest.mark.parametrize("name", ["r_", "c_"])
def test_derivatives_of_joined_arrays(name: str) -> None:
    assert_derivatives(JOINED[name], X, M, S)


@pytest.mark.parametrize("name", ["mean", "linalg.solve", "take by its names", "windows along an axis"])
def test_derivatives_of_lists(name: str) -> None:
    assert_derivatives(LISTS[name], X, M, S)


def test_numbers_beside_narrow_arrays_are_weak_in_r() -> None:
    assert_value(lambda x: np.r_[x, 1.0, 2], X.astype(np.float32))
    assert_value(lambda x, s: np.r_[x, s], X.astype(np.float32), np.float64(2.0))


def test_r_is_as_imported_outside_of_traced_functions() -> None:
    joiner, mean = np.r_, np.mean
    seen = []
    sad.grad(lambda x: seen.append(np.r_) or np.sum(np.r_[x]))(X)
    assert seen[0] is not joiner
    assert (np.r_, np.mean) == (joiner, mean)


def test_a_matrix_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"np\.matrix"):
        sad.jit(lambda x: np.r_["c", x])(X)
    with pytest.raises(ValueError, match="unknown special directive 'up'"):
        sad.jit(lambda x: np.r_["up", x])(X)
