"""Samplers under the transforms: compiled, mapped, in loops, on threads, always the same numbers.

Invariant: equality is bit by bit, save where a sum is rounded.
Start at ``SAMPLERS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad import random

SAMPLERS: dict[str, Callable[[Any, Any], Any]] = {
    "bits": random.bits,
    "bits of 8": lambda key, shape: random.bits(key, shape, np.uint8),
    "uniform": lambda key, shape: random.uniform(key, shape, minval=-1.5, maxval=np.float32(7)),
    "uniform float32": lambda key, shape: random.uniform(key, shape, np.float32),
    "integers": lambda key, shape: random.integers(key, shape, -7, 1000, np.int16),
    "wide integers": lambda key, shape: random.integers(key, shape, -(2**63), 2**63 - 2),
    "normal": random.normal,
    "normal float32": lambda key, shape: 3.0 + 2.0 * random.normal(key, shape, np.float32),
    "exponential": random.exponential,
    "gumbel": random.gumbel,
    "logistic": random.logistic,
    "laplace": random.laplace,
    "cauchy": random.cauchy,
    "bernoulli": lambda key, shape: random.bernoulli(key, 0.3, shape),
    "gamma": lambda key, shape: random.gamma(key, 0.6, shape),
    "gamma float32": lambda key, shape: random.gamma(key, 7.0, shape, np.float32),
    "beta": lambda key, shape: random.beta(key, 2.0, 0.5, shape),
    "standard_t": lambda key, shape: random.standard_t(key, 4.0, shape),
    "poisson": lambda key, shape: random.poisson(key, 8.5, shape),
    "poisson of a larger mean": lambda key, shape: random.poisson(key, 60.0, shape, np.int32),
    "categorical": lambda key, shape: random.categorical(key, np.array([0.1, 0.5, 1.0]), shape=shape),
    "split": random.split,
    "truncated_normal": lambda key, shape: random.truncated_normal(key, 1.0, 3.0, shape),
    "choice": lambda key, shape: random.choice(key, 9, shape),
    "choice with probabilities": lambda key, shape: random.choice(key, 3, shape, p=np.array([0.2, 0.5, 0.3])),
    "choice without replacement": lambda key, shape: random.choice(key, 200, shape, replace=False),
}
KEY = random.key(42)


@pytest.mark.parametrize("name", SAMPLERS)
def test_compiled_numbers_are_the_eager_ones_to_the_last_bit(name: str):
    sampler = SAMPLERS[name]
    for shape in ((), (0, 2), (3, 37)):
        eager, compiled = sampler(KEY, shape), sad.jit(lambda key, shape=shape: sampler(key, shape))(KEY)
        assert np.shape(eager)[: len(shape)] == shape
        assert (eager.dtype, np.shape(eager), type(eager)) == (compiled.dtype, np.shape(compiled), type(compiled))
        np.testing.assert_array_equal(compiled, eager)


@pytest.mark.parametrize("name", SAMPLERS)
def test_vmap_over_keys_is_a_loop(name: str):
    sampler = SAMPLERS[name]
    keys = random.split(KEY, 3)
    loop = np.stack([sampler(key, (5,)) for key in keys])
    np.testing.assert_array_equal(sad.vmap(lambda key: sampler(key, (5,)))(keys), loop)


@pytest.mark.parametrize("name", ["normal", "gamma", "poisson", "split"])
def test_compiled_vmap_over_keys_is_a_loop(name: str):
    sampler = SAMPLERS[name]
    keys = random.split(KEY, 10)
    loop = np.stack([sampler(key, (5,)) for key in keys])
    np.testing.assert_array_equal(sad.jit(sad.vmap(lambda key: sampler(key, (5,))))(keys), loop)


def test_vmap_over_parameters_is_a_loop():
    a = np.array([0.3, 1.0, 20.0])
    np.testing.assert_array_equal(
        sad.vmap(lambda a: random.gamma(KEY, a, 4))(a), np.stack([random.gamma(KEY, v, 4) for v in a])
    )
    high = np.array([1, 10, 2**40])
    np.testing.assert_array_equal(
        sad.vmap(lambda high: random.integers(KEY, 4, 0, high))(high),
        np.stack([random.integers(KEY, 4, 0, int(h)) for h in high]),
    )


@pytest.mark.parametrize("independent", [False, True])
def test_a_permutation_is_compiled_mapped_and_differentiated(independent: bool):
    x = np.arange(12.0).reshape(3, 4)
    f = lambda key, x: random.permutation(key, x, 1, independent)
    order = f(KEY, x)
    np.testing.assert_array_equal(sad.jit(f)(KEY, x), order)
    keys = random.split(KEY, 3)
    np.testing.assert_array_equal(sad.vmap(f, in_axes=(0, None))(keys, x), np.stack([f(key, x) for key in keys]))
    weights = np.cos(x)
    gradient = sad.jit(sad.grad(lambda x: np.sum(weights * f(KEY, x))))(x)
    np.testing.assert_array_equal(gradient.ravel()[order.astype(int)], weights)


def test_an_element_does_not_depend_on_the_shape_around_it():
    for name, sampler in SAMPLERS.items():
        if name != "categorical" and "without" not in name:
            np.testing.assert_array_equal(sampler(KEY, (4, 10)).reshape(40, -1)[:7], sampler(KEY, (7,)).reshape(7, -1))


def test_numbers_do_not_depend_on_the_number_of_threads():
    n = 300_000
    f = sad.jit(lambda key: (random.normal(key, n), random.gamma(key, 2.0, n), random.bits(key, n)))
    threads = sad.get_num_threads()
    try:
        sad.set_num_threads(1)
        one = f(KEY)
        sad.set_num_threads(2)
        two = f(KEY)
    finally:
        sad.set_num_threads(threads)
    for x, y in zip(one, two, strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(one[1][-100:], random.gamma(KEY, 2.0, n)[-100:])


@pytest.mark.parametrize("mode", ["eager", "jit"])
def test_keys_are_carried_by_loops(mode: str):
    def walk(key: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            key, x = carry
            key, used = random.split(key)
            x = x + random.normal(used, 2) + random.gamma(used, 0.5, 2)
            return (key, x), x

        return sad.scan(step, (key, np.zeros(2)), length=6)[1]

    key, x, expected = KEY, np.zeros(2), []
    for _ in range(6):
        key, used = random.split(key)
        x = x + random.normal(used, 2) + random.gamma(used, 0.5, 2)
        expected.append(x)
    found = (sad.jit(walk) if mode == "jit" else walk)(KEY)
    np.testing.assert_array_equal(found, expected)


def test_a_checkpoint_draws_the_same_numbers_again():
    def loss(w: Any, key: Any) -> Any:
        return np.sum((w * random.normal(key, 5)) ** 2)

    w = np.arange(1.0, 6.0)
    expected = 2 * w * random.normal(KEY, 5) ** 2
    for f in (sad.grad(loss), sad.grad(sad.checkpoint(loss)), sad.jit(sad.grad(sad.checkpoint(loss)))):
        np.testing.assert_allclose(f(w, KEY), expected, rtol=1e-14)


def test_keys_in_branches_and_conditions_work():
    def f(key: Any) -> Any:
        return sad.cond(random.bernoulli(key, 0.5), lambda: random.normal(key), lambda: random.uniform(key))

    for key in random.split(KEY, 6):
        expected = random.normal(key) if random.bernoulli(key, 0.5) else random.uniform(key)
        assert sad.jit(f)(key) == f(key) == expected


def test_a_dirichlet_row_is_compiled_up_to_the_rounding_of_its_sum():
    f = lambda key: random.dirichlet(key, np.array([0.1, 1.0, 5.0]), 50)
    np.testing.assert_allclose(sad.jit(f)(KEY), f(KEY), rtol=1e-15)
    np.testing.assert_allclose(f(KEY).sum(axis=1), 1, rtol=1e-15)


def test_a_monte_carlo_sum_needs_no_memory():
    text = sad.jit(lambda key: np.sum(random.normal(key, 10**6) ** 2)).lower(KEY).text("loops")
    assert "workspace: 0 bytes" in text or int(text.split("workspace: ")[1].split()[0]) < 10_000
