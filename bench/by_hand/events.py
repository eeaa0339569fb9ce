"""The bouncing ball, forward with the branch of every step kept, then backward."""

from typing import Any

import numpy

from bench.by_hand import compiled
from bench.library import Function


def gradient_of_bounces(steps: int, dt: float) -> Function:
    @compiled()
    def f(gravity: float, restitution: float, height: float, speed: float) -> Any:
        h, v = height, speed
        bounced, speeds = numpy.empty(steps, numpy.bool_), numpy.empty(steps)
        for i in range(steps):
            v -= dt * gravity
            h += dt * v
            bounced[i], speeds[i] = h < 0.0, v
            if h < 0.0:
                h, v = -h, -restitution * v
        by_gravity, by_restitution, by_h, by_v = h, 0.0, gravity, v
        for i in range(steps - 1, -1, -1):
            if bounced[i]:
                by_restitution -= by_v * speeds[i]
                by_h, by_v = -by_h, -restitution * by_v
            by_v += dt * by_h
            by_gravity -= dt * by_v
        return by_gravity, by_restitution, by_h, by_v

    return f
