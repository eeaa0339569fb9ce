"""Bessel functions of real order and argument. They are differentiated in the argument, NIST DLMF 10.6 and 10.29.

Invariant: a derivative is made of functions of neighbouring orders, so all orders of derivative are regular at 0 where
the function is. Start at ``iv``.
"""

from __future__ import annotations

from typing import Any

from staged_ad.ir import filled
from staged_ad.primitives.arithmetic import abs_, div, gt, sign, trunc
from staged_ad.primitives.makers import Operation, Partial, add, mul, neg, select, sub, typeof, zeros
from staged_ad.primitives.special import counted, refused, special

_FAR = 1e3
"""From here on the recurrence of orders loses no digits."""


def _order(name: str) -> Any:
    return refused(name, "the order v")


def _neighbours(operation: str, of: float, weight: float) -> Any:
    """The partial ``(f_(v-1) + of f_(v+1)) weight``."""
    f = Operation(operation)

    def partial(y: Any, v: Any, x: Any) -> Any:
        below, above = f(sub(v, 1.0), x), f(add(v, 1.0), x)
        return mul(weight, add(below, above) if of > 0 else sub(below, above))

    return partial


def _scaled(partial: Any, signed: bool) -> Partial:
    """Of ``exp(-|x|) f(x)`` if signed, of ``exp(x) f(x)`` if not, given the same recurrence for scaled functions."""

    def scaled(y: Any, v: Any, x: Any) -> Any:
        plain = partial(y, v, x)
        return sub(plain, mul(sign(x), y)) if signed else add(plain, y)

    return scaled


def _whole(partial: Any) -> Partial:
    """Of functions that cut their order down to a whole number, as SciPy does."""
    return lambda y, v, x: partial(y, trunc(v), x)


iv: Operation = special("iv", _order("iv"), _neighbours("iv", 1, 0.5), cost=300)
ive: Operation = special("ive", _order("ive"), _scaled(_neighbours("ive", 1, 0.5), True), cost=300)
kv: Operation = special("kv", _order("kv"), _neighbours("kv", 1, -0.5), cost=300)
kve: Operation = special("kve", _order("kve"), _scaled(_neighbours("kve", 1, -0.5), False), cost=300)
kn: Operation = counted("kn", _whole(_neighbours("kv", 1, -0.5)))
jv: Operation = special("jv", _order("jv"), _neighbours("jv", -1, 0.5), cost=300)
yv: Operation = special("yv", _order("yv"), _neighbours("yv", -1, 0.5), cost=300)
yn: Operation = counted("yn", _whole(_neighbours("yv", -1, 0.5)))
jve: Operation = special("jve", _order("jve"), _neighbours("jv", -1, 0.5), cost=300)  # jv for real arguments
yve: Operation = special("yve", _order("yve"), _neighbours("yv", -1, 0.5), cost=300)

i0: Operation = special("i0", lambda y, x: i1(x))
i1: Operation = special("i1", lambda y, x: mul(0.5, add(i0(x), _at(iv, 2.0, x))))
i0e: Operation = special("i0e", lambda y, x: sub(i1e(x), mul(sign(x), y)))  # 0 at its corner at 0
i1e: Operation = special("i1e", lambda y, x: sub(mul(0.5, add(i0e(x), _i2e(x, y))), mul(sign(x), y)))
k0: Operation = special("k0", lambda y, x: neg(k1(x)))
k1: Operation = special("k1", lambda y, x: neg(add(k0(x), div(y, x))))
k0e: Operation = special("k0e", lambda y, x: sub(y, k1e(x)))
k1e: Operation = special("k1e", lambda y, x: sub(y, add(k0e(x), div(y, x))))
j0: Operation = special("j0", lambda y, x: neg(j1(x)))
j1: Operation = special("j1", lambda y, x: mul(0.5, sub(j0(x), _at(jv, 2.0, x))))
y0: Operation = special("y0", lambda y, x: neg(y1(x)))
y1: Operation = special("y1", lambda y, x: sub(y0(x), div(y, x)))


def _i2e(x: Any, y: Any) -> Any:
    """The function of order 2, given that of order 1; SciPy has none of large arguments."""
    far = gt(abs_(x), _FAR)
    recurrence = sub(i0e(x), mul(2.0, div(y, select(far, x, filled(_FAR, typeof(x).strong())))))
    return select(far, recurrence, _at(ive, 2.0, select(far, zeros(typeof(x)), x)))


def _at(function: Operation, order: float, x: Any) -> Any:
    return function(filled(order, typeof(x).strong()), x)
