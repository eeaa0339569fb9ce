"""Arrays that a traced function makes of numbers alone can hold traced values, however NumPy makes them.

Invariant: the oracle is NumPy: the same function on arrays.
Start at ``MAKERS``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy import linspace as spaced

import staged_ad as sad
from tests.checks import assert_value

G, M = np.arange(4.0), np.arange(6.0).reshape(2, 3)
X = np.array([1.0, 2.5])

MAKERS: list[Callable[[], Any]] = [
    lambda: np.arange(4.0),
    lambda: np.arange(4, dtype=np.float32),
    lambda: np.linspace(0, 1, 5),
    lambda: np.linspace(0, 1, 5, retstep=True)[0],
    lambda: spaced(0, 1, 5),
    lambda: np.logspace(0, 1, 5),
    lambda: np.geomspace(1, 8, 4),
    lambda: np.diag([1.0, 2.0]),
    lambda: np.diag(np.ones(2), 1),
    lambda: np.eye(3),
    lambda: np.tri(3),
    lambda: np.tril(M),
    lambda: np.vander(G, 3),
    lambda: np.concatenate([[1.0, 2.0], [3.0]]),
    lambda: np.concatenate((G, G), axis=0),
    lambda: np.stack([G, G]),
    lambda: np.vstack([G, [1, 2, 3, 4]]),
    lambda: np.hstack([G, 1.0]),
    lambda: np.column_stack([G, G]),
    lambda: np.block([[np.eye(2), np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]]),
    lambda: np.tile(G, 2),
    lambda: np.tile([1.0, 2.0], (2, 1)),
    lambda: np.repeat(1.0, 3),
    lambda: np.append(G, 1.0),
    lambda: np.insert(G, 0, 1.0),
    lambda: np.pad(G, 1),
    lambda: np.copy(G),
    lambda: np.array(G * 1.0),
    lambda: np.meshgrid(G, G)[1],
    lambda: np.mgrid[0:2.0, 0:2.0],
    lambda: np.r_[0:4.0],
    lambda: np.where(G > 1, G, 0.0),
    lambda: np.outer(G, G) * 1j,
    lambda: np.fromiter((k / 2 for k in range(3)), float),
    lambda: np.fromfunction(lambda i, j: i - j, (2, 2)),
    lambda: np.indices((2, 2), dtype=float),
    lambda: np.hanning(4),
]


def _written(make: Callable[[], Any], x: Any) -> Any:
    y = make()
    y[(0,) * y.ndim] = x[1]
    y[-1] += x[0]
    return y


@pytest.mark.parametrize("make", MAKERS, ids=range(len(MAKERS)))
def test_arrays_made_of_numbers_hold_traced_values(make: Callable[[], Any]) -> None:
    assert_value(functools.partial(_written, make), X)


def test_draws_hold_traced_values() -> None:
    def f(x: Any) -> Any:
        np.random.seed(3)  # noqa: NPY002  # the functions that traced code calls
        a, b, c = np.random.randn(3), np.random.uniform(0.0, 1.0, (2, 2)), np.random.normal(size=2)  # noqa: NPY002
        a[0], b[1, 1], c[:] = x[0], x[1], x
        return [a, b, c]

    assert_value(f, X)


def test_derivatives_go_through_what_was_written() -> None:
    def f(x: Any) -> Any:
        y = np.linspace(0.0, 1.0, 3)
        y[1] = x[0] * x[1]
        return np.sum(y**2)

    np.testing.assert_array_equal(sad.grad(f)(X), 2 * X.prod() * X[::-1])


def test_integers_stay_numpys_for_indices_and_counters() -> None:
    def f(x: Any) -> Any:
        assert type(np.arange(3)) is np.ndarray
        names = dict.fromkeys(np.arange(2), x)
        return names[np.int64(1)] * G[np.arange(3)].sum() * len(np.tile([1, 2], 2))

    assert_value(f, X)


def test_elements_of_known_arrays_are_numbers() -> None:
    def f(x: Any) -> Any:
        seen = {t: t * x for t in np.linspace(0.0, 1.0, 3)}
        assert all(isinstance(t, float) for t in seen)
        assert isinstance(np.zeros((2, 2))[0][1], np.float64)
        y = np.ones(2)
        y[0] += y[1]
        first = y[0]
        y[0] = x[0]
        return seen[0.5] * first + y[0]

    assert_value(f, X)
    np.testing.assert_array_equal(sad.vmap(f)(X[None])[0], f(X))


def test_views_of_arrays_from_outside_stay_numpys() -> None:
    def f(x: Any) -> Any:
        assert np.shares_memory(np.diag(M), M)
        assert np.meshgrid(G, G, copy=False)[0].base is not None
        return x

    sad.jit(f)(X)


def test_lists_are_joined() -> None:
    assert_value(lambda x: np.concatenate([[x[0], 1.0], [2, x[1]], x]), X)
    assert_value(lambda x: np.vstack([[x[0], 1.0], [2, x[1]]]), X)
    assert_value(lambda x: np.hstack([x[0], [x[1]], 3.0]), X)
    assert_value(lambda x: np.column_stack(([x[0], 1.0], x)), X)
    assert_value(lambda x: np.fromiter((v * v for v in x), float, 2), X)
    assert_value(lambda x: np.meshgrid([x[0], x[1]], [1.0, 2.0]), X)
    assert_value(lambda x: np.einsum("i,i", [x[0], x[1]], [1.0, 2.0]), X)


def test_a_short_iterator_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected 3"):
        sad.jit(lambda x: np.fromiter(iter(x), float, 3))(X)
