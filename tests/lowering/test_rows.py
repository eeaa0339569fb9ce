"""Row-local nests: which neighbours become one region, and that they compute the same.

Invariant: thresholds are lowered, so that small arrays are grouped as large ones are.
Start at ``rows_of``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.lowering import rows
from staged_ad.lowering.bounds import checked
from staged_ad.lowering.fusion import fuse
from staged_ad.lowering.matrices import canonical
from staged_ad.lowering.module import emit
from staged_ad.lowering.overwriting import late
from staged_ad.lowering.regions import Rows
from staged_ad.passes import optimize
from tests.strategies import numpy_programs


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    sad.clear_caches()
    monkeypatch.setattr(rows, "CACHED", 0)
    monkeypatch.setattr(rows, "BLOCK", 512)
    monkeypatch.setattr(rows, "FEWEST", 2)
    yield
    sad.clear_caches()


def rows_of(f: Callable[..., Any], *args: Any) -> list[Rows]:
    steps = emit(optimize(sad.trace(f)(*args))).block.steps
    return [step.region for step in steps if isinstance(step.region, Rows)]


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def centred(x: Any) -> Any:
    x = x - np.mean(x, axis=1, keepdims=True)
    return x / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + 1e-5)


def logsumexp(x: Any) -> Any:
    m = np.max(x, axis=1)
    return m + np.log(np.sum(np.exp(x - m[:, None]), axis=1))


SHAPES = [(7, 3), (20, 1), (33, 17), (64, 8), (5, 2, 9)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("f", [softmax, sad.grad(lambda x: np.sum(softmax(x) ** 2))])
def test_softmax_is_the_same_by_rows(f: Callable[..., Any], dtype: type, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    found = sad.jit(f)(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found, f(x), rtol=1e-12 if dtype == np.float64 else 2e-5, atol=0 if dtype == np.float64 else 1e-6
    )


@pytest.mark.parametrize("f", [softmax, centred, logsumexp])
def test_a_softmax_and_a_norm_are_one_region(f: Callable[..., Any]) -> None:
    x = np.random.default_rng(0).normal(size=(64, 8))
    (region,) = rows_of(f, x)
    assert len(region.nests) >= 3
    assert region.writes == [region.nests[-1].stores[0].array]
    (region,) = rows_of(sad.grad(lambda x: np.sum(np.sin(f(x)))), x)
    assert len(region.writes) == 1


def test_sums_over_everything_join_as_partial_sums() -> None:
    x = np.random.default_rng(0).normal(size=(4000, 8))
    f = lambda x: np.sum(logsumexp(x))
    (region,) = rows_of(f, x)
    assert any(0 in nest.reduced for nest in region.nests)
    np.testing.assert_allclose(sad.jit(f)(x), f(x), rtol=1e-13)


def logistic(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = X @ w + b
    return np.mean(np.logaddexp(0.0, z) - y * z) + 0.5e-3 * np.sum(w**2)


@pytest.mark.parametrize(("examples", "features"), [(2000, 50), (10000, 9)])
def test_a_product_and_its_transpose_read_the_matrix_once(
    examples: int, features: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "CACHED", 1 << 14)
    random = np.random.default_rng(0)
    X, w = random.normal(size=(examples, features)), random.normal(size=features)
    y = random.integers(0, 2, examples) * 1.0
    both = sad.value_and_grad(logistic, argnums=(0, 1))
    (region,) = rows_of(both, w, 0.1, X, y)
    # z; the residuals, which are stored beside the sums of losses; and the sums that they weight
    assert [(bool(nest.stores), 0 in nest.reduced) for nest in region.nests] == [
        (False, False),
        (True, True),
        (False, True),
    ]
    found, expected = sad.jit(both)(w, 0.1, X, y), both(w, 0.1, X, y)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13)
    for one, two in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sin(x) - np.mean(np.exp(x), axis=0),
        lambda x: (e := np.exp(x))[::-1] + e,
        lambda x: np.exp(x) / np.sum(np.exp(x)),
        lambda x: (e := np.exp(x)).T + e,
        lambda x: np.cumsum(np.exp(x), axis=0) + np.exp(x),
        lambda x: np.pad(np.exp(x), 1)[:-2, 1:-1] * np.exp(x),
        lambda x: (np.exp(x) / np.sum(np.exp(x), axis=1))[np.arange(11)[::-1]],
        lambda x: np.outer(s := np.sum(np.exp(x), axis=1), s) + np.argmax(x, axis=1),
        lambda x: np.sort(np.exp(x), axis=1) / np.sum(np.exp(x), axis=1, keepdims=True),
    ],
)
def test_what_reads_other_rows_is_right(f: Callable[[Any], Any]) -> None:
    x = np.random.default_rng(1).normal(size=(11, 11))
    np.testing.assert_allclose(sad.jit(f)(x), f(x), rtol=1e-12)
    g = lambda x: np.sum(np.sin(f(x)))
    np.testing.assert_allclose(sad.jit(sad.grad(g))(x), sad.grad(g)(x), rtol=1e-9, atol=1e-12)


def test_what_several_nests_write_is_in_no_buffer_of_one_of_them() -> None:
    def f(x: Any) -> Any:
        e = np.exp(x)
        return np.roll(e, 1, axis=0) + np.roll(e, 1, axis=1)

    x = np.random.default_rng(0).normal(size=(64, 64))
    np.testing.assert_allclose(sad.jit(f)(x), f(x), rtol=1e-12)


def test_threads_do_not_change_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    x = np.random.default_rng(0).normal(size=(3000, 50))
    f = sad.jit(sad.value_and_grad(lambda x: np.sum(logsumexp(x) + centred(x)[:, 0])))
    assert "blocks of" in f.lower(x).text("loops")
    results = []
    for threads in (1, 2):
        before = sad.get_num_threads()
        sad.set_num_threads(min(threads, before))
        results.append(f(x))
        sad.set_num_threads(before)
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_programs_are_the_same_by_rows(data: st.DataObject) -> None:
    program = data.draw(numpy_programs(smooth=True))
    found, expected = sad.jit(program)(*program.arguments), program(*program.arguments)
    for one, two in zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]:
        np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-8)


def totals(x: Any) -> Any:
    """Sums that other sums need, between nests that work on rows."""
    e = np.exp(x)
    total = np.sum(e * x)
    again = np.sum(np.sin(x / total), axis=1)
    return total + np.sum(again), np.sum(e * x[:, :1], axis=1), again[::-1] + np.sum(e, axis=1)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_nest_comes_once_and_behind_what_it_reads(data: st.DataObject) -> None:
    program = data.draw(st.one_of(st.none(), numpy_programs(smooth=True)))
    traced = sad.trace(totals)(np.ones((64, 8))) if program is None else sad.trace(program)(*program.arguments)
    fused = fuse(late(canonical(checked(optimize(traced), False))))
    for sums in (True, False):
        for close in (None, lambda group, _: list(group)):
            parts = [
                nest
                for region in rows.grouped(fused.regions, fused.program.outputs, close, 0, sums)
                for nest in (region.nests if isinstance(region, Rows) else [region])
            ]
            key = lambda region: sorted(map(id, region.writes))
            assert sorted(map(key, parts)) == sorted(map(key, fused.regions))
            for number, part in enumerate(parts):
                assert set(part.reads).isdisjoint(var for later in parts[number:] for var in later.writes)
            assert sums or not any(
                0 in nest.reduced
                for region in rows.grouped(fused.regions, fused.program.outputs, None, 0, sums)
                if isinstance(region, Rows)
                for nest in region.nests
            )
