"""DeviceEngine: what the executor asks for, done by CuPy on its current stream.

Invariant: nothing waits for the device but ``number`` and operations that the host computes.
Start at ``DeviceEngine``; the protocol is in executor.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from staged_ad.cuda import cublas
from staged_ad.cuda import library as functions
from staged_ad.cuda.geometry import Geometry
from staged_ad.ir import Equation
from staged_ad.lowering.regions import Matrix, MatrixProduct
from staged_ad.lowering.storage import ALIGNMENT

TO_DEVICE, TO_HOST, WITHIN = 1, 2, 3
"""The kinds of copies of the CUDA runtime."""


class DeviceEngine:
    """The kernels of one program on a GPU, and the libraries there."""

    def __init__(self, library: Any, image: bytes, geometry: Geometry) -> None:
        self._library = library
        self._runtime = library.cuda.runtime
        self._threads = geometry.threads
        self._device = int(self._runtime.getDevice())
        self._module = library.cuda.Module()
        self._module.load(image)
        self._kernels: dict[str, Any] = {}

    def launch(self, kernel: str, total: int, addresses: Sequence[int]) -> None:
        function = self._kernels.get(kernel)
        if function is None:
            function = self._kernels[kernel] = self._module.get_function(kernel)
        arguments = list(np.array([total, *addresses], np.int64))
        function((-(-total // self._threads),), (self._threads,), arguments)

    def product(self, product: MatrixProduct, a: int, b: int, c: int) -> None:
        """Row by row is column by column of the transpose, so cuBLAS is asked for ``c^T = b^T a^T``."""
        cuda = self._library.cuda
        dtype = product.result.type.dtype
        x, y = product.a, product.b
        lengths = product.m, product.n, product.k, product.count, x.leading, y.leading
        multiply = cuda.cublas.sgemmStridedBatched if dtype == np.float32 else cuda.cublas.dgemmStridedBatched
        stream, wide = cuda.get_current_stream().ptr, max(lengths) > cublas.LONGEST
        if wide or self._runtime.streamIsCapturing(stream):  # which CuPy's function refuses
            multiply = cublas.loaded(self._runtime.runtimeGetVersion() // 1000).product(dtype, stream, wide)
        one, zero = np.ones((), dtype), np.zeros((), dtype)

        def turned(matrix: Matrix) -> int:
            return int(cuda.cublas.CUBLAS_OP_T if matrix.transposed else cuda.cublas.CUBLAS_OP_N)

        multiply(
            cuda.device.get_cublas_handle(), turned(y), turned(x), product.n, product.m, product.k, one.ctypes.data,
            b, y.leading, y.stack, a, x.leading, x.stack, zero.ctypes.data,
            c, product.n, product.m * product.n, product.count,
        )  # fmt: skip

    def view(self, address: int, shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
        memory = self._library.cuda.memory
        owned = memory.UnownedMemory(address, math.prod(shape) * dtype.itemsize, self, self._device)
        return self._library.ndarray(tuple(shape), dtype, memory.MemoryPointer(owned, 0))

    def outside(self, equation: Equation, operands: Sequence[Any], results: Sequence[Any]) -> None:
        of, params = equation.params["of"], dict(equation.params["params"])
        function = functions.find(of, params, operands)
        values = None if function is None else function(self._library, *operands, **params)
        if values is None:
            found = of.evaluate(*[self._fetched(operand) for operand in operands], **params)
            values = found if of.multiple_results else [found]
        for result, value in zip(results, values, strict=True):
            if isinstance(value, self._library.ndarray):
                result[...] = value
            else:
                source = np.array(value, result.dtype, order="C")
                self._copy(result.data.ptr, source.ctypes.data, source.nbytes, TO_DEVICE)

    def _fetched(self, view: Any) -> np.ndarray[Any, Any]:
        array = np.empty(view.shape, view.dtype)
        self._copy(array.ctypes.data, view.data.ptr, array.nbytes, TO_HOST)
        self._library.cuda.get_current_stream().synchronize()
        return array

    def move(self, target: int, source: int, size: int) -> None:
        self._copy(target, source, size, WITHIN)

    def number(self, address: int, dtype: np.dtype[Any]) -> int:
        cell = np.empty((), dtype)
        self._copy(cell.ctypes.data, address, cell.nbytes, TO_HOST)
        self._library.cuda.get_current_stream().synchronize()
        return int(cell)

    def set_number(self, address: int, value: int) -> None:
        cell = np.array(value, np.int64)
        self._copy(address, cell.ctypes.data, cell.nbytes, TO_DEVICE)

    def _copy(self, target: int, source: int, size: int, kind: int) -> None:
        """What lies in the host's memory is pageable: it has been read when this returns."""
        if size:
            self._runtime.memcpyAsync(target, source, size, kind, self._library.cuda.get_current_stream().ptr)

    def allocate(self, size: int) -> tuple[int, Any]:
        array = self._library.zeros((max(size, ALIGNMENT),), np.uint8)
        return int(array.data.ptr), array

    def recorded(self, work: Callable[[], object]) -> Callable[[], None] | None:
        """What asks the device for all of `work` at once, a CUDA graph; None where it cannot be recorded."""
        stream = self._library.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            try:
                work()
            except BaseException as error:
                _abandoned(stream)
                if is_of_library(self._library, error) or isinstance(error, cublas.CublasError):
                    return None
                raise
            try:
                graph = stream.end_capture()
            except self._runtime.CUDARuntimeError:
                return None
        launch: Callable[[], None] = graph.launch
        return launch


def is_of_library(library: Any, error: BaseException) -> bool:
    """Whether an error is CuPy's: of memory, the runtime, the driver, a library such as cuSOLVER, or its loading."""
    cuda = library.cuda
    known = cuda.memory.OutOfMemoryError, cuda.driver.CUDADriverError, cuda.runtime.CUDARuntimeError
    return isinstance(error, known) or type(error).__module__.startswith(("cupy", "cuda."))


def _abandoned(stream: Any) -> None:
    """End a recording that has failed."""
    with suppress(RuntimeError):  # CUDA says once more that it has
        stream.end_capture()
