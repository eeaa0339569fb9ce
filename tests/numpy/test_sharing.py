"""Which results share the memory of an array, and in which order their own memory is: what NumPy says.

Invariant: each row runs on NumPy's arrays and on traced ones by the same code; a new row is one line of a table.
Start at ``ROWS``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad

windows = np.lib.stride_tricks.sliding_window_view
F = Callable[[Any], Any]

ROWS: dict[str, F] = {
    "ascontiguousarray": lambda a: np.ascontiguousarray(a),
    "ascontiguousarray of a transpose": lambda a: np.ascontiguousarray(a.T),
    "ascontiguousarray of a column": lambda a: np.ascontiguousarray(a[:, 0]),
    "ascontiguousarray of a row": lambda a: np.ascontiguousarray(a[0]),
    "asfortranarray": lambda a: np.asfortranarray(a),
    "asfortranarray of a transpose": lambda a: np.asfortranarray(a.T),
    "asarray in F": lambda a: np.asarray(a, order="F"),
    "asarray of a transpose in F": lambda a: np.asarray(a.T, order="F"),
    "asarray of a transpose in C": lambda a: np.asarray(a.T, order="C"),
    "asarray as integers": lambda a: np.asarray(a, np.float32),
    "array": lambda a: np.array(a),
    "array in F, copied if needed": lambda a: np.array(a, order="F", copy=None),
    "array copied if needed": lambda a: np.array(a, copy=None),
    "array with more axes": lambda a: np.array(a, copy=None, ndmin=3),
    "array not copied": lambda a: np.array(a, copy=False),
    "array in F not copied": lambda a: np.array(a, order="F", copy=False),
    "require C": lambda a: np.require(a, requirements=["C"]),
    "require C of a transpose": lambda a: np.require(a.T, requirements="C"),
    "astype in C of a transpose": lambda a: a.T.astype(float, order="C", copy=False),
    "astype in F": lambda a: a.astype(float, order="F", copy=False),
    "astype": lambda a: a.astype(float, copy=False),
    "astype by position": lambda a: a.astype(float, "K", "unsafe", True, False),
    "astype of another dtype": lambda a: a.astype(np.float32, copy=False),
    "np.astype": lambda a: np.astype(a, np.float64, copy=False),
    "np.astype copied": lambda a: np.astype(a, np.float64),
    "copy": lambda a: np.copy(a),
    "einsum diagonal": lambda a: np.einsum("ii->i", a),
    "einsum transpose": lambda a: np.einsum("ij->ji", a),
    "einsum implicit transpose": lambda a: np.einsum("ji", a),
    "einsum of nothing": lambda a: np.einsum("ij", a),
    "einsum with ellipsis": lambda a: np.einsum("i...->...i", a),
    "einsum optimized": lambda a: np.einsum("ij->ji", a, optimize=True),
    "einsum of lists": lambda a: np.einsum(a, [0, 1], [1, 0]),
    "einsum of a sum": lambda a: np.einsum("ij->j", a),
    "einsum of a product": lambda a: np.einsum("ij,j->ij", a, np.ones(3)),
    "diagonal": lambda a: np.diagonal(a),
    "linalg.diagonal": lambda a: np.linalg.diagonal(a),
    "linalg.matrix_transpose": lambda a: np.linalg.matrix_transpose(a),
    "linalg.matrix_power 1": lambda a: np.linalg.matrix_power(a, 1),
    "linalg.matrix_power 2": lambda a: np.linalg.matrix_power(a, 2),
    "windows": lambda a: windows(a, 2, axis=0),
    "meshgrid": lambda a: np.meshgrid(a[0], a[1], copy=False)[1],
    "meshgrid with an array": lambda a: np.meshgrid(a[0], np.arange(2.0), copy=False)[0],
    "meshgrid copied": lambda a: np.meshgrid(a[0], a[1])[0],
    "meshgrid sparse": lambda a: np.meshgrid(a[0], a[1], copy=False, sparse=True)[1],
    "broadcast_arrays, the large": lambda a: np.broadcast_arrays(a, a[0])[0],
    "broadcast_arrays, the small": lambda a: np.broadcast_arrays(a, a[0])[1],
    "broadcast_arrays with an array": lambda a: np.broadcast_arrays(a, np.ones((3, 3)))[0],
    "broadcast_arrays of three": lambda a: np.broadcast_arrays(a[0], np.ones((3, 3)), a[:1])[2],
    "broadcast_arrays of one": lambda a: np.broadcast_arrays(a)[0],
    "broadcast_to": lambda a: np.broadcast_to(a, (2, 3, 3)),
    "nan_to_num": lambda a: np.nan_to_num(a),
    "nan_to_num in place": lambda a: np.nan_to_num(a, copy=False),
    "diff of order 0": lambda a: np.diff(a, 0),
    "ravel": lambda a: a.ravel(),
    "ravel of a transpose": lambda a: a.T.ravel(),
    "ravel in K of a transpose": lambda a: a.T.ravel("K"),
    "ravel in A of a transpose": lambda a: a.T.ravel("A"),
    "ravel in F of asfortranarray": lambda a: np.asfortranarray(a.T).ravel("F"),
    "flatten": lambda a: a.flatten(),
    "reshape": lambda a: np.reshape(a, (-1, 1)),
    "reshape of a slice": lambda a: a[:, 1:].reshape(-1),
    "view": lambda a: a.view(),
    "view as the same dtype": lambda a: a.view(a.dtype),
    "view as float": lambda a: a.view(float),
    "real": lambda a: a.real,
    "conj": lambda a: np.conj(a),
    "positive": lambda a: +a,
    "clip": lambda a: np.clip(a, None, 100),
    "round": lambda a: a.round(),
    "take": lambda a: a.take([0, 1, 2], 0),
    "by a list": lambda a: a[:, [0, 1]],
    "all of it": lambda a: a[...],
    "squeeze": lambda a: np.squeeze(a),
    "atleast_3d": lambda a: np.atleast_3d(a),
    "moveaxis": lambda a: np.moveaxis(a, 0, -1),
    "permute_dims": lambda a: np.permute_dims(a),
    "rot90": lambda a: np.rot90(a),
    "split": lambda a: np.split(a, [1])[1],
    "unstack": lambda a: np.unstack(a)[1],
    "vstack": lambda a: np.vstack([a]),
    "roll": lambda a: np.roll(a, 0),
    "tile": lambda a: np.tile(a, 1),
    "pad": lambda a: np.pad(a, 0),
    "sort": lambda a: np.sort(a),
    "triu": lambda a: np.triu(a, -5),
    "flat": lambda a: a.flat[:],
    "fftshift": lambda a: np.fft.fftshift(a),
}
OVERLAPPING = {
    "meshgrid",
    "meshgrid with an array",
    "broadcast_arrays, the small",
    "broadcast_arrays of three",
    "windows",
    "broadcast_to",
}
"""Elements of the result share places: written to with a warning by NumPy, not by traced ones."""
X = np.arange(9.0).reshape(3, 3) + 1


def write_to_base(f: F, x: Any) -> Any:
    """The result after the array was written to."""
    a = x * 1.0
    y = f(a)
    a[1, 0] = -50.0
    a[0] -= 0.5
    return y + 0.0


def write_to_result(f: F, x: Any) -> Any:
    """The array after the result was written to, and the result."""
    a = x * 1.0
    y = f(a)
    y[(0,) * y.ndim] = -70.0
    y[-1:] += 0.25
    return a, y + 0.0


def outcome(action: Callable[..., Any], f: F, x: Any, traced: bool) -> Any:
    """What the action returns; the kind of error, where there is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy, where overlapping elements are written to
        try:
            return sad.jvp(lambda x: action(f, x), (x,), (x,))[0] if traced else action(f, x)
        except (ValueError, TypeError):  # a MutationError is a TypeError
            return "an error"


def assert_same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected), (found, expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ROWS)
def test_results_share_memory_where_numpys_do(name: str) -> None:
    f = ROWS[name]
    assert_same(outcome(write_to_base, f, X, True), outcome(write_to_base, f, X, False))
    expected = "an error" if name in OVERLAPPING else outcome(write_to_result, f, X, False)
    assert_same(outcome(write_to_result, f, X, True), expected)


COMPLEX: dict[str, F] = {
    "parts of complex numbers": lambda z: z.view(float),
    "single parts": lambda z: z[0].view(np.float64),
    "there and back": lambda z: z.view(float)[1:].view(complex),
    "of a slice": lambda z: z[1:].view(float)[:, ::2],
    "of a transpose": lambda z: z.T.view(float),
    "of a column": lambda z: z[:, :1].T.view(float),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_parts_of_complex_numbers_share_their_memory(name: str) -> None:
    f, z = COMPLEX[name], X + 1j * X[::-1]
    for action in (write_to_base, write_to_result):
        assert_same(outcome(action, f, z, True), outcome(action, f, z, False))


ORDERS: dict[str, F] = {
    "a sum": lambda x: x.T + 1,
    "a sum of both orders": lambda x: x.T[:3] + x[:, :3],
    "a sum with a column": lambda x: x.T + np.ones((4, 1)),
    "a sum with an array in F": lambda x: x + np.ones((3, 4), order="F").T.copy().T,
    "a negative": lambda x: -x.T,
    "a function": lambda x: np.exp(x.T),
    "a reversed one": lambda x: x.T[::-1] * 2,
    "broadcast": lambda x: np.broadcast_to(x[0][:, None], (4, 3)) * 2,
    "where": lambda x: np.where(x.T > 3, x.T, 0),
    "clip": lambda x: np.clip(x.T, 2, 5),
    "copy": lambda x: np.copy(x.T),
    "its own copy": lambda x: x.T.copy(),
    "its own copy in K": lambda x: x.T.copy("K"),
    "array": lambda x: np.array(x.T),
    "array in C": lambda x: np.array(x.T, order="C"),
    "asfortranarray": lambda x: np.asfortranarray(x),
    "astype": lambda x: x.T.astype(np.float32),
    "astype in C": lambda x: x.T.astype(np.float32, order="C"),
    "zeros_like": lambda x: _counted(np.zeros_like(x.T)),
    "zeros in F": lambda x: _counted(np.zeros((4, 3), order="F")),
    "full in F": lambda x: _counted(np.full((4, 3), x[0, 0], order="F")),
    "three axes": lambda x: np.sin(x.reshape(2, 2, 3).transpose(1, 2, 0)),
    "matmul": lambda x: x.T @ x,
    "comparisons": lambda x: (x.T > 2) & (x.T < 7),
}


def _counted(x: Any) -> Any:
    x[...] = np.arange(x.size).reshape(x.shape)
    return x


@pytest.mark.parametrize("name", ORDERS)
def test_results_are_laid_out_as_numpys(name: str) -> None:
    x = np.arange(12.0).reshape(3, 4)

    def f(x: Any) -> Any:
        y = ORDERS[name](x * 1.0)
        return [y.ravel("K"), y.ravel("A"), (2 * y).ravel("K")]

    for found, expected in zip(sad.jvp(f, (x,), (x,))[0], f(x), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_compiled_functions_share_and_copy_as_numpy_does() -> None:
    def f(x: Any) -> Any:
        a = np.sin(x)
        copied = np.ascontiguousarray(a.T)
        copied[0] = 0.0
        np.einsum("ii->i", a)[1:] = 2.0
        z = a + 0j
        z.view(float)[0, 1::2] = 3.0
        return a, copied, z

    for found, expected in zip(sad.jit(f)(X), f(X), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_windows_cannot_be_asked_to_be_written_to() -> None:
    for f in (lambda x: windows(x * 1.0, 2, axis=0, writeable=True), lambda x: windows(np.zeros(4), 2, writeable=True)):
        with pytest.raises(sad.errors.MutationError, match="overlap"):
            sad.jit(f)(X)


def test_methods_that_would_write_to_a_copy_of_a_known_array_are_refused() -> None:
    def f(x: Any) -> Any:
        y = np.zeros(4)
        y.setfield(1.0, float)
        return x + y[0]

    with pytest.raises(AttributeError, match="setfield"):
        sad.jit(f)(X)
