"""The Lorenz system by Euler's method, forward with every state kept, then backward."""

from typing import Any

import numpy

from bench.by_hand import compiled
from bench.library import Function


def gradient(steps: int, h: float) -> Function:
    @compiled()
    def f(parameters: Any, start: Any) -> Any:
        (sigma, rho, beta), (x, y, z) = parameters, start
        kept = numpy.empty((steps, 3))
        for i in range(steps):
            kept[i, 0], kept[i, 1], kept[i, 2] = x, y, z
            x, y, z = x + h * sigma * (y - x), y + h * (x * (rho - z) - y), z + h * (x * y - beta * z)
        a, b, c = 2.0 * x, 2.0 * y, 2.0 * z
        by_sigma, by_rho, by_beta = 0.0, 0.0, 0.0
        for i in range(steps - 1, -1, -1):
            x, y, z = kept[i, 0], kept[i, 1], kept[i, 2]
            by_sigma += h * a * (y - x)
            by_rho += h * b * x
            by_beta -= h * c * z
            a, b, c = (
                a - h * sigma * a + h * (b * (rho - z) + c * y),
                b + h * (sigma * a - b + c * x),
                c - h * (b * x + beta * c),
            )
        return (by_sigma, by_rho, by_beta), (a, b, c)

    return f
