"""Examples of ufuncs, of their methods, and of other functions that work element by element.

Invariant: the domains of ufuncs are those of tests/numpy/test_ufuncs.py.
Start at ``ELEMENTWISE``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from tests.coverage.example import Example, M, Table, V, X, numbers, on, steps, ufunc, x
from tests.numpy.test_ufuncs import DOMAINS, INTEGERS

WIDE = (-3.3, 4.2)
UP = (0.31, 2.9)


def full_name(function: Any) -> str:
    homes = [np, np.linalg, np.fft, scipy.special]
    return next(f"{m.__name__}.{function.__name__}" for m in homes if getattr(m, function.__name__, None) is function)


def _integers(function: Any, count: int) -> list[Example]:
    args = tuple(numbers(*shape, low=0.0, high=9.0).astype(int) for shape in [(3, 1), (4,)][:count])
    return [Example(function, args, False, ("uint8", "int32")), Example(function, tuple(a[0] for a in args), False, ())]


ELEMENTWISE: Table = {
    **{full_name(f): ufunc(f, *intervals) for f, intervals in DOMAINS.items()},
    **{full_name(f): _integers(f, count) for f, count in INTEGERS.items()},
    "numpy.gcd": _integers(np.gcd, 2),
    "numpy.lcm": _integers(np.lcm, 2),
    "numpy.bitwise_count": _integers(np.bitwise_count, 1),
    "numpy.modf": ufunc(np.modf, WIDE),
    "numpy.frexp": [
        *ufunc(np.frexp, WIDE),
        *steps(np.frexp, args=(np.array([0.0, -0.0, 5e-324, np.inf, np.nan, 1e300]),)),
    ],
    "numpy.ldexp": [
        *on(X, dtypes=("float32",))(lambda x: np.ldexp(x, 3), lambda x: np.ldexp(x, np.array([-5, 700]))),
        *steps(lambda x: np.ldexp(x, np.arange(-1100, 1101, 100)[:, None]), args=(np.array([5e-324, 1.3, 1e300]),)),
    ],
    "numpy.signbit": ufunc(np.signbit, WIDE),
    "numpy.nextafter": ufunc(np.nextafter, WIDE, UP),
    "numpy.spacing": steps(np.spacing, args=(np.array([0.0, -1.0, 1e-300, 3e4, np.inf, np.nan]),)),
    "numpy.logaddexp2": ufunc(np.logaddexp2, WIDE, WIDE),
    "numpy.sinc": [
        *x(np.sinc, lambda x: np.sinc(3 * x)),
        *on(np.array([0.0, 1e-9, 0.1, 0.159, 0.16]))(np.sinc),
        *on(np.float64(0.0))(np.sinc),
    ],
    "numpy.i0": [*ufunc(np.i0, (-3.0, 9.5)), *on(X)(np.i0)],
    "numpy.sort_complex": x(np.sort_complex),
    "numpy.fix": x(lambda x: np.fix(x + 2.7) * x),
    "numpy.isposinf": steps(lambda x: np.isposinf(np.where(x > 1, np.inf, x))),
    "numpy.isneginf": steps(lambda x: np.isneginf(np.where(x > 1, -np.inf, x))),
    "numpy.isclose": steps(
        lambda x: np.isclose(x, X),
        lambda x: np.isclose(x, 0.3, atol=0.2),
        lambda x: np.isclose(np.where(x > 0, np.nan, x), np.nan, equal_nan=True),
    ),
    "numpy.allclose": steps(lambda x: np.allclose(x, x + 1e-9), lambda x: np.allclose(x, 2.0, rtol=0.1)),
    "numpy.array_equal": steps(
        lambda x: np.array_equal(x, X), lambda x: np.array_equal(x / x, np.ones_like(X), equal_nan=True)
    ),
    "numpy.array_equiv": steps(lambda x: np.array_equiv(x, x), lambda x: np.array_equiv(x, x[0])),
    "numpy.isin": steps(lambda x: np.isin(x, x[0]), lambda x: np.isin(x, [X[0, 0, 0], 1.0], invert=True)),
    "numpy.nan_to_num": [
        *x(lambda x: np.nan_to_num(np.where(x > 0.5, np.nan, x) * x), lambda x: np.nan_to_num(x, nan=1.0)),
        *steps(lambda x: np.nan_to_num(x, posinf=7.0, nan=-1.0), args=(np.array([np.inf, -np.inf, np.nan, 2.0]),)),
    ],
    "numpy.select": x(
        lambda x: np.select([x > 0.5, x > 0], [x**2, 3 * x], default=-x),
        lambda x: np.select([x[0] > 0, X > 0.2], [x, 1.0]),
    ),
    "numpy.piecewise": x(
        lambda x: np.piecewise(x, [x < 0, x >= 0.5], [lambda x: -(x**2), lambda x: x**3]),
        lambda x: np.piecewise(x[0, :, 0], x[0, :, 0] > 0, [np.exp, 2.0]),
    ),
    "numpy.unravel_index": _integers(lambda k: np.unravel_index(k, (4, 5)), 1),
    "numpy.ravel_multi_index": _integers(lambda i, j: np.ravel_multi_index((i, j), (10, 11)), 2),
    "numpy.packbits": [Example(lambda k: np.packbits(k > 3, axis=0), (numbers(9, 2).astype(int),), False, ())],
    "numpy.unpackbits": [
        Example(
            lambda k: np.unpackbits(k, axis=1, count=11),
            (numbers(3, 2, high=255.0, low=0.0).astype("uint8"),),
            False,
            (),
        ),
        Example(lambda k: np.unpackbits(k, bitorder="little"), (np.arange(3, dtype="uint8"),), False, ()),
    ],
}

METHODS: Table = {
    "reduce": [
        *x(
            lambda x: np.add.reduce(x),
            lambda x: np.multiply.reduce(x, axis=(0, 2), keepdims=True),
            lambda x: np.maximum.reduce(x, axis=1, initial=0.1),
            lambda x: np.minimum.reduce(x, axis=None),
            lambda x: np.logaddexp.reduce(x, axis=1),
            lambda x: np.hypot.reduce(x, axis=1),
            lambda x: np.subtract.reduce(x, axis=1),
            lambda x: np.fmax.reduce(x, axis=(0, 1)),
            lambda x: np.add.reduce(x, axis=1, where=X > 0),
        ),
        *steps(lambda x: np.logical_and.reduce(x, axis=1), lambda x: np.logical_or.reduce(x > 0)),
        *[Example(lambda k, f=f: f.reduce(k), (np.array([12, 18, 30]),), False, ("uint8",)) for f in [np.gcd, np.lcm]],
        *[Example(lambda k, f=f: f.reduce(k), (np.zeros((0, 2), int),), False, ()) for f in [np.add, np.bitwise_or]],
    ],
    "accumulate": x(
        lambda x: np.add.accumulate(x, axis=1),
        lambda x: np.maximum.accumulate(x),
        lambda x: np.multiply.accumulate(x, 2),
    ),
    "outer": [*on(V, M)(lambda v, m: np.multiply.outer(v, m), lambda v, m: np.subtract.outer(m, v))],
    "reduceat": x(
        lambda x: np.add.reduceat(x, [0, 2, 1], axis=1), lambda x: np.multiply.reduceat(x, np.array([1, 0]), axis=-1)
    ),
    "dtype": [
        *steps(lambda x: np.add(x, x, dtype="float32"), lambda x: np.exp(x, casting="safe")),
    ],
}
