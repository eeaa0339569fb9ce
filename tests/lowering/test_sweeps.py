"""Checkpointed loops as machine code: memory, caches of others, threads.

Invariant: no timings; memory is what the code asks for.
Start at ``gradient``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.lowering.compiled import Compiled, compile_program
from tests.numerics import assert_close

LENGTH, BATCH, WIDTH = 1000, 64, 128


def compiled(f: Callable[..., Any], *args: Any) -> Compiled:
    return compile_program(trace_call(f, args, {}).program)


def gradient(slots: int | None, accumulated: bool) -> Callable[..., Any]:
    """Of a recurrent network, with a loss at the end or summed up on the way."""

    def loss(w: Any, h: Any, xs: Any) -> Any:
        def body(c: Any, x: Any) -> Any:
            h = np.tanh(c[0] @ w + x)
            return (h, c[1] + np.mean(h * h) if accumulated else c[1]), None

        h, total = sad.scan(body, (h, 0.0), xs, checkpoint=slots)[0]
        return total + np.sum(h * h)

    return sad.value_and_grad(loss, (0, 1))


@pytest.mark.parametrize("accumulated", [False, True])
def test_a_twentieth_of_the_slots_needs_at_most_six_percent_of_the_memory(accumulated: bool):
    args = np.zeros((WIDTH, WIDTH)), np.zeros((BATCH, WIDTH)), np.zeros((LENGTH, BATCH, WIDTH))
    plain = compiled(gradient(None, accumulated), *args).module.storage
    swept = compiled(gradient(50, accumulated), *args).module.storage
    extra = sum(array.nbytes for array in swept.constants) - sum(array.nbytes for array in plain.constants)
    assert swept.workspace + extra <= 0.06 * plain.workspace


def test_a_cache_that_is_an_operand_or_a_result_is_not_changed():
    """The two halves as programs of their own: the cache goes from one to the other, twice."""
    f = lambda h: np.sum(sad.scan(lambda h, _: (np.sin(h) * h, None), h, length=30, checkpoint=3)[0])
    h = np.linspace(0.1, 1, 7)
    pull = sad.vjp(sad.jit(f), h)[1]
    expected = sad.grad(f)(h)
    for _ in range(2):
        assert_close(pull(1.0)[0], expected, 1e-12)

    def both(h: Any) -> Any:  # one cache, read by two sweeps
        _, pull = sad.vjp(f, h)
        return pull(1.0)[0] + 2 * pull(0.5)[0] ** 2

    assert_close(sad.jit(both)(h), expected + 0.5 * expected**2, 1e-12)


@pytest.mark.parametrize("form", ["scan", "while", "fori"])
def test_threads_run_one_compiled_function_at_once(form: str):
    def f(h: Any, n: Any) -> Any:
        step = lambda h: np.tanh(h) * np.cos(h)
        match form:
            case "scan":
                h = sad.scan(lambda h, _: (step(h), None), h, length=50, checkpoint=3)[0] * n
            case "while":
                h = sad.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, step(c[1])), (0, h), checkpoint=3)[1]
            case _:
                h = sad.fori_loop(0, n, lambda i, h: step(h), h, checkpoint=3)
        return np.sum(h)

    swept, rng = sad.jit(sad.grad(f)), np.random.default_rng(0)
    cases = [(rng.normal(size=40), int(n)) for n in rng.integers(1, 200, 24)]
    expected = [sad.grad(f)(*case) for case in cases]
    swept(*cases[0])
    found: list[Any] = [None] * len(cases)

    def run(first: int) -> None:
        for _ in range(5):
            for k in range(first, len(cases), 4):
                found[k] = swept(*cases[k])

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for x, y in zip(found, expected, strict=True):
        assert_close(x, y, 1e-10)


def test_lanes_of_a_parallel_loop_ask_for_tables_of_their_own():
    f = lambda h, n: np.sum(sad.fori_loop(0, n, lambda i, h: np.tanh(h) * np.cos(h), h, checkpoint=3))
    hs, ns = np.random.default_rng(0).normal(size=(300, 50)), np.arange(300) % 70
    found = sad.jit(sad.vmap(sad.grad(f)))(hs, ns)
    for k in (0, 1, 69, 150, 299):
        assert_close(found[k], sad.grad(f)(hs[k], int(ns[k])), 1e-10)


def test_the_loops_text_names_the_slots():
    f = sad.grad(lambda h: np.sum(sad.scan(lambda h, _: (np.sin(h) * h, None), h, length=30, checkpoint=3)[0]))
    text = compiled(f, np.ones(4)).text("loops")
    assert "run_backward" in text
    assert "slots" in text


def test_what_does_not_change_is_computed_before_the_sweep():
    def f(w: Any, h: Any) -> Any:
        return np.sum(sad.scan(lambda h, _: (np.sin(h @ (w @ w @ w)), None), h, length=30, checkpoint=3)[0])

    w, h = np.eye(3) / 2 + 0.1, np.ones(3)
    found = compiled(sad.grad(f, 1), w, h)
    sweeps = [e for e in found.program.equations if e.primitive.name.startswith("run_")]
    inside = [sum(e.primitive.name == "dot_general" for e in p.equations) for s in sweeps for p in s.programs]
    assert max(inside) == 1
    assert_close(found(w, h)[0] if len(found.program.outputs) == 1 else found(w, h)[-1], sad.grad(f, 1)(w, h), 1e-12)


@pytest.mark.parametrize("form", ["scan", "fori_loop"])
def test_states_without_elements_need_no_memory(form: str):
    def f(c: Any, xs: Any) -> Any:
        if form == "fori_loop":
            return np.sum(sad.fori_loop(0, len(xs) + np.max(xs).astype(int), lambda i, c: np.tanh(c), c, checkpoint=2))
        c, ys = sad.scan(lambda c, x: (np.tanh(c * x), np.exp(c)), c, xs, checkpoint=1)
        return np.sum(c) + np.sum(ys)

    found = sad.jit(sad.grad(f, argnums=(0, 1)))(np.ones(0), np.ones(3))
    assert [x.tolist() for x in found] == [[], [0.0, 0.0, 0.0]]
