"""The memory of loops of unknown length: it grows, has a limit, and is given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import ArgumentError, TapeOverflowError
from tests.backends import MODES, in_mode


@pytest.fixture
def limit() -> Iterator[None]:
    before = sad.get_tape_limit()
    yield
    sad.set_tape_limit(before)


def power(x, n):
    """x to the n, one factor at a time, as a loop of unknown length."""
    return sad.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * x), (0, 1.0))[1]


def array_power(x, n):
    return sad.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * np.sin(x * c[1])), (0, x))[1]


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000, 100_000])
def test_a_tape_grows_with_the_loop(n):
    slope = sad.jit(sad.grad(power))(1.00001, n)
    np.testing.assert_allclose(slope, n * 1.00001 ** (n - 1.0), rtol=1e-9)


@pytest.mark.parametrize("n", [0, 1, 5, 700])
def test_a_tape_of_arrays_grows_with_the_loop(n):
    x = np.linspace(0.5, 1.5, 300)
    f = lambda x: np.sum(array_power(x, n))
    step = 1e-6 * np.cos(np.arange(300))
    found = np.dot(sad.jit(sad.grad(f))(x), step)
    expected = (sad.jit(f)(x + step) - sad.jit(f)(x - step)) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-11)


@pytest.mark.parametrize("mode", MODES)
def test_a_loop_that_needs_more_than_the_limit_raises_with_its_line(mode, limit):
    slope = in_mode(mode, sad.grad(power))
    sad.set_tape_limit(4096)
    with pytest.raises(TapeOverflowError, match=Path(__file__).name) as caught:
        slope(1.001, 2000)
    for words in ("4096 bytes", "set_tape_limit", "checkpoint="):
        assert words in str(caught.value)
    assert slope(1.5, 3) == pytest.approx(3 * 1.5**2)
    sad.set_tape_limit(10**9)
    assert slope(1.001, 2000) == pytest.approx(2000 * 1.001**1999)


def test_a_loop_that_does_not_end_raises_in_its_reverse(limit):
    sad.set_tape_limit(10**7)
    with pytest.raises(TapeOverflowError):
        sad.jit(sad.grad(lambda x: sad.while_loop(lambda y: y > -1.0, lambda y: abs(y * x), x)))(0.5)


def test_overflow_in_lanes_on_several_threads_raises(limit):
    f = sad.jit(sad.vmap(sad.grad(power)))
    sad.set_tape_limit(10**5)
    with pytest.raises(TapeOverflowError):
        f(np.full(3000, 1.001), np.full(3000, 500))
    sad.set_tape_limit(10**9)
    np.testing.assert_allclose(f(np.full(3000, 1.001), np.full(3000, 500)), 500 * 1.001**499, rtol=1e-10)


def test_each_thread_has_a_tape_of_its_own():
    slope = sad.jit(sad.grad(power))
    slope(1.0, 3)
    found: dict[int, float] = {}

    def work(n: int) -> None:
        for _ in range(30):
            found[n] = slope(1.0001, n)

    threads = [threading.Thread(target=work, args=(n,)) for n in (10, 500, 3000, 20_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, value in found.items():
        assert value == pytest.approx(n * 1.0001 ** (n - 1.0))


@pytest.mark.parametrize("value", [0, -1, 1.5, "1 GB", None, True])
def test_a_limit_must_be_a_positive_number_of_bytes(value):
    with pytest.raises(ArgumentError, match="positive number of bytes"):
        sad.set_tape_limit(value)
