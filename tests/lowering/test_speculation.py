"""Strong products without masks give, bit for bit, what the masked ones give, wherever a zero meets infinity or NaN."""

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.lowering import speculation

LENGTH = 1000
WEIGHTS = np.linspace(1.0, 2.0, LENGTH)


def norms(x):
    """0 times infinity in the gradient where x is zero; a stencil, and a sum."""
    return np.sum(np.sqrt(x[1:] ** 2 + x[:-1] ** 2) + x[1:] * x[:-1] ** 2)


def untaken(x):
    """0 times NaN where x is negative."""
    return np.sum(np.where(x > 0, np.sqrt(x) * x, x * x))


def hidden(x):
    """What a lost bet makes of the slope is only compared, never stored."""
    slope = sad.grad(lambda y: np.sum(np.where(y == 0, 0.0, np.sqrt(np.abs(y))) * WEIGHTS))(x)
    return np.where(slope > 0.5, 1.0, 2.0) + np.where(slope > 0, slope, 0.0)


def data():
    x = np.random.default_rng(0).normal(size=LENGTH)
    x[[3, 4, 5, 500, 501, LENGTH - 2, LENGTH - 1]] = 0
    x[[17, 600]] = -0.0
    return x


def same_bits(left, right):
    return np.array_equal(left, right, equal_nan=True) and np.array_equal(np.signbit(left), np.signbit(right))


@pytest.mark.parametrize("f", [sad.grad(norms), sad.grad(untaken), hidden], ids=["stencil", "untaken", "compared"])
@pytest.mark.parametrize("extra", [(), (np.inf, -np.inf, np.nan)], ids=["finite", "infinite"])
def test_zeros_that_meet_infinity_give_the_bits_of_the_masked_products(f, extra, monkeypatch):
    x = data()
    x[40 : 40 + len(extra)] = extra
    with np.errstate(all="ignore"):
        found = sad.jit(f)(x)
        wanted = f(x)
    monkeypatch.setattr(speculation, "available", lambda: False)
    sad.clear_caches()
    masked = sad.jit(lambda x: f(x))(x)
    assert same_bits(found, masked)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def through_points(x, t):
    """Polynomials with the coefficients x[..., k], of which the infinite points are left out."""
    p = x[..., -1:]
    for k in reversed(range(x.shape[-1] - 1)):
        p = p * t + x[..., k : k + 1]
    return np.sum(np.where(np.abs(t) < 1e300, p, 0.0) ** 2)


@pytest.mark.parametrize("rows", [(), (3,)], ids=["one", "rows"])
@pytest.mark.parametrize("degree", [10, 30])
@pytest.mark.parametrize("places", [[], [0, 2047], [2048, 5001]], ids=str)
def test_many_sums_give_the_bits_of_the_masked_products(rows, degree, places, monkeypatch):
    """They are looked at after each stretch of the loop, which is done again where a bet was lost."""
    x, t = np.ones((*rows, degree)), np.resize(np.linspace(-1, 1, 5002), (*rows, 5002))
    t[..., places] = [np.inf, np.nan][: len(places)]
    found = sad.jit(sad.grad(through_points))(x, t)
    with np.errstate(all="ignore"):
        wanted = sad.grad(through_points)(x, t)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    monkeypatch.setattr(speculation, "available", lambda: False)
    sad.clear_caches()
    assert same_bits(found, sad.jit(sad.grad(lambda x, t: through_points(x, t)))(x, t))


def test_a_scalar_in_a_loop_absorbs_what_it_is_multiplied_by():
    """The slope of the square root is infinite at zero, where it is not taken."""

    def f(a, b):
        def step(y, _):
            return y + np.where(a > 0, np.sqrt(a), a) * b, None

        y, _ = sad.scan(step, b, None, length=5)
        return y

    slopes = sad.jit(sad.grad(f, argnums=(0, 1)))
    assert slopes(0.0, 2.0) == (10.0, 1.0)
    assert slopes(4.0, 2.0) == (2.5, 11.0)


def test_the_first_of_several_vectors_does_not_decide_for_the_others():
    """A bet lost in one iteration is lost there alone, whichever vector of the iteration it is in."""

    def f(x):
        return np.sum(np.where(x == 0, 0.0, np.sqrt(np.abs(x))) * WEIGHTS[:100])

    for place in (0, 7, 8, 15, 16, 98, 99):
        x = np.linspace(1.0, 2.0, 100)
        x[place] = 0.0
        slope = sad.jit(sad.grad(f))(x)
        assert slope[place] == 0.0
        others = np.arange(100) != place
        np.testing.assert_allclose((2 * slope * np.sqrt(x))[others], WEIGHTS[:100][others], rtol=1e-15)


def test_a_store_that_is_also_chosen_from_is_looked_at():
    """The product is stored by itself, and besides goes through a choice that would hide its NaN."""

    def f(t, p):
        _, product = sad.jvp(lambda y: y * p, (np.ones_like(t),), (t,))
        return product, np.where(p > 1e300, 1.0, product)

    t, p = np.zeros(64), np.full(64, np.inf)
    first, second = sad.jit(f)(t, p)
    assert np.array_equal(first, np.zeros(64))
    assert np.array_equal(second, np.ones(64))


def test_what_the_passes_of_llvm_spoil_is_compiled_with_fewer_of_them():
    def total(x):
        return np.sum(np.sin(np.multiply.accumulate(x, axis=0)))

    x = np.random.default_rng(0).normal(size=(2, 4))
    slope = sad.grad(lambda x: 3 * sad.checkpoint(total)(x))
    found = sad.jit(lambda x: sad.jvp(slope, (x,), (np.cos(x),))[1])(x)
    np.testing.assert_allclose(found, sad.jvp(slope, (x,), (np.cos(x),))[1], rtol=1e-12, atol=1e-12)
