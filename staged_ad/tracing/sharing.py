"""Which results of NumPy's functions share the memory of their operands, and which have a memory of their own.

Invariant: NumPy itself says which, asked about arrays of the same layout in memory.
Start at ``views_of`` and ``apart``; what a view is says views.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from staged_ad.ir import Literal
from staged_ad.tracing.axisless import is_number
from staged_ad.tracing.numbers import NumberProtocol
from staged_ad.tracing.operations import OPERATIONS
from staged_ad.tracing.views import View, common_order, is_integer, layout, looked_at, memory_order, put_by_place


def apart(results: Any, operands: Sequence[Any]) -> Any:
    """Results as arrays of their own: a function that has nothing to do may have returned its operand."""
    if isinstance(results, tuple | list) and type(results) in (tuple, list):
        return type(results)(apart(result, operands) for result in results)
    if isinstance(results, Literal):  # of this package alone: users get its array
        return np.array(results.array)[()]
    if isinstance(results, NumberProtocol):
        found: Any = results
        if found.window is not None:
            return found.handle()
        for operand in operands:
            if found is operand or (isinstance(operand, list | tuple) and any(found is x for x in operand)):
                return found.handle()
    return results


def view_of(found: Any, base: Any, look: Callable[..., Any], put: Callable[..., Any] | None, index: Any = ()) -> Any:
    """`found`, computed by ``look(base)``, as a view of `base`; NumPy's numbers are copied."""
    if not isinstance(found, NumberProtocol):
        return found
    if is_number(base) and put is not None:
        return apart(found, (base,))
    shown: Any = found
    tracer = shown.handle()
    tracer.window = View(base, look, put, index)
    return tracer.as_array()


def views_of(
    function: Callable[..., Any], results: Any, args: Any, kwargs: Any, name: str | Callable[..., Any] = ""
) -> Any:
    """Results of a function that returns views of the arrays among its arguments: of its first, or one of each."""
    bases = [x for x in (*args, *kwargs.values()) if isinstance(x, NumberProtocol)]
    writable = OPERATIONS.views[name or function]

    def look(base: Any) -> Any:
        first = bases[0]
        replaced = {key: base if value is first else value for key, value in kwargs.items()}
        return function(*[base if x is first else x for x in args], **replaced)

    def linked(result: Any, base: Any, look: Callable[..., Any]) -> Any:
        memory, shared = looked_at(base, look)
        if not shared and (writable or base.size):
            return _laid_out(apart(result, (base,)), memory)
        put: Any = writable or None
        if writable is True:
            put = put_by_place(look) if result.size <= base.size else None
        return view_of(result, base, look, put, name)

    if not isinstance(results, tuple | list):
        several = function is np.einsum and sum(isinstance(x, NumberProtocol | np.ndarray) for x in args) > 1
        return linked(results, bases[0], look) if bases and not several else apart(results, bases)
    if len(bases) > 1 and len(args) == len(results):  # np.atleast_1d(x, y)
        return type(results)(
            linked(r, b, _look_at(k, function, args, kwargs)) if isinstance(b, NumberProtocol) else apart(r, bases)
            for k, (r, b) in enumerate(zip(results, args, strict=True))
        )
    return type(results)(linked(r, bases[0], lambda base, k=k: look(base)[k]) for k, r in enumerate(results))


def _laid_out(result: Any, memory: Any) -> Any:
    """A result with memory of its own, laid out as NumPy's."""
    if isinstance(result, NumberProtocol) and isinstance(memory, np.ndarray):
        tracer: Any = result
        tracer.order = memory_order(memory)
    return result


def _look_at(k: int, function: Callable[..., Any], args: Sequence[Any], kwargs: Any) -> Callable[..., Any]:
    """The k-th result as a function of the k-th argument."""

    def look(base: Any) -> Any:
        others = [layout(x) if isinstance(x, NumberProtocol) and isinstance(base, np.ndarray) else x for x in args]
        return function(*[base if n == k else x for n, x in enumerate(others)], **kwargs)[k]

    return look


def ordered_by(function: Callable[..., Any], results: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Results laid out in memory as those of NumPy's `function`: it is asked with few elements of each operand."""
    arrays = [x for arg in (*args, *kwargs.values()) for x in (arg if isinstance(arg, list | tuple) else (arg,))]
    arrays = [x for x in arrays if isinstance(x, NumberProtocol | np.ndarray)]
    if all(map(_is_ordinary, arrays)) or any(0 in x.shape for x in arrays):
        return results
    try:
        with np.errstate(all="ignore"):  # what they hold has no meaning
            memory = function(*map(_small, args), **{name: _small(value) for name, value in kwargs.items()})
    except (ArithmeticError, IndexError, TypeError, ValueError):
        return results
    several = isinstance(results, list | tuple)
    for result, found in zip(results, memory, strict=True) if several else [(results, memory)]:
        if all(result is not x for x in arrays):
            _laid_out(result, found)
    return results


def ordered_by_index(result: Any, base: Any, index: Any) -> Any:
    """Elements at arrays of positions, laid out in memory as NumPy's."""
    if isinstance(result, NumberProtocol) and len(getattr(result, "shape", ())) > 1 and base.size:
        given = [_first_places(part) for part in (index if isinstance(index, tuple) else (index,))]
        arrays = [part for part in given if isinstance(part, np.ndarray) and part.dtype.kind != "b" and part.ndim]
        length = max([2, *(part.shape[-1] for part in arrays)])  # of what a mask selects, as far as is told
        parts = [place for part in given for place in _without_mask(part, length)]
        with suppress(IndexError):
            _laid_out(result, _small(base)[tuple(parts)])
    return result


def _first_places(part: Any) -> Any:
    """A part of an index with the first place for each of its own; masks as they are, of few elements."""
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, slice):
        return slice(None)
    if is_integer(part):
        return 0
    known = _small(part if isinstance(part, NumberProtocol | np.ndarray) else np.asarray(_small(part)))
    return known if known.dtype.kind == "b" else np.zeros_like(known, np.intp)


def _without_mask(part: Any, length: int) -> list[Any]:
    """A mask as arrays of so many positions; what has no axes adds one, as in NumPy."""
    if not isinstance(part, np.ndarray) or part.dtype.kind != "b":
        return [part]
    return [np.zeros(length, np.intp)] * part.ndim if part.ndim else [True]


def _is_ordinary(array: Any) -> bool:
    return bool(array.flags.c_contiguous if isinstance(array, np.ndarray) else not array.window and not array.order)


def _small(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_small, value))
    if not isinstance(value, NumberProtocol | np.ndarray):
        return value
    memory = layout(value) if isinstance(value, NumberProtocol) else value
    return memory[(slice(4),) * memory.ndim]


def ordered_as(results: Any, operands: Sequence[Any]) -> Any:
    """Results that are computed by element, laid out in memory as NumPy would."""
    if isinstance(results, tuple):
        return tuple(ordered_as(result, operands) for result in results)
    if isinstance(results, NumberProtocol) and all(results is not x for x in operands):
        found: Any = results
        if len(found.shape) > 1:
            arrays: list[Any] = [x for x in operands if isinstance(x, NumberProtocol | np.ndarray)]
            found.order = common_order([x for x in arrays if x.shape])
    return results
