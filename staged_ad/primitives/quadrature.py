"""Derivatives of the incomplete gamma and beta functions in their parameters.

Both are integrals of exp(-h) with h convex and zero at the end point x: over log t for gamma, over logit t for beta.
The integral runs from x towards the nearer tail, to where exp(-h) has fallen to exp(-40), and is taken by the
Gauss-Legendre rule with 64 nodes. A parameter near 0, for which the tail is long, is first raised by 1 with the
recurrences NIST DLMF 8.8.5 and 8.17.20. All terms have one sign, so the relative error is near 1e-12 for parameters up
to 1e3; it grows with them as that of the densities does.

Invariant: everything is a composition, hence differentiable again; the interval is held fixed in derivatives.
Start at ``slope_of_gammainc``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from staged_ad.ir import filled
from staged_ad.ir.types import FLOAT64
from staged_ad.primitives.arithmetic import and_, div, ge, gt, le, lt, maximum, not_, or_
from staged_ad.primitives.exponential import exp, expm1, log, log1p, sqrt
from staged_ad.primitives.makers import add, mul, neg, select, sub, typeof, zeros
from staged_ad.primitives.reductions import reduce_sum
from staged_ad.primitives.shaping import broadcast, cast, stop_gradient
from staged_ad.primitives.special import digamma, lgamma

NODES = 64
_DROP = 40.0


@cache
def _rule() -> tuple[Any, Any]:
    """Points and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(NODES)
    return (points + 1) / 2, weights / 2


def _wide(*xs: Any) -> list[Any]:
    return [x if typeof(x).dtype == FLOAT64 else cast(x, dtype=FLOAT64, weak=False) for x in xs]


def _narrow(x: Any, like: Any) -> Any:
    dtype = typeof(like).dtype
    return x if dtype == FLOAT64 else cast(x, dtype=dtype, weak=False)


def _outward(x: Any) -> Any:
    """`x` with an axis of nodes behind its own."""
    type = typeof(x)
    return broadcast(x, shape=(*type.shape, NODES), dims=tuple(range(type.ndim)))


def _along(values: Any, x: Any) -> Any:
    """Constants, one for each node, for every element of `x`."""
    type = typeof(x)
    return broadcast(values, shape=(*type.shape, NODES), dims=(type.ndim,))


def _integral(integrand: Any, length: Any) -> Any:
    total = reduce_sum(mul(_along(_rule()[1], length), integrand), axes=(typeof(length).ndim,))
    return mul(length, total)


def _newton(start: Any, h: Any, slope: Any, steps: int) -> Any:
    """The distance at which the convex function h is 40, from above."""
    d = start
    for _ in range(steps):
        d = sub(d, div(sub(h(d), _DROP), slope(d)))
    return stop_gradient(d)


def _inside(x: Any, valid: Any, otherwise: float) -> Any:
    return select(valid, x, filled(otherwise, typeof(x)))


def slope_of_gammainc(a: Any, x: Any) -> Any:
    """The derivative of the regularised lower incomplete gamma function P(a, x) in a.

    With w = log t it is the integral of (w - psi(a)) exp(a w - exp(w)) / gamma(a) below log(x), and minus that above.
    """
    like = x
    a, x = _wide(a, x)
    valid = and_(gt(x, 0.0), lt(x, np.inf))
    x = _inside(x, valid, 1.0)
    lower = le(x, maximum(a, 0.5))
    sign = select(lower, filled(-1, typeof(x)), filled(1, typeof(x)))
    p = select(lower, add(a, 1.0), a)

    def h(d: Any, p: Any, x: Any, sign: Any) -> Any:
        along = mul(sign, d)
        return sub(mul(x, expm1(along)), mul(p, along))

    below = div(2 * _DROP, add(sqrt(mul(_DROP / 2, p)), sub(p, x)))
    above = log1p(add(div(2 * _DROP, x), sqrt(div(2 * _DROP, x))))
    length = _newton(
        select(lower, below, above),
        lambda d: h(d, p, x, sign),
        lambda d: mul(sign, sub(mul(x, exp(mul(sign, d))), p)),
        3,
    )
    d = mul(_along(_rule()[0], length), _outward(length))
    offset = add(_outward(sub(log(x), digamma(p))), mul(_outward(sign), d))
    integrand = mul(exp(neg(h(d, _outward(p), _outward(x), _outward(sign)))), offset)
    density = exp(sub(sub(mul(p, log(x)), x), lgamma(p)))
    integral = neg(mul(sign, mul(density, _integral(integrand, length))))
    raised = mul(div(density, x), sub(log(x), digamma(p)))
    slope = add(integral, select(lower, raised, zeros(typeof(x))))
    slope = _inside(select(valid, slope, zeros(typeof(x))), gt(a, 0.0), np.nan)
    return _narrow(slope, like)


def slopes_of_betainc(a: Any, b: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The derivatives of the regularised incomplete beta function I_x(a, b) in a and b; y is 1 - x.

    With w = log(t / (1 - t)) and s = 1 / (1 + exp(-w)) they are integrals of (log(s) - psi(a) + psi(a + b)) and
    (log(1 - s) - psi(b) + psi(a + b)) times s^a (1 - s)^b / B(a, b). The upper tail is the lower one with both
    parameters and both arguments exchanged.
    """
    like = x
    a, b, x, y = _wide(a, b, x, y)
    valid = and_(gt(x, 0.0), gt(y, 0.0))
    x, y = _inside(x, valid, 0.5), _inside(y, valid, 0.5)
    near_one = le(mul(y, add(a, 1.0)), 0.5)
    lower = or_(le(mul(x, add(b, 1.0)), 0.5), and_(le(mul(x, add(a, b)), a), not_(near_one)))
    p, q = select(lower, a, b), select(lower, b, a)
    u, v = select(lower, x, y), select(lower, y, x)
    in_p, in_q = _lower_slopes(p, q, u, v)
    zero = zeros(typeof(x))
    slopes = []
    for own, other, slope in (
        (a, b, select(lower, in_p, neg(in_q))),
        (b, a, select(lower, in_q, neg(in_p))),
    ):
        varies = and_(gt(other, 0.0), lt(other, np.inf))  # it is 0 or 1 at the ends of the other parameter
        inner = select(and_(valid, varies), slope, zero)
        slopes.append(_narrow(_inside(inner, and_(gt(own, 0.0), ge(other, 0.0)), np.nan), like))
    return slopes[0], slopes[1]


def _lower_slopes(p: Any, q: Any, u: Any, v: Any) -> tuple[Any, Any]:
    raised = add(p, 1.0)
    whole = add(raised, q)

    def shrunk(d: Any, u: Any) -> Any:
        """log(1 - s) grows by this less as w falls by d."""
        return log1p(mul(u, expm1(neg(d))))

    def slope(d: Any) -> Any:
        left = mul(u, exp(neg(d)))
        return sub(raised, mul(whole, div(left, add(left, v))))

    start = sub(div(_DROP, raised), mul(log(v), add(1.0, div(q, raised))))
    length = _newton(start, lambda d: add(mul(raised, d), mul(whole, shrunk(d, u))), slope, 5)
    d = mul(_along(_rule()[0], length), _outward(length))
    rest = shrunk(d, _outward(u))
    weight = exp(neg(add(mul(_outward(raised), d), mul(_outward(whole), rest))))
    log_u, log_v = log(u), log(v)
    offset_p = sub(_outward(add(sub(log_u, digamma(raised)), digamma(whole))), add(d, rest))
    offset_q = sub(_outward(add(sub(log_v, digamma(q)), digamma(whole))), rest)
    # u^p v^q / B(p + 1, q), and the term by which the recurrence lowers p + 1 to p
    log_beta = sub(add(lgamma(raised), lgamma(q)), lgamma(whole))
    density = exp(sub(add(mul(raised, log_u), mul(q, log_v)), log_beta))
    total = add(p, q)
    term = exp(sub(add(mul(p, log_u), mul(q, log_v)), sub(add(lgamma(raised), lgamma(q)), lgamma(total))))
    in_p = add(
        mul(density, _integral(mul(weight, offset_p), length)),
        mul(term, add(sub(log_u, digamma(raised)), digamma(total))),
    )
    in_q = add(
        mul(density, _integral(mul(weight, offset_q), length)),
        mul(term, add(sub(log_v, digamma(q)), digamma(total))),
    )
    return in_p, in_q
