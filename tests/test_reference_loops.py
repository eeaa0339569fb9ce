"""Loop numbers of the literature, staged and in Python control flow; Newton's method against implicit rules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import staged_ad as sad
from tests.backends import MODES, in_mode
from tests.numerics import assert_close


def euler_python(p):
    y = 3.0
    for _ in range(10):
        y = y - 0.15 * p * y
    return y


def euler_staged(p):
    return sad.fori_loop(0, 10, lambda _, y: y - 0.15 * p * y, 3.0)


def descent_python(a):
    w, k = 1.0, 0
    while k < 10:
        w, k = w - a * 2 * w, k + 1
    return w * w


def descent_staged(a):
    w = sad.scan(lambda w, _: (w - a * 2 * w, None), 1.0, None, length=10)[0]
    return w * w


def root_python(a):
    x = 1.0 * a
    while abs(x * x - a) > 1e-13:
        x = (x + a / x) / 2
    return x


def root_staged(a):
    return sad.while_loop(lambda x: abs(x * x - a) > 1e-13, lambda x: (x + a / x) / 2, 1.0 * a)


def fixed_point_python(a):
    x, before = 0.5, 2.0
    while abs(x - before) > 1e-15:
        x, before = np.cos(a * x), x
    return x


def fixed_point_staged(a):
    return sad.while_loop(lambda c: abs(c[0] - c[1]) > 1e-15, lambda c: (np.cos(a * c[0]), c[0]), (0.5, 2.0))[0]


NUMBERS: list[tuple[Callable[..., float], Callable[..., float], float, float]] = [
    (euler_python, euler_staged, 2.0, -0.1815912315),
    (descent_python, descent_staged, 0.1, -0.57646075230342349),
    (root_python, root_staged, 4.0, 0.25),
    (fixed_point_python, fixed_point_staged, 1.0, -0.29747434150983226),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row[0].__name__)
def test_loops_of_the_literature(row, mode):
    python, staged, x, expected = row
    for f in (python, staged):
        assert_close(in_mode(mode, sad.grad(f))(x), expected, 2e-10)
        assert_close(sad.jvp(in_mode(mode, f), (x,), (1.0,))[1], expected, 2e-10)


@pytest.mark.parametrize("mode", MODES)
def test_second_derivative_of_a_newton_iteration(mode):
    for f in (root_python, root_staged):
        assert_close(in_mode(mode, sad.grad(sad.grad(f)))(4.0), -1 / 32, 1e-9)
        assert_close(in_mode(mode, sad.hessian(f))(4.0), -1 / 32, 1e-9)


def test_compiled_python_loops_change_their_number_of_iterations_back_and_forth():
    compiled = sad.jit(sad.grad(root_python))
    for a in (4.0, 1e4, 1.0 + 1e-9, 4.0, 2.0, 1e4, 3.0, 2.0):
        assert_close(compiled(a), sad.grad(root_staged)(a), 1e-12)


def kepler(e, m):
    """The root E of E - e sin(E) = m, by Newton's method."""
    step = lambda c: c[0] - (c[0] - e * np.sin(c[0]) - m) / (1 - e * np.cos(c[0]))
    moved = lambda c: abs(c[0] - c[1]) > 1e-14
    return sad.while_loop(moved, lambda c: (step(c), c[0]), (m + 0.85 * e, m - 1.0))[0]


@pytest.mark.parametrize("mode", MODES)
def test_newton_in_lanes_agrees_with_implicit_differentiation(mode):
    random = np.random.default_rng(0)
    e, m = random.uniform(0.0, 0.9, 150), random.uniform(0.1, 3.0, 150)
    lanes = sad.vmap(kepler)
    E = in_mode(mode, lanes)(e, m)
    assert_close(E - e * np.sin(E), m, 1e-12)
    d = 1 - e * np.cos(E)
    slopes = in_mode(mode, sad.grad(lambda e, m: np.sum(lanes(e, m)), (0, 1)))(e, m)
    assert_close(slopes[0], np.sin(E) / d, 1e-8)
    assert_close(slopes[1], 1 / d, 1e-8)
    product = in_mode(mode, lambda m, v: sad.hvp(lambda m: np.sum(lanes(e, m)), (m,), (v,)))(m, np.cos(m))
    assert_close(product, -e * np.sin(E) / d**3 * np.cos(m), 1e-6)
