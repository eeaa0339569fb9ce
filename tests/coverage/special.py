"""Examples of scipy.special: every ufunc of the table in the middle of its domain, and what is no ufunc.

Invariant: edges, tails and reference values are tested in tests/scipy; here are shapes, batches and second derivatives.
Start at ``SPECIAL``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sp

import staged_ad as sad
from staged_ad.diagnostics import coverage
from tests.coverage.example import Example, Table, numbers, ufunc

BETWEEN = (0.31, 0.92)
POINTS = numbers(2, 3, low=0.4, high=3.1)
DOMAINS: dict[str, tuple[tuple[float, float], ...]] = {"huber": ((0.31, 0.5), (0.62, 0.92))}
STATIC: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(["kn", "yn", "expn"], (2,)),
    **dict.fromkeys(["jn", "jv", "jve", "yv", "yve", "iv", "ive", "kv", "kve", "hyp0f1"], (1.3,)),
    **dict.fromkeys(["hyp1f1", "hyperu"], (0.7, 1.3)),
    "hyp2f1": (0.7, 0.9, 1.3),
}
"""Leading arguments, which are orders and parameters without derivatives."""


def _leading(function: np.ufunc) -> tuple[Any, ...]:
    if function.__name__.startswith("eval_"):
        return (3, 1.5, 1.2)[: function.nin - 1]
    return STATIC.get(function.__name__, ())


def _rows(function: np.ufunc) -> list[Example]:
    fixed = _leading(function)
    count = function.nin - len(fixed)
    return ufunc(lambda *xs: function(*fixed, *xs), *DOMAINS.get(function.__name__, (BETWEEN,) * count))


def _own(*calls: Callable[..., Any]) -> list[Example]:
    """Calls of ``staged_ad.scipy.special``, and what SciPy gives."""
    return [
        Example(
            lambda x, f=f: f(sad.scipy.special, x), (POINTS,), expected=lambda x, f=f: f(sp, x), dtypes=("float32",)
        )
        for f in calls
    ]


SPECIAL: Table = {
    **{
        entry.qualified: _rows(getattr(sp, entry.name))
        for entry in coverage.entries()
        if entry.module == "scipy.special" and isinstance(getattr(sp, entry.name), np.ufunc)
    },
    "staged_ad.scipy.special.logsumexp": _own(lambda sp, x: sp.logsumexp(x, axis=0)),
    "staged_ad.scipy.special.softmax": _own(lambda sp, x: sp.softmax(x, axis=1)),
    "staged_ad.scipy.special.log_softmax": _own(lambda sp, x: sp.log_softmax(x, axis=1)),
    "staged_ad.scipy.special.polygamma": _own(lambda sp, x: sp.polygamma(2, x)),
    "staged_ad.scipy.special.zeta": _own(lambda sp, x: sp.zeta(x + 1.2), lambda sp, x: sp.zeta(2.5, x)),
    "staged_ad.scipy.special.multigammaln": _own(lambda sp, x: sp.multigammaln(x + 1, 3)),
    "staged_ad.scipy.special.comb": _own(lambda sp, x: sp.comb(x + 4, x)),
    "staged_ad.scipy.special.perm": _own(lambda sp, x: sp.perm(x + 4, x)),
    "staged_ad.scipy.special.factorial": _own(lambda sp, x: sp.factorial(x)),
    "staged_ad.scipy.special.softplus": _own(lambda sp, x: sp.softplus(x)),
}
