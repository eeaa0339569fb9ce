"""Which results without axes are numbers, and which arrays: ``y += 1`` changes an array for all that hold it.

Invariant: NumPy says which they are.
Start anywhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from tests.checks import assert_value
from tests.numerics import assert_same

KINDS: list[Callable[[Any], Any]] = [
    *[lambda x, f=f: f(x, x > 0) for f in (lambda x, m: np.where(m, x, 2), lambda x, m: np.select([m], [x], 0))],
    *[lambda x, f=f: f(x) for f in (np.fft.ifftn, np.nan_to_num, np.sinc, np.median, np.copy, np.cov, np.nanmax)],
    *[lambda x, f=f: f(x, 1) for f in (np.roll, np.pad, np.isin, np.heaviside, np.round, np.percentile)],
    lambda x: np.resize(x, ()),
    lambda x: np.tensordot(x, x, 0),
    lambda x: np.vecdot(x[None], x[None]),
    lambda x: np.interp(x, [0, 1], [0, 1]),
    lambda x: np.where(x > 0, x, 2).astype(int),
    lambda x: np.sum(x).astype(int),
]


@pytest.mark.parametrize("k", range(len(KINDS)))
def test_what_has_no_axes_is_a_number_where_numpy_has_one(k: int):
    def added(x: Any) -> Any:
        one = other = KINDS[k](x)
        other += True
        return one

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = added(np.array(1.5))
    assert_same(sad.jit(added)(np.array(1.5)), expected)


@pytest.mark.parametrize("axis", [0, -1])
def test_reductions_take_an_axis_of_numbers_as_those_of_numpy(axis: int) -> None:
    for f in (
        lambda x: np.sum(x, axis=axis),
        lambda x: np.max(x, axis=axis, keepdims=True),
        lambda x: np.min(x, axis=axis, initial=1.0),
        lambda x: np.ptp(x, axis=axis),
    ):
        assert_value(f, np.float64(2.0))
