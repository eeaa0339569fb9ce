"""np.zeros, np.array and the like inside a traced function: they make arrays that can hold traced values.

NumPy asks nobody when it makes an array from numbers, and what it makes cannot hold a traced value; and functions of
SciPy do not ask an array for its own ones. So while a function is traced, some functions of these modules are replaced
by others, which look at who calls: in a thread that traces nothing, and for code of NumPy, SciPy, Numba and others of
their kind, they are NumPy's and SciPy's own.

Invariant: outside of traced functions the modules are as they were imported.
Start at ``creating``.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from staged_ad.frames import is_internal
from staged_ad.tracing.imports import LIBRARIES, namespaces, package_of
from staged_ad.tracing.numbers import NumberProtocol
from staged_ad.tracing.operations import OPERATIONS
from staged_ad.tracing.source import called_name

_lock = threading.RLock()
_depth = 0
"""How many functions are being traced, in all threads."""
_plain = 0
"""How many ask for the modules as they were imported meanwhile."""
_active: Callable[[], bool] = bool
_originals: dict[str, dict[str, Any]] = {}
_stand_ins: dict[str, dict[str, Any]] = {}
"""Functions by module and name: those of the modules as imported, and what stands in for them."""
_replacing: dict[int, Any] = {}
"""What stands in for a function, by the function."""
_users: dict[int, tuple[dict[str, Any], dict[str, Any], int]] = {}
"""Namespaces of the user: each with the functions that were replaced in it, and for how many traces."""


@contextmanager
def creating(f: Callable[..., Any], active: Callable[[], bool]) -> Iterator[None]:
    """Within it, the functions in ``OPERATIONS.creators`` stand in for NumPy's and SciPy's where ``active()`` holds.

    So they do under the names that the user's modules, as far as `f` reaches them, have for them.
    """
    global _active, _depth
    with _lock:
        _active = active
        _depth += 1
        if _depth == 1 and not _plain:
            _stand_in_for_all()
        changed = [_replace(namespace) for namespace in list(namespaces(f))]
    try:
        yield
    finally:
        with _lock:
            for number in changed:
                _restore(number)
            _depth -= 1
            if _depth == 0 and not _plain:
                _install(_originals)


def _replace(namespace: dict[str, Any]) -> int:
    _, own, count = _users.get(id(namespace), (namespace, {}, 0))
    if not count:
        own = {name: value for name, value in list(namespace.items()) if id(value) in _replacing}
        namespace.update({name: _replacing[id(value)] for name, value in own.items()})
    _users[id(namespace)] = namespace, own, count + 1
    return id(namespace)


def _restore(number: int) -> None:
    namespace, own, count = _users.pop(number)
    if count > 1:
        _users[number] = namespace, own, count - 1
        return
    for name, value in own.items():
        if namespace.get(name) is _replacing[id(value)]:  # not what the user has put there since
            namespace[name] = value


@contextmanager
def as_imported() -> Iterator[None]:
    """Within it, the modules are as they were imported, for all threads: it is to be short."""
    global _plain
    with _lock:
        _plain += 1
        if _depth:
            _install(_originals)
    try:
        yield
    finally:
        with _lock:
            _plain -= 1
            if _depth and not _plain:
                _stand_in_for_all()


def called(f: Callable[..., Any]) -> Callable[..., Any]:
    """What a transform calls for `f` while it traces: for NumPy's and SciPy's functions what stands in for them."""
    if isinstance(f, functools.partial):
        return functools.partial(called(f.func), *f.args, **f.keywords)
    stand_in = _replacing.get(id(f), f)
    return stand_in.asked if isinstance(stand_in, _Creator) and _active() else f


def is_tracing() -> bool:
    """Whether a function is being traced, in any thread."""
    return _depth > 0


def _stand_in_for_all() -> None:
    _prepare()
    _install(_stand_ins)


def _install(functions: dict[str, dict[str, Any]]) -> None:
    for path, named in functions.items():
        holder = _holder(path)
        for name, value in named.items():
            setattr(holder, name, value)


def _holder(path: str) -> Any:
    """A module, or a class in one; None for a module that nobody has imported."""
    if path in sys.modules:
        return sys.modules[path]
    module, _, name = path.rpartition(".")
    return vars(sys.modules[module]).get(name)  # getattr would import numpy.random


def _prepare() -> None:
    """Stand-ins for the functions that the modules have now."""
    for module, names in _names(tuple(OPERATIONS.creators)).items():
        holder = _holder(module)
        if holder is None:
            continue
        namespace = vars(holder)
        present = {name: namespace[name] for name in names}
        if _originals.get(module) != present:
            _originals[module] = present
            _stand_ins[module] = {
                name: _stand_in(f"{module}.{name}", f, _active, isinstance(holder, type)) for name, f in present.items()
            }
            _replacing.update((id(f), _stand_ins[module][name]) for name, f in present.items())


@functools.lru_cache(maxsize=8)
def _names(creators: tuple[str, ...]) -> dict[str, list[str]]:
    """The names in each module, from full ones such as 'scipy.linalg.solve'."""
    found: dict[str, list[str]] = {}
    for creator in creators:
        module, _, name = creator.rpartition(".")
        found.setdefault(module, []).append(name)
    return found


def _stand_in(name: str, original: Any, active: Callable[[], bool], of_class: bool) -> Any:
    if of_class:
        return _method(name, original, active)
    return _Creator(name, original, active) if callable(original) else _Indexed(name, original, active)


def _method(name: str, original: Callable[..., Any], active: Callable[[], bool]) -> Callable[..., Any]:
    """Stands in for a method of a class of NumPy; an object may be made by another one, as by p.deriv()."""
    makes = name.endswith("__init__")

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked = makes or package_of(sys._getframe(1).f_globals) not in LIBRARIES or holds_traced(args)
        if not active() or not asked:
            return original(self, *args, **kwargs)
        return OPERATIONS.creators[name](original, self, *args, **kwargs)

    return call


class _Creator:
    """Stands in for one function of NumPy, and for it as a key of a dictionary."""

    def __init__(self, name: str, original: Callable[..., Any], active: Callable[[], bool]) -> None:
        functools.update_wrapper(self, original)
        self._name, self._original, self._active = name, original, active
        self._last = name.rpartition(".")[2]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._active() or "like" in kwargs or not _is_asked(sys._getframe(1), self._last):
            return self._original(*args, **kwargs)
        return self.asked(*args, **kwargs)

    def asked(self, *args: Any, **kwargs: Any) -> Any:
        """What the user's own code gets."""
        return OPERATIONS.creators[self._name](self._original, *args, **kwargs)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return _imported, (self._name,)

    def __hash__(self) -> int:
        return hash(self._original)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._original

    @property
    def _numba_type_(self) -> Any:
        """What Numba takes it for, when a user's function is compiled while another is traced: NumPy's own."""
        from numba.core.registry import cpu_target  # only code of Numba asks, which has been imported then

        return cpu_target.typing_context.resolve_value_type(self._original)


class _Indexed:
    """Stands in for np.r_ and np.c_, which make an array of what is between their brackets."""

    def __init__(self, name: str, original: Any, active: Callable[[], bool]) -> None:
        self._name, self._original, self._active = name, original, active

    def __getitem__(self, key: Any) -> Any:
        if not self._active() or _is_library(sys._getframe(1)):
            return self._original[key]
        return OPERATIONS.creators[self._name](self._original, key)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return _imported, (self._name,)


def _imported(name: str) -> Any:
    """What has that full name; pickles hold it, so that other processes get NumPy's own functions."""
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def _is_library(frame: FrameType) -> bool:
    if str(frame.f_globals.get("__name__")).startswith("numpy.polynomial."):
        return not holds_traced(frame.f_locals.values())  # plain Python, which works on traced values as the user's
    return package_of(frame.f_globals) in LIBRARIES or is_internal(frame.f_code)


def holds_traced(values: Iterable[Any]) -> bool:
    """Whether a traced value is among these, or in lists and tuples of them."""
    return any(holds_traced(x) if type(x) in (list, tuple) else isinstance(x, NumberProtocol) for x in values)


def _is_asked(frame: FrameType, name: str) -> bool:
    """Whether it is the user's own code that calls a function of that name."""
    if _is_library(frame):
        return False
    called = called_name(frame.f_code, frame.f_lasti)
    # compiled extensions have no frames: what np.random calls seems to be called by who calls np.random
    if called == name:
        return True
    names = frame.f_code.co_names
    if called is None:
        return name in names and "random" not in names
    if hasattr(builtins, called):  # list(map(np.array, rows))
        return name in names
    return isinstance(frame.f_locals.get(called, frame.f_globals.get(called)), _Creator)
