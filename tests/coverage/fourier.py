"""Examples of np.fft, of real arguments: complex ones are made of them by tests/test_coverage.py.

Invariant: see example.py. Start at ``FOURIER``.
"""

from __future__ import annotations

import numpy as np

from tests.coverage.example import Table, x

FOURIER: Table = {
    **{f"numpy.fft.{f.__name__}": x(f, lambda x, f=f: f(x, 5, axis=1)) for f in [np.fft.fft, np.fft.ifft]},
    **{
        f"numpy.fft.{f.__name__}": x(f, lambda x, f=f: f(x, (3, 4), (1, 0), norm="ortho"))
        for f in [np.fft.fft2, np.fft.ifft2, np.fft.fftn, np.fft.ifftn]
    },
    **{
        f"numpy.fft.{f.__name__}": x(f) for f in [np.fft.rfft, np.fft.rfft2, np.fft.rfftn, np.fft.irfft2, np.fft.irfftn]
    },
    **{
        f"numpy.fft.{f.__name__}": x(f, lambda x, f=f: f(x, 5, axis=1))
        for f in [np.fft.irfft, np.fft.hfft, np.fft.ihfft]
    },
    "numpy.fft.fftshift": x(np.fft.fftshift, lambda x: np.fft.fftshift(x, axes=1)),
    "numpy.fft.ifftshift": x(np.fft.ifftshift, lambda x: np.fft.ifftshift(x, axes=(0, 1))),
}
