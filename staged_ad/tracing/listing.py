"""Ufuncs that are given lists of traced values, as in np.sqrt([x, y]): what stands in for them.

NumPy makes an array of a list before it asks anybody. So a function in which that has failed is traced once more, with
other functions in the place of its ufuncs, which look into the lists.

Invariant: a stand-in is equal to its ufunc, and an instance of np.ufunc, but not the same object.
Start at ``Listing``; ``creation.py`` puts them where the ufuncs are.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.tracing.operations import OPERATIONS

_of: dict[int, Any] = {}  # by ufunc


class Listing:
    """Stands in for one ufunc."""

    def __init__(self, name: str, original: np.ufunc, active: Callable[[], bool]) -> None:
        functools.update_wrapper(self, original)
        self._name, self._original, self._active = name, original, active

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._applied(self._original, *args, **kwargs)

    def _applied(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._active():
            return function(*args, **kwargs)
        return OPERATIONS.operators["of_lists"](function, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._original, name)
        return functools.partial(self._applied, found) if callable(found) else found

    __class__ = property(lambda self: np.ufunc)  # what isinstance goes by

    def __reduce__(self) -> Any:
        return imported, (self._name,)

    def __hash__(self) -> int:
        return hash(self._original)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._original

    @property
    def _numba_type_(self) -> Any:
        """What Numba takes it for, when a user's function is compiled while another is traced: the ufunc."""
        from numba.core.registry import cpu_target  # only code of Numba asks, which has been imported then

        return cpu_target.typing_context.resolve_value_type(self._original)


UFUNCS: dict[str, dict[str, np.ufunc]] = {}
"""The ufuncs of NumPy and SciPy by module and name, as imported."""
STAND_INS: dict[str, dict[str, Any]] = {}
"""What stands in for each."""


def prepare(active: Callable[[], bool]) -> None:
    """Stand-ins that look into lists where ``active()`` holds, for the modules that have been imported."""
    for path in ("numpy", "scipy.special"):
        if path in sys.modules and path not in UFUNCS:
            named = {name: f for name, f in vars(sys.modules[path]).items() if type(f) is np.ufunc}
            _of.update({id(f): Listing(f"{path}.{name}", f, active) for name, f in named.items()})
            UFUNCS[path], STAND_INS[path] = named, {name: _of[id(f)] for name, f in named.items()}


def stand_in_of(function: Any) -> Any:
    """What stands in for a ufunc; None for what is none."""
    return _of.get(id(function))


def imported(name: str) -> Any:
    """What has that full name; pickles hold it, so that other processes get NumPy's own functions."""
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)
