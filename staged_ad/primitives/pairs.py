"""Functions of a complex variable in real arithmetic: what machine code computes for exp, log, sqrt, arcsin, ...

The formulas and branch cuts are those of W. Kahan, "Branch Cuts for Complex Elementary Functions, or Much Ado About
Nothing's Sign Bit", in The State of the Art in Numerical Analysis (1987); the quotient is R. L. Smith's, Algorithm 116,
CACM 5 (1962). On a cut the sign of a zero decides, as in NumPy.

Invariant: no formula subtracts a real number from a complex one by way of a complex number: signed zeros stay.
Start at ``quotient``; a comment says what a formula avoids.
"""

from __future__ import annotations

import math
from typing import Any

from staged_ad.ir import filled
from staged_ad.ir.primitive import Pair
from staged_ad.primitives.makers import Operation, add, mul, neg, pair_product, select, sub, typeof, zeros

# declared above this file, where it is needed
_and, _or, _eq, _ne = Operation("and"), Operation("or"), Operation("eq"), Operation("ne")
_rint, _floor = Operation("rint"), Operation("floor")
_lt, _gt, _ge, _abs, _copysign = map(Operation, ("lt", "gt", "ge", "abs", "copysign"))
_div, _sqrt, _hypot, _max, _min = map(Operation, ("div", "sqrt", "hypot", "maximum", "minimum"))
_exp, _expm1, _log, _log1p = map(Operation, ("exp", "expm1", "log", "log1p"))
_sin, _cos, _tan, _atan2 = map(Operation, ("sin", "cos", "tan", "arctan2"))
_sinh, _cosh, _tanh, _asinh = map(Operation, ("sinh", "cosh", "tanh", "arcsinh"))

_LARGE = 300.0
"""An argument of exp that has room above it in float64; in float32 the exponential is infinite from 89 on."""


def conjugate(z: Pair) -> Pair:
    return Pair(z.real, neg(z.imag))


def times_i(z: Pair) -> Pair:
    return Pair(neg(z.imag), z.real)


def over_i(z: Pair) -> Pair:
    return Pair(z.imag, neg(z.real))


def scaled(z: Pair, factor: float) -> Pair:
    return Pair(mul(z.real, factor), mul(z.imag, factor))


def equal(a: Pair, b: Pair) -> Any:
    return _and(_eq(a.real, b.real), _eq(a.imag, b.imag))


def different(a: Pair, b: Pair) -> Any:
    return _or(_ne(a.real, b.real), _ne(a.imag, b.imag))


def chosen(condition: Any, a: Pair, b: Pair) -> Pair:
    return Pair(select(condition, a.real, b.real), select(condition, a.imag, b.imag))


def constant(z: Pair, value: complex) -> Pair:
    """`value` in the type of `z`."""
    type = typeof(z.real)
    return Pair(filled(value.real, type), filled(value.imag, type))


def is_zero(z: Pair) -> Any:
    return _and(_eq(z.real, 0.0), _eq(z.imag, 0.0))


def quotient(a: Pair, b: Pair) -> Pair:
    """Smith's method: |b|^2 is never formed, so that it cannot overflow."""
    wide = _ge(_abs(b.real), _abs(b.imag))
    large, small = select(wide, b.real, b.imag), select(wide, b.imag, b.real)
    nothing = is_zero(b)
    ratio = select(nothing, zeros(typeof(large)), _div(small, large))
    inverse = _div(1.0, select(nothing, _abs(large), add(large, mul(small, ratio))))
    real = select(wide, add(a.real, mul(a.imag, ratio)), add(mul(a.real, ratio), a.imag))
    imag = select(wide, sub(a.imag, mul(a.real, ratio)), sub(mul(a.imag, ratio), a.real))
    return Pair(mul(select(nothing, a.real, real), inverse), mul(select(nothing, a.imag, imag), inverse))


def integer_power(z: Pair, *, n: int) -> Pair:
    """Repeated squaring; zeros have NumPy's signs, whose powers but 1, 2 and 3 begin with a product with 1."""
    result, square, left = None, z, abs(n)
    while left:
        if left & 1:
            first = square if n in (1, 2, 3) else _times_one(square)
            result = first if result is None else pair_product(mul, result, square)
        left >>= 1
        if left:
            square = pair_product(mul, square, square)
    if result is None:
        return constant(z, 1)
    if n in (1, 3):
        nothing, zero = is_zero(z), zeros(typeof(z.real))
        return Pair(*(select(nothing, zero, part) for part in result))
    return quotient(constant(z, 1), result) if n < 0 else result


def _times_one(z: Pair) -> Pair:
    """``(1 + 0j) * z`` with every product."""
    return Pair(sub(z.real, mul(z.imag, 0.0)), add(z.imag, mul(z.real, 0.0)))


def modulus(z: Pair) -> Any:
    return _hypot(z.real, z.imag)


def phase(z: Pair) -> Pair:
    """z / |z|, and 0 at 0; of an infinite number with one finite part the direction of the other."""
    size = modulus(z)
    nothing, endless = _eq(size, 0.0), _eq(size, math.inf)
    one = _ne(_eq(_abs(z.real), math.inf), _eq(_abs(z.imag), math.inf))
    parts = [_along(part, size, nothing, _and(endless, one)) for part in z]
    return Pair(*parts)


def _along(part: Any, size: Any, nothing: Any, endless: Any) -> Any:
    zero = zeros(typeof(size))
    far = select(_eq(_abs(part), math.inf), _copysign(filled(1, typeof(size)), part), zero)
    return select(nothing, zero, select(endless, far, _div(part, size)))


# -- exponentials -------------------------------------------------------------------------------------------------


def exp(z: Pair) -> Pair:
    """The factor exp(x) is taken in two steps: exp(x) cos(y) may be finite where exp(x) is not."""
    large = _gt(z.real, _LARGE)
    rest = _exp(select(large, sub(z.real, _LARGE), z.real))
    factor = select(large, filled(_exp_of(z, _LARGE), typeof(z.real)), filled(1, typeof(z.real)))
    real, imag = mul(mul(rest, _cos(z.imag)), factor), mul(mul(rest, _sin(z.imag)), factor)
    imag = select(_eq(z.imag, 0.0), z.imag, imag)  # inf * 0
    return Pair(_unless_endless(z.real, _unless_zero(rest, real)), _unless_zero(rest, imag))


def _unless_zero(factor: Any, product: Any) -> Any:
    """A product, which is a factor that is zero also where the other one is infinite or no number."""
    return select(_and(_eq(factor, 0.0), _is_nan(product)), factor, product)


def _unless_endless(factor: Any, product: Any) -> Any:
    """A product, which is infinite, of whatever sign, where a factor is so and the other one no number."""
    size = _abs(factor)
    return select(_and(_eq(size, math.inf), _is_nan(product)), size, product)


def _is_nan(x: Any) -> Any:
    """Whether it is no number."""
    return _ne(x, x)


def _is_endless(z: Pair) -> Any:
    """Whether one of the parts is infinite."""
    return _or(_eq(_abs(z.real), math.inf), _eq(_abs(z.imag), math.inf))


def _exp_of(z: Pair, x: float) -> float:
    return math.inf if typeof(z.real).dtype.itemsize < 8 else math.exp(x)


def expm1(z: Pair) -> Pair:
    half = _sin(mul(0.5, z.imag))
    real = sub(mul(_expm1(z.real), _cos(z.imag)), mul(2.0, mul(half, half)))  # not exp(x) cos(y) - 1
    return Pair(real, mul(_exp(z.real), _sin(z.imag)))


def log(z: Pair) -> Pair:
    """Near |z| = 1 not the logarithm of a rounded modulus."""
    a, b = _abs(z.real), _abs(z.imag)
    large, small = _max(a, b), _min(a, b)
    size = _hypot(a, b)
    near = _and(_gt(size, 0.5), _lt(size, 2.0))
    over = add(mul(sub(large, 1.0), add(large, 1.0)), mul(small, small))
    return Pair(select(near, mul(0.5, _log1p(over)), _log(size)), _atan2(z.imag, z.real))


def log1p(z: Pair) -> Pair:
    """Near 0 not the logarithm of a rounded sum."""
    beyond = Pair(add(1.0, z.real), z.imag)
    far = log(beyond)
    over = add(mul(z.real, add(2.0, z.real)), mul(z.imag, z.imag))
    return Pair(select(_lt(modulus(z), 0.5), mul(0.5, _log1p(over)), far.real), far.imag)


def sqrt(z: Pair) -> Pair:
    """Halves are added, not summands halved: their sum could overflow."""
    x, y = z
    side = _sqrt(add(mul(0.5, _hypot(x, y)), mul(0.5, _abs(x))))
    other = _div(mul(0.5, y), select(_eq(side, 0.0), filled(1, typeof(x)), side))
    right = _ge(x, 0.0)
    real, imag = select(right, side, _abs(other)), select(right, other, _copysign(side, y))
    endless = _eq(_abs(y), math.inf)
    return Pair(select(endless, _abs(y), real), select(endless, y, imag))


def power(z: Pair, w: Pair) -> Pair:
    """exp(w log z), for whole numbers a product, and what NumPy says where the base or the exponent is 0."""
    n = w.real
    whole = _and(_and(_eq(w.imag, 0.0), _eq(n, _rint(n))), _lt(_abs(n), 100.0))
    found = chosen(whole, _whole_power(z, n), exp(pair_product(mul, w, log(z))))
    at_zero = chosen(_gt(w.real, 0.0), constant(z, 0), constant(z, complex(math.nan, math.nan)))
    return chosen(is_zero(w), constant(z, 1), chosen(is_zero(z), at_zero, found))


def _whole_power(z: Pair, n: Any) -> Pair:
    """Repeated squaring for |n| < 100; up to n = 3 without a factor 1, which beside infinity makes NaN."""
    result, square, left = constant(z, 1), z, _abs(n)
    few = _and(_gt(n, 0.0), _lt(n, 4.0))
    for k in range(7):
        half = _floor(mul(0.5, left))
        odd = _ne(left, mul(2.0, half))
        first = _and(few, _eq(_abs(n), mul(float(1 << k), left)))
        result = chosen(odd, chosen(first, square, pair_product(mul, result, square)), result)
        left = half
        if k < 6:
            square = pair_product(mul, square, square)
    return chosen(_lt(n, 0.0), quotient(constant(z, 1), result), result)


# -- trigonometric and hyperbolic functions -----------------------------------------------------------------------


def sin(z: Pair) -> Pair:
    return times_i(sinh(over_i(z)))


def cos(z: Pair) -> Pair:
    return cosh(times_i(z))


def sinh(z: Pair) -> Pair:
    grown, turned = _sinh(z.real), _sin(z.imag)
    real, imag = mul(grown, _cos(z.imag)), mul(_cosh(z.real), turned)
    return Pair(_unless_endless(z.real, _unless_zero(grown, real)), _unless_zero(turned, imag))


def cosh(z: Pair) -> Pair:
    grown, turned = _sinh(z.real), _sin(z.imag)
    real, imag = mul(_cosh(z.real), _cos(z.imag)), mul(grown, turned)
    signed = mul(_copysign(filled(1, typeof(grown)), grown), turned)
    return Pair(_unless_endless(z.real, real), _unless_zero(grown, _unless_zero(signed, imag)))


def tanh(z: Pair) -> Pair:
    """``(T (1 + t^2) + i t / cosh(x)^2) / (1 + T^2 t^2)`` with T = tanh x and t = tan y: nothing cancels."""
    flat, t = _tanh(z.real), _tan(z.imag)
    square, wide = mul(t, t), _cosh(z.real)
    below = add(1.0, mul(mul(flat, flat), square))
    real, imag = _div(mul(flat, add(1.0, square)), below), _div(_div(_div(t, wide), wide), below)
    known = _and(_is_nan(real), _eq(mul(flat, sub(_abs(flat), 1.0)), 0.0))  # tanh x is 0, 1 or -1
    rest = _and(_is_nan(imag), _eq(_abs(z.real), math.inf))
    imag = _unless_zero(t, select(rest, filled(0, typeof(imag)), imag))
    return Pair(select(known, flat, real), imag)


def tan(z: Pair) -> Pair:
    return over_i(tanh(times_i(z)))


# -- their inverses -----------------------------------------------------------------------------------------------


def _roots(z: Pair) -> tuple[Pair, Pair]:
    """``sqrt(1 - z), sqrt(1 + z)``; of z on a cut they keep its side."""
    return sqrt(Pair(sub(1.0, z.real), neg(z.imag))), sqrt(Pair(add(1.0, z.real), z.imag))


def _twice_atan2(y: Any, x: Any, z: Pair, end: Pair) -> Any:
    """Twice an angle; where z is infinite, the angle of `end`."""
    endless, one = _is_endless(z), filled(1, typeof(y))
    angle = _atan2(select(endless, end.imag, y), select(endless, end.real, x))
    return mul(select(endless, one, add(one, one)), angle)


def _right_at_zero(x: Any, angle: Any) -> Any:
    """An angle, which is a right one where x is zero and the other part no number."""
    return select(_and(_eq(x, 0.0), _is_nan(angle)), filled(math.pi / 2, typeof(angle)), angle)


def arcsin(z: Pair) -> Pair:
    below, above = _roots(z)
    along = pair_product(mul, below, above).real
    angle = _atan2(z.real, select(_is_endless(z), _abs(z.imag), along))
    size = _asinh(pair_product(mul, conjugate(below), above).imag)
    return Pair(_unless_zero(z.real, angle), _unless_endless(z.real, size))


def arccos(z: Pair) -> Pair:
    below, above = _roots(z)
    angle = _twice_atan2(below.real, above.real, z, Pair(z.real, _abs(z.imag)))
    size = _asinh(pair_product(mul, conjugate(above), below).imag)
    return Pair(_right_at_zero(z.real, angle), neg(_unless_endless(z.real, neg(size))))


def arctan(z: Pair) -> Pair:
    return over_i(arctanh(times_i(z)))


def arcsinh(z: Pair) -> Pair:
    return over_i(arcsin(times_i(z)))


def arccosh(z: Pair) -> Pair:
    below, above = sqrt(Pair(sub(z.real, 1.0), z.imag)), sqrt(Pair(add(z.real, 1.0), z.imag))
    size = _asinh(pair_product(mul, conjugate(below), above).real)
    angle = _twice_atan2(below.imag, above.real, z, z)
    return Pair(_unless_endless(z.real, size), _right_at_zero(z.real, angle))


def arctanh(z: Pair) -> Pair:
    """In the right half plane; the left one mirrors it."""
    x, y = _abs(z.real), z.imag
    far = _gt(_max(x, _abs(y)), _FAR)  # squares would overflow, and 1 counts for nothing
    one = filled(1, typeof(x))
    near_x, near_y = select(far, one, x), select(far, one, y)
    gap = sub(1.0, near_x)
    over = _div(mul(4.0, near_x), add(mul(gap, gap), mul(near_y, near_y)))
    size = _hypot(x, y)
    nothing = _or(_is_endless(z), _eq(x, 0.0))  # whatever the other part
    real = select(far, _div(_div(x, size), size), mul(0.25, _log1p(over)))
    turn = mul(0.5, _atan2(mul(2.0, near_y), sub(mul(gap, add(1.0, near_x)), mul(near_y, near_y))))
    quarter = _copysign(filled(math.pi / 2, typeof(x)), y)
    imag = select(far, sub(quarter, _div(_div(y, size), size)), turn)
    return Pair(
        _copysign(select(nothing, zeros(typeof(x)), real), z.real), select(_eq(_abs(y), math.inf), quarter, imag)
    )


_FAR = 1e9
