"""Ufuncs of lists that hold traced values.

Invariant: the oracle is NumPy: the same function on numbers. Functions without such lists see ufuncs themselves.
Start at ``LISTED``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from numpy import hypot
from scipy.special import erf

import staged_ad as sad
from staged_ad.errors import ConcretizationError
from tests.checks import assert_derivatives, assert_value

X, G = np.array([1.0, 2.5, 0.5]), np.arange(3.0)
TANH = np.tanh

LISTED: dict[str, Callable[[Any], Any]] = {
    "sqrt": lambda x: np.sqrt([x[0], x[1]]),
    "a tuple": lambda x: np.exp((x[0], 1.0)),
    "nested": lambda x: np.add([[x[0], 1], [2, x[1]]], 2.0),
    "second": lambda x: np.maximum(0, [x[0], -x[1]]),
    "both": lambda x: np.multiply([x[0], 2.0], [1.0, x[1]]),
    "with an array": lambda x: np.subtract(G, [x[0], x[1], 3]),
    "imported by name": lambda x: hypot([x[0], x[1]], 2.0),
    "of scipy": lambda x: scipy.special.expit([x[0], 1.0]) + erf([1.0, x[1]]),
    "matmul": lambda x: np.matmul([[x[0], 1.0], [2.0, 3.0]], [1.0, x[1]]),
    "reduce": lambda x: np.maximum.reduce([x, 2 * x[::-1], G]),
    "sum of arrays": lambda x: np.add.reduce([x, x**2, G], axis=0),
    "masks": lambda x: np.where(np.logical_and.reduce([x > 0.6, x < 2, G > -1]), x, 0.0),
    "outer": lambda x: np.multiply.outer([x[0], x[1]], G),
    "accumulate": lambda x: np.add.accumulate([x[0], 2.0, x[1]]) + np.add.accumulate(x),
    "several results": lambda x: np.modf([x[0], x[1]])[0],
    "dtype": lambda x: np.sqrt([x[0], 4], dtype=np.float32),
    "single precision": lambda x: np.sin([x[0].astype(np.float32), np.float32(2.0)]),
}


def _mixed(x: Any) -> Any:
    y = np.zeros(3)
    np.add(np.sqrt([x[0], x[1], 2.0]), x, out=y)
    np.add.at(y, [0, 0, 2], [x[0], 1.0, 2.0])
    np.subtract.at(y, 1, x[1])
    y.sort(0)
    assert isinstance(np.add, np.ufunc)
    assert np.add.nin == 2
    assert np.add.identity == 0
    assert {np.tanh: "tanh"}[TANH] == "tanh"
    assert pickle.loads(pickle.dumps(np.add)) == np.add
    return y + np.rint(x + 0j).real + np.logaddexp.accumulate(x)


LISTED["beside other calls"] = _mixed


@pytest.mark.parametrize("f", LISTED.values(), ids=LISTED)
def test_ufuncs_of_lists_are_those_of_arrays(f: Callable[[Any], Any]) -> None:
    assert_value(f, X)


@pytest.mark.parametrize("name", ["both", "reduce", "outer"])
def test_derivatives_of_ufuncs_of_lists(name: str) -> None:
    assert_derivatives(LISTED[name], X)


def test_lists_inside_of_other_transforms_and_branches() -> None:
    def norm(x: Any) -> Any:
        if x[0] > 1:
            return np.sum(np.square([x[0], x[1]]))
        return x[2]

    def f(x: Any) -> Any:
        total = sad.vmap(lambda s: np.sum(np.sqrt([s, 2 * s])))(x).sum()
        return total * norm(x)

    expected = lambda x: np.sum((1 + np.sqrt(2)) * np.sqrt(x)) * (x[0] ** 2 + x[1] ** 2 if x[0] > 1 else x[2])
    compiled = sad.jit(f)
    for x in (X, X + 0.5, X):
        np.testing.assert_allclose(compiled(x), expected(x), rtol=1e-14)
    np.testing.assert_allclose(sad.grad(norm)(X + 1), [4.0, 7.0, 0.0])


def test_other_functions_see_ufuncs_themselves() -> None:
    seen: list[bool] = []

    def f(x: Any) -> Any:
        seen.append(np.tanh is TANH)
        return np.tanh(x)

    sad.jit(f)(X)
    assert seen == [True]
    sad.jit(LISTED["sqrt"])(X)
    assert (np.tanh, hypot) == (TANH, np.hypot)
    assert type(np.tanh) is type(hypot) is np.ufunc


def test_ufuncs_that_were_kept_elsewhere_name_the_line() -> None:
    kept = [np.sqrt]
    f = lambda x: kept[0]([x[0], x[1]])
    with pytest.raises(ConcretizationError) as caught:
        sad.jit(f)(X)
    assert f"{__file__}:{f.__code__.co_firstlineno}" in str(caught.value)
