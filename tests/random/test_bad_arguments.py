"""Bad arguments of samplers: errors that name the sampler and say what to write.

Invariant: an error names the sampler, the argument, and the line of the user.
Start at ``BAD``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad import random
from staged_ad.errors import ArgumentError, DTypeError, ShapeError

KEY = random.key(0)
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: random.key(1.5), ArgumentError, "seed must be an integer"),
    (lambda: random.key(2**64), ArgumentError, "seed must be an integer"),
    (lambda: random.key(True), ArgumentError, "seed must be an integer"),
    (lambda: sad.jit(random.key)(1.5), ArgumentError, "seed must be an integer"),
    (lambda: random.fold_in(KEY, 0.5), ArgumentError, "data must be an integer"),
    (lambda: random.normal(0), ArgumentError, "normal: key must be a uint32 array .* make keys by random.key"),
    (lambda: random.normal((3, 2)), ArgumentError, "normal: key must be"),
    (lambda: random.normal(np.zeros(2)), ArgumentError, "key must be a uint32 array"),
    (lambda: random.normal(np.random.default_rng(0)), ArgumentError, "Generator of NumPy"),
    (lambda: random.normal(random.split(KEY, 3)), ShapeError, "vmap"),
    (lambda: random.normal(np.zeros(3, np.uint32)), ShapeError, r"shape \(2,\), got \(3,\)"),
    (lambda: random.normal(KEY, -1), ShapeError, "must not be negative"),
    (lambda: random.normal(KEY, (2, -3)), ShapeError, "must not be negative"),
    (lambda: random.normal(KEY, 2.0), ArgumentError, "shape must be an integer or a tuple"),
    (lambda: random.normal(KEY, 0.0, 1.0), ArgumentError, "shape must be an integer or a tuple"),
    (lambda: random.normal(KEY, 3, int), DTypeError, "float32 or float64"),
    (lambda: random.uniform(KEY, 3, np.float16), DTypeError, "float32 or float64"),
    (lambda: random.normal(KEY, 3, "half"), DTypeError, "float32 or float64"),
    (lambda: random.bits(KEY, 3, int), DTypeError, "an unsigned integer dtype"),
    (lambda: random.uniform(KEY, 3, minval=np.zeros(4)), ShapeError, r"minval \(4,\).* do not broadcast"),
    (lambda: random.uniform(KEY, 3, minval="low"), ArgumentError, "minval must be a real number"),
    (lambda: random.gamma(KEY, 1j), ArgumentError, "a must be a real number"),
    (lambda: random.gamma(KEY, np.ones(3), 4), ShapeError, r"to shape=\(4,\)"),
    (lambda: random.beta(KEY, np.ones(3), np.ones(4)), ShapeError, r"a \(3,\), b \(4,\)"),
    (lambda: random.integers(KEY, 3, 5, 5), ArgumentError, "maxval must be above minval"),
    (lambda: random.integers(KEY, 3, 0.0, 5), ArgumentError, "minval must be an integer"),
    (lambda: random.integers(KEY, 3, 0, 300, np.uint8), ArgumentError, "does not fit into uint8"),
    (lambda: random.integers(KEY, 3, -1, 3, np.uint64), ArgumentError, "does not fit into uint64"),
    (lambda: random.integers(KEY, 3, 0, 5, float), DTypeError, "an integer dtype"),
    (
        lambda: sad.jit(lambda n: random.integers(KEY, 3, 0, n, np.int8))(np.int64(3)),
        DTypeError,
        "does not fit into int8",
    ),
    (lambda: random.poisson(KEY, -1.0), ArgumentError, "lam must be from 0"),
    (lambda: random.poisson(KEY, np.nan), ArgumentError, "lam must be from 0"),
    (lambda: random.multivariate_normal(KEY, 0.0, 1.0), ShapeError, r"mean must have shape \(\.\.\., n\)"),
    (lambda: random.multivariate_normal(KEY, np.zeros(2), np.eye(3)), ShapeError, "mean must have shape"),
    (lambda: random.multivariate_normal(KEY, np.zeros((2, 3)), np.eye(3), 5), ShapeError, r"to shape=\(5,\)"),
    (lambda: random.truncated_normal(KEY, np.zeros(2), np.ones(3)), ShapeError, r"lower \(2,\), upper \(3,\)"),
    (lambda: random.dirichlet(KEY, 1.0), ShapeError, "at least one axis"),
    (lambda: random.categorical(KEY, np.zeros((2, 3)), 2), ShapeError, "axis 2 is out of bounds"),
    (lambda: random.categorical(KEY, np.zeros((2, 0))), ShapeError, "has length 0"),
    (lambda: random.categorical(KEY, np.zeros((2, 3)), shape=(3,)), ShapeError, r"logits \(2,\) do not broadcast"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=lambda v: v if isinstance(v, str) else "")
def test_an_error_says_what_is_wrong_and_where(call: Callable[[], Any], kind: type[Exception], message: str):
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "test_bad_arguments.py" in str(caught.value)


def test_parameters_out_of_range_give_nan_or_the_documented_value():
    bad = np.array([0.0, -1.0, np.nan, np.inf])
    assert np.isnan(random.gamma(KEY, bad)).all()
    assert np.isnan(sad.jit(lambda a: random.gamma(KEY, a))(bad)).all()
    assert np.isnan(random.beta(KEY, bad, 1.0)).all()
    np.testing.assert_array_equal(sad.jit(lambda lam: random.poisson(KEY, lam))(bad[1:]), -1)
    np.testing.assert_array_equal(sad.jit(lambda n: random.integers(KEY, 3, 4, n))(2), 4)
