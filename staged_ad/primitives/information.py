"""Entropies, losses, links and transforms: the functions of scipy.special that statistics and fitting use.

Invariant: at 0 a logarithm times 0 is 0, as in SciPy, and so is its slope in the other factor.
Start at ``xlogy``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.ir import filled
from staged_ad.primitives.arithmetic import abs_, and_, div, eq, gt, lt, sign
from staged_ad.primitives.exponential import exp, hypot, log, log1p, power
from staged_ad.primitives.integrals import hyp1f1
from staged_ad.primitives.makers import Operation, add, elementwise, mul, neg, scale, select, sub, typeof, zeros
from staged_ad.primitives.special import named, near_zero, special
from staged_ad.primitives.trigonometric import sin


def _times_logarithm(name: str, logarithm: str) -> Callable[..., Any]:
    def emit(code: Any, x: Any, y: Any) -> Any:
        """x log(y), and 0 where x is 0 and y is a number."""
        zero = code.constant(0, x.dtype)
        absorbed = code.and_(code.compare("eq", x, zero), code.compare("eq", y, y))
        return code.select(absorbed, zero, code.mul(x, code.math(logarithm, y)))

    return emit


def _quotient(x: Any, y: Any) -> Any:
    """x / y, and 0 where x is 0."""
    return select(eq(x, 0.0), zeros(typeof(x)), div(x, y))


xlogy: Operation = elementwise(
    "xlogy",
    named("xlogy"),
    _times_logarithm("xlogy", "log"),
    lambda z, x, y: log(y),
    lambda z, x, y: _quotient(x, y),
    cost=25,
)
xlog1py: Operation = elementwise(
    "xlog1py",
    named("xlog1py"),
    _times_logarithm("xlog1py", "log1p"),
    lambda z, x, y: log1p(y),
    lambda z, x, y: _quotient(x, add(1.0, y)),
    cost=25,
)
entr: Operation = special("entr", lambda y, x: neg(add(log(x), 1.0)), cost=30)  # inf at 0


def _log_ratio(x: Any, y: Any) -> Any:
    """log(x / y), and 0 where both are 0."""
    ratio = log(div(x, y))
    return select(and_(eq(x, 0.0), eq(y, 0.0)), zeros(typeof(ratio)), ratio)


rel_entr: Operation = special(
    "rel_entr", lambda z, x, y: add(_log_ratio(x, y), 1.0), lambda z, x, y: neg(_quotient(x, y)), cost=40
)
kl_div: Operation = special(
    "kl_div", lambda z, x, y: _log_ratio(x, y), lambda z, x, y: sub(1.0, _quotient(x, y)), cost=40
)


def _beyond(delta: Any, r: Any) -> Any:
    return gt(abs_(r), delta)


def _defined(delta: Any, partial: Any) -> Any:
    """The partial; for a negative delta, where the functions are infinite, 0."""
    return select(lt(delta, 0.0), zeros(typeof(partial)), partial)


huber: Operation = special(
    "huber",
    lambda y, delta, r: _defined(delta, select(_beyond(delta, r), sub(abs_(r), delta), zeros(typeof(r)))),
    lambda y, delta, r: _defined(delta, select(_beyond(delta, r), mul(delta, sign(r)), r)),
    cost=20,
)


def _pseudo_huber_in_delta(y: Any, delta: Any, r: Any) -> Any:
    """2 d (s - 1) - r^2 / (d s) with s = hypot(1, r / d); in the form d (s - 1)^2 / s nothing cancels."""
    h, size = hypot(delta, r), abs_(delta)
    excess = div(mul(r, r), add(h, size))  # d (s - 1)
    partial = select(eq(delta, 0.0), zeros(typeof(r)), mul(sign(delta), mul(excess, div(excess, h))))
    return _defined(delta, partial)


def _pseudo_huber_in_r(y: Any, delta: Any, r: Any) -> Any:
    h = hypot(delta, r)
    return _defined(delta, select(eq(h, 0.0), r, mul(abs_(delta), div(r, h))))


pseudo_huber: Operation = special("pseudo_huber", _pseudo_huber_in_delta, _pseudo_huber_in_r, cost=20)


def _emit_logit(code: Any, x: Any) -> Any:
    """log(x / (1 - x)); near 1/2 by log1p, which does not cancel."""
    one, half = code.constant(1, x.dtype), code.constant(0.5, x.dtype)
    apart = code.sub(x, half)
    s = code.add(apart, apart)
    inside = code.sub(code.math("log1p", s), code.math("log1p", code.neg(s)))
    outside = code.math("log", code.div(x, code.sub(one, x)))
    return code.select(code.compare("lt", code.abs(apart), code.constant(0.2, x.dtype)), inside, outside)


logit: Operation = elementwise(
    "logit", named("logit"), _emit_logit, lambda y, x: div(1.0, mul(x, sub(1.0, x))), cost=80
)


_LARGE = 800.0


def _slope_of_exprel(x: Any) -> Any:
    """exprel(x) is the confluent hypergeometric function M(1, 2, x), so its derivative is M(2, 3, x) / 2.

    It is infinite from 720 on, where SciPy adds up as many terms as x is large, and never ends at inf.
    """
    type = typeof(x).strong()
    high, low = filled(_LARGE, type), filled(-np.finfo(type.dtype).max, type)
    bounded = select(gt(x, high), high, select(lt(x, low), low, x))
    return mul(0.5, hyp1f1(filled(2, type), filled(3, type), bounded))


exprel: Operation = special("exprel", lambda y, x: _slope_of_exprel(x), cost=30)
cosm1: Operation = special("cosm1", lambda y, x: neg(sin(x)), cost=30)
powm1: Operation = special(
    "powm1",
    lambda z, x, y: scale(y, power(x, sub(y, 1.0))),
    lambda z, x, y: scale(add(z, 1.0), log(x)),
    cost=60,
)


def _boxcox_in_lambda(logarithm: Any, power_: Any) -> Any:
    """(x^l - 1) / l = L exprel(l L) with L = log(x), so its slope in l is L^2 exprel'(l L).

    Where x^l is 0 because x is 0 or infinite, that of -1 / l is left.
    """
    exponent, square = mul(power_, logarithm), mul(logarithm, logarithm)
    end = select(lt(exponent, zeros(typeof(exponent))), div(1.0, mul(power_, power_)), add(square, power_))
    slope = mul(square, _slope_of_exprel(exponent))
    return select(eq(square, math.inf), end, slope)


boxcox: Operation = special(
    "boxcox", lambda y, x, p: power(x, sub(p, 1.0)), lambda y, x, p: _boxcox_in_lambda(log(x), p), cost=60
)
boxcox1p: Operation = special(
    "boxcox1p",
    lambda y, x, p: exp(mul(sub(p, 1.0), log1p(x))),
    lambda y, x, p: _boxcox_in_lambda(log1p(x), p),
    cost=60,
)


def _inverse_in_lambda(z: Any, y: Any, p: Any) -> Any:
    """z = (1 + l y)^(1 / l); dz/dl = z y^2 (u / (1 + u) - log1p(u)) / u^2 with u = l y."""
    u = mul(p, y)
    formula = div(sub(div(u, add(1.0, u)), log1p(u)), mul(u, u))
    g = near_zero(u, 0.125, [-((-1.0) ** k) * (k + 1) / (k + 2) for k in range(20)], formula)
    return mul(z, mul(mul(y, y), g))


inv_boxcox: Operation = special(
    "inv_boxcox",
    lambda z, y, p: div(z, add(1.0, mul(p, y))),
    lambda z, y, p: _inverse_in_lambda(z, y, p),
    cost=60,
)
inv_boxcox1p: Operation = special(
    "inv_boxcox1p",
    lambda z, y, p: div(add(1.0, z), add(1.0, mul(p, y))),
    lambda z, y, p: _inverse_in_lambda(add(1.0, z), y, p),
    cost=60,
)

_DEGREE = math.pi / 180
sindg: Operation = special("sindg", lambda y, x: mul(_DEGREE, cosdg(x)), cost=40)
cosdg: Operation = special("cosdg", lambda y, x: mul(-_DEGREE, sindg(x)), cost=40)
tandg: Operation = special("tandg", lambda y, x: mul(_DEGREE, add(1.0, mul(y, y))), cost=40)
cotdg: Operation = special("cotdg", lambda y, x: mul(-_DEGREE, add(1.0, mul(y, y))), cost=40)
exp10: Operation = special("exp10", lambda y, x: mul(math.log(10), y), cost=40)


def _constant(factor: float) -> Callable[..., Any]:
    return lambda y, *xs: filled(factor, typeof(y))


radian: Operation = special("radian", _constant(_DEGREE), _constant(_DEGREE / 60), _constant(_DEGREE / 3600), cost=20)
wrightomega: Operation = special("wrightomega", lambda y, x: div(y, add(1.0, y)), cost=100)
