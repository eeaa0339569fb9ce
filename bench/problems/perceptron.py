"""A multilayer perceptron 784-256-256-10: cross entropy of a batch of 128 and its gradient."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.row import Row
from bench.problems.softmax import logsumexp

SIZES = (784, 256, 256, 10)
BATCH = 128


def loss(library: Library) -> Function:
    """``(list of {"weights", "bias"}, images, one-hot labels) -> scalar``."""
    np = library.np

    def f(layers: list[dict[str, Any]], images: Any, labels: Any) -> Any:
        h = images
        for layer in layers[:-1]:
            h = np.maximum(h @ layer["weights"] + layer["bias"], 0.0)
        logits = h @ layers[-1]["weights"] + layers[-1]["bias"]
        return np.mean(logsumexp(library, logits, axis=1) - np.sum(labels * logits, axis=1))

    return f


def value_and_gradient(library: Library) -> Function:
    return library.value_and_grad(loss(library))


def data(sizes: Sequence[int] = SIZES, batch: int = BATCH) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    layers = [
        {"weights": random.normal(size=(m, n)) * (2 / m) ** 0.5, "bias": random.normal(size=n) * 0.01}
        for m, n in pairwise(sizes)
    ]
    labels = numpy.eye(sizes[-1])[random.integers(sizes[-1], size=batch)]
    return layers, random.random((batch, sizes[0])), labels


def hessian_vector(library: Library) -> Function:
    """``(layers, images, labels, direction like layers) -> like layers``."""
    f = loss(library)
    return lambda layers, images, labels, direction: library.hvp(
        lambda weights: f(weights, images, labels), (layers,), (direction,)
    )


def gradient_without_direction(library: Library) -> Function:
    g = library.grad(loss(library))
    return lambda layers, images, labels, _: g(layers, images, labels)


def data_with_direction(sizes: Sequence[int] = SIZES, batch: int = BATCH) -> tuple[Any, ...]:
    random = numpy.random.default_rng(1)
    layers, images, labels = data(sizes, batch)
    direction = [{name: random.normal(size=weights.shape) for name, weights in layer.items()} for layer in layers]
    return layers, images, labels, direction


ROWS = [
    Row("MLP 784-256-256-10, batch 128", "learning", data, value_and_gradient, base=loss),
    Row(
        "MLP 784-256-256-10, HVP",
        "learning",
        data_with_direction,
        hessian_vector,
        base=gradient_without_direction,
        limit=2.5,
    ),
]
