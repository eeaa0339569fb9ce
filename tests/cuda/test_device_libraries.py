"""Operations that CuPy's libraries compute for a device: as NumPy does, and without the host.

Invariant: the libraries are those of solver_stand_in.py, which choose other signs than LAPACK.
Start at ``test_factorisations_are_those_of_lapack_but_for_signs``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import staged_ad as sad
from staged_ad.cuda.engine import DeviceEngine
from staged_ad.tracing.trees import flatten
from tests.cuda import solver_stand_in
from tests.cuda.cupy_stand_in import Standing
from tests.cuda.library_cases import DTYPES, SHAPES, arranged, factorised, operands, sequences, slopes
from tests.cuda.test_device_calls import X, on_device, same

pytestmark = pytest.mark.usefixtures("device")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host computes nothing."""

    def refuse(self: Any, view: Any) -> Any:
        raise AssertionError("the host was asked")

    monkeypatch.setattr(DeviceEngine, "_fetched", refuse)


def agree(found: Any, expected: Any, tolerance: float) -> None:
    values, spec = flatten(found)
    wanted, wanted_spec = flatten(expected)
    assert spec == wanted_spec
    for value, other in zip(values, wanted, strict=True):
        assert value.dtype == np.asarray(other).dtype
        np.testing.assert_allclose(value.get(), other, rtol=tolerance, atol=tolerance * max(1, np.abs(other).max()))


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_factorisations_are_those_of_lapack_but_for_signs(shape: tuple[int, ...], dtype: str):
    a, b = operands(shape, dtype)
    solver_stand_in.calls.clear()
    agree(on_device(factorised)(a, b), factorised(a, b), 1e-10 if np.finfo(dtype).bits == 64 else 1e-3)
    assert {"eigh", "eigvalsh", "svd", "qr", "cholesky", "solve_triangular"} <= set(solver_stand_in.calls)
    assert {"getrf", "getrfBatched"} <= set(solver_stand_in.calls)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_derivatives_follow_from_the_vectors_that_were_found(dtype: str):
    a, b = operands((12, 12), dtype)
    agree(on_device(slopes)(a, b), slopes(a, b), 1e-8)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32", "float64"])
def test_long_sequences_are_sorted_by_the_library_with_equal_ones_in_their_order(dtype: str):
    x, w = sequences(dtype)
    solver_stand_in.calls.clear()
    agree(on_device(arranged)(x, w), arranged(x, w), 1e-12 if dtype != "float32" else 1e-5)
    assert {"sort", "argsort"} <= set(solver_stand_in.calls)


def test_large_matrices_are_factored_one_after_the_other(device: Standing):
    a, _ = operands((2, 2, 40, 40), "float64")
    solver_stand_in.calls.clear()
    same(on_device(np.linalg.eigvalsh)(a), np.linalg.eigvalsh(a))
    assert solver_stand_in.calls == ["eigvalsh"] * 4


def test_determinants_of_singular_matrices_are_zero(device: Standing):
    """Behind a pivot that is zero the library leaves NaN."""
    a, _ = operands((3, 12, 12), "float64")
    a[1, :, 4] = 0
    f = on_device(lambda a: (np.linalg.det(a), np.linalg.slogdet(a)[1]))
    for x in (a, a[1], a[1].astype(np.complex128)):
        for found, expected in zip(f(x), (np.linalg.det(x), np.linalg.slogdet(x)[1]), strict=True):
            same(found, expected)


def raised(f: Any, *args: Any) -> tuple[type[Exception], str]:
    with pytest.raises(sad.errors.StagedADError) as caught:
        f(*args)
    return type(caught.value), str(caught.value).partition(" (at ")[0]


@pytest.mark.parametrize(
    ("f", "a"),
    [
        (lambda a: np.linalg.solve(a, a), np.ones((12, 12))),
        (np.linalg.inv, np.zeros((2, 12, 12))),
        (np.linalg.cholesky, -np.eye(12)),
        (np.linalg.cholesky, np.stack([np.eye(12), -np.eye(12)])),
        (np.linalg.eigh, np.full((12, 12), np.nan)),
        (np.linalg.eigvalsh, np.full((2, 12, 12), np.nan)),
        (np.linalg.svd, np.full((2, 12, 13), np.nan)),
        (lambda a: np.linalg.svd(a, compute_uv=False), np.full((12, 13), np.inf)),
    ],
)
def test_errors_are_those_of_the_processor(f: Any, a: Any):
    assert raised(on_device(f), a) == raised(sad.jit(f), a)
    assert raised(on_device(f), a.astype(complex)) == raised(sad.jit(f), a.astype(complex))


def test_operations_are_computed_by_cupy_where_it_has_them(device: Standing):
    same(on_device(scipy.special.digamma)(device.sent(X)), scipy.special.digamma(X))
    same(on_device(scipy.special.gammainc)(device.sent(X), 2.0), scipy.special.gammainc(X, 2.0))
    for f in (np.fft.fft, np.fft.ifft, np.fft.rfft, lambda x: np.fft.irfft(np.fft.rfft(x)), np.fft.fft2):
        for x in (X.reshape(4, 25), X.reshape(10, 10).astype(np.float32)):
            np.testing.assert_allclose(on_device(f)(x).get(), f(x), rtol=1e-6, atol=1e-6)


def test_other_operations_are_computed_by_the_host(device: Standing):
    a, _ = operands((4, 4), "float64")
    same(on_device(lambda a: np.sort(np.abs(np.linalg.eigvals(a))))(device.sent(a)), np.sort(abs(np.linalg.eigvals(a))))
