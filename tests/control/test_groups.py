"""vmap of loops whose lanes differ in their number of iterations."""

from __future__ import annotations

import numpy as np
import pytest

import staged_ad as sad
from tests.backends import MODES, in_mode

LANES = [1, 2, 31, 64, 65, 96, 200]


def collatz_like(x, a):
    """A loop of a data-dependent number of iterations that is smooth in a."""
    return sad.while_loop(lambda c: c[0] > 1.0, lambda c: (c[0] * 0.7, c[1] * np.cos(a * c[0])), (x, 1.0))[1]


def by_hand(x, a):
    y = 1.0
    while x > 1.0:
        x, y = x * 0.7, y * np.cos(a * x)
    return y


def data(lanes: int) -> np.ndarray:
    return np.random.default_rng(lanes).uniform(0.1, 50.0, lanes)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lanes", LANES)
def test_each_lane_has_its_own_number_of_iterations(mode, lanes):
    xs = data(lanes)
    found = in_mode(mode, sad.vmap(collatz_like, in_axes=(0, None)))(xs, 0.3)
    np.testing.assert_allclose(found, [by_hand(x, 0.3) for x in xs], rtol=1e-13)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lanes", [2, 65, 96])
def test_derivatives_of_a_batch_are_those_of_its_lanes(mode, lanes):
    xs, a = data(lanes), np.linspace(0.1, 0.2, lanes)
    gradients = in_mode(mode, sad.vmap(sad.grad(collatz_like, 1)))(xs, a)
    whole = in_mode(mode, sad.grad(lambda a: np.sum(sad.vmap(collatz_like)(xs, a))))(a)
    product = in_mode(mode, lambda a: sad.hvp(lambda a: np.sum(sad.vmap(collatz_like)(xs, a)), (a,), (a,)))(a)
    one = sad.jit(sad.grad(collatz_like, 1))
    second = sad.jit(sad.grad(sad.grad(collatz_like, 1), 1))
    np.testing.assert_allclose(gradients, [one(*p) for p in zip(xs, a, strict=True)], rtol=1e-11)
    np.testing.assert_allclose(whole, gradients, rtol=1e-11)
    np.testing.assert_allclose(product, [second(*p) * p[1] for p in zip(xs, a, strict=True)], rtol=1e-10)


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_of_a_batch(mode):
    xs, a = data(6).reshape(3, 2), np.array([0.1, 0.2])
    found = in_mode(mode, sad.vmap(sad.vmap(collatz_like), in_axes=(0, None)))(xs, a)
    np.testing.assert_allclose(found, [[by_hand(x, b) for x, b in zip(row, a, strict=True)] for row in xs], rtol=1e-13)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lanes", [3, 100])
def test_what_a_finished_lane_would_compute_does_no_harm(mode, lanes):
    def f(x):  # one more iteration would take the root of a negative number
        return sad.while_loop(lambda y: y > 1.0, lambda y: np.sqrt(y - 1.0), x)

    xs = np.linspace(0.5, 30.0, lanes)
    value, slope = in_mode(mode, sad.vmap(sad.value_and_grad(f)))(xs)
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(slope))
    assert slope[0] == 1.0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lanes", [3, 100])
def test_an_inner_loop_that_would_not_end_for_a_finished_lane_does_not_run_for_it(mode, lanes):
    def f(x):
        def step(x):
            passed = sad.while_loop(lambda t: t < 1.0, lambda t: t + x, 0.0)  # for ever where x is 0
            return np.maximum(x - 0.25 * passed, 0.0)

        return sad.while_loop(lambda x: x > 0.0, step, x)

    xs = np.linspace(0.0, 1.0, lanes)
    np.testing.assert_array_equal(in_mode(mode, sad.vmap(f))(xs), np.zeros(lanes))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lanes", [3, 70])
def test_traced_bounds_that_differ_from_lane_to_lane(mode, lanes):
    def power(x, n):
        return sad.fori_loop(0, n, lambda i, y: y * x, 1.0)

    x, n = np.linspace(0.5, 1.5, lanes), np.arange(lanes) % 5
    value, slope = in_mode(mode, sad.vmap(sad.value_and_grad(power)))(x, n)
    np.testing.assert_allclose(value, x**n, rtol=1e-13)
    np.testing.assert_allclose(slope, n * x ** (n - 1.0), rtol=1e-13)


@pytest.mark.parametrize("mode", MODES)
def test_a_loop_inside_of_a_scan_in_lanes(mode):
    def f(x):
        def step(y, k):
            y = sad.while_loop(lambda y: y > 1.0, lambda y: y * np.cos(x), y + k)
            return y, y * x

        return sad.scan(step, x, np.arange(3.0))

    def reference(x):
        y, out = x, []
        for k in range(3):
            y = y + k
            while y > 1.0:
                y = y * np.cos(x)
            out.append(y * x)
        return y, np.stack(out)

    xs = np.linspace(0.2, 1.2, 70)
    y, out = in_mode(mode, sad.vmap(f))(xs)
    expected = [reference(x) for x in xs]
    np.testing.assert_allclose(y, [e[0] for e in expected], rtol=1e-12)
    np.testing.assert_allclose(out, [e[1] for e in expected], rtol=1e-12)
    slopes = in_mode(mode, sad.vmap(sad.grad(lambda x: np.sum(f(x)[1]))))(xs)
    step = 1e-6
    differences = [(np.sum(reference(x + step)[1]) - np.sum(reference(x - step)[1])) / (2 * step) for x in xs]
    np.testing.assert_allclose(slopes, differences, rtol=1e-5, atol=1e-7)


def test_results_do_not_depend_on_the_number_of_threads():
    xs, a = data(4000), np.linspace(0.1, 0.2, 4000)
    f = sad.jit(sad.vmap(sad.value_and_grad(collatz_like, 1)))
    threads = sad.get_num_threads()
    try:
        results = []
        for count in {1, threads}:
            sad.set_num_threads(count)
            results.append(f(xs, a))
    finally:
        sad.set_num_threads(threads)
    for other in results[1:]:
        assert all(np.array_equal(x, y) for x, y in zip(results[0], other, strict=True))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lanes", [5, 300, 640])
def test_lanes_of_a_counted_loop_go_together(mode, lanes):
    def f(a, y):
        return sad.scan(lambda y, x: (y * np.cos(a * x), y), y, np.linspace(0.1, 0.5, 4))

    def reference(a, y):
        out = []
        for x in np.linspace(0.1, 0.5, 4):
            out.append(y)
            y = y * np.cos(a * x)
        return y, np.stack(out, axis=-1)

    a, y = np.linspace(0.1, 2.0, lanes), np.linspace(1.0, 2.0, lanes)
    for found, expected in zip(in_mode(mode, sad.vmap(f))(a, y), reference(a, y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    slopes = in_mode(mode, sad.grad(lambda a: np.sum(sad.vmap(f)(a, y)[1])))(a)
    step = 1e-6
    differences = (reference(a + step, y)[1] - reference(a - step, y)[1]).sum(axis=1) / (2 * step)
    np.testing.assert_allclose(slopes, differences, rtol=1e-6, atol=1e-8)


def test_a_result_that_does_not_depend_on_the_lane_may_leave_a_group():
    def f(x):
        return sad.while_loop(lambda y: y > 1.0, lambda y: y * 0.5, x), np.arange(3.0)

    y, same = sad.jit(sad.vmap(f, out_axes=(0, None)))(np.linspace(0.5, 9.0, 100))
    np.testing.assert_array_equal(same, np.arange(3.0))
    assert np.all(y <= 1.0)
