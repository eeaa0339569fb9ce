"""Errors of traced values that several places raise: what Python cannot read, what cannot be written, NumPy's own.

Invariant: what is raised inside of an operation names the user's line, save what the user's own functions raise.
Start at ``raise_located``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, IndexingError, InvalidValueError, MutationError, StagedADError
from staged_ad.frames import is_internal

_OURS: dict[type[Exception], type[StagedADError]] = {
    ValueError: InvalidValueError,
    TypeError: ArgumentError,
    IndexError: IndexingError,
}
PLAIN = tuple(_OURS)
"""Exceptions that NumPy raises for bad arguments."""


def called(function: Callable[..., Any]) -> str:
    """What users call a function of NumPy or SciPy: ``np.linalg.norm``, ``scipy.special.erf``."""
    name = function.__name__
    if not isinstance(function, np.ufunc):
        return f"{function.__module__}.{name}".replace("numpy.", "np.", 1)
    modules = {"np": np, "scipy.special": sys.modules.get("scipy.special")}  # a ufunc does not always say its own
    return next((f"{place}.{name}" for place, it in modules.items() if getattr(it, name, None) is function), name)


def raise_located(error: Exception, name: str) -> None:
    """Raise an error of NumPy or Python from within the operation `name` as ours, with the user's line."""
    kind = _OURS.get(type(error))
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if kind is not None and trace is not None and is_internal(trace.tb_frame.f_code):  # no function of the user
        raise kind(f"{name}: {error}") from error


def not_ours(name: str) -> MutationError:
    return MutationError(
        f"{name} cannot write a traced value into this NumPy array: it was made outside of the traced function, or "
        "computed from such arrays or numbers alone. Wrap what makes it in np.array, as in u = np.array(np.sin(grid)), "
        "whose result can be written to; or write y = y + x instead of y += x"
    )
