"""What NumPy's functions on dtypes say of traced values: result_type, common_type, can_cast.

Invariant: they give dtypes and booleans of Python, never traced values.
Start at ``result_type``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.tracing import Tracer


def _example(x: Any) -> Any:
    """Something untraced that promotes as `x` does: its dtype, or a Python number."""
    if not isinstance(x, Tracer):
        return x
    return x.dtype.type(0).item() if x.type.weak else x.dtype


def result_type(*arrays_and_dtypes: Any) -> Any:
    examples = [_example(x) for x in arrays_and_dtypes]
    if all(isinstance(x, int | float | complex) for x in examples):
        examples = [np.asarray(x).dtype for x in examples]
    return np.result_type(*examples)


def common_type(*arrays: Any) -> Any:
    return np.common_type(*[np.empty(0, x.dtype) for x in arrays])


def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return np.can_cast(from_.dtype if isinstance(from_, Tracer) else from_, to, casting)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.result_type: result_type,
    np.common_type: common_type,
    np.can_cast: can_cast,
}
PROPERTIES: dict[str, Callable[..., Any]] = {
    "itemsize": lambda x: x.dtype.itemsize,
    "nbytes": lambda x: x.size * x.dtype.itemsize,
}
