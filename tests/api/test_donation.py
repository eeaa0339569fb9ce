"""Arguments that are given away: their memory may be that of results, whose values stay the same.

Invariant: what is expected comes from the function without the option.
Start at ``FUNCTIONS``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import ArgumentError


def changed(x: Any, y: Any) -> Any:
    x = x.copy()
    x[3:5] = y[:2]
    return x


def changed_by_itself(x: Any, y: Any) -> Any:
    x = x.copy()
    x[2] = np.sum(x * y)
    x[1:] += x[:-1]
    return x


def adam(w: Any, g: Any) -> Any:
    m = 0.9 * w + 0.1 * g
    return w - 0.1 * m / np.sqrt(0.5 * g * g + 1e-8), m


REUSED: list[Callable[..., Any]] = [
    lambda x, y: x - 0.1 * y,
    lambda x, y: np.sin(x) - y * np.sum(x),
    lambda x, y: (x + 1, x - 1),
    lambda x, y: (y + 0, x + 0),
    lambda x, y: sad.scan(lambda c, _: (np.sin(c) + y, None), x, None, length=3)[0],
    changed,
    adam,
]
KEPT: list[Callable[..., Any]] = [
    lambda x, y: x[::-1] - y,
    lambda x, y: np.concatenate([x[:1], x[1:] + x[:-1]]),
    lambda x, y: np.outer(x, y) @ x,
    lambda x, y: np.sort(x)[::-1] + x,
    lambda x, y: np.roll(x, 1) + np.cumsum(x),
    changed_by_itself,
]


def taken(f: Callable[..., Any], *args: Any) -> tuple[Any, list[bool]]:
    """The results with all arguments given away, and for each argument whether it is one of them."""
    found = sad.jit(f, donate_argnums=tuple(range(len(args))))(*args)
    leaves = found if isinstance(found, tuple) else (found,)
    return found, [any(leaf is x for leaf in leaves) for x in args]


@pytest.mark.parametrize("n", [7, 40_000])
@pytest.mark.parametrize("f", REUSED + KEPT)
def test_results_are_those_without_the_option(f: Callable[..., Any], n: int):
    if f is KEPT[2] and n > 1000:
        n = 300
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=n), rng.normal(size=n)
    expected = sad.jit(f)(x, y)
    found, _ = taken(f, x.copy(), y.copy())
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("f", REUSED)
def test_a_result_is_the_array_that_was_given_away(f: Callable[..., Any]):
    assert any(taken(f, np.ones(7), np.arange(7.0))[1])


@pytest.mark.parametrize("f", KEPT[:2])
def test_values_that_are_needed_later_are_not_overwritten(f: Callable[..., Any]):
    assert not taken(lambda x: f(x, 2 * x), np.arange(7.0))[1][0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["sin", "roll", "flip", "sum", "set", "sort", "y"]), min_size=1, max_size=5))
def test_chains_are_the_same(steps: list[str]):
    def f(x: Any, y: Any) -> Any:
        for step in steps:
            match step:
                case "sin":
                    x = np.sin(x) + y
                case "roll":
                    x = x + np.roll(x, 1)
                case "flip":
                    x = x[::-1] - y
                case "sum":
                    x = x * np.mean(x)
                case "set":
                    x = x.copy()
                    x[1:4] *= y[2:5]
                case "sort":
                    x = np.sort(x)
                case _:
                    x, y = x - y, x + y
        return x, y

    x, y = np.linspace(-1, 1, 9), np.linspace(2, 3, 9) ** 2
    np.testing.assert_array_equal(taken(f, x.copy(), y.copy())[0], sad.jit(f)(x, y))


def test_other_arguments_are_not_changed():
    w, g = {"a": np.ones(3), "b": np.ones((2, 2))}, {"a": np.ones(3), "b": np.ones((2, 2))}
    step = sad.jit(lambda w, g: {k: w[k] - g[k] for k in w}, donate_argnames="w")
    new = step(w, g)
    assert all(new[k] is w[k] for k in w)
    assert all(np.all(g[k] == 1) and np.all(new[k] == 0) for k in w)


def test_arrays_that_share_memory_or_cannot_be_written_to_stay_as_they_are():
    add = sad.jit(lambda x, y: x + y, donate_argnums=0)
    base, frozen, strided = np.arange(9.0), np.ones(3), np.arange(10.0)[::2]
    frozen.flags.writeable = False
    for x, y in [(base, base), (base[1:], base[:-1]), (frozen, np.ones(3)), (strided, np.ones(5))]:
        before = np.array(x)
        expected = x + y
        assert add(x, y) is not x
        np.testing.assert_array_equal(add(x, y), expected)
        np.testing.assert_array_equal(x, before)


def test_a_real_array_does_not_become_a_complex_one():
    z = np.ones((4, 2))
    found, reused = taken(lambda z: z[:, 0] + 1j * z[:, 1], z)
    assert not reused[0]
    assert found.dtype == np.complex128
    z = np.ones(4) + 2j
    found, reused = taken(lambda z: z * z.conj(), z)
    assert reused[0]
    np.testing.assert_array_equal(found, np.full(4, 5.0 + 0j))


def test_another_path_of_python_gets_the_arguments_as_they_were():
    def f(x: Any) -> Any:
        return x + 1 if np.sum(x) > 0 else x - 1

    g = sad.jit(f, donate_argnums=0)
    for x in (np.ones(3), -np.ones(3), np.ones(3)):
        np.testing.assert_array_equal(g(x.copy()), f(x))


def test_memory_counts_what_is_made():
    step, x = sad.jit(lambda x, y: (x - y, y[::-1] * y), donate_argnums=0), np.ones(1000)
    assert step.lower(x, x).memory().results == 8000


def test_the_option_is_kept_by_methods_pickles_and_transforms():
    class Model:
        @sad.jit(donate_argnums=1)
        def step(self, w: Any) -> Any:
            return w * 2

    w = np.ones(3)
    assert Model().step(w) is w
    halve = pickle.loads(pickle.dumps(sad.jit(np.negative, donate_argnums=0)))
    assert halve(w) is w
    assert sad.grad(lambda x: np.sum(sad.jit(lambda x: x * x, donate_argnums=0)(x)))(w).tolist() == [-4.0] * 3
    assert w.tolist() == [-2.0] * 3


def test_arguments_that_there_are_not_are_refused():
    with pytest.raises(ArgumentError, match=r"donate_argnums=3, but .* has 1 positional"):
        sad.jit(lambda x: x, donate_argnums=3)
    with pytest.raises(ArgumentError, match=r"donate_argnames: .* has no parameter 'w'"):
        sad.jit(lambda x: x, donate_argnames="w")
    with pytest.raises(ArgumentError, match=r"argument 0 \(x\) of .* cannot be both static and donated"):
        sad.jit(lambda x: x, static_argnums=0, donate_argnums=0)
