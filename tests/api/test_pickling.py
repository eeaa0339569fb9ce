"""Transformed functions go to other processes: by name, or as the transform of a function that has one.

Invariant: what is unpickled computes what the original does.
Start at ``test_transforms_of_named_functions_are_pickled``.
"""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.tracing.trees import flatten


def wave(x: Any, k: Any = 2.0) -> Any:
    return np.sum(np.sin(k * x))


def field(x: Any) -> Any:
    return np.sin(x) * x[0]


@sad.grad
def slope(x: Any) -> Any:
    return x**3


@sad.jit
@sad.value_and_grad
def both(x: Any) -> Any:
    return x**3


@sad.custom_jvp
def ruled(x: Any) -> Any:
    return np.exp(x)


ruled.defjvp(lambda primals, tangents: (ruled(*primals), 3.0 * tangents[0]))
X = np.array([0.3, 0.7])


def copied(f: Any) -> Any:
    return pickle.loads(pickle.dumps(f))


@pytest.mark.parametrize(
    "f",
    [
        sad.grad(wave),
        sad.value_and_grad(wave),
        sad.jit(sad.grad(wave)),
        sad.grad(sad.jit(wave)),
        sad.hessian(wave),
        sad.jacfwd(field),
        sad.jacrev(field),
        sad.jacobian(field),
        sad.checkpoint(wave),
        sad.vmap(np.sin, out_axes=0),
        sad.grad(sad.checkpoint(wave)),
    ],
    ids=repr,
)
def test_transforms_of_named_functions_are_pickled(f: Any) -> None:
    for one, other in zip(flatten(f(X))[0], flatten(copied(f)(X))[0], strict=True):
        assert np.array_equal(one, other)


def test_options_are_kept() -> None:
    f = copied(sad.grad(wave, argnums=(0, 1)))
    assert [part.shape for part in f(X, 2.0)] == [(2,), ()]
    assert copied(sad.vmap(field, in_axes=1, out_axes=1))(np.ones((2, 3))).shape == (2, 3)
    assert copied(sad.grad(np.square, holomorphic=True))(1j) == 2j


def test_decorated_functions_are_pickled_by_name() -> None:
    assert copied(slope) is slope
    assert copied(both) is both
    assert copied(ruled) is ruled
    assert copied(sad.grad(ruled))(0.0) == 3.0


def test_functions_without_a_name_are_refused_by_pickle() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(sad.grad(lambda x: x))


def test_transformed_functions_are_methods_and_look_like_their_function() -> None:
    class Model:
        k = 3.0

        @partial(sad.grad, argnums=1)
        def slope(self, x: Any) -> Any:
            return self.k * x

    assert Model.slope(Model(), 2.0) == Model().slope(2.0) == 3.0
    assert sad.grad(wave).__name__ == "wave"
    assert repr(sad.jit(sad.grad(wave))) == "<jit of wave>"


def test_other_processes_take_derivatives() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = list(pool.map(sad.jit(sad.grad(wave)), [X, 2 * X]))
    for x, gradient in zip([X, 2 * X], found, strict=True):
        np.testing.assert_allclose(gradient, 2 * np.cos(2 * x), rtol=1e-14)
