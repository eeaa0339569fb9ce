"""Results without axes are numbers or arrays, as those of NumPy are: the two differ in what in-place operators do.

Invariant: each is compared with NumPy, evaluated and compiled.
Start at ``test_results_without_axes_are_arrays_where_those_of_numpy_are``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from tests.backends import through_program
from tests.numerics import assert_same


def _aliased(make: Callable[..., Any], x: Any) -> Any:
    """Two names of one result: an array is changed by what begins with one of them, a number is not."""
    y = np.array(x)
    z = one = make(y)
    z += 3
    return z, one, y, one[None]


MADE: list[Callable[..., Any]] = [
    *(np.max, np.sum, np.fix, np.round, np.nan_to_num, np.positive, np.add.reduce, np.nansum, np.abs, np.copy),
    *(lambda y: y.max(), lambda y: y.copy(), lambda y: y.astype(float), lambda y: np.array(y), lambda y: +y),
    *(lambda y: np.where(y > 0, y, 2), lambda y: np.select([y > 0], [y], 1.5), lambda y: np.median(y, keepdims=True)),
    *(np.i0, np.median, lambda y: np.roll(y, 1), lambda y: np.pad(y, 0), lambda y: y[()], lambda y: y[...]),
]


@pytest.mark.filterwarnings("ignore:numpy.fix is deprecated:DeprecationWarning")
@pytest.mark.parametrize("k", range(len(MADE)))
def test_results_without_axes_are_arrays_where_those_of_numpy_are(k: int):
    x = np.array(2.0)
    expected = _aliased(MADE[k], x)
    for found in (sad.jit(lambda x: _aliased(MADE[k], x))(x), through_program(lambda x: _aliased(MADE[k], x), x)):
        for one, two in zip(found, expected, strict=True):
            assert_same(one, two)
