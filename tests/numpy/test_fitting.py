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
from staged_ad.errors import ShapeError, StagedADError

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
    "place": _changed(lambda y, values: np.place(y, y > 1, values)),
    "fill_diagonal": _changed(lambda y, values: np.fill_diagonal(y.reshape(2, 2), values)),
    "put_along_axis": _changed(lambda y, values: np.put_along_axis(y, np.array([2, 0]), values, 0)),
    "insert": lambda x, values: np.insert(x, 1, values),
}


def _result(f: Callable[..., Any], x: Any) -> Any:
    try:
        with np.errstate(invalid="ignore"):
            return f(x)
    except (OverflowError, ValueError, StagedADError):
        return None


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint64", "int64", "float32"])
@pytest.mark.parametrize("way", WAYS)
def test_as_numpy(way: str, dtype: str) -> None:
    x = np.arange(4).astype(dtype)
    for number in NUMBERS:
        f = lambda x, number=number: WAYS[way](x, [number, 1])
        expected = _result(f, x)
        for found in (_result(sad.jit(f), x), _result(sad.vmap(f), x[None])):
            assert (found is None) == (expected is None), number
            if expected is not None:
                np.testing.assert_array_equal(np.reshape(found, np.shape(expected)), expected, str(number), strict=True)


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
