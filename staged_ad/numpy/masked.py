"""What a mask selects where nobody knows how much: x[mask] inside of vmap and staged loops.

Its length depends on values, which no program has room for. So all the candidates are kept, and the mask: functions by
element are computed for all of them, reductions take those that the mask chooses, an assignment by the same mask writes
those.

Invariant: the elements of a Masked are its `values` where its `mask` holds, in their order; the others influence
nothing that leaves it, neither values nor derivatives.
Start at ``Masked``; ``getitem`` makes one of an index, masked_functions.py says what functions make of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from staged_ad.errors import DTypeError, IndexingError, ShapeError, UnsupportedError
from staged_ad.numpy import indexing
from staged_ad.numpy.promotion import as_value, to_elements
from staged_ad.numpy.shaping import array_of, reshape, where
from staged_ad.primitives.makers import typeof
from staged_ad.tracing import Tracer
from staged_ad.tracing.operations import OPERATIONS, Deferring
from staged_ad.tracing.refusals import called
from staged_ad.tracing.sameness import same
from staged_ad.tracing.views import is_basic, is_integer


def refusal(what: str, advice: str = "write np.where(mask, x, 0), which has the shape of x") -> UnsupportedError:
    return UnsupportedError(
        f"{what} cannot be had of x[mask]: the mask is traced, so how many elements it selects is not "
        "known. Functions by element, reductions such as np.sum and np.max, and assignments by the same mask work; for "
        f"others {advice}"
    )


class Masked(Deferring, np.lib.mixins.NDArrayOperatorsMixin):
    """``x[mask]`` for a traced mask: an array in which the length of one axis depends on values.

    values
        The candidates: an array of known shape.
    mask
        Booleans along the axis of which the length is not known.
    rest
        How many axes there are behind that one.
    """

    __slots__ = ("mask", "rest", "values")
    __hash__ = None  # type: ignore[assignment]  # as for ndarray

    def __init__(self, values: Any, mask: Any, rest: int) -> None:
        self.values = values
        self.mask = mask
        self.rest = rest

    @property
    def ndim(self) -> int:
        return np.ndim(self.values)

    @property
    def dtype(self) -> np.dtype[Any]:
        return typeof(as_value(self.values)).dtype

    @property
    def axis(self) -> int:
        """The number of the axis that the mask lies along."""
        return self.ndim - 1 - self.rest

    @property
    def size(self) -> Any:
        """How many elements there are: a traced integer."""
        return np.sum(self.mask) * (self.values.size // max(self.mask.size, 1))

    @property
    def shape(self) -> NoReturn:
        raise refusal("the shape", "np.count_nonzero(mask) is how many there are")

    def __len__(self) -> NoReturn:
        raise refusal("the length", "np.count_nonzero(mask) is how many there are")

    def __bool__(self) -> NoReturn:
        raise refusal("the truth value", "write np.where(condition, a, b) instead of `if`")

    def __iter__(self) -> NoReturn:
        raise refusal("the sequence of elements", "write np.where(mask, x, 0), and np.sum, np.max instead of sum, max")

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise refusal("a plain array")

    def __repr__(self) -> str:
        return "x[mask] of unknown length, see np.where(mask, x, 0)"

    # -- the candidates -----------------------------------------------------------------------------------------------

    def of(self, values: Any) -> Masked:
        """Other candidates that the same mask chooses from."""
        return Masked(values, self.mask, self.rest)

    @property
    def condition(self) -> Any:
        """The mask in a shape that broadcasts with the candidates."""
        return reshape(self.mask, (self.mask.size, *(1,) * self.rest))

    def filled(self, value: Any) -> Any:
        """The candidates, with `value` in the place of those that are not chosen."""
        return where(self.condition, self.values, value)

    def beside(self, operand: Any) -> Any:
        """What stands beside the candidates for an operand. Raises ShapeError where it does not fit for every mask."""
        if isinstance(operand, Masked):
            if operand.rest != self.rest or not same(operand.mask, self.mask):
                raise ShapeError(
                    "x[mask] and y[other] fit where both masks are the same: name it, as in mask = x > "
                    "0; x[mask] * y[mask], or write np.where(mask, x * y, 0)"
                )
            return operand.values
        value = array_of(operand) if isinstance(operand, list | tuple) else operand
        shape = np.shape(value)
        if len(shape) > self.rest and shape[-1 - self.rest] != 1:
            raise ShapeError(
                f"x[mask] has as many elements as the traced mask chooses, an operand has shape {shape}: "
                "select from it by the same mask, y[mask], or write np.where(mask, value, x) with a value of the "
                "shape of x"
            )
        return value

    def takes(self, value: Any) -> bool:
        """Whether `value` can be assigned whatever the mask is."""
        return isinstance(value, Masked) or np.ndim(value) <= self.rest or np.shape(value)[-1 - self.rest] == 1

    def assigned(self, value: Any) -> Any:
        """The candidates that are there after ``x[mask] = value``."""
        new = to_elements(self.beside(value), self.dtype)
        given, shape = typeof(new).shape, np.shape(self.values)
        trimmed = given[max(0, len(given) - len(shape)) :]
        if any(m not in (1, n) for m, n in zip(trimmed[::-1], shape[::-1], strict=False)):
            raise ShapeError(
                f"could not broadcast input array from shape {given} into what the mask chooses of shape {shape}"
            )
        if trimmed != given:
            new = reshape(new, trimmed)
        return where(self.condition, new, self.values)

    # -- as an array --------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        found = OPERATIONS.of_masked.get(ufunc if method == "__call__" else method)
        if method == "__call__" and found is None and ufunc.signature is None and "where" not in kwargs:
            result = by_element(ufunc, *inputs, **kwargs)
        elif found is None:
            raise refusal(f"{called(ufunc)}{'' if method == '__call__' else '.' + method}")
        else:
            result = found(*inputs, **kwargs) if method == "__call__" else found(ufunc, *inputs, **kwargs)
        return result if out is None else _into_all(out, result, called(ufunc))

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        found = OPERATIONS.of_masked.get(function)
        if found is None:
            raise refusal(called(function))
        return found(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(f"x[mask] for a traced mask has no attribute {name!r}")
        found = OPERATIONS.of_masked.get(name)
        if found is None:
            raise refusal(f"the attribute {name}")
        if not callable(getattr(np.ndarray, name)):
            return found(self)
        return lambda *args, **kwargs: found(self, *args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in Masked.__slots__:
            raise refusal(f"an assignment to the attribute {name}", "write c = a + 1j * b for the parts a and b")
        super().__setattr__(name, value)

    def __getitem__(self, index: Any) -> Masked:
        if isinstance(index, Masked):
            return Masked(self.values, self.mask & self._condition_of(index), self.rest)
        return Masked(self.values[index], self.mask, self._rest_of(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, Masked):
            self.values = self[index].assigned(value)
            return
        part = Masked(self.values[index], self.mask, self._rest_of(index))
        self.values = OPERATIONS.operators["setitem"](self.values, index, part.assigned(value))

    def _condition_of(self, index: Masked) -> Any:
        """The booleans, one of each candidate, in ``y[index]``."""
        if index.dtype != bool or index.ndim != 1 or not same(index.mask, self.mask):
            raise refusal("an element by such an index")
        return index.values

    def _rest_of(self, index: Any) -> int:
        """How many axes are behind the one of the mask in ``values[index]``, which must keep that axis whole."""
        parts = list(index) if isinstance(index, tuple) else [index]
        if is_basic(index, self.ndim):
            parts = expanded(parts, self.ndim - sum(part is not None and part is not Ellipsis for part in parts))
            places = [k for k, part in enumerate(parts) if part is not None]
            if parts[places[self.axis]] == slice(None):
                return _count(parts[places[self.axis] + 1 :])
        raise refusal("an element by position")


def by_element(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A function of NumPy, computed for all candidates."""
    operands = [*args, *kwargs.values()]
    first: Masked = next(x for x in operands if isinstance(x, Masked))
    values = [first.beside(x) if isinstance(x, Masked | Tracer | np.ndarray | list | tuple) else x for x in operands]
    found = function(*values[: len(args)], **dict(zip(kwargs, values[len(args) :], strict=True)))
    return tuple(map(first.of, found)) if isinstance(found, tuple) else first.of(found)


def _into_all(out: Any, results: Any, name: str) -> Any:
    """Results of a function written into those of the arrays in `out` that are not None."""
    if not isinstance(results, tuple):
        return _into(out[0], results, name)
    return tuple(y if to is None else _into(to, y, name) for to, y in zip(out, results, strict=True))


def _into(target: Any, result: Any, name: str) -> Masked:
    """``y = x[mask]; y += 1``: the selection is an array of its own, which changes."""
    if not isinstance(target, Masked) or not isinstance(result, Masked):
        raise refusal(f"{name}(..., out=...)")
    if not np.can_cast(result.dtype, target.dtype, "same_kind"):
        raise DTypeError(
            f"Cannot cast {name} output from {result.dtype!r} to {target.dtype!r} with casting rule 'same_kind'; "
            "write y = y + x instead of y += x, or begin with an array of that dtype"
        )
    target.values = target.assigned(result)
    return target


# -- from an index ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MaskedIndex:
    """An index of slices, integers and one traced mask, which lies along the axes that begin at `place` in `parts`."""

    parts: list[Any]
    place: int

    @property
    def mask(self) -> Any:
        return self.parts[self.place]

    def by(self, *parts: Any) -> tuple[Any, ...]:
        """The index with others in the place of the mask."""
        return (*self.parts[: self.place], *parts, *self.parts[self.place + 1 :])

    @property
    def whole(self) -> tuple[Any, ...]:
        """The index of all candidates."""
        return self.by(*[slice(None)] * self.mask.ndim) if self.mask.ndim else self.by(None)

    def select(self, x: Any) -> Masked:
        """``x[index]``"""
        found = indexing.getitem(x, self.whole)
        shape, mask = typeof(found).shape, self.mask
        rest = _count(self.parts[self.place + 1 :])
        lead = len(shape) - rest - (mask.ndim or 1)
        if shape[lead : len(shape) - rest] != (mask.shape or (1,)):
            raise IndexingError(
                f"boolean index did not match indexed array: the mask has shape {mask.shape}, what it lies along "
                f"{shape[lead : len(shape) - rest]}"
            )
        flat = (*shape[:lead], mask.size, *shape[len(shape) - rest :])
        found = found.handle() if isinstance(found, Tracer) else found  # x[mask] does not change when x does
        return Masked(reshape(found, flat), reshape(mask.handle(), (mask.size,)), rest)


def masked_index(index: Any, ndim: int) -> MaskedIndex | None:
    """The index of an array of `ndim` axes, where it holds one traced mask beside slices and integers; else None."""
    parts = list(index) if isinstance(index, tuple) else [index]
    masks = [k for k, part in enumerate(parts) if _is_traced_mask(part)]
    if len(masks) != 1:
        return None
    (k,) = masks
    mask = parts[k]
    if not is_basic((*parts[:k], slice(None), *parts[k + 1 :]), ndim):
        return None
    integers = [n for n, part in enumerate(parts) if n == k or is_integer(part)]
    if integers[-1] - integers[0] + 1 != len(integers):  # NumPy puts the axis of the mask first
        return None
    free = ndim - mask.ndim - sum(part is not None and part is not Ellipsis for part in parts) + 1
    if free < 0:
        return None
    parts = expanded(parts, free)
    return MaskedIndex(parts, next(n for n, part in enumerate(parts) if part is mask))


def _is_traced_mask(part: Any) -> bool:
    return isinstance(part, Tracer) and part.dtype == np.bool_ and part.array is None


def expanded(parts: list[Any], free: int) -> list[Any]:
    """The parts of an index, with slices for the axes that are not mentioned, of which there are `free`."""
    place = next((k for k, part in enumerate(parts) if part is Ellipsis), len(parts))
    return [*parts[:place], *[slice(None)] * free, *parts[place + 1 :]]


def _count(parts: list[Any]) -> int:
    """How many axes the result of indexing by these parts has."""
    return sum(not is_integer(part) for part in parts)


def getitem(x: Any, index: Any) -> Any:
    """``x[index]``, which is a Masked where there is a traced mask in the index that Python cannot read."""
    if isinstance(index, Masked):
        return _taken(x, index)
    found = masked_index(index, typeof(x).ndim)
    if found is None:
        return indexing.getitem(x, index)
    known = indexing.read_mask(found.mask)
    return found.select(x) if known is None else indexing.getitem(x, found.by(known))


def _taken(x: Any, index: Masked) -> Masked:
    """``x[k[mask]]`` for integers k: those that are not chosen may be out of bounds."""
    if index.dtype.kind not in "iu":
        raise refusal("an index of another array")
    found = indexing.getitem(x, index.filled(0))
    return Masked(found, index.mask, index.rest + np.ndim(found) - index.ndim)
