"""Counters to random bits, and bits to normal variates.

Invariant: a function of its operands alone, element by element, the same to the last bit wherever it is computed.
Start at ``philox``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from staged_ad.ir.types import FLOAT64
from staged_ad.primitives.exact import UINT64, exact, horner, log_of
from staged_ad.primitives.makers import Operation

ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LOW = 0xFFFFFFFF


def _upper(code: Any, x: Any) -> Any:
    return code.shift_right(x, code.constant(32, UINT64))


def _lower(code: Any, x: Any) -> Any:
    return code.and_(x, code.constant(_LOW, UINT64))


def _emit_philox(code: Any, low: Any, high: Any, key: Any, *, half: int) -> Any:
    """Words are kept in the lower halves of 64 bits; what stands in the upper halves does not matter before the end."""
    word = partial(code.constant, dtype=UINT64)
    upper = partial(_upper, code)
    c0, c1, c2, c3 = low, upper(low), high, upper(high)
    k0, k1 = key, upper(key)
    for number in range(ROUNDS):
        if number:
            k0, k1 = code.add(k0, word(_KEY_STEPS[0])), code.add(k1, word(_KEY_STEPS[1]))
        first = code.mul(_lower(code, c0), word(_MULTIPLIERS[0]))
        second = code.mul(_lower(code, c2), word(_MULTIPLIERS[1]))
        c0, c1 = code.xor(upper(second), code.xor(c1, k0)), second
        c2, c3 = code.xor(upper(first), code.xor(c3, k1)), first
    x, y = (c0, c1) if half == 0 else (c2, c3)
    return code.or_(_lower(code, x), code.shift_left(y, word(32)))


# philox(low, high, key): Philox4x32-10 of the counter (low, high) with `key`, all of 64 bits; `half` 0 or 1 says which
# 64 of its 128 bits. J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
# SC11 (2011).
philox: Operation = exact("philox", _emit_philox, None, None, None, kinds="u", cost=80)

# fmt: off
_CENTRAL = (
    (2.50908092873012267e3, 3.34305755835881281e4, 6.72657709270087009e4, 4.59219539315498715e4,
     1.37316937655094611e4, 1.97159095030655144e3, 1.33141667891784377e2, 3.38713287279636661e0),
    (5.22649527885285456e3, 2.87290857357219427e4, 3.93078958000927106e4, 2.12137943015865959e4,
     5.39419602142475111e3, 6.87187007492057908e2, 4.23133307016009113e1, 1.0),
)
_MIDDLE = (
    (7.74545014278341408e-4, 2.27238449892691846e-2, 2.41780725177450612e-1, 1.27045825245236838e0,
     3.64784832476320460e0, 5.76949722146069141e0, 4.63033784615654530e0, 1.42343711074968358e0),
    (1.05075007164441684e-9, 5.47593808499534495e-4, 1.51986665636164572e-2, 1.48103976427480075e-1,
     6.89767334985100005e-1, 1.67638483018380385e0, 2.05319162663775882e0, 1.0),
)
_FAR = (
    (2.01033439929228813e-7, 2.71155556874348758e-5, 1.24266094738807844e-3, 2.65321895265761230e-2,
     2.96560571828504891e-1, 1.78482653991729133e0, 5.46378491116411437e0, 6.65790464350110378e0),
    (2.04426310338993979e-15, 1.42151175831644589e-7, 1.84631831751005468e-5, 7.86869131145613259e-4,
     1.48753612908506149e-2, 1.36929880922735805e-1, 5.99832206555887938e-1, 1.0),
)
# fmt: on


def _emit_normal(code: Any, bits: Any) -> Any:
    """The lowest bit is the sign; the others are a tail probability in (0, 1/2], fine where it is small."""
    number = partial(code.constant, dtype=FLOAT64)
    word = partial(code.constant, dtype=UINT64)
    whole = code.cast(code.shift_right(bits, word(1)), FLOAT64)
    p = code.mul(code.add(whole, number(0.5)), number(2.0**-64))
    q = code.sub(number(0.5), p)
    root = code.intrinsic("sqrt", code.neg(log_of(code, p)))
    central = code.compare("le", q, number(0.425))
    middle = code.compare("le", root, number(5.0))

    def choice(a: Any, b: Any, c: Any) -> Any:
        return code.select(central, a, code.select(middle, b, c))

    inside = code.sub(number(0.180625), code.mul(q, q))
    r = choice(inside, code.sub(root, number(1.6)), code.sub(root, number(5.0)))
    above, below = [
        horner(code, r, [choice(*map(number, c)) for c in zip(*coefficients, strict=True)])
        for coefficients in zip(_CENTRAL, _MIDDLE, _FAR, strict=True)
    ]
    z = code.div(code.mul(above, code.select(central, q, number(1.0))), below)
    negative = code.compare("ne", code.and_(bits, word(1)), word(0))
    return code.select(negative, code.neg(z), z)


# normal_quantile(bits): a standard normal variate, by inversion of its distribution function, within 1e-15 relative.
# M. J. Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988).
normal_quantile: Operation = exact("normal_quantile", _emit_normal, None, kinds="u", cost=160, result=FLOAT64)


def _emit_scaled(code: Any, high: Any, low: Any, span: Any) -> Any:
    word = partial(code.constant, dtype=UINT64)
    bottom, upper = partial(_lower, code), partial(_upper, code)

    def high_product(a: Any, b: Any) -> Any:
        """The upper 64 of the 128 bits of a b, by four products of halves."""
        cross, across = code.mul(bottom(a), upper(b)), code.mul(upper(a), bottom(b))
        middle = code.add(upper(code.mul(bottom(a), bottom(b))), code.add(bottom(cross), bottom(across)))
        whole = code.add(code.mul(upper(a), upper(b)), code.add(upper(cross), upper(across)))
        return code.add(whole, upper(middle))

    product, carried = code.mul(high, span), high_product(low, span)
    carry = code.select(code.compare("lt", code.add(product, carried), product), word(1), word(0))
    found = code.add(high_product(high, span), carry)
    return code.select(code.compare("eq", span, word(0)), high, found)


# scaled_bits(high, low, span): floor(b span / 2^128) for the 128 bits b = (high, low); a span of 0 stands for 2^64.
# D. Lemire, "Fast random integer generation in an interval", ACM TOMACS 29 (2019), without its rejection: with
# 128 bits no value is more likely than another by more than a part in 2^64.
scaled_bits: Operation = exact("scaled_bits", _emit_scaled, None, None, None, kinds="u", cost=40)
