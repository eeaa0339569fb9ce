"""Assignment to elements as a function: the array that ``x[index] = value`` would leave behind.

Invariant: no array is modified; values, casts and the order of repeated assignments are NumPy's.
Start at ``setitem``; ``at`` is the same as methods, ``x.at[index].add(value)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, ShapeError, UnsupportedError
from staged_ad.ir import ArrayType, Literal
from staged_ad.ir.types import BOOL, INT64, Shape
from staged_ad.numpy.indexing import Selection, read, read_mask, selection
from staged_ad.numpy.masked import Masked, MaskedIndex, getitem, masked_index, refusal
from staged_ad.numpy.promotion import as_value, to_dtype, to_elements, to_shape
from staged_ad.numpy.ufuncs import UFUNCS
from staged_ad.primitives.indexing import MODES, scatter, update
from staged_ad.primitives.makers import typeof
from staged_ad.primitives.shaping import broadcast, reshape, reverse, transpose
from staged_ad.tracing import Tracer

ELEMENTS_ARE_NUMBERS = np.lib.NumpyVersion(np.__version__) >= "2.4.0"
"""Whether NumPy refuses arrays of one element, which it took before, as elements of arrays."""


def setitem(x: Any, index: Any, value: Any) -> Any:
    """The array that ``x[index] = value`` makes of `x`.

    The value is broadcast to ``x[index]`` and cast to the dtype of `x`, as NumPy does it; of several assignments to one
    element the last stays. A mask may be traced.

    Parameters
    ----------
    x : array
        It is not modified.
    index
        Whatever NumPy takes, with traced integers and arrays of integers too.
    value : array_like

    Raises
    ------
    IndexingError
        When an index is out of bounds: compiled code raises it when it runs.
    ShapeError
        When the value cannot be broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> setitem(np.zeros(4), [1, 2], 5.0)
    array([0., 5., 5., 0.])
    """
    x = as_value(x)
    type: ArrayType = typeof(x)
    if _depth(value) > 1 and _is_mask(index, type.ndim):
        raise DTypeError(
            f"boolean array indexing assignment requires a 0 or 1-dimensional input, the value has {_depth(value)} "
            "dimensions; write np.ravel(value)"
        )
    masked, index = _masked(x, index, value)
    if masked is not None:
        return _with_candidates(x, masked, index.assigned(value))
    new = to_elements(value, type.dtype)
    chosen = selection(index, type.shape)
    if ELEMENTS_ARE_NUMBERS and typeof(new).ndim and type.ndim and _is_element(index, type.ndim):
        raise ShapeError(
            "setting an array element with a sequence: an element is one number, the value has shape "
            f"{typeof(new).shape}; write x[index] = value[0], or x[index] = np.sum(value)"
        )
    if isinstance(value, list | tuple) and typeof(new).ndim > len(chosen.result) and not chosen.arrays:
        raise ShapeError(
            f"setting an array element with a sequence: the value is nested {typeof(new).ndim} deep, what it is "
            f"assigned to has shape {chosen.result}; write np.array(value)"
        )
    return plain(_written(x, chosen, fitted(new, chosen.result), "set"))


def _is_element(index: Any, ndim: int) -> bool:
    """Whether an index is one integer for each axis."""
    parts = index if isinstance(index, tuple) else (index,)
    kinds = (np.asarray(part) if isinstance(part, int | np.integer) else part for part in parts)
    return len(parts) == ndim and all(getattr(p, "shape", None) == () and p.dtype.kind in "iu" for p in kinds)


def _is_mask(index: Any, ndim: int) -> bool:
    """Whether an index is one mask of all axes."""
    (part, *others) = index if isinstance(index, tuple) and index else (index,)
    mask = typeof(as_value(part)) if isinstance(part, list) and part else part
    return not others and getattr(mask, "dtype", None) == np.bool_ and mask.ndim == ndim


def _depth(value: Any) -> int:
    """How many axes a value has, or how deep a list is nested."""
    if isinstance(value, list | tuple):
        return 1 + _depth(value[0]) if value else 1
    return getattr(value, "ndim", 0)


def plain(x: Any) -> Any:
    """What users get: a literal, which is of this package alone, becomes an array, and one without axes a number."""
    found = np.array(x.array) if isinstance(x, Literal) else x
    return found[()] if isinstance(found, np.ndarray) and not found.ndim else found


def fitted(value: Any, shape: Shape) -> Any:
    """`value` broadcast to `shape`; leading axes of length 1 may be too many."""
    own = typeof(value).shape
    extra = max(0, len(own) - len(shape))
    trimmed = own[extra:] if own[:extra] == (1,) * extra else own
    if len(trimmed) > len(shape) or any(m not in (1, n) for m, n in zip(trimmed[::-1], shape[::-1], strict=False)):
        raise ShapeError(f"could not broadcast input array from shape {own} into shape {shape}")
    if trimmed != own:
        value = reshape(value.array if isinstance(value, Literal) else value, shape=trimmed)
    return to_shape(value, shape)


# -- masks --------------------------------------------------------------------------------------------------------


def _masked(x: Any, index: Any, value: Any) -> tuple[MaskedIndex | None, Any]:
    """The index with a traced mask for which `value` is right whatever the mask is; else the index, the mask read."""
    found = masked_index(index, typeof(x).ndim)
    if found is None:
        if isinstance(value, Masked):
            raise refusal("a value for elements other than y[mask]", "write y[mask] = x[mask]")
        return None, index
    chosen = found.select(plain(x))
    if chosen.takes(value):
        return found, chosen
    known = read_mask(found.mask)
    if known is None:
        chosen.beside(value)  # which raises
    return None, found.by(known)


def _with_candidates(x: Any, index: MaskedIndex, new: Any) -> Any:
    """`x` after the candidates of a mask have been replaced."""
    chosen = selection(index.whole, typeof(x).shape)
    return plain(_written(x, chosen, reshape(_plain(new), shape=chosen.result), "set"))


# -- positions ----------------------------------------------------------------------------------------------------


def _written(x: Any, chosen: Selection, value: Any, mode: str) -> Any:
    """`x` with `value`, which has the shape of what is selected, written into the selection."""
    if chosen.arrays:
        return _scattered(x, chosen, value, mode)
    value = _shaped(value, tuple(map(len, chosen.ranges)))
    if chosen.flipped and not _is_fill(value):
        value = reverse(value, axes=chosen.flipped)
    shape: Shape = typeof(x).shape
    return value if typeof(value).shape == shape else update(x, value, start=chosen.start, step=chosen.step)


def _scattered(x: Any, chosen: Selection, value: Any, mode: str) -> Any:
    """Axes that are cut have positions too, behind those of the index; the others are written as a whole."""
    shape: Shape = typeof(x).shape
    own = chosen.index_shape
    real = [chosen.axes[k] for k in chosen.others if chosen.axes[k] >= 0]
    cut = [axis for axis in real if chosen.ranges[axis] != range(shape[axis])]
    whole = [axis for axis in real if axis not in cut]
    index_shape = (*own, *(len(chosen.ranges[axis]) for axis in cut))
    arrays = {
        chosen.axes[k]: _placed(array, index_shape, range(len(own)))
        for k, array in chosen.arrays.items()
        if chosen.axes[k] >= 0
    }
    for number, axis in enumerate(cut, len(own)):
        positions = as_value(np.array(chosen.ranges[axis], INT64))
        arrays[axis] = _placed(positions, index_shape, range(number, number + 1))
    if not _is_fill(value):
        value = transpose(_plain(value), permutation=chosen.from_front)
        value = reshape(value, shape=(*own, *(len(chosen.ranges[axis]) for axis in real)))
        order = (len(own) + real.index(axis) for axis in (*cut, *whole))
        value = transpose(value, permutation=(*range(len(own)), *order))
    value = _shaped(value, (*index_shape, *(shape[axis] for axis in whole)))
    axes = tuple(sorted(arrays))
    if not axes:  # x[True] = value
        return x if 0 in own else reshape(value, shape=shape)
    return scatter(x, value, *(arrays[axis] for axis in axes), axes=axes, batch=0, mode=mode, unique=chosen.unique)


def _is_fill(value: Any) -> bool:
    return isinstance(value, Literal) and value.is_splat


def _plain(value: Any) -> Any:
    return value.array if isinstance(value, Literal) else value


def _shaped(value: Any, shape: Shape) -> Any:
    """`value` with another shape of the same size; one number stays one."""
    if _is_fill(value):
        return Literal(value.value, typeof(value).with_shape(shape))
    return reshape(_plain(value), shape=shape)


def _placed(array: Any, shape: Shape, dims: range) -> Any:
    """Positions along some of the axes of `shape`, repeated along the rest."""
    if typeof(array).shape == shape:
        return array
    spread = broadcast(_plain(array), shape=shape, dims=tuple(dims))
    return spread if isinstance(array, Tracer) else as_value(np.ascontiguousarray(spread))


# -- x.at[index] --------------------------------------------------------------------------------------------------

_SCATTERED: dict[np.ufunc, str] = {
    np.add: "add",
    np.subtract: "add",
    np.multiply: "mul",
    np.divide: "mul",
    np.maximum: "max",
    np.minimum: "min",
}
_OF_BOOLEANS: dict[np.ufunc, str] = {np.add: "max", np.multiply: "min", np.maximum: "max", np.minimum: "min"}
"""What becomes of elements at indices that repeat: the modes of scatter."""


def ufunc_at(ufunc: np.ufunc, x: Any, index: Any, value: Any = None) -> Any:
    """The array that ``ufunc.at(x, index, value)`` makes of `x`: repeated indices count as often as they occur.

    Parameters
    ----------
    ufunc : np.add, np.subtract, np.multiply, np.divide, np.maximum or np.minimum
        Another one, of one or two operands, works where no element is chosen twice for certain.
    x : array
        It is not modified.
    index, value
        As of `setitem`; functions of one operand take no value.

    Raises
    ------
    DTypeError
        When the value cannot be cast to the dtype of `x` by the rule "same_kind". Integers are added, subtracted and
        multiplied whatever their width, and wrap around.
    UnsupportedError
        For another ufunc at indices that may repeat, and for products and extrema of complex numbers there.

    Examples
    --------
    >>> import numpy as np
    >>> ufunc_at(np.add, np.zeros(3), [0, 0, 2], 1.0)
    array([2., 0., 1.])
    """
    if (value is None) != (ufunc.nin == 1) or ufunc.nout != 1:
        raise UnsupportedError(
            f"np.{ufunc.__name__}.at takes {ufunc.nin - 1} operands beside the index; write x[index] = "
            f"np.{ufunc.__name__}(x[index]) for functions of one"
        )
    x = as_value(x)
    type: ArrayType = typeof(x)
    masked, index = _masked(x, index, value)
    if masked is not None:
        old: Masked = index
        new = _operand(ufunc, None if value is None else old.beside(value), type)
        return _with_candidates(x, masked, old.assigned(old.of(plain(_computed(ufunc, old.values, new, type)))))
    new = _operand(ufunc, value, type)
    chosen = selection(index, type.shape)
    if new is not None and typeof(new).ndim > len(chosen.result):  # assignments take more axes of length 1
        raise ShapeError(
            f"np.{ufunc.__name__}.at: could not broadcast input array from shape {typeof(new).shape} into shape "
            f"{chosen.result}"
        )
    if not chosen.arrays or chosen.unique:
        old = read(x, chosen)
        beside = None if new is None else fitted(new, chosen.result)
        return plain(_written(x, chosen, _computed(ufunc, old, beside, type), "set"))
    if new is None:
        raise UnsupportedError(
            f"np.{ufunc.__name__}.at is not supported on traced values where indices may repeat; where none does, "
            f"write x[index] = np.{ufunc.__name__}(x[index])"
        )
    mode = (_OF_BOOLEANS if type.dtype == BOOL else _SCATTERED).get(ufunc)
    if mode is None or type.dtype.kind not in MODES[mode][1] or (ufunc is np.divide and type.dtype.kind != "f"):
        raise UnsupportedError(
            f"np.{ufunc.__name__}.at of {type.dtype} is not supported on traced values where indices may repeat; "
            "of those that add up there are np.add and np.subtract, of real numbers np.multiply, "
            "np.maximum and np.minimum, too, and of floats np.divide; staged_ad.fori_loop takes one after another"
        )
    new = to_dtype(new, type.dtype)
    if ufunc is np.subtract:
        new = UFUNCS[np.negative](new)
    if ufunc is np.divide:
        ones = Literal(type.dtype.type(1), type.strong())
        return plain(UFUNCS[np.divide](x, _written(ones, chosen, fitted(as_value(new), chosen.result), mode)))
    return plain(_written(x, chosen, fitted(as_value(new), chosen.result), mode))


def _operand(ufunc: np.ufunc, value: Any, type: ArrayType) -> Any:
    """What stands beside elements of that type: integers are cast first, where those that wrap around allow it.

    It is None for functions of one operand.
    """
    if value is None:
        return None
    new = as_value(value, "the value")
    given: ArrayType = typeof(new)
    wraps = type.dtype.kind in "iu" and given.dtype.kind in "iu" and ufunc in (np.add, np.subtract, np.multiply)
    if wraps and (given.weak or np.result_type(given.dtype, type.dtype).kind in "iu"):  # of int64 and uint64 float64
        return to_dtype(to_dtype(new, given.dtype), type.dtype)
    _check_cast(ufunc, given, type)
    return new


def _computed(ufunc: np.ufunc, old: Any, value: Any, type: ArrayType) -> Any:
    if value is None:
        return to_dtype(as_value(UFUNCS[ufunc](old)), type.dtype)
    found = as_value(UFUNCS[ufunc](old, value))
    _check_cast(ufunc, typeof(found), type)
    return to_dtype(found, type.dtype)


def _check_cast(ufunc: np.ufunc, found: ArrayType, type: ArrayType) -> None:
    number = found.weak and found.dtype.kind == "i" and type.dtype.kind != "b"
    if not number and not np.can_cast(found.dtype, type.dtype, "same_kind"):
        raise DTypeError(
            f"np.{ufunc.__name__}.at cannot cast {found.dtype} to {type.dtype} by the rule 'same_kind'; "
            f"write x.astype({found.dtype}) first, or value.astype({type.dtype})"
        )


@dataclass(frozen=True, slots=True)
class Place:
    """``x.at[index]``: methods that give `x` with the elements at the index replaced.

    Where an index occurs several times, of `set` the last value stays; the others take every value into account.
    """

    array: Any
    index: Any

    def get(self) -> Any:
        """``x[index]``"""
        return plain(getitem(as_value(self.array), self.index))

    def set(self, value: Any) -> Any:
        """`x` after ``x[index] = value``"""
        return setitem(self.array, self.index, value)

    def _at(self, ufunc: np.ufunc, value: Any) -> Any:
        return ufunc_at(ufunc, self.array, self.index, value)

    def add(self, value: Any) -> Any:
        """`x` after ``np.add.at(x, index, value)``"""
        return self._at(np.add, value)

    def subtract(self, value: Any) -> Any:
        """`x` after ``np.subtract.at(x, index, value)``"""
        return self._at(np.subtract, value)

    def multiply(self, value: Any) -> Any:
        """`x` after ``np.multiply.at(x, index, value)``"""
        return self._at(np.multiply, value)

    mul = multiply

    def divide(self, value: Any) -> Any:
        """`x` after ``np.divide.at(x, index, value)``"""
        return self._at(np.divide, value)

    def power(self, value: Any) -> Any:
        """`x` after ``np.power.at(x, index, value)``, where no element is chosen twice"""
        return self._at(np.power, value)

    def min(self, value: Any) -> Any:
        """`x` after ``np.minimum.at(x, index, value)``"""
        return self._at(np.minimum, value)

    def max(self, value: Any) -> Any:
        """`x` after ``np.maximum.at(x, index, value)``"""
        return self._at(np.maximum, value)


class At:
    """``x.at``: takes an index."""

    __slots__ = ("_array",)

    def __init__(self, array: Any) -> None:
        self._array = array

    def __getitem__(self, index: Any) -> Place:
        return Place(self._array, index)


def at(x: Any) -> At:
    """``at(x)[index].set(value)`` and its like: `x` with some elements replaced. No array is modified.

    Traced arrays have it as a property, ``x.at[index].set(value)``.

    Parameters
    ----------
    x : array_like

    Examples
    --------
    >>> import numpy as np
    >>> at(np.zeros(3))[[0, 0, 2]].add(1.0)
    array([2., 0., 1.])
    """
    return At(x)
