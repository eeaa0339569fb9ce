"""Casts of floats to integers: what fits is NumPy's; the rest, which NumPy leaves open, has one meaning."""

import math

import numpy as np
import pytest

import staged_ad as sad

FLOATS = [0.1, -3.7, 255.7, -1.0, 300.2, 2.0**31 - 0.5, 2.0**31, -(2.0**31), 1e10, -1e10, 2.0**63 - 1024, 2.0**63]
FLOATS += [-(2.0**63), 1e300, math.nan, math.inf, -math.inf]


def cast(x: float, dtype: np.dtype) -> int:
    """By way of int32 or int64, whose least number is what does not fit."""
    wide = 32 if dtype.itemsize < 4 or dtype == np.int32 else 64
    fits = abs(x) < 2 ** (wide - 1)
    number = (int(x) if fits else -(2 ** (wide - 1))) % 2 ** (8 * dtype.itemsize)
    return number - (2 ** (8 * dtype.itemsize) if dtype.kind == "i" and number >= 2 ** (8 * dtype.itemsize - 1) else 0)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"])
@pytest.mark.parametrize("source", [np.float64, np.float32])
def test_all_floats_have_an_integer(source, dtype):
    with np.errstate(all="ignore"):
        x = np.array(FLOATS, source)
    expected = [cast(float(number), np.dtype(dtype)) for number in x]
    convert = sad.jit(lambda x: x.astype(dtype))
    assert convert(x).tolist() == expected
    assert [int(convert(number)) for number in x] == expected


@pytest.mark.parametrize("source", [np.float64, np.float32])
def test_long_unsigned_integers_take_all_that_fits_and_wrap_around(source):
    x = np.array([0.5, 3.0, 2.0**63, 1.5 * 2.0**63, -1.0, -(2.0**40)], source)
    found = sad.jit(lambda x: x.astype("uint64"))(x)
    assert found.tolist() == [0, 3, 2**63, 3 * 2**62, 2**64 - 1, 2**64 - 2**40]


def test_nan_is_no_index():
    def bins(t, w):
        counts = np.zeros(4)
        np.add.at(counts, np.floor(4 * t).astype(int), w)
        return counts

    t, w = np.array([0.1, 0.5, np.nan, 0.9]), np.ones(4)
    with pytest.raises(IndexError):
        sad.jit(bins)(t, w)
    np.testing.assert_array_equal(sad.jit(bins)(t[[0, 1, 3]], w[:3]), [1, 0, 1, 1])
