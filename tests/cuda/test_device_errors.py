"""What is said where jit(f, device="cuda") cannot do what it is asked for.

Invariant: a message says what to write, to install or to change.
Start at ``test_what_lacks_for_a_device_is_said``.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.cuda import libdevice
from staged_ad.cuda.device import found
from tests.cuda import cupy_stand_in as cupy
from tests.cuda.cupy_stand_in import Standing
from tests.cuda.test_device_calls import OfOtherLibrary, X, on_device

pytestmark = pytest.mark.usefixtures("device")


def test_errors_of_a_program_are_raised_as_on_the_processor(device: Standing):
    f = on_device(lambda a: np.linalg.solve(a, np.ones(2)))
    with pytest.raises(np.linalg.LinAlgError):
        f(device.sent(np.zeros((2, 2))))
    with pytest.raises(np.linalg.LinAlgError):
        on_device(np.linalg.cholesky)(device.sent(-np.eye(3)))


@pytest.mark.parametrize("device_name", ["gpu", 0, "cuda:1", ["cuda"]])
def test_other_devices_are_refused(device_name: Any):
    with pytest.raises(sad.errors.ArgumentError, match="there are 'cuda', an NVIDIA GPU, and None"):
        sad.jit(np.sin, device=device_name)


def test_donation_is_refused():
    with pytest.raises(sad.errors.ArgumentError, match=r"drop the array that you have no use for"):
        on_device(np.sin, donate_argnums=0)


def test_arrays_of_the_device_are_refused_by_what_runs_on_the_processor(device: Standing):
    x = device.sent(X)
    for f in (sad.grad(np.sum), sad.jit(np.sin), sad.vmap(np.sin), lambda x: sad.jvp(np.sin, (x,), (x,))):
        with pytest.raises(sad.errors.ArgumentError, match=r"memory of a GPU.*jit\(f, device='cuda'\)"):
            f(x)
    for f in (lambda y: np.add(y, x), lambda y: y * x, lambda y: np.concatenate([y, x])):
        with pytest.raises(sad.errors.ArgumentError, match=r"give it as an argument to jit\(f, device='cuda'\)"):
            on_device(f)(X)


def test_an_array_of_another_device_is_refused(device: Standing):
    x = device.sent(X)
    x.data.device_id = 1
    with pytest.raises(sad.errors.ArgumentError, match=r"argument 0 .* lies on GPU 1, but the current one is 0"):
        on_device(np.sin)(x)


def test_an_argument_that_is_refused_later_is_named_too(device: Standing):
    f, x = on_device(lambda x, y: x * y), device.sent(X)
    moved = OfOtherLibrary(x)
    for _ in range(2):
        f(x, x)
        f(x, moved)
    moved.refuses = True
    with pytest.raises(sad.errors.ArgumentError, match=r"argument 1 \(y\) of <lambda> is an array .*CuPy cannot take"):
        f(x, moved)
    x.data.device_id = 1
    with pytest.raises(sad.errors.ArgumentError, match=r"argument 0 \(x\) of <lambda> lies on GPU 1"):
        f(x, x)


def test_an_array_that_its_library_does_not_give_is_refused(device: Standing):
    with pytest.raises(sad.errors.ArgumentError, match=r"argument 0 .*CuPy cannot take: use tensor.detach\(\)"):
        on_device(np.sin)(OfOtherLibrary(device.sent(X), refuses=True))


def test_a_dtype_that_there_is_not_is_refused_with_what_to_write(device: Standing):
    with pytest.raises(sad.errors.DTypeError, match=r"argument 0 .*dtype float128 is not supported.*astype"):
        on_device(np.sin)(device.sent(X.astype(np.longdouble)))


class DynamicLibNotFoundError(RuntimeError):
    __module__ = "cuda.pathfinder._dynamic_libs.load_dl_common"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (cupy.OutOfMemoryError("Out of memory allocating 10 bytes"), r"memory of the GPU is full.*free_all_blocks"),
        (
            cupy.CUDADriverError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
            r"memory of the GPU is full.*free_all_blocks",
        ),
        (cupy.CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"), r"memory of the GPU is full"),
        (DynamicLibNotFoundError("libcusolver"), r"pip install 'staged-ad\[cuda\]'"),
        (cupy.CUDADriverError("CUDA_ERROR_UNSUPPORTED_PTX_VERSION"), "update NVIDIA's driver"),
        (cupy.CUDARuntimeError("cudaErrorIllegalAddress"), "start a new one"),
        (ImportError("libcublas.so.13: cannot open"), r"pip install 'staged-ad\[cuda\]'"),
    ],
)
def test_errors_of_the_library_say_what_to_do(
    error: Exception, said: str, device: Standing, monkeypatch: pytest.MonkeyPatch
):
    def fail(shape: Any, dtype: Any) -> Any:
        raise error

    f = on_device(np.sin)
    x = device.sent(X)
    monkeypatch.setattr(device, "empty", fail)
    with pytest.raises(sad.errors.DeviceError, match=said):
        f(x)


def not_installed(name: str) -> Any:
    def load() -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    return load


def without_device(count: int | None, driver: int = 0, built: int = 13020) -> Any:
    def counted() -> int:
        if count is None:
            raise cupy.CUDARuntimeError("cudaErrorInsufficientDriver")
        return count

    runtime = SimpleNamespace(
        CUDARuntimeError=cupy.CUDARuntimeError,
        getDeviceCount=counted,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: built,
    )
    return lambda: SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (
            not_installed("cupy"),
            r"needs CuPy, which is not installed; write: python -m pip install 'staged-ad\[cuda\]'",
        ),
        (not_installed("cuda"), r"CuPy cannot be imported .*'staged-ad\[cuda\]'"),
        (SimpleNamespace, r"CuPy cannot be imported .*'staged-ad\[cuda\]'"),
        (lambda: SimpleNamespace(cuda=SimpleNamespace()), "CuPy cannot be imported"),
        (without_device(None), "no NVIDIA driver was found"),
        (without_device(None, 12040), "driver supports CUDA 12.4, and CuPy is made for 13.2.*install cupy-cuda12x"),
        (without_device(None, 13000), "cannot be used"),
        (without_device(0, 13000), "no GPU on this machine, or CUDA_VISIBLE_DEVICES hides it"),
    ],
)
def test_what_lacks_for_a_device_is_said(load: Any, said: str):
    with pytest.raises(sad.errors.DeviceError, match=said):
        found(load)


def test_a_missing_libdevice_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(libdevice, "FILE", "nowhere.bc")
    with pytest.raises(sad.errors.LoweringError, match=r"pip install 'staged-ad\[cuda\]'"):
        on_device(np.sin).lower(X)


def test_a_kernel_of_more_arrays_than_it_can_be_given_is_refused():
    f = on_device(lambda xs: sum(xs[1:], xs[0]))
    assert f.lower([X] * 20).text("ptx")
    with pytest.raises(sad.errors.LoweringError, match=r"would work on 4101 arrays, and may on 4094 at most.*np.stack"):
        f.lower([X] * 4100)


def written(a: Any, i: Any) -> Any:
    a = a.copy()
    a[i] = 1.0
    return a


@pytest.mark.parametrize(
    "f",
    [
        lambda a, i: a[i] * 2,
        lambda a, i: np.sum(a[np.arange(3) + i]),
        written,
        sad.grad(lambda a, i: a[i] ** 2),
        lambda a, i: sad.cond(np.abs(i) > 5, lambda a: a[i], lambda a: a[0], a),
        lambda a, i: sad.fori_loop(0, 2, lambda k, c: c + np.sum(np.outer(a, c)) * a[i + k], a),
        lambda a, i: sad.vmap(lambda k: sad.fori_loop(0, 2, lambda _, c: c + a[i + k], 0.0))(np.arange(3)),
    ],
)
@pytest.mark.parametrize("index", [104, -105, 2**37])
def test_an_index_that_is_outside_is_said_and_nothing_outside_is_read_or_written(f: Any, index: int, device: Standing):
    jitted = on_device(f)
    jitted(X, 96)
    with pytest.raises(sad.errors.IndexingError, match="is out of bounds for axis 0 with size 100"):
        jitted(X, np.array(index))


def test_of_an_array_without_elements_no_index_is_inside():
    with pytest.raises(sad.errors.IndexingError, match="index 3 is out of bounds for axis 0 with size 0"):
        on_device(lambda a, i: a[i] * 2)(np.zeros(0), np.array(3))


def test_what_fails_inside_of_a_branch_alone_is_told_from_what_does_not(device: Standing):
    f = on_device(lambda a, i: sad.cond(i > 5, lambda a: a[i] * a, lambda a: a + np.sum(a), a))
    for i in (6, 2, 99):
        np.testing.assert_allclose(f(X, i).get(), X[i] * X if i > 5 else X + np.sum(X))
    with pytest.raises(sad.errors.IndexingError):
        f(X, 100)


class CUSOLVERError(RuntimeError):
    __module__ = "cupy_backends.cuda.libs.cusolver"


@pytest.mark.parametrize(
    ("said", "meant"), [("CUSOLVER_STATUS_ALLOC_FAILED", "memory of the GPU is full"), ("INTERNAL_ERROR", "has failed")]
)
def test_errors_of_libraries_are_explained(said: str, meant: str, monkeypatch: pytest.MonkeyPatch):
    def fail(a: Any, **options: Any) -> Any:
        raise CUSOLVERError(said)

    monkeypatch.setattr(cupy.LIBRARY.linalg, "svd", fail)
    with pytest.raises(sad.errors.DeviceError, match=meant):
        on_device(np.linalg.svd)(np.eye(3))
