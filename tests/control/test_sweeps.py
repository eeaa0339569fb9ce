"""Checkpointed loops: derivatives are those of plain loops, with the forward steps that the tables give.

Invariant: a plain loop and a checkpointed one are the same function.
Start at ``loop``, which makes random ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.control import sweep_run
from staged_ad.control.schedules import Action, forward_steps, schedule
from staged_ad.control.sweep_plan import decoded, encoded, saves
from staged_ad.ir import Program, verify
from staged_ad.passes import optimize
from tests.backends import MODES, in_mode
from tests.numerics import assert_close

RNG = np.random.default_rng(7)
W = RNG.normal(size=(3, 3)) / 2


class State(NamedTuple):
    s: Any
    v: Any
    k: Any


UPDATES: list[Callable[[State, Any, Any], State]] = [
    lambda c, w, x: c._replace(v=np.tanh(w @ c.v + x)),
    lambda c, w, x: c._replace(v=np.sin(c.v) * np.cos(w[0]) + c.s * x),
    lambda c, w, x: c._replace(s=c.s + np.sum(c.v * x) * 0.1),
    lambda c, w, x: c._replace(s=np.sin(c.s) * np.max(c.v)),
    lambda c, w, x: c._replace(s=np.exp(-c.s * c.s) + 0.5),
    lambda c, w, x: c._replace(k=c.k + 1, v=c.v * np.where(c.k % 2 == 0, 0.9, 1.1)),
    lambda c, w, x: c._replace(v=np.where(c.v > 0, c.v, 0.1 * c.v) + w.T @ x),
    lambda c, w, x: c._replace(v=c.v[::-1] / (1 + c.s**2)),
]
RESULTS: list[Callable[[State, Any, Any], Any]] = [
    lambda c, w, x: c.v,
    lambda c, w, x: c.s * c.v * x,
    lambda c, w, x: np.sum(w @ c.v) ** 2,
    lambda c, w, x: c.k,
]


def loop(updates: list[int], results: list[int], reverse: bool, slots: int | None) -> Callable[..., Any]:
    """A scalar function (w, s, v, xs) of a scan."""

    def f(w: Any, s: Any, v: Any, xs: Any) -> Any:
        def body(c: State, x: Any) -> tuple[State, Any]:
            for number in updates:
                c = UPDATES[number](c, w, x)
            return c, tuple(RESULTS[number](c, w, x) for number in results)

        end, ys = sad.scan(body, State(s, v, 0), xs, reverse=reverse, checkpoint=slots)
        return np.sum(end.v) + np.sin(end.s) + sum(np.sum(np.asarray(RAMP[: xs.shape[0]]) @ (y * 1.0)) for y in ys)

    return f


RAMP = np.linspace(0.5, 1.5, 64)


def arguments(length: int) -> tuple[Any, ...]:
    rng = np.random.default_rng(length)
    return W, 0.3, rng.normal(size=3), rng.normal(size=(length, 3))


def same(found: Any, expected: Any, tolerance: float = 1e-9) -> None:
    found = found if isinstance(found, tuple) else (found,)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for x, y in zip(found, expected, strict=True):
        assert_close(x, y, tolerance)


def primitives(program: Program) -> set[str]:
    names = set()
    for equation in program.equations:
        names.add(equation.primitive.name)
        for inner in equation.programs:
            names |= primitives(inner)
    return names


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, len(UPDATES) - 1), min_size=1, max_size=4),
    st.lists(st.integers(0, len(RESULTS) - 1), max_size=2),
    st.booleans(),
    st.sampled_from([0, 1, 2, 7, 30]),
    st.integers(1, 8),
    st.sampled_from(MODES),
)
def test_the_gradient_is_that_of_the_plain_scan(
    updates: list[int], results: list[int], reverse: bool, length: int, slots: int, mode: str
):
    args = arguments(length)
    plain, swept = loop(updates, results, reverse, None), loop(updates, results, reverse, slots)
    expected = sad.value_and_grad(plain, (0, 1, 2, 3))(*args)
    assume(max(np.max(np.abs(x), initial=0) for x in expected[1]) < 1e4)  # chaos amplifies rounding
    value, gradient = in_mode(mode, sad.value_and_grad(swept, (0, 1, 2, 3)))(*args)
    assert_close(value, expected[0], 1e-10)
    same(gradient, expected[1])


def newton(f: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Derivatives of second and third order of a scalar function of one vector, by every order of the modes."""
    dotted = lambda g: lambda v: np.sum(np.sin(g(v)))
    hvp = lambda v: sad.jvp(sad.grad(f), (v,), (np.ones(3),))[1]
    along = lambda u: sad.jvp(sad.grad(f), (0.1 * u + 0.2,), (u,))[1]
    return {
        "hessian": sad.hessian(f),
        "reverse over reverse": sad.jacrev(sad.jacrev(f)),
        "reverse over forward": sad.jacrev(sad.jacfwd(f)),
        "forward over forward": sad.jacfwd(sad.jacfwd(f)),
        "hvp": hvp,
        "grad of grad of grad": sad.grad(dotted(sad.grad(dotted(sad.grad(f))))),
        "grad of hvp": sad.grad(dotted(hvp)),
        "grad along the tangent": sad.grad(dotted(along)),
        "linearize": lambda v: sad.linearize(sad.grad(f), v)[1](np.ones(3)),
    }


def counted(w: Any, v: Any, n: Any, slots: int | None) -> Any:
    """A loop whose length is known only when it runs."""
    body = lambda i, v: np.tanh(w @ v) * np.cos(v) + 0.1 * i
    return np.sum(sad.fori_loop(0, n, body, v, checkpoint=slots) ** 2)


def conditional(w: Any, v: Any, n: Any, slots: int | None) -> Any:
    step = lambda c: (c[0] + 1, np.tanh(w @ c[1]) * np.cos(c[1]) + 0.1 * c[0])
    return np.sum(sad.while_loop(lambda c: c[0] < n, step, (0.0, v), checkpoint=slots)[1] ** 2)


SCAN = lambda v, n, slots: loop([0, 2, 5, 3], [1], False, slots)(W, 0.3, v, arguments(7)[3])
COUNTED = lambda v, n, slots: counted(W, v, n, slots)
CONDITIONAL = lambda v, n, slots: conditional(W, v, n, slots)
FORMS = {"scan": SCAN, "counted": COUNTED, "conditional": CONDITIONAL}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("order", newton(np.sum))
def test_higher_derivatives_are_those_of_the_plain_loop(form: str, order: str, mode: str):
    def at(slots: int | None) -> Callable[..., Any]:
        return lambda v, n: newton(lambda v: FORMS[form](v, n, slots))[order](v)

    v = arguments(3)[2]
    same(in_mode(mode, at(3))(v, 7), at(None)(v, 7))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["counted", "conditional"])
@pytest.mark.parametrize("slots", [1, 2, 3, 5])
def test_loops_of_any_length_have_the_gradient_of_plain_ones(form: str, slots: int, mode: str):
    f = {"counted": counted, "conditional": conditional}[form]
    v = arguments(3)[2]
    swept = in_mode(mode, sad.value_and_grad(lambda w, v, n: f(w, v, n, slots), (0, 1)))
    for n in (0, 1, 2, 7, 30):
        value, gradient = swept(W, v, n)
        expected = sad.value_and_grad(lambda w, v, n: f(w, v, n, None), (0, 1))(W, v, n)
        assert_close(value, expected[0], 1e-10)
        same(gradient, expected[1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", FORMS)
def test_vmap_in_any_order_with_grad(form: str, mode: str):
    vs, ns = RNG.normal(size=(4, 3)), np.array([1, 0, 7, 4])
    swept, plain = (lambda v, n, s=s: FORMS[form](v, n, s) for s in (3, None))
    expected = np.stack([sad.grad(plain)(v, n) for v, n in zip(vs, ns.tolist(), strict=True)])
    same(in_mode(mode, sad.vmap(sad.grad(swept)))(vs, ns), expected)
    same(in_mode(mode, sad.grad(lambda vs, ns: np.sum(sad.vmap(swept)(vs, ns))))(vs, ns), expected)
    once = sad.vmap(sad.grad(swept), (0, None))
    same(in_mode(mode, once)(vs, 4), np.stack([sad.grad(plain)(v, 4) for v in vs]))
    squares = lambda f: lambda vs, ns: np.sum(np.sin(sad.vmap(sad.grad(f))(vs, ns)))
    same(in_mode(mode, sad.grad(squares(swept)))(vs, ns), sad.grad(squares(plain))(vs, ns))


def nested(kind: str, slots: int | None) -> Callable[..., Any]:
    def f(w: Any, v: Any, xs: Any) -> Any:
        def inner(v: Any, x: Any) -> tuple[Any, Any]:
            return np.sin(w @ v + x), np.sum(v)

        def outer(v: Any, x: Any) -> tuple[Any, Any]:
            match kind:
                case "scan":
                    v, ys = sad.scan(inner, v, np.stack([x, 2 * x, x * x, x + 1]), checkpoint=slots and 2)
                    return v, np.sum(ys**2)
                case "plain while":
                    v = sad.while_loop(lambda v: np.sum(v * v) > 0.2, lambda v: 0.7 * np.sin(v), v + x)
                case "checkpointed while":
                    going = lambda v: np.sum(v * v) > 0.2
                    v = sad.while_loop(going, lambda v: 0.7 * np.sin(v), v + x, checkpoint=slots)
                case "counted":
                    v = sad.fori_loop(0, (np.abs(x[0]) * 4).astype(int), lambda i, v: inner(v, x)[0], v)
                case "cond":
                    v = sad.cond(np.sum(v) > 0, lambda v: inner(v, x)[0], lambda v: np.cos(v), v)
            return v, v[0]

        end, ys = sad.scan(outer, v, xs, checkpoint=slots)
        return np.sum(end**2) + np.sum(ys**3)

    return f


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["scan", "plain while", "checkpointed while", "counted", "cond"])
def test_loops_and_branches_inside(kind: str, mode: str):
    args = (W, RNG.normal(size=3), RNG.normal(size=(9, 3)))
    same(in_mode(mode, sad.grad(nested(kind, 3), (0, 1, 2)))(*args), sad.grad(nested(kind, None), (0, 1, 2))(*args))
    second = lambda f: sad.grad(lambda *a: np.sum(np.sin(sad.grad(f)(*a))), (0, 1, 2))
    same(in_mode(mode, second(nested(kind, 3)))(*args), second(nested(kind, None))(*args), 1e-8)


@pytest.mark.parametrize("mode", MODES)
def test_a_checkpointed_scan_in_a_branch_and_in_a_plain_loop(mode: str):
    def f(v: Any, xs: Any, n: Any, slots: int | None) -> Any:
        swept = lambda v: sad.scan(lambda v, x: (np.sin(W @ v + x), None), v, xs, checkpoint=slots)[0]
        v = sad.cond(n > 0, swept, np.cos, v)
        v = sad.fori_loop(0, 3, lambda i, v: swept(v), v)
        return np.sum(sad.while_loop(lambda v: np.sum(v * v) > 0.5, lambda v: 0.5 * swept(v), v))

    _, _, v, xs = arguments(7)
    for n in (0, 1):
        found = in_mode(mode, sad.grad(lambda v, xs, n: f(v, xs, n, 2), (0, 1)))(v, xs, n)
        same(found, sad.grad(lambda v, xs, n: f(v, xs, n, None), (0, 1))(v, xs, n))


@pytest.mark.parametrize("mode", MODES)
def test_dtypes_are_kept(mode: str):
    def f(v: Any, slots: int | None) -> Any:
        def body(c: Any, x: Any) -> Any:
            v, on, k = c
            return (np.where(on, np.sin(v) * x, np.tanh(v) + x), ~on, k + np.int8(1)), (v * k, on)

        (v, _, _), (ys, _) = sad.scan(body, (v, True, np.int8(0)), np.ones(9, np.float32), checkpoint=slots)
        return np.sum(v) + np.sum(ys)

    v = np.linspace(0, 1, 5, dtype=np.float32)
    found = in_mode(mode, sad.grad(lambda v: f(v, 2)))(v)
    assert found.dtype == np.float32
    assert_close(found, sad.grad(lambda v: f(v, None))(v), 1e-4)


# -- numbers of forward steps -------------------------------------------------------------------------------------


def steps(monkeypatch: pytest.MonkeyPatch, run: Callable[[], Any]) -> int:
    """How often `run` runs an iteration of a checkpointed loop."""
    count = 0
    step = sweep_run.step

    def counting(program: Program, values: Any) -> Any:
        nonlocal count
        count += 1
        return step(program, values)

    monkeypatch.setattr(sweep_run, "step", counting)
    run()
    monkeypatch.undo()
    return count


def recurrent(slots: int | None) -> Callable[..., Any]:
    """A residual set is two states, those around the iteration."""
    return lambda h, xs: np.sum(sad.scan(lambda h, x: (np.tanh(W @ h + x), None), h, xs, checkpoint=slots)[0])


def heavy(slots: int | None) -> Callable[..., Any]:
    """A residual set is ten states."""

    def body(h: Any, x: Any) -> Any:
        for _ in range(10):
            h = np.tanh(np.sin(h))
        return h, None

    return lambda h, n: np.sum(sad.scan(body, h, length=n, checkpoint=slots)[0])


@pytest.mark.parametrize(("length", "slots", "expected"), [(1000, 50, 1950), (100, 10, None), (100, 5, None)])
def test_residual_sets_need_the_forward_steps_of_gruslys(monkeypatch, length: int, slots: int, expected: int | None):
    xs = np.zeros((length, 3))
    found = steps(monkeypatch, lambda: sad.grad(recurrent(slots), (0, 1))(np.ones(3), xs))
    assert found == forward_steps(length, slots, "residuals")
    assert expected in (None, found)


@pytest.mark.parametrize("order", ["value_and_grad", "grad"])
def test_few_large_residual_sets_become_many_states(monkeypatch, order: str):
    h = np.ones(8)  # a state is 64 bytes, which slots are aligned to
    program = sad.value_and_grad(lambda h: heavy(1)(h, 300))
    sets = optimize(trace_call(program, (h,), {}).program)
    (forward,) = (e for e in sets.equations if e.primitive.name == "run_forward")
    layout = forward.params["layout"]
    states = layout.set_bytes // layout.state_bytes
    found = steps(monkeypatch, lambda: getattr(sad, order)(lambda h: heavy(5)(h, 1000))(h))
    assert found == forward_steps(1000, 5 * states, "states")


def test_the_states_of_fifty_slots_need_the_forward_steps_of_revolve(monkeypatch):
    h = np.ones(8)
    body = lambda h, _: (np.tanh(np.tanh(np.tanh(np.tanh(np.tanh(h))))), None)  # five residuals, one of them the state
    f = lambda h: np.sum(sad.scan(body, h, length=1000, checkpoint=10)[0])
    assert steps(monkeypatch, lambda: sad.grad(f)(h)) == forward_steps(1000, 50, "states") == 2948


def test_a_loop_of_unknown_length_needs_at_most_a_quarter_more(monkeypatch):
    for n in (30, 100, 333):
        for slots in (2, 5, 10):
            f = lambda h, n, slots=slots: np.sum(
                sad.fori_loop(0, n, lambda i, h: np.tanh(h) * np.cos(h), h, checkpoint=slots)
            )
            traced = optimize(trace_call(sad.grad(f), (np.ones(8), n), {}).program)
            (back,) = (e for e in traced.equations if e.primitive.name == "run_backward")
            found = steps(monkeypatch, lambda f=f, n=n: sad.grad(f)(np.ones(8), n))
            assert found <= 1.25 * forward_steps(n, back.params["slots"], "states") + 2


# -- programs -----------------------------------------------------------------------------------------------------


def test_programs_verify_before_and_after_passes():
    for form in FORMS.values():
        for order in newton(np.sum):
            f = lambda v, n, form=form, order=order: newton(lambda v: form(v, n, 3))[order](v)
            traced = trace_call(f, (np.ones(3), 7), {})
            verify(optimize(verify(traced.program)))


def test_reverse_mode_of_a_checkpointed_loop_stacks_no_residuals():
    for form in FORMS.values():
        traced = trace_call(sad.grad(lambda v, n, form=form: form(v, n, 3)), (np.ones(3), 7), {})
        names = primitives(optimize(traced.program))
        assert {"run_forward", "run_backward"} <= names
        assert not names & {"scan", "while"}


def test_enough_slots_make_a_plain_loop():
    traced = trace_call(sad.grad(lambda v: SCAN(v, 7, 7)), (np.ones(3),), {})
    assert "run_backward" not in primitives(optimize(traced.program))


def test_a_loop_of_unknown_length_stores_no_more_states_than_help():
    f = lambda v, n: np.sum(sad.fori_loop(0, n, lambda i, v: np.sin(v) * v, v, checkpoint=10**9))
    v = np.linspace(0.1, 1, 3)
    plain = lambda v, n: np.sum(sad.fori_loop(0, n, lambda i, v: np.sin(v) * v, v))
    same(sad.jit(sad.grad(f))(v, 9), sad.grad(plain)(v, 9))


# -- tables -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(1, 20))
def test_states_lie_where_they_are_restored_from(length: int, slots: int):
    """A table is followed on state numbers, with places for states apart from residual sets."""
    table, places = encoded(schedule(length, slots, "residuals"), shared=False)
    states: dict[int, int] = {-1: 0}
    now, origin = 0, -1
    for row in table.tolist():
        action, slot, step = decoded(row)
        match action:
            case Action.ADVANCE:
                now, origin = step, -2
            case Action.RESTORE:
                assert states[slot] == step
                now, origin = step, slot
            case Action.TAPE:
                assert step < places
                assert step < 0 or step != origin, "a state is overwritten while it is read"
                now += 1
                states[step if step >= 0 else -2] = now
                origin = step
            case _:
                pass


def test_saves_of_a_loop_of_unknown_length_come_in_order_and_never_end():
    for slots in (1, 2, 3, 10, 50):
        table = saves(slots)
        assert table[-1, 0] > 2**60
        assert np.all(np.diff(table[:, 0]) > 0)
        assert np.all((table[:-1, 1] >= 0) & (table[:-1, 1] < slots - 1))
