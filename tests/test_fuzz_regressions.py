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
]


@pytest.mark.parametrize("k", range(len(CALLS)))
def test_calls_give_what_numpy_gives(k: int):
    call, x = CALLS[k]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = call(x)
    assert_same(through_program(call, x), expected)
    assert_same(sad.jit(call)(x), expected)


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
