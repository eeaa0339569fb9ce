"""Python control flow on traced values: if, while, for, min, int, early returns and recursion, in nests of transforms.

Invariant: a traced function takes the path that Python takes at the same numbers, and has its derivatives there.
Start at ``test_functions_with_branches_have_the_derivatives_of_dual_numbers``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.api.calling import trace_call, trace_prepared
from staged_ad.errors import ArgumentError, ConcretizationError, GuardFailure, NotDifferentiableError
from staged_ad.ir import PRIMITIVES, evaluate, type_of, verify
from staged_ad.tracing import Trace, trace_flat
from staged_ad.tracing.trees import flatten
from staged_ad.transforms.vmap import vmap_program
from tests.branching import BranchingFunction, assert_near, branching_functions, derivatives, interpreted

# each takes a function to one of its derivatives: (order, transform)
WAYS: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "jit": (0, sad.jit),
    "jit jit": (0, lambda f: sad.jit(sad.jit(f))),
    "value": (0, lambda f: lambda x: sad.value_and_grad(f)(x)[0]),
    "grad": (1, sad.grad),
    "jacfwd": (1, sad.jacfwd),
    "jacrev": (1, sad.jacrev),
    "jvp": (1, lambda f: lambda x: sad.jvp(f, (x,), (1.0,))[1]),
    "vjp": (1, lambda f: lambda x: sad.vjp(f, x)[1](1.0)[0]),
    "linearize": (1, lambda f: lambda x: sad.linearize(f, x)[1](1.0)),
    "jit grad": (1, lambda f: sad.jit(sad.grad(f))),
    "grad jit": (1, lambda f: sad.grad(sad.jit(f))),
    "jit grad jit": (1, lambda f: sad.jit(sad.grad(sad.jit(f)))),
    "jit jvp": (1, lambda f: sad.jit(lambda x: sad.jvp(f, (x,), (1.0,))[1])),
    "hessian": (2, sad.hessian),
    "jit hessian": (2, lambda f: sad.jit(sad.hessian(f))),
    "grad grad": (2, lambda f: sad.grad(sad.grad(f))),
    "grad jit grad": (2, lambda f: sad.grad(sad.jit(sad.grad(f)))),
    "jit grad grad": (2, lambda f: sad.jit(sad.grad(sad.grad(f)))),
    "jvp of grad": (2, lambda f: lambda x: sad.jvp(sad.grad(f), (x,), (1.0,))[1]),
    "grad of jvp": (2, lambda f: sad.grad(lambda x: sad.jvp(f, (x,), (1.0,))[1])),
    "hvp": (2, lambda f: lambda x: sad.hvp(f, (x,), (1.0,))),
}

numbers = st.floats(-2.5, 2.5, allow_subnormal=False)


def check(ways: dict[str, tuple[int, Callable[[Any], Any]]], f: BranchingFunction, points: list[float]) -> None:
    expected = {x: found for x in points if (found := derivatives(f.function, x)) is not None}
    assume(expected)
    for order, transform in ways.values():
        derivative = transform(f.function)
        for x in [*expected, *reversed(expected)]:
            assert_near(derivative(x), expected[x][order])


@given(branching_functions(), st.lists(numbers, min_size=1, max_size=4))
def test_functions_with_branches_have_the_derivatives_of_dual_numbers(f: BranchingFunction, points: list[float]):
    with interpreted():
        check(WAYS, f, points)


@settings(max_examples=25)
@given(branching_functions(), st.lists(numbers, min_size=2, max_size=2))
def test_compiled_functions_with_branches_have_the_derivatives_of_dual_numbers(
    f: BranchingFunction, points: list[float]
):
    check({name: WAYS[name] for name in ("jit", "jit grad", "jit hessian")}, f, points)


def power(x: Any, n: Any) -> Any:
    """By squaring."""
    if n == 0:
        return 1.0
    half = power(x, n // 2)
    return half * half * x if n % 2 else half * half


def test_recursion_on_a_traced_integer_ends():
    for n in (0, 1, 2, 5, 13, np.int32(6), np.uint8(3)):
        assert_near(sad.grad(power)(1.5, n), float(n) * 1.5 ** (int(n) - 1))
        with interpreted():
            assert_near(sad.jit(sad.grad(power))(1.5, n), float(n) * 1.5 ** (int(n) - 1))
            assert_near(sad.grad(sad.jit(power))(1.5, n), float(n) * 1.5 ** (int(n) - 1))


def test_a_loop_runs_as_often_as_a_traced_integer_says():
    def f(x: Any, n: Any) -> Any:
        y = x
        for k in range(n):
            y = np.sin(y) + k
        return y

    def slope(x: float, n: int) -> float:
        y, y_dot = x, 1.0
        for k in range(n):
            y, y_dot = np.sin(y) + k, np.cos(y) * y_dot
        return y_dot

    with interpreted():
        jitted = sad.jit(sad.grad(f))
        for n in (3, 0, 3, 5, 0):
            assert_near(sad.grad(f)(0.4, n), slope(0.4, n))
            assert_near(jitted(0.4, n), slope(0.4, n))


def test_truth_values_and_integers_are_those_of_numpy():
    cases: list[tuple[Callable[[Any], Any], Any]] = [
        (lambda x: 1.0 * bool(x), np.nan),
        (lambda x: 1.0 * bool(x), 0.0),
        (lambda x: 1.0 * bool(x), np.array([[2.5]])),
        (lambda x: 1.0 * bool(x[None] < 3), 2.0),
        (lambda x: 1.0 * int(x), -2.7),
        (lambda x: 1.0 * int(x > 0), 2.0),
        (lambda x: 1.0 * [5, 6, 7][x.astype(int)], np.float32(1.5)),
        (lambda x: 1.0 * (x in (1.0, 2.0)), 2.0),
        (lambda x: 1.0 * (not x), 2.0),
        (lambda x: 1.0 * len(range(x.astype(np.uint8))), np.float64(200.0)),
        (lambda x: max(x, 3.0) * min(x, 4.0), np.float64(3.5)),
        (lambda x: sorted([x, -x, 0.5 * x])[0], np.float64(3.5)),
    ]
    for f, x in cases:
        expected = float(f(np.asarray(x)))
        assert sad.jvp(f, (x,), (x,))[0] == expected
        with interpreted():
            assert sad.jit(f)(x) == expected


@pytest.mark.parametrize(
    ("f", "x", "error", "said"),
    [
        (lambda x: 1.0 if x > 0 else 2.0, np.ones(2), ValueError, "more than one element is ambiguous"),
        (lambda x: 1.0 if x else 2.0, np.ones(0), ValueError, "an empty array is ambiguous"),
        (lambda x: [x, x] if x == x else x, np.ones(3), ValueError, r"a\.any\(\) or a\.all\(\)"),
        (lambda x: range(x), 2.0, TypeError, "only integer scalar arrays"),
        (lambda x: [1, 2][x > 0], 2.0, TypeError, "only integer scalar arrays"),
        (lambda x: int(x), np.ones(1), TypeError, "only 0-dimensional arrays"),
        (lambda x: 1.0 * int(x), np.nan, ValueError, "cannot convert float NaN"),
        (lambda x: 1.0 * int(x), np.inf, OverflowError, "infinity"),
    ],
    ids=range(8),
)
def test_what_has_no_truth_value_or_integer_raises_as_in_numpy(f: Any, x: Any, error: Any, said: str):
    for call in (lambda: sad.jvp(f, (x,), (x,)), lambda: sad.jit(f)(x), lambda: sad.jit(sad.grad(f))(x)):
        with pytest.raises(error, match=said):
            call()


def test_an_integer_beyond_64_bits_has_no_guard():
    assert sad.jvp(lambda x: x * float(int(x)), (1e30,), (1.0,))[1] == 1e30
    with pytest.raises(ConcretizationError, match="does not fit into int64"):
        sad.jit(lambda x: x * int(x))(1e30)


# -- where there is no single value ---------------------------------------------------------------------------------


def test_inside_vmap_the_error_says_what_to_write():
    def f(x: Any) -> Any:
        if x > 0:
            return x
        return -x

    line = f"{__file__}:{f.__code__.co_firstlineno + 1}, in {f.__qualname__}"
    ways: list[Callable[[Any], Any]] = [
        sad.vmap(f),
        sad.jit(sad.vmap(f)),
        sad.vmap(sad.jit(f)),
        sad.vmap(sad.grad(f)),
        sad.jacfwd(sad.vmap(f)),
        lambda x: sad.vmap(lambda y: sad.grad(lambda z: y * z if y > z else z)(0.5))(x),
    ]
    for way in ways:
        with pytest.raises(ConcretizationError, match=r"type bool.*np\.where.*staged_ad\.cond") as caught:
            way(np.array([1.0, -1.0]))
        assert f"{__file__}:" in str(caught.value)
        assert line in str(caught.value) or way is ways[-1]
    with pytest.raises(ConcretizationError, match=r"staged_ad\.fori_loop"):
        sad.vmap(lambda n: sum([k * n for k in range(n)], 0))(np.array([1, 2]))
    with pytest.raises(ConcretizationError, match=r"x\.astype\(int\)"):
        sad.vmap(lambda x: x * int(x))(np.array([1.0, 2.0]))


def test_inside_vmap_values_that_are_not_mapped_may_decide():
    def f(x: Any, w: Any) -> Any:
        return x * w if w > 0 and np.sum(w**2) < 100 else -x

    x = np.array([1.0, 2.0])
    for w in (3.0, -3.0, 30.0):
        expected = x * w if 0 < w < 10 else -x
        np.testing.assert_array_equal(sad.vmap(f, in_axes=(0, None))(x, w), expected)
        np.testing.assert_array_equal(sad.vmap(lambda x, w=w: f(x, w))(x), expected)
        with interpreted():
            np.testing.assert_array_equal(sad.jit(sad.vmap(f, in_axes=(0, None)))(x, w), expected)
        gradient = sad.grad(lambda w: np.sum(sad.vmap(f, in_axes=(0, None))(x, w)))(w)
        assert gradient == (3.0 if 0 < w < 10 else 0.0)


def test_a_linear_function_to_be_transposed_may_not_branch_on_its_argument():
    with pytest.raises(ConcretizationError, match="linear function"):
        sad.linear_transpose(lambda x: 2 * x if x > 0 else x, 1.0)
    assert sad.linear_transpose(lambda x: 2 * x if x.ndim == 0 else x, 1.0)(1.0) == (2.0,)


def test_what_would_cut_derivatives_stays_an_error():
    for f in (float, complex, np.float64):
        with pytest.raises(ConcretizationError, match=r"test_guards\.py|Leave|not"):
            sad.grad(f)(1.0)


# -- nests ----------------------------------------------------------------------------------------------------------


def test_a_branch_may_depend_on_an_inner_derivative():
    def f(x: Any) -> Any:
        slope = sad.grad(lambda y: x * y**2 if y > 1 else y)(x)  # 2 x^2 above 1, else 1
        return slope * x if slope > 1 else -slope * x

    for x, first, second in ((2.0, 24.0, 24.0), (0.5, -1.0, 0.0)):
        assert_near(sad.grad(f)(x), first)
        assert_near(sad.hessian(f)(x), second)
        with interpreted():
            assert_near(sad.jit(sad.grad(f))(x), first)
            assert_near(sad.jit(sad.hessian(sad.jit(f)))(x), second)


def test_a_branch_on_an_outer_value_inside_an_inner_function():
    def f(x: Any) -> Any:
        inner = sad.jit(lambda y: y * x if x > y else y / x)
        return inner(2.0) + sad.grad(inner)(x / 2)

    for x in (3.0, 1.5, -1.0):
        slope = 2.0 if x > 2 else -2 / x**2
        slope += 1.0 if x > 0 else -1 / x**2
        assert_near(sad.grad(f)(x), slope)
        with interpreted():
            jitted = sad.jit(sad.grad(f))
            for again in (x, -x, x):
                jitted(again)
            assert_near(jitted(x), slope)


def test_a_branch_on_a_plain_argument_of_an_inner_jit():
    def with_plain_argument(x: Any) -> Any:
        inner = sad.jit(lambda y, z: y * z if y > 0 else -2 * z)
        return inner(3.0, x) + inner(-3.0, x)  # one of the arguments is traced, the other decides

    def with_closure(x: Any) -> Any:
        inner = sad.jit(lambda y: y * x if y > 0 else -2 * x)
        return inner(3.0) + inner(-3.0)  # no argument is traced, but the result is

    for f in (with_plain_argument, with_closure):
        assert sad.grad(f)(5.0) == 1.0
        assert "guard[" not in str(sad.trace(f)(5.0))
        assert sad.jvp(sad.grad(f), (5.0,), (1.0,)) == (1.0, 0.0)
        with interpreted():
            assert sad.jit(sad.grad(f))(5.0) == 1.0


def test_an_inner_jit_whose_path_an_outer_value_decides_is_not_reused():
    state: dict[str, Any] = {}
    inner = sad.jit(lambda y: 2 * y if state["x"] > 0 else -y)

    def f(x: Any, y: Any) -> Any:
        state["x"] = x
        return inner(y) + inner(3.0)

    with interpreted():
        for outer in (lambda x, y: sad.value_and_grad(f, (0, 1))(x, y)[0], sad.jit(f)):
            for x in (1.0, -1.0, 1.0):
                assert outer(x, 1.0) == (8.0 if x > 0 else -4.0)


def test_each_equation_is_evaluated_once_however_often_python_asks():
    evaluated = 0

    def f(x: Any) -> Any:
        y = x
        while y > 0:
            y = y - 1.0
        return y * x

    sub = PRIMITIVES["sub"]
    original = sub.evaluate

    def counting(*args: Any, **params: Any) -> Any:
        nonlocal evaluated
        evaluated += 1
        return original(*args, **params)

    object.__setattr__(sub, "evaluate", counting)
    try:
        trace_call(f, [200.0], {})
        assert evaluated == 200
        trace_call(lambda x: sad.grad(f)(x), [200.0], {})
        assert evaluated == 400
    finally:
        object.__setattr__(sub, "evaluate", original)


# -- the guards themselves ------------------------------------------------------------------------------------------


def guarded(f: Callable[..., Any], *args: Any, forced: tuple[bool | int, ...] = ()) -> Any:
    leaves, spec = flatten(list(args))
    trace = Trace(guarded=True, forced=forced)
    return trace_prepared(f, spec, [type_of(x) for x in leaves], {}, meanings=leaves, trace=trace)


def test_guards_surface_in_the_outermost_program_alone():
    def f(x: Any) -> Any:
        return x * x if x > 0 else x

    traced = guarded(lambda x: sad.grad(lambda y: sad.jit(f)(y) * y)(x), 2.0)
    verify(traced.program)
    assert [(g.expected, g.source.line) for g in traced.guards] == [(True, f.__code__.co_firstlineno + 1)]
    assert [e.params for e in traced.program.equations if e.primitive.name == "guard"] == [
        {"expected": True, "number": 0}
    ]
    assert evaluate(traced.program, 3.0) == [27.0]
    with pytest.raises(GuardFailure) as caught:
        evaluate(traced.program, -3.0)
    assert (caught.value.number, caught.value.expected, caught.value.found) == (0, True, False)


def test_a_value_is_guarded_once_for_each_kind_of_question():
    def f(x: Any) -> Any:
        positive = x > 0
        n = x.astype(int)
        return sum([float(bool(positive)) + k for k in range(n)], 0.0) * x + int(n) if positive else x

    assert [g.expected for g in guarded(f, 3.0).guards] == [True, 3]


def test_what_does_not_depend_on_arguments_needs_no_guard():
    f = lambda x: x if np.sum(np.ones(3)) > 2 else -x
    assert guarded(f, 1.0).guards == ()
    assert guarded(lambda x: x if sad.grad(lambda y: y if y > 0 else -y)(2.0) > 0 else -x, 1.0).guards == ()
    traced = guarded(lambda x: x if x.shape == () else -x, 1.0)
    assert traced.guards == ()
    assert not traced.pinned


def test_an_outcome_may_be_forced():
    f = lambda x: (x if x > 0 else -x) * int(x)
    assert guarded(f, 2.0, forced=(False,)).outcomes == (False, 2)
    assert guarded(f, 2.0, forced=(False, 7)).outcomes == (False, 7)
    assert guarded(f, 2.0).outcomes == (True, 2)


def test_programs_without_meanings_cannot_be_read():
    with pytest.raises(ConcretizationError):
        trace_flat(lambda x: [x if x > 0 else -x], [type_of(1.0)], "f")


def test_a_guard_cannot_be_transformed():
    program = guarded(lambda x: x if x > 0 else -x, 1.0).program
    only = program.equations[-1].primitive
    assert only.name == "guard"
    with pytest.raises(NotDifferentiableError, match="guard"):
        only.jvp([True], [None], expected=True, number=0)
    with pytest.raises(NotDifferentiableError, match="guard"):
        vmap_program(program, [True], 3)


def test_a_finished_trace_keeps_no_arrays():
    traces = []

    def f(x: Any) -> Any:
        traces.append(x.owner)
        return x if np.sum(x) > 0 else -x

    sad.jacfwd(f)(np.ones(3))
    assert traces[0].meanings == {}


def in_place(one: Any, other: Any) -> Any:
    one *= other
    return one


REPEATS: list[Callable[[Any], Any]] = [
    lambda n: np.array([1.0] * n + [2.0]),
    lambda n: np.array(n * [1.5]),
    lambda n: np.array(n * (1, 2)),
    lambda n: np.array(len("ab" * n)),
    lambda n: np.array([1.0] * (n > 2) + (n == 3) * [2.0] + [3.0]),
    lambda n: np.array(in_place([n * 2.0, 1.0], n)),
    lambda n: np.array(in_place(n, [n * 2.0, 1.0])),
    lambda n: np.array([n * 1.5] * (1 + np.argmax(np.array([1.0, n, 2.0])))),
]


@pytest.mark.parametrize("f", REPEATS)
def test_a_list_times_a_number_is_the_list_so_often(f: Callable[[Any], Any]) -> None:
    compiled = sad.jit(f)
    for n in (3, 1, 3, 2, True):
        assert np.array_equal(compiled(n), f(n))


def test_a_list_that_is_repeated_in_place_stays_itself() -> None:
    def f(n: Any) -> Any:
        numbers = same = [1.0]
        numbers *= n
        return np.array(same)

    assert np.array_equal(sad.jit(f)(3), np.ones(3))


def test_a_list_times_an_array_is_their_product() -> None:
    f = lambda x: [2.0, 3.0] * (x + np.arange(2)) + [1.0, 2.0] * np.array(np.sum(x, dtype=int))
    assert np.array_equal(sad.jit(f)(np.arange(2)), f(np.arange(2)))


def test_a_list_times_what_may_be_a_number_or_an_array_is_refused() -> None:
    f = sad.jit(lambda n: np.asarray(n * [1.0, 2.0]))
    for n in (np.int64(3), np.array(3), np.array(True)):
        with pytest.raises(ArgumentError, match=r"\* int\(n\) to repeat, np.array\(\[...\]\) \* n to multiply"):
            f(n)
