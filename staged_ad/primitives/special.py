"""Special functions of statistics and number theory, evaluated by SciPy.

Invariant: as SciPy, float32 in gives float32 out. Start anywhere: each declaration stands alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special

from staged_ad.primitives.exponential import _math, exp
from staged_ad.primitives.makers import Operation, elementwise, mul, neg

_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)


def _gauss(x: Any) -> Any:
    return mul(_TWO_OVER_SQRT_PI, exp(neg(mul(x, x))))


erf: Operation = _math("erf", scipy.special.erf, lambda y, x: _gauss(x))
erfc: Operation = _math("erfc", scipy.special.erfc, lambda y, x: neg(_gauss(x)))
lgamma: Operation = _math("lgamma", scipy.special.gammaln, lambda y, x: digamma(x), cost=200)
digamma: Operation = _math("digamma", scipy.special.digamma, lambda y, x: polygamma(x, n=1), cost=200)


def _polygamma(x: Any, *, n: int) -> Any:
    x = np.asarray(x)
    return np.asarray(scipy.special.polygamma(n, x)).astype(x.dtype)[()]


def _emit_polygamma(code: Any, x: Any, *, n: int) -> Any:
    """(-1)^(n+1) n! zeta(n + 1, x), NIST DLMF 25.11.12."""
    sign = 1.0 if n % 2 else -1.0
    zeta = code.math("zeta", code.constant(n + 1.0, x.dtype), x)
    return code.mul(code.constant(sign * math.factorial(n), x.dtype), zeta)


polygamma: Operation = elementwise(
    "polygamma", _polygamma, _emit_polygamma, lambda y, x, *, n: polygamma(x, n=n + 1), cost=300
)
