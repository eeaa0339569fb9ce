"""Adam, the optimiser of the demonstration, in NumPy over any pytree of arrays or floats.

Invariant: `step` returns new parameters and never writes into the ones it was given.
Start reading at `Adam.step`.
"""

from typing import Any

import numpy as np
import optree


class Adam:
    """Adaptive moment estimation (Kingma and Ba, 2015, Algorithm 1).

    Parameters
    ----------
    rate : float
        Step size; every coordinate moves by at most about this much in one step.
    """

    def __init__(self, rate: float, *, decay: float = 0.9, square_decay: float = 0.999, floor: float = 1e-8) -> None:
        self.rate = rate
        self.decay = decay
        self.square_decay = square_decay
        self.floor = floor
        self.steps = 0
        self.mean: Any = None
        self.square: Any = None

    def step(self, parameters: Any, gradient: Any) -> Any:
        """Return `parameters` moved one step against `gradient`, a pytree of the same structure."""
        if self.steps == 0:
            self.mean = optree.tree_map(np.zeros_like, gradient)
            self.square = self.mean
        self.steps += 1
        self.mean = optree.tree_map(lambda m, g: self.decay * m + (1 - self.decay) * g, self.mean, gradient)
        self.square = optree.tree_map(
            lambda s, g: self.square_decay * s + (1 - self.square_decay) * g * g, self.square, gradient
        )
        # Both averages start at zero; these factors remove that bias.
        rate = self.rate / (1 - self.decay**self.steps)
        square_scale = 1 / (1 - self.square_decay**self.steps)
        return optree.tree_map(
            lambda p, m, s: p - rate * m / (np.sqrt(square_scale * s) + self.floor), parameters, self.mean, self.square
        )
