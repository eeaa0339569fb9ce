"""The gradient of the sum of the chain of five steps, element by element in registers."""

from math import cos, sin
from typing import Any

import numba
import numpy

from bench.by_hand import compiled


@compiled(parallel=True)
def gradient_of_five(x: Any, y: Any) -> Any:
    n = len(x)
    by_x, by_y = numpy.empty(n), numpy.empty(n)
    for i in numba.prange(n):
        x1 = x[i] * y[i] + sin(x[i])
        y1 = x1 - 0.5 * y[i]
        x2 = 1.1 * x1 - y1
        y2 = x2 - 0.5 * y1
        x3 = 1.1 * x2 - y2
        y3 = x3 - 0.5 * y2
        # x4 = x3 y3 + cos(x3), y4 = x4 - y3 / 2, and the sum is x5 + y5 = 2 (1.1 x4 - y4) - y4 / 2 = -0.3 x4 + 1.25 y3
        a = -0.3 * (y3 - sin(x3))
        b = -0.3 * x3 + 1.25
        a, b = 1.1 * (a + b), -(a + b) - 0.5 * b
        a, b = 1.1 * (a + b), -(a + b) - 0.5 * b
        a, b = a + b, -0.5 * b
        by_x[i] = a * (y[i] + cos(x[i]))
        by_y[i] = a * x[i] + b
    return by_x, by_y
