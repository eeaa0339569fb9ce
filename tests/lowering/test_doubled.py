"""Sums over everything that are written twice: without the masks of strong products, and with them for NaN.

Invariant: zeros meet infinities in the data, in one chunk only.
Start at ``errors``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad

N = 3000


def polynomial(x: Any, t: Any) -> Any:
    total = x[-1]
    for k in reversed(range(len(x) - 1)):
        total = total * t + x[k]
    return total


def errors(x: Any, t: Any, w: Any) -> Any:
    return np.sum(w * polynomial(x, t))


def clipped(x: Any, t: Any, w: Any) -> Any:
    return np.sum(np.where(np.abs(t) < 1e3, w * polynomial(x, t), 0.0))


def is_doubled(f: Callable[..., Any], *args: Any) -> bool:
    return ".careful(" in sad.jit(f).lower(*args).text("llvm")


def data(n: int = N) -> tuple[Any, ...]:
    random = np.random.default_rng(0)
    return random.normal(size=8), random.uniform(-1, 1, size=n), random.normal(size=n)


def test_only_long_sums_are_written_twice() -> None:
    assert is_doubled(sad.grad(errors), *data())
    assert not is_doubled(sad.grad(errors), *data(50))
    assert not is_doubled(sad.grad(errors, argnums=(0, 1)), *data())  # the derivatives for t are no sums
    assert not is_doubled(errors, *data())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("f", [errors, clipped])
@pytest.mark.parametrize(("t", "w"), [(np.inf, 0.0), (np.nan, 0.0), (np.inf, 1.0), (1.0, np.inf), (np.nan, 1.0)])
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
def test_zeros_times_infinity_are_zero(f: Callable[..., Any], t: float, w: float, dtype: type) -> None:
    args = [array.astype(dtype) for array in data()]
    args[1][N - 5], args[2][N - 5] = t, w
    g = sad.grad(f)
    found, expected = sad.jit(g)(*args), g(*args)
    assert np.isfinite(expected).all() == (w == 0.0 or (f is clipped and t != 1.0))
    np.testing.assert_allclose(found, expected, rtol=1000 * np.finfo(dtype).eps, atol=1000 * np.finfo(dtype).eps)
