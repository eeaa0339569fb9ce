"""Task 3: tune an L2 penalty by differentiating the validation loss through the whole training run.

Invariant: training is a plain Python loop of momentum steps whose own gradient comes from `grad`.
Start reading at `make_validation_loss`, then `tune`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import staged_ad as sad
from staged_ad.demo.adam import Adam
from staged_ad.demo.checks import Outcome, compare, gradient_error
from staged_ad.demo.data import Array, Scalar, Split, breast_cancer
from staged_ad.demo.newton import penalised

RATE = 0.4
MOMENTUM = 0.7
UNROLLED = 40
START = 0.0

ValidationLoss = Callable[[np.float64], Scalar]


@dataclass(frozen=True)
class Tuning:
    """Log penalty and validation loss at the start and at the end of `tune`."""

    log_penalty_before: float
    log_penalty_after: float
    loss_before: float
    loss_after: float


def make_validation_loss(split: Split, steps: int = UNROLLED) -> ValidationLoss:
    """Return ``log_penalty -> validation loss`` of weights trained for `steps` steps under that penalty."""
    held = penalised(split.train_inputs.shape[1])

    def logistic_loss(w: Array, inputs: Array, signs: Array) -> Scalar:
        return np.mean(np.logaddexp(0.0, -signs * (inputs @ w)))

    def validation_loss(log_penalty: np.float64) -> Scalar:
        penalty = np.exp(log_penalty)

        def training_loss(w: Array) -> Scalar:
            fit = logistic_loss(w, split.train_inputs, split.train_labels)
            shrinkage: Scalar = 0.5 * penalty * np.sum(held * w * w)
            return fit + shrinkage

        slope = sad.grad(training_loss)
        w, velocity = np.zeros(held.shape), np.zeros(held.shape)
        for _ in range(steps):
            velocity = MOMENTUM * velocity - RATE * slope(w)
            w = w + velocity
        # Nothing of the run is kept by hand: the derivative reaches `penalty` through every step above.
        return logistic_loss(w, split.held_inputs, split.held_labels)

    return validation_loss


def make_hypergradient_by_hand(split: Split, steps: int = UNROLLED) -> Callable[[np.float64], tuple[Scalar, Scalar]]:
    """Return what ``value_and_grad(make_validation_loss(...))`` does, the training run reversed step by step."""
    inputs, signs = split.train_inputs, split.train_labels
    held = penalised(inputs.shape[1])

    def loss_and_hypergradient(log_penalty: np.float64) -> tuple[Scalar, Scalar]:
        penalty = np.exp(log_penalty)
        w, velocity = np.zeros(held.shape), np.zeros(held.shape)
        visited, curvatures = [], []
        for _ in range(steps):
            wrong = 1.0 / (1.0 + np.exp(signs * (inputs @ w)))
            visited.append(w)
            curvatures.append(wrong * (1.0 - wrong) / len(signs))
            gradient = inputs.T @ (-signs * wrong) / len(signs) + penalty * held * w
            velocity = MOMENTUM * velocity - RATE * gradient
            w = w + velocity
        margins = split.held_labels * (split.held_inputs @ w)
        value = np.mean(np.logaddexp(0.0, -margins))

        margins_bar = -split.held_labels / (1.0 + np.exp(margins)) / len(margins)
        w_bar = split.held_inputs.T @ margins_bar
        velocity_bar = np.zeros(held.shape)
        penalty_bar = 0.0
        for w, curvature in zip(reversed(visited), reversed(curvatures), strict=True):
            velocity_bar = velocity_bar + w_bar
            gradient_bar = -RATE * velocity_bar
            penalty_bar += float(gradient_bar @ (held * w))
            w_bar = w_bar + inputs.T @ (curvature * (inputs @ gradient_bar)) + penalty * held * gradient_bar
            velocity_bar = MOMENTUM * velocity_bar
        return value, penalty_bar * penalty

    return loss_and_hypergradient


def tune(
    loss_and_slope: Callable[[np.float64], tuple[Scalar, Scalar]],
    start: float,
    steps: int,
    advance: Callable[[float], None] = lambda fraction: None,
) -> Tuning:
    """Move the log penalty from `start` down the hypergradient by `steps` steps of Adam."""
    log_penalty = np.float64(start)
    optimiser = Adam(rate=0.3)
    before, slope = loss_and_slope(log_penalty)
    value = before
    for step in range(steps):
        log_penalty = np.float64(optimiser.step(log_penalty, slope))
        value, slope = loss_and_slope(log_penalty)
        advance((step + 1) / steps)
    return Tuning(start, float(log_penalty), float(before), float(value))


def run(advance: Callable[[float], None]) -> list[Outcome]:
    """Tune, check and time; return one row of the table."""
    split = breast_cancer(train_rows=100, seed=1)
    validation_loss = make_validation_loss(split)
    compiled = sad.jit(sad.value_and_grad(validation_loss))
    tuning = tune(compiled, START, 40, lambda fraction: advance(0.5 * fraction))
    before, after = np.exp(tuning.log_penalty_before), np.exp(tuning.log_penalty_after)

    point = np.float64(START)
    _, slope = compiled(point)
    # Differences of a compiled loss: the eager one retraces all unrolled steps at every call.
    error = gradient_error(sad.jit(validation_loss), slope, point, np.random.default_rng(4))
    outcome = compare(
        f"Hypergradient, {UNROLLED} steps",
        f"penalty {before:.2g} -> {after:.2g}, validation loss {tuning.loss_before:.3f} -> {tuning.loss_after:.3f}",
        error,
        compiled,
        sad.value_and_grad(validation_loss),
        make_hypergradient_by_hand(split),
        point,
    )
    advance(1.0)
    return [outcome]
