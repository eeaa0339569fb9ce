"""Mistakes with the transforms themselves: what they are given, and what traced functions let out.

Invariant: each row stands on one line, which its message names.
Start at ``WRONG``.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import ArgumentError, LeakedTracerError, MutationError, NotDifferentiableError, StagedADError

X = np.array([1.0, 2.0, 3.0])


def total(x: Any, y: Any = 1.0) -> Any:
    return np.sum(x * y)


def without_return(x: Any) -> None:
    np.sum(x)


WRONG: list[tuple[Any, type[StagedADError], str]] = [
    (lambda: sad.grad(3.0), ArgumentError, "grad needs a function, got float 3.0; write grad(f)(x), not grad(f(x))"),
    (lambda: sad.grad(np.sum(X)), ArgumentError, "grad needs a function, got float64"),
    (lambda: sad.jit(X), ArgumentError, "jit needs a function, got ndarray"),
    (lambda: sad.vmap(X), ArgumentError, "write vmap(f)(x), not vmap(f(x))"),
    (lambda: sad.jacobian(X), ArgumentError, "jacobian needs a function"),
    (lambda: sad.check_derivatives(total, X), ArgumentError, "got ndarray; write (x,) for one"),
    (lambda: sad.hessian(X), ArgumentError, "hessian needs a function"),
    (lambda: sad.hessian(np.square)(3), NotDifferentiableError, "hessian needs floating-point inputs"),
    (lambda: sad.hessian(np.square)(3j), NotDifferentiableError, "hessian needs a real result"),
    (lambda: sad.value_and_grad(X), ArgumentError, "value_and_grad needs a function"),
    (lambda: sad.trace(X), ArgumentError, "trace needs a function"),
    (lambda: sad.jvp(X, (X,), (X,)), ArgumentError, "is no function"),
    (lambda: sad.vjp(X, X), ArgumentError, "is no function"),
    (lambda: sad.linearize(None, X), ArgumentError, "NoneType None is no function"),
    (lambda: sad.hvp(X, (X,), (X,)), ArgumentError, "needs a function"),
    (lambda: sad.grad(lambda x: 2 * x)(X), NotDifferentiableError, "returned f64[3]. Sum it (np.sum), or use jacrev"),
    (lambda: sad.grad(total)(3), NotDifferentiableError, "has dtype int64. Write 3.0 instead of 3"),
    (lambda: sad.grad(total)(), ArgumentError, "argnums=0 needs 1 positional arguments of total, 0 given"),
    (lambda: sad.grad(total)(x=X), ArgumentError, "what is differentiated is passed by position, not by name"),
    (lambda: sad.grad(total, 1)(X, y=X), ArgumentError, "argnums=1 needs 2 positional arguments of total, 1 given"),
    (
        lambda: sad.grad(total)(None),
        ArgumentError,
        "argument 0 (x) of total is None: there is nothing to",
    ),
    (lambda: sad.grad(without_return)(X), ArgumentError, "does a return statement lack?"),
    (
        lambda: sad.grad(total, "x")(X),
        ArgumentError,
        "argnums must be an integer or a sequence of integers, got str 'x'",
    ),
    (
        lambda: sad.grad(total, X)(X),
        ArgumentError,
        "comes in a call of its own: grad(f)(x), not grad(f, x)",
    ),
    (lambda: sad.grad(total)("abc"), ArgumentError, "must be an array, a number, or a nest of them, got str 'abc'"),
    (lambda: sad.jit(total, static_argnums=3), ArgumentError, "static_argnums=3, but total has 2 positional"),
    (lambda: sad.jit(total, static_argnums="y"), ArgumentError, "got 'y'; names go into static_argnames"),
    (lambda: sad.jit(total, static_argnums=0.5), ArgumentError, "static_argnums must be an integer or a sequence"),
    (lambda: sad.jit(total, static_argnames="z"), ArgumentError, "total has no parameter 'z'"),
    (lambda: sad.jit(total, static_argnums=1)(X, X), ArgumentError, "argument 1 (y) of total is ndarray"),
    (lambda: sad.jit(total, static_argnames="y")(X, y=[1]), ArgumentError, "argument y of total is list [1]: static"),
    (lambda: sad.jit(total)(X, "sum"), ArgumentError, "argument 1 (y) of total must be an array"),
    (lambda: sad.jit(lambda x: (t for t in x))(X), ArgumentError, "the result of <lambda> must be an array"),
    (lambda: sad.grad(lambda x: total(x.__iadd__(1.0)))(X), MutationError, "x = x.copy() before"),
    (lambda: sad.jit(lambda x: np.add(x, 1, out=X))(X), MutationError, "u = np.array(np.sin(grid))"),
]


@pytest.mark.parametrize(("call", "error", "said"), WRONG, ids=range(len(WRONG)))
def test_mistakes_with_transforms_are_described_with_the_users_line(call: Any, error: type[StagedADError], said: str):
    with pytest.raises(error, match=re.escape(said)) as caught:
        call()
    assert f"{__file__}:{call.__code__.co_firstlineno}" in str(caught.value)
    assert str(caught.value).count(__file__) == 1


class Kept:
    value: Any = None


def keep(x: Any) -> Any:
    Kept.value = x
    return np.sum(x)


@pytest.mark.parametrize(
    "use",
    [
        lambda v: v + 1.0,
        lambda v: np.sin(v),
        lambda v: v[None],
        lambda v: float(v),
        lambda v: np.asarray(v),
        lambda v: 1.0 if v > 0 else 2.0,
        lambda v: f"{v:.2f}",
        lambda v: sad.jit(lambda x: x + v)(X),
        lambda v: sad.jit(np.sin)(v),
        lambda v: v.tolist(),
    ],
)
def test_a_traced_value_that_was_kept_is_said_to_have_leaked_whatever_is_done_with_it(use: Any):
    sad.vmap(keep)(X)
    with pytest.raises(LeakedTracerError, match="an argument of it, was used after the traced function had") as caught:
        use(Kept.value)
    assert f"{__file__}:{use.__code__.co_firstlineno}" in str(caught.value)


def test_errors_of_evaluation_name_the_line_of_the_operation():
    def f(x: Any, k: Any) -> Any:
        y = np.sin(x)
        return np.sum(y[k])

    with pytest.raises(IndexError) as caught:
        sad.vmap(f, (None, 0))(X, np.array([0, 9]))
    assert f"{__file__}:{f.__code__.co_firstlineno + 2}" in str(caught.value)
