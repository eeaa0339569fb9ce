"""Operations whose points come one after another are work for many threads, on the emulated device.

Invariant: updates keep their order, so that results have the bits of the processor's.
Start at ``test_updates_have_a_thread_for_each_element``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.cuda.program import emit
from staged_ad.tracing.trees import flatten
from tests.cuda.emulation import GEOMETRY, emulated
from tests.cuda.test_emulated_loops import launches, traced

RANDOM = np.random.default_rng(11)
PLACES = RANDOM.integers(-20, 20, size=600)
PAIRS = RANDOM.integers(0, 5, size=(2, 30, 20))


def updated(mode: str, x: Any, u: Any, *places: Any) -> Any:
    """`x` with updates as NumPy's ``at`` methods make them."""
    y = x.copy()
    if mode == "set":
        y[places if len(places) > 1 else places[0]] = u
    else:
        getattr(np, mode).at(y, places if len(places) > 1 else places[0], u)
    return y


def same_bits(f: Any, *args: Any) -> None:
    found = emulated(traced(f, *args), *flatten(list(args))[0])
    for value, wanted in zip(found, flatten(sad.jit(f)(*args))[0], strict=True):
        assert value.dtype == wanted.dtype
        np.testing.assert_array_equal(value, wanted)


def values(dtype: str, *shape: int) -> Any:
    x = RANDOM.normal(size=shape) * 3
    return (x > 0) if dtype == "bool" else (x + 1j * x[::-1] if dtype.startswith("c") else x).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "modes"),
    [
        ("bool", ["set", "maximum"]),
        ("int8", ["add", "multiply"]),
        ("float32", ["maximum", "minimum"]),
        ("float64", ["set", "add", "multiply"]),
        ("complex128", ["set", "add"]),
    ],
)
def test_updates_are_made_in_their_order(dtype: str, modes: list[str]):
    def f(x: Any, u: Any, row: Any, wide: Any, more: Any, i: Any, j: Any) -> Any:
        return [
            (
                updated(mode, x, u, i),
                updated(mode, wide, more, i),
                updated(mode, row, u.reshape(30, 20), j[0], j[1]),
            )
            for mode in modes
        ]

    same_bits(
        f, values(dtype, 20), values(dtype, 600), values(dtype, 5, 5), values(dtype, 20, 3), values(dtype, 600, 3),
        PLACES, PAIRS,
    )  # fmt: skip


def test_lanes_have_updates_of_their_own():
    x, places = values("float64", 4, 20), RANDOM.integers(0, 20, size=(4, 600))
    same_bits(sad.vmap(sad.grad(lambda x, i: np.sum(x[i] * np.arange(600.0)))), x, places)
    same_bits(sad.grad(lambda x, i: np.sum(x[:, i[0]] * np.arange(600.0))), x, places)
    same_bits(lambda x, i: sad.fori_loop(0, 3, lambda k, c: updated("add", c, c[i[k]] * 0.5, i[k]), x[0]), x, places)


def test_updates_have_a_thread_for_each_element():
    x, i = values("float64", 20), np.arange(700) % 20
    f = sad.grad(lambda x, i: np.sum(x[i] ** 2))
    assert max(launches(lambda x: f(x, i), x)) == 700
    assert 20 in launches(lambda x: f(x, i), x)
    assert 1 not in launches(lambda x: f(x, i), x)


@pytest.mark.parametrize("dtype", ["bool", "int16", "uint8", "float32", "float64", "complex128"])
def test_cumulative_operations_of_few_long_sequences_are_those_of_blocks(dtype: str):
    xs = [(values(dtype, *shape), axis) for shape, axis in (((5000,), 0), ((3, 700), 1), ((2, 640, 3), 1))]

    def f(x: Any, axis: int) -> Any:
        found = [np.cumsum(x, axis)] if dtype != "bool" else []
        if dtype != "complex128":
            found += [np.maximum.accumulate(x, axis), np.minimum.accumulate(x, axis)]
        if dtype == "float64":
            found.append(sad.grad(lambda x: np.sum(np.sin(np.cumsum(x, axis))))(x))
        return found

    def together(*arrays: Any) -> Any:
        return [y for x, (_, axis) in zip(arrays, xs, strict=True) for y in f(x, axis)]

    arrays = [x for x, _ in xs]
    for value, wanted in zip(emulated(traced(together, *arrays), *arrays), together(*arrays), strict=True):
        assert value.dtype == wanted.dtype
        tolerance = 1e-4 if dtype == "float32" else 1e-11
        np.testing.assert_allclose(value, wanted, rtol=tolerance, atol=100 * tolerance)


def test_numbers_that_are_none_stay_in_cumulative_operations():
    x = values("float64", 2000)
    x[700], x[1300], x[1400:1402] = np.inf, -np.inf, np.nan

    def f(x: Any) -> Any:
        return np.cumsum(x), np.maximum.accumulate(x), np.minimum.accumulate(x), np.maximum.accumulate(-x)

    with np.errstate(invalid="ignore"):
        for value, wanted in zip(emulated(traced(f, x), x), f(x), strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-11)


def test_each_block_of_a_long_sequence_has_a_thread():
    assert {100_032 // 64, 1600 // 64} <= set(launches(np.cumsum, np.ones(100_000)))


def test_a_condition_on_many_numbers_is_one_on_whether_all_hold():
    a = RANDOM.normal(size=(50, 4, 4)) + 4 * np.eye(4)
    assert {200, 400} <= set(launches(np.linalg.inv, a))  # what holds, and what goes on where it does, by twos
    for dtype in ("float32", "float64", "complex128"):
        x = (a + 0.5j * a[::-1] if dtype == "complex128" else a).astype(dtype)
        for value, wanted in zip(emulated(traced(np.linalg.inv, x), x), [np.linalg.inv(x)], strict=True):
            assert value.dtype == wanted.dtype
            np.testing.assert_allclose(value, wanted, rtol=1e-3 if dtype == "float32" else 1e-9, atol=1e-4)
        x[7, 2] = 0
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
            emulated(traced(np.linalg.inv, x), x)


def test_many_short_sequences_are_sorted_in_little_memory():
    x = RANDOM.normal(size=(5000, 10))
    for f in (lambda x: np.sort(x, 1), lambda x: np.argsort(x, 1, stable=True)):
        assert emit(traced(f, x), GEOMETRY).storage.workspace < 4 * x.nbytes
        same_bits(f, x)
