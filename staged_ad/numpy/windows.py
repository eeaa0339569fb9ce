"""Windows that slide over an array.

Invariant: NumPy itself says where the elements of each window are.
Start at ``sliding_window_view``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.numpy.arrays import asarray

_original = np.lib.stride_tricks.sliding_window_view


def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    value = asarray(x)
    places = np.arange(value.size).reshape(value.shape)
    return value.reshape(-1)[_original(places, window_shape, axis)]


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {_original: sliding_window_view}
