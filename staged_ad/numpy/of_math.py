"""Functions of the modules math and cmath.

While a function is traced, math.sqrt(x) and its kin take traced numbers. Their results count as numbers of Python in
the promotion of dtypes, as NumPy sees those of math.

Invariant: arguments that are known give what math gives, errors included; where math would raise for a number that is
not known (math.sqrt(-1.0)), the result is that of NumPy.
Start at ``CREATORS``; ``tracing/creation.py`` puts them in the place of Python's functions.
"""

from __future__ import annotations

import cmath
import functools
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from staged_ad.errors import ConcretizationError
from staged_ad.ir import Literal
from staged_ad.ir.types import COMPLEX128, FLOAT64
from staged_ad.numpy.arrays import is_traced
from staged_ad.numpy.promotion import as_value, to_dtype
from staged_ad.numpy.python_integers import of_unsigned
from staged_ad.numpy.shaping import array_of
from staged_ad.primitives.makers import typeof
from staged_ad.tracing import Tracer, traced_constant
from staged_ad.tracing.libraries import scipy_special
from staged_ad.tracing.source import location, user_source

_WEAK = {"b": None, "i": np.dtype(np.int64), "u": np.dtype(np.int64), "f": FLOAT64, "c": COMPLEX128}
"""The dtypes of Python's numbers, by the kind of those that become them; a boolean stays what it is."""


def as_number(x: Any) -> Any:
    """A value as a number of Python."""
    value = as_value(x)
    dtype = _WEAK[typeof(value).dtype.kind]
    if typeof(value).dtype == np.uint64 and isinstance(value, Tracer):
        return of_unsigned(value)
    return _traced(value if dtype is None else to_dtype(value, dtype, weak=True))


def _traced(value: Any) -> Any:
    return traced_constant(value) if isinstance(value, Literal) else value


def _number(name: str, x: Any, dtype: Any) -> Any:
    """An argument of math as the number that it takes."""
    if isinstance(x, Tracer) and x.shape:
        raise ConcretizationError(f"{name} takes one number, got {x.type}; write the function of NumPy")
    return _traced(to_dtype(as_value(x), dtype, weak=True))


def _of_number(module: ModuleType, name: str, function: Callable[..., Any], dtype: Any = FLOAT64) -> Callable[..., Any]:
    def apply(original: Any, *args: Any) -> Any:
        if all(x.array is not None for x in args if isinstance(x, Tracer)):
            return original(*args)
        if dtype is FLOAT64 and any(isinstance(x, Tracer) and x.dtype.kind == "c" for x in args):
            raise TypeError(f"math.{name} takes no complex number (at {location(user_source())}); write cmath.{name}")
        found = function(*[_number(f"{module.__name__}.{name}", x, dtype) for x in args])
        return tuple(map(as_number, found)) if isinstance(found, tuple) else as_number(found)

    return apply


def _log(x: Any, base: Any = None) -> Any:
    return np.log(x) if base is None else np.log(x) / np.log(base)


def _hypot(*coordinates: Any) -> Any:
    return functools.reduce(np.hypot, coordinates, 0.0)


def _of_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of functions that take many numbers at once."""

    def apply(original: Any, numbers: Any, *args: Any, **kwargs: Any) -> Any:
        numbers = list(numbers)
        if not is_traced([*numbers, *args, *kwargs.values()]):
            return original(numbers, *args, **kwargs)
        return as_number(function(array_of(numbers), *args, **kwargs))

    return apply


def _isclose(original: Any, a: Any, b: Any, *, rel_tol: float = 1e-09, abs_tol: float = 0.0) -> Any:
    if not is_traced([a, b]):
        return original(a, b, rel_tol=rel_tol, abs_tol=abs_tol)
    bound = np.maximum(rel_tol * np.maximum(abs(a), abs(b)), abs_tol)
    return (a == b) | (np.isfinite(a) & np.isfinite(b) & (abs(a - b) <= bound))


_SAME = (
    "sqrt exp expm1 exp2 log1p log2 log10 sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh degrees "
    "radians fabs copysign fmod cbrt isnan isinf isfinite pow nextafter modf frexp"
)
_OTHERS: dict[str, Callable[..., Any]] = {
    "log": _log,
    "hypot": _hypot,
    "erf": lambda x: scipy_special.erf(x),
    "erfc": lambda x: scipy_special.erfc(x),
    "gamma": lambda x: scipy_special.gamma(x),
    "lgamma": lambda x: scipy_special.gammaln(x),
}
_COMPLEX = "sqrt exp log10 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh isnan isinf isfinite"

CREATORS: dict[str, Callable[..., Any]] = {
    **{f"math.{name}": _of_number(math, name, getattr(np, name)) for name in _SAME.split()},
    **{f"math.{name}": _of_number(math, name, function) for name, function in _OTHERS.items()},
    **{f"cmath.{name}": _of_number(cmath, name, getattr(np, name), COMPLEX128) for name in _COMPLEX.split()},
    "cmath.log": _of_number(cmath, "log", _log, COMPLEX128),
    "cmath.phase": _of_number(cmath, "phase", np.angle, COMPLEX128),
    "math.fsum": _of_numbers(np.sum),
    "math.prod": _of_numbers(lambda x, start=1: np.prod(x) * start),
    "math.isclose": _isclose,
}
"""By full name; each takes Python's function first, then its arguments."""
