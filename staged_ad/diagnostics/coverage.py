"""The table of NumPy's and SciPy's functions: which of them traced values can be given to, and why not the others.

Invariant: a function that ``reasons.py`` does not exclude is supported where the operations of traced values have it,
or this package has one of its own of the same name; else it is MISSING.
Start at ``entries``; ``text`` writes it down.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import scipy
import scipy.linalg
import scipy.special

from staged_ad.diagnostics.reasons import DISCRETE, REASONS, Status
from staged_ad.tracing.protocol import OPERATIONS

MODULES: list[ModuleType] = [np, np.linalg, np.fft, scipy.special, scipy.linalg]
OWN = {
    "numpy": "staged_ad.numpy",
    "scipy.special": "staged_ad.scipy.special",
    "scipy.linalg": "staged_ad.scipy.linalg",
}
"""Where this package has functions under the names of others: those that NumPy's protocols do not reach."""
LISTED = ("numpy", "numpy.linalg", "numpy.fft")
"""Modules of which every function must be decided; of the others, those are listed that are supported."""


@dataclass(frozen=True)
class Entry:
    """One function."""

    module: str
    name: str
    status: Status
    remark: str = ""

    @property
    def qualified(self) -> str:
        return f"{self.module}.{self.name}"


def public(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The public functions of a module, by name: no classes, no modules."""
    names = getattr(module, "__all__", None) or dir(module)
    found = {name: getattr(module, name, None) for name in sorted(names) if not name.startswith("_")}
    return {name: f for name, f in found.items() if callable(f) and not isinstance(f, type | ModuleType)}


@lru_cache
def entries() -> tuple[Entry, ...]:
    """Every function of the modules, in order."""
    return tuple(entry for module in MODULES for entry in _of_module(module))


def _of_module(module: ModuleType) -> Iterator[Entry]:
    own = OWN.get(module.__name__, "")
    replaced = public(_imported(own)) if own else {}
    discrete = DISCRETE.get(module.__name__, "").split()
    reasons = {
        name: (status, why) for m, status, why, names in REASONS if m == module.__name__ for name in names.split()
    }
    for name, function in public(module).items():
        kind = Status.DISCRETE if name in discrete else Status.SUPPORTED
        if name in reasons:
            yield Entry(module.__name__, name, *reasons[name])
        elif _answered(module, name, function):
            yield Entry(module.__name__, name, kind)
        elif name in replaced:
            yield Entry(module.__name__, name, kind, f"as `{own}`")
        elif module.__name__ in LISTED:
            yield Entry(module.__name__, name, Status.MISSING)


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return ModuleType(name)


def _answered(module: ModuleType, name: str, function: Any) -> bool:
    """Whether traced values answer: called by NumPy's protocols, or in the place of a function that makes arrays."""
    if getattr(type(function), "__hash__", None) is None:
        return False
    return (
        function in OPERATIONS.functions
        or function in OPERATIONS.changes
        or (module is np and f"numpy.{name}" in OPERATIONS.creators)
    )


def share() -> tuple[int, int]:
    """How many of NumPy's functions from arrays to arrays of static shape are supported, and how many there are."""
    counted = [entry.status for entry in entries() if entry.module in LISTED]
    good = sum(status in (Status.SUPPORTED, Status.DISCRETE) for status in counted)
    return good, good + sum(status in (Status.REFUSED, Status.MISSING) for status in counted)


def versions() -> str:
    return f"NumPy {_minor(np.__version__)} and SciPy {_minor(scipy.__version__)}"


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def text() -> str:
    """The table in Markdown."""
    good, whole = share()
    lines = [
        "# Functions of NumPy and SciPy on traced values",
        "",
        f"Written by `python -m staged_ad coverage --write docs/coverage.md`, with {versions()}.",
        f"Of the {whole} functions of NumPy that take arrays and return arrays of static shape, {good} are supported "
        f"({100 * good / whole:.1f} %).",
        "tests/test_coverage.py runs every supported function on the examples of tests/coverage.",
    ]
    for module in MODULES:
        found = [entry for entry in entries() if entry.module == module.__name__]
        lines += ["", f"## {module.__name__}", "", "| | count | functions |", "| --- | ---: | --- |"]
        groups: dict[tuple[Status, str], list[str]] = {}
        for entry in sorted(found, key=lambda e: list(Status).index(e.status)):
            groups.setdefault((entry.status, entry.remark), []).append(f"`{entry.name}`")
        for (status, remark), names in groups.items():
            what = f"{status.value}: {remark}" if remark else status.value
            lines.append(f"| {what} | {len(names)} | {' '.join(names)} |")
    return "\n".join(lines) + "\n"
