"""GradBench's kmeans: Newton's direction for the centres of clusters, gradient over diagonal of the Hessian.

Bottou, Bengio, Convergence Properties of the K-Means Algorithms, NIPS 1994. The Hessian is diagonal, so its product
with a vector of ones is its diagonal.
"""

from functools import partial
from typing import Any

import numpy

from bench.by_hand import kmeans as by_hand
from bench.library import Function, Library
from bench.problems.row import Row


def cost(library: Library) -> Function:
    """``(centres (k, d), points (n, d)) -> scalar``: the sum of squared distances to the nearest centre."""
    np = library.np

    def f(centres: Any, points: Any) -> Any:
        return np.sum(np.min(np.sum((points[:, None, :] - centres) ** 2, axis=2), axis=1))

    return f


def gradient(library: Library) -> Function:
    return library.grad(cost(library))


def direction(library: Library) -> Function:
    """``(centres (k, d), points (n, d)) -> (k, d)``."""
    np, f = library.np, cost(library)

    def newton(centres: Any, points: Any) -> Any:
        diagonal = library.hvp(lambda c: f(c, points), (centres,), (np.ones_like(centres),))
        return library.grad(f)(centres, points) / diagonal

    return newton


def data(points: int, centres: int = 20, d: int = 10) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    middle = random.normal(size=(centres, d)) * 3
    return middle + 0.1, middle[numpy.arange(points) % centres] + random.normal(size=(points, d))


ROWS = [
    Row(
        "kmeans 1e4, 20 centres, gradient",
        "GradBench",
        partial(data, 10_000),
        gradient,
        base=cost,
        by_hand=by_hand.gradient,
    ),
    Row(
        "kmeans 1e4, 20 centres, Newton",
        "GradBench",
        partial(data, 10_000),
        direction,
        base=gradient,
        limit=2.5,
        by_hand=by_hand.direction,
    ),
]
