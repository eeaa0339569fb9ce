"""explain_cache_misses says what was different, where the function was jitted, and where it was called."""

from __future__ import annotations

import inspect
import logging
from functools import partial
from typing import Any

import numpy as np
import pytest

import staged_ad as sad

X = np.ones(3)


def texts(f: Any, *calls: Any) -> list[str]:
    """What is said in the last of some calls, each a tuple of arguments and a dict of keywords."""
    found: list[str] = []
    for args, kwargs in calls[:-1]:
        f(*args, **kwargs)
    with sad.explain_cache_misses(found.append):
        args, kwargs = calls[-1]
        f(*args, **kwargs)
    return found


def reasons(f: Any, *calls: Any) -> list[str]:
    (text,) = texts(f, *calls)
    return [line.strip() for line in text.splitlines()[1:]]


def call(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def model(p: Any, x: Any, n: int = 2, *, k: Any = 1.0) -> Any:
    if p["w"].sum() > 100:
        return p["w"].sum() * x.sum()
    return (p["w"].sum() * x).sum() * k**n


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ((call({"w": X}, X), call({"w": X}, X[:2])), ["argument 1 (x) of model: shape (2,), before (3,)"]),
        (
            (call({"w": X}, X), call({"w": X}, X.astype("f4"))),
            ["argument 1 (x) of model: dtype float32, before float64"],
        ),
        (
            (call({"w": X}, X), call({"w": X.astype("f4")[:1]}, X)),
            ["argument 0 (p) of model at ['w']: shape (1,), before (3,); dtype float32, before float64"],
        ),
        (
            (call({"w": X}, X, k=2.0), call({"w": X}, X, k=np.float64(2))),
            ["argument k of model: an array or NumPy scalar, before a Python number"],
        ),
        (
            (call({"w": X}, X, k=np.float64(2)), call({"w": X}, X, k=2.0)),
            ["argument k of model: a Python number, before an array or NumPy scalar"],
        ),
        ((call({"w": X}, X, 3), call({"w": X}, X, 4)), ["static argument 2 (n) of model: 4, before 3"]),
        ((call({"w": X}, X, n=3), call({"w": X}, X, n=3.0)), ["static argument n of model: 3.0, before 3"]),
        (
            (call({"w": X}, X), call({"w": X}, X, 2)),
            ["static argument 2 (n) of model: 2, before not given in this way"],
        ),
        (
            (call({"w": X}, X), call({"w": X, "b": 1.0}, X)),
            [
                "argument 0 (p) of model: structure differs: now {'b': *, 'w': *}, before {'w': *}; only the former "
                "has p['b']"
            ],
        ),
        ((call({"w": X}, X), call({"w": X}, X, k=2.0)), ["given by name now: k"]),
        (
            (call({"w": X, "b": [{3: X, 1: X}]}, X), call({"w": X, "b": [{1: X, 3: X}]}, X)),
            ["argument 0 (p) of model at ['b'][0]: order of keys 1, 3, before 3, 1"],
        ),
        (
            (call({"w": X, "b": X}, X), call({"b": X, "w": X[:2]}, X)),
            [
                "argument 0 (p) of model at ['w']: shape (2,), before (3,)",
                "argument 0 (p) of model: order of keys 'b', 'w', before 'w', 'b'",
            ],
        ),
        (
            (call({"w": X}, X), call({"w": X}, x=X)),
            ["1 positional arguments, before 2", "given by name now: x"],
        ),
        # of all that was called before, the most similar
        (
            (call({"w": X}, X), call({"w": X[:1]}, X[:1]), call({"w": X[:1]}, X[:2])),
            ["argument 1 (x) of model: shape (2,), before (1,)"],
        ),
    ],
)
def test_it_says_what_is_different(calls: Any, expected: list[str]) -> None:
    assert reasons(sad.jit(model, static_argnames="n"), *calls) == expected


def test_it_names_the_branch_that_went_another_way() -> None:
    (reason,) = reasons(sad.jit(model), call({"w": X}, X), call({"w": 100 * X}, X))
    line = inspect.getsourcelines(model)[1] + 1
    assert reason == (
        f"Python read True at {__file__}:{line}, in model, which no compiled path has there: False before"
    )


def test_it_names_the_loop_that_ran_longer() -> None:
    def power(x: Any, n: Any) -> Any:
        result = x
        for _ in range(n):
            result = result * x
        return result

    (reason,) = reasons(sad.jit(power), call(2.0, 3), call(2.0, 4))
    assert reason.startswith("Python read 4 at")
    assert reason.endswith("3 before")


def test_it_says_where_the_function_was_jitted_and_called() -> None:
    def here() -> int:
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        return frame.f_back.f_lineno

    f, jitted = sad.jit(lambda x: x * 2), here()
    found: list[str] = []
    f(1.0)
    with sad.explain_cache_misses(found.append):
        called = here() + 1
        f(X)
    name = "in test_it_says_where_the_function_was_jitted_and_called"
    assert found[0].splitlines()[0] == (
        f"<lambda>, jitted at {__file__}:{jitted}, {name}, is compiled again for the call at {__file__}:{called}, "
        f"{name}:"
    )


def test_it_is_silent_about_first_calls_and_hits() -> None:
    f = sad.jit(lambda x: x * 2)
    found: list[str] = []
    with sad.explain_cache_misses(found.append):
        for x in (X, 2 * X, X[::-1]):
            f(x)
            sad.grad(lambda x: f(x).sum())(x)
    assert found == []


def test_it_is_silent_outside() -> None:
    f = sad.jit(lambda x: x * 2)
    found: list[str] = []
    with sad.explain_cache_misses(found.append):
        f(X)
    f(X[:2])
    assert found == []


def test_jit_in_a_loop_is_told() -> None:
    found: list[str] = []
    with sad.explain_cache_misses(found.append):
        for k in range(3):
            sad.jit(lambda x, k=k: x * k)(1.0)
    assert [text.splitlines()[1].split(",")[0].strip() for text in found] == [
        "jit has been applied here 2 times",
        "jit has been applied here 3 times",
    ]


def test_a_cleared_cache_is_told() -> None:
    f = sad.jit(lambda x: x * 2)
    found: list[str] = []
    with sad.explain_cache_misses(found.append):
        f(X)
        f.clear_cache()
        f(X)
    assert [text.splitlines()[1].strip() for text in found] == ["its cache has been cleared"]


def test_many_differences_are_counted() -> None:
    f = sad.jit(lambda xs: sum(xs))
    found = reasons(f, call([X] * 9), call([X[:1]] * 9))
    assert len(found) == 6
    assert found[-1] == "and 4 more"


def test_arguments_of_methods_are_counted_without_self() -> None:
    class Model:
        @partial(sad.jit, static_argnums=2)
        def power(self, x: Any, n: int) -> Any:
            assert isinstance(n, int)
            assert not isinstance(x, float)
            return x**n

    power = Model().power
    assert power(x=2.0, n=3) == 8.0
    assert reasons(power, call(X, 2), call(X[:2], 2)) == ["argument 0 (x) of power: shape (2,), before (3,)"]
    assert reasons(power, call(X, 2), call(X, 3)) == ["static argument 1 (n) of power: 3, before 2"]


def test_without_an_argument_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    f = sad.jit(lambda x: x * 2)
    f(X)
    with caplog.at_level(logging.WARNING, logger="staged_ad"), sad.explain_cache_misses():
        f(X[:2])
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().endswith("argument 0 (x) of <lambda>: shape (2,), before (3,)")
