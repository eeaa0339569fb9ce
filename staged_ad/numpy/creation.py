"""Arrays made inside a traced function: np.zeros, np.array and the like, which then can hold traced values.

Invariant: what NumPy would make of the arguments, this makes; arrays of dtypes without programs stay NumPy's.
Start at ``CREATORS``; ``tracing/creation.py`` puts them in the place of NumPy's functions.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.ir import Literal
from staged_ad.ir.types import DTYPES, canonical_dtype
from staged_ad.numpy.arrays import is_traced, listed
from staged_ad.numpy.assignment import fitted
from staged_ad.numpy.flat import plain
from staged_ad.numpy.promotion import as_value, to_dtype
from staged_ad.numpy.shaping import array_of, laid_out
from staged_ad.tracing import Tracer, lent, literal_of, traced_constant, tracing_here
from staged_ad.tracing.source import location, user_source
from staged_ad.tracing.trace import unshared
from staged_ad.tracing.views import copied_order, memory_order


def made(result: Any) -> Any:
    """An array of NumPy's as one that can hold traced values."""
    if not isinstance(result, np.ndarray) or type(result) is not np.ndarray or result.dtype not in DTYPES:
        return result
    return in_order(traced_constant(literal_of(result)), memory_order(result))


def in_order(found: Any, order: tuple[int, ...] | None) -> Any:
    """An array that was just made, whose memory NumPy would lay out in that order of its axes."""
    if isinstance(found, Tracer):
        found.order = order
    return found


def _asked_order(shape: Any, order: Any) -> tuple[int, ...] | None:
    return tuple(range(len(shape)))[::-1] if str(order).upper() == "F" and len(shape) > 1 else None


def _constant(original: Any, *args: Any, **kwargs: Any) -> Any:
    """eye, identity: their arguments are numbers."""
    return made(original(*args, **kwargs))


def _filled(value: Any) -> Callable[..., Any]:
    """zeros, ones, empty."""

    def make(original: Any, shape: Any, dtype: Any = float, *args: Any, **kwargs: Any) -> Any:
        found = np.dtype(dtype or float)
        if found not in DTYPES:
            return original(shape, dtype, *args, **kwargs)
        filled = _full(shape, value, found)
        return in_order(filled, _asked_order(filled.shape, args[0] if args else kwargs.get("order")))

    return make


def _full(shape: Any, value: Any, dtype: Any) -> Any:
    target = tuple(map(operator.index, shape)) if np.iterable(shape) else (operator.index(shape),)
    if any(n < 0 for n in target):
        raise ShapeError(f"negative dimensions are not allowed, got {target}")
    found = fitted(to_dtype(as_value(value), canonical_dtype(dtype)), target)
    if isinstance(found, np.ndarray):
        found = literal_of(np.array(found))
    return traced_constant(found) if isinstance(found, Literal) else unshared(found)


def _full_of(original: Any, shape: Any, fill_value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    if dtype is not None and np.dtype(dtype) not in DTYPES:
        return original(shape, fill_value, dtype, *args, **kwargs)
    value = as_value(array_of(fill_value) if isinstance(fill_value, list | tuple) else fill_value)
    filled = _full(shape, value, dtype or value.type.dtype)
    return in_order(filled, _asked_order(filled.shape, args[0] if args else kwargs.get("order")))


def _like(value: Any) -> Callable[..., Any]:
    """zeros_like, ones_like, empty_like; full_like has its value second."""

    def make(original: Any, a: Any, *args: Any, dtype: Any = None, shape: Any = None, **kwargs: Any) -> Any:
        a = listed(a)
        if not isinstance(a, Tracer):
            given = {} if shape is None else {"shape": shape}
            if not is_traced(*args):
                return made(original(a, *args, dtype=dtype, **given, **kwargs))
            a = as_value(np.asarray(a))
        like = a
        number, rest = (value, args) if value is not None else (args[0], args[1:])
        found = dtype if dtype is not None else rest[0] if rest and rest[0] is not None else a.type.dtype
        filled = _full_of(original, a.type.shape if shape is None else shape, number, found)
        order = rest[1] if len(rest) > 1 else kwargs.get("order")
        same = isinstance(like, Tracer) and like.shape == filled.shape
        return in_order(filled, copied_order(like, order) if same else _asked_order(filled.shape, order))

    return make


def _array(original: Any, object: Any, dtype: Any = None, *, copy: Any = True, ndmin: int = 0, **kwargs: Any) -> Any:
    object = plain(object)
    if not is_traced(object):
        found = original(object, dtype, copy=copy, ndmin=ndmin, **kwargs)
        return found if isinstance(object, np.ndarray) and np.may_share_memory(found, object) else made(found)
    if not isinstance(object, Tracer):
        return array_of(object, dtype, ndmin=ndmin)
    found = _taken(object, dtype, kwargs.get("order"), copy)
    missing = (1,) * (ndmin - len(found.shape))
    return found.reshape((*missing, *found.shape)) if missing else found


def _asarray(original: Any, a: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    """An array stays what it is, also NumPy's own; lists, numbers and copies as floats become arrays of ours."""
    a = plain(a)
    if isinstance(a, np.ndarray):
        found = original(a, dtype, *args, **kwargs)
        return found if found.dtype.kind not in "fc" or np.may_share_memory(found, a) else made(found)
    if isinstance(a, Tracer):
        return _taken(a, dtype, args[0] if args else kwargs.get("order"), kwargs.get("copy"))
    if not is_traced(a):
        return made(original(a, dtype, *args, **kwargs))
    return array_of(a, dtype)


def _contiguous(order: str) -> Callable[..., Any]:
    """ascontiguousarray, asfortranarray: arrays without axes get one."""

    def make(original: Any, a: Any, dtype: Any = None, **kwargs: Any) -> Any:
        if not is_traced(a):
            return original(a, dtype, **kwargs) if isinstance(a, np.ndarray) else made(original(a, dtype, **kwargs))
        return _array(np.array, a, dtype, order=order, copy=None, ndmin=1)

    return make


def _require(original: Any, a: Any, dtype: Any = None, requirements: Any = None, **kwargs: Any) -> Any:
    if not is_traced(a):
        return original(a, dtype, requirements, **kwargs)
    wanted = {name[:1].upper() for name in requirements or ()}
    return _array(np.array, a, dtype, order="F" if "F" in wanted else "C" if "C" in wanted else "A", copy=None)


def _taken(a: Any, dtype: Any, order: Any, copy: bool | None) -> Any:
    """An array as np.array takes it; `copy` is None where it needs to be copied only if it must."""
    a = _strong(a)
    found = laid_out(a, dtype, order, copy)
    if copy is False and found is not a:
        raise ValueError(
            f"Unable to avoid copy while creating an array as requested (at {location(user_source())}); write "
            "np.asarray"
        )
    return found


def _copy(original: Any, a: Any, order: Any = "K", *args: Any, **kwargs: Any) -> Any:
    a = listed(a)
    return (
        laid_out(_strong(a), None, order, True) if isinstance(a, Tracer) else made(original(a, order, *args, **kwargs))
    )


def _strong(a: Any) -> Any:
    """A Python number as an array, whose dtype counts in promotion."""
    return a.astype(a.dtype) if a.type.weak else a


def _isscalar(original: Any, element: Any) -> Any:
    """A number that was read from an array is a scalar, an array without axes is none."""
    return (not element.shape and element.number) if isinstance(element, Tracer) else original(element)


def _an_array(create: Callable[..., Any]) -> Callable[..., Any]:
    """What these make is an array also where it has no axes, and can be written to."""

    def apply(original: Any, *args: Any, **kwargs: Any) -> Any:
        found = create(original, *args, **kwargs)
        return found.as_array() if isinstance(found, Tracer) else found

    return apply


CREATORS: dict[str, Callable[..., Any]] = {
    "zeros": _an_array(_filled(0)),
    "ones": _an_array(_filled(1)),
    "empty": _an_array(_filled(0)),
    "full": _an_array(_full_of),
    "zeros_like": _an_array(_like(0)),
    "ones_like": _an_array(_like(1)),
    "empty_like": _an_array(_like(0)),
    "full_like": _an_array(_like(None)),
    "eye": _an_array(_constant),
    "identity": _an_array(_constant),
    "array": _an_array(_array),
    "asarray": _an_array(_asarray),
    "asanyarray": _an_array(_asarray),
    "ascontiguousarray": _an_array(_contiguous("C")),
    "asfortranarray": _an_array(_contiguous("F")),
    "require": _an_array(_require),
    "copy": _an_array(_copy),
    "isscalar": _isscalar,
}
"""By the name of NumPy's function; each takes it first, then its arguments."""

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    getattr(np, name): partial(CREATORS[name], getattr(np, name))
    for name in ("zeros_like", "ones_like", "empty_like", "full_like", "copy")
}
"""Those that NumPy asks us for when they are given a traced array."""

ARRAYS: tuple[Callable[..., Any], ...] = (
    *(np.where, np.select, np.piecewise, np.roll, np.pad, np.resize, np.tensordot, np.cross, np.i0, np.isin),
    *(np.cov, np.block, np.tile, np.apply_over_axes, np.linalg.tensordot, np.linalg.cross, np.diff, np.polyint),
    np.linalg.tensorsolve,
    *FUNCTIONS,
    *(np.fft.fftn, np.fft.ifftn, np.fft.fft2, np.fft.ifft2),
)
"""Of other functions NumPy makes numbers, where there are no axes."""


def array(object: Any, dtype: Any = None, *, copy: Any = True, order: Any = "K", ndmin: int = 0) -> Any:
    """np.array for nested lists that may hold traced values, by a name that can be imported and kept.

    Parameters
    ----------
    object : array, number, or nested list of them
    dtype : dtype, optional
        By default that to which NumPy promotes the elements.
    copy : bool or None
        Whether an array is copied; None copies it only where dtype or order ask for it.
    order : {'K', 'C', 'F', 'A'}
        Of the axes in memory.
    ndmin : int
        The least number of axes; those that lack come first, with length 1.

    Returns
    -------
    array
        Of shape (length of the list, ...). While a function is traced it can hold traced values, and be written to.

    Raises
    ------
    ArgumentError
        Where rows of the list differ in shape, or an element is neither an array nor a number.

    Examples
    --------
    >>> import staged_ad as sad
    >>> sad.jit(lambda x: sad.numpy.array([x, 2 * x]))(1.5)
    array([1.5, 3. ])
    """
    return _made_here("array", object, dtype, copy=copy, order=order, ndmin=ndmin)


def asarray(a: Any, dtype: Any = None) -> Any:
    """np.asarray, whose result takes traced indices while a function is traced: ``asarray(table)[i]``.

    Parameters
    ----------
    a, dtype
        As for `array`.

    Returns
    -------
    array
        A traced array inside of traced functions, else a NumPy array. Where `a` is an array of that dtype, so is the
        result: writing to it while a function is traced raises MutationError.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.jit(lambda i: sad.numpy.asarray(np.array([10.0, 20.0, 30.0]))[i])(1))
    20.0
    """
    found = _made_here("asarray", a, dtype)
    if not tracing_here() or isinstance(found, Tracer):
        return found
    mine = in_order(traced_constant(as_value(found, "the argument of asarray")), memory_order(found)).as_array()
    return lent(mine) if np.may_share_memory(a, found) else mine


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """np.full whose fill value may be traced, by a name that can be imported and kept.

    Parameters
    ----------
    shape : int or sequence of int
        Known while tracing.
    fill_value : array_like
        A number, or an array that is broadcast to `shape`.
    dtype : dtype, optional
        By default that of `fill_value`.

    Returns
    -------
    array of shape `shape`; ShapeError is raised where `fill_value` cannot be broadcast to it, or a length is negative

    Examples
    --------
    >>> import staged_ad as sad
    >>> sad.jit(lambda x: sad.numpy.full(3, x))(1.5)
    array([1.5, 1.5, 1.5])
    """
    return _made_here("full", shape, fill_value, dtype)


def _made_here(name: str, *args: Any, **kwargs: Any) -> Any:
    """What np.<name> makes in the user's own code at this point."""
    original = getattr(np, name)
    return CREATORS[name](original, *args, **kwargs) if tracing_here() else original(*args, **kwargs)
