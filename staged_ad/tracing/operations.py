"""The table of everything that can be done with a tracer, which ``staged_ad/numpy`` fills.

Invariant: what is not in the table raises and says so.
Start at ``Operations``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Operations:
    """What can be done with a tracer.

    operators
        by the name of the Python operator without underscores ('add', 'getitem', ...); 'setitem' returns the array
        that there is after ``x[index] = value``, 'at' the one after ``ufunc.at(x, indices, values)``,
        'strong' makes arrays of results that stand for Python's numbers.

    Methods
    -------
        array methods and properties by name ('sum', 'T', ...); the tracer is the first argument.
    functions
        by the NumPy or SciPy callable itself, ufuncs included.
    ufunc_methods
        by name ('reduce', 'outer', ...); the ufunc is the first argument.
    views
        names and callables whose result looks into the memory of the array they are given, and False where it cannot
        be written to.
    changes
        names and callables that change the array they are given: they return the array that there is afterwards.
    creators
        functions that make arrays, also of lists that hold traced values, or do not ask arrays for their own ones, by
        their full name ('numpy.zeros', 'scipy.linalg.solve'): ``(original, *args, **kwargs) -> array``; np.r_ and np.c_
        have the key as their argument.
    """

    operators: dict[str, Callable[..., Any]] = field(default_factory=dict)
    methods: dict[str, Callable[..., Any]] = field(default_factory=dict)
    properties: dict[str, Callable[..., Any]] = field(default_factory=dict)
    functions: dict[Callable[..., Any], Callable[..., Any]] = field(default_factory=dict)
    ufunc_methods: dict[str, Callable[..., Any]] = field(default_factory=dict)
    views: dict[str | Callable[..., Any], bool] = field(default_factory=dict)
    changes: dict[str | Callable[..., Any], Callable[..., Any]] = field(default_factory=dict)
    creators: dict[str, Callable[..., Any]] = field(default_factory=dict)


OPERATIONS = Operations()
