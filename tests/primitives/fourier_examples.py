"""Example rows of the Fourier transforms; expected values are products with the matrix of the transform.

Invariant: even and odd lengths, length 1, several rows and none are among the rows of each.
Start at ``FOURIER``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.primitives.row import ANYWHERE, Row, generator, points

SHAPES: tuple[tuple[int, ...], ...] = ((5,), (2, 6), (1,), (0, 4))


def _array(shape: tuple[int, ...], dtype: str) -> Any:
    return points(generator(f"fourier{shape}{dtype}"), ANYWHERE, shape, dtype)


def _matrix(n: int, sign: int) -> Any:
    k = np.arange(n)
    return np.exp(sign * 2j * np.pi * (k[:, None] * k % n) / n)


def _fft(x: Any, *, inverse: bool) -> Any:
    return (x @ _matrix(x.shape[-1], 1 if inverse else -1)).astype(x.dtype)


def _rfft(x: Any) -> Any:
    n = x.shape[-1]
    return (x @ _matrix(n, -1)[:, : n // 2 + 1]).astype(np.result_type(x.dtype, np.complex64))


def _irfft(y: Any, *, n: int) -> Any:
    whole = np.zeros((*y.shape[:-1], n), complex)
    m = n // 2 + 1
    whole[..., :m] = y
    whole[..., m:] = np.conj(y[..., 1 : n - m + 1][..., ::-1])
    whole[..., 0] = whole[..., 0].real
    if n % 2 == 0:
        whole[..., n // 2] = whole[..., n // 2].real
    return (whole @ _matrix(n, 1)).real.astype(y.real.dtype)


def _rows() -> Iterator[Row]:
    linear = ((0,),)
    for dtype, shapes in (("complex128", SHAPES), ("complex64", ((20, 3),))):
        for shape in shapes:
            x = _array(shape, dtype)
            for inverse in (False, True):
                yield Row("fft", f"{dtype}{list(shape)}-{inverse}", (x,), _fft, {"inverse": inverse}, True, linear)
    for dtype, shapes in (("float64", SHAPES), ("float32", ((20, 3),))):
        for shape in shapes:
            yield Row("rfft", f"{dtype}{list(shape)}", (_array(shape, dtype),), _rfft, {}, True, linear)
    for dtype, shape, n in (
        ("complex128", (3,), 5),
        ("complex128", (2, 4), 6),
        ("complex128", (1,), 1),
        ("complex128", (0, 3), 4),
        ("complex64", (20, 2), 3),
    ):
        yield Row("irfft", f"{dtype}{list(shape)}-{n}", (_array(shape, dtype),), _irfft, {"n": n}, True, linear)


FOURIER = list(_rows())
