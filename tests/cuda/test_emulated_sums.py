"""Sums that threads share, and rows that stay with their threads, on the emulated device.

Invariant: results are those of NumPy, with one thread for each sum, with a warp, and with a block of two warps.
Start at ``check``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import staged_ad as sad
from staged_ad.cuda.actions import Launch
from staged_ad.cuda.geometry import Geometry
from staged_ad.cuda.program import emit
from staged_ad.cuda.threads import WARP
from tests.cuda.emulation import GEOMETRY, TOGETHER, emulated
from tests.cuda.test_emulated_loops import traced
from tests.numerics import assert_close

BLOCKS = Geometry(threads=2 * WARP, full=64, team=2 * WARP)
ROWS = np.random.default_rng(3).normal(size=(16, 33))
LONG = np.random.default_rng(4).normal(size=(3, 1100))


def check(f: Callable[..., Any], x: Any) -> None:
    program, expected = traced(f, x), f(x)
    for geometry in (GEOMETRY, TOGETHER, BLOCKS):
        (value,) = emulated(program, x, geometry=geometry)
        assert_close(value, expected, 1e-12)


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def normalised(x: Any) -> Any:
    y = x - np.mean(x, axis=1, keepdims=True)
    return y / np.sqrt(np.mean(y**2, axis=1, keepdims=True) + 1e-5)


@pytest.mark.parametrize(
    "f",
    [
        np.sum,
        np.max,
        np.argmin,
        np.any,
        lambda x: np.sum(np.abs(x) > 1),
        lambda x: np.sum(x, axis=0),
        lambda x: np.sum(x * x, axis=1),
        lambda x: np.argmax(x, axis=1),
        lambda x: np.sum(x[:, :-1] * x[:, 1:]),
        lambda x: np.prod(x.astype(np.float32), axis=1),
    ],
)
@pytest.mark.parametrize("x", [ROWS, LONG], ids=["rows", "long"])
def test_reductions(f: Callable[..., Any], x: Any):
    program, expected = traced(f, x), f(x)
    for geometry in (GEOMETRY, TOGETHER, BLOCKS):
        (value,) = emulated(program, x, geometry=geometry)
        assert_close(value, expected, 1e-5 if np.asarray(expected).dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("f", [softmax, normalised, lambda x: scipy.special.logsumexp(x, axis=1)])
@pytest.mark.parametrize("x", [ROWS, LONG], ids=["rows", "long"])
def test_rows(f: Callable[..., Any], x: Any):
    check(f, x)
    check(sad.grad(lambda x: np.sum(np.sin(f(x)))), x)


@pytest.mark.parametrize("f", [softmax, normalised])
def test_a_row_is_read_once_by_one_kernel(f: Callable[..., Any]):
    x = np.ones((10000, 100))
    for g in (f, sad.grad(lambda x: np.sum(np.sin(f(x))))):
        actions = emit(traced(g, x), Geometry()).actions
        assert [type(action) for action in actions] == [Launch]
        assert actions[0].total == 10000 * WARP


def test_values_and_their_sum_are_one_pass():
    check(lambda x: np.sum(np.sin(x)) * np.sin(x), LONG)
    program = traced(lambda x: (np.sin(x), np.sum(np.sin(x))), np.ones((1000, 1000)))
    first, second = emit(program, Geometry()).actions
    assert first.total > Geometry().full // 2
    assert second.total == WARP


def test_a_sum_over_part_of_an_array_is_shared_by_the_device():
    x = np.ones((1000, 1000))
    first, _ = emit(traced(lambda x: np.sum(x[:, :-1] * x[:, 1:]), x), Geometry()).actions
    assert first.total > Geometry().full // 2


def test_few_long_rows_are_not_left_to_few_threads():
    x = np.ones((16, 100000))
    assert len(emit(traced(softmax, x), Geometry()).actions) > 1


def test_a_long_sum_is_shared_by_the_whole_device():
    first, second = emit(traced(np.sum, np.ones(1 << 24)), Geometry()).actions
    assert first.total == Geometry().full
    assert second.total == Geometry().threads
