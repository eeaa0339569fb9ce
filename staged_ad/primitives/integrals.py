"""Functions that are integrals: exponential, sine, Fresnel, elliptic, dilogarithm; Airy and hypergeometric functions.

Invariant: where the formula of a derivative cancels near a point, its power series stands there, so that derivatives
of the derivative are right too. Start anywhere: each declaration stands alone.
"""

from __future__ import annotations

import math
from typing import Any

from staged_ad.primitives.arithmetic import div, eq, trunc
from staged_ad.primitives.exponential import cosh, exp, log, sinh
from staged_ad.primitives.makers import Operation, add, elementwise, mul, neg, scale, select, sub
from staged_ad.primitives.special import component, counted, near_zero, refused, special
from staged_ad.primitives.trigonometric import cos, sin
from staged_ad.tracing.libraries import scipy_special

expi: Operation = special("expi", lambda y, x: div(exp(x), x))
exp1: Operation = special("exp1", lambda y, x: neg(div(exp(neg(x)), x)))


def _partial_expn(y: Any, n: Any, x: Any) -> Any:
    """-E_(n-1)(x), NIST DLMF 8.19.13; E_0(x) is exp(-x) / x. SciPy cuts n down to a whole number."""
    n = trunc(n)
    return neg(select(eq(n, 0.0), add(y, div(y, x)), expn(sub(n, 1.0), x)))


expn: Operation = counted("expn", _partial_expn)


def _ratio(function: Operation, sign: int) -> Any:
    """sin(x) / x or sinh(x) / x."""
    coefficients = [sign**k / math.factorial(2 * k + 1) for k in range(9)]

    def partial(y: Any, x: Any) -> Any:
        square = mul(x, x)
        return near_zero(square, 1.0, coefficients, div(function(x), x))

    return partial


si: Operation = component("sici", 0, "si", _ratio(sin, -1))
ci: Operation = component("sici", 1, "ci", lambda y, x: div(cos(x), x))
shi: Operation = component("shichi", 0, "shi", _ratio(sinh, 1))
chi: Operation = component("shichi", 1, "chi", lambda y, x: div(cosh(x), x))
fresnel_s: Operation = component("fresnel", 0, "fresnel_s", lambda y, x: sin(mul(math.pi / 2, mul(x, x))))
fresnel_c: Operation = component("fresnel", 1, "fresnel_c", lambda y, x: cos(mul(math.pi / 2, mul(x, x))))

# Airy functions solve y'' = x y.
airy_ai: Operation = component("airy", 0, "airy_ai", lambda y, x: airy_ai_prime(x), cost=300)
airy_ai_prime: Operation = component("airy", 1, "airy_ai_prime", lambda y, x: mul(x, airy_ai(x)), cost=300)
airy_bi: Operation = component("airy", 2, "airy_bi", lambda y, x: airy_bi_prime(x), cost=300)
airy_bi_prime: Operation = component("airy", 3, "airy_bi_prime", lambda y, x: mul(x, airy_bi(x)), cost=300)


def _partial_spence(y: Any, x: Any) -> Any:
    """log(x) / (1 - x), which is -1 at 1."""
    u = sub(1.0, x)
    return near_zero(u, 0.125, [-1 / (k + 1) for k in range(18)], div(log(x), u))


spence: Operation = special("spence", _partial_spence, cost=60)


def _squares(count: int) -> list[float]:
    """The coefficients ((1/2)_k / k!)^2 of 2 K(m) / pi, NIST DLMF 19.5.1."""
    return [(math.comb(2 * k, k) / 4**k) ** 2 for k in range(count)]


_K_SLOPE = [math.pi / 2 * (k + 1) * c for k, c in enumerate(_squares(20)[1:])]
_E_SLOPE = [-math.pi / 2 * (k + 1) * c / (2 * k + 1) for k, c in enumerate(_squares(20)[1:])]


def _slope_of_k(m: Any, complement: Any, k: Any, e: Any) -> Any:
    """dK/dm = (E / (1 - m) - K) / (2 m), NIST DLMF 19.4.1; `complement` is 1 - m."""
    return near_zero(m, 0.125, _K_SLOPE, div(sub(div(e, complement), k), mul(2.0, m)))


ellipk: Operation = special("ellipk", lambda y, m: _slope_of_k(m, sub(1.0, m), y, ellipe(m)))
ellipkm1: Operation = special("ellipkm1", lambda y, p: neg(_slope_of_k(sub(1.0, p), p, y, ellipem1(p))))


def _slope_of_e(m: Any, k: Any, e: Any) -> Any:
    return near_zero(m, 0.125, _E_SLOPE, div(sub(e, k), mul(2.0, m)))


ellipe: Operation = special("ellipe", lambda y, m: _slope_of_e(m, ellipk(m), y))
# E(1 - p), whose slope near p = 0 is that of the logarithm in K(1 - p)
ellipem1: Operation = elementwise(
    "ellipem1",
    lambda p: scipy_special.ellipe(1 - p),
    lambda code, p: code.special("ellipe", code.sub(code.constant(1, p.dtype), p)),
    lambda y, p: neg(_slope_of_e(sub(1.0, p), ellipkm1(p), y)),
    cost=100,
)

hyp0f1: Operation = special(
    "hyp0f1", refused("hyp0f1", "the parameter v"), lambda y, v, z: div(hyp0f1(add(v, 1.0), z), v), cost=300
)
hyp1f1: Operation = special(
    "hyp1f1",
    refused("hyp1f1", "the parameter a"),
    refused("hyp1f1", "the parameter b"),
    lambda y, a, b, x: scale(a, div(hyp1f1(add(a, 1.0), add(b, 1.0), x), b)),  # constant where a is 0
    cost=300,
)
hyp2f1: Operation = special(
    "hyp2f1",
    refused("hyp2f1", "the parameter a"),
    refused("hyp2f1", "the parameter b"),
    refused("hyp2f1", "the parameter c"),
    lambda y, a, b, c, z: scale(mul(a, b), div(hyp2f1(add(a, 1.0), add(b, 1.0), add(c, 1.0), z), c)),
    cost=300,
)
hyperu: Operation = special(
    "hyperu",
    refused("hyperu", "the parameter a"),
    refused("hyperu", "the parameter b"),
    lambda y, a, b, x: neg(scale(a, hyperu(add(a, 1.0), add(b, 1.0), x))),
    cost=300,
)
