"""What has no axes: numbers, which in-place operators replace, and arrays, which they change, views and all.

Invariant: a result is what it is in NumPy; arguments of traced functions may be either, and pass for numbers.
Start at ``numbers``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.tracing.numbers import NumberProtocol
from staged_ad.tracing.operations import OPERATIONS

OF_PYTHON = (np.real, np.imag, np.allclose, np.array_equal, np.array_equiv)
"""These may give numbers of Python: parts of a number, and booleans."""
_QUANTILES = {np.median, np.nanmedian, np.quantile, np.nanquantile, np.percentile, np.nanpercentile}
"""These give arrays where they keep the axes that there are not."""


def gives_arrays(function: Callable[..., Any], options: dict[str, Any]) -> bool:
    """Whether a result without axes is an array."""
    return function in OPERATIONS.arrays or (function in _QUANTILES and bool(options.get("keepdims")))


def numbers(results: Any, are: bool = True) -> Any:
    """Results without axes as numbers, which in-place operators do not change; or as arrays."""
    if type(results) in (tuple, list):
        return type(results)(numbers(result, are) for result in results)
    if isinstance(results, NumberProtocol):
        found: Any = results
        found.number = are
    return results


def number(found: Any) -> Any:
    """An element as a number, and one that is known as the number that NumPy would give."""
    element: Any = found
    if not isinstance(found, NumberProtocol) or element.shape:
        return found
    element.number = True
    return found if element.array is None or element.type.weak else element.array[()]


def is_number(x: Any) -> bool:
    """Whether NumPy has a number in its place; arguments may be arrays without axes."""
    return passes_for_number(x) and x.home is not None


def passes_for_number(x: Any) -> bool:
    """Whether NumPy has a number in its place, or may have one."""
    return not x.shape and x.number and x.window is None
