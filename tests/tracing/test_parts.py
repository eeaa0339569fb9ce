"""Real and imaginary parts are views: what is written to them is written to the array.

Invariant: the oracle is NumPy: the same function on arrays.
Start at ``WRITES``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import DTypeError, MutationError
from tests.checks import assert_derivatives, assert_value

X = np.array([1.0, 2.5, -0.5])


def _real(z: Any, x: Any) -> None:
    z.real = x**2


def _imag(z: Any, x: Any) -> None:
    z.imag = 0


def _in_place(z: Any, x: Any) -> None:
    z.real += x
    z.imag *= x[0]
    z.real[1] -= 3.0


def _swapped(z: Any, x: Any) -> None:
    z.real = z.imag
    z.imag = z.real


def _element(z: Any, x: Any) -> None:
    z.imag[1] = x[0]
    z[1:].real[...] = x[:2]


def _before(z: Any, x: Any) -> None:
    re, im = np.real(z), z.imag
    z[0] = 5.0 - 2.0j
    re[2], im[2] = re[0] * x[1], im[0]


def _transposed(z: Any, x: Any) -> None:
    w = np.zeros((3, 2), complex)
    w.T.real[0] = x
    w.T[1].imag = x * 2
    z += w.sum(axis=1)


WRITES = [_real, _imag, _in_place, _swapped, _element, _before, _transposed]


@pytest.mark.parametrize("write", WRITES)
def test_parts_that_are_written_to_are_those_of_the_array(write: Callable[[Any, Any], None]) -> None:
    def f(x: Any) -> Any:
        z = x + 1j * x[::-1]
        write(z, x)
        return z

    assert_value(f, X)
    assert_value(f, X.astype(np.float32))
    assert_derivatives(f, X)


def test_infinite_parts_stay_apart() -> None:
    def f(x: Any) -> Any:
        z = np.full(3, np.inf + 1j * np.nan)
        z.real = x
        w = np.full(3, 1j * np.inf)
        w.real[:2] = np.nan * x[:2]
        return z, w

    assert_value(f, X)


def test_real_numbers_are_their_own_real_part_and_conjugate() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        y.real[0] = 7.0
        np.real(y)[1] += 1.0
        y.conj()[2] = 9.0
        np.conj(y)[0] = 3.0  # the ufunc makes an array of its own
        z = y * 1j
        z.conj()[0] = 0.0
        return y, z

    assert_value(f, X)


def test_what_has_no_imaginary_part_is_not_given_one() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        y.imag = x
        return y

    with pytest.raises(DTypeError, match=r"y = y \+ 0j"):
        sad.jit(f)(X)


def test_parts_of_arguments_are_the_callers() -> None:
    def f(z: Any) -> Any:
        z.real = 0.0
        return z

    with pytest.raises(MutationError, match=r"x\.copy\(\)"):
        sad.jit(f)(X * 1j)
