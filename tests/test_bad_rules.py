"""Derivative rules that do not fit their function: each mistake is a clear error that names the leaf and the line.

Invariant: every error derives from StagedADError, and is raised when the rule is used, not by a wrong number.
Start at ``WRONG_JVP``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import ArgumentError, NotDifferentiableError

X = np.array([-1.5, 0.3, 2.0])

# rules of a function of an array and a dict, that return what does not fit; and words of the message
WRONG_JVP: list[tuple[Callable[..., Any], list[str]]] = [
    (lambda p, t: p[0], ["must return a pair (y, y_dot)"]),
    (lambda p, t: (p[0], t[0], 1.0), ["must return a pair (y, y_dot), got 3 entries"]),
    (lambda p, t: ({"y": p[0]}, {"y": np.sum(t[0])}), ["y_dot['y'] is f64 (made at", "must be f64[3] as y['y'] is"]),
    (lambda p, t: ({"y": p[0]}, {"z": t[0]}), ["y_dot: structure differs", "only the former has y_dot['z']"]),
    (lambda p, t: ({"y": p[0][:2]}, {"y": t[0]}), ["y['y'] is f64[2]", "as the result of f['y'] is"]),
    (lambda p, t: ({"y": p[0]}, {"y": t[0].astype("f4")}), ["y_dot['y'] is f32[3]", ".astype(np.float64)"]),
    (lambda p, t: ({"y": p[0]}, {"y": 0.0}), ["y_dot['y'] is f64,", "np.zeros"]),
    (lambda p, t: ({"y": p[0]}, {"y": "no"}), ["y_dot['y'] must be an array, a number"]),
    (lambda p, t: ({"y": p[0]}, {"y": np.ones(3)}), ["constant other than zero"]),
    (lambda p, t: ({"y": t[0]}, {"y": t[0]}), ["a value that depends on the tangents"]),
]


@pytest.mark.parametrize(("rule", "words"), WRONG_JVP, ids=range(len(WRONG_JVP)))
def test_what_a_jvp_rule_returns_is_compared_with_the_function_leaf_by_leaf(rule: Any, words: list[str]):
    @sad.custom_jvp
    def f(x: Any, p: Any) -> Any:
        return {"y": x * p["s"]}

    f.defjvp(rule)
    with pytest.raises((ArgumentError, NotDifferentiableError)) as caught:
        sad.jit(lambda x: sad.jvp(lambda x: f(x, {"s": 2.0}), (x,), (x,)))(X)
    for word in [*words, __file__ + f":{rule.__code__.co_firstlineno}"]:
        assert word in str(caught.value)


WRONG_VJP: list[tuple[Callable[..., Any], Callable[..., Any], list[str]]] = [
    (lambda x, p: x, lambda r, g: (g, g), ["must return a pair (y, residuals)"]),
    (lambda x, p: (x, "r"), lambda r, g: (g, g), ["residuals must be an array"]),
    (lambda x, p: (x[0], x), lambda r, g: (g, g), ["y is f64 (made at", "must be f64[3]"]),
    (lambda x, p: (x, x), lambda r, g: g, ["a tuple with a cotangent for each of its 2", "(x0_bar, x1_bar)"]),
    (lambda x, p: (x, x), lambda r, g: (g,), ["got 1 entries"]),
    (lambda x, p: (x, x), lambda r, g: (g, g), ["x1_bar: structure differs", "argument 1 is {'s': *}"]),
    (lambda x, p: (x, x), lambda r, g: (g, {"s": g}), ["x1_bar['s'] is f64[3]", "must be f64 as argument 1['s'] is"]),
    (lambda x, p: (x, x), lambda r, g: (g[:1], None), ["x0_bar is f64[1]", "must be f64[3] as argument 0 is"]),
]


@pytest.mark.parametrize(("forward", "backward", "words"), WRONG_VJP, ids=range(len(WRONG_VJP)))
def test_what_a_vjp_rule_returns_is_compared_with_the_function_leaf_by_leaf(
    forward: Any, backward: Any, words: list[str]
):
    @sad.custom_vjp
    def f(x: Any, p: Any) -> Any:
        return x * p["s"]

    f.defvjp(forward, backward)
    with pytest.raises(ArgumentError) as caught:
        sad.grad(lambda x: np.sum(f(x, {"s": 2.0})))(X)
    for word in [*words, __file__ + f":{forward.__code__.co_firstlineno}"]:
        assert word in str(caught.value)


@pytest.mark.parametrize("tangent", [np.exp, lambda t: t * t, lambda t: np.where(t > 0, t, 0.0)])
def test_a_rule_that_is_not_linear_in_the_tangents_is_refused_with_its_line(tangent: Callable[[Any], Any]):
    f = sad.custom_jvp(lambda x: x)
    f.defjvp(lambda primals, tangents: (primals[0], tangent(tangents[0])))
    with pytest.raises(NotDifferentiableError, match=r"must be linear in the tangents.*test_bad_rules.py:\d+"):
        sad.grad(f)(1.0)


@pytest.mark.parametrize("maker", [sad.custom_jvp, sad.custom_vjp])
def test_a_function_without_rule_says_what_to_call(maker: Any):
    with pytest.raises(ArgumentError, match=r"has no rule yet: call (defjvp|defvjp)"):
        maker(lambda x: x)(1.0)


def test_misused_definitions_say_what_is_wrong():
    with pytest.raises(ArgumentError, match="custom_jvp: f must be a function"):
        sad.custom_jvp(3.0)
    f = sad.custom_jvp(lambda x, *, y: x)
    with pytest.raises(ArgumentError, match="defjvp: the rule must be a function"):
        f.defjvp(3.0)
    f.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    with pytest.raises(ArgumentError, match=r"y of .* can only be given by keyword"):
        f(1.0, y=2.0)
    g = sad.custom_jvp(lambda x, y: x)
    g.defjvps(lambda t, out, x, y: t)
    with pytest.raises(ArgumentError, match="1 rules, but there are 2 arguments"):
        sad.grad(g)(1.0, 2.0)
    with pytest.raises(ArgumentError, match="cannot be used with nondiff_argnums"):
        sad.custom_jvp(lambda x: x, nondiff_argnums=0).defjvps(None)
    h = sad.custom_jvp(lambda x, mode: x)
    h.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    with pytest.raises(ArgumentError, match=r"argument 1 .mode.* belong in nondiff_argnums"):
        sad.grad(lambda x: h(x, "fast"))(1.0)
    k = sad.custom_jvp(lambda x: x, nondiff_argnums=5)
    k.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    with pytest.raises(ArgumentError, match="nondiff_argnums=5"):
        k(1.0)
