"""Trigonometric functions and their inverses.

Invariant: partials are written in the stable form; a caveat stands beside the line it concerns.
Start anywhere: each declaration stands alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from staged_ad.primitives import pairs
from staged_ad.primitives.arithmetic import div, eq, or_
from staged_ad.primitives.exponential import _math, beside_one, hypot, sqrt
from staged_ad.primitives.makers import Operation, add, elementwise, mul, neg, select, typeof, zeros

sin: Operation = _math("sin", np.sin, lambda y, x: cos(x), split=pairs.sin)
cos: Operation = _math("cos", np.cos, lambda y, x: neg(sin(x)), split=pairs.cos)
tan: Operation = _math("tan", np.tan, lambda y, x: add(1.0, mul(y, y)), split=pairs.tan)
arcsin: Operation = _math(  # inf at -1 and 1
    "arcsin", np.arcsin, lambda y, x: div(1.0, _leg(x)), symbol="asin", split=pairs.arcsin
)
arccos: Operation = _math("arccos", np.arccos, lambda y, x: div(-1.0, _leg(x)), symbol="acos", split=pairs.arccos)
arctan: Operation = _math(
    "arctan", np.arctan, lambda y, x: div(1.0, add(1.0, mul(x, x))), symbol="atan", split=pairs.arctan
)


def _leg(x: Any) -> Any:
    """sqrt(1 - x^2) without cancellation near 1, and on the side of a cut that x is on."""
    below, above = beside_one(x)
    return mul(sqrt(below), sqrt(above)) if typeof(x).is_complex else sqrt(mul(below, above))


def _over_square(numerator: Any, y: Any, x: Any) -> Any:
    """numerator / (x^2 + y^2) without overflow, and 0 at the origin and at infinity."""
    radius, zero = hypot(x, y), zeros(typeof(x))
    return select(or_(eq(radius, zero), eq(radius, math.inf)), zero, div(div(numerator, radius), radius))


arctan2: Operation = elementwise(
    "arctan2",
    np.arctan2,
    lambda code, y, x: code.math("atan2", y, x),
    lambda z, y, x: _over_square(x, y, x),
    lambda z, y, x: neg(_over_square(y, y, x)),
    cost=30,
)
