"""What changes an array in place, and what shares its memory: np.copyto, x.fill, np.add.at; np.reshape, x.T.

Invariant: each function returns the array that there is afterwards, of the same shape and dtype.
Start at ``CHANGES``; ``tracing/views.py`` writes the results into the arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, DTypeError, IndexingError, ShapeError
from staged_ad.ir.types import check_axis
from staged_ad.numpy.assignment import fitted, plain, setitem
from staged_ad.numpy.attributes import parts
from staged_ad.numpy.promotion import as_value, check_cast, to_dtype, to_elements
from staged_ad.numpy.shaping import array_of, ravel, reshape
from staged_ad.numpy.shaping import where as choose
from staged_ad.numpy.taking import within
from staged_ad.numpy.windows import original as sliding_window_view
from staged_ad.primitives.complexes import complex_
from staged_ad.primitives.makers import typeof
from staged_ad.tracing.operations import OPERATIONS


def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> Any:
    value = array_of(src) if isinstance(src, list | tuple) else as_value(src)
    check_cast(typeof(value), typeof(as_value(dst)).dtype, casting)
    new = setitem(dst, ..., value)
    return new if where is True else choose(where, new, dst)


def fill(x: Any, value: Any) -> Any:
    if np.ndim(value):
        raise ShapeError(f"x.fill needs one number, got shape {np.shape(value)}")
    return setitem(x, ..., value)


def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> Any:
    """Positions count in C order; values repeat as often as needed."""
    value = as_value(a)
    positions = np.asarray(ind).reshape(-1) if not hasattr(ind, "atom") else ravel(ind)
    size = typeof(value).size
    if not size and np.size(positions):
        raise IndexingError("np.put: cannot replace elements of an empty array")
    positions = plain(within(positions, size, mode))
    given = to_elements(v, typeof(value).dtype)
    if not typeof(given).size:
        return value
    return reshape(setitem(ravel(value), positions, _repeated(given, positions.size)), typeof(value).shape)


def _repeated(values: Any, size: int) -> Any:
    """The elements of `values` over and over, `size` of them."""
    flat = ravel(values)
    count = typeof(flat).size
    if count == size:
        return flat
    return OPERATIONS.operators["getitem"](flat, np.arange(size) % count)


def putmask(a: Any, mask: Any, values: Any) -> Any:
    """Each element takes the value at its own place, values being repeated."""
    value = as_value(a)
    type = typeof(value)
    given = _safely("putmask", values, type.dtype)
    if not typeof(given).size:
        return value
    new = reshape(_repeated(given, type.size), type.shape)
    return choose(mask, new, value).astype(type.dtype)


def _safely(name: str, values: Any, dtype: np.dtype[Any]) -> Any:
    """`values` as elements of an array of that dtype, into which arrays are cast by the rule 'safe', lists by any."""
    if isinstance(values, list | tuple | int):
        return to_elements(values, dtype)
    given = as_value(values)
    type = typeof(given)
    if (type.ndim or isinstance(values, np.ndarray)) and not np.can_cast(type.dtype, dtype, "safe"):
        raise DTypeError(
            f"np.{name} cannot cast {type.dtype} to {dtype} by the rule 'safe'; write values.astype({dtype})"
        )
    return to_dtype(given, dtype)


def place(arr: Any, mask: Any, vals: Any) -> Any:
    """The elements chosen by a mask take the values in turn: the n-th chosen one takes the n-th."""
    value = as_value(arr)
    chosen = to_dtype(as_value(reshape(as_value(mask), -1)), np.dtype(bool))
    order = OPERATIONS.functions[np.cumsum](chosen) - 1
    if typeof(chosen).size != typeof(value).size:
        raise ShapeError("place: mask and data must be the same size")
    flat = ravel(_safely("place", vals, typeof(value).dtype))
    if not typeof(flat).size:
        if np.any(plain(chosen)):
            raise ValueError("Cannot insert from an empty array!")
        return value
    taken = OPERATIONS.operators["getitem"](flat, np.maximum(order, 0) % typeof(flat).size)
    return choose(chosen, taken, ravel(value)).astype(typeof(value).dtype).reshape(typeof(value).shape)


def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> Any:
    value = as_value(a)
    shape = typeof(value).shape
    marks = np.arange(typeof(value).size).reshape(shape)
    places = np.full(shape, -1)
    np.fill_diagonal(places, 0, wrap)  # NumPy checks the arguments
    positions = marks[places == 0]
    given = to_elements(val, typeof(value).dtype)
    if not typeof(given).size:
        return value
    return reshape(setitem(ravel(value), positions, _repeated(given, positions.size)), shape)


def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None = -1) -> Any:
    value = as_value(arr)
    if axis is None:
        if np.ndim(indices) != 1:
            raise ShapeError("np.put_along_axis without an axis needs indices with one")
        return reshape(setitem(ravel(value), indices, values), typeof(value).shape)
    places, whole = typeof(as_value(indices)).shape, typeof(value).shape
    if len(places) != len(whole):
        raise ShapeError(
            f"np.put_along_axis: indices of {len(places)} axes for an array of {len(whole)}; they need the same number"
        )
    axis = check_axis(axis, len(whole))
    index: list[Any] = [
        np.arange(n).reshape([-1 if k == d else 1 for k in range(len(whole))]) for d, n in enumerate(whole)
    ]
    index[axis] = indices
    shape = np.broadcast_shapes(places, tuple(1 if d == axis else n for d, n in enumerate(whole)))
    return setitem(value, tuple(index), fitted(to_elements(values, typeof(value).dtype), shape))


def _sorting(function: Callable[..., Any]) -> Callable[..., Any]:
    """x.sort() and x.partition() are np.sort and np.partition written into x."""

    def change(x: Any, *args: Any, **kwargs: Any) -> Any:
        place = 0 if function is np.sort else 1
        axis = args[place] if len(args) > place else kwargs.get("axis", -1)
        if axis is None:
            raise ArgumentError(f"x.{function.__name__} needs an axis, got None")
        return OPERATIONS.functions[function](x, *args, **kwargs)

    return change


CHANGES: dict[str | Callable[..., Any], Callable[..., Any]] = {
    "fill": fill,
    "put": put,
    "sort": _sorting(np.sort),
    "partition": _sorting(np.partition),
    np.copyto: copyto,
    np.put: put,
    np.putmask: putmask,
    np.place: place,
    np.fill_diagonal: fill_diagonal,
    np.put_along_axis: put_along_axis,
}
"""Names of methods, and functions, that change their first argument."""

_NAMES = [
    *("reshape", "ravel", "transpose", "permute_dims", "matrix_transpose", "swapaxes", "moveaxis", "rollaxis"),
    *("squeeze", "expand_dims", "atleast_1d", "atleast_2d", "atleast_3d", "flip", "fliplr", "flipud", "rot90"),
    *("split", "array_split", "hsplit", "vsplit", "dsplit", "unstack"),
]


def put_real(z: Any, parts: Any) -> Any:
    """`z` with other real parts."""
    return complex_(parts, OPERATIONS.properties["imag"](z)) if typeof(z).is_complex else parts


def put_imag(z: Any, parts: Any) -> Any:
    """`z` with other imaginary parts."""
    return complex_(OPERATIONS.properties["real"](z), parts)


def put_view(x: Any, elements: Any) -> Any:
    """`x` with other elements, given as x.view(dtype) shows them."""
    given = typeof(elements)
    if given.dtype == typeof(x).dtype:
        return elements
    return complex_(elements[..., ::2], elements[..., 1::2]) if typeof(x).is_complex else parts(elements)


VIEWS: dict[str | Callable[..., Any], bool | Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("T", "mT", "transpose", "swapaxes", "squeeze", "reshape", "ravel", "conj", "conjugate"), True),
    **{getattr(np, name): True for name in _NAMES if hasattr(np, name)},
    **dict.fromkeys((np.einsum, np.linalg.matrix_transpose, np.broadcast_arrays, np.meshgrid), True),
    **dict.fromkeys((np.broadcast_to, np.diagonal, np.diag, np.linalg.diagonal, sliding_window_view), False),
    "diagonal": False,
    "view": put_view,
    **dict.fromkeys(("real", np.real), put_real),
    **dict.fromkeys(("imag", np.imag), put_imag),
}
"""Names of methods and properties, and functions, that may look into memory; False where NumPy's result is read-only.
Of real numbers the conjugate is the array itself."""

SAME: tuple[str | Callable[..., Any], ...] = ("astype", np.astype, np.nan_to_num, np.diff, np.linalg.matrix_power)
"""Names of methods, and functions, that now and then return the array that they are given."""

_BOTH = ("sum", "prod", "mean", "std", "var", "max", "min", "all", "any", "cumsum", "cumprod", "clip", "round")

LAID_OUT: tuple[str | Callable[..., Any], ...] = (
    *("accumulate", "reduce"),
    *_BOTH,
    *[getattr(np, name) for name in _BOTH],
    *(np.where, np.select, np.trapezoid, np.around, np.nan_to_num, np.real_if_close),
    *(np.sort, np.partition, np.diff, np.gradient),
    *(np.concatenate, np.stack, np.vstack, np.hstack, np.dstack, np.column_stack, np.append),
    *(np.median, np.ptp, np.average, np.pad, np.count_nonzero, np.unwrap, np.nansum, np.nanprod),
    *(np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.hfft, np.fft.ihfft),
    *(np.fft.fft2, np.fft.ifft2, np.fft.rfft2, np.fft.irfft2, np.fft.fftn, np.fft.ifftn, np.fft.rfftn, np.fft.irfftn),
)
"""Functions, and names of methods and of ufuncs' methods, that lay out their results as the arrays they are given."""
