"""Operations made of exactly rounded steps: the same bits from NumPy, from compiled code and on every platform.

One function ``emit(code, *operands)`` is both the native code and the meaning: given ``Code`` (staged_ad/lowering) it
writes instructions, given ``Arrays`` it computes with NumPy. Its steps are those that IEEE 754 and integer arithmetic
define to the last bit, so no library of mathematical functions takes part.

Invariant: what is compiled and what is evaluated are equal bit by bit.
Start at ``exact``; ``log`` and ``exp`` are the functions that samplers are made of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from staged_ad.ir.types import FLOAT64
from staged_ad.primitives.arithmetic import div
from staged_ad.primitives.makers import Operation, Partial, elementwise

UINT64 = np.dtype("uint64")
BLOCK = 8192
"""Elements that NumPy computes at a time: all steps of a block stay in the nearest cache."""

_COMPARE = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


class Arrays:
    """The steps of ``Code`` as NumPy functions of arrays."""

    add, sub, mul, div, neg = np.add, np.subtract, np.multiply, np.true_divide, np.negative
    xor, and_, or_ = np.bitwise_xor, np.bitwise_and, np.bitwise_or
    shift_left, shift_right = np.left_shift, np.right_shift

    @staticmethod
    def select(condition: Any, a: Any, b: Any) -> Any:
        return np.where(condition, a, b)

    @staticmethod
    def constant(value: Any, dtype: np.dtype[Any]) -> Any:
        return dtype.type(value)

    @staticmethod
    def compare(name: str, a: Any, b: Any) -> Any:
        return _COMPARE[name](a, b)

    @staticmethod
    def cast(a: Any, dtype: np.dtype[Any]) -> Any:
        return np.asarray(a).astype(dtype)

    @staticmethod
    def bitcast(a: Any, dtype: np.dtype[Any]) -> Any:
        return np.asarray(a).view(dtype)

    @staticmethod
    def intrinsic(name: str, a: Any) -> Any:
        return getattr(np, name)(a)


def _in_blocks(emit: Callable[..., Any], dtype: np.dtype[Any], operands: Sequence[Any], params: Any) -> Any:
    arrays = [np.asarray(x) for x in operands]
    shape, size = arrays[0].shape, arrays[0].size
    # an operand that repeats one number is computed with once
    flat = [x.ravel()[:1] if not any(x.strides) else x.ravel() for x in arrays]
    result = np.empty(size, dtype)
    for start in range(0, size, BLOCK):
        block = [x if x.size == 1 else x[start : start + BLOCK] for x in flat]
        result[start : start + BLOCK] = emit(Arrays, *block, **params)
    return result.reshape(shape)[()]


def exact(
    name: str,
    emit: Callable[..., Any],
    *partials: Partial,
    kinds: str,
    cost: int,
    result: np.dtype[Any] | None = None,
) -> Operation:
    """An elementwise operation whose `emit` is made of exactly rounded steps, and so is its evaluation."""

    def evaluate(*operands: Any, **params: Any) -> Any:
        return _in_blocks(emit, result or np.asarray(operands[0]).dtype, operands, params)

    return elementwise(name, evaluate, emit, *partials, kinds=kinds, cost=cost, result=result)


def horner(code: Any, x: Any, coefficients: Sequence[Any]) -> Any:
    """The polynomial with these coefficients, the highest power first; they are numbers or values."""
    values = [code.constant(c, x.dtype) if isinstance(c, float) else c for c in coefficients]
    result = values[0]
    for c in values[1:]:
        result = code.add(code.mul(result, x), c)
    return result


_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ONE, _SQRT_HALF, _FRACTION = 0x3FF0000000000000, 0x3FE6A09E667F3BCD, 0x000FFFFFFFFFFFFF
_LOG = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)
_EXP = (
    4.13813679705723846039e-08,
    -1.65339022054652515390e-06,
    6.61375632143793436117e-05,
    -2.77777777770155933842e-03,
    1.66666666666666019037e-01,
)


def log_of(code: Any, x: Any) -> Any:
    """The natural logarithm, within 1 ulp: x = 2^k m, log m = 2 artanh(f / (2 + f)), f = m - 1 (FreeBSD's e_log.c)."""
    number = partial(code.constant, dtype=FLOAT64)
    word = partial(code.constant, dtype=UINT64)
    subnormal = code.compare("lt", x, number(2.0**-1022))
    bits = code.bitcast(code.select(subnormal, code.mul(x, number(2.0**54)), x), UINT64)
    shifted = code.add(bits, word(_ONE - _SQRT_HALF))
    exponent = code.cast(code.shift_right(shifted, word(52)), FLOAT64)
    k = code.sub(exponent, code.select(subnormal, number(1023.0 + 54), number(1023.0)))
    m = code.bitcast(code.add(code.and_(shifted, word(_FRACTION)), word(_SQRT_HALF)), FLOAT64)
    f = code.sub(m, number(1.0))
    s = code.div(f, code.add(number(2.0), f))
    z = code.mul(s, s)
    half = code.mul(code.mul(number(0.5), f), f)
    series = code.mul(s, code.add(half, code.mul(z, horner(code, z, _LOG))))
    small = code.sub(code.add(series, code.mul(k, number(_LN2_LOW))), half)
    y = code.add(code.add(small, f), code.mul(k, number(_LN2_HIGH)))
    y = code.select(code.compare("eq", x, number(math.inf)), x, y)
    y = code.select(code.compare("eq", x, number(0.0)), number(-math.inf), y)
    return code.select(code.compare("ge", x, number(0.0)), y, number(math.nan))


def exp_of(code: Any, x: Any) -> Any:
    """The exponential, within 1 ulp: x = k log 2 + r, and a rational function of r (FreeBSD's e_exp.c)."""
    number = partial(code.constant, dtype=FLOAT64)
    inside = code.and_(code.compare("ge", x, number(-746.0)), code.compare("le", x, number(710.0)))
    safe = code.select(inside, x, number(0.0))
    k = code.intrinsic("rint", code.mul(safe, number(1 / math.log(2))))
    high = code.sub(safe, code.mul(k, number(_LN2_HIGH)))
    low = code.mul(k, number(_LN2_LOW))
    r = code.sub(high, low)
    t = code.mul(r, r)
    c = code.sub(r, code.mul(t, horner(code, t, _EXP)))
    quotient = code.div(code.mul(r, c), code.sub(number(2.0), c))
    mantissa = code.add(number(1.0), code.add(code.sub(quotient, low), high))
    first = code.intrinsic("floor", code.mul(k, number(0.5)))  # in two factors: the result may be subnormal
    y = code.mul(code.mul(mantissa, _power_of_two(code, first)), _power_of_two(code, code.sub(k, first)))
    y = code.select(code.compare("gt", x, number(710.0)), number(math.inf), y)
    y = code.select(code.compare("lt", x, number(-746.0)), number(0.0), y)
    return code.select(code.compare("eq", x, x), y, x)


def _power_of_two(code: Any, k: Any) -> Any:
    biased = code.cast(code.add(k, code.constant(1023.0, FLOAT64)), UINT64)
    return code.bitcast(code.shift_left(biased, code.constant(52, UINT64)), FLOAT64)


def _in_double(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of float64 for both precisions: float32 is computed in float64 and rounded once."""
    return lambda code, x: code.cast(function(code, code.cast(x, FLOAT64)), x.dtype)


log: Operation = exact("exact_log", _in_double(log_of), lambda y, x: div(1.0, x), kinds="f", cost=45)
exp: Operation = exact("exact_exp", _in_double(exp_of), lambda y, x: y, kinds="f", cost=45)
