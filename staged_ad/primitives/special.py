"""Functions of scipy.special: the maker of all of them, error functions and the normal distribution.

Invariant: values are SciPy's to the last bit, since compiled code runs the inner loops of its ufuncs; float32 in gives
float32 out. Start at ``special``; the families are in gammas.py, incomplete.py, bessel.py, integrals.py,
information.py and polynomials.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from staged_ad.errors import NotDifferentiableError
from staged_ad.primitives.arithmetic import abs_, div, lt
from staged_ad.primitives.exponential import exp
from staged_ad.primitives.makers import Operation, Partial, add, elementwise, mul, neg, select, sub
from staged_ad.tracing.libraries import scipy_special


def named(ufunc: str) -> Callable[..., Any]:
    """The scipy.special ufunc of that name, looked up when it is called."""
    return lambda *xs: getattr(scipy_special, ufunc)(*xs)


def special(ufunc: str, *partials: Partial, cost: int = 100) -> Operation:
    """The scipy.special ufunc of that name with its partial derivatives."""
    return elementwise(ufunc, named(ufunc), lambda code, *xs: code.special(ufunc, *xs), *partials, cost=cost)


def component(ufunc: str, result: int, name: str, *partials: Partial, cost: int = 100) -> Operation:
    """One result of a scipy.special ufunc that has several."""
    function = named(ufunc)
    return elementwise(
        name,
        lambda *xs: function(*xs)[result],
        lambda code, *xs: code.special(ufunc, *xs, result=result),
        *partials,
        cost=cost,
    )


def refused(ufunc: str, operand: str) -> Callable[..., NoReturn]:
    """A partial derivative that is not to be had."""

    def partial(*values: Any, **params: Any) -> NoReturn:
        raise NotDifferentiableError(
            f"the derivative of scipy.special.{ufunc} with respect to {operand} is not supported: "
            "only arguments that are held fixed may stand there"
        )

    return partial


def counted(ufunc: str, partial: Partial) -> Operation:
    """A ufunc of a whole number n and x. SciPy cuts fractions of n off with a warning, which machine code must not
    give: it would have to hold Python's lock.
    """

    def emit(code: Any, n: Any, x: Any) -> Any:
        whole = code.intrinsic("trunc", n)
        fits = code.compare("lt", code.abs(n), code.constant(2.0**31, n.dtype))
        return code.special(ufunc, code.select(fits, whole, code.constant(np.nan, n.dtype)), x)

    return elementwise(ufunc, named(ufunc), emit, refused(ufunc, "the order n"), partial, cost=300)


def horner(x: Any, coefficients: Sequence[float]) -> Any:
    """``c[0] + c[1] x + c[2] x^2 + ...``"""
    result = mul(x, coefficients[-1])
    for c in reversed(coefficients[1:-1]):
        result = mul(x, add(result, c))
    return add(result, coefficients[0])


def near_zero(x: Any, radius: float, coefficients: Sequence[float], otherwise: Any) -> Any:
    """The power series where ``|x| < radius``, in place of a formula that cancels there; its derivatives too."""
    return select(lt(abs_(x), radius), horner(x, coefficients), otherwise)


_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
_SQRT_HALF = math.sqrt(0.5)


def _gauss(x: Any) -> Any:
    return mul(_TWO_OVER_SQRT_PI, exp(neg(mul(x, x))))


def _double_factorials(count: int, sign: int) -> list[float]:
    """sign^k (2k - 1)!!: the asymptotic series of erfcx and dawsn in 1 / (2 x^2), from k = 1 on."""
    return [float(sign**k * math.prod(range(1, 2 * k, 2))) for k in range(1, count + 1)]


def _tail(x: Any, formula: Any, factor: float, sign: int) -> Any:
    """``factor * sum of sign^k (2k - 1)!! / (2 x^2)^k`` for x > 20, where 8 terms are exact and `formula` cancels."""
    u = div(0.5, mul(x, x))
    return select(lt(u, 0.5 / 400), mul(mul(u, factor), horner(u, _double_factorials(8, sign))), formula)


def _partial_erfcx(y: Any, x: Any) -> Any:
    """2 x y - 2 / sqrt(pi), NIST DLMF 7.10; it cancels for large positive x."""
    formula = sub(mul(2.0, mul(x, y)), _TWO_OVER_SQRT_PI)
    return select(lt(x, 0.0), formula, _tail(x, formula, _TWO_OVER_SQRT_PI, -1))


erf: Operation = elementwise("erf", named("erf"), lambda code, x: code.math("erf", x), lambda y, x: _gauss(x))
erfc: Operation = elementwise("erfc", named("erfc"), lambda code, x: code.math("erfc", x), lambda y, x: neg(_gauss(x)))
erfcx: Operation = special("erfcx", _partial_erfcx)
erfinv: Operation = special("erfinv", lambda y, x: mul(1 / _TWO_OVER_SQRT_PI, exp(mul(y, y))))  # inf at -1 and 1
erfcinv: Operation = special("erfcinv", lambda y, x: mul(-1 / _TWO_OVER_SQRT_PI, exp(mul(y, y))))
erfi: Operation = special("erfi", lambda y, x: mul(_TWO_OVER_SQRT_PI, exp(mul(x, x))))
dawsn: Operation = special("dawsn", lambda y, x: _tail(x, sub(1.0, mul(2.0, mul(x, y))), -1.0, 1))


def normal_density(x: Any) -> Any:
    return mul(1 / math.sqrt(2 * math.pi), exp(mul(-0.5, mul(x, x))))


def _mills(x: Any) -> Any:
    """Phi(x) / phi(x), without underflow in the tail."""
    return mul(math.sqrt(math.pi / 2), erfcx(mul(-_SQRT_HALF, x)))


ndtr: Operation = special("ndtr", lambda y, x: normal_density(x))
log_ndtr: Operation = special("log_ndtr", lambda y, x: div(1.0, _mills(x)))
ndtri: Operation = special("ndtri", lambda y, p: div(1.0, normal_density(y)))
ndtri_exp: Operation = special("ndtri_exp", lambda y, p: _mills(y))
owens_t: Operation = special(
    "owens_t",
    lambda y, h, a: mul(mul(-0.5, normal_density(h)), erf(mul(_SQRT_HALF, mul(a, h)))),
    lambda y, h, a: _owen_slope(h, add(1.0, mul(a, a))),
    cost=300,
)


def _owen_slope(h: Any, r: Any) -> Any:
    return div(exp(mul(-0.5, mul(mul(h, h), r))), mul(2 * math.pi, r))


# The gamma function's logarithm and its derivatives.
lgamma: Operation = elementwise(
    "lgamma",
    named("gammaln"),
    lambda code, x: code.special("gammaln", x),
    lambda y, x: digamma(x),
    cost=200,
)
digamma: Operation = elementwise(
    "digamma", named("digamma"), lambda code, x: code.special("psi", x), lambda y, x: polygamma(x, n=1), cost=200
)


def _polygamma(x: Any, *, n: int) -> Any:
    x = np.asarray(x)
    return np.asarray(scipy_special.polygamma(n, x)).astype(x.dtype)[()]


def _emit_polygamma(code: Any, x: Any, *, n: int) -> Any:
    """(-1)^(n+1) n! zeta(n + 1, x), NIST DLMF 25.11.12."""
    sign = 1.0 if n % 2 else -1.0
    zeta = code.special("zeta", code.constant(n + 1.0, x.dtype), x)
    return code.mul(code.constant(sign * math.factorial(n), x.dtype), zeta)


polygamma: Operation = elementwise(
    "polygamma", _polygamma, _emit_polygamma, lambda y, x, *, n: polygamma(x, n=n + 1), cost=300
)
