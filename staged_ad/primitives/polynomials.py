"""Orthogonal polynomials of a whole degree that is known while tracing.

Invariant: the native code is the three-term recurrence p_(k+1) = (A x + B) p_k - C p_(k-1), NIST DLMF 18.9; a
derivative is a polynomial of another family, NIST DLMF 18.9(iii).
Start at ``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from staged_ad.ir import filled
from staged_ad.primitives.makers import Operation, elementwise, mul, typeof
from staged_ad.tracing.libraries import scipy_special

Terms = tuple[float, float, float]


class Family(NamedTuple):
    """``terms(k, *parameters)`` are A, B, C of the step from degree k; ``slope(n, *parameters)`` is the derivative:
    a factor, the family and its parameters, for the degree n - 1.
    """

    terms: Callable[..., Terms]
    slope: Callable[..., tuple[float, str, tuple[float, ...]]]


def _jacobi(k: int, a: float, b: float) -> Terms:
    """NIST DLMF 18.9.2; the first step apart, where the general coefficients are 0 / 0."""
    if k == 0:
        return (a + b) / 2 + 1, (a - b) / 2, 0.0
    s = 2 * k + a + b
    scale = 2 * (k + 1) * (k + a + b + 1)
    return (
        (s + 1) * (s + 2) / scale,
        (a * a - b * b) * (s + 1) / (scale * s),
        2 * (k + a) * (k + b) * (s + 2) / (scale * s),
    )


def _gegenbauer(k: int, a: float) -> Terms:
    return 2 * (k + a) / (k + 1), 0.0, (k + 2 * a - 1) / (k + 1)


FAMILIES: dict[str, Family] = {
    "jacobi": Family(_jacobi, lambda n, a, b: ((n + a + b + 1) / 2, "jacobi", (a + 1, b + 1))),
    "legendre": Family(lambda k: _jacobi(k, 0, 0), lambda n: ((n + 1) / 2, "jacobi", (1.0, 1.0))),
    "gegenbauer": Family(_gegenbauer, lambda n, a: (2 * a, "gegenbauer", (a + 1,))),
    "chebyt": Family(lambda k: (1.0 if k == 0 else 2.0, 0.0, 1.0), lambda n: (n, "chebyu", ())),
    "chebyu": Family(lambda k: (2.0, 0.0, 1.0), lambda n: (2.0, "gegenbauer", (2.0,))),
    "hermite": Family(lambda k: (2.0, 0.0, 2.0 * k), lambda n: (2.0 * n, "hermite", ())),
    "hermitenorm": Family(lambda k: (1.0, 0.0, float(k)), lambda n: (n, "hermitenorm", ())),
    "laguerre": Family(
        lambda k: (-1 / (k + 1), (2 * k + 1) / (k + 1), k / (k + 1)), lambda n: (-1.0, "genlaguerre", (1.0,))
    ),
    "genlaguerre": Family(
        lambda k, a: (-1 / (k + 1), (2 * k + a + 1) / (k + 1), (k + a) / (k + 1)),
        lambda n, a: (-1.0, "genlaguerre", (a + 1,)),
    ),
}


def _evaluate(x: Any, *, family: str, n: int, parameters: tuple[float, ...]) -> Any:
    x = np.asarray(x)
    function = getattr(scipy_special, f"eval_{family}")
    return np.asarray(function(n, *parameters, x)).astype(x.dtype)[()]


def _emit(code: Any, x: Any, *, family: str, n: int, parameters: tuple[float, ...]) -> Any:
    def constant(value: float) -> Any:
        return code.constant(value, x.dtype)

    before, p = constant(0), constant(1)
    for k in range(n):
        slope, shift, weight = FAMILIES[family].terms(k, *parameters)
        factor = code.mul(constant(slope), x)
        if shift:
            factor = code.add(factor, constant(shift))
        step = code.mul(factor, p)
        before, p = p, code.sub(step, code.mul(constant(weight), before)) if k and weight else step
    return p


def _partial(y: Any, x: Any, *, family: str, n: int, parameters: tuple[float, ...]) -> Any:
    if n == 0:
        return filled(0, typeof(x))
    factor, other, shifted = FAMILIES[family].slope(n, *parameters)
    return mul(float(factor), polynomial(x, family=other, n=n - 1, parameters=shifted))


polynomial: Operation = elementwise("polynomial", _evaluate, _emit, _partial, cost=60)
