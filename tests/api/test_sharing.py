"""What a transform gives shares no memory with what it was given: neither at top level nor inside of traced functions.

Invariant: the oracle is a copy: writing to a result leaves the operand, writing to the operand leaves the result.
Start at ``CALLS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad

X = np.array([1.0, 2.0, 3.0])


def _total(q: Any) -> Any:
    return np.sum(q * q)


CALLS: dict[str, Callable[[Any], Any]] = {
    "scan": lambda y: sad.scan(lambda c, _: ((c[0] + c[1], c[1]), None), (y * 1, y), None, length=3)[0][1],
    "scan of nothing": lambda y: sad.scan(lambda c, _: (c * 2, None), y, None, length=0)[0],
    "fori_loop": lambda y: sad.fori_loop(0, 3, lambda _, c: (c[0] + c[1], c[1]), (y * 1, y))[1],
    "while_loop": lambda y: sad.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1]), (0, y))[1],
    "map": lambda y: sad.map(lambda q: q, y),
    "vmap": lambda y: sad.vmap(lambda q: q)(y),
    "vmap of what is not mapped": lambda y: sad.vmap(lambda q, r: r, in_axes=(0, None), out_axes=None)(y, y),
    "cond": lambda y: sad.cond(y[0] > 0, lambda q: q, np.sin, y),
    "cond of a known predicate": lambda y: sad.cond(True, lambda q: q, np.sin, y),
    "switch": lambda y: sad.switch(0, [lambda q: q, np.sin], y),
    "jvp": lambda y: sad.jvp(lambda q: q, (y,), (X,))[0],
    "jvp, the tangent": lambda y: sad.jvp(lambda q: q, (X,), (y,))[1],
    "vjp": lambda y: sad.vjp(lambda q: q, y)[0],
    "vjp, the cotangent": lambda y: sad.vjp(lambda q: q, X)[1](y)[0],
    "linearize": lambda y: sad.linearize(lambda q: q, y)[0],
    "linearize, the tangent": lambda y: sad.linearize(lambda q: q, X)[1](y),
    "linear_transpose": lambda y: sad.linear_transpose(lambda q: q, X)(y)[0],
    "grad": lambda y: sad.grad(lambda q: np.sum(q * y))(X),
    "grad with aux": lambda y: sad.grad(lambda q: (_total(q), q), has_aux=True)(y)[1],
    "value_and_grad with aux": lambda y: sad.value_and_grad(lambda q: (_total(q), y), has_aux=True)(X)[0][1],
    "jit": lambda y: sad.jit(lambda q: q)(y),
    "checkpoint": lambda y: sad.checkpoint(lambda q: q)(y),
    "associative_scan": lambda y: sad.associative_scan(lambda a, b: b, y),
    "custom_jvp": lambda y: _identity(y),
    "full": lambda y: np.full(3, y),
    "full_like": lambda y: np.full_like(y, y),
}
"""Functions that give the values of their operand, each as a new array."""


@sad.custom_jvp
def _identity(q: Any) -> Any:
    return q


_identity.defjvp(lambda primals, tangents: (primals[0], tangents[0]))


def _written_result(call: Callable[[Any], Any], x: Any) -> Any:
    y = x * 2
    z = call(y)
    z[0] = 7.0
    return y, z


def _written_operand(call: Callable[[Any], Any], x: Any) -> Any:
    y = x * 2
    z = call(y)
    y[0] = 7.0
    return y, z


@pytest.mark.parametrize("name", CALLS)
def test_results_and_operands_are_apart(name: str) -> None:
    call = CALLS[name]
    for f, expected in ((_written_result, (X * 2, [7.0, 4.0, 6.0])), (_written_operand, ([7.0, 4.0, 6.0], X * 2))):
        g = lambda x, f=f: f(call, x)
        for y, z in (g(X), sad.jit(g)(X), sad.jvp(g, (X,), (X,))[0], [a[0] for a in sad.vmap(g)(X[None])]):
            np.testing.assert_array_equal(y, expected[0])
            np.testing.assert_array_equal(z, expected[1])
        total = lambda x, g=g: np.sum(g(x)[0] * 3.0 + g(x)[1])
        slope = sad.grad(total)(X)
        np.testing.assert_allclose(slope, sad.jit(sad.grad(total))(X))
        np.testing.assert_allclose(slope[1:], [8.0, 8.0] if name != "grad" else slope[1:])


def test_a_pullback_keeps_the_values_of_its_arguments() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        value, pull = sad.vjp(_total, y)
        _, linear = sad.linearize(_total, y)
        y[0] = 100.0
        return pull(1.0)[0], linear(X), value

    for found in (f(X), sad.jit(f)(X), sad.jvp(f, (X,), (X,))[0]):
        np.testing.assert_array_equal(found[0], 2 * X)
        assert (found[1], found[2]) == (28.0, 14.0)
