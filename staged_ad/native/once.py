"""What is made once per process: locked, so that several threads may compile at once, and safe to fork.

Invariant: a function under ``once`` runs once for each tuple of arguments, and its result is never dropped.
Start at ``once``; ``LOCK`` also serialises LLVM.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

LOCK = threading.RLock()


P = ParamSpec("P")
R = TypeVar("R")


class once(Generic[P, R]):  # noqa: N801  # a decorator, named as functools names its own
    """Like functools.cache, which may run a function twice when two threads are first at the same time."""

    def __init__(self, function: Callable[P, R]) -> None:
        self._function = function
        self._results: dict[Any, R] = {}
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        key = args, tuple(kwargs.items())
        try:
            return self._results[key]
        except KeyError:
            with LOCK:
                if key not in self._results:
                    self._results[key] = self._function(*args, **kwargs)
                return self._results[key]


def _llvmlite_lock() -> Any:
    """The lock that llvmlite holds during each of its calls, once it has been imported."""
    ffi = getattr(sys.modules.get("llvmlite.binding"), "ffi", None)
    return getattr(getattr(ffi, "lib", None), "_lock", None)


def _before_fork() -> None:
    # a child would inherit a lock held by a thread that it does not have
    LOCK.acquire()
    inner = _llvmlite_lock()
    if inner is not None:
        inner.__enter__()


def _after_fork() -> None:
    inner = _llvmlite_lock()
    if inner is not None:
        inner.__exit__(None, None, None)
    LOCK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
