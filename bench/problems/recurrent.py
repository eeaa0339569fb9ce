"""A recurrent network, h -> tanh(h W + x U + b) with outputs h V: gradient of the mean squared error."""

from functools import partial
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.row import Row


def loss(library: Library, checkpoint: int | None = None) -> Function:
    """``({"W", "U", "b", "V"}, start (..., H), inputs (T, ..., D), targets (T, ..., O)) -> scalar``."""
    np = library.np

    def f(weights: dict[str, Any], start: Any, inputs: Any, targets: Any) -> Any:
        def cell(h: Any, x_and_target: Any) -> Any:
            x, target = x_and_target
            h = np.tanh(h @ weights["W"] + x @ weights["U"] + weights["b"])
            return h, np.mean((h @ weights["V"] - target) ** 2)

        _, errors = library.scan(cell, start, (inputs, targets), checkpoint=checkpoint)
        return np.mean(errors)

    return f


def gradient(library: Library, checkpoint: int | None = None) -> Function:
    return library.grad(loss(library, checkpoint))


def data(steps: int, hidden: int, features: int, batch: tuple[int, ...] = ()) -> tuple[Any, ...]:
    """With as many outputs as features."""
    random = numpy.random.default_rng(0)
    weights = {
        "W": random.normal(size=(hidden, hidden)) / hidden**0.5,
        "U": random.normal(size=(features, hidden)) / features**0.5,
        "b": random.normal(size=hidden) * 0.01,
        "V": random.normal(size=(hidden, features)) / hidden**0.5,
    }
    inputs, targets = random.normal(size=(2, steps, *batch, features))
    return weights, numpy.zeros((*batch, hidden)), inputs, targets


ROWS = [
    Row(
        "RNN T=1000 H=64",
        "loops",
        partial(data, 1000, 64, 64),
        gradient,
        base=loss,
        small=(partial(data, 100, 64, 64), gradient),
        steps=1000,
    )
]
