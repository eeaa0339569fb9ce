"""jit sees dicts and keywords in the order in which the caller wrote them, and static values as they are.

Invariant: a jitted function returns what the plain one returns, whatever was called before.
Start at ``test_orders_of_keys_take_turns``.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.tracing.fixed import canonical
from staged_ad.tracing.trees import flatten, order

RNG = np.random.default_rng(0)
W = {"w1": RNG.normal(size=(3, 3)), "w2": RNG.normal(size=(3, 3)), "b": RNG.normal(size=(3, 3))}
X = RNG.normal(size=3)
Pair = namedtuple("Pair", "a b")


@dataclass(frozen=True)
class Choice:
    n: Any


def orders() -> list[dict[str, Any]]:
    return [{key: W[key] for key in keys} for keys in permutations(W)]


def network(params: Any, x: Any) -> Any:
    for w in params.values():
        x = np.tanh(w @ x)
    return np.sum(x)


@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda items: defaultdict(list, items)])
def test_orders_of_keys_take_turns(kind: Any) -> None:
    f = sad.jit(network)
    for _ in range(2):
        for params in orders()[:3]:
            np.testing.assert_allclose(f(kind(params), X), network(params, X), rtol=1e-14)


def test_orders_of_keys_in_nests_take_turns() -> None:
    f = sad.jit(lambda nest: network(nest[0]["inner"], X))
    for _ in range(2):
        for params in orders()[:3]:
            np.testing.assert_allclose(f([{"inner": params, "other": X}]), network(params, X), rtol=1e-14)


def test_derivatives_keep_the_order_of_keys() -> None:
    f = sad.jit(sad.grad(network))
    for _ in range(2):
        for params in orders()[:2]:
            found = f(params, X)
            assert list(found) == list(params)
            for name, expected in sad.grad(network)(params, X).items():
                np.testing.assert_allclose(found[name], expected, rtol=1e-12)


def test_lanes_see_the_order_of_keys() -> None:
    f = sad.jit(sad.vmap(lambda p: np.stack(list(p.values()))))
    one, two = np.zeros(2), np.ones(2)
    for _ in range(2):
        assert f({"a": one, "b": two}).tolist() == [[0, 1], [0, 1]]
        assert f({"b": two, "a": one}).tolist() == [[1, 0], [1, 0]]


def test_keywords_come_in_the_order_of_the_call() -> None:
    f = sad.jit(lambda k, n=1, **rest: np.stack([*rest.values()]) * k * n, static_argnames="s")
    for _ in range(2):
        assert f(1.0, b=1, a=2).tolist() == [1, 2]
        assert f(1.0, a=2, b=1).tolist() == [2, 1]
        assert f(1.0, a=2, s=7, b=1).tolist() == [2, 7, 1]
        assert f(1.0, s=7, b=1, a=2).tolist() == [7, 1, 2]
        assert f(n=1, b=1, k=1.0, a=2).tolist() == [1, 2]


def test_the_order_of_named_parameters_is_not_part_of_the_signature() -> None:
    traced = []
    f = sad.jit(lambda x, y, **rest: traced.append(1) or x - y)
    assert f(x=3.0, y=1.0) == f(y=1.0, x=3.0) == 2.0
    assert len(traced) == 1


def test_a_traced_cond_returns_keys_in_the_order_of_the_first_function() -> None:
    one, other = lambda x: {"b": x, "a": 2 * x}, lambda x: {"a": x, "b": 2 * x}
    found = sad.jit(lambda x: sad.cond(x > 0, one, other, x))
    assert list(found(1.0).items()) == [("b", 1.0), ("a", 2.0)]
    assert list(found(-1.0).items()) == [("b", -2.0), ("a", -1.0)]


def test_keys_that_are_equal_and_of_other_types_are_told_apart() -> None:
    f = sad.jit(lambda p: {key: x ** np.float32(key) for key, x in p.items()})
    for _ in range(2):
        for keys in ((1, 2), (1.0, 2), (True, 2), (2, 1)):
            assert list(map(repr, f(dict.fromkeys(keys, 3.0)))) == list(map(repr, keys))


@pytest.mark.parametrize(
    "values",
    [
        (1, 1.0, True, np.int64(1), np.float64(1)),
        (0.0, -0.0, float("nan"), 0j, complex(-0.0, 0.0)),
        ((4,), (4.0,), (True,), ((4,),), ((4.0,),)),
        (frozenset([4]), frozenset([4.0])),
        (Pair(1, 0.0), Pair(1, -0.0), (1, 0.0)),
        (Choice(1), Choice(1.0), Choice((1, 0.0)), Choice((1, -0.0))),
    ],
)
def test_static_values_that_compare_equal_are_told_apart(values: Any) -> None:
    seen = [repr(value) for value in values]
    f = sad.jit(lambda x, n: x + seen.index(repr(n)), static_argnums=1)
    for _ in range(2):
        assert [f(0.0, value) for value in values] == list(range(len(values)))


def test_nan_is_one_static_value() -> None:
    traced = []
    f = sad.jit(lambda x, n: traced.append(n) or x, static_argnums=1)
    for _ in range(3):
        f(1.0, float("nan"))
    assert len(traced) == 1
    for _ in range(3):
        f(1.0, (float("nan"), Choice(float("nan"))))
    assert len(traced) == 2


static_values = st.recursive(
    st.one_of(st.integers(-1, 1), st.booleans(), st.sampled_from([0.0, -0.0, 1.0, float("nan"), 0j, "a", None])),
    lambda inner: st.one_of(st.lists(inner, max_size=2).map(tuple), st.builds(Pair, inner, inner), inner.map(Choice)),
    max_leaves=3,
)


@given(static_values, static_values)
def test_descriptions_are_equal_where_values_are_written_alike(one: Any, other: Any) -> None:
    assert (canonical(one) == canonical(other)) == (repr(one) == repr(other))
    assert canonical(one) != canonical(other) or hash(canonical(one)) == hash(canonical(other))


@given(st.permutations(["a", "b", 1]), st.permutations(["a", "b", 1]))
def test_structures_are_equal_in_any_order_and_orders_are_not(one: list[Any], other: list[Any]) -> None:
    first, second = ({"x": [dict.fromkeys(keys)]} for keys in (one, other))
    assert flatten(first)[1] == flatten(second)[1]
    assert (order(first) == order(second)) == (one == other)
