"""The gradient of a validation loss for all learning rates and momenta of 100 steps of training.

Maclaurin, Duvenaud, Adams, Gradient-based Hyperparameter Optimization through Reversible Learning, 2015: stochastic
gradient descent with momentum; here a network of one hidden layer, 64 examples a step.
"""

from functools import partial
from typing import Any

import numpy

from bench.library import Function, Library
from bench.problems.row import Row


def validation_loss(library: Library) -> Function:
    """``(rates (t), momenta (t), weights, batches ((t, n, d), (t, n)), held out ((n, d), (n))) -> scalar``."""
    np = library.np

    def loss(weights: Any, inputs: Any, targets: Any) -> Any:
        hidden = np.tanh(inputs @ weights["U"] + weights["b"])
        return np.mean((hidden @ weights["v"] - targets) ** 2)

    def f(rates: Any, momenta: Any, weights: Any, batches: Any, held_out: Any) -> Any:
        def step(state: Any, given: Any) -> Any:
            weights, velocity = state
            rate, momentum, inputs, targets = given
            slope = library.grad(loss)(weights, inputs, targets)
            velocity = {key: momentum * velocity[key] - slope[key] for key in weights}
            return ({key: weights[key] + rate * velocity[key] for key in weights}, velocity), None

        still = {key: np.zeros_like(value) for key, value in weights.items()}
        (trained, _), _ = library.scan(step, (weights, still), (rates, momenta, *batches))
        return loss(trained, *held_out)

    return f


def hypergradient(library: Library) -> Function:
    return library.grad(validation_loss(library), argnums=(0, 1))


def data(steps: int, features: int = 8, hidden: int = 32, examples: int = 64) -> tuple[Any, ...]:
    random = numpy.random.default_rng(0)
    weights = {
        "U": random.normal(size=(features, hidden)) / features**0.5,
        "b": numpy.zeros(hidden),
        "v": random.normal(size=hidden) / hidden**0.5,
    }
    inputs = random.normal(size=(steps + 1, examples, features))
    targets = numpy.sin(inputs.sum(axis=2))
    batches, held_out = (inputs[:-1], targets[:-1]), (inputs[-1], targets[-1])
    return numpy.full(steps, 0.05), numpy.full(steps, 0.9), weights, batches, held_out


ROWS = [
    Row(
        "hypergradient, 100 steps",
        "optimisation",
        partial(data, 100),
        hypergradient,
        base=validation_loss,
        steps=100,
    )
]
