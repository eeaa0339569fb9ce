"""The table of everything that can be done with a tracer, which ``staged_ad/numpy`` fills.

Invariant: what is not in the table raises and says so.
Start at ``Operations``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any


class Deferring:
    """Base of operands that tracers leave an operation to."""

    __slots__ = ()


class Operations:
    """What can be done with a tracer.

    operators
        by the name of the Python operator without underscores ('add', 'getitem', ...); 'setitem' returns the array
        that there is after ``x[index] = value``, 'at' the one after ``ufunc.at(x, indices, values)``,
        'strong' makes arrays of results that stand for Python's numbers, 'known' gives the elements of a mask where
        Python could read them, else None.
    properties, methods
        those of arrays by name ('T', 'sum', ...); the tracer is the first argument.
    functions
        by the NumPy or SciPy callable itself, ufuncs included.
    ufunc_methods
        by name ('reduce', 'outer', ...); the ufunc is the first argument.
    views
        names and callables whose result looks into the memory of the array they are given: False where it cannot be
        written to, ``(array, elements) -> array`` where the elements of the result are no elements of the array.
    arrays
        functions of which the result is an array, no number, also where it has no axes.
    same
        functions and names of methods whose result is the array they are given, where they return it.
    laid_out
        functions, and names of methods and of ufuncs' methods, whose result is laid out in memory as the arrays they
        are given.
    changes
        names and callables that change the array they are given: they return the array that there is afterwards.
    creators
        functions that make arrays, also of lists that hold traced values, or do not ask arrays for their own ones, by
        their full name ('numpy.zeros', 'scipy.linalg.solve'): ``(original, *args, **kwargs) -> array``; np.r_ and np.c_
        have the key as their argument.
    of_masked
        functions, ufuncs and names of methods that take what a mask selects where its length is not known, and
        'reduce', whose first argument is the ufunc.
    """

    def __init__(self) -> None:
        self.operators: dict[str, Callable[..., Any]] = {}
        self.methods: dict[str, Callable[..., Any]] = {}
        self.properties: dict[str, Callable[..., Any]] = {}
        self.functions: dict[Callable[..., Any], Callable[..., Any]] = {}
        self.ufunc_methods: dict[str, Callable[..., Any]] = {}
        self.views: dict[str | Callable[..., Any], bool | Callable[[Any, Any], Any]] = {}
        self.arrays: set[Callable[..., Any]] = set()
        self.same: set[str | Callable[..., Any]] = set()
        self.laid_out: set[str | Callable[..., Any]] = set()
        self.changes: dict[str | Callable[..., Any], Callable[..., Any]] = {}
        self.creators: dict[str, Callable[..., Any]] = {}
        self.of_masked: dict[str | Callable[..., Any], Callable[..., Any]] = {}

    def stand_in(self, module: ModuleType, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Let functions be called in the place of those of the same name in a module."""
        for name, function in functions.items():
            if hasattr(module, name):
                self.creators[f"{module.__name__}.{name}"] = _without_original(function)


def _without_original(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda original, *args, **kwargs: function(*args, **kwargs)


OPERATIONS = Operations()
