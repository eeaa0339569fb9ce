"""Logistic regression: mean loss and its gradient over 100 000 examples of 50 features."""

from functools import partial
from typing import Any

import numpy

from bench.by_hand import logistic as by_hand
from bench.library import Function, Library
from bench.problems.row import Row


def loss(library: Library) -> Function:
    """``(w, b, X, y) -> scalar``: the mean negative log likelihood plus an L2 penalty."""
    np = library.np

    def f(w: Any, b: Any, X: Any, y: Any) -> Any:
        z = X @ w + b
        return np.mean(np.logaddexp(0.0, z) - y * z) + 0.5e-3 * np.sum(w**2)

    return f


def value_and_gradient(library: Library) -> Function:
    return library.value_and_grad(loss(library), argnums=(0, 1))


def data(examples: int = 100_000, features: int = 50) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    X = random.normal(size=(examples, features))
    w = random.normal(size=features) / 10
    y = (random.random(examples) < 1 / (1 + numpy.exp(-X @ w))).astype(numpy.float64)
    return w, numpy.float64(0.1), X, y


ROWS = [
    Row(
        "logistic regression 1e5 x 50",
        "learning",
        data,
        value_and_gradient,
        base=loss,
        by_hand=by_hand.value_and_gradient,
        small=(partial(data, 1000), value_and_gradient),
    )
]
