"""NumPy's promotion of dtypes and broadcasting of shapes, for traced values.

Invariant: NumPy itself decides: dtypes come from ``ufunc.resolve_dtypes`` and ``np.result_type`` (NEP 50).
Start at ``apply_ufunc``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from numbers import Number
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, DTypeError, OutOfRangeError, ShapeError
from staged_ad.ir import ArrayType, Literal
from staged_ad.ir.types import BOOL, DTYPES, FLOAT64, INT64, as_plain, canonical_dtype, describe, is_other_kind, moving
from staged_ad.primitives.arithmetic import and_, ge, le
from staged_ad.primitives.linalg import require
from staged_ad.primitives.makers import Operation, typeof
from staged_ad.primitives.shaping import broadcast, cast
from staged_ad.tracing import Tracer, literal_of
from staged_ad.tracing.refusals import called


def as_value(x: Any, what: str = "an operand") -> Any:
    """`x` as a tracer or literal; raises ArgumentError for what is neither array nor number."""
    if isinstance(x, Tracer | Literal):
        return x
    if is_other_kind(x):
        raise ArgumentError(
            f"{what} is a {type(x).__name__}, whose operations are not those of arrays; write {as_plain(x)}"
        )
    if isinstance(x, list | tuple):
        if any(isinstance(item, Tracer) for item in _leaves(x)):
            from staged_ad.numpy.shaping import array_of  # lists of tracers are stacked, and shaping needs promotion

            return array_of(x)
        try:
            x = np.asarray(x)
        except ValueError as error:
            raise ArgumentError(f"{what} is a ragged nested list: all rows must have one length") from error
    try:
        return literal_of(x)
    except DTypeError as error:
        if isinstance(x, np.ndarray | np.generic | int):
            raise ArgumentError(f"{what} is {describe(x)}: {error.said}") from None
        advice = f"; write float(x) for a number of type {type(x).__name__}" if isinstance(x, Number) else ""
        raise ArgumentError(f"{what} must be an array or a number, got {describe(x)}{advice or moving(x)}") from None


def _leaves(x: Any) -> Any:
    if isinstance(x, list | tuple):
        for item in x:
            yield from _leaves(item)
    else:
        yield x


_WEAK = {"i": int, "f": float, "c": complex}


def _spec(type: ArrayType) -> Any:
    """What NumPy's promotion functions take for a type: a dtype, or int, float or complex for weak ones."""
    return _WEAK.get(type.dtype.kind, type.dtype) if type.weak else type.dtype


@lru_cache(maxsize=4096)
def _resolve(ufunc: np.ufunc, specs: tuple[Any, ...]) -> tuple[np.dtype[Any], ...]:
    return tuple(ufunc.resolve_dtypes((*specs, *[None] * ufunc.nout)))


def resolve(ufunc: np.ufunc, types: Sequence[ArrayType]) -> tuple[np.dtype[Any], ...]:
    """The dtypes of inputs and outputs that NumPy would choose. Raises DTypeError as NumPy would."""
    weak = all(t.weak for t in types)  # NumPy itself would take Python numbers among themselves for objects
    try:
        found = _resolve(ufunc, tuple(t.dtype if weak else _spec(t) for t in types))
    except TypeError as error:
        raise DTypeError(f"{called(ufunc)}: {error}") from None
    for dtype in found:
        if dtype not in DTYPES:
            raise DTypeError(
                f"{called(ufunc)} of {' and '.join(str(t.dtype) for t in types)} computes in {dtype}, which is not "
                "supported; cast first, as in x.astype(np.float64)"
            )
    return found


def result_dtype(types: Sequence[ArrayType]) -> tuple[np.dtype[Any], bool]:
    """The common dtype of several values, and whether it is weak."""
    if all(t.weak for t in types):
        return max((t.dtype for t in types), key=lambda d: "bifc".index(d.kind)), True
    examples = [t.dtype.type(0).item() if t.weak else t.dtype for t in types]
    return canonical_dtype(np.result_type(*examples)), False


def to_dtype(x: Any, dtype: np.dtype[Any], weak: bool = False) -> Any:
    type: ArrayType = typeof(x)
    if type.dtype == dtype and type.weak == weak:
        return x
    if type.is_complex and dtype.kind not in "bc":
        raise DTypeError(f"casting {type.dtype} to {dtype} drops the imaginary part; write z.real, and cast that")
    if isinstance(x, Literal):
        return _cast_literal(x, ArrayType(type.shape, dtype, weak))
    return cast(x, dtype=dtype, weak=weak)


def _cast_literal(x: Literal, type: ArrayType) -> Literal:
    if not x.is_splat:
        with np.errstate(over="ignore"):
            value = x.value.astype(type.dtype, order="C")
        value.flags.writeable = False
        return Literal(value, type)
    if x.type.weak and type.dtype.kind in "iu":  # a Python number must fit, as in NumPy
        bounds = np.iinfo(type.dtype)
        if not bounds.min <= x.value.item() <= bounds.max:  # NaN is not between them
            if x.type.dtype.kind == "f":
                raise DTypeError(
                    f"the number {x.value} does not fit into {type.dtype}; an array of "
                    "floats holds it, as np.zeros(n) or x.astype(float)"
                )
            raise OutOfRangeError(
                f"Python integer {x.value} out of bounds for {type.dtype}; an array of a wider dtype holds it, as "
                "np.zeros(n, int) or x.astype(int)"
            )
    with np.errstate(over="ignore"):  # 1e6 is infinite in float16
        return Literal(x.value.astype(type.dtype), type)


def to_elements(x: Any, dtype: np.dtype[Any], what: str = "the value") -> Any:
    """`x` as elements of an array of that dtype: numbers have to fit, alone and in lists; arrays wrap around."""
    if isinstance(x, int) and not -(2**63) <= x < 2**63:
        with np.errstate(over="ignore"), suppress(OverflowError):  # if it does not fit, as_value says so
            x = np.array(x, dtype)[()]
    if not isinstance(x, list | tuple):
        return to_dtype(as_value(x.item() if _must_fit(x, dtype) else x, what), dtype)
    if any(isinstance(item, Tracer) for item in _leaves(x)):
        from staged_ad.numpy.shaping import array_of  # lists of tracers are stacked, and shaping needs promotion

        return as_value(array_of(x, dtype))
    if dtype.kind in "iu":
        try:
            x = np.array(x, dtype)
        except (OverflowError, TypeError, ValueError):
            for number in _leaves(x):
                if isinstance(number, int | float | np.number):
                    to_elements(number, dtype, what)  # of which one raises
    return to_dtype(as_value(x, what), dtype)


def _must_fit(x: Any, dtype: np.dtype[Any]) -> bool:
    """Whether NumPy takes a number of its own for one of Python: in unsigned integers they wrap around."""
    if not isinstance(x, np.floating | np.integer):
        return False
    endless = isinstance(x, np.floating) and not abs(x) < 2**63
    return dtype.kind == "i" or (dtype.kind == "u" and endless)


def strong(results: Any) -> Any:
    """What functions of arrays make of Python's numbers are arrays, with a dtype that counts in promotion."""
    if type(results) in (tuple, list):
        return type(results)(map(strong, results))
    return to_dtype(results, results.dtype) if isinstance(results, Tracer) else results


def to_shape(x: Any, shape: tuple[int, ...]) -> Any:
    """`x` broadcast to `shape` by NumPy's rules."""
    type: ArrayType = typeof(x)
    if type.shape == shape:
        return x
    if isinstance(x, Literal) and x.is_splat:
        return Literal(x.value, type.with_shape(shape))
    if isinstance(x, Literal):
        x = x.array
    offset = len(shape) - type.ndim
    return broadcast(x, shape=shape, dims=tuple(range(offset, len(shape))))


def common_shape(types: Sequence[ArrayType]) -> tuple[int, ...]:
    first = types[0].shape
    if all(t.shape == first for t in types):
        return first
    try:
        return np.broadcast_shapes(*(t.shape for t in types))
    except ValueError:
        shapes = " ".join(str(t.shape) for t in types)
        raise ShapeError(f"operands could not be broadcast together with shapes {shapes}") from None


def promote(*xs: Any) -> list[Any]:
    """Values of one shape and dtype."""
    values = [as_value(x) for x in xs]
    types = [typeof(v) for v in values]
    dtype, _ = result_dtype(types)
    shape = common_shape(types)
    return [to_shape(to_dtype(v, dtype), shape) for v in values]


def promote_dtypes(*xs: Any) -> list[Any]:
    """Values of one dtype, each with its own shape."""
    values = [as_value(x) for x in xs]
    dtype, _ = result_dtype([typeof(v) for v in values])
    return [to_dtype(v, dtype) for v in values]


def check_cast(found: ArrayType, dtype: np.dtype[Any], casting: str) -> None:
    """Raise DTypeError where NumPy's rule `casting` does not let `found` be of that dtype."""
    fits = found.weak and found.dtype.kind == "i" and dtype != BOOL  # as Python integers do
    if not np.can_cast(dtype if fits else found.dtype, dtype, casting):  # type: ignore[arg-type]  # the user's
        raise DTypeError(
            f"Cannot cast array data from {found.dtype!r} to {dtype!r} according to the rule {casting!r}; "
            "cast it with astype, or pass casting='unsafe' where that is an option"
        )


def to_float(x: Any) -> Any:
    """Integers and booleans as float64, other numbers as they are: what NumPy's means and quotients do."""
    value = as_value(x)
    type: ArrayType = typeof(value)
    return value if type.inexact else to_dtype(value, FLOAT64, type.weak)


def apply_ufunc(ufunc: np.ufunc, operation: Operation, xs: Sequence[Any], keep_weak: bool = False) -> Any:
    """`operation` on operands promoted and broadcast as `ufunc` would.

    Results of ufuncs are never weak; those of Python operators (`keep_weak`) are when all operands are.
    """
    values = [as_value(x, f"operand {k} of np.{ufunc.__name__}") for k, x in enumerate(xs)]
    types = [typeof(v) for v in values]
    weak = keep_weak and all(t.weak for t in types)
    dtypes = resolve(ufunc, types)
    if len(types) == 2 and dtypes[0] != dtypes[1]:
        raise DTypeError(
            f"np.{ufunc.__name__} of {types[0].dtype} and {types[1].dtype} is not supported; "
            "cast one of them with astype"
        )
    shape = common_shape(types)
    operands = [to_shape(to_dtype(_in_range(v, d), d, weak), shape) for v, d in zip(values, dtypes, strict=False)]
    return operation(*operands)


def _in_range(value: Any, dtype: np.dtype[Any]) -> Any:
    """A traced Python integer, which raises where it does not fit into the dtype of the integers that it meets."""
    type: ArrayType = typeof(value)
    if not (isinstance(value, Tracer) and type.weak and type.dtype == INT64 and dtype.kind in "iu" and dtype != INT64):
        return value
    number, bounds = cast(value, dtype=INT64, weak=False), np.iinfo(dtype)
    fits = ge(number, bounds.min)
    return require(value, and_(fits, le(number, bounds.max)) if bounds.max < 2**63 else fits, error="range")
