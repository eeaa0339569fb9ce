"""Calls that random ones have found wrong; each is compared with NumPy, evaluated and compiled.

Invariant: a call that NumPy refuses is refused.
Start at ``test_calls_give_what_numpy_gives``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import staged_ad as sad
from tests.backends import through_program
from tests.numerics import assert_same

V = np.array([1.0, -2.5, 4.0])
N = np.array([np.nan, 2.5, 4.0, 9.0])
Z = np.array([1 + 2j, complex(np.nan, 1), 3 - 1j])
K = np.array([3, -2, 7], "int8")
MASK = np.array([True, False, True])

CALLS: list[tuple[Callable[..., Any], Any]] = [
    *[(lambda x, f=f, t=t: getattr(np, f)(x, dtype=t), V) for f in ("mean", "var", "std") for t in ("float32", "int8")],
    *[(lambda x, f=f: getattr(np, f)(x, dtype="complex64"), V) for f in ("mean", "var", "std")],
    *[(lambda x, f=f: getattr(np, f)(x, dtype="bool"), K) for f in ("sum", "prod", "mean", "std", "cumsum")],
    *[(lambda x, f=f: getattr(np, f)(x), Z) for f in ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nancumsum")],
    (lambda z: np.var(z, where=MASK), Z),
    (lambda x: np.linalg.matrix_power(x[:2, None] * x[:2], 0), V),
    (lambda x: np.exp(np.linalg.matrix_power(x[:2, None] * x[:2], 0)), V),
    (lambda x: np.vdot(x > 1, x > 0), V),
    (lambda x: np.delete(x, []), V),
    (lambda x: np.std(x, where=False, ddof=-1), V),
    (lambda k: np.linspace(k > 1, np.float32(2.5), 4), K),
    (lambda x: np.linspace(x, 1.0, 3), V.astype("float32")),
    (lambda x: np.logspace(x, 1.0, 3), V.astype("float32")),
    *[(lambda x, f=f: getattr(np, f)(V, where=x > 0), V) for f in ("sum", "prod", "any", "all", "nansum")],
    *[(lambda x, f=f: getattr(np, f)(V, where=x > 0, initial=1.0), V) for f in ("max", "min")],
    *[(lambda x, f=f: getattr(np, f)(V, where=x > 0), V) for f in ("mean", "var", "std")],
    *[(lambda x, f=f: getattr(np, f)(x, dtype="complex64"), N) for f in ("nanmean", "nanvar", "nanstd")],
    (lambda x: np.nanstd(x, dtype="int8"), K),
    (lambda x: (x > 0).conj(), V),
    (lambda x: np.clip(x > 0, 0, np.int8(3)), V),
    (lambda x: np.correlate(x > 0, x > 1), V),
    (lambda z: 0**z, np.array([2 + 0j, 1j, -1 + 2j, 0j])),
    (lambda x: np.logical_xor.reduce(x[:1]), V),
    (lambda k: np.divide.reduce(k[:1]), K),
    (lambda k: np.allclose(k, -1), K.astype("uint16")),
    (lambda z: np.geomspace(z, 2.0 - 1j, 4), Z[::2]),
    (lambda k: np.angle(k, deg=True), K.astype("int16")),
    (lambda x: np.nanquantile(x[:0], [[0.2], [0.7]], axis=0, keepdims=True), K[:, None]),
    (lambda x: np.nanpercentile(x[:0], [30.0]), V.astype("float32")),
    (lambda x: np.polymul(x[:0], True), V.astype("float32")),
    (lambda x: np.polyadd(x, x[:1]), V),
    (lambda z: np.cov(z[:, :0].T), Z[:, None]),
    (lambda x: np.select([x > 0, MASK], [np.float32(1.5), 2], 0.5), V),
    (lambda x: np.invert(-x, dtype="uint8", casting="unsafe"), V),
    *[(lambda x, t=t: x.astype(t), np.array([-1.5, -300.5, 300.5, 255.9, -0.5])) for t in ("uint8", "int8", "uint32")],
    (lambda x: x.astype("uint64"), np.array([-1.5, 1e19, 2.0**63, 9e18, 3.0], "float32")),
    (lambda x: sum([x[0] > 0, x[1] > 0, x[2] > 0]), V),
    (lambda k: k ** (k - k), K),
    *[(lambda k, t=t: np.reciprocal(np.append(k, [0, 1, -1]).astype(t)), K) for t in ("int8", "uint16", "bool")],
    *[(lambda x, u=u: u.accumulate(x), V) for u in (np.arctan2, np.fmax, np.subtract, np.heaviside)],
    *[(lambda k, u=u: u.accumulate(k, axis=1), K.reshape(1, 3, 1)) for u in (np.divide, np.bitwise_and, np.gcd)],
    *[(lambda x, f=f: f(x[0], axis=-1), V) for f in (np.sum, np.nanmax, np.argmin, np.ptp, np.squeeze, np.nanvar)],
    *[(lambda x, f=f: f(x[0], 2, axis=0), V) for f in (np.repeat, lambda x, n, axis: np.take(x, [0, 0], axis))],
    *[(lambda k, u=u: u.reduce(k[1:2]), K.astype(int)) for u in (np.hypot, np.gcd)],
    (lambda k: np.clip(k, True, k), K.astype("uint64")),
    (lambda x: np.subtract.reduce(x[0], axis=0, keepdims=True), V),
]


@pytest.mark.parametrize("k", range(len(CALLS)))
def test_calls_give_what_numpy_gives(k: int):
    call, x = CALLS[k]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = call(x)
    assert_same(through_program(call, x), expected)
    assert_same(sad.jit(call)(x), expected)


NUMBERS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (lambda a, b: (a > 0) + (b > 0), (1.5, 2.5)),
    (lambda a, b: ((a > 0) - (b < 0)) * V.astype("float32"), (1.5, -2.5)),
    (lambda a, b: True >> a, (True, 2)),
    (lambda a, b: (a + b, a * b, a - b, a // b, a**b, a % b, -a, +a, abs(a), ~a), (True, True)),
    (lambda a, b: (a & b, a | b, a ^ b), (True, False)),
    (lambda a, b: (a & b, a | b, a ^ b, a << b), (True, 2)),
    (lambda a, b: divmod(a, b)[0] * V.astype("float32"), (7, 3)),
    (lambda a, b: (a & b) * V.astype("float32"), (7, 3)),
    (lambda a, b: a * b + b[a > 0], (True, V.astype("float32"))),
    (lambda a, b: np.add(a, b), (True, True)),
    (lambda a, b: np.clip(a, None, b), (-1, np.int8(3))),
    (lambda a, b: np.select([b > 0], [b], a), (-0.5, V.astype("float32"))),
    (lambda a, b: sad.cond(a > 0, lambda: a > b, lambda: True) + 1, (-0.5, 2)),
]


@pytest.mark.parametrize("k", range(len(NUMBERS)))
def test_numbers_of_python_are_among_themselves_what_they_are_in_python(k: int):
    call, args = NUMBERS[k]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = call(*args)
    assert_same(through_program(call, *args), expected)
    assert_same(sad.jit(call)(*args), expected)


REFUSED: list[tuple[Callable[..., Any], Any]] = [
    (lambda x: np.fft.fftshift(x[0]), V),
    (lambda x: np.putmask(np.array(x), x > 0, np.nan), K),
    (lambda x: np.nanmean(x, dtype=int), V),
    (lambda x: x.copy().sort(axis=None), V),
    (lambda x: x.copy().partition(1, None), V),
    (lambda x: x.copy().fill(x), V),
    (lambda k: np.copyto(k.copy(), 1.5), K),
    (lambda x: np.gradient(x > 0), V),
    (lambda x: np.fft.ifftn(x, (2, 3)), V),
    (lambda x: np.polyder(np.stack([x, x, x]), 1), V),
    (lambda x: np.polymul(x, x[:, None]), V),
    (lambda x: np.polyder(x[0], 0), V),
    (lambda x: np.correlate(x[0], x[0]), V),
    (lambda x: np.greater.reduce(x), V),
    (lambda x: np.putmask(np.array(x, "float32"), x > 0, x), V),
    (lambda x: np.median(x[:0], axis=(), keepdims=True), V),
    (lambda k: k ** np.array([-1]), K),
    (lambda k: 2**k, K),
    (lambda k: np.power.outer(k, k), K),
    (lambda k: np.array([2, 3]) ** np.max(k[1:2]), K),
]


@pytest.mark.parametrize("k", range(len(REFUSED)))
def test_calls_that_numpy_refuses_are_refused(k: int):
    call, x = REFUSED[k]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((TypeError, ValueError)):
            call(x)
        with pytest.raises(sad.errors.StagedADError):
            sad.jit(call)(x)


@pytest.mark.parametrize("order", [2, 0])
@pytest.mark.parametrize("f", [special.kn, special.yn, special.expn])
def test_orders_that_are_cut_down_are_so_in_derivatives(f: Any, order: int):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy tells of the cut
        assert_same(sad.grad(lambda x: f(order + 0.66, x))(1.5), sad.grad(lambda x: f(order, x))(1.5))


def test_a_constant_without_elements_is_compiled_and_kept():
    rows = np.zeros((3, 0))
    found = sad.jit(lambda x: sad.scan(lambda count, row: (count + 1, np.sum(row)), 0, x)[1])(rows)
    assert_same(found, np.zeros(3))
    found = sad.jit(lambda x: sad.scan(lambda count, row: (count + 1, np.average(row)), 0, x)[1])(rows)
    assert_same(found, np.full(3, np.nan))
