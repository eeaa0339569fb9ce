"""Products of matrices that CuPy refuses: those into a recording, and those of lengths beyond 32 bits.

cuBLAS itself can be captured; for what it needs as a workspace it puts nodes into the graph that allocate and free it.
The library is the one that CuPy has loaded, and so is the handle.

Source: NVIDIA, cuBLAS Library, sections "CUDA Graphs Support", "64-bit Integer Interface" and
"cublas<t>gemmStridedBatched()".

Start at ``Cublas``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.native.once import once

LONGEST = 2**31 - 1
"""The largest length, leading dimension or number of matrices that functions of 32 bits take."""


class CublasError(Exception):
    """There is no cuBLAS, or it has refused a call."""


class Cublas:
    """cuBLAS by its own names."""

    def __init__(self, library: Any) -> None:
        long, pointer = ctypes.c_longlong, ctypes.c_void_p
        self._set_stream = library.cublasSetStream_v2
        self._set_stream.argtypes = [pointer, pointer]
        self._products: dict[tuple[np.dtype[Any], bool], Any] = {}
        for dtype, letter in ((np.float32, "S"), (np.float64, "D")):
            for wide, length, end in ((False, ctypes.c_int, ""), (True, long, "_64")):
                multiply = getattr(library, f"cublas{letter}gemmStridedBatched{end}")
                matrix, turned = [pointer, length, long], ctypes.c_int
                multiply.argtypes = [
                    pointer, turned, turned, *[length] * 3, pointer, *matrix, *matrix, pointer, *matrix, length
                ]  # fmt: skip
                self._products[np.dtype(dtype), wide] = multiply

    def product(self, dtype: np.dtype[Any], stream: int, wide: bool = False) -> Callable[..., None]:
        """What takes the arguments of ``cublas<t>gemmStridedBatched``, `wide` ones too, in the order of that stream."""

        def multiply(handle: int, *arguments: int) -> None:
            status = self._set_stream(handle, stream) or self._products[dtype, wide](handle, *arguments)
            if status:
                raise CublasError(f"cuBLAS returned the status {status}")

        return multiply


@once
def loaded(major: int) -> Cublas:
    """The library for CUDA of that major version, which CuPy has loaded. Raises CublasError where there is none."""
    try:
        return Cublas(ctypes.CDLL(f"libcublas.so.{major}"))
    except (OSError, AttributeError) as error:
        raise CublasError(f"cuBLAS cannot be called: {error}") from error
