"""How a gamma variate moves with its shape parameter: implicit reparameterisation.

A variate z of shape a keeps its rank F(a, z) when a moves, so dz/da = -F_a / f with the density f = F_z (M. Figurnov,
S. Mohamed, A. Mnih, "Implicit reparameterization gradients", NeurIPS 2018). In y = log z,

    dy/da = z^-a e^z  integral_0^z t^(a-1) e^-t (psi(a) - log t) dt,

and minus the same integral from z to infinity, since over all t it is 0. The bracket changes sign at t = e^psi(a): on
the side of it that z is on, the integrand has one sign, so a quadrature has no cancellation. With t = z e^v on the
upper side and t = z e^-v on the lower, it is a smooth decreasing function of v, and the quadrature is Gauss's on the
part that matters. For z < 1, the power series of the integral (NIST DLMF 8.7.1).

Invariant: `slope` is a composition of differentiable operations, so derivatives of any order are right.
Start at ``slope``.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from staged_ad.ir import filled
from staged_ad.ir.types import FLOAT64
from staged_ad.primitives.arithmetic import div, gt, lt, minimum
from staged_ad.primitives.exponential import arccosh, exp, expm1, sqrt
from staged_ad.primitives.makers import Operation, add, elementwise, mul, neg, select, sub, typeof
from staged_ad.primitives.reductions import reduce_sum
from staged_ad.primitives.shaping import broadcast, cast, stop_gradient
from staged_ad.primitives.special import digamma
from staged_ad.random.arguments import spread

TERMS = 20
"""Of the power series: 1 / 20! is below the rounding error."""
NODES = 32
REACH = 40.0
"""Where the integrand has fallen by this power of e, the quadrature ends."""

_ORDERS = np.arange(1.0, TERMS + 1)
_COEFFICIENTS = np.array([(-1) ** k / math.factorial(k) for k in range(1, TERMS + 1)])


@cache
def _rule() -> tuple[Any, Any]:
    """Points and weights on [0, 1]."""
    points, weights = np.polynomial.legendre.leggauss(NODES)
    return points / 2 + 0.5, weights / 2


def slope(a: Any, y: Any) -> Any:
    """d log(z) / da at z = exp(y), for a gamma variate z of shape a."""
    dtype = typeof(a).dtype
    a, y = (cast(v, dtype=FLOAT64, weak=False) for v in (a, y))
    small = lt(y, 0.0)
    near = _by_series(a, select(small, y, _like(-1.0, y)))
    far = _by_quadrature(a, select(small, _like(1.0, y), y))
    return cast(select(small, near, far), dtype=dtype, weak=False)


def _by_series(a: Any, y: Any) -> Any:
    """With psi(a) = psi(1 + a) - 1 / a, so that the poles at a = 0 do not cancel in floating point."""
    orders, coefficients = _along(_ORDERS, y), _along(_COEFFICIENTS, y)
    reciprocal = div(1.0, add(_nodewise(a, TERMS), orders))
    terms = mul(mul(coefficients, exp(mul(_nodewise(y, TERMS), orders))), reciprocal)
    first, second = _sum(terms), _sum(mul(terms, reciprocal))
    logarithm = sub(y, digamma(add(1.0, a)))
    inside = sub(sub(second, mul(logarithm, add(div(1.0, a), first))), div(first, a))
    return mul(exp(exp(y)), inside)


def _by_quadrature(a: Any, y: Any) -> Any:
    z, gap = exp(y), sub(y, digamma(a))
    upper = gt(gap, 0.0)
    sign = select(upper, _like(1.0, y), _like(-1.0, y))
    end = stop_gradient(_end(mul(sign, sub(z, a)), z, upper))
    step, signs = _nodewise(end, NODES), _nodewise(sign, NODES)
    v = mul(step, _along(_rule()[0], y))
    w = mul(signs, v)
    fall = sub(mul(_nodewise(z, NODES), expm1(w)), mul(_nodewise(a, NODES), w))
    integrand = mul(exp(neg(fall)), add(v, mul(signs, _nodewise(gap, NODES))))
    return _sum(mul(mul(step, _along(_rule()[1], y)), integrand))


def _end(rate: Any, z: Any, upper: Any) -> Any:
    """About where the integrand has fallen by REACH: rate v + z (e^v - 1 - v) with -v for the lower side, bounded
    below by rate v + z v^2 / 2 and by z (cosh v - 1) - v / 2, or by rate v + z v^2 / (2 + 2 v / 3) on the lower side.
    """
    parabola = div(2 * REACH, add(rate, sqrt(add(mul(rate, rate), mul(2 * REACH, z)))))
    above = minimum(parabola, arccosh(add(1.0, div(REACH + 4.0, z))))
    square = add(div(rate, 3.0), div(z, 2.0))
    linear = sub(rate, REACH / 3)
    root = sqrt(add(mul(linear, linear), mul(4 * REACH, square)))
    below = div(sub(root, linear), mul(2.0, square))
    return select(upper, above, below)


def _like(number: float, x: Any) -> Any:
    return filled(number, typeof(x))


def _along(nodes: Any, x: Any) -> Any:
    """Constants along a last axis, for every element of `x`."""
    return spread(nodes, (*typeof(x).shape, len(nodes)), x)


def _nodewise(x: Any, count: int) -> Any:
    shape: tuple[int, ...] = typeof(x).shape
    return broadcast(x, shape=(*shape, count), dims=tuple(range(len(shape))))


def _sum(x: Any) -> Any:
    return reduce_sum(x, axes=(len(typeof(x).shape) - 1,))


# moved_by_shape(a, y): y, the logarithm of a gamma variate of shape a, with the derivative that implicit
# reparameterisation gives it with respect to a. How y was drawn has no part in it.
moved_by_shape: Operation = elementwise(
    "moved_by_shape",
    lambda a, y: y,
    lambda code, a, y: y,
    lambda result, a, y: slope(a, result),
    1,
    kinds="f",
    cost=0,
)
