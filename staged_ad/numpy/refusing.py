"""Functions of NumPy that traced values cannot be given to: why, and what to write instead.

Invariant: each raises UnsupportedError with its reason, also where NumPy would ask for the numbers itself.
Start at ``REFUSED``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from staged_ad.errors import UnsupportedError
from staged_ad.numpy.of_lists import making
from staged_ad.tracing import Tracer

REFUSED: dict[str, str] = {
    "asarray_chkfinite": "which numbers are finite is not known; write np.asarray",
    "frompyfunc": (
        "it calls a Python function for every number; write the function with NumPy, or map it by staged_ad.vmap"
    ),
}
"""Why not, by the names of functions whose results have static shapes."""

DYNAMIC: dict[str, str] = {
    "unique unique_all unique_counts unique_inverse unique_values": (
        "how many elements there are depends on values; staged_ad.numpy.unique(x, size=n) takes as many as asked"
    ),
    "intersect1d setdiff1d setxor1d union1d": (
        "how many elements there are depends on values; np.sort keeps the shape, and np.isin says what is there"
    ),
    "trim_zeros": "how many zeros there are depends on values; cut by a slice of static length",
    "polydiv": (
        "how many coefficients of the remainder are zero depends on values; write the division, for k in range(len(u) "
        "- len(v) + 1): q[k] = u[k] / v[0]; u[k : k + len(v)] -= q[k] * v"
    ),
    "roots": (
        "how many coefficients are zero depends on values; np.polyval and np.convolve take them all, and the "
        "eigenvalues of the companion matrix are the roots"
    ),
}
"""Why not, by the names of functions whose results have shapes that depend on values."""


def _refusing(name: str, reason: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedError(f"np.{name} is not supported on traced values: {reason}")

    return refuse


def _unless_known(name: str, reason: str) -> Callable[..., Any]:
    refuse = _refusing(name, reason)

    def apply(original: Any, *args: Any, **kwargs: Any) -> Any:
        unknown = [x for x in (*args, *kwargs.values()) if isinstance(x, Tracer) and x.array is None]
        return refuse() if unknown else making(original, *args, **kwargs)

    return apply


CREATORS: dict[str, Callable[..., Any]] = {
    "asarray_chkfinite": _unless_known("asarray_chkfinite", REFUSED["asarray_chkfinite"])
}
"""By the names of functions that do not ask arrays for their own ones."""

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    getattr(np, name): _refusing(name, reason)
    for names, reason in {**REFUSED, **DYNAMIC}.items()
    for name in names.split()
    if hasattr(np, name)
}
