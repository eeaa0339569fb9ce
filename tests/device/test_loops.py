"""Loops, branches and random nests of them on the GPU: their values and derivatives are those of NumPy.

Invariant: the cases are those of tests/cuda/loop_cases.py, and some at sizes that fill a GPU.
Start at ``check``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings

import staged_ad as sad
from staged_ad.cuda import devices
from staged_ad.tracing.trees import flatten
from tests.cuda.loop_cases import Case, each_case, newton, roots, systems
from tests.numerics import assert_close
from tests.test_random_nests import Nest, Point, lanes, nests, points, tolerance, total

MANY = 100_000


def check(f: Callable[..., Any], *args: Any, tolerance: float = 1e-11) -> None:
    found = flatten(sad.jit(f, device="cuda")(*args))[0]
    for value, wanted in zip(found, flatten(sad.jit(f)(*args))[0], strict=True):
        assert_close(devices.current().fetched(value)[()], wanted, tolerance)


@each_case
def test_values_and_derivatives_are_those_of_the_processor(case: Case):
    check(case.f, *case.args, tolerance=10 * case.tolerance)


def test_as_many_lanes_as_fill_the_device():
    rng = np.random.default_rng(7)
    states, parameters = rng.normal(size=(MANY, 3)), np.array([10.0, 28.0, 8 / 3]) + rng.normal(size=(MANY, 3))
    check(systems, states, parameters, tolerance=1e-10)
    check(sad.grad(systems, (0, 1)), states, parameters, tolerance=1e-9)
    check(sad.vmap(newton), np.linspace(1.0, 9.0, MANY), tolerance=1e-9)
    check(sad.grad(roots), np.linspace(1.0, 9.0, MANY), tolerance=1e-9)


@settings(max_examples=40)
@given(nests(), points())
def test_random_nests_and_their_gradients(nest: Nest, point: Point):
    check(lambda s, v, k: nest(sad, s, v, k), *point, tolerance=tolerance(nest, 1e-10))
    check(sad.grad(total(nest), (0, 1)), *point, tolerance=tolerance(nest, 1e-9))


@settings(max_examples=20)
@given(nests(), points())
def test_batches_of_random_nests(nest: Nest, point: Point):
    check(sad.vmap(sad.grad(total(nest), (0, 1))), *lanes(point), tolerance=tolerance(nest, 1e-9))
