"""Products of matrices into a recording: the calls of cuBLAS that CuPy refuses while a stream is captured.

cuBLAS itself can be captured; for what it needs as a workspace it puts nodes into the graph that allocate and free it.
The library is the one that CuPy has loaded, and so is the handle.

Source: NVIDIA, cuBLAS Library, sections "CUDA Graphs Support" and "cublas<t>gemmStridedBatched()".

Start at ``Cublas``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.native.once import once


class CublasError(Exception):
    """There is no cuBLAS, or it has refused a call."""


class Cublas:
    """cuBLAS by its own names."""

    def __init__(self, library: Any) -> None:
        integer, long, pointer = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p
        matrix = [pointer, integer, long]
        self._set_stream = library.cublasSetStream_v2
        self._set_stream.argtypes = [pointer, pointer]
        self._products: dict[np.dtype[Any], Any] = {}
        for dtype, letter in ((np.float32, "S"), (np.float64, "D")):
            multiply = getattr(library, f"cublas{letter}gemmStridedBatched")
            multiply.argtypes = [pointer, *[integer] * 5, pointer, *matrix, *matrix, pointer, *matrix, integer]
            self._products[np.dtype(dtype)] = multiply

    def product(self, dtype: np.dtype[Any], stream: int) -> Callable[..., None]:
        """What takes the arguments of ``cublas<t>gemmStridedBatched``, in the order of that stream."""

        def multiply(handle: int, *arguments: int) -> None:
            status = self._set_stream(handle, stream) or self._products[dtype](handle, *arguments)
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
