"""What each task is measured by: central differences, distance of two gradients, median time of a call.

Invariant: nothing here knows how a derivative was computed; functions and pytrees come in, numbers go out.
Start reading at `compare`, which makes one row of the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import optree

DIFFERENCE_TOLERANCE = 1e-8
HAND_TOLERANCE = 1e-10
STEP = 1e-4  # for functions near 1: larger, the truncation error grows; smaller, rounding


@dataclass(frozen=True)
class Outcome:
    """One row of the table; times are in microseconds per call, errors are relative."""

    task: str
    result: str
    difference_error: float
    hand_error: float
    compiled: float
    eager: float
    by_hand: float

    @property
    def agrees(self) -> bool:
        """Whether the derivative matches central differences and the one written by hand."""
        return self.difference_error <= DIFFERENCE_TOLERANCE and self.hand_error <= HAND_TOLERANCE


def compare(
    task: str,
    result: str,
    difference_error: float,
    compiled: Callable[..., Any],
    eager: Callable[..., Any],
    by_hand: Callable[..., Any],
    *arguments: Any,
    seconds: float = 0.4,
) -> Outcome:
    """Call three versions of one derivative on the same arguments; return how far apart and how fast they are."""
    expected = by_hand(*arguments)
    return Outcome(
        task,
        result,
        difference_error,
        worst([distance(compiled(*arguments), expected), distance(eager(*arguments), expected)]),
        median_microseconds(compiled, *arguments, seconds=seconds),
        median_microseconds(eager, *arguments, seconds=seconds),
        median_microseconds(by_hand, *arguments, seconds=seconds),
    )


def central_difference(function: Callable[[Any], Any], point: Any, direction: Any, step: float = STEP) -> Any:
    """Derivative of `function` at `point` along `direction` by the central difference of fourth order.

    The error is about ``step**4`` times the fifth derivative over 30, plus rounding divided by `step`.
    `point` and `direction` are pytrees of one structure; `function` returns an array or a number.
    """

    def at(distance: float) -> Any:
        return function(optree.tree_map(lambda x, d: x + distance * d, point, direction))

    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)


def gradient_error(
    function: Callable[[Any], Any],
    gradient: Any,
    point: Any,
    rng: np.random.Generator,
    *,
    step: float = STEP,
    directions: int = 5,
) -> float:
    """Largest relative error of ``<gradient, d>`` against central differences, over random directions ``d``."""
    errors: list[float] = []
    for _ in range(directions):
        direction = random_like(point, rng)
        expected = central_difference(function, point, direction, step)
        products = optree.tree_map(lambda g, d: float(np.sum(g * d)), gradient, direction)
        errors.append(abs(sum(optree.tree_leaves(products)) - expected) / abs(expected))
    return worst(errors)


def random_like(tree: Any, rng: np.random.Generator) -> Any:
    """Return a pytree of normal random numbers with the structure and the shapes of `tree`."""
    return optree.tree_map(lambda leaf: rng.standard_normal(np.shape(leaf)), tree)


def distance(tree: Any, expected: Any) -> float:
    """Largest relative distance, in the 2-norm, between corresponding leaves of two pytrees."""

    def leaf_distance(leaf: Any, reference: Any) -> float:
        difference = np.linalg.norm(np.ravel(leaf) - np.ravel(reference))
        return float(difference / max(np.linalg.norm(np.ravel(reference)), np.finfo(np.float64).tiny))

    return worst(optree.tree_leaves(optree.tree_map(leaf_distance, tree, expected)))


def worst(errors: list[float]) -> float:
    """Return the largest error; NaN if there is one, where `max` would miss it."""
    return float(np.max(errors))


def median_microseconds(function: Callable[..., Any], *arguments: Any, seconds: float = 0.4) -> float:
    """Median time of one call in microseconds, over as many calls as fit in `seconds` but at least three."""
    function(*arguments)
    times: list[float] = []
    started = perf_counter()
    while len(times) < 3 or perf_counter() - started < seconds:
        before = perf_counter()
        function(*arguments)
        times.append(perf_counter() - before)
    return 1e6 * median(times)
