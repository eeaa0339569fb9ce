"""Libraries that are loaded late: SciPy and Numba take longer to import than this package, and often nobody needs them.

Invariant: a library that is imported while a function is traced finds NumPy and SciPy as they were imported, and what
this package has to add to it is added before anybody calls it.
Start at ``Late`` or ``when_imported``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from staged_ad.tracing.creation import as_imported, is_tracing
from staged_ad.tracing.imports import LIBRARIES


class Late:
    """A module under its name, imported when it is first asked for one of its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name == "__wrapped__":
            raise AttributeError(name)  # doctest only looks whether it is a function; that loads nothing
        return getattr(importlib.import_module(self._name), name)  # which waits where another thread imports it


numba: Any = Late("numba")
scipy_linalg: Any = Late("scipy.linalg")
scipy_special: Any = Late("scipy.special")

_followers: dict[str, str] = {}
"""By the name of a library: the module of this package that is imported after it."""


def when_imported(library: str, follower: str) -> None:
    """Import the module `follower` as soon as `library` has been imported, which may be now."""
    if library in sys.modules:
        importlib.import_module(follower)
    else:
        _followers[library] = follower


class _Finder:
    """Finds what others find, and watches its import where somebody waits for it or a function is being traced."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _followers and not (is_tracing() and name.partition(".")[0] in LIBRARIES):
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Watched(spec.loader)  # type: ignore[assignment]  # the base class is slow to import
        return spec


class _Watched:
    """Loads a module as its own loader does, of which nothing is to be seen afterwards."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        with as_imported():
            self._loader.exec_module(module)
            follower = _followers.pop(module.__name__, None)
            if follower is not None:
                importlib.import_module(follower)


sys.meta_path.insert(0, _Finder())
