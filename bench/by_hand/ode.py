"""The ODE of GradBench by Runge and Kutta's method, forward with every state kept, then backward."""

from typing import Any

import numpy

from bench.by_hand import compiled
from bench.library import Function


@compiled()
def slope(x: Any, y: Any, out: Any) -> None:
    out[0] = x[0]
    for i in range(1, len(x)):
        out[i] = x[i] * y[i - 1]


@compiled()
def slope_transposed(x: Any, y: Any, out: Any, by_x: Any, by_y: Any) -> None:
    """Add to `by_x`, and put into `by_y`, what the cotangent `out` of a slope makes of them."""
    n = len(x)
    by_x[0] += out[0]
    for i in range(1, n):
        by_x[i] += out[i] * y[i - 1]
        by_y[i - 1] = out[i] * x[i]
    by_y[n - 1] = 0.0


@compiled()
def moved(y: Any, h: float, direction: Any, out: Any) -> None:
    for i in range(len(y)):
        out[i] = y[i] + h * direction[i]


def gradient(end: float, steps: int) -> Function:
    h = end / steps

    @compiled()
    def f(x: Any) -> Any:
        n = len(x)
        y, kept, k = numpy.zeros(n), numpy.empty((steps, n)), numpy.empty((4, n))
        places = numpy.empty((4, n))
        for step in range(steps):
            kept[step] = y
            slope(x, y, k[0])
            moved(y, h / 2, k[0], places[1])
            slope(x, places[1], k[1])
            moved(y, h / 2, k[1], places[2])
            slope(x, places[2], k[2])
            moved(y, h, k[2], places[3])
            slope(x, places[3], k[3])
            for i in range(n):
                y[i] += h / 6 * (k[0, i] + 2.0 * k[1, i] + 2.0 * k[2, i] + k[3, i])
        by_x, by_y, by_k, by_place = numpy.zeros(n), numpy.zeros(n), numpy.empty(n), numpy.empty((4, n))
        by_y[n - 1] = 1.0
        for step in range(steps - 1, -1, -1):
            y = kept[step]
            slope(x, y, k[0])
            moved(y, h / 2, k[0], places[1])
            slope(x, places[1], k[1])
            moved(y, h / 2, k[1], places[2])
            slope(x, places[2], k[2])
            moved(y, h, k[2], places[3])
            for i in range(n):
                by_k[i] = h / 6 * by_y[i]
            slope_transposed(x, places[3], by_k, by_x, by_place[3])
            for i in range(n):
                by_k[i] = h / 3 * by_y[i] + h * by_place[3, i]
            slope_transposed(x, places[2], by_k, by_x, by_place[2])
            for i in range(n):
                by_k[i] = h / 3 * by_y[i] + h / 2 * by_place[2, i]
            slope_transposed(x, places[1], by_k, by_x, by_place[1])
            for i in range(n):
                by_k[i] = h / 6 * by_y[i] + h / 2 * by_place[1, i]
            slope_transposed(x, y, by_k, by_x, by_place[0])
            for i in range(n):
                by_y[i] += by_place[0, i] + by_place[1, i] + by_place[2, i] + by_place[3, i]
        return by_x

    return f
