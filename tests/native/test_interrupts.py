"""Signals that come while compiled code runs: handlers are called, and what they raise ends the call.

Invariant: the function works on after it. Start at ``test_a_handler_ends_a_loop``.
"""

from __future__ import annotations

import ctypes
import itertools
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.native import llvm
from staged_ad.native.interrupts import DECLARATION, INTERRUPTED, MOST, every, question


class Alarm(Exception):  # noqa: N818  # raised by a handler
    """A signal came."""


@pytest.fixture
def alarm() -> Iterator[Callable[[], None]]:
    """A function after which the handler of a signal raises Alarm, soon."""

    def handler(*_: Any) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, handler)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 0.05)  # type: ignore[func-returns-value, misc]
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def endless(x: Any, last: Any) -> Any:
    return sad.while_loop(lambda carry: carry[0] < last, lambda carry: (carry[0] + 1, np.cos(carry[1])), (0.0, x))[1]


def nested(x: Any, last: Any) -> Any:
    return sad.scan(lambda x, _: (endless(x, last), None), x, None, length=3)[0]


def ends_and_goes_on(f: Any, alarm: Callable[[], None]) -> None:
    short = f(0.5, 3.0)
    alarm()
    with pytest.raises(Alarm):
        f(0.5, 1e15)
    assert f(0.5, 3.0) == short


def test_a_handler_ends_a_loop(alarm: Callable[[], None]) -> None:
    ends_and_goes_on(sad.jit(endless), alarm)


def test_a_handler_ends_a_loop_inside_of_another(alarm: Callable[[], None]) -> None:
    ends_and_goes_on(sad.jit(nested), alarm)


def test_slow_steps_ask_often_and_quick_ones_seldom() -> None:
    assert every(1.0) == MOST
    assert every(1e9) == 1
    assert all(every(10.0**k) & (every(10.0**k) - 1) == 0 for k in range(9))


def test_short_loops_do_not_ask() -> None:
    short, long = (
        sad.jit(lambda x, n=n: sad.fori_loop(0, n, lambda _, x: np.cos(x), x)).lower(1.0).text("llvm")
        for n in (10, 10**6)
    )
    assert "staged_interrupted" not in short
    assert "staged_interrupted" in long


LIVE = 24
"""Vectors, more than there are registers that are kept."""


@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_the_question_keeps_all_registers(lanes: int) -> None:
    kind = f"<{lanes} x double>"
    places = [f"  %p{k} = getelementptr {kind}, ptr %data, i64 {k}" for k in range(LIVE)]
    loads = [f"  %x{k} = load volatile {kind}, ptr %p{k}, align 8" for k in range(LIVE)]
    stores = [f"  store volatile {kind} %x{k}, ptr %p{k}, align 8" for k in range(LIVE)]
    call = f"  %stop = call preserve_allcc i64 @{INTERRUPTED}()"
    body = ["define i64 @body(ptr %data) {", *places, *loads, call, *stores, "  ret i64 %stop", "}", DECLARATION]
    seconds = itertools.count(1)
    clock = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(lambda _: next(seconds))  # Python is asked each time
    address = question(ctypes.cast(clock, ctypes.c_void_p).value or 0)
    code = llvm.compile_ir(llvm.header() + "\n".join(body), {INTERRUPTED: address})
    data = np.random.default_rng(0).normal(size=(LIVE, lanes))
    before = data.copy()
    assert ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(code.address)(data.ctypes.data) == 0
    np.testing.assert_array_equal(data, before)
    assert next(seconds) == 2
