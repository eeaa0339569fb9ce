"""Factorisations and sorting on the GPU: what they give is what NumPy gives, but for what a method is free to choose.

Invariant: the functions are those of tests/cuda/test_device_libraries.py.
Start at ``test_factorisations_are_those_of_lapack_but_for_signs``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.cuda import devices
from staged_ad.tracing.trees import flatten
from tests.cuda.library_cases import DTYPES, SHAPES, arranged, factorised, operands, sequences, slopes


def agree(f: Any, args: tuple[Any, ...], tolerance: float) -> None:
    found = flatten(sad.jit(f, device="cuda")(*args))[0]
    for value, wanted in zip(found, flatten(f(*args))[0], strict=True):
        host = devices.current().fetched(value)
        assert host.dtype == np.asarray(wanted).dtype
        np.testing.assert_allclose(host, wanted, rtol=tolerance, atol=tolerance * max(1, np.abs(wanted).max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*SHAPES, (300, 300), (1000, 12, 12)], ids=str)
def test_factorisations_are_those_of_lapack_but_for_signs(shape: tuple[int, ...], dtype: str):
    agree(factorised, operands(shape, dtype), 1e-9 if np.finfo(dtype).bits == 64 else 3e-3)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_derivatives_follow_from_the_vectors_that_were_found(shape: tuple[int, ...], dtype: str):
    agree(slopes, operands(shape, dtype), 1e-7)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32", "float64"])
def test_sequences_are_sorted_with_equal_ones_in_their_order(dtype: str):
    agree(arranged, sequences(dtype), 1e-11 if dtype != "float32" else 1e-5)


def test_determinants_of_singular_matrices_are_zero():
    for dtype in DTYPES:
        a, _ = operands((3, 12, 12), dtype)
        a[1, :, 4] = 0
        agree(lambda a: (np.linalg.det(a), np.linalg.slogdet(a)[1]), (a,), 1e-3)


@pytest.mark.parametrize(
    ("f", "a"),
    [
        (lambda a: np.linalg.solve(a, a), np.zeros((12, 12))),
        (np.linalg.inv, np.zeros((2, 12, 12))),
        (np.linalg.cholesky, -np.eye(12)),
        (np.linalg.cholesky, np.stack([np.eye(12), -np.eye(12)])),
        (np.linalg.svd, np.full((2, 12, 13), np.nan)),
    ],
)
def test_errors_are_those_of_numpy(f: Any, a: Any):
    with pytest.raises(np.linalg.LinAlgError):
        sad.jit(f, device="cuda")(a)
