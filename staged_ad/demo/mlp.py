"""Task 1: a classifier of handwritten digits with one hidden layer, trained by Adam on minibatches.

Invariant: parameters are a flat dict of float64 arrays; `loss` is plain NumPy and gets its data as arguments.
Start reading at `loss`, then `train`.
"""

from collections.abc import Callable

import numpy as np

import staged_ad as sad
from staged_ad.demo.adam import Adam
from staged_ad.demo.checks import Outcome, compare, gradient_error
from staged_ad.demo.data import Array, Scalar, Split, digits

Parameters = dict[str, Array]

BATCH = 64
PENALTY = 1e-4


def initial_parameters(rng: np.random.Generator, pixels: int = 64, hidden: int = 64, classes: int = 10) -> Parameters:
    """Return weights of variance one over the number of inputs (Glorot and Bengio, 2010) and zero biases."""
    return {
        "hidden_weight": rng.standard_normal((pixels, hidden)) / np.sqrt(pixels),
        "hidden_bias": np.zeros(hidden),
        "output_weight": rng.standard_normal((hidden, classes)) / np.sqrt(hidden),
        "output_bias": np.zeros(classes),
    }


def logits(parameters: Parameters, images: Array) -> Array:
    """Return one unnormalised log probability per class: (rows, pixels) -> (rows, classes)."""
    hidden = np.tanh(images @ parameters["hidden_weight"] + parameters["hidden_bias"])
    return hidden @ parameters["output_weight"] + parameters["output_bias"]


def loss(parameters: Parameters, images: Array, labels: Array) -> Scalar:
    """Return the mean cross entropy of the softmax against one-hot `labels`, plus a small L2 penalty on weights."""
    scores = logits(parameters, images)
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
    squares = np.sum(parameters["hidden_weight"] ** 2) + np.sum(parameters["output_weight"] ** 2)
    value: Scalar = -np.sum(labels * log_probabilities) / len(images) + 0.5 * PENALTY * squares
    return value


def loss_and_gradient_by_hand(parameters: Parameters, images: Array, labels: Array) -> tuple[Scalar, Parameters]:
    """Return what ``value_and_grad(loss)`` does, with the chain rule worked out on paper."""
    hidden_weight, output_weight = parameters["hidden_weight"], parameters["output_weight"]
    hidden = np.tanh(images @ hidden_weight + parameters["hidden_bias"])
    scores = hidden @ output_weight + parameters["output_bias"]
    shifted = scores - scores.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    totals = exponentials.sum(axis=1, keepdims=True)
    squares = np.sum(hidden_weight**2) + np.sum(output_weight**2)
    value = -np.sum(labels * (shifted - np.log(totals))) / len(images) + 0.5 * PENALTY * squares

    scores_bar = (exponentials / totals - labels) / len(images)
    hidden_bar = (scores_bar @ output_weight.T) * (1 - hidden * hidden)
    gradient = {
        "hidden_weight": images.T @ hidden_bar + PENALTY * hidden_weight,
        "hidden_bias": hidden_bar.sum(axis=0),
        "output_weight": hidden.T @ scores_bar + PENALTY * output_weight,
        "output_bias": scores_bar.sum(axis=0),
    }
    return value, gradient


def train(split: Split, epochs: int, advance: Callable[[float], None] = lambda fraction: None) -> Parameters:
    """Train on minibatches for `epochs` passes over the training rows; `advance` is told the fraction done."""
    loss_and_gradient = sad.jit(sad.value_and_grad(loss))
    rng = np.random.default_rng(1)
    parameters = initial_parameters(rng)
    optimiser = Adam(rate=3e-3)
    for epoch in range(epochs):
        order = rng.permutation(len(split.train_inputs))
        # The last rows of an odd-sized epoch wait for the next one: one batch size, one compilation.
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            _, gradient = loss_and_gradient(parameters, split.train_inputs[rows], split.train_labels[rows])
            parameters = optimiser.step(parameters, gradient)
        advance((epoch + 1) / epochs)
    return parameters


def accuracy(parameters: Parameters, images: Array, labels: Array) -> float:
    """Return the fraction of rows whose most probable class is the labelled one."""
    return float(np.mean(np.argmax(logits(parameters, images), axis=1) == np.argmax(labels, axis=1)))


def run(advance: Callable[[float], None]) -> list[Outcome]:
    """Train, test, check and time; return one row of the table."""
    split = digits()
    parameters = train(split, epochs=60, advance=lambda fraction: advance(0.6 * fraction))
    reached = accuracy(parameters, split.held_inputs, split.held_labels)

    images, labels = split.train_inputs[:BATCH], split.train_labels[:BATCH]
    compiled = sad.jit(sad.value_and_grad(loss))
    # Checked where training starts: at its end the gradient is so small that differences are mostly rounding.
    start = initial_parameters(np.random.default_rng(1))
    _, gradient = compiled(start, images, labels)
    error = gradient_error(lambda p: loss(p, images, labels), gradient, start, np.random.default_rng(2))
    outcome = compare(
        "MLP on digits",
        f"test accuracy {100 * reached:.1f} %",
        error,
        compiled,
        sad.value_and_grad(loss),
        loss_and_gradient_by_hand,
        start,
        images,
        labels,
    )
    advance(1.0)
    return [outcome]
