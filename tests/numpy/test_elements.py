"""Element by element: x.flat, np.vectorize, np.ndenumerate, np.apply_along_axis.

Invariant: the oracle is NumPy: the same function on arrays.
Start at ``READS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import MutationError, ShapeError, UnsupportedError
from tests.checks import assert_derivatives, assert_value

X, M = np.array([1.0, 2.5, -0.5]), np.arange(6.0).reshape(2, 3)


@np.vectorize
def bump(t: Any) -> Any:
    return t**2 if t > 0 else 2.0 * t


def scaled(p: Any, t: Any, power: int = 1) -> Any:
    return p[0] * t**power


READS: dict[str, Callable[[Any], Any]] = {
    "iteration": lambda x: np.array([v * 2 for v in np.outer(x, x).flat]),
    "of a view": lambda x: np.array(list(np.outer(x, M[0]).T.flat)),
    "an element": lambda x: np.outer(x, x).flat[3] + x.flat[-1],
    "a slice": lambda x: np.outer(x, x).flat[1:7:2],
    "a list": lambda x: np.outer(x, x).flat[[1, 3]],
    "a mask": lambda x: x.flat[x > 0],
    "length": lambda x: x * len(np.outer(x, x).flat),
    "array": lambda x: np.array(np.outer(x, x).flat),
    "asarray": lambda x: np.asarray(x.flat, dtype=np.float32),
    "sum": lambda x: np.sum(np.outer(x, x).flat) + sum(x.flat),
    "ufunc": lambda x: np.exp(x.flat),
    "joined": lambda x: np.concatenate([x.flat, np.outer(x, x).flat]),
    "next": lambda x: next(np.outer(x, x).flat) * 2,
    "vectorize": lambda x: np.vectorize(lambda v: v**2 if v > 1 else v)(x),
    "a decorated function": lambda x: bump(x) + bump(x[1]),
    "vectorize broadcasts": lambda x: np.vectorize(lambda a, b: a * b)(x, M),
    "vectorize of constants": lambda x: np.vectorize(lambda t: x[0] * t)(M),
    "vectorize without axes": lambda x: np.vectorize(lambda t: x[0] * t)(2.0),
    "vectorize with excluded": lambda x: np.vectorize(scaled, excluded=[0, "power"])(x, M, power=2),
    "vectorize with names": lambda x: np.vectorize(scaled, excluded=["p"])(p=x, t=M),
    "vectorize with otypes": lambda x: np.vectorize(lambda t: 3 if t < 0 else t * 2, otypes=[float])(x),
    "vectorize cuts": lambda x: np.vectorize(lambda t: 3 if t > 2 else t * 2)(x[::-1][1:]),
    "vectorize keeps precision": lambda x: np.vectorize(lambda t: t * 2)(x.astype(np.float32)),
    "several results": lambda x: np.vectorize(lambda t: (t * 2, t > 0))(x),
    "ndenumerate": lambda x: np.array([v * i[0] + i[1] for i, v in np.ndenumerate(np.outer(x, x))]),
    "ndindex": lambda x: sum(np.outer(x, x)[i] * i[0] for i in np.ndindex(3, 3)),
    "broadcast": lambda x: np.zeros(np.broadcast(x, M).shape) + x,
    "along an axis": lambda x: np.apply_along_axis(lambda r: r * x[0], 1, M),
    "along an axis to numbers": lambda x: np.apply_along_axis(lambda r: np.dot(r, x), 1, M),
    "along an axis of a product": lambda x: np.apply_along_axis(np.sort, 0, np.outer(x, x)),
    "over axes": lambda x: np.apply_over_axes(np.sum, np.outer(x, x), [0, 1]),
}


@pytest.mark.parametrize("f", READS.values(), ids=READS)
def test_elements_are_read_as_by_numpy(f: Callable[[Any], Any]) -> None:
    assert_value(f, X)


def _one(y: Any, x: Any) -> None:
    y.flat[1] = x[0]
    y.flat[-1] += x[1]


def _several(y: Any, x: Any) -> None:
    y.flat[1:5] = x[:2]  # which repeat
    y.flat[[0, 5]] = [x[2], 1.0]


def _all(y: Any, x: Any) -> None:
    y.flat = x


def _masked(y: Any, x: Any) -> None:
    y.flat[np.arange(6) > 3] = x[0]


def _transposed(y: Any, x: Any) -> None:
    y.T.flat[:3] = x
    y[:, 1:].flat[2] = 7.0


@pytest.mark.parametrize("write", [_one, _several, _all, _masked, _transposed])
def test_elements_are_written_as_by_numpy(write: Callable[[Any, Any], None]) -> None:
    def f(x: Any) -> Any:
        y = np.outer(x[:2], x)
        write(y, x)
        return y

    assert_value(f, X)
    assert_derivatives(f, X)


def test_the_elements_of_arguments_are_the_callers() -> None:
    def f(x: Any) -> Any:
        x.flat[0] = 1.0
        return x

    with pytest.raises(MutationError, match=r"x\.copy\(\)"):
        sad.jit(f)(X)


def test_each_element_takes_its_own_branch() -> None:
    assert_derivatives(bump, X)
    compiled = sad.jit(bump)
    for x in (X, -X, X[:2]):
        np.testing.assert_array_equal(compiled(x), bump(x))


def test_vectorize_is_numpys_outside_of_traced_functions() -> None:
    before = np.vectorize.__call__
    sad.jit(bump)(X)
    assert np.vectorize.__call__ is before
    with pytest.raises(ValueError, match="size 0"):
        sad.jit(lambda x: bump(x[:0]))(X)


def test_what_numpy_maps_otherwise_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"staged_ad\.vmap"):
        sad.jit(lambda x: np.vectorize(np.sum, signature="(n)->()")(x))(X)
    with pytest.raises(ShapeError, match=r"staged_ad\.vmap"):
        sad.jit(lambda x: np.vectorize(lambda t: t * x)(x))(X)
    with pytest.raises(UnsupportedError, match=r"np\.ndenumerate"):
        sad.jit(lambda x: sum(np.nditer(x)))(X)
