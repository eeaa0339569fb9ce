"""Windows that slide over an array.

Invariant: NumPy itself says where the elements of each window are.
Start at ``sliding_window_view``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import MutationError
from staged_ad.numpy.arrays import asarray

original = np.lib.stride_tricks.sliding_window_view


def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    if writeable:
        raise MutationError(
            "sliding_window_view(..., writeable=True) of a traced array: windows that "
            "overlap cannot be written to; write to the array itself"
        )
    value = asarray(x)
    places = np.arange(value.size).reshape(value.shape)
    return value.reshape(-1)[original(places, window_shape, axis)]


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {original: sliding_window_view}
