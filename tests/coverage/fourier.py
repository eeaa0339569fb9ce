"""Examples of np.fft: real parts and imaginary parts as numbers.

Invariant: complex results are shown by their parts, complex arguments made of the real ones.
Start at ``FOURIER``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.coverage.example import Example, Table, X, on, x


def parts(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` of a complex array, as two arrays."""

    def call(x: Any) -> Any:
        z = f(x + 0.5j * x**2)
        return z.real, z.imag

    return call


def _complex(*calls: Callable[..., Any]) -> list[Example]:
    return on(X, dtypes=("float32",))(*map(parts, calls))


def _real(*calls: Callable[..., Any]) -> list[Example]:
    return on(X, dtypes=("float32",))(*[lambda x, f=f: (f(x).real, f(x).imag) for f in calls])


FOURIER: Table = {
    **{f"numpy.fft.{f.__name__}": _complex(f, lambda z, f=f: f(z, 5, axis=1)) for f in [np.fft.fft, np.fft.ifft]},
    **{f"numpy.fft.{f.__name__}": _complex(f) for f in [np.fft.fft2, np.fft.ifft2, np.fft.fftn, np.fft.ifftn]},
    **{f"numpy.fft.{f.__name__}": _real(f) for f in [np.fft.rfft, np.fft.rfft2, np.fft.rfftn, np.fft.ihfft]},
    **{
        f"numpy.fft.{f.__name__}": _complex(lambda z, f=f: f(z) * (1 + 0j))
        for f in [np.fft.irfft, np.fft.irfft2, np.fft.irfftn, np.fft.hfft]
    },
    "numpy.fft.fftshift": x(np.fft.fftshift, lambda x: np.fft.fftshift(x, axes=1)),
    "numpy.fft.ifftshift": x(np.fft.ifftshift, lambda x: np.fft.ifftshift(x, axes=(0, 1))),
}
