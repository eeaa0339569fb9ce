"""The user's own names for functions of NumPy and SciPy, as after ``from scipy.linalg import cho_solve``.

Invariant: only modules of the user are looked at, and of these only what a traced function can reach through its
globals and closures; of an installed package that they name, what it reaches of itself, once.
Start at ``namespaces``.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

from staged_ad.frames import is_internal

LIBRARIES = frozenset(
    ("numpy", "scipy", "numba", "llvmlite", "optree", "jax", "jaxlib", "torch", "cupy", "pandas", "matplotlib")
)
"""Packages, beside this one, that get NumPy's own functions: they hand arrays to compiled code."""

_reached: dict[int, tuple[dict[str, Any], int, list[Any]]] = {}  # the same for installed packages, as a whole
_leads: dict[int, tuple[dict[str, Any], int, list[Any]]] = {}  # by namespace: itself, its length, what it leads to


def package_of(namespace: dict[str, Any]) -> str:
    """The name of the package whose code has these globals."""
    return str(namespace.get("__name__", "")).partition(".")[0]


def namespaces(f: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """The globals of the user's modules that `f` can reach."""
    pending: list[Any] = [f]
    seen: set[int] = set()
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if type(value) is dict:
            if _is_installed(value):
                yield from _of_package(value)
            else:
                yield value
                pending += _led(value)
        elif isinstance(value, FunctionType):
            pending += _contents(value)
            if not is_internal(value.__code__) and not _is_foreign(value.__globals__):
                pending.append(value.__globals__)
        elif isinstance(value, functools.partial):
            pending += [value.func, *filter(callable, value.args)]
        elif isinstance(value, MethodType):
            pending += [value.__func__, value.__self__]
        elif not isinstance(value, type):  # an object that is called
            pending.append(getattr(value, "__wrapped__", None) or type(value).__call__)


def _contents(f: FunctionType) -> Iterator[Any]:
    """Functions that a closure holds."""
    for cell in f.__closure__ or ():
        try:
            value = cell.cell_contents
        except ValueError:  # not yet set
            continue
        if callable(value):
            yield value


def _led(namespace: dict[str, Any]) -> list[dict[str, Any]]:
    """The namespaces that the values in one come from; looked for again when names were added."""
    known = _leads.get(id(namespace))
    if known is None or known[0] is not namespace or known[1] != len(namespace):
        found: dict[int, dict[str, Any]] = {}
        for value in list(namespace.values()):
            other = _home(value)
            if type(other) is dict and other is not namespace and not _is_foreign(other):
                found[id(other)] = other
        known = _leads[id(namespace)] = namespace, len(namespace), list(found.values())
    return known[2]


def _home(value: Any) -> Any:
    """The namespace of a module, or of that which a function, a class or an object comes from."""
    if isinstance(value, ModuleType):
        return vars(value)
    if isinstance(value, FunctionType):
        return value.__globals__
    module = sys.modules.get(str(getattr(value, "__module__", None)))
    return None if module is None else vars(module)


def _of_package(namespace: dict[str, Any]) -> list[dict[str, Any]]:
    """Namespaces of an installed package, reached from one of it, that have names for functions of NumPy or SciPy."""
    known = _reached.get(id(namespace))
    if known is None or known[0] is not namespace or known[1] != len(namespace):
        package, found, pending = package_of(namespace), {id(namespace): namespace}, [namespace]
        while pending:
            others = [other for other in _led(pending.pop()) if package_of(other) == package and id(other) not in found]
            found.update((id(other), other) for other in others)
            pending += others
        named = [other for other in found.values() if any(map(_is_numpys, list(other.values())))]
        known = _reached[id(namespace)] = namespace, len(namespace), named
    return known[2]


def _is_numpys(value: Any) -> bool:
    module = "" if isinstance(value, ModuleType) else str(getattr(value, "__module__", None) or "")
    return module.partition(".")[0] in ("numpy", "scipy", "math", "cmath")


def _is_installed(namespace: dict[str, Any]) -> bool:
    return "site-packages" in str(namespace.get("__file__") or "")


def _is_foreign(namespace: dict[str, Any]) -> bool:
    """Whether code with these globals is that of a library which gets NumPy's own functions."""
    package = package_of(namespace)
    if package == "__main__":
        return False
    if package in LIBRARIES or package in sys.stdlib_module_names:
        return True
    if package == "staged_ad":
        return not str(namespace["__name__"]).startswith("staged_ad.demo")
    return False
