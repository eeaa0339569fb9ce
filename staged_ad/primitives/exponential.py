"""Exponentials, logarithms, roots, hyperbolic functions and their inverses.

Invariant: partials are written in the stable form; a caveat stands beside the line it concerns.
Start anywhere: each declaration stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.ir import Literal, filled
from staged_ad.ir.primitive import Pair
from staged_ad.primitives import pairs
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
    unwrapped,
    zeros,
)

_LN2, _LN10 = math.log(2), math.log(10)
_complex, _real, _imag = map(Operation, ("complex", "real", "imag"))  # declared above this file, where it is needed


def _math(
    name: str,
    evaluate: Any,
    partial: Partial,
    cost: int = 20,
    symbol: str | None = None,
    split: Callable[[Pair], Pair] | None = None,
) -> Operation:
    """A function of one variable, real or, where `split` says how, complex."""
    kinds = "f" if split is None else "fc"
    emit = lambda code, x: code.math(symbol or name, x)
    return elementwise(name, evaluate, emit, partial, kinds=kinds, cost=cost, split=split)


def beside_one(x: Any) -> tuple[Any, Any]:
    """``1 - x, 1 + x``; x - 1 and x - (-1) keep the side of a cut that a complex x is on, 1 - x and 1 + x do not."""
    if typeof(x).is_complex:
        return neg(sub(x, 1.0)), sub(x, -1.0)
    return sub(1.0, x), add(1.0, x)


exp: Operation = _math("exp", np.exp, lambda y, x: y, split=pairs.exp)
exp2: Operation = _math("exp2", np.exp2, lambda y, x: mul(_LN2, y), split=lambda z: pairs.exp(pairs.scaled(z, _LN2)))
# not y + 1, which cancels for x << 0
expm1: Operation = _math("expm1", np.expm1, lambda y, x: exp(x), split=pairs.expm1)
log: Operation = _math("log", np.log, lambda y, x: div(1.0, x), split=pairs.log)
log2: Operation = _math(
    "log2", np.log2, lambda y, x: div(1 / _LN2, x), split=lambda z: pairs.scaled(pairs.log(z), 1 / _LN2)
)
log10: Operation = _math(
    "log10", np.log10, lambda y, x: div(1 / _LN10, x), split=lambda z: pairs.scaled(pairs.log(z), 1 / _LN10)
)
log1p: Operation = _math("log1p", np.log1p, lambda y, x: div(1.0, add(1.0, x)), split=pairs.log1p)
sqrt: Operation = elementwise(
    "sqrt",
    np.sqrt,
    lambda code, x: code.intrinsic("sqrt", x),
    lambda y, x: div(0.5, y),  # inf at 0
    kinds="fc",
    cost=6,
    split=pairs.sqrt,
)
cbrt: Operation = _math("cbrt", np.cbrt, lambda y, x: div(1.0, mul(3.0, mul(y, y))))  # inf at 0

sinh: Operation = _math("sinh", np.sinh, lambda y, x: cosh(x), split=pairs.sinh)
cosh: Operation = _math("cosh", np.cosh, lambda y, x: sinh(x), split=pairs.cosh)
tanh: Operation = _math("tanh", np.tanh, lambda y, x: sub(1.0, mul(y, y)), split=pairs.tanh)


def _partial_arcsinh(y: Any, x: Any) -> Any:
    """1 / sqrt(1 + x^2) without overflow, and on the side of the cut that x is on."""
    if not typeof(x).is_complex:
        return div(1.0, hypot(1.0, x))
    below, above = beside_one(_complex(neg(_imag(x)), _real(x)))
    return div(1.0, mul(sqrt(below), sqrt(above)))


def _partial_arccosh(y: Any, x: Any) -> Any:
    """1 / (sqrt(x - 1) sqrt(x + 1)): no overflow, and of complex numbers it is not 1 / sqrt((x - 1) (x + 1))."""
    return div(1.0, mul(sqrt(sub(x, 1.0)), sqrt(sub(x, -1.0))))


arcsinh: Operation = _math("arcsinh", np.arcsinh, _partial_arcsinh, symbol="asinh", split=pairs.arcsinh)
arccosh: Operation = _math("arccosh", np.arccosh, _partial_arccosh, symbol="acosh", split=pairs.arccosh)
arctanh: Operation = _math(
    "arctanh",
    np.arctanh,
    lambda y, x: div(1.0, mul(sub(1.0, x), add(1.0, x))),
    symbol="atanh",
    split=pairs.arctanh,
)


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


def _power(x: Any, y: Any) -> Any:
    z = np.power(x, y)  # which takes square roots where the exponent is 0.5: of -inf that is NaN, C's power is inf
    roots = np.isneginf(x) & (y == 0.5) if np.asarray(x).dtype.kind == "f" else False
    return np.where(roots, np.abs(x), z)[()] if np.any(roots) else z


def _one_less(exponent: Any) -> Any:
    number = unwrapped(exponent)
    if isinstance(number, Literal) and number.is_splat:  # a number, so that powers of one base are known as such
        return filled(number.value - 1, number.type)
    return sub(exponent, 1.0)


# The partials are strong products, so (x, y) = (0, 2) gives (0, 0), and x ** 0 has derivative 0 in x everywhere.
power: Operation = elementwise(
    "power",
    _power,
    lambda code, a, b: code.power(a, b),
    lambda z, x, y: scale(y, power(x, _one_less(y))),
    lambda z, x, y: scale(z, log(x)),
    kinds="iufc",
    cost=40,
    split=pairs.power,
)
