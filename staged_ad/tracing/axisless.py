"""What has no axes: numbers, which in-place operators replace, and arrays, which they change, views and all.

Invariant: a result is what it is in NumPy; arguments of traced functions may be either, and pass for numbers.
Start at ``numbers``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError
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


Operator = Callable[[Any, Any], Any]


def repeating(forward: Operator, reflected: Operator) -> tuple[Operator, Operator]:
    """The two products, or Python's: a list times a whole number is the list so often, for which the number is read."""

    def repeats(x: Any, other: Any) -> bool:
        if not isinstance(other, list | tuple | str | bytes | bytearray):
            return False
        if x.dtype.kind not in "biu" or not passes_for_number(x):
            return False
        if is_number(x) or x.type.weak:
            return True
        raise ArgumentError(
            f"a {type(other).__name__} times an argument: a number repeats it, an array without axes multiplies it, "
            "and here it may be either; write [...] * int(n) to repeat, np.array([...]) * n to multiply"
        )

    def times(x: Any, other: Any) -> Any:
        return other * int(x) if repeats(x, other) else forward(x, other)

    def timed(x: Any, other: Any) -> Any:
        if not repeats(x, other):
            return reflected(x, other)
        return other * int(x) if x.dtype == np.bool_ else NotImplemented  # the list asks for an index; l *= n stays l

    return times, timed
