"""The log posterior of a Gaussian mixture with a Wishart prior, and its gradient: 1000 points, d = 10, k = 25.

The problem of ADBench (Srajer, Kukelova, Fitzgibbon, A Benchmark of Selected Algorithmic Differentiation Tools, 2018),
less its constants: each inverse covariance is given by its triangular factor Q, with exp(q) on the diagonal and the
d (d - 1) / 2 numbers below it row by row.
"""

from typing import Any

import numpy

from bench.by_hand import gaussian_mixture as by_hand
from bench.library import Function, Library
from bench.problems.row import Row
from bench.problems.softmax import logsumexp


def log_posterior(library: Library, prior_scale: float = 1.0, prior_freedom: int = 0) -> Function:
    """``(alpha (k), mean (k, d), q (k, d), triangle (k, d (d - 1) / 2), points (n, d)) -> scalar``."""
    np = library.np

    def f(alpha: Any, mean: Any, q: Any, triangle: Any, points: Any) -> Any:
        n, d = points.shape
        k = alpha.shape[0]
        lower = np.concatenate([np.zeros_like(triangle[:, :1]), triangle], axis=1)[:, places_in_triangle(d)]
        centred = points[:, None, :] - mean
        whitened = np.exp(q) * centred + np.einsum("kij,nkj->nki", lower, centred)
        terms = alpha + np.sum(q, axis=1) - 0.5 * np.sum(whitened**2, axis=2)
        likelihood = np.sum(logsumexp(library, terms, axis=1)) - n * logsumexp(library, alpha, axis=0)
        squares = np.sum(np.exp(2.0 * q)) + np.sum(triangle**2)
        freedom = d + prior_freedom + 1
        prior = 0.5 * prior_scale**2 * squares - prior_freedom * np.sum(q) - k * freedom * d * numpy.log(prior_scale)
        return likelihood - prior

    return f


def places_in_triangle(d: int) -> numpy.ndarray[Any, Any]:
    """(d, d): the place of each entry below the diagonal, row by row from 1; 0 elsewhere."""
    places = numpy.zeros((d, d), int)
    places[numpy.tril_indices(d, -1)] = 1 + numpy.arange(d * (d - 1) // 2)
    return places


def gradient(library: Library) -> Function:
    return library.grad(log_posterior(library), argnums=(0, 1, 2, 3))


def data(points: int = 1000, d: int = 10, k: int = 25) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    shapes = ((k,), (k, d), (k, d), (k, d * (d - 1) // 2), (points, d))
    return tuple(random.normal(size=shape) * scale for shape, scale in zip(shapes, (1, 1, 0.3, 0.3, 1), strict=True))


ROWS = [
    Row(
        "Gaussian mixture n=1000 d=10 k=25",
        "ADBench",
        data,
        gradient,
        base=log_posterior,
        by_hand=by_hand.gradient,
    )
]
