"""The functions of staged_ad that nests use, in plain Python: loops, branches, and differences for derivatives.

Invariant: nothing here uses the package under test.
Start at ``Plain``.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any

import numpy as np

from tests.numerics import STENCIL


class CrossedError(Exception):
    """Points of one stencil are on both sides of a decision."""


class Plain:
    """The functions of staged_ad on arrays, in plain Python. `path` holds the decisions of branches and loops."""

    def __init__(self, single: Any = np.float64):
        self.single = single
        self.path: list[Any] = []

    @contextmanager
    def apart(self) -> Iterator[list[Any]]:
        """Decisions in a list of their own."""
        before, self.path = self.path, []
        try:
            yield self.path
        finally:
            self.path = before

    def scan(self, f: Any, init: Any, xs: Any, length: int, reverse: bool, checkpoint: Any) -> Any:
        carry, ys = init, []
        for k in reversed(range(length)) if reverse else range(length):
            carry, y = f(carry, _slice(xs, k))
            ys.append(y)
        return carry, _stack(ys[::-1] if reverse else ys) if ys else (np.zeros(0), np.zeros((0, *np.shape(init.v))))

    def map(self, f: Any, xs: Any) -> Any:
        return _stack([f(_slice(xs, k)) for k in range(len(xs[0]))])

    def vmap(self, f: Any) -> Any:
        return lambda *xs: self.map(lambda x: f(*x), xs)

    def while_loop(self, cond_fun: Any, body_fun: Any, init: Any, checkpoint: Any) -> Any:
        carry = init
        while cond_fun(carry):
            self.path.append(True)
            carry = body_fun(carry)
        self.path.append(False)
        return carry

    def fori_loop(self, lower: Any, upper: Any, body_fun: Any, init: Any, checkpoint: Any) -> Any:
        self.path.append((lower, upper))
        return reduce(lambda carry, i: body_fun(i, carry), range(lower, upper), init)

    def associative_scan(self, fn: Any, elems: Any, reverse: bool) -> Any:
        count = len(elems[0]) if isinstance(elems, tuple) else len(elems)
        slices = [_slice(elems, k) for k in range(count)]
        if reverse:
            found = [reduce(fn, slices[k:][::-1]) for k in range(count)]
        else:
            found = [reduce(fn, slices[:k]) for k in range(1, count + 1)]
        return _stack(found)

    def cond(self, predicate: Any, true_fun: Any, false_fun: Any, *operands: Any) -> Any:
        self.path.append(bool(predicate))
        return true_fun(*operands) if predicate else false_fun(*operands)

    def switch(self, index: Any, branches: Any, *operands: Any) -> Any:
        place = max(0, min(int(index), len(branches) - 1))
        self.path.append(place)
        return branches[place](*operands)

    def jit(self, f: Any) -> Any:
        return f

    def checkpoint(self, f: Any) -> Any:
        return f

    def directional(self, f: Any, xs: Sequence[Any], x_dots: Sequence[Any], step: float = 2e-3) -> tuple[Any, Any]:
        """The value and the derivative along `x_dots`, as vectors, by central differences of order 8."""

        def at(t: float) -> Any:
            with self.apart() as path:
                value = _flat(f(*(x + t * v for x, v in zip(xs, x_dots, strict=True))))
            if path != expected:
                raise CrossedError
            return value

        with self.apart() as expected:
            y = _flat(f(*xs))
        self.path.extend(expected)
        return y, reduce(operator.add, (weight * (at(k * step) - at(-k * step)) for k, weight in STENCIL)) / step

    def jvp(self, f: Any, xs: Any, x_dots: Any) -> Any:
        y, y_dot = self.directional(f, xs, x_dots)
        return (y[0], y[1:]), (y_dot[0], y_dot[1:])

    def grad(self, f: Any, argnums: Any) -> Any:
        return lambda s, v: self.vjp(f, s, v)[1](np.ones(1))

    def vjp(self, f: Any, s: Any, v: Any) -> Any:
        """The pullback gives the gradient in the number and the vector that are the arguments of `f`."""
        units = np.eye(1 + len(v))
        found = [self.directional(f, (s, v), (unit[0], unit[1:])) for unit in units]
        y, columns = found[0][0], np.array([column for _, column in found])

        def pull(y_bar: Any) -> Any:
            x_bar = columns @ _flat(y_bar)
            return x_bar[0], x_bar[1:]

        return (y[0], y[1:]), pull


def _slice(xs: Any, k: int) -> Any:
    if isinstance(xs, tuple):
        parts = [_slice(x, k) for x in xs]
        return type(xs)(*parts) if hasattr(xs, "_fields") else tuple(parts)
    return None if xs is None else xs[k]


def _stack(ys: Sequence[Any]) -> Any:
    if isinstance(ys[0], tuple):
        return tuple(_stack(parts) for parts in zip(*ys, strict=True))
    return np.stack(ys)


def _flat(value: Any) -> Any:
    return np.concatenate([np.ravel(x) for x in value]) if isinstance(value, tuple) else np.ravel(value)
