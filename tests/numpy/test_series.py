"""np.poly1d and np.polynomial on traced values.

Invariant: the oracle is NumPy: the same function on arrays.
Start at ``POLYNOMIALS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from tests.checks import assert_derivatives, assert_value

X, C, T = np.array([0.3, -0.8, 0.5]), np.array([1.0, -2.0, 0.5, 3.0]), np.linspace(-1, 1, 5)
CUBIC = np.poly1d(C)
SHIFTED = np.polynomial.Polynomial(C, domain=[0.0, 2.0])

POLYNOMIALS: dict[str, Callable[[Any], Any]] = {
    "known": lambda x: CUBIC(x) + np.poly1d([1, 2])(x[0]),
    "made inside": lambda x: np.poly1d(x)(T),
    "of a list": lambda x: np.poly1d([x[0], 1.0, x[1]])(2.0),
    "of roots": lambda x: np.poly1d(x, r=True)(T),
    "of known numbers": lambda x: np.poly1d(np.array([0.0, 1.0, 2.0])).order * x,
    "derivative": lambda x: np.poly1d(x).deriv()(T) + CUBIC.deriv(2)(x[0]),
    "integral": lambda x: np.poly1d(x).integ(k=2.0)(T),
    "coefficients": lambda x: np.poly1d(x).coeffs * np.poly1d(x).order,
    "element": lambda x: np.poly1d(x)[0] * 2.0,
    "sum": lambda x: (np.poly1d(x) + CUBIC - np.poly1d([x[0]]))(T),
    "product": lambda x: (np.poly1d(x) * CUBIC * 2)(T),
    "power": lambda x: (-(np.poly1d(x) ** 2))(T),
    "fitted": lambda x: np.poly1d(np.polyfit(T, np.outer(x, T)[0], 1))(x),
    "value of a class": lambda x: np.polynomial.Polynomial(x)(T) + np.polynomial.Chebyshev(x, domain=[0, 2])(x[0]),
    "derivative of a class": lambda x: np.polynomial.Polynomial(x).deriv()(0.3) + np.polynomial.Legendre(x).deriv()(T),
    "integral of a class": lambda x: np.polynomial.Polynomial(x).integ(2, k=[1.0, x[0]])(T),
    "product of classes": lambda x: (np.polynomial.Hermite(x) * np.polynomial.Hermite(C) - 2)(T),
    "power of a class": lambda x: (np.polynomial.Polynomial(x) ** 2 + 1).coef,
    "conversion of a class": lambda x: np.polynomial.Chebyshev(x).convert(kind=np.polynomial.Polynomial).coef,
    "fit of a class": lambda x: np.polynomial.Polynomial.fit(T, np.outer(x, T)[0] + T**2, 2)(x),
    "fit to traced places": lambda x: np.polynomial.Chebyshev.fit(x, np.exp(x), 1)(T),
    "roots": lambda x: np.polynomial.polynomial.polyroots(x) + 0j,
    "roots of a class": lambda x: np.polynomial.Polynomial(x**2).roots() + 0j,
    "derivative of coefficients": lambda x: np.polynomial.chebyshev.chebder(x),
    "product of coefficients": lambda x: np.polynomial.polynomial.polymul(x, C),
    "class": lambda x: SHIFTED(x) + np.polynomial.Chebyshev(C)(x) + np.polynomial.Legendre(C)(x[0]),
}
FAMILIES = {
    "polynomial": ("polyval", "polyvander"),
    "chebyshev": ("chebval", "chebvander"),
    "legendre": ("legval", "legvander"),
    "laguerre": ("lagval", "lagvander"),
    "hermite": ("hermval", "hermvander"),
    "hermite_e": ("hermeval", "hermevander"),
}


@pytest.mark.parametrize("f", POLYNOMIALS.values(), ids=POLYNOMIALS)
def test_polynomials_take_traced_coefficients_and_arguments(f: Callable[[Any], Any]) -> None:
    assert_value(f, X, tolerance=1e-13)


def test_derivatives_of_polynomials() -> None:
    assert_derivatives(lambda x: np.poly1d(x).integ()(x**2), X)
    assert_derivatives(SHIFTED, X)
    assert_derivatives(lambda x: np.polynomial.Polynomial(x).integ()(0.3) * np.polynomial.Laguerre(x).deriv()(T), X)


def test_a_coefficient_that_is_zero_has_a_derivative() -> None:
    p = np.polynomial.Polynomial
    f = sad.grad(lambda c: (p(c) * p([1.0, 1.0]))(2.0))
    np.testing.assert_allclose(f(np.array([1.0, 2.0, 0.0])), [3.0, 6.0, 12.0])


@pytest.mark.parametrize("module", FAMILIES)
def test_series_of_orthogonal_polynomials(module: str) -> None:
    family = getattr(np.polynomial, module)
    value, matrix = FAMILIES[module]
    calls: list[Callable[..., Any]] = [
        lambda x: eval(f"family.{value}(x, C)", {"family": family, "C": C, "x": x}),
        lambda x: eval(f"family.{value}(T, x)", {"family": family, "T": T, "x": x}),
        lambda x: eval(f"family.{value}(x, np.outer(x, x))", {"family": family, "np": np, "x": x}),
        lambda x: eval(f"family.{value}(x, np.outer(x, x), tensor=False)", {"family": family, "np": np, "x": x}),
        lambda x: eval(f"family.{matrix}(x, 3)", {"family": family, "x": x}),
        lambda x: eval(f"family.{matrix}(x[0], 0)", {"family": family, "x": x}),
    ]
    for f in calls:
        assert_value(f, X, tolerance=1e-13)
    assert_derivatives(calls[2], X)


def test_classes_are_numpys_outside_of_traced_functions() -> None:
    before = np.poly1d.__init__
    sad.jit(POLYNOMIALS["made inside"])(X)
    assert np.poly1d.__init__ is before
    with pytest.raises(ValueError, match="1d only"):
        sad.jit(lambda x: np.poly1d(np.outer(x, x)))(X)


def test_comparisons_with_a_polynomial_are_its_own() -> None:
    assert sad.jit(lambda x: (x == SHIFTED, x != SHIFTED))(T) == (False, True)
    with pytest.raises(TypeError, match="'>' not supported"):
        sad.jit(lambda x: x > SHIFTED)(T)
