"""Derivatives of scalar loops where zeros meet infinities in some of the iterations, in all of them, or in none.

Invariant: what is compiled gives what the operations one by one give.
Start at ``BODIES``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad

slope = sad.grad(lambda x: np.sqrt(x * x))
BODIES: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "norm": lambda x, y: (np.maximum(x - 1, 0), y + np.sqrt(x * x)),
    "branch not taken": lambda x, y: (x - 1, y + np.where(x > 0, np.log(x) * y, 0.1 * y)),
    "hidden by a minimum": lambda x, y: (np.maximum(x - 1, 0), np.minimum(y, np.sqrt(x) + y * y)),
    "hidden by a comparison": lambda x, y: (np.maximum(x - 1, 0), np.where(slope(x) < 0.5, y * 0.5, y + x)),
    "through a function": lambda x, y: (np.maximum(x - 1, 0), np.tanh(y + np.sqrt(x) * y)),
    "overflow": lambda x, y: (x + 400, np.exp(x) * 1e-300 + y),
    "NaN": lambda x, y: (x - 1, y * np.log(x)),
}


def run(body: Callable[[Any, Any], tuple[Any, Any]]) -> Callable[..., Any]:
    def f(x: Any, y: Any) -> Any:
        return sad.fori_loop(0, 6, lambda _, state: body(*state), (x, y))[1]

    return f


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", BODIES)
def test_loops_where_zero_meets_infinity(name: str, dtype: type):
    f = run(BODIES[name])
    for derivative in (sad.grad(f, argnums=(0, 1)), sad.jacfwd(f, argnums=(0, 1))):
        compiled = sad.jit(derivative)
        for x in (9.0, 3.0, 0.0):
            arguments = dtype(x), dtype(0.7)
            with np.errstate(all="ignore"):
                np.testing.assert_allclose(compiled(*arguments), derivative(*arguments), rtol=1e-4)


def test_second_derivatives_where_zero_meets_infinity():
    f = sad.hessian(run(lambda x, y: (np.maximum(x - 1, 0), y * np.sqrt(x * x + y * y))))
    for x in (9.0, 3.0, 0.0):
        np.testing.assert_allclose(sad.jit(f)(x, 0.0), f(x, 0.0))


def test_loops_bet_that_there_are_no_infinities():
    text = sad.jit(sad.grad(run(lambda x, y: (x * y, x + y)))).lower(np.float64(1), np.float64(2)).text("llvm")
    assert "llvm.fma" in text
