"""Random nests of loops, branches and transforms: staged_ad against the same nest in plain Python, and itself.

Invariant: slopes are those of the plain nest; an example whose slope crosses a decision is rejected.
Start at nests.py, where nests are drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.ir import Equation, Literal, Program, Var, evaluate, verify
from staged_ad.passes import PIPELINE, optimize
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.vjp import value_and_grad_program, vjp_program
from staged_ad.transforms.vmap import vmap_program
from tests.backends import MODES, in_mode
from tests.nests import SIZE, Derivative, Nest, nests
from tests.numerics import assert_close, directional, inner
from tests.plain import CrossedError, Plain

Point = tuple[Any, Any, Any]
DIRECTION = (0.7, np.array([0.4, -1.0, 0.3]))


@st.composite
def points(draw: Any) -> Point:
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return rng.uniform(-1, 1), rng.uniform(-1, 1, SIZE), int(rng.integers(0, 4))


def lanes(point: Point) -> tuple[Any, Any, Any]:
    """Three points that differ in trip counts and branches too."""
    s, v, k = point
    return np.array([s, -s, 0.5 * s]), np.stack([v, -v, v[::-1]]), np.array([k, k + 1, k + 2])


def tolerance(nest: Nest, exact: float, single: float = 1e-4) -> float:
    """What rounding allows: of float64, of float32, and of the differences that stand for derivatives in a nest."""
    if nest.single:
        return single
    return max(exact, 1e-6) if nest.holds(Derivative) else exact


def assert_all_close(found: Any, expected: Any, tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, tolerance)


def total(nest: Nest) -> Callable[[Any, Any, Any], Any]:
    return lambda s, v, k: nest.total(sad, s, v, k)


def along(f: Callable[..., Any], s: Any, v: Any, k: Any) -> Any:
    """The value of `f` and its derivative along DIRECTION, by forward mode."""
    return sad.jvp(lambda s, v: f(s, v, k), (s, v), DIRECTION)


@settings(max_examples=100)
@given(nests(), points())
def test_nests_give_what_plain_python_gives(nest: Nest, point: Point):
    plain = Plain()
    try:
        expected = nest(plain, *point)
    except CrossedError:
        assume(False)
    for mode in MODES:
        found = in_mode(mode, lambda s, v, k: nest(sad, s, v, k))(*point)
        assert_all_close(found, expected, tolerance(nest, 1e-11, 1e-5))
        assert [np.asarray(x).dtype for x in found] == ["f8", "f8", "f4", "i8"]


@settings(max_examples=60)
@given(nests(), points())
def test_forward_reverse_and_differences_of_the_plain_nest_agree(nest: Nest, point: Point):
    s, v, k = point
    plain = Plain()
    try:
        _, expected = plain.directional(lambda s, v: nest.total(plain, s, v, k), (s, v), DIRECTION)
    except CrossedError:
        assume(False)
    for mode in MODES:
        y, y_dot = in_mode(mode, lambda s, v, k: along(total(nest), s, v, k))(s, v, k)
        value, gradient = in_mode(mode, sad.value_and_grad(total(nest), (0, 1)))(s, v, k)
        assert_close(y_dot, expected[0], tolerance(nest, 1e-8))
        assert_close(inner(gradient, DIRECTION), y_dot, tolerance(nest, 1e-10))
        assert_close(value, y, tolerance(nest, 1e-11))


@settings(max_examples=20)
@given(nests(), points())
def test_second_derivatives_agree_in_all_orders(nest: Nest, point: Point):
    f, (s, v, k) = total(nest), point
    gradient = sad.grad(f, (0, 1))
    forward_over_reverse = lambda s, v, k: along(gradient, s, v, k)[1]
    reverse_over_forward = sad.grad(lambda s, v, k: along(f, s, v, k)[1], (0, 1))
    reverse_over_reverse = lambda s, v, k: sad.vjp(lambda s, v: gradient(s, v, k), s, v)[1](DIRECTION)
    product = sad.hvp(lambda s, v: f(s, v, k), (s, v), DIRECTION)
    for mode in MODES:
        for second in (forward_over_reverse, reverse_over_forward, reverse_over_reverse):
            assert_all_close(in_mode(mode, second)(s, v, k), product, tolerance(nest, 1e-9, 1e-3))
    hessian = sad.hessian(lambda v: f(s, v, k))(v)
    assert_close(hessian, sad.jacrev(sad.grad(lambda v: f(s, v, k)))(v), tolerance(nest, 1e-9, 1e-3))
    if nest.single:
        return
    plain = Plain()
    try:
        plain.directional(lambda s, v: nest.total(plain, s, v, k), (s, v), DIRECTION)
    except CrossedError:
        assume(False)
    program = trace_call(gradient, point, {}, by_value=False).program
    flat = lambda s, v: np.hstack(evaluate(program, s, v, k))
    assert_close(np.hstack(product), directional(flat, (s, v), DIRECTION), tolerance(nest, 1e-7))


@settings(max_examples=30)
@given(nests(), points())
def test_vmap_is_a_loop_where_trip_counts_and_branches_differ(nest: Nest, point: Point):
    gradient = sad.grad(total(nest), (0, 1))
    mapped = lanes(point)
    for f, exact in ((lambda s, v, k: nest(sad, s, v, k), 1e-11), (gradient, 1e-10)):
        expected = [np.stack(parts) for parts in zip(*[f(*lane) for lane in zip(*mapped, strict=True)], strict=True)]
        for mode in MODES:
            assert_all_close(in_mode(mode, sad.vmap(f))(*mapped), expected, tolerance(nest, exact))
    summed = sad.grad(lambda s, v, k: np.sum(sad.vmap(total(nest))(s, v, k)), (0, 1))
    for mode in MODES:
        assert_all_close(in_mode(mode, summed)(*mapped), expected, tolerance(nest, 1e-10))


def strong(program: Program) -> Program:
    """`program` without marks of weak types, which passes do not keep."""
    names: dict[Var, Var] = {}

    def renamed(atom: Any) -> Any:
        if isinstance(atom, Literal):
            return Literal(atom.value, atom.type.strong())
        return names.setdefault(atom, Var(atom.type.strong()))

    inputs = tuple(map(renamed, program.inputs))
    equations = []
    for equation in program.equations:
        inside = equation.with_programs(strong)
        params = {name: value for name, value in inside.params.items() if name != "weak"}
        params |= {"weak": False} if "weak" in inside.params else {}
        atoms, results = tuple(map(renamed, inside.inputs)), tuple(map(renamed, inside.outputs))
        equations.append(Equation(inside.primitive, atoms, params, results, inside.source))
    return Program(inputs, tuple(equations), tuple(map(renamed, program.outputs)), program.name)


@settings(max_examples=60)
@given(nests(), points())
def test_programs_are_sound_before_and_after_every_transform_and_pass(nest: Nest, point: Point):
    traced = trace_call(total(nest), point, {})
    whole, active = verify(traced.program), [True, True, False]
    pullback, gradient = vjp_program(whole, active), value_and_grad_program(whole, active)
    mapped, _ = vmap_program(whole, [True] * len(whole.inputs), 2)
    for program in (whole, jvp_program(whole, active), pullback.forward, pullback.backward, gradient, mapped):
        rewritten = verify(program)
        for rewrite in PIPELINE:
            rewritten = rewrite(rewritten)
            verify(strong(rewritten))
    assert_all_close(
        evaluate(optimize(gradient), *traced.values), evaluate(gradient, *traced.values), tolerance(nest, 1e-10)
    )
