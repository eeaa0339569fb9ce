"""math and cmath on traced numbers, and what Python asks of a number: round, item, tolist, == None.

Invariant: the oracles are Python and NumPy: the same function on numbers.
Start at ``MATH``.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from math import erf, log
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from tests.checks import assert_derivatives, assert_value

X, Z = 0.37, 0.3 - 0.8j
A = np.array([1.0, 2.5, 0.5])

SAME = (
    "sqrt exp expm1 exp2 log1p log2 log10 sin cos tan asin acos atan sinh cosh tanh asinh atanh degrees radians fabs "
    "cbrt erf erfc gamma lgamma log"
)
COMPLEX = "sqrt exp log log10 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh"


def calling(name: str) -> Callable[[Any], Any]:
    """A function that calls another by that name."""
    found: Callable[[Any], Any] = eval(f"lambda x: {name}(x)", globals())
    return found


MATH: dict[str, Callable[[Any], Any]] = {
    **{name: calling(f"math.{name}") for name in SAME.split()},
    "acosh": lambda x: math.acosh(1 + x),
    "atan2": lambda x: math.atan2(x, -2),
    "copysign": lambda x: math.copysign(x, -1.0),
    "fmod": lambda x: math.fmod(5, x),
    "pow": lambda x: math.pow(x, 2),
    "hypot": lambda x: math.hypot(x, 1, 2.0 * x),
    "log of a base": lambda x: math.log(x, 3),
    "modf": lambda x: math.modf(7 * x)[0],
    "fsum": lambda x: math.fsum([x, 1, x * x]),
    "prod": lambda x: math.prod([x, 2.0, x], start=3),
    "known by name": lambda x: erf(log(x)),
}
"""Each is differentiable at X."""


@pytest.mark.parametrize("f", MATH.values(), ids=MATH)
def test_functions_of_math_take_traced_numbers(f: Callable[[Any], Any]) -> None:
    assert_value(f, X, tolerance=1e-15)
    assert_derivatives(f, X, step=1e-3)


@pytest.mark.parametrize("name", COMPLEX.split())
def test_functions_of_cmath_take_traced_numbers(name: str) -> None:
    assert_value(calling(f"cmath.{name}"), Z, tolerance=1e-15)
    assert_value(calling(f"cmath.{name}"), X, tolerance=1e-15)
    assert_value(lambda z: cmath.phase(z) + cmath.isnan(z), Z, tolerance=1e-15)


def test_results_of_math_are_numbers_of_python() -> None:
    single = A.astype(np.float32)
    assert_value(lambda x: math.sqrt(x[0]) * x, single)
    assert_value(lambda x: math.sqrt(x[1]), single)  # computed in double precision
    assert_value(lambda x: math.hypot(x[0], 2) + np.arange(2), np.array([3, 4]))


def test_decisions_of_math_are_read_as_those_of_python() -> None:
    def f(x: Any) -> Any:
        if math.isnan(x) or not math.isfinite(x):
            return 0.0 * x
        if math.isclose(x, 1.0, rel_tol=1e-3):
            return 2.0 * x
        return x * math.floor(10 * x) * math.ceil(10 * x) * math.trunc(-10 * x) * round(10 * x)

    compiled = sad.jit(f)
    for x in (X, 1.0001, 3.25, -0.5, math.inf):
        np.testing.assert_array_equal(compiled(x), f(x))
    assert sad.grad(f)(X) == 3 * 4 * -3 * 4


def test_math_is_as_it_was_outside_and_for_known_numbers() -> None:
    before = math.sqrt

    def f(x: Any) -> Any:
        assert math.sqrt is not before
        assert type(math.sqrt(2)) is float
        assert type(math.fsum([1.0])) is float
        with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
            math.sqrt(-1.0)
        return x * math.sqrt(np.full(2, 4.0)[0])

    assert sad.grad(f)(X) == 2.0
    assert math.sqrt is before


def test_complex_numbers_are_refused_by_math() -> None:
    with pytest.raises(TypeError, match=r"cmath\.sqrt"):
        sad.jit(lambda z: math.sqrt(z))(Z)


NUMBERS: list[Callable[[Any], Any]] = [
    lambda x: x * (0 if x[0] == None else 1),  # noqa: E711  # what users write
    lambda x: x == None,  # noqa: E711
    lambda x: (x[0] != None) * x,  # noqa: E711
    lambda x: x == "mode",
    lambda x: x[0] * (x[0] in ("a", None, x[0])),
    lambda x: x[range(1, 3)],
    lambda x: np.zeros(3)[range(2)] + x[:2],
    lambda x: round(x[1] * 1.2345, 2),
    lambda x: round(x[0] / 3, ndigits=1),
    lambda x: x * round(x[1]),
    lambda x: divmod(x[1], 2.0)[1] + divmod(7, x[1])[0],
    lambda x: abs(-x) + pow(x, 2, None),
    lambda x: x * np.isscalar(x[0]) + np.isscalar(x) + np.isscalar(np.zeros(())) + np.isscalar(3),
    lambda x: x[0].item() + x.item(1) + np.outer(x, x).item(1, 2) + np.outer(x, x).item((2, 0)),
    lambda x: x.astype(np.float32) * x.item(0),
    lambda x: np.array(np.outer(x, x).tolist()),
    lambda x: x * x[1].is_integer() + (2 * x[1]).is_integer(),
    lambda x: x * x.nbytes + x.itemsize,
]


@pytest.mark.parametrize("f", NUMBERS, ids=range(len(NUMBERS)))
def test_what_python_asks_of_numbers_is_answered_as_by_numpy(f: Callable[[Any], Any]) -> None:
    assert_value(f, A)


def test_indices_of_assignments_may_be_ranges() -> None:
    def f(x: Any) -> Any:
        y = np.zeros(3)
        y[range(0, 3, 2)] = x[:2]
        return y

    assert_value(f, A)


def test_views_share_memory() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        y.view()[0] = 7.0
        y.view(np.ndarray)[1] = 8.0
        y.copy().view()[2] = 9.0
        return y

    assert_value(f, A)
