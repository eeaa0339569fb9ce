"""Example rows of the elementwise primitives.

Invariant: random points lie in the smooth region; edges (kinks, infinities, NaN) are for value checks only.
Start at ``ELEMENTWISE``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.special

from tests.primitives.row import ANYWHERE, OFF_INTEGERS, OFF_ZERO, POSITIVE, Row, elementwise_rows, generator, points

INF, NAN = np.inf, np.nan
SPECIAL = (0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, 0.5, -2.5)
PAIRS = tuple(zip(*[(x, y) for x in SPECIAL for y in SPECIAL], strict=True))
WIDE: Any = ((-2.0, -1.1), (1.1, 2.0))
NARROW: Any = ((-1.0, 1.0),)
INSIDE: Any = ((-0.8, 0.8),)


def strong_product(t: Any, p: Any) -> Any:
    return np.where((t == 0) | (p == 0), np.zeros_like(t), t * p)


def signed(rng: np.random.Generator, dtype: str) -> list[Any]:
    """Two operands with both signs, and the pairs at which machine division traps."""
    low = -9 if dtype.startswith("i") else 0
    a, b = rng.integers(low, 10, 37).astype(dtype), rng.integers(low, 10, 37).astype(dtype)
    a[:3] = np.iinfo(dtype).min, np.iinfo(dtype).max, 5
    b[:3] = np.iinfo(dtype).max if low == 0 else -1, 2, 0
    return [a, b]


def one_signed(rng: np.random.Generator, dtype: str) -> list[Any]:
    return signed(rng, dtype)[:1]


def shifts(rng: np.random.Generator, dtype: str) -> list[Any]:
    """Shifts by up to more than the width, where NumPy gives 0 or -1."""
    low = -9 if dtype.startswith("i") else 0
    width = np.iinfo(dtype).bits
    return [rng.integers(low, 10, 37).astype(dtype), rng.integers(0, width + 3, 37).astype(dtype)]


def reciprocal_power(x: Any, *, n: int) -> Any:
    """x ** n by products and one quotient."""
    result = np.ones_like(x)
    for _ in range(abs(n)):
        result = result * x
    return 1 / result if n < 0 else result


def _unary() -> Iterator[Row]:
    rows = elementwise_rows
    yield from rows("neg", lambda x: 0 - x, ANYWHERE, kinds="iuf", linear=((0,),), edges=[SPECIAL], integers=one_signed)
    yield from rows("abs", np.abs, OFF_ZERO, kinds="iuf", edges=[SPECIAL], integers=one_signed)
    yield from rows("sign", np.sign, OFF_ZERO, kinds="iuf", edges=[SPECIAL], integers=one_signed)
    halves = (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, *SPECIAL, 1e300)
    yield from rows("floor", np.floor, OFF_INTEGERS, edges=[halves])
    yield from rows("ceil", np.ceil, OFF_INTEGERS, edges=[halves])
    yield from rows("trunc", np.trunc, OFF_INTEGERS, edges=[halves])
    yield from rows("rint", np.rint, OFF_INTEGERS, edges=[halves])
    yield from rows("not", np.invert, ANYWHERE, kinds="biu", integers=one_signed)
    yield from rows("exp", np.exp, ANYWHERE, edges=[(*SPECIAL, 710.0, -746.0, 88.0)])
    yield from rows("exp2", lambda x: np.power(2, x), ANYWHERE, edges=[(*SPECIAL, 1025.0, -1080.0)])
    yield from rows("expm1", np.expm1, ANYWHERE, edges=[(*SPECIAL, 1e-20, 1e-7, -40.0, 710.0)])
    yield from rows("log", np.log, POSITIVE, edges=[(*SPECIAL, 1e-300, 1e300)])
    yield from rows("log2", np.log2, POSITIVE, edges=[(*SPECIAL, 8.0)])
    yield from rows("log10", np.log10, POSITIVE, edges=[(*SPECIAL, 1000.0)])
    yield from rows("log1p", np.log1p, ((-0.6, 2.0),), edges=[(*SPECIAL, 1e-20, 1e-7)])
    yield from rows("sqrt", np.sqrt, POSITIVE, edges=[SPECIAL])
    yield from rows("cbrt", np.cbrt, OFF_ZERO, edges=[(*SPECIAL, 8.0, -27.0)])
    yield from rows("sinh", np.sinh, ANYWHERE, edges=[(*SPECIAL, 1e-10)])
    yield from rows("cosh", np.cosh, ANYWHERE, edges=[SPECIAL])
    yield from rows("tanh", np.tanh, ANYWHERE, edges=[(*SPECIAL, 1e-10, 40.0)])
    yield from rows("arcsinh", np.arcsinh, ANYWHERE, edges=[(*SPECIAL, 1e-10)])
    yield from rows("arccosh", np.arccosh, ((1.3, 4.0),), edges=[SPECIAL])
    yield from rows("arctanh", np.arctanh, INSIDE, edges=[(*SPECIAL, 1e-10)])
    yield from rows("sin", np.sin, ANYWHERE, edges=[(*SPECIAL, 1e3)])
    yield from rows("cos", np.cos, ANYWHERE, edges=[(*SPECIAL, 1e3)])
    yield from rows("tan", np.tan, ((-1.2, 1.2),), edges=[SPECIAL])
    yield from rows("arcsin", np.arcsin, INSIDE, edges=[SPECIAL])
    yield from rows("arccos", np.arccos, INSIDE, edges=[SPECIAL])
    yield from rows("arctan", np.arctan, ANYWHERE, edges=[SPECIAL])
    yield from rows("expit", scipy.special.expit, ANYWHERE, edges=[(*SPECIAL, 40.0, -40.0, 800.0)])
    yield from rows("log_expit", scipy.special.log_expit, ANYWHERE, edges=[(*SPECIAL, 40.0, -40.0, -800.0)])
    yield from rows("erf", scipy.special.erf, ANYWHERE, edges=[(*SPECIAL, 1e-10, 7.0)])
    yield from rows("erfc", scipy.special.erfc, ANYWHERE, edges=[(*SPECIAL, 7.0)])
    yield from rows(
        "lgamma", scipy.special.gammaln, ((0.6, 4.0), (-0.7, -0.3)), edges=[(0.0, 1.0, 2.0, 170.0, INF, NAN)]
    )
    yield from rows("digamma", scipy.special.digamma, ((0.6, 4.0), (-0.7, -0.3)), edges=[(1.0, 2.0, 170.0, INF, NAN)])
    for n in (1, 2, 3):
        expected = _polygamma
        yield from rows("polygamma", expected, ((0.8, 4.0),), edges=[(1.0, 2.0, 30.0, NAN)], n=n)
    for n in (0, 1, 2, 3, 7, -1, -2, -3):
        kinds = "iuf" if n >= 0 else "f"
        yield from rows("integer_pow", reciprocal_power, OFF_ZERO, kinds=kinds, edges=[(0.0, 1.0, INF)], n=n)


def _polygamma(x: Any, *, n: int) -> Any:
    return np.asarray(scipy.special.polygamma(n, x)).astype(np.asarray(x).dtype)


def _binary() -> Iterator[Row]:
    rows = elementwise_rows
    both = ((0,), (1,), (0, 1))
    yield from rows("add", np.add, ANYWHERE, ANYWHERE, kinds="iuf", linear=both, edges=PAIRS, integers=signed)
    yield from rows("sub", np.subtract, ANYWHERE, ANYWHERE, kinds="iuf", linear=both, edges=PAIRS, integers=signed)
    yield from rows("mul", np.multiply, ANYWHERE, ANYWHERE, kinds="iuf", linear=both[:2], edges=PAIRS, integers=signed)
    yield from rows("scale", strong_product, OFF_ZERO, OFF_ZERO, linear=both[:2], edges=PAIRS)
    yield from rows("div", np.true_divide, ANYWHERE, OFF_ZERO, linear=both[:1], edges=PAIRS)
    quotients: Any = ((0.2, 0.4), (4.2, 4.4), (-2.8, -2.6)), ((0.9, 1.0),)
    yield from rows("floor_div", np.floor_divide, *quotients, kinds="iuf", edges=PAIRS, integers=signed)
    yield from rows("remainder", np.remainder, *quotients, kinds="iuf", edges=PAIRS, integers=signed)
    truncated: Any = ((0.2, 0.4), (4.2, 4.4), (-2.45, -2.3)), ((0.9, 1.0),)
    yield from rows("fmod", np.fmod, *truncated, kinds="iuf", edges=PAIRS, integers=signed)
    yield from rows("copysign", np.copysign, OFF_ZERO, OFF_ZERO, edges=PAIRS)
    yield from rows("hypot", np.hypot, ANYWHERE, OFF_ZERO, edges=PAIRS)
    yield from rows("arctan2", np.arctan2, ANYWHERE, OFF_ZERO[:1], edges=PAIRS)
    yield from rows(
        "logaddexp", np.logaddexp, ANYWHERE, ANYWHERE, edges=[(*PAIRS[0], 1e3, 1e3), (*PAIRS[1], 1e3, -1e3)]
    )
    small = lambda rng, dtype: [rng.integers(0, 4, 37).astype(dtype) for _ in range(2)]
    yield from rows("power", np.power, POSITIVE, ANYWHERE, kinds="iuf", edges=PAIRS, integers=small)
    yield from rows("maximum", np.maximum, WIDE, NARROW, kinds="biuf", edges=PAIRS, integers=signed)
    yield from rows("minimum", np.minimum, WIDE, NARROW, kinds="biuf", edges=PAIRS, integers=signed)
    for name, expected in _COMPARISONS.items():
        yield from rows(name, expected, WIDE, NARROW, kinds="biuf", edges=PAIRS, integers=signed)
    yield from rows("and", np.bitwise_and, ANYWHERE, ANYWHERE, kinds="biu", integers=signed)
    yield from rows("or", np.bitwise_or, ANYWHERE, ANYWHERE, kinds="biu", integers=signed)
    yield from rows("xor", np.bitwise_xor, ANYWHERE, ANYWHERE, kinds="biu", integers=signed)
    yield from rows("shift_left", np.left_shift, ANYWHERE, ANYWHERE, kinds="iu", integers=shifts)
    yield from rows("shift_right", np.right_shift, ANYWHERE, ANYWHERE, kinds="iu", integers=shifts)


_COMPARISONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def _select() -> Iterator[Row]:
    rng = generator("select")
    for dtype, shape in [
        ("float64", (19,)),
        ("float64", ()),
        ("float64", (0, 2)),
        ("float32", (2, 3)),
        ("int64", (5,)),
    ]:
        a, b = (points(rng, ANYWHERE, shape, dtype) for _ in range(2))
        linear = ((1,), (2,), (1, 2)) if dtype.startswith("f") else ()
        yield Row("select", f"{dtype}{list(shape)}", (rng.random(shape) < 0.5, a, b), np.where, {}, True, linear)
    c, a, b = (rng.random(37) < 0.5 for _ in range(3))
    yield Row("select", "bool", (c, a, b), lambda c, a, b: (c & a) | (~c & b))
    yield Row(
        "select",
        "nan",
        (c, np.where(c, 1.0, NAN), np.where(c, NAN, 2.0)),
        lambda c, a, b: np.where(c, 1.0, 2.0),
        {},
        False,
    )


def _cast() -> Iterator[Row]:
    rng = generator("cast")
    x = rng.uniform(-5, 5, 21)
    for source in ("float64", "float32", "float16", "int64", "int8", "uint16", "bool"):
        for target in ("float64", "float32", "float16", "int64", "int32", "bool"):
            value = np.abs(x).astype(source) if source.startswith("u") else x.astype(source)
            linear = ((0,),) if source.startswith("f") and target.startswith("f") else ()
            params = {"dtype": np.dtype(target), "weak": False}
            smooth = target.startswith("f")
            yield Row(
                "cast",
                f"{source}-{target}",
                (value,),
                lambda x, *, dtype, weak: x.astype(dtype),
                params,
                smooth,
                linear,
            )
    params = {"dtype": np.dtype("float32"), "weak": False}
    yield Row("cast", "0-d", (np.float64(1 / 3),), lambda x, **_: np.float32(1 / 3), params, False, ((0,),))
    yield Row("cast", "empty", (np.zeros((2, 0)),), lambda x, **_: np.zeros((2, 0), np.float32), params, True, ((0,),))


def _stop_gradient() -> Iterator[Row]:
    for x in (np.arange(3.0), np.float32(2), np.arange(4), np.array([True, False])):
        yield Row(
            "stop_gradient", f"{x.dtype}{list(x.shape)}", (x,), lambda x: x + x * 0 if x.dtype != bool else x, {}, False
        )


ELEMENTWISE = [*_unary(), *_binary(), *_select(), *_cast(), *_stop_gradient()]
