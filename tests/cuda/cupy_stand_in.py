"""A stand-in for CuPy: its names and signatures, as CuPy 14 documents them, over the memory of the host.

Kernels are those of emulation.py: `Standing` hands the driver a number in the place of PTX, by which they are found.
What is launched inside of a capture is kept and runs when the graph is launched.

Invariant: it accepts what CuPy accepts, and nothing more.
Start at ``device``.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import scipy.special

from staged_ad.cuda import cublas, devices
from staged_ad.cuda.cublas import Cublas
from staged_ad.cuda.device import Device
from staged_ad.cuda.geometry import Geometry
from tests.cuda.emulation import GEOMETRY, Emulator, aligned
from tests.cuda.solver_stand_in import BLAS, LINALG, SOLVER, SORTING, errstate, solve_triangular
from tests.cuda.stream_stand_in import CUDARuntimeError, Event, Stream, asked


class ndarray:  # noqa: N801  # as CuPy names it
    """An array in the memory of the device; NumPy's functions do not take it."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"):
        assert isinstance(shape, tuple)
        assert strides is None
        assert order == "C"
        self.data = memptr
        if memptr is None:
            size = np.dtype(dtype).itemsize * int(np.prod(shape))
            kept = aligned(np.full(max(size, 1), 0xA5, np.uint8))  # nobody has written there
            self.host = kept[:size].view(dtype).reshape(shape)
            place = self.host.ctypes.data if size else 0
            self.data = MemoryPointer(PooledMemory(place, size, self.host, current()), 0)
        else:
            size = np.dtype(dtype).itemsize * int(np.prod(shape))
            memory = (ctypes.c_char * size).from_address(memptr.ptr)
            self.host = np.ndarray(shape, dtype, memory)

    @classmethod
    def over(cls, host: Any, number: int = 0, owner: Any = None) -> ndarray:
        array = cls.__new__(cls)
        array.host = host
        array.data = MemoryPointer(UnownedMemory(host.ctypes.data, host.nbytes, owner or host, number), 0)
        return array

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    size = property(lambda self: self.host.size)
    ndim = property(lambda self: self.host.ndim)
    flags = property(lambda self: SimpleNamespace(c_contiguous=self.host.flags.c_contiguous))

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.data.device_id

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        host = self.host.__array_interface__
        return {**{key: host[key] for key in ("shape", "typestr", "strides", "data")}, "version": 3}

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        return NotImplemented

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __getitem__(self, index: Any) -> ndarray:
        return ndarray.over(self.host[index], self.data.device_id)

    def __len__(self) -> int:
        return len(self.host)

    def __bool__(self) -> bool:
        return bool(self.host)

    def __ne__(self, other: Any) -> Any:
        return ndarray.over(self.host != other)

    def all(self) -> ndarray:
        return ndarray.over(np.asarray(self.host.all()))

    def any(self) -> ndarray:
        return ndarray.over(np.asarray(self.host.any()))

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        return ndarray.over(self.host.swapaxes(axis1, axis2), self.data.device_id)

    def __setitem__(self, index: Any, value: Any) -> None:
        assert isinstance(value, ndarray), "NumPy's arrays are not copied implicitly"
        self.host[index] = value.host

    @property
    def T(self) -> ndarray:
        return ndarray.over(self.host.T, self.data.device_id)

    @property
    def real(self) -> ndarray:
        return ndarray.over(self.host.real, self.data.device_id)

    def view(self, dtype: Any) -> ndarray:
        return ndarray.over(self.host.view(dtype), self.data.device_id)

    def reshape(self, shape: tuple[int, ...]) -> ndarray:
        return ndarray.over(self.host.reshape(shape), self.data.device_id)

    def copy(self) -> ndarray:
        return ndarray.over(self.host.copy(), self.data.device_id)

    def astype(self, dtype: Any, order: str) -> ndarray:
        return ndarray.over(self.host.astype(dtype, order=order), self.data.device_id)

    def get(self) -> Any:
        return np.array(self.host)

    def fill(self, value: Any) -> None:
        self.host.fill(value)


class PooledMemory:
    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        self.ptr, self.size, self.owner, self.device_id = ptr, size, owner, device_id


class UnownedMemory(PooledMemory):
    pass


class MemoryPointer:
    def __init__(self, mem: PooledMemory, offset: int) -> None:
        self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id


class CUDADriverError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


_images: list[Emulator] = []


class Module:
    def load(self, cubin: bytes) -> None:
        assert isinstance(cubin, bytes)
        self._emulator = _images[int(cubin)]

    def get_function(self, name: str) -> Any:
        def launch(grid: tuple[int, ...], block: tuple[int, ...], args: Any) -> None:
            assert all(type(arg) is np.int64 for arg in args)
            total, *addresses = map(int, args)
            assert (grid[0] - 1) * block[0] < total <= grid[0] * block[0]
            asked(lambda: self._emulator.launch(name, total, addresses))

        return launch


def _memcpy(dst: int, src: int, size: int, kind: int, stream: int) -> None:
    if kind == 3:
        asked(lambda: ctypes.memmove(dst, src, size))
    elif Stream.capturing:
        raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")
    else:
        ctypes.memmove(dst, src, size)


def _scale(address: int, dtype: Any) -> Any:
    return np.ndarray((), dtype, (ctypes.c_char * np.dtype(dtype).itemsize).from_address(address))


def _refusing_capture(dtype: Any) -> Any:
    """A product by CuPy."""

    def multiply(*args: Any) -> None:
        if Stream.capturing:
            raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
        lengths = *args[1:6], args[8], args[11], args[15], args[17]
        if max(lengths) > cublas.LONGEST:
            raise OverflowError("value too large to convert to int")
        _gemm(*args, dtype=dtype)

    return multiply


class Library:
    """cuBLAS itself, whose functions return a status, and read the scales at once."""

    def __init__(self, status: int = 0) -> None:
        self.cublasSetStream_v2 = lambda handle, stream: status
        self.cublasSgemmStridedBatched = self._product(np.float32, 32)
        self.cublasDgemmStridedBatched = self._product(np.float64, 32)
        self.cublasSgemmStridedBatched_64 = self._product(np.float32, 64)
        self.cublasDgemmStridedBatched_64 = self._product(np.float64, 64)

    @staticmethod
    def _product(dtype: Any, bits: int) -> Any:
        def multiply(*args: Any) -> int:
            assert [type(arg) for arg in args] == [int] * 18
            kinds = [ctypes.sizeof(kind) for kind in multiply.argtypes]  # type: ignore[attr-defined]  # set by the caller
            length, long = bits // 8, 8
            matrix = [long, length, long]
            assert kinds == [8, 4, 4, *[length] * 3, 8, *matrix, *matrix, 8, *matrix, length]
            assert all(
                -(2 ** (8 * size - 1)) <= arg < 2 ** (8 * size - 1) for arg, size in zip(args, kinds, strict=True)
            )
            scales = [_scale(address, dtype).copy() for address in (args[6], args[13])]

            def work() -> None:
                alpha, beta = (scale.ctypes.data for scale in scales)
                _gemm(*args[:6], alpha, *args[7:13], beta, *args[14:], dtype=dtype)

            asked(work)
            return 0

        return multiply


def _gemm(
    handle: int, trans_a: int, trans_b: int, m: int, n: int, k: int,
    alpha: int, a: int, lda: int, stride_a: int, b: int, ldb: int, stride_b: int,
    beta: int, c: int, ldc: int, stride_c: int, count: int, dtype: Any,
) -> None:  # fmt: skip
    """As cuBLAS: matrices are stored by columns."""
    item = np.dtype(dtype).itemsize

    def matrices(address: int, rows: int, columns: int, leading: int, stride: int) -> Any:
        assert leading >= rows
        size = ((count - 1) * stride + (columns - 1) * leading + rows) * item
        memory = (ctypes.c_char * size).from_address(address)
        return np.ndarray((count, rows, columns), dtype, memory, strides=(stride * item, item, leading * item))

    def given(address: int, trans: int, rows: int, columns: int, leading: int, stride: int) -> Any:
        if trans:
            return matrices(address, columns, rows, leading, stride).swapaxes(1, 2)
        return matrices(address, rows, columns, leading, stride)

    assert [_scale(alpha, dtype), _scale(beta, dtype)] == [1, 0]
    left, right = given(a, trans_a, m, k, lda, stride_a), given(b, trans_b, k, n, ldb, stride_b)
    matrices(c, m, n, ldc, stride_c)[...] = left @ right


_numbers = [0]


def current() -> int:
    return _numbers[-1]


@contextmanager
def on_device(number: int) -> Iterator[None]:
    """What ``with cupy.cuda.Device(number):`` does."""
    _numbers.append(number)
    try:
        yield
    finally:
        _numbers.pop()


def asarray(value: Any) -> ndarray:
    interface = value.__cuda_array_interface__
    holder = SimpleNamespace(__array_interface__={**interface, "version": 3}, owner=value)
    return ndarray.over(np.asarray(holder))


def array(value: ndarray, order: str, copy: bool) -> ndarray:
    assert copy
    assert order == "C"
    return ndarray.over(aligned(np.ascontiguousarray(value.host).reshape(value.shape)), value.data.device_id)


def zeros(shape: Any, dtype: Any) -> ndarray:
    made = ndarray(shape, dtype)
    made.host[...] = 0
    return made


def _wrapped(f: Any) -> Any:
    """A function of NumPy's arrays as one of the stand-in's, which takes no others."""

    def host(value: Any) -> Any:
        assert not isinstance(value, np.ndarray), "NumPy's arrays are not copied implicitly"
        return value.host if isinstance(value, ndarray) else value

    def call(*args: Any, **kwargs: Any) -> Any:
        found = f(*map(host, args), **kwargs)
        return (
            tuple(map(ndarray.over, found))
            if isinstance(found, tuple)
            else found
            if found is None
            else ndarray.over(found)
        )

    return call


def _all_wrapped(functions: dict[str, Any]) -> dict[str, Any]:
    return {name: _wrapped(f) for name, f in functions.items()}


LIBRARY = SimpleNamespace(
    ndarray=ndarray,
    asarray=asarray,
    from_dlpack=lambda value: ndarray.over(value.host, owner=value),
    array=array,
    empty=ndarray,
    zeros=zeros,
    fft=SimpleNamespace(
        fft=lambda x: ndarray.over(np.fft.fft(x.host)),
        ifft=lambda x, norm: ndarray.over(np.fft.ifft(x.host, norm=norm)),
        rfft=lambda x: ndarray.over(np.fft.rfft(x.host)),
        irfft=lambda x, n, norm: ndarray.over(np.fft.irfft(x.host, n, norm=norm)),
    ),
    arange=_wrapped(lambda start, stop, step, dtype: np.arange(start, stop, step, dtype)),
    stack=lambda arrays: ndarray.over(np.stack([x.host for x in arrays])),
    linalg=SimpleNamespace(**_all_wrapped(vars(LINALG))),
    **_all_wrapped(SORTING),
    cuda=SimpleNamespace(
        memory=SimpleNamespace(
            OutOfMemoryError=OutOfMemoryError, UnownedMemory=UnownedMemory, MemoryPointer=MemoryPointer
        ),
        driver=SimpleNamespace(CUDADriverError=CUDADriverError),
        runtime=SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            getDevice=current,
            memcpyAsync=_memcpy,
            streamIsCapturing=lambda stream: bool(Stream.capturing),
            runtimeGetVersion=lambda: 13000,
        ),
        device=SimpleNamespace(get_cublas_handle=lambda: 1, get_cusolver_handle=lambda: 2),
        cusolver=SimpleNamespace(**SOLVER),
        cublas=SimpleNamespace(
            **BLAS,
            CUBLAS_OP_N=0,
            CUBLAS_OP_T=1,
            sgemmStridedBatched=_refusing_capture(np.float32),
            dgemmStridedBatched=_refusing_capture(np.float64),
        ),
        Module=Module,
        Event=Event,
        Stream=Stream,
        get_current_stream=Stream,
    ),
)


class Special:
    """``cupyx.scipy.special``: its functions take its arrays alone."""

    def __getattr__(self, name: str) -> Any:
        return lambda *xs: ndarray.over(np.asarray(getattr(scipy.special, name)(*[x.host for x in xs])))


CUPYX = {
    "cupyx": SimpleNamespace(errstate=errstate),
    "cupyx.scipy.linalg": SimpleNamespace(solve_triangular=_wrapped(solve_triangular)),
    "cupyx.scipy.special": Special(),
}


class Standing(Device):
    """The device by the stand-in."""

    def __init__(self, geometry: Geometry = GEOMETRY) -> None:
        super().__init__(LIBRARY)
        self.geometry = geometry

    capability = 90

    def image(self, module: Any) -> bytes:
        _images.append(Emulator(module))
        return str(len(_images) - 1).encode()


@contextmanager
def device(geometry: Geometry = GEOMETRY) -> Iterator[Standing]:
    """Let ``jit(f, device="cuda")`` run on the emulated device."""
    standing, modules = Standing(geometry), sys.modules
    before = {name: modules[name] for name in CUPYX if name in modules}
    modules.update(CUPYX)  # type: ignore[arg-type]
    try:
        with devices.standing_in(standing), patch.object(cublas, "loaded", lambda major: Cublas(Library())):
            yield standing
    finally:
        for name in CUPYX:
            del modules[name]
        modules.update(before)
