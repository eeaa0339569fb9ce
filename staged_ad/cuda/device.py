"""Device: a GPU by CuPy: its memory, the arrays of other libraries that lie there, and what its errors mean.

Everything happens on CuPy's current device and in the order of its current stream.

Invariant: what the user's arrays hold is never written to.
Start at ``opened``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from staged_ad.cuda import target
from staged_ad.cuda.cublas import CublasError
from staged_ad.cuda.engine import TO_DEVICE, TO_HOST, DeviceEngine, is_of_library
from staged_ad.cuda.geometry import Geometry
from staged_ad.cuda.program import DeviceModule
from staged_ad.cuda.threads import MEMORY_BYTES
from staged_ad.errors import ArgumentError, DeviceError
from staged_ad.native.once import once

_INSTALL = "python -m pip install 'staged-ad[cuda]'"
_INSTEAD = "device='cuda' runs on an NVIDIA GPU; without one, leave device away"

_FULL = "ALLOC_FAILED", "OUT_OF_MEMORY", "cudaErrorMemoryAllocation"
"""What libraries, the driver and the runtime say where nothing is left for them beside CuPy's pool."""

_BORROWED: list[tuple[Any, list[Any]]] = []
"""Arrays of other libraries, and the events behind what reads them."""


class Device:
    """The current GPU of CuPy, the module `library`."""

    geometry = Geometry()

    def __init__(self, library: Any) -> None:
        self._library = library
        cuda = library.cuda
        self._runtime = cuda.runtime
        self._refusals: tuple[type[Exception], ...] = (
            cuda.memory.OutOfMemoryError,
            cuda.driver.CUDADriverError,
            cuda.runtime.CUDARuntimeError,
            ImportError,
            AttributeError,
            BufferError,
            RuntimeError,
            TypeError,
            ValueError,
        )

    @property
    def number(self) -> int:
        """Which of the machine's GPUs it is."""
        return int(self._runtime.getDevice())

    @property
    def capability(self) -> int:
        """Its compute capability: 90 for 9.0."""
        return int(self._library.cuda.Device().compute_capability)

    # -- arrays -------------------------------------------------------------------------------------------------------

    def adopted(self, value: Any) -> Any:
        """A CuPy array that looks into the memory of another library's array.

        By DLPack where there is a choice: then its library makes the current stream wait for what is still computed.
        JAX's ``__cuda_array_interface__`` says nothing of that.

        Raises
        ------
        ArgumentError
            It lies elsewhere, or cannot be had; the message goes on after the name of an argument.
        """
        library = self._library
        if isinstance(value, library.ndarray):
            array = value
        else:
            try:
                ordered = hasattr(value, "__dlpack_device__")
                array = library.from_dlpack(value) if ordered else library.asarray(value)
            except self._refusals as error:
                raise ArgumentError(
                    f"is an array of {type(value).__module__.partition('.')[0]} on a GPU that CuPy cannot take: {error}"
                ) from error
        if array.size and array.data.device_id != self.number:
            raise ArgumentError(
                f"lies on GPU {array.data.device_id}, but the current one is {self.number}; call the function within "
                f"`with cupy.cuda.Device({array.data.device_id}):`, or move the array there"
            )
        return array

    def keep(self, values: Sequence[Any]) -> None:
        """Keep adopted arrays until what the stream has been asked for is done: their libraries may give the memory to
        others before that, and do not know of this stream.
        """
        borrowed = [value for value in values if self._is_borrowed(value)]
        for entry in list(_BORROWED):
            if entry[0].done:
                with suppress(ValueError):  # another thread was here
                    _BORROWED.remove(entry)
        if borrowed:
            event = self._library.cuda.Event(disable_timing=True)
            event.record()
            _BORROWED.append((event, borrowed))

    def _is_borrowed(self, value: Any) -> bool:
        library = self._library
        return isinstance(value, library.ndarray) and isinstance(value.data.mem, library.cuda.memory.UnownedMemory)

    def ready(self, array: Any) -> Any:
        """The array in C order, where it begins at an address that threads can load from; else a copy."""
        if array.flags.c_contiguous and array.data.ptr % MEMORY_BYTES == 0:
            return array
        return self._library.array(array, order="C", copy=True)

    def sent(self, value: np.ndarray[Any, Any]) -> Any:
        """A copy on the GPU; what was sent may be changed afterwards."""
        array = self.empty(value.shape, value.dtype)
        if value.size:
            source = np.array(value, order="C")  # pageable memory, which has been read when the call below returns
            stream = self._library.cuda.get_current_stream()
            self._runtime.memcpyAsync(array.data.ptr, source.ctypes.data, source.nbytes, TO_DEVICE, stream.ptr)
        return array

    def fetched(self, value: Any) -> np.ndarray[Any, Any]:
        """A copy in the host's memory."""
        array = self.ready(self.adopted(value))
        copy = np.empty(array.shape, array.dtype)
        if copy.size:
            stream = self._library.cuda.get_current_stream()
            self._runtime.memcpyAsync(copy.ctypes.data, array.data.ptr, copy.nbytes, TO_HOST, stream.ptr)
            stream.synchronize()
        return copy

    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        """A new array, from CuPy's pool."""
        return self._library.empty(tuple(shape), dtype)

    def address(self, array: Any) -> int:
        """Where an array begins."""
        return int(array.data.ptr)

    def wait(self) -> None:
        """Wait for all that has been asked for."""
        self._library.cuda.get_current_stream().synchronize()

    # -- programs -----------------------------------------------------------------------------------------------------

    def engine(self, module: DeviceModule) -> DeviceEngine:
        """The kernels of a program, loaded."""
        return DeviceEngine(self._library, self.image(module), module.geometry)

    def image(self, module: DeviceModule) -> bytes:
        """What the driver loads."""
        return target.ptx(module.text, self.capability).encode()

    def caused(self, error: Exception) -> bool:
        """Whether an error is CuPy's, or says that a library of CUDA lacks or fails."""
        return isinstance(error, ImportError | CublasError) or is_of_library(self._library, error)

    def explained(self, error: Exception) -> DeviceError:
        """The error of this package for one of CuPy's."""
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, MemoryError) or any(word in said for word in _FULL):
            return DeviceError(
                f"the memory of the GPU is full ({said}): drop arrays that are of no use (del x), give the memory that "
                "CuPy keeps back with cupy.get_default_memory_pool().free_all_blocks(), work on fewer items at once, "
                "or let a scan keep less for reverse mode: scan(..., checkpoint=n)"
            )
        if isinstance(error, ImportError) or said.startswith(("NVRTC", "CompileException", "DynamicLibNotFound")):
            return DeviceError(f"a library of CUDA lacks ({said}); write: {_INSTALL}")
        if any(word in said for word in ("PTX", "NO_BINARY", "INVALID_IMAGE", "InsufficientDriver")):
            return DeviceError(
                f"the driver cannot load the kernels ({said}): it is older than the GPU's code here needs; update "
                "NVIDIA's driver, which `nvidia-smi` names"
            )
        return DeviceError(
            f"the GPU has failed ({said}); after an illegal address or a launch failure no call works in this process "
            "any more, so start a new one, and please report the function that did it"
        )


def opened() -> Device:
    """The GPU of this machine.

    Raises
    ------
    DeviceError
        CuPy, a driver or a GPU lacks.
    """
    return _device()


@once
def _device() -> Device:
    return found(lambda: importlib.import_module("cupy"))


def found(load: Callable[[], Any]) -> Device:
    """The GPU that CuPy finds, the module that `load` imports; raises as ``opened``."""
    try:
        library = load()
        runtime = library.cuda.runtime
    except (ImportError, AttributeError, RuntimeError) as error:  # a folder of that name may be all that there is
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            raise DeviceError(f"device='cuda' needs CuPy, which is not installed; write: {_INSTALL}") from None
        raise DeviceError(f"CuPy cannot be imported ({error}); write: {_INSTALL}") from error
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        raise DeviceError(_without(runtime, error)) from error
    if not count:
        raise DeviceError(f"there is no GPU on this machine, or CUDA_VISIBLE_DEVICES hides it. {_INSTEAD}")
    return Device(library)


def _without(runtime: Any, error: Exception) -> str:
    """Why there is no device."""
    driver = runtime.driverGetVersion()
    if not driver:
        return f"no NVIDIA driver was found on this machine ({error}). {_INSTEAD}; with one, install NVIDIA's driver"
    built = runtime.runtimeGetVersion()
    if driver // 1000 < built // 1000:
        return (
            f"the NVIDIA driver supports CUDA {_version(driver)}, and CuPy is made for {_version(built)}: update the "
            f"driver, or install CuPy for it: python -m pip install cupy-cuda{driver // 1000}x"
        )
    return f"the GPU cannot be used ({error}). {_INSTEAD}"


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
