"""Arithmetic, powers, rounding, extrema, comparison and logic on arrays of one shape and dtype.

Invariant: what NumPy computes, these compute; conventions at kinks are in docs/kinks.md.
Start anywhere: each declaration stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.ir import Linear, filled
from staged_ad.ir.primitive import not_linear
from staged_ad.ir.types import BOOL
from staged_ad.primitives import pairs
from staged_ad.primitives.makers import Operation, elementwise, typeof
from staged_ad.primitives.makers import add as add
from staged_ad.primitives.makers import mul as mul
from staged_ad.primitives.makers import neg as neg
from staged_ad.primitives.makers import scale as scale
from staged_ad.primitives.makers import select as select
from staged_ad.primitives.makers import sub as sub


def _transpose_div(ct: Any, inputs: Sequence[Any]) -> Any:
    b = inputs[1]
    if isinstance(b, Linear):
        return not_linear("div")(ct, inputs)
    return [div(ct, b), None]


div: Operation = elementwise(
    "div",
    np.true_divide,
    lambda code, a, b: code.div(a, b),
    lambda y, a, b: div(1.0, b),
    lambda y, a, b: neg(div(y, b)),
    kinds="fc",
    cost=4,
    transpose=_transpose_div,
    split=pairs.quotient,
)
floor_div: Operation = elementwise(
    "floor_div", np.floor_divide, lambda code, a, b: code.floor_div(a, b), None, None, kinds="iuf", cost=8
)
remainder: Operation = elementwise(
    "remainder",
    np.remainder,
    lambda code, a, b: code.remainder(a, b),
    1,
    lambda y, a, b: neg(floor_div(a, b)),
    kinds="iuf",
    cost=8,
)
fmod: Operation = elementwise(
    "fmod",
    np.fmod,
    lambda code, a, b: code.fmod(a, b),
    1,
    lambda y, a, b: neg(trunc(div(a, b))),
    kinds="iuf",
    cost=20,
)
sign: Operation = elementwise("sign", np.sign, lambda code, a: code.sign(a), None, kinds="iuf", cost=3)
abs_: Operation = elementwise("abs", np.abs, lambda code, a: code.abs(a), lambda y, a: sign(a), kinds="iuf")  # 0 at 0
floor: Operation = elementwise("floor", np.floor, lambda code, a: code.intrinsic("floor", a), None)
ceil: Operation = elementwise("ceil", np.ceil, lambda code, a: code.intrinsic("ceil", a), None)
trunc: Operation = elementwise("trunc", np.trunc, lambda code, a: code.intrinsic("trunc", a), None)
rint: Operation = elementwise("rint", np.rint, lambda code, a: code.intrinsic("rint", a), None)
copysign: Operation = elementwise(
    "copysign",
    np.copysign,
    lambda code, a, b: code.intrinsic("copysign", a, b),
    lambda y, a, b: mul(sign(a), copysign(1.0, b)),
    None,
)


def _share(won: Operation) -> tuple[Any, Any]:
    """Partials of an extremum: 1 for the winner, 1/2 each at a tie."""

    def partial(x: Any, other: Any) -> Any:
        type = typeof(x).strong()
        return select(eq(x, other), filled(0.5, type), select(won(x, other), filled(1, type), filled(0, type)))

    return lambda y, a, b: partial(a, b), lambda y, a, b: partial(b, a)


def _comparison(name: str, evaluate: np.ufunc, split: Callable[..., Any] | None = None) -> Operation:
    """Of complex numbers only those with a rule to `split` them: NumPy's order of them is of no use in derivatives."""
    kinds = "biuf" if split is None else "biufc"
    emit = lambda code, a, b: code.compare(name, a, b)
    return elementwise(name, evaluate, emit, None, None, kinds=kinds, result=BOOL, split=split)


eq: Operation = _comparison("eq", np.equal, pairs.equal)
ne: Operation = _comparison("ne", np.not_equal, pairs.different)
lt: Operation = _comparison("lt", np.less)
le: Operation = _comparison("le", np.less_equal)
gt: Operation = _comparison("gt", np.greater)
ge: Operation = _comparison("ge", np.greater_equal)

# NaN in either operand gives NaN, as in NumPy
maximum: Operation = elementwise(
    "maximum", np.maximum, lambda code, a, b: code.maximum(a, b), *_share(gt), kinds="biuf", cost=2
)
minimum: Operation = elementwise(
    "minimum", np.minimum, lambda code, a, b: code.minimum(a, b), *_share(lt), kinds="biuf", cost=2
)

and_: Operation = elementwise("and", np.bitwise_and, lambda code, a, b: code.and_(a, b), None, None, kinds="biu")
or_: Operation = elementwise("or", np.bitwise_or, lambda code, a, b: code.or_(a, b), None, None, kinds="biu")
xor: Operation = elementwise("xor", np.bitwise_xor, lambda code, a, b: code.xor(a, b), None, None, kinds="biu")
not_: Operation = elementwise("not", np.invert, lambda code, a: code.not_(a), None, kinds="biu")
shift_left: Operation = elementwise(
    "shift_left", np.left_shift, lambda code, a, b: code.shift_left(a, b), None, None, kinds="iu"
)
shift_right: Operation = elementwise(
    "shift_right", np.right_shift, lambda code, a, b: code.shift_right(a, b), None, None, kinds="iu"
)


# x ** n for an integer n that is known when the program is made; n < 0 for floats only.
def _evaluate_integer_pow(x: Any, *, n: int) -> Any:
    return np.power(x, np.asarray(x).dtype.type(n)) if np.asarray(x).dtype.kind in "fc" else np.power(x, n)


def _emit_integer_pow(code: Any, x: Any, *, n: int) -> Any:
    """Repeated squaring: about 2 log2(n) products."""
    result, square, left = None, x, abs(n)
    while left:
        if left & 1:
            result = square if result is None else code.mul(result, square)
        left >>= 1
        if left:
            square = code.mul(square, square)
    if result is None:
        return code.constant(1, x.dtype)
    return code.div(code.constant(1, x.dtype), result) if n < 0 else result


def _partial_integer_pow(y: Any, x: Any, *, n: int) -> Any:
    match n:
        case 0:
            return filled(0, typeof(x))
        case 1:
            return filled(1, typeof(x))
        case 2:
            return mul(2.0, x)
        case _:
            return mul(float(n), integer_pow(x, n=n - 1))


integer_pow: Operation = elementwise(
    "integer_pow",
    _evaluate_integer_pow,
    _emit_integer_pow,
    _partial_integer_pow,
    kinds="iufc",
    cost=4,
    split=pairs.integer_power,
)
