"""Task 2: logistic regression by Newton's method; no Hessian is ever formed.

Invariant: each step solves ``H p = -g`` by conjugate gradients that see ``H`` only through its products.
Start reading at `make_loss`, then `minimise`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

import staged_ad as sad
from staged_ad.demo.checks import Outcome, central_difference, compare, distance, gradient_error, random_like, worst
from staged_ad.demo.data import Array, Scalar, breast_cancer

PENALTY = 1e-3
TOLERANCE = 1e-10

Loss = Callable[[Array], Scalar]


@dataclass(frozen=True)
class Minimum:
    """Where `minimise` stopped, and what it took to get there."""

    weights: Array
    gradient_norm: float
    steps: int
    products: int


def penalised(size: int) -> Array:
    """Return ones for the weights that the penalty holds, and a zero for the intercept, which is free."""
    return np.append(np.ones(size - 1), 0.0)


def make_loss(inputs: Array, signs: Array, penalty: float = PENALTY) -> Loss:
    """Return ``loss(w)``: the mean logistic loss of the margins, plus ``penalty / 2`` times the squared weights."""
    held = penalised(inputs.shape[1])

    def loss(w: Array) -> Scalar:
        margins = signs * (inputs @ w)
        return np.mean(np.logaddexp(0.0, -margins)) + 0.5 * penalty * np.sum(held * w * w)

    return loss


def make_gradient_by_hand(
    inputs: Array, signs: Array, penalty: float = PENALTY
) -> Callable[[Array], tuple[Scalar, Array]]:
    """Return what ``value_and_grad(make_loss(...))`` does, worked out on paper."""
    held = penalised(inputs.shape[1])

    def loss_and_gradient(w: Array) -> tuple[Scalar, Array]:
        margins = signs * (inputs @ w)
        value = np.mean(np.logaddexp(0.0, -margins)) + 0.5 * penalty * np.sum(held * w * w)
        margins_bar = -signs / (1.0 + np.exp(margins)) / len(signs)
        return value, inputs.T @ margins_bar + penalty * held * w

    return loss_and_gradient


def make_product_by_hand(inputs: Array, signs: Array, penalty: float = PENALTY) -> Callable[[Array, Array], Array]:
    """Return ``(w, v) -> H(w) v``, with ``H = X.T diag(p (1 - p)) X / n`` plus the penalty."""
    held = penalised(inputs.shape[1])

    def product(w: Array, v: Array) -> Array:
        probability = 1.0 / (1.0 + np.exp(-signs * (inputs @ w)))
        curvature = probability * (1.0 - probability) / len(signs)
        return inputs.T @ (curvature * (inputs @ v)) + penalty * held * v

    return product


def conjugate_gradients(
    product: Callable[[Array], Array], right_side: Array, tolerance: float, limit: int
) -> tuple[Array, int]:
    """Solve ``H x = right_side`` for a positive definite ``H`` given by its products (Hestenes and Stiefel, 1952).

    Stops once the residual's norm is at most `tolerance`, or after `limit` products; returns both x and their number.
    """
    solution = np.zeros_like(right_side)
    residual, direction = right_side, right_side
    square = float(residual @ residual)
    products = 0
    while products < limit and np.sqrt(square) > tolerance:
        image = product(direction)
        products += 1
        length = square / float(direction @ image)
        solution = solution + length * direction
        residual = residual - length * image
        previous, square = square, float(residual @ residual)
        direction = residual + (square / previous) * direction
    return solution, products


def minimise(loss: Loss, start: Array, advance: Callable[[float], None] = lambda fraction: None) -> Minimum:
    """Minimise a smooth convex `loss` by a damped, truncated Newton method (Nocedal and Wright, Algorithm 7.1)."""
    value_of = sad.jit(loss)
    loss_and_gradient = sad.jit(sad.value_and_grad(loss))
    product = sad.jit(lambda w, v: sad.hvp(loss, (w,), (v,)))
    w, products = start, 0
    value, gradient = loss_and_gradient(w)
    norm = first_norm = float(np.linalg.norm(gradient))
    for steps in range(50):
        if norm < TOLERANCE:
            return Minimum(w, norm, steps, products)
        # A loose solve far from the minimum, a tight one near it, keeps the quadratic convergence.
        p, used = conjugate_gradients(partial(product, w), -gradient, min(0.1, norm) * norm, 4 * len(w))
        products += used
        length, slope = 1.0, float(gradient @ p)
        # Close to the minimum the decrease drowns in rounding; the last term keeps the full step there.
        while value_of(w + length * p) > value + 1e-4 * length * slope + 1e-14 * abs(value) and length > 1e-8:
            length /= 2
        w = w + length * p
        value, gradient = loss_and_gradient(w)
        norm = float(np.linalg.norm(gradient))
        advance(float(np.clip(np.log(norm / first_norm) / np.log(TOLERANCE / first_norm), 0.0, 1.0)))
    raise ArithmeticError(f"Newton's method stopped after 50 steps with a gradient norm of {norm:.1e}")


def run(advance: Callable[[float], None]) -> list[Outcome]:
    """Fit, check and time; return two rows of the table, one for the gradient, one for the Hessian product."""
    split = breast_cancer()
    inputs, signs = split.train_inputs, split.train_labels
    loss = make_loss(inputs, signs)
    minimum = minimise(loss, np.zeros(inputs.shape[1]), lambda fraction: advance(0.4 * fraction))

    rng = np.random.default_rng(3)
    w, v = 0.3 * rng.standard_normal(inputs.shape[1]), rng.standard_normal(inputs.shape[1])
    compiled = sad.jit(sad.value_and_grad(loss))
    _, gradient = compiled(w)
    fit = compare(
        "Newton: gradient",
        f"gradient norm {minimum.gradient_norm:.1e}",
        gradient_error(loss, gradient, w, rng),
        compiled,
        sad.value_and_grad(loss),
        make_gradient_by_hand(inputs, signs),
        w,
    )
    advance(0.7)

    product = sad.jit(lambda w, v: sad.hvp(loss, (w,), (v,)))
    directions = [random_like(w, rng) for _ in range(5)]
    errors = [distance(product(w, d), central_difference(lambda at: compiled(at)[1], w, d)) for d in directions]
    curvature = compare(
        "Newton: Hessian product",
        f"{minimum.steps} steps, {minimum.products} products",
        worst(errors),
        product,
        lambda w, v: sad.hvp(loss, (w,), (v,)),
        make_product_by_hand(inputs, signs),
        w,
        v,
    )
    advance(1.0)
    return [fit, curvature]
