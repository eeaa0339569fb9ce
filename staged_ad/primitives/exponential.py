"""Exponentials, logarithms, roots, hyperbolic functions and their inverses.

Invariant: partials are written in the stable form; a caveat stands beside the line it concerns.
Start anywhere: each declaration stands alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from staged_ad.primitives.arithmetic import div, eq
from staged_ad.primitives.makers import (
    Operation,
    Partial,
    add,
    elementwise,
    mul,
    neg,
    scale,
    select,
    sub,
    typeof,
    zeros,
)

_LN2, _LN10 = math.log(2), math.log(10)


def _math(name: str, evaluate: Any, partial: Partial, cost: int = 20, symbol: str | None = None) -> Operation:
    return elementwise(name, evaluate, lambda code, x: code.math(symbol or name, x), partial, cost=cost)


exp: Operation = _math("exp", np.exp, lambda y, x: y)
exp2: Operation = _math("exp2", np.exp2, lambda y, x: mul(_LN2, y))
expm1: Operation = _math("expm1", np.expm1, lambda y, x: exp(x))  # not y + 1, which cancels for x << 0
log: Operation = _math("log", np.log, lambda y, x: div(1.0, x))
log2: Operation = _math("log2", np.log2, lambda y, x: div(1 / _LN2, x))
log10: Operation = _math("log10", np.log10, lambda y, x: div(1 / _LN10, x))
log1p: Operation = _math("log1p", np.log1p, lambda y, x: div(1.0, add(1.0, x)))
sqrt: Operation = elementwise(
    "sqrt", np.sqrt, lambda code, x: code.intrinsic("sqrt", x), lambda y, x: div(0.5, y), cost=6
)  # inf at 0
cbrt: Operation = _math("cbrt", np.cbrt, lambda y, x: div(1.0, mul(3.0, mul(y, y))))  # inf at 0

sinh: Operation = _math("sinh", np.sinh, lambda y, x: cosh(x))
cosh: Operation = _math("cosh", np.cosh, lambda y, x: sinh(x))
tanh: Operation = _math("tanh", np.tanh, lambda y, x: sub(1.0, mul(y, y)))
arcsinh: Operation = _math("arcsinh", np.arcsinh, lambda y, x: div(1.0, hypot(1.0, x)), symbol="asinh")
arccosh: Operation = _math(
    "arccosh", np.arccosh, lambda y, x: div(1.0, sqrt(mul(sub(x, 1.0), add(x, 1.0)))), symbol="acosh"
)
arctanh: Operation = _math("arctanh", np.arctanh, lambda y, x: div(1.0, mul(sub(1.0, x), add(1.0, x))), symbol="atanh")


def _ratio(y: Any, x: Any) -> Any:
    """x / y, and 0 where y is 0: the subgradient of least norm."""
    zero = zeros(typeof(x))
    return select(eq(y, zero), zero, div(x, y))


hypot: Operation = elementwise(
    "hypot",
    np.hypot,
    lambda code, a, b: code.math("hypot", a, b),
    lambda y, a, b: _ratio(y, a),
    lambda y, a, b: _ratio(y, b),
    cost=20,
)


def _weight(y: Any, x: Any) -> Any:
    """exp(x - y), and 1 where x == y, infinities included."""
    return exp(select(eq(x, y), zeros(typeof(x)), sub(x, y)))


def _emit_logaddexp(code: Any, a: Any, b: Any) -> Any:
    larger = code.maximum(a, b)
    gap = code.neg(code.abs(code.sub(a, b)))
    stable = code.add(larger, code.math("log1p", code.math("exp", gap)))
    # equal operands, infinities included, have no gap to take
    return code.select(code.compare("eq", a, b), code.add(a, code.constant(_LN2, a.dtype)), stable)


logaddexp: Operation = elementwise(
    "logaddexp",
    np.logaddexp,
    _emit_logaddexp,
    lambda y, a, b: _weight(y, a),
    lambda y, a, b: _weight(y, b),
    cost=45,
)


# The logistic function. As in SciPy it is 1 / (1 + exp(-x)), which overflows to the right limit.
def _expit(x: Any) -> Any:
    x = np.asarray(x)
    return (1 / (1 + np.exp(-x))).astype(x.dtype)


expit: Operation = elementwise(
    "expit",
    _expit,
    lambda code, x: code.div(
        code.constant(1, x.dtype), code.add(code.constant(1, x.dtype), code.math("exp", code.neg(x)))
    ),
    lambda y, x: mul(y, expit(neg(x))),  # not y (1 - y), which cancels for x >> 0
    cost=28,
)


def _log_expit(x: Any) -> Any:
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


log_expit: Operation = elementwise(
    "log_expit",
    _log_expit,
    lambda code, x: code.sub(
        code.minimum(x, code.constant(0, x.dtype)), code.math("log1p", code.math("exp", code.neg(code.abs(x))))
    ),
    lambda y, x: expit(neg(x)),
    cost=45,
)


# The partials are strong products, so (x, y) = (0, 2) gives (0, 0), and x ** 0 has derivative 0 in x everywhere.
power: Operation = elementwise(
    "power",
    np.power,
    lambda code, a, b: code.power(a, b),
    lambda z, x, y: scale(y, power(x, sub(y, 1.0))),
    lambda z, x, y: scale(z, log(x)),
    kinds="iuf",
    cost=40,
)
