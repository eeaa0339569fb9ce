"""Samples against the distributions that they are of: Kolmogorov-Smirnov, moments, frequencies; known answers.

Invariant: keys are fixed, so every test gives the same result in every run.
Start at ``CONTINUOUS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

from staged_ad import random

SIZE = 20_000
CONTINUOUS: dict[str, tuple[Callable[..., Any], Any]] = {
    "uniform": (lambda key, n: random.uniform(key, n, minval=-2.0, maxval=3.0), scipy.stats.uniform(-2, 5)),
    "normal": (random.normal, scipy.stats.norm()),
    "exponential": (random.exponential, scipy.stats.expon()),
    "gumbel": (random.gumbel, scipy.stats.gumbel_r()),
    "logistic": (random.logistic, scipy.stats.logistic()),
    "laplace": (random.laplace, scipy.stats.laplace()),
    "cauchy": (random.cauchy, scipy.stats.cauchy()),
    "gamma 0.05": (lambda key, n: random.gamma(key, 0.05, n), scipy.stats.gamma(0.05)),
    "gamma 0.7": (lambda key, n: random.gamma(key, 0.7, n), scipy.stats.gamma(0.7)),
    "gamma 1": (lambda key, n: random.gamma(key, 1, n), scipy.stats.gamma(1)),
    "gamma 40": (lambda key, n: random.gamma(key, 40.0, n), scipy.stats.gamma(40)),
    "loggamma": (lambda key, n: random.loggamma(key, 0.3, n), scipy.stats.loggamma(0.3)),
    "beta": (lambda key, n: random.beta(key, 0.4, 2.5, n), scipy.stats.beta(0.4, 2.5)),
    "beta of tiny parameters": (lambda key, n: random.beta(key, 0.01, 2.0, n), scipy.stats.beta(0.01, 2.0)),
    "chisquare": (lambda key, n: random.chisquare(key, 3.0, n), scipy.stats.chi2(3)),
    "standard_t": (lambda key, n: random.standard_t(key, 2.5, n), scipy.stats.t(2.5)),
    "truncated_normal": (lambda key, n: random.truncated_normal(key, -1.0, 2.0, n), scipy.stats.truncnorm(-1, 2)),
    "truncated_normal far right": (
        lambda key, n: random.truncated_normal(key, 30.0, np.inf, n),
        scipy.stats.truncnorm(30, np.inf),
    ),
    "truncated_normal far left": (
        lambda key, n: random.truncated_normal(key, -9.0, -7.0, n),
        scipy.stats.truncnorm(-9, -7),
    ),
    "multivariate_normal": (
        lambda key, n: random.multivariate_normal(key, np.ones(2), np.array([[2.0, 1.0], [1.0, 5.0]]), n)[:, 1],
        scipy.stats.norm(1, np.sqrt(5)),
    ),
    "dirichlet": (
        lambda key, n: random.dirichlet(key, np.array([0.5, 1.0, 2.0]), n)[:, 1],
        scipy.stats.beta(1.0, 2.5),
    ),
}


def assert_frequencies(counts: Any, probabilities: Any) -> None:
    """A chi-square test; rare classes are taken together."""
    counts, expected = np.asarray(counts), np.asarray(probabilities) * np.sum(counts)
    often = expected >= 5
    observed = np.append(counts[often], counts[~often].sum())
    wanted = np.append(expected[often], np.sum(counts) - expected[often].sum())
    kept = wanted > 1e-6
    assert observed[~kept].sum() == 0
    if kept.sum() > 1:
        assert scipy.stats.chisquare(observed[kept], wanted[kept]).pvalue > 0.01


@pytest.mark.parametrize("name", CONTINUOUS)
def test_samples_have_the_distribution(name: str):
    sampler, distribution = CONTINUOUS[name]
    x = sampler(random.key(17), SIZE)
    assert (x.shape, x.dtype) == ((SIZE,), np.float64)
    assert scipy.stats.kstest(x, distribution.cdf).pvalue > 0.01


@pytest.mark.parametrize("name", ["normal", "exponential", "gamma 0.7", "gamma 40", "beta", "laplace", "uniform"])
def test_moments_are_those_of_the_distribution(name: str):
    sampler, distribution = CONTINUOUS[name]
    x = sampler(random.key(23), SIZE)
    mean, variance = distribution.stats("mv")
    for power, expected in ((1, 0.0), (2, variance), (3, distribution.stats("s") * variance**1.5)):
        terms = (x - mean) ** power
        assert abs(terms.mean() - expected) < 5 * terms.std() / np.sqrt(SIZE)


def test_successive_numbers_are_uncorrelated_in_pairs_and_triples():
    u = random.uniform(random.key(2), 3 * SIZE).reshape(-1, 3)
    cells = np.ravel_multi_index(tuple((u * 6).astype(int).T), (6, 6, 6))
    assert_frequencies(np.bincount(cells, minlength=216), np.full(216, 1 / 216))


def test_normals_are_quantiles_far_into_the_tails():
    z = random.normal(random.key(0), 10**6)
    p = scipy.special.ndtr(-np.abs(z))
    assert 4.5 < np.max(np.abs(z)) < 6
    assert scipy.stats.kstest(2 * p[p < 1e-3], scipy.stats.uniform(0, 2e-3).cdf).pvalue > 0.01


@pytest.mark.parametrize(("low", "high", "dtype"), [(0, 6, "int64"), (-3, 4, "int8"), (250, 256, "uint8")])
def test_integers_are_equally_likely(low: int, high: int, dtype: str):
    x = random.integers(random.key(9), SIZE, low, high, dtype)
    assert x.dtype == dtype
    counts = np.bincount(x.astype(int) - low, minlength=high - low)
    assert_frequencies(counts, np.full(high - low, 1 / (high - low)))


def test_integers_reach_the_ends_of_wide_ranges():
    for dtype in ("int64", "uint64", "int8"):
        limits = np.iinfo(dtype)
        x = random.integers(random.key(1), 4000, limits.min, limits.max + 1, dtype)
        thirds = np.floor((x.astype(float) - limits.min) / (float(limits.max) - limits.min + 1) * 3).astype(int)
        assert_frequencies(np.bincount(np.minimum(thirds, 2)), np.full(3, 1 / 3))
    bounds = np.array([0, 10, -5]), np.array([1, 2**62, -4])
    x = random.integers(random.key(1), (1000, 3), *bounds)
    assert (x[:, 0] == 0).all()
    assert (x[:, 2] == -5).all()
    assert (x[:, 1] >= 10).all()


@pytest.mark.parametrize("lam", [0.0, 0.2, 3.0, 9.99, 10.0, 35.0])
def test_poisson_counts_have_their_probabilities(lam: float):
    x = random.poisson(random.key(4), lam, SIZE)
    assert x.dtype == np.int64
    count = int(x.max()) + 1
    pmf = scipy.stats.poisson(lam).pmf(np.arange(count + 1))
    pmf[-1] = 1 - pmf[:-1].sum()
    assert_frequencies(np.bincount(x, minlength=count + 1), pmf)


def test_poisson_of_a_large_mean_has_its_mean_and_variance():
    x = random.poisson(random.key(4), 1e9, SIZE).astype(float) - 1e9
    assert abs(x.mean()) < 5 * np.sqrt(1e9 / SIZE)
    assert abs(x.var() / 1e9 - 1) < 5 * np.sqrt(2 / SIZE)


def test_categorical_and_bernoulli_have_their_probabilities():
    weights = np.array([[0.5, 0.2, 0.3, 0.0], [4.0, 1.0, 1.0, 2.0]])
    with np.errstate(divide="ignore"):
        x = random.categorical(random.key(6), np.log(weights), shape=(SIZE, 2))
    for row in range(2):
        assert_frequencies(np.bincount(x[:, row], minlength=4), weights[row] / weights[row].sum())
    flips = random.bernoulli(random.key(6), np.array([0.0, 0.25, 1.0]), (SIZE, 3))
    assert (flips.mean(0)[[0, 2]] == [0, 1]).all()
    assert abs(flips.mean(0)[1] - 0.25) < 5 * np.sqrt(0.25 * 0.75 / SIZE)


def test_float32_samples_are_float32_and_within_range():
    key = random.key(8)
    u = random.uniform(key, SIZE, np.float32)
    assert u.dtype == np.float32
    assert u.min() >= 0
    assert u.max() < 1
    np.testing.assert_array_equal(u * 2**24, np.floor(u * 2**24))
    for sampler in (random.normal, random.exponential, random.gumbel):
        np.testing.assert_array_equal(sampler(key, 50, np.float32), sampler(key, 50).astype(np.float32))
    np.testing.assert_array_equal(random.gamma(key, 2.0, 50, np.float32), random.gamma(key, 2.0, 50).astype("f"))


def test_multivariate_normal_has_its_mean_and_covariance():
    cov = np.array([[2.0, 1.0, 0.0], [1.0, 5.0, -1.0], [0.0, -1.0, 1.0]])
    x = random.multivariate_normal(random.key(3), np.array([[0.0, 1.0, 2.0], [5.0, 6.0, 7.0]]), cov, (SIZE, 2))
    assert x.shape == (SIZE, 2, 3)
    np.testing.assert_allclose(x.mean(axis=0), [[0, 1, 2], [5, 6, 7]], atol=5 * np.sqrt(5 / SIZE))
    np.testing.assert_allclose(np.cov(x[:, 0].T), cov, atol=5 * np.sqrt(2 * 25 / SIZE))


def test_truncated_normals_lie_within_their_bounds():
    lower, upper = np.array([-np.inf, -40.0, 3.0, 1.0, 2.0]), np.array([np.inf, -39.0, np.inf, 1.0, 1.0])
    x = random.truncated_normal(random.key(3), lower, upper, (1000, 5))
    assert (x[:, :4] >= lower[:4]).all()
    assert (x[:, :4] <= upper[:4]).all()
    assert np.isnan(x[:, 4]).all()


KNOWN = {  # the same on every platform, to the last bit
    "uniform": ["0x1.392d6f924f8f8p-1", "-0x1.05d2f3a43c014p-2"],
    "normal": ["-0x1.478d599f631f2p-1", "0x1.dfa3fb7f1985dp-1"],
    "exponential": ["0x1.4c84371369a65p-1", "0x1.0d967b93aba95p+0"],
    "gumbel": ["0x1.b9fe9708e3e5ep-2", "-0x1.a7a9ebed987cep-5"],
    "logistic": ["0x1.6e2df93319560p-4", "-0x1.3f82905407536p-1"],
    "laplace": ["-0x1.4c84371369a65p-1", "0x1.0d967b93aba95p+0"],
    "cauchy": ["-0x1.39c79fd76b081p-1", "-0x1.05089c7e14279p+2"],
    "gamma 0.05": ["0x1.88f0068c6cd8ap-8", "0x1.35e9fd5bcc714p-8"],
    "gamma 0.7": ["0x1.43a10c18fa7cdp+0", "0x1.d8c32fd61dd78p-1"],
    "gamma 1": ["0x1.011f05e220421p+0", "0x1.439c0522262e4p-1"],
    "gamma 40": ["0x1.4fbea0a2cfa54p+5", "0x1.3b29fe7512301p+5"],
    "loggamma": ["-0x1.1b2598a9ee606p-1", "-0x1.d00f4d8208de0p-1"],
    "beta": ["0x1.ebe87a910c8fdp-4", "0x1.260e56f3e6be5p-10"],
    "beta of tiny parameters": ["0x1.2e88d9117bb5fp-40", "0x1.e441e91be05a1p-378"],
    "chisquare": ["0x1.99307ea41956ep+1", "0x1.1ee4845ef4133p+1"],
    "standard_t": ["0x1.e88a2c7c38b41p-2", "-0x1.745fc85007b8ap+0"],
}


@pytest.mark.parametrize("name", KNOWN)
def test_numbers_are_the_same_as_ever(name: str):
    sampler, _ = CONTINUOUS[name]
    assert [float(v).hex() for v in sampler(random.key(2026), 2)] == KNOWN[name]
