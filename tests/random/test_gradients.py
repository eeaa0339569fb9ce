"""Reparameterised gradients: by hand, by finite differences at a fixed key, and by mpmath.

Invariant: the witness of a gamma variate's motion is its rank, which stays: F(a, z) = constant.
Start at ``test_the_slope_of_gamma_variates_is_that_of_their_quantiles``.
"""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.special

import staged_ad as sad
from staged_ad import random
from staged_ad.random.gamma_slope import slope
from tests.numerics import directional

KEY = random.key(7)
SHAPES = (1e-3, 0.05, 0.5, 1.0, 1.7, 4.0, 30.0, 150.0)
RANKS = (1e-9, 1e-3, 0.2, 0.6, 0.97, 1 - 1e-6)


def exact_slope(a: float, y: float) -> float:
    """-F_a / (z F_z) at z = exp(y) with 40 digits."""
    with mpmath.workdps(40):
        a, z, h = mpmath.mpf(a), mpmath.exp(y), mpmath.mpf(10) ** -12
        moved = [mpmath.gammainc(a + sign * h * a, 0, z, regularized=True) for sign in (1, -1)]
        density = mpmath.exp((a - 1) * mpmath.log(z) - z - mpmath.loggamma(a))
        return float(-(moved[0] - moved[1]) / (2 * h * a) / density / z)


@pytest.mark.parametrize("a", SHAPES)
def test_the_slope_of_gamma_variates_is_that_of_their_quantiles(a: float):
    quantiles = [z for z in scipy.special.gammaincinv(a, RANKS) if z > 1e-300]
    y = np.log([*quantiles, 1e-100, 0.3, 0.999, 1.001, 3.0])
    found = slope(np.full(len(y), a), y)
    np.testing.assert_allclose(found, [exact_slope(a, v) for v in y], rtol=2e-12)


@pytest.mark.parametrize("a", [1e4, 1e8])
def test_the_slope_at_large_shapes_is_that_of_the_normal_limit(a: float):
    """z = a + x sqrt(a) + (x^2 - 1) / 3 + O(1 / sqrt(a)), Cornish and Fisher."""
    x = np.array([-3.0, 0.0, 2.0])
    z = a + x * np.sqrt(a) + (x**2 - 1) / 3
    np.testing.assert_allclose(z * slope(np.full(3, a), np.log(z)), 1 + x / (2 * np.sqrt(a)), rtol=3 / a)


@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_gamma_moves_with_its_parameter_at_constant_rank(mode: str):
    a = np.array([0.04, 0.7, 1.0, 2.5, 60.0])
    sample = lambda a: random.gamma(KEY, a)
    wrapped = sad.jit if mode == "jit" else lambda f: f
    z = sample(a)
    ranks = scipy.special.gammainc(a, z)
    expected = directional(lambda a: scipy.special.gammaincinv(a, ranks), [a], [a * 0.01])
    z_again, z_dot = wrapped(lambda a: sad.jvp(sample, (a,), (a * 0.01,)))(a)
    np.testing.assert_array_equal(z_again, z)
    np.testing.assert_allclose(z_dot, expected, rtol=1e-9)
    gradient = wrapped(sad.grad(lambda a: np.sum(sample(a))))(a)
    np.testing.assert_allclose(gradient, z_dot / (0.01 * a), rtol=1e-12)


def test_the_second_derivative_of_gamma_is_that_of_its_quantile():
    for a in (0.4, 3.0, 25.0):
        z = random.gamma(KEY, a)
        with mpmath.workdps(40):
            rank = mpmath.gammainc(a, 0, mpmath.mpf(float(z)), regularized=True)
            step = mpmath.mpf(10) ** -10

            def quantile(a: Any, rank: Any = rank, z: Any = z) -> Any:
                return mpmath.findroot(lambda t: mpmath.gammainc(a, 0, t, regularized=True) - rank, float(z))

            middle = mpmath.mpf(a)
            expected = (quantile(middle + step) - 2 * quantile(middle) + quantile(middle - step)) / step**2
        twice = sad.grad(sad.grad(lambda a: random.gamma(KEY, a)))
        np.testing.assert_allclose([twice(a), sad.jit(twice)(a)], float(expected), rtol=1e-8)


@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_the_gradient_of_a_mean_is_the_mean_of_gradients(mode: str):
    """d E[z] / da = 1 and d E[log z] / da = psi'(a), for gamma variates."""
    n, a = 20_000, 0.8
    wrapped = sad.jit if mode == "jit" else lambda f: f
    assert abs(wrapped(sad.grad(lambda a: np.mean(random.gamma(KEY, a, n))))(a) - 1) < 0.03
    found = wrapped(sad.grad(lambda a: np.mean(random.loggamma(KEY, a, n))))(a)
    assert abs(found / scipy.special.polygamma(1, a) - 1) < 0.03


def test_gradients_of_small_gamma_variates_are_finite():
    a = np.array([1e-4, 1e-3, 0.01])
    gradient = sad.grad(lambda a: np.sum(random.gamma(KEY, a)))(a)
    assert np.isfinite(gradient).all()
    y = random.loggamma(KEY, a)
    slopes = sad.grad(lambda a: np.sum(random.loggamma(KEY, a)))(a)
    # z^a / Gamma(a + 1) is the rank where z is small
    np.testing.assert_allclose(slopes, (scipy.special.digamma(1 + a) - y) / a, rtol=1e-7)


def test_uniform_is_differentiable_in_its_bounds():
    u = random.uniform(KEY, 4)
    low, high = np.array([-1.0, 0.0, 2.0, 3.0]), 5.0
    sample = lambda low, high: np.sum(random.uniform(KEY, 4, minval=low, maxval=high) ** 2)
    for gradient in (sad.grad(sample, (0, 1)), sad.jit(sad.grad(sample, (0, 1)))):
        by_low, by_high = gradient(low, high)
        x = low + u * (high - low)
        np.testing.assert_allclose(by_low, 2 * x * (1 - u), rtol=1e-13)
        np.testing.assert_allclose(by_high, np.sum(2 * x * u), rtol=1e-13)


def test_location_and_scale_have_their_derivatives():
    for sampler in (random.normal, random.exponential, random.laplace, random.cauchy, random.gumbel, random.logistic):
        z = sampler(KEY, 3)
        found = sad.jacobian(lambda p, sampler=sampler: p[0] + p[1] * sampler(KEY, 3))(np.array([1.0, 2.0]))
        np.testing.assert_allclose(found, np.stack([np.ones(3), z], axis=-1), rtol=1e-14)


def test_beta_chisquare_and_t_have_the_gradients_of_their_means():
    n = 20_000
    mean = sad.grad(lambda a, b: np.mean(random.beta(KEY, a, b, n)), (0, 1))(2.0, 0.5)
    np.testing.assert_allclose(mean, [0.5 / 2.5**2, -2.0 / 2.5**2], rtol=0.05)
    assert abs(sad.grad(lambda df: np.mean(random.chisquare(KEY, df, n)))(3.0) - 1) < 0.03
    variance = sad.grad(lambda df: np.mean(random.standard_t(KEY, df, n) ** 2))
    assert abs(variance(10.0) / (-2 / 8**2) - 1) < 0.2
    mean = sad.jacobian(lambda a: np.mean(random.dirichlet(KEY, a, n), axis=0))(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(mean, (np.eye(3) * 6 - np.array([[1.0], [2.0], [3.0]])) / 36, atol=0.005)


def test_bits_and_counts_have_no_derivative():
    assert sad.grad(lambda lam: lam + np.sum(random.poisson(KEY, lam, 3)))(2.0) == 1
    assert sad.grad(lambda p: p + np.sum(random.bernoulli(KEY, p, 3)))(0.5) == 1


def test_float32_gradients_are_rounded_float64_ones():
    a = np.array([0.3, 2.0, 40.0])
    single = sad.grad(lambda a: np.sum(random.gamma(KEY, a, dtype=np.float32)))(a.astype("f"))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, sad.grad(lambda a: np.sum(random.gamma(KEY, a)))(a), rtol=1e-5)
