"""Functions that go through arrays element by element in Python: np.vectorize, np.ndenumerate, np.apply_along_axis.

Invariant: each call of the user's function is recorded, as many as NumPy would make; staged_ad.vmap records one.
Start at ``vectorized``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from staged_ad.errors import ShapeError, UnsupportedError
from staged_ad.numpy.arrays import asarray, is_traced
from staged_ad.numpy.attributes import item
from staged_ad.numpy.statistics import apply_along_axis
from staged_ad.tracing import Tracer


def vectorized(original: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
    """``np.vectorize(f)(*args, **kwargs)``: `f` of each element; the first result says which dtype all have."""
    if self.pyfunc is np._NoValue:  # a decorator with options, before it has its function
        return original(self, *args, **kwargs)
    if self.signature is not None:
        if is_traced(*args, *kwargs.values()):
            raise UnsupportedError(
                "np.vectorize(..., signature=...) is not supported on traced values; write staged_ad.vmap"
            )
        return original(self, *args, **kwargs)
    given: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
    mapped = {key: asarray(x) for key, x in given.items() if key not in self.excluded}
    shape = np.broadcast_shapes(*(x.shape for x in mapped.values()))
    if not mapped or 0 in shape:  # the function is not called
        empty = {key: np.zeros(x.shape, x.dtype) if isinstance(x, Tracer) else x for key, x in given.items()}
        return original(self, *[empty[n] for n in range(len(args))], **{name: empty[name] for name in kwargs})
    spread = {key: np.broadcast_to(x, shape).reshape(-1) for key, x in mapped.items()}

    def call(element: Callable[[Any, int], Any], k: int) -> Any:
        chosen = {**given, **{key: element(x, k) for key, x in spread.items()}}
        return self.pyfunc(*[chosen[n] for n in range(len(args))], **{name: chosen[name] for name in kwargs})

    types = self.otypes or _types(call(operator.getitem, 0))  # NumPy calls it once more, too
    results = [call(_item, k) for k in range(int(np.prod(shape)))]
    if not isinstance(results[0], tuple):
        return _gathered(results, shape, types[0])
    return tuple(
        _gathered(list(column), shape, dtype) for column, dtype in zip(zip(*results, strict=True), types, strict=True)
    )


def _types(result: Any) -> list[Any]:
    """The dtypes of what the function returns."""
    return [asarray(x).dtype for x in (result if isinstance(result, tuple) else [result])]


def _item(x: Any, k: int) -> Any:
    return item(x, k) if isinstance(x, Tracer) else x.item(k)


def _gathered(results: list[Any], shape: tuple[int, ...], dtype: Any) -> Any:
    """One output for all elements."""
    values = [asarray(result) for result in results]
    if any(value.shape for value in values):
        raise ShapeError("np.vectorize: the function returned an array, not a number; write staged_ad.vmap")
    return asarray(np.stack([value.astype(np.dtype(dtype)) for value in values]).reshape(shape))


def _ndenumerate(original: Any, arr: Any) -> Any:
    return _pairs(arr) if isinstance(arr, Tracer) else original(arr)


def _pairs(x: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    return ((index, x[index]) for index in np.ndindex(x.shape))


def _nditer(original: Any, op: Any, *args: Any, **kwargs: Any) -> Any:
    if is_traced(op):
        _refuse_nditer()
    return original(op, *args, **kwargs)


def _refuse_nditer() -> NoReturn:
    raise UnsupportedError(
        "np.nditer is not supported on traced values; write `for index, value in "
        "np.ndenumerate(x)`, `for value in x.flat`, or `for index in np.ndindex(x.shape)` to write to x[index]"
    )


def _broadcast(original: Any, *arrays: Any) -> Any:
    """An object of NumPy's, for its shape."""
    return original(*[np.empty(x.shape, np.bool_) if isinstance(x, Tracer) else x for x in arrays])


CREATORS: dict[str, Callable[..., Any]] = {
    "numpy.vectorize.__call__": vectorized,
    "numpy.ndenumerate": _ndenumerate,
    "numpy.nditer": _nditer,
    "numpy.broadcast": _broadcast,
    "numpy.apply_along_axis": lambda original, *args, **kwargs: apply_along_axis(*args, **kwargs),
}
"""By full name; each takes NumPy's function first, then its arguments."""
