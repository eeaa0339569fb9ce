"""Arrays that are written into: whatever is read of which version, machine code gives what evaluate gives.

Invariant: random programs keep several versions of an array, and read old ones after new ones were made.
Start at ``program``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import IndexingError
from staged_ad.lowering import fusion, overwriting
from tests.numerics import assert_same
from tests.strategies import numpy_programs

N = 6


def steps(draw: Any) -> Callable[..., list[Any]]:
    """A function of a list of versions of an array of N numbers and an index, which makes more of them."""
    kinds = ["set", "add", "slice", "many", "all", "own", "shift", "swap", "point", "step"]
    chosen = draw(st.lists(st.tuples(st.sampled_from(kinds), *[st.integers(0, 5)] * 4), min_size=1, max_size=6))

    def run(versions: list[Any], i: Any) -> list[Any]:
        found = list(versions)
        for kind, a, b, c, d in chosen:
            x, y = found[-1 - a % min(2, len(found))], found[-1 - b % len(found)]
            match kind:
                case "set":
                    found.append(sad.numpy.setitem(x, (i + c) % N, y[(i * d) % N] + 1))
                case "add":
                    found.append(sad.numpy.at(x)[(i + np.array([c, d, c])) % N].add(np.sin(y[:3])))
                case "slice":
                    found.append(sad.numpy.setitem(x, slice(c % 3, c % 3 + 3), y[d % 3 : d % 3 + 3] * 0.5))
                case "many":
                    found.append(sad.numpy.setitem(x, (i + np.array([0, c, d])) % N, y[(np.array([1, 2, 0]) + i) % N]))
                case "point":
                    found.append(sad.numpy.setitem(x, c, y[d] * 2))
                case "step":
                    found.append(sad.numpy.setitem(x, slice(c % 2, None, 2 + d % 2), y[:: 2 + d % 2][-1]))
                case "all":
                    found.append(x * 0.5 + y)
                case "own":
                    found.append(sad.numpy.setitem(x, slice(1, None), x[1:] * 2))
                case "shift":
                    found.append(sad.numpy.setitem(x, slice(1, None), x[:-1]))
                case _:
                    at = (i + c) % N
                    first, second = x[at], x[d]
                    found.append(sad.numpy.setitem(sad.numpy.setitem(x, at, second), d, first))
        return found

    return run


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_random_chains_of_assignments_are_those_of_evaluate(data: Any):
    run = steps(data.draw)
    kept = data.draw(st.integers(1, 3))

    def f(x: Any, y: Any, i: Any) -> Any:
        return tuple(run([x, y], i)[-kept:])

    x, y = np.linspace(0.0, 1.0, N), np.linspace(2.0, 3.0, N)
    for found, expected in zip(sad.jit(f)(x, y, 2), f_evaluated(f, x, y, 2), strict=True):
        assert_same(found, expected)


def f_evaluated(f: Callable[..., Any], *args: Any) -> Any:
    """`f` by way of NumPy alone."""
    return [np.asarray(v) for v in f(*args)]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_random_assignments_in_loops_and_their_derivatives_are_those_of_evaluate(data: Any):
    run = steps(data.draw)
    outputs = data.draw(st.integers(1, 2))
    reads = data.draw(st.booleans())
    outer = data.draw(st.booleans())

    def f(x: Any, y: Any) -> Any:
        def body(carry: Any, i: Any) -> Any:
            versions = run(list(carry), i)
            new = tuple(versions[-outputs:])
            return (*carry[: 2 - outputs], *new)[-2:], (versions[2][i % N] if reads else None)

        def twice(carry: Any, i: Any) -> Any:
            carry, ys = sad.scan(body, carry, np.arange(2))
            return carry, ys

        (a, b), ys = sad.scan(twice if outer else body, (x * 1.0, y), np.arange(3))
        return np.sum(a * b) + (np.sum(ys) if reads else 0.0)

    x, y = np.linspace(0.0, 1.0, N), np.linspace(0.2, 0.3, N)
    np.testing.assert_allclose(sad.jit(f)(x, y), f(x, y), rtol=1e-12)
    g = sad.grad(f, argnums=(0, 1))
    for found, expected in zip(sad.jit(g)(x, y), g(x, y), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 4), min_size=1, max_size=12), st.booleans())
def test_matrices_made_element_by_element_and_their_derivatives_are_those_of_evaluate(places: Any, rows: bool):
    def f(x: Any) -> Any:
        a = sad.numpy.asarray(x * 1.0) if rows else sad.numpy.asarray(np.zeros((3, 3)))
        for i, j, k, m in places:
            a = sad.numpy.setitem(a, (i, j), a[k, m] * 0.5 + x[m, k])
            if rows and j == 2:
                a = sad.numpy.setitem(a, k, a[i] - a[m])
        return np.sum(a * np.arange(9.0).reshape(3, 3))

    x = np.linspace(0.5, 1.5, 9).reshape(3, 3)
    np.testing.assert_allclose(sad.jit(f)(x), f(x), rtol=1e-12)
    np.testing.assert_allclose(sad.jit(sad.grad(f))(x), sad.grad(f)(x), rtol=1e-12, atol=1e-14)


def loops(f: Callable[..., Any], *args: Any) -> str:
    return sad.jit(f).lower(*args).text("loops")


def test_an_array_in_the_carry_is_written_in_place_forwards_and_backwards():
    def f(x: Any) -> Any:
        def step(y: Any, i: Any) -> Any:
            return y.at[i].set(np.sin(sad.numpy.asarray(x)[i]) * y[i]), None

        return np.sum(sad.scan(step, np.ones(1000), np.arange(1000))[0])

    for g in (f, sad.grad(f)):
        text = loops(g, np.ones(1000))
        assert "turns" not in text
        loop = text[text.index("scan") :]
        assert "range(1000)" not in loop[: loop.rindex("    in (")]


def test_an_array_is_written_in_place_through_loops_in_loops():
    def f(x: Any) -> Any:
        def row(a: Any, i: Any) -> Any:
            return sad.scan(lambda a, j: (a.at[i, j].set(a[i - 1, j] + 1.0), None), a, np.arange(30))[0], None

        return sad.scan(row, x, np.arange(20))[0]

    x = np.zeros((20, 30))
    assert loops(f, x).count("in place") == 2
    expected = x.copy()
    for i in range(20):
        expected[i] = expected[i - 1] + 1
    assert_same(sad.jit(f)(x), expected)
    assert not x.any()


@pytest.mark.parametrize("index", [7, -8, np.array([0, 7]), np.array([[-8]])])
@pytest.mark.parametrize("f", [lambda x, i: x[i], lambda x, i: x.at[i].set(0.0), lambda x, i: x.at[0, i].add(1.0)])
def test_an_index_out_of_bounds_raises_where_it_is_written(f: Callable[..., Any], index: Any):
    x = np.zeros((7, 7))
    where = r"out of bounds for axis . with size 7 \(at .*test_overwriting.py:"
    with pytest.raises(IndexingError, match=where):
        sad.jit(f)(x, index)
    with pytest.raises(IndexingError, match=where):
        sad.jit(sad.vmap(f, in_axes=(None, 0)))(x, np.append([0], index))


def test_an_index_out_of_bounds_raises_in_the_iteration_that_uses_it():
    def f(x: Any, n: Any) -> Any:
        return sad.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] + x[c[0]]), (0, 0.0))[1]

    x = np.arange(5.0)
    assert sad.jit(f)(x, 5) == 10.0
    with pytest.raises(IndexError, match="out of bounds for axis 0 with size 5"):
        sad.jit(f)(x, 6)
    assert sad.jit(lambda x, i: sad.cond(i < 5, lambda: x[i], lambda: -1.0))(x, 9) == -1.0


def test_an_index_that_does_not_change_is_checked_only_where_the_loop_runs():
    def f(x: Any, i: Any, n: Any) -> Any:
        return sad.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] + x[i]), (0, 0.0))[1]

    x = np.arange(5.0)
    for g in (f, sad.grad(f)):
        assert not np.any(sad.jit(g)(x, 9, 0))
    with pytest.raises(IndexError, match="out of bounds"):
        sad.jit(f)(x, 9, 1)


@pytest.fixture
def all_are_large(monkeypatch: pytest.MonkeyPatch):
    sad.clear_caches()
    monkeypatch.setattr(overwriting, "LARGE", 0)
    yield
    sad.clear_caches()


def workspace(f: Callable[..., Any], *args: Any) -> int:
    """Bytes beside the results, once these are known to be right."""
    compiled = sad.jit(f).lower(*args)
    for found, expected in zip(sad.jit(f)(*args), f(*args), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-14)
    return compiled.memory().workspace


def test_a_result_lies_where_the_values_it_is_made_of_did(all_are_large: None):
    x, y = np.linspace(0.0, 1.0, 1000), np.linspace(1.0, 2.0, 1000)
    quotient = lambda x: (np.exp(x) / np.sum(np.exp(x)),)
    assert workspace(quotient, x) < 500
    assert workspace(lambda x, y: (quotient(x)[0] + quotient(y)[0],), x, y) < 9000  # one of the two
    twice = lambda x: quotient(quotient(x)[0] * 700.0)
    assert workspace(twice, x) < 500


def test_what_is_read_at_other_places_is_not_written_over(all_are_large: None):
    x = np.linspace(0.0, 1.0, 1000)
    e = np.exp
    assert workspace(lambda x: (e(x)[::-1] / np.sum(e(x)),), x) >= x.nbytes
    assert workspace(lambda x: (e(x) / np.sum(e(x)) + e(x)[0],), x) >= x.nbytes
    assert workspace(lambda x: (e(x).reshape(10, 100).T.reshape(-1) / np.sum(e(x)),), x) >= x.nbytes
    assert workspace(lambda x: (e(x) / np.sum(e(x)), e(x)), x) < x.nbytes
    assert workspace(lambda x: (s := e(x) / np.sum(e(x)), np.cumsum(e(x)) + s), x) < 3 * x.nbytes


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_random_programs_are_the_same_in_shared_memory(all_are_large: None, data: Any):
    program = data.draw(numpy_programs(smooth=True))
    found, expected = sad.jit(program)(*program.arguments), program(*program.arguments)
    for one, two in zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]:
        np.testing.assert_allclose(one, two, rtol=1e-8, atol=1e-8)


def overlapping(n: int, x: Any) -> Any:
    y = np.zeros((len(x), 4))
    for i in range(1, n):
        y[i : i + 2] += y[i - 1 : i + 1] * 0.5 + x[i]
    return y


def test_long_chains_of_overlapping_rows_are_stored_between(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes: list[int] = []
    probe = fusion.harmless
    monkeypatch.setattr(fusion, "harmless", lambda nest, array: nodes.append(len(nest.nodes)) or probe(nest, array))
    x = np.random.default_rng(0).normal(size=210)
    f = partial(overlapping, 200)
    np.testing.assert_allclose(sad.jit(f)(x), f(x), rtol=1e-12)
    total = lambda x: np.sum(f(x) ** 2)
    np.testing.assert_allclose(sad.jit(sad.grad(total))(x), sad.grad(total)(x), rtol=1e-10)
    assert 0 < max(nodes) < 600
