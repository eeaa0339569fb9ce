"""Incomplete gamma and beta functions, their inverses, and the distribution functions that are made of them.

Invariant: all are differentiable in every argument that is not a count; slopes in parameters are those of
quadrature.py. Start at ``gammainc``.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from staged_ad.primitives.arithmetic import div, eq, floor, or_, sign
from staged_ad.primitives.exponential import exp, log1p, sqrt
from staged_ad.primitives.gammas import betaln
from staged_ad.primitives.information import xlog1py, xlogy
from staged_ad.primitives.makers import Operation, add, mul, neg, scale, select, sub, typeof, zeros
from staged_ad.primitives.quadrature import slope_of_gammainc, slopes_of_betainc
from staged_ad.primitives.special import lgamma, special


def _flat(where: Any, slope: Any) -> Any:
    """0 where the formula of a slope has no value, and the function is constant."""
    return select(where, zeros(typeof(slope).strong()), slope)


def gamma_density(a: Any, x: Any) -> Any:
    """x^(a - 1) exp(-x) / gamma(a)."""
    return _flat(or_(eq(x, np.inf), eq(a, np.inf)), exp(sub(sub(xlogy(sub(a, 1.0), x), x), lgamma(a))))


def _quantile_of_gamma(a: Any, x: Any) -> Any:
    """The slope in `a` of the quantile x; those of 0 and 1 are ends for each `a`."""
    return _flat(or_(eq(x, 0.0), eq(x, np.inf)), neg(div(slope_of_gammainc(a, x), gamma_density(a, x))))


gammainc: Operation = special(
    "gammainc", lambda y, a, x: slope_of_gammainc(a, x), lambda y, a, x: gamma_density(a, x), cost=300
)
gammaincc: Operation = special(
    "gammaincc", lambda y, a, x: neg(slope_of_gammainc(a, x)), lambda y, a, x: neg(gamma_density(a, x)), cost=300
)
gammaincinv: Operation = special(
    "gammaincinv",
    lambda x, a, p: _quantile_of_gamma(a, x),
    lambda x, a, p: div(1.0, gamma_density(a, x)),
    cost=1000,
)
gammainccinv: Operation = special(
    "gammainccinv",
    lambda x, a, q: _quantile_of_gamma(a, x),
    lambda x, a, q: div(-1.0, gamma_density(a, x)),
    cost=1000,
)


def beta_density(a: Any, b: Any, x: Any) -> Any:
    """x^(a - 1) (1 - x)^(b - 1) / B(a, b)."""
    formula = exp(sub(add(xlogy(sub(a, 1.0), x), xlog1py(sub(b, 1.0), neg(x))), betaln(a, b)))
    ends = [eq(parameter, end) for parameter in (a, b) for end in (0.0, np.inf)]  # all is at 0 or at 1 there
    return _flat(reduce(or_, ends), formula)


def _in_a(a: Any, b: Any, x: Any) -> Any:
    return slopes_of_betainc(a, b, x, sub(1.0, x))[0]


def _in_b(a: Any, b: Any, x: Any) -> Any:
    return slopes_of_betainc(a, b, x, sub(1.0, x))[1]


def _quantile_of_beta(in_parameter: Any, a: Any, b: Any, x: Any) -> Any:
    """The slope in a parameter of the quantile x; those of 0 and 1 are ends for all parameters."""
    return _flat(or_(eq(x, 0.0), eq(x, 1.0)), neg(div(in_parameter(a, b, x), beta_density(a, b, x))))


betainc: Operation = special(
    "betainc",
    lambda y, a, b, x: _in_a(a, b, x),
    lambda y, a, b, x: _in_b(a, b, x),
    lambda y, a, b, x: beta_density(a, b, x),
    cost=300,
)
betaincc: Operation = special(
    "betaincc",
    lambda y, a, b, x: neg(_in_a(a, b, x)),
    lambda y, a, b, x: neg(_in_b(a, b, x)),
    lambda y, a, b, x: neg(beta_density(a, b, x)),
    cost=300,
)
betaincinv: Operation = special(
    "betaincinv",
    lambda x, a, b, p: _quantile_of_beta(_in_a, a, b, x),
    lambda x, a, b, p: _quantile_of_beta(_in_b, a, b, x),
    lambda x, a, b, p: div(1.0, beta_density(a, b, x)),
    cost=1000,
)
betainccinv: Operation = special(
    "betainccinv",
    lambda x, a, b, q: _quantile_of_beta(_in_a, a, b, x),
    lambda x, a, b, q: _quantile_of_beta(_in_b, a, b, x),
    lambda x, a, b, q: div(-1.0, beta_density(a, b, x)),
    cost=1000,
)


def _half(x: Any) -> Any:
    return mul(0.5, x)


# The chi-squared, gamma and Poisson distributions; a count k is flat between whole numbers.
chdtr: Operation = special(
    "chdtr",
    lambda y, v, x: _half(slope_of_gammainc(_half(v), _half(x))),
    lambda y, v, x: _half(gamma_density(_half(v), _half(x))),
    cost=300,
)
chdtrc: Operation = special(
    "chdtrc",
    lambda y, v, x: mul(-0.5, slope_of_gammainc(_half(v), _half(x))),
    lambda y, v, x: mul(-0.5, gamma_density(_half(v), _half(x))),
    cost=300,
)
chdtri: Operation = special(
    "chdtri",
    lambda x, v, p: _quantile_of_gamma(_half(v), _half(x)),
    lambda x, v, p: div(-2.0, gamma_density(_half(v), _half(x))),
    cost=1000,
)
gdtr: Operation = special(
    "gdtr",
    lambda y, a, b, x: scale(x, gamma_density(b, mul(a, x))),
    lambda y, a, b, x: slope_of_gammainc(b, mul(a, x)),
    lambda y, a, b, x: scale(a, gamma_density(b, mul(a, x))),
    cost=300,
)
gdtrc: Operation = special(
    "gdtrc",
    lambda y, a, b, x: neg(scale(x, gamma_density(b, mul(a, x)))),
    lambda y, a, b, x: neg(slope_of_gammainc(b, mul(a, x))),
    lambda y, a, b, x: neg(scale(a, gamma_density(b, mul(a, x)))),
    cost=300,
)
pdtr: Operation = special("pdtr", None, lambda y, k, m: neg(gamma_density(add(floor(k), 1.0), m)), cost=300)
pdtrc: Operation = special("pdtrc", None, lambda y, k, m: gamma_density(add(floor(k), 1.0), m), cost=300)


# Student's t and the F distribution.
def student_density(v: Any, t: Any) -> Any:
    spread = mul(_half(add(v, 1.0)), log1p(div(mul(t, t), v)))
    log_beta = betaln(_half(v), _half(div(v, v)))
    return div(exp(neg(add(spread, log_beta))), sqrt(v))


def _student_in_v(v: Any, t: Any) -> Any:
    """Of 1/2 + sign(t) I_w(1/2, v / 2) / 2 with w = t^2 / (v + t^2): its slope in v at fixed t."""
    square = mul(t, t)
    total = add(v, square)
    in_b = slopes_of_betainc(_half(div(v, v)), _half(v), div(square, total), div(v, total))[1]
    # dw/dv = -w / (v + t^2), which is -t / (2 v) in t
    return sub(mul(mul(0.25, sign(t)), in_b), div(mul(t, student_density(v, t)), mul(2.0, v)))


stdtr: Operation = special(
    "stdtr", lambda y, v, t: _student_in_v(v, t), lambda y, v, t: student_density(v, t), cost=300
)
stdtrit: Operation = special(
    "stdtrit",
    lambda t, v, p: neg(div(_student_in_v(v, t), student_density(v, t))),
    lambda t, v, p: div(1.0, student_density(v, t)),
    cost=1000,
)


def _f_density(m: Any, n: Any, x: Any) -> Any:
    """Of the F distribution with m and n degrees of freedom."""
    ratio = div(mul(m, x), n)
    power = sub(xlogy(sub(_half(m), 1.0), ratio), mul(_half(add(m, n)), log1p(ratio)))
    return _flat(eq(x, np.inf), mul(div(m, n), exp(sub(power, betaln(_half(m), _half(n))))))


def _f_slopes(m: Any, n: Any, x: Any) -> tuple[Any, Any]:
    """Of I_w(m / 2, n / 2) with w = m x / (n + m x): m and n scale x, and are parameters."""
    total = add(n, mul(m, x))
    in_a, in_b = slopes_of_betainc(_half(m), _half(n), div(mul(m, x), total), div(n, total))
    moved = mul(x, _f_density(m, n, x))
    ends = or_(eq(x, 0.0), eq(x, np.inf))
    return _flat(ends, add(_half(in_a), div(moved, m))), _flat(ends, sub(_half(in_b), div(moved, n)))


fdtr: Operation = special(
    "fdtr",
    lambda y, m, n, x: _f_slopes(m, n, x)[0],
    lambda y, m, n, x: _f_slopes(m, n, x)[1],
    lambda y, m, n, x: _f_density(m, n, x),
    cost=300,
)
fdtrc: Operation = special(
    "fdtrc",
    lambda y, m, n, x: neg(_f_slopes(m, n, x)[0]),
    lambda y, m, n, x: neg(_f_slopes(m, n, x)[1]),
    lambda y, m, n, x: neg(_f_density(m, n, x)),
    cost=300,
)
fdtri: Operation = special(
    "fdtri",
    lambda x, m, n, p: _flat(eq(x, 0.0), neg(div(_f_slopes(m, n, x)[0], _f_density(m, n, x)))),
    lambda x, m, n, p: _flat(eq(x, 0.0), neg(div(_f_slopes(m, n, x)[1], _f_density(m, n, x)))),
    lambda x, m, n, p: div(1.0, _f_density(m, n, x)),
    cost=1000,
)
