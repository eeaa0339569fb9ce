"""scipy.fft on traced values gives what SciPy gives. Start anywhere: each test stands alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.fft

import staged_ad as sad
from tests.checks import assert_derivatives, assert_value

X = np.sin(np.arange(20.0)).reshape(4, 5)
CALLS: dict[str, Callable[[Any], Any]] = {
    "fft": lambda x: scipy.fft.fft(x),
    "ifft of a length": lambda x: scipy.fft.ifft(x, 8, 0, "ortho"),
    "rfft": lambda x: scipy.fft.rfft(x, axis=0, workers=1),
    "irfft": lambda x: scipy.fft.irfft(scipy.fft.rfft(x), 5),
    "hfft and ihfft": lambda x: scipy.fft.hfft(scipy.fft.ihfft(x), n=5),
    "fft2": lambda x: scipy.fft.ifft2(scipy.fft.fft2(x, norm="forward")),
    "fftn": lambda x: scipy.fft.fftn(x, s=(3,), axes=(1,)),
    "rfftn": lambda x: scipy.fft.irfftn(scipy.fft.rfftn(x), x.shape),
    "shifts": lambda x: scipy.fft.ifftshift(scipy.fft.fftshift(x, axes=1) * X),
    "of what is known": lambda x: x * scipy.fft.rfft(X, 8)[:, :5],
}


@pytest.mark.parametrize("name", CALLS)
def test_transforms_are_scipys(name: str) -> None:
    assert_value(CALLS[name], X, tolerance=1e-12)


def test_transforms_have_derivatives() -> None:
    assert_derivatives(lambda x: np.abs(scipy.fft.rfft(x)) ** 2, X)


def test_plans_are_refused() -> None:
    with pytest.raises(sad.errors.UnsupportedError, match="plan"):
        sad.jit(lambda x: scipy.fft.fft(x, plan=1))(X)
