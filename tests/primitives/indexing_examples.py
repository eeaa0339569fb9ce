"""Example rows of gather, scatter, update and the check of indices.

Invariant: the expected value is made element by element, by Python's own loops.
Start at ``INDEXING``.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.primitives.row import OFF_ZERO, Row, generator, points

COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "set": lambda old, new: new,
    "add": operator.add,
    "mul": operator.mul,
    "max": max,
    "min": min,
}


def _array(name: str, shape: tuple[int, ...], dtype: str = "float64") -> Any:
    if dtype.startswith("c"):
        return (_array(f"real {name}", shape) + 1j * _array(f"imag {name}", shape)).astype(dtype)
    return points(generator(name), OFF_ZERO if dtype.startswith("f") else ((0.0, 9.0),), shape, dtype)


def _indices(name: str, shape: tuple[int, ...], n: int) -> Any:
    return generator(name).integers(0, n, shape)


def _places(
    x: Any, indices: tuple[Any, ...], axes: tuple[int, ...], batch: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The index of each element of what is read, and where it is in `x`."""
    others = [k for k in range(batch, x.ndim) if k not in axes]
    for lead in np.ndindex(indices[0].shape):
        for rest in itertools.product(*(range(x.shape[k]) for k in others)):
            place = dict(enumerate(lead[:batch]))
            place |= {axis: int(index[lead]) for axis, index in zip(axes, indices, strict=True)}
            place |= dict(zip(others, rest, strict=True))
            yield (*lead, *rest), tuple(place[k] for k in range(x.ndim))


def _gather(x: Any, *indices: Any, axes: tuple[int, ...], batch: int) -> Any:
    others = [x.shape[k] for k in range(batch, x.ndim) if k not in axes]
    result = np.empty((*indices[0].shape, *others), x.dtype)
    for here, place in _places(x, indices, axes, batch):
        result[here] = x[place]
    return result


def _scatter(x: Any, u: Any, *indices: Any, axes: tuple[int, ...], batch: int, mode: str, unique: bool) -> Any:
    result = x.copy()
    for here, place in _places(x, indices, axes, batch):
        result[place] = COMBINE[mode](result[place], u[here])
    return result


def _update(x: Any, u: Any, *, start: Any, step: Any) -> Any:
    result = x.copy()
    for place in np.ndindex(u.shape):
        result[tuple(a + k * s for a, k, s in zip(start, place, step, strict=True))] = u[place]
    return result


FEW = (((3, 4), (5,), (1,), 0), ((3, 1, 4), (2, 1), (1, 2), 0), ((3, 4), (3, 2), (1,), 1))
"""Of the cases below those that are enough for a third mode of scatter."""
CASES: list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]] = [
    ((5,), (3,), (0,), 0),
    ((5,), (), (0,), 0),
    ((5,), (9,), (0,), 0),
    ((4,), (0,), (0,), 0),
    ((3, 4), (2,), (0,), 0),
    ((3, 4), (5,), (1,), 0),
    ((3, 4), (2, 3), (0, 1), 0),
    ((3, 4), (3, 2), (1,), 1),
    ((3, 1, 4), (2, 1), (1, 2), 0),
    ((2, 3, 4), (2, 5), (2,), 1),
    ((2, 0), (3,), (0,), 0),
]


def _reading() -> Iterator[Row]:
    for shape, own, axes, batch in CASES:
        dtypes = ["float64", "float32", "float16", "int32", "bool", "complex128"]
        for dtype in dtypes if shape == (3, 4) and axes == (1,) and batch == 0 else ["float64"]:
            label = f"{dtype}{list(shape)}{list(own)}{axes}{batch}".replace(" ", "")
            indices = tuple(_indices(f"{label}{axis}", own, shape[axis]) for axis in axes)
            linear = ((0,),) if dtype[0] in "fc" else ()
            params = {"axes": axes, "batch": batch}
            yield Row(
                "gather", label, (_array("gather" + label, shape, dtype), *indices), _gather, params, True, linear
            )


def _writing() -> Iterator[Row]:
    for mode in COMBINE:
        for shape, own, axes, batch in CASES if mode in ("set", "add") else FEW:
            dtypes = ["float64", "float32", "float16", "int32", *(["complex128"] if mode in ("set", "add") else [])]
            for dtype in dtypes if shape == (3, 4) and axes == (1,) and batch == 0 else ["float64"]:
                label = f"{mode}-{dtype}{list(shape)}{list(own)}{axes}{batch}".replace(" ", "")
                indices = tuple(_indices(f"{label}{axis}", own, shape[axis]) for axis in axes)
                x = _array("scatter" + label, shape, dtype)
                others = [shape[k] for k in range(batch, len(shape)) if k not in axes]
                u = _array("updates" + label, (*own, *others), dtype)
                linear = ((0,), (1,), (0, 1)) if mode in ("set", "add") and dtype[0] in "fc" else ()
                params = {"axes": axes, "batch": batch, "mode": mode, "unique": own == ()}
                yield Row("scatter", label, (x, u, *indices), _scatter, params, True, linear)
    once = np.array([2, 0])
    for mode in ("set", "add", "mul"):
        arguments = (_array("once", (3, 4)), _array("one", (2, 4)), once)
        params = {"axes": (0,), "batch": 0, "mode": mode, "unique": True}
        linear = ((0,), (1,), (0, 1)) if mode in ("set", "add") else ()
        yield Row("scatter", f"{mode}-unique", arguments, _scatter, params, True, linear)
    params = {"axes": (0,), "batch": 0, "mode": "mul", "unique": False}
    twice = np.array([0, 0, 1, 1, 1, 2])
    zeros = np.array([0.0, 2.0, 0.0, 0.0, 3.0, 0.0])
    yield Row("scatter", "mul-zeros", (np.array([2.0, 3.0, 0.5]), zeros, twice), _scatter, params)
    yield Row(
        "scatter", "max-tie", (np.ones(2), np.ones(3), np.array([0, 0, 1])), _scatter, params | {"mode": "max"}, False
    )


def _replacing() -> Iterator[Row]:
    cases: list[tuple[Any, Any, Any, Any]] = [
        ((5,), (2,), (1,), (2,)),
        ((5,), (1,), (4,), (1,)),
        ((5,), (0,), (2,), (1,)),
        ((5,), (5,), (0,), (1,)),
        ((), (), (), ()),
        ((3, 4), (2, 2), (1, 0), (1, 3)),
        ((3, 1), (1, 1), (2, 0), (1, 1)),
        ((0, 3), (0, 1), (0, 1), (1, 1)),
    ]
    for shape, own, start, step in cases:
        for dtype in ["float64", "float32", "int32", "bool", "complex128"] if shape == (3, 4) else ["float64"]:
            label = f"{dtype}{list(shape)}{list(own)}{start}{step}".replace(" ", "")
            linear = ((0,), (1,), (0, 1)) if dtype[0] in "fc" else ()
            arguments = (_array("update" + label, shape, dtype), _array("by" + label, own, dtype))
            yield Row("update", label, arguments, _update, {"start": start, "step": step}, True, linear)


def _checking() -> Iterator[Row]:
    params = {"bound": 3, "axis": 0}
    for i in (np.array([0, -1, 2, -3]), np.int64(-2), np.zeros((2, 0), int)):
        yield Row("bounded", str(np.shape(i)), (i,), lambda i, bound, axis: i % bound, params)
    for low in (np.int8(3), np.array([[0, 5]]), np.zeros((0,), "int32")):
        yield Row("natural", f"{np.asarray(low).dtype}", (low,), np.zeros_like)
    yield Row("fits", "inside", (np.int64(-3), np.int64(2)), lambda *_, bound, axis: np.int64(bound), params)


INDEXING: list[Row] = [*_reading(), *_writing(), *_replacing(), *_checking()]
