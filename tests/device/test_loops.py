"""Loops, branches and random nests of them on the GPU: their values and derivatives are those of NumPy.

Invariant: the functions are those of tests/cuda/test_emulated_loops.py, and some at sizes that fill a GPU.
Start at ``check``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import staged_ad as sad
from staged_ad.cuda import devices
from staged_ad.tracing.trees import flatten
from tests.cuda.test_emulated_loops import (
    NUMBERS,
    PARAMETERS,
    STATES,
    chosen,
    collected,
    halved,
    iterated,
    lorenz,
    newton,
    roots,
    systems,
)
from tests.numerics import assert_close
from tests.test_random_nests import Nest, Point, lanes, nests, points, tolerance, total

MANY = 100_000


def check(f: Callable[..., Any], *args: Any, tolerance: float = 1e-11) -> None:
    found = flatten(sad.jit(f, device="cuda")(*args))[0]
    for value, wanted in zip(found, flatten(sad.jit(f)(*args))[0], strict=True):
        assert_close(devices.current().fetched(value)[()], wanted, tolerance)


@pytest.mark.parametrize("f", [systems, sad.grad(systems, (0, 1)), sad.vmap(sad.jacfwd(lorenz))])
def test_loops_of_known_length_by_lanes(f: Callable[..., Any]):
    check(f, STATES, PARAMETERS, tolerance=1e-10)


@pytest.mark.parametrize("f", [roots, sad.grad(roots), sad.vmap(sad.grad(sad.grad(newton)))])
def test_loops_of_unknown_length_by_lanes(f: Callable[..., Any]):
    check(f, NUMBERS, tolerance=1e-9)


def test_as_many_lanes_as_fill_the_device():
    rng = np.random.default_rng(7)
    states, parameters = rng.normal(size=(MANY, 3)), np.array([10.0, 28.0, 8 / 3]) + rng.normal(size=(MANY, 3))
    check(systems, states, parameters, tolerance=1e-10)
    check(sad.grad(systems, (0, 1)), states, parameters, tolerance=1e-9)
    check(sad.vmap(newton), np.linspace(1.0, 9.0, MANY), tolerance=1e-9)
    check(sad.grad(roots), np.linspace(1.0, 9.0, MANY), tolerance=1e-9)


@pytest.mark.parametrize("f", [iterated, halved, chosen, collected], ids=lambda f: f.__name__)
def test_loops_and_branches_over_large_arrays(f: Callable[..., Any]):
    x = np.random.default_rng(3).normal(size=(30, 30))
    check(f, x)
    check(sad.grad(lambda x: np.sum(f(x) ** 2)), x, tolerance=1e-9)


@settings(max_examples=40)
@given(nests(), points())
def test_random_nests_and_their_gradients(nest: Nest, point: Point):
    check(lambda s, v, k: nest(sad, s, v, k), *point, tolerance=tolerance(nest, 1e-10))
    check(sad.grad(total(nest), (0, 1)), *point, tolerance=tolerance(nest, 1e-9))


@settings(max_examples=20)
@given(nests(), points())
def test_batches_of_random_nests(nest: Nest, point: Point):
    check(sad.vmap(sad.grad(total(nest), (0, 1))), *lanes(point), tolerance=tolerance(nest, 1e-9))
