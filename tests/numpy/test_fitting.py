"""Numbers that become elements: they fit or are refused, alone and in lists; numbers of NumPy in unsigned arrays wrap.

Invariant: the oracle is NumPy, the same function on arrays: where it raises, so do we.
Start at ``WAYS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import DTypeError, ShapeError, StagedADError

NUMBERS = [
    7,
    -1,
    300,
    1.5,
    1e10,
    np.nan,
    True,
    2**63 - 1,
    np.int64(300),
    np.int64(-1),
    np.uint64(2**63),
    np.float64(300),
]


def _changed(change: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def function(x: Any, values: Any) -> Any:
        y = x.copy()
        change(y, values)
        return y

    return function


WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "a number": _changed(lambda y, values: y.__setitem__(0, values[0])),
    "a list": _changed(lambda y, values: y.__setitem__(slice(2), values)),
    "a tuple": _changed(lambda y, values: y.__setitem__([0, 1], tuple(values))),
    "a list in a list": _changed(lambda y, values: y.reshape(2, 2).__setitem__(..., [values, values])),
    "beside a traced number": lambda x, values: np.array([x[0], *values], dtype=x.dtype),
    "put": _changed(lambda y, values: np.put(y, [0, 1], values)),
    "putmask": _changed(lambda y, values: np.putmask(y, y > 1, values)),
    "place": _changed(lambda y, values: np.place(y, y > 0, values)),
    "fill_diagonal": _changed(lambda y, values: np.fill_diagonal(y.reshape(2, 2), values)),
    "put_along_axis": _changed(lambda y, values: np.put_along_axis(y, np.array([2, 0]), values, 0)),
    "insert": lambda x, values: np.insert(x, 1, values),
}


def _result(f: Callable[..., Any], x: Any) -> Any:
    try:
        with np.errstate(invalid="ignore", over="ignore"):
            return f(x)
    except (OverflowError, TypeError, ValueError, StagedADError):
        return None


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint64", "int64", "float16", "float32"])
@pytest.mark.parametrize("way", WAYS)
def test_as_numpy(way: str, dtype: str) -> None:
    x = np.arange(4).astype(dtype)
    for number in NUMBERS:
        _check(lambda x, number=number: WAYS[way](x, [number, 1]), x, number)


def _check(f: Callable[..., Any], x: Any, what: Any) -> None:
    """The oracle is `f` itself, on arrays."""
    expected = _result(f, x)
    for found in (_result(sad.jit(f), x), _result(sad.vmap(f), x[None])):
        assert (found is None) == (expected is None), what
        if expected is not None:
            np.testing.assert_array_equal(np.reshape(found, np.shape(expected)), expected, str(what), strict=True)


ARRAYS = [
    np.array([300, 1]),
    np.array([1.5, 2.0]),
    np.array([1, 2], "uint8"),
    np.array([True, False]),
    np.array([2.0, 3.0], "float32"),
    np.array([2, 3], "uint64"),
    np.array(3),
    np.zeros(0),
    [],
    2**63,
]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint64", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("way", ["a number", "putmask", "place", "put", "fill_diagonal", "put_along_axis"])
def test_of_arrays_as_numpy(way: str, dtype: str) -> None:
    x = np.arange(4).astype(dtype)
    for values in ARRAYS:
        given = [2**63] if way == "a number" else values
        _check(lambda x, given=given: WAYS[way](x, given), x, values)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "int64", "uint64"])
@pytest.mark.parametrize("ufunc", [np.add, np.subtract, np.multiply])
def test_integers_wrap_around_in_ufunc_at(ufunc: np.ufunc, dtype: str) -> None:
    x = np.arange(1, 5).astype(dtype)
    for values in ([1, 2, 3], np.array([300, 1, 7]), np.array([2, 3, 250], "uint8"), np.uint16(300), np.int8(-3), 300):
        if dtype == "uint64" and np.asarray(values).dtype.kind == "i":
            continue  # NumPy computes in float64
        for index in (np.array([0, 0, 2]), slice(3), np.array([True, False, True, True])):
            change = _changed(lambda y, values, index=index: ufunc.at(y, index, values))
            _check(lambda x, change=change, values=values: change(x, values), x, values)


def test_what_does_not_wrap_around_is_refused_in_ufunc_at() -> None:
    for ufunc, x, values in (
        (np.add, np.zeros(3, int), np.array([1.5, 2.5])),
        (np.add, np.zeros(3, "uint64"), np.array([1, 2])),
        (np.maximum, np.zeros(3, "uint8"), np.array([1, 2])),
        (np.add, np.zeros(3, bool), np.array([1, 2])),
    ):
        change = _changed(lambda y, values, ufunc=ufunc: ufunc.at(y, [0, 0], values))
        with pytest.raises(DTypeError, match=rf"by the rule 'same_kind'.*value.astype\({x.dtype}\)"):
            sad.jit(change)(x, values)


@pytest.mark.parametrize("values", [[[5, 6]], [[5]], np.array([[5, 6]])])
def test_masks_of_all_axes_take_numbers_and_vectors(values: Any) -> None:
    def f(x: Any) -> Any:
        y = x.copy()
        y[y > 3] = values
        return y

    x = np.arange(6)
    with pytest.raises(TypeError, match="boolean array indexing assignment"):
        f(x)
    for run in (sad.jit(f), lambda x: sad.vmap(f)(x[None])):
        with pytest.raises(DTypeError, match=r"boolean array indexing assignment .*has 2 .*np.ravel\(value\)"):
            run(x)


def test_values_with_more_axes_of_length_1_are_put_along_an_axis() -> None:
    _check(lambda x: WAYS["put_along_axis"](x, [[5, 6]]), np.arange(4), "nested")


def test_casting_is_the_users() -> None:
    def f(x: Any) -> Any:
        y = np.zeros(3, int)
        np.add(x, 1, out=y, casting="unsafe")
        return y + 0 * x.astype(int)

    x = np.array([1.5, 2.5, -1.5])
    np.testing.assert_array_equal(sad.jit(f)(x), f(x), strict=True)
    with pytest.raises(DTypeError, match="with casting rule 'safe'"):
        sad.jit(lambda x: np.add(x, 1, out=x.astype("float32"), casting="safe"))(x)


def test_arrays_wrap_around() -> None:
    def f(x: Any) -> Any:
        y = x.copy()
        y[:2] = np.array([300, -1])
        y[[2, 3]] = [np.array(300), np.array(5)]
        return y

    np.testing.assert_array_equal(sad.jit(f)(np.zeros(4, np.uint8)), [44, 255, 44, 5])


@pytest.mark.parametrize("values", [[[1.0, 2.0]], [np.array([1.0, 2.0])]])
def test_lists_are_not_nested_deeper_than_what_they_are_assigned_to(values: Any) -> None:
    def f(x: Any) -> Any:
        y = x.copy()
        y[:2] = values
        return y

    x = np.zeros(3)
    with pytest.raises(ValueError, match="setting an array element with a sequence"):
        f(x)
    with pytest.raises(ShapeError, match=r"nested 2 deep.*np.array\(value\)"):
        sad.jit(f)(x)
