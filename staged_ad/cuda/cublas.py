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
    """cuBLAS has refused a call."""


class Cublas:
    """cuBLAS by its own names. Raises OSError or AttributeError where there is no such library."""

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
            for status in (self._set_stream(handle, stream), self._products[dtype](handle, *arguments)):
                if status:
                    raise CublasError(f"cuBLAS returned the status {status}")

        return multiply


@once
def loaded(major: int) -> Cublas:
    """The library for CUDA of that major version, which CuPy has loaded."""
    return Cublas(ctypes.CDLL(f"libcublas.so.{major}"))
