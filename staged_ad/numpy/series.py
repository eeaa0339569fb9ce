"""The series of np.polynomial on traced values: values, classes and Vandermonde matrices.

Invariant: this module is imported after np.polynomial, which NumPy itself imports late.
Start at ``_value``.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from staged_ad.numpy.arrays import asarray, is_traced
from staged_ad.tracing import Tracer
from staged_ad.tracing.operations import OPERATIONS


def _class_value(original: Callable[..., Any], self: Any, arg: Any) -> Any:
    """``p(x)`` for an object of np.polynomial.Polynomial, Chebyshev and so on."""
    if not is_traced(arg):
        return original(self, arg)
    offset, scale = np.polynomial.polyutils.mapparms(self.domain, self.window)
    return self._val(offset + scale * asarray(arg), self.coef)


def _value(original: Callable[..., Any], x: Any, c: Any, tensor: bool = True) -> Any:
    """np.polynomial.legendre.legval and its kin: ``sum_k c[k] P_k(x)``."""
    if not is_traced(x, c):
        return original(x, c, tensor)
    if is_traced(x):
        x = asarray(x)
    if not is_traced(c):
        return original(x, c, tensor)
    c = np.atleast_1d(asarray(c))
    weights = c.reshape(c.shape + (1,) * np.ndim(x)) if tensor else c
    terms = [weights[k] * basis for k, basis in enumerate(_bases(original, x, len(c)))]
    return sum(terms[1:], terms[0])


def _bases(value: Callable[..., Any], x: Any, count: int) -> list[Any]:
    """``P_k(x)`` for each k below `count`."""
    return [value(x, unit[: k + 1]) for k, unit in enumerate(np.eye(count))]


def _matrix(value: Callable[..., Any], original: Callable[..., Any], x: Any, deg: Any) -> Any:
    """np.polynomial.legendre.legvander and its kin: the bases along the last axis."""
    if not isinstance(x, Tracer) and not is_traced(x):
        return original(x, deg)
    degree = operator.index(deg)
    if degree < 0:
        raise ValueError("deg must be non-negative")
    x = np.atleast_1d(asarray(x)) + 0.0
    return np.stack(np.broadcast_arrays(*_bases(value, x, degree + 1)), axis=-1)


_FAMILIES = {
    "polynomial": "poly",
    "chebyshev": "cheb",
    "legendre": "leg",
    "laguerre": "lag",
    "hermite": "herm",
    "hermite_e": "herme",
}


def _family(module: str, prefix: str) -> dict[str, Callable[..., Any]]:
    path = f"numpy.polynomial.{module}"
    value = getattr(importlib.import_module(path), f"{prefix}val")
    return {f"{path}.{prefix}val": _value, f"{path}.{prefix}vander": partial(_matrix, value)}


def _untrimmed(original: Callable[..., Any], seq: Any) -> Any:
    """polyutils.trimseq; a traced coefficient that is zero now is none to drop: it has a derivative."""
    return seq if is_traced(seq) else original(seq)


OPERATIONS.creators["numpy.polynomial.polyutils.trimseq"] = _untrimmed
OPERATIONS.creators["numpy.polynomial._polybase.ABCPolyBase.__call__"] = _class_value
for _module, _prefix in _FAMILIES.items():
    OPERATIONS.creators.update(_family(_module, _prefix))
