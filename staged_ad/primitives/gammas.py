"""Gamma, beta and zeta functions and what is made of them.

Invariant: derivatives with respect to x hold at the zeros of 1 / gamma(x) too, where the digamma function has poles.
Start at ``rgamma``; the incomplete functions are in incomplete.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from staged_ad.ir import filled
from staged_ad.primitives.arithmetic import and_, div, eq, integer_pow, lt, rint
from staged_ad.primitives.exponential import log, power
from staged_ad.primitives.makers import Operation, add, elementwise, mul, neg, plus, select, sub, typeof, zeros
from staged_ad.primitives.special import digamma, special
from staged_ad.primitives.trigonometric import cos, sin
from staged_ad.tracing.libraries import scipy_special


def _slope_of_rgamma(x: Any, y: Any) -> Any:
    """The derivative of ``y = 1 / gamma(x)``; left of 1/2 by reflection, NIST DLMF 5.5.3, which has no poles."""
    z = sub(1.0, x)
    sine, cosine = _of_half_turns(x)
    reflected = mul(gamma(z), sub(cosine, mul(sine, digamma(z))))
    return select(lt(x, 0.5), reflected, neg(mul(y, digamma(x))))


def _of_half_turns(x: Any) -> tuple[Any, Any]:
    """sin(pi x) / pi and cos(pi x)."""
    angle = mul(math.pi, sub(x, mul(2.0, rint(mul(0.5, x)))))
    return div(sin(angle), math.pi), cos(angle)


def _slope_of_beta(y: Any, a: Any, b: Any) -> Any:
    """In `a`; at infinite b it is 0 for all of them."""
    return select(eq(b, np.inf), zeros(typeof(y).strong()), mul(y, _excess(a, b)))


gamma: Operation = special("gamma", lambda y, x: mul(y, digamma(x)))
rgamma: Operation = special("rgamma", lambda y, x: _slope_of_rgamma(x, y))
gammasgn: Operation = special("gammasgn", None, cost=20)
beta: Operation = special(
    "beta",
    lambda y, a, b: _slope_of_beta(y, a, b),
    lambda y, a, b: _slope_of_beta(y, b, a),
    cost=300,
)
betaln: Operation = special(
    "betaln",
    lambda y, a, b: _excess(a, b),
    lambda y, a, b: _excess(b, a),
    cost=300,
)


def _excess(a: Any, b: Any) -> Any:
    return sub(digamma(a), digamma(add(a, b)))


# binom(n, k) = gamma(n + 1) / gamma(k + 1) / gamma(gap), gap = n - k + 1. The last two have zeros for whole k < 0 and
# whole n < k: there 1 / gamma(x) = gamma(1 - x) sin(pi x) / pi, NIST DLMF 5.5.3, and the three functions make one beta.


def _slope_in_n(y: Any, n: Any, k: Any) -> Any:
    n1, gap = add(n, 1.0), add(sub(n, k), 1.0)
    through_zero = _through_zero(n1, gap, sub(digamma(n1), digamma(sub(1.0, gap))), 1.0)
    return select(lt(gap, 0.5), through_zero, mul(y, sub(digamma(n1), digamma(gap))))


def _slope_in_k(y: Any, n: Any, k: Any) -> Any:
    n1, k1, gap = add(n, 1.0), add(k, 1.0), add(sub(n, k), 1.0)
    above = _through_zero(n1, gap, sub(digamma(sub(1.0, gap)), digamma(k1)), -1.0)
    below = _through_zero(n1, k1, sub(digamma(gap), digamma(sub(1.0, k1))), 1.0)
    inside = mul(y, sub(digamma(gap), digamma(k1)))
    return select(lt(gap, 0.5), above, select(lt(k1, 0.5), below, inside))


def _through_zero(n1: Any, x: Any, slope: Any, sign: float) -> Any:
    """Of ``beta(n1, 1 - x) sin(pi x) / pi``, given the slope of the logarithm of beta, and that of x, 1 or -1."""
    sine, cosine = _of_half_turns(x)
    return mul(beta(n1, sub(1.0, x)), add(mul(sine, slope), mul(sign, cosine)))


def _slope_of_poch(y: Any, a: Any, m: Any) -> Any:
    """poch(a, m) = gamma(a + m) / gamma(a): zeros of 1 / gamma(a), and where both have poles, by reflection."""
    end, z = add(a, m), sub(1.0, a)
    through_zero = add(mul(gamma(end), _slope_of_rgamma(a, rgamma(a))), mul(y, digamma(end)))
    reflected = mul(y, sub(digamma(sub(z, m)), digamma(z)))
    polynomial = and_(lt(end, 0.5), eq(m, rint(m)))
    return select(lt(a, 0.5), select(polynomial, reflected, through_zero), mul(y, sub(digamma(end), digamma(a))))


binom: Operation = special("binom", _slope_in_n, _slope_in_k, cost=300)
poch: Operation = special(
    "poch",
    _slope_of_poch,
    lambda y, a, m: mul(y, digamma(add(a, m))),
    cost=300,
)

_SHIFT = 12


def _slope_in_exponent(s: Any, q: Any) -> Any:
    """The derivative of zeta(s, q) in s: that of the Euler-Maclaurin formula, NIST DLMF 25.11.5, after 12 terms.

    With z = q + 12 the formula ends in terms z^(1 - s) / (s - 1), z^-s / 2 and B_2j / (2j)! s (s + 1) ...
    (s + 2j - 2) z^(1 - s - 2j).
    """
    result = None
    for k in range(_SHIFT):
        base = add(q, float(k))
        result = plus(result, neg(mul(log(base), power(base, neg(s)))))
    z = add(q, float(_SHIFT))
    log_z, tail = log(z), power(z, neg(s))
    pole = div(1.0, sub(s, 1.0))
    factor = neg(add(mul(mul(z, pole), add(pole, log_z)), mul(0.5, log_z)))
    rising, slope = s, filled(1, typeof(s).strong())
    bernoulli = scipy_special.bernoulli(24)
    for j in range(1, 12):
        weight = float(bernoulli[2 * j]) / math.factorial(2 * j)
        term = sub(slope, mul(rising, log_z))
        factor = add(factor, mul(mul(weight, term), integer_pow(z, n=1 - 2 * j)))
        for m in (2 * j - 1, 2 * j):
            rising, slope = mul(rising, add(s, float(m))), add(mul(slope, add(s, float(m))), rising)
    return add(result, mul(tail, factor))


# The Hurwitz zeta function, NIST DLMF 25.11.17, and Riemann's.
zeta: Operation = elementwise(
    "zeta",
    lambda s, q: scipy_special._ufuncs._zeta(s, q),
    lambda code, s, q: code.special("zeta", s, q),
    lambda y, s, q: _slope_in_exponent(s, q),
    lambda y, s, q: neg(mul(s, zeta(add(s, 1.0), q))),
    cost=300,
)


def _partial_riemann(y: Any, s: Any) -> Any:
    """Left of -1 by reflection, NIST DLMF 25.4.2, where the terms of the sum grow."""
    one = filled(1, typeof(s).strong())
    z = sub(1.0, s)
    angle = mul(math.pi / 2, sub(s, mul(4.0, rint(mul(0.25, s)))))
    factor = mul(mul(2.0, power(filled(2 * math.pi, typeof(s).strong()), neg(z))), gamma(z))
    other = riemann_zeta(z)
    inner = sub(mul(sub(math.log(2 * math.pi), digamma(z)), other), _slope_in_exponent(z, one))
    reflected = mul(factor, add(mul(sin(angle), inner), mul(mul(math.pi / 2, cos(angle)), other)))
    return select(lt(s, -1.0), reflected, _slope_in_exponent(s, one))


riemann_zeta: Operation = elementwise(
    "riemann_zeta",
    lambda s: scipy_special._ufuncs._riemann_zeta(s),
    lambda code, s: code.special("riemann_zeta", s),
    _partial_riemann,
    cost=300,
)
