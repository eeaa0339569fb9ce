"""jit(f, device="cuda") on a GPU: arrays of CuPy and other libraries, sizes that fill the device, streams, errors.

Invariant: what the emulated device cannot show stands here; the rest is in tests/cuda/test_device_calls.py.
Start at ``test_arrays_of_cupy_go_in_and_come_out``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.cuda import cublas

cupy = pytest.importorskip("cupy")

X = np.linspace(0.1, 2.0, 1000)
HALF = np.linspace(-2.0, 2.0, 1 << 16).astype(np.float16)
LARGE = 3_000_001


def on_device(f: Any) -> Any:
    return sad.jit(f, device="cuda")


def same(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    assert isinstance(found, cupy.ndarray)
    assert found.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(found.get(), expected, rtol=tolerance, atol=tolerance)


def test_arrays_of_cupy_go_in_and_come_out():
    f = on_device(lambda x, a: {"y": np.sin(x) * a, "total": np.sum(x)})
    x = cupy.asarray(X)
    for given in (x, X, x[::-1], x[1:], cupy.asfortranarray(x.reshape(20, 50)), x.reshape(20, 50).T):
        host = cupy.asnumpy(given)
        for a in (2.0, 3, np.float64(4.0)):
            found = f(given, a)
            same(found["y"], np.sin(host) * a)
            same(found["total"], np.sum(host), 1e-10)
    assert isinstance(f(X, 2.0)["total"], cupy.ndarray)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_that_fill_the_device(dtype: Any):
    x = cupy.linspace(0.1, 2.0, LARGE, dtype=dtype)
    host, tolerance = cupy.asnumpy(x), 2e-6 if dtype == np.float32 else 1e-13
    same(on_device(lambda x: np.exp(np.sin(x)) * x + 1)(x), np.exp(np.sin(host)) * host + 1, tolerance)
    wide = host.astype(np.float64)
    for f in (np.sum, np.max, lambda x: np.sum(np.sqrt(x)), lambda x: np.argmax(np.sin(x))):
        found, expected = on_device(f)(x).get(), f(wide)
        np.testing.assert_allclose(found, expected, rtol=10 * tolerance)
    rows = x[:3_000_000].reshape(3000, 1000)

    def softmax(x: Any) -> Any:
        powers = np.exp(x - np.max(x, 1, keepdims=True))
        return powers / np.sum(powers, 1, keepdims=True)

    same(cupy.sum(on_device(softmax)(rows), axis=1), np.ones(3000, dtype), 10 * tolerance)
    sums = on_device(lambda x: np.sum(x, 0))(rows).get()
    np.testing.assert_allclose(sums, rows.get().astype(np.float64).sum(0), rtol=100 * tolerance)


def test_results_have_the_same_bits_in_every_run():
    x = cupy.asarray(np.random.default_rng(0).normal(size=LARGE))
    f = on_device(sad.value_and_grad(lambda x: np.sum(np.tanh(x) * x)))
    first = [a.tobytes() for a in f(x)]
    assert all([a.tobytes() for a in f(x)] == first for _ in range(3))


def test_updates_of_the_same_elements_have_the_bits_of_the_processor():
    rng = np.random.default_rng(0)
    i = rng.integers(0, 5000, size=1_000_000)
    for shape in ((5000,), (5000, 3)):
        x, u = rng.normal(size=shape), rng.normal(size=(len(i), *shape[1:]))
        f = sad.grad(lambda x, u, i: np.sum(x[i] * u))
        np.testing.assert_array_equal(on_device(f)(x, u, i).get(), sad.jit(f)(x, u, i))


@pytest.mark.parametrize("f", [np.cumsum, np.maximum.accumulate, np.minimum.accumulate])
def test_long_cumulative_operations(f: Any):
    for x in (np.random.default_rng(0).normal(size=LARGE), np.arange(LARGE) % 7 - 3):
        same(on_device(f)(cupy.asarray(x)), f(x), 1e-9)


def test_products_and_their_derivatives():
    rng = np.random.default_rng(0)
    for dtype, tolerance in ((np.float32, 2e-4), (np.float64, 1e-11)):
        w, x, s = (rng.normal(size=n).astype(dtype) for n in ((200, 300), (300, 100), (5, 100, 300)))

        def loss(w: Any, x: Any, s: Any) -> Any:
            return np.sum(np.tanh(w @ x)) + np.sum((s @ w.T) ** 2) + np.sum(w.T @ w)

        expected = sad.jit(sad.grad(loss, (0, 1, 2)))(*(a.astype(np.float64) for a in (w, x, s)))
        for found, wanted in zip(on_device(sad.grad(loss, (0, 1, 2)))(w, x, s), expected, strict=True):
            assert np.abs(found.get() - wanted).max() <= tolerance * np.abs(wanted).max()


def test_calls_are_replayed_with_new_values():
    f = on_device(lambda x: np.cumsum(np.sin(x)) + np.max(x))
    x = cupy.asarray(X)
    for k in range(12):
        x[...] = cupy.asarray(X + k)
        same(f(x), np.cumsum(np.sin(X + k)) + np.max(X + k), 1e-10)


def test_products_are_replayed_with_new_values():
    cublas.loaded(cupy.cuda.runtime.runtimeGetVersion() // 1000)  # else they are not recorded
    f = lambda x: np.tanh(np.outer(x, x) @ np.outer(x, 1 / (1 + x * x)) / len(x)) @ x
    jitted, x = on_device(f), cupy.asarray(X)
    for k in range(12):
        x[...] = cupy.asarray(X + k)
        same(jitted(x), f(X + k), 1e-9)


def test_work_goes_to_the_current_stream():
    f = on_device(lambda x: np.cumsum(x) * 2)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        x = cupy.asarray(X)
        found = [f(x) for _ in range(5)]
        stream.synchronize()
    for y in found:
        same(y, np.cumsum(X) * 2)


def test_paths_of_python_are_followed():
    f = on_device(lambda x: x * 2 if np.sum(x) > 0 else x * 3)
    for _ in range(2):
        same(f(cupy.asarray(X)), X * 2)
        same(f(cupy.asarray(-X)), X * -3)


def test_arrays_of_pytorch_and_jax_are_read_where_they_lie():
    found = False
    f = on_device(lambda x: x * 2)
    try:
        import torch  # an optional library
    except ImportError:
        pass
    else:
        if torch.cuda.is_available():
            found = True
            same(f(torch.asarray(X).cuda()), 2 * X)
            with pytest.raises(sad.errors.ArgumentError, match="detach"):
                f(torch.asarray(X).cuda().requires_grad_())
    try:
        import jax  # an optional library
    except ImportError:
        pass
    else:
        if any(device.platform == "gpu" for device in jax.devices()):
            found = True
            same(f(jax.numpy.asarray(X.astype(np.float32))), 2 * X.astype(np.float32), 1e-6)
    if not found:
        pytest.skip("neither PyTorch nor JAX is installed with support for the GPU")


def test_errors_of_programs_are_raised():
    with pytest.raises(np.linalg.LinAlgError):
        on_device(lambda a: np.linalg.solve(a, np.ones(2)))(cupy.zeros((2, 2)))
    with pytest.raises(np.linalg.LinAlgError):
        on_device(np.linalg.cholesky)(-cupy.eye(300))


def test_a_full_memory_is_said():
    with pytest.raises(sad.errors.DeviceError, match="memory of the GPU is full"):
        on_device(lambda x: np.sort(np.broadcast_to(x, (1 << 40,)) * 2))(1.0)


def test_half_precision_has_the_bits_of_the_processor():
    def f(x: Any, y: Any) -> Any:
        return (x * y + x) * y - x / (y + 3), np.sqrt(abs(x)), x.astype(float), np.mean(x * 100), sad.grad(np.sum)(x)

    x, y = cupy.asarray(HALF), cupy.asarray(HALF[::-1])
    for found, wanted in zip(on_device(f)(x, y), sad.jit(f)(HALF, HALF[::-1]), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found.get(), wanted)
    matrix = HALF.reshape(256, 256)
    same(on_device(lambda x: x @ x)(cupy.asarray(matrix)), matrix @ matrix, 2e-3)


def test_bfloat16_is_read_as_float32():
    x = HALF.astype(pytest.importorskip("ml_dtypes").bfloat16)
    f = on_device(lambda x: (np.sin(x), np.sum(x)))
    try:
        given = [x, cupy.asarray(x)]
    except (TypeError, ValueError):  # a CuPy that has no such dtype
        given = [x]
    for arrays in given:
        for found, wanted in zip(f(arrays), (np.sin(x.astype("f")), np.sum(x.astype("f"))), strict=True):
            same(found, wanted, 1e-5)
