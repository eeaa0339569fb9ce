"""np.zeros, np.array and the like inside a traced function: they make arrays that can hold traced values.

NumPy asks nobody when it makes an array from numbers, and what it makes cannot hold a traced value. So while a
function is traced, these functions of the module ``numpy`` are replaced by others, which look at who calls: in a
thread that traces nothing, and for code of NumPy, SciPy, Numba and others of their kind, they are NumPy's own.
Compiled modules such as numpy.random's have no frame to look at and take for granted that they get arrays: while a
function is traced, what they call ``np`` is a module that holds NumPy's own functions.

Invariant: outside of traced functions the module ``numpy``, and what others call so, is as it was imported.
Start at ``creating``.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ExtensionFileLoader
from itertools import chain
from types import FrameType, ModuleType
from typing import Any

import numpy as np

from staged_ad.tracing.operations import OPERATIONS
from staged_ad.tracing.source import is_internal

LIBRARIES = frozenset(
    ("numpy", "scipy", "numba", "llvmlite", "optree", "jax", "jaxlib", "torch", "cupy", "pandas", "matplotlib")
)
"""Packages, beside this one, that get NumPy's own functions: they hand arrays to compiled code."""

_lock = threading.Lock()
_depth = 0
_originals: dict[str, Callable[..., Any]] = {}
_compiled: dict[str, list[tuple[ModuleType, str]]] = {}
"""Of each compiled module, by its name, itself and what it calls NumPy."""


@contextmanager
def creating(active: Callable[[], bool]) -> Iterator[None]:
    """Within it, the functions in ``OPERATIONS.creators`` stand in for NumPy's where ``active()`` holds."""
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            plain = ModuleType("numpy", np.__doc__)
            plain.__dict__.update(np.__dict__)
            for module, name in _compiled_users():
                setattr(module, name, plain)
            for name in OPERATIONS.creators:
                _originals[name] = getattr(np, name)
                setattr(np, name, _creator(name, _originals[name], active))
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                for name, original in _originals.items():
                    setattr(np, name, original)
                for module, name in _compiled_users():
                    setattr(module, name, np)


def _creator(name: str, original: Callable[..., Any], active: Callable[[], bool]) -> Callable[..., Any]:
    @functools.wraps(original)
    def create(*args: Any, **kwargs: Any) -> Any:
        if not active() or "like" in kwargs or _is_library(sys._getframe(1)):
            return original(*args, **kwargs)
        return OPERATIONS.creators[name](original, *args, **kwargs)

    return create


def _compiled_users() -> Iterator[tuple[ModuleType, str]]:
    """The compiled modules that have been imported and their names for NumPy."""
    for key in set(sys.modules) - _compiled.keys():
        module = sys.modules.get(key)
        if type(module) is not ModuleType:  # looking at the attributes of a lazy one would load it
            continue
        found = isinstance(getattr(module.__spec__, "loader", None), ExtensionFileLoader)
        _compiled[key] = [(module, name) for name, value in vars(module).items() if value is np] if found else []
    return chain.from_iterable(_compiled.values())


def _is_library(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package in LIBRARIES or is_internal(frame.f_code)
