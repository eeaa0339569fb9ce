"""Example rows of cumulative operations, sorting and searching.

Invariant: axes in front and behind, both directions, sequences of no and of one element are among the rows of each.
Start at ``ORDERING``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.primitives.row import OFF_ZERO, Row, generator, points

INF, NAN = np.inf, np.nan
EXTENTS: list[tuple[tuple[int, ...], int, bool]] = [
    ((7,), 0, False),
    ((7,), 0, True),
    ((3, 15), 0, False),
    ((2, 3, 2), 1, True),
    ((1,), 0, False),
    ((0,), 0, False),
    ((0, 3), 1, True),
]
NUMBERS = ("float64", "float32", "int64", "int32", "uint8")


def _array(name: str, shape: tuple[int, ...], dtype: str) -> Any:
    """Numbers without ties."""
    rng = generator(f"{name}{shape}{dtype}")
    size = int(np.prod(shape))
    if dtype == "bool":
        return rng.random(shape) < 0.5
    spread = np.linspace(-2, 2.1, size) if dtype.startswith("f") else np.arange(size) % 100
    return rng.permutation(spread).reshape(shape).astype(dtype)


def _along(step: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Each sequence by itself, from its first element on."""

    def run(x: Any, *, axis: int, reverse: bool) -> Any:
        y = np.array(np.moveaxis(x, axis, 0)[::-1] if reverse else np.moveaxis(x, axis, 0))
        for k in range(1, len(y)):
            y[k] = step(y[k - 1], y[k])
        return np.moveaxis(y[::-1] if reverse else y, 0, axis)

    return run


def _solved(a: Any, b: Any, *, axis: int, reverse: bool) -> Any:
    """The recurrence as a system of linear equations."""
    a, b = (np.moveaxis(x, axis, -1)[..., ::-1] if reverse else np.moveaxis(x, axis, -1) for x in (a, b))
    n = b.shape[-1]
    matrix = np.eye(n) - (a[..., :, None] * np.eye(n, k=-1))
    h = np.linalg.solve(matrix, b[..., None])[..., 0].astype(b.dtype)
    return np.moveaxis(h[..., ::-1] if reverse else h, -1, axis)


def _scans() -> Iterator[Row]:
    steps: dict[str, Callable[[Any, Any], Any]] = {
        "cumsum": np.add,
        "cumprod": np.multiply,
        "cummax": np.maximum,
        "cummin": np.minimum,
    }
    for name, step in steps.items():
        extremum = name in ("cummax", "cummin")
        for shape, axis, reverse in EXTENTS:
            dtypes = ("float64",) if shape not in [(7,), (3, 15)] else (*NUMBERS, "bool") if extremum else NUMBERS
            for dtype in dtypes:
                linear = ((0,),) if name == "cumsum" and dtype.startswith("f") else ()
                params = {"axis": axis, "reverse": reverse}
                label = f"{dtype}{list(shape)}{axis}{'r' * reverse}"
                yield Row(name, label, (_array(name, shape, dtype),), _along(step), params, True, linear)
        special = np.array([[1.0, NAN, 3.0, 2.0], [2.0, INF, -INF, INF], [-0.0, -INF, 0.0, 1.0]])
        for axis in (0, 1):
            params = {"axis": axis, "reverse": False}
            yield Row(name, f"special{axis}", (special,), _along(step), params, False)
    for label, x in [("one zero", [2.0, 0.0, 3.0, 5.0]), ("zeros", [[0.0, 2.0, 0.0, 3.0], [1.5, 0.0, 0.0, 0.0]])]:
        params = {"axis": np.ndim(x) - 1, "reverse": False}
        yield Row("cumprod", label, (np.array(x),), _along(np.multiply), params)


def _recurrences() -> Iterator[Row]:
    for shape, axis, reverse in EXTENTS:
        for dtype in ("float64", "float32") if shape == (3, 15) else ("float64",):
            a, b = (points(generator(f"{n}{shape}"), OFF_ZERO, shape, dtype) for n in "ab")
            params = {"axis": axis, "reverse": reverse}
            yield Row(
                "recurrence", f"{dtype}{list(shape)}{axis}{'r' * reverse}", (a, b), _solved, params, True, ((1,),)
            )
    b = np.array([1.0, 2.0, 3.0, 4.0])
    params = {"axis": 0, "reverse": False}
    yield Row("recurrence", "zeros", (np.array([1.0, 0.0, 2.0, 0.0]), b), _solved, params, True, ((1,),))
    strong = np.array([NAN, INF, 0.0, 2.0]), np.array([0.0, 0.0, NAN, INF])
    yield Row("recurrence", "absorbing", strong, lambda a, b, **_: np.array([0.0, 0.0, NAN, NAN]), params, False)


AXES: list[tuple[tuple[int, ...], int]] = [
    ((9,), 0),
    ((3, 4), 1),
    ((2, 3, 2), 1),
    ((0,), 0),
    ((0, 2), 1),
]
DTYPES = ("float64", "float32", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool")


def _python_argsort(x: Any, *, axis: int) -> Any:
    """Python's sort, which is stable, with NaN behind everything."""
    lanes = np.moveaxis(x, axis, -1)
    order = (
        [
            sorted(range(x.shape[axis]), key=lambda k, lane=lane: (lane[k] != lane[k], lane[k]))
            for lane in lanes.reshape(-1, x.shape[axis])
        ]
        if x.size
        else []
    )
    return np.moveaxis(np.array(order, np.int64).reshape(lanes.shape), -1, axis)


def _python_sort(x: Any, *, axis: int) -> Any:
    return np.take_along_axis(x, _python_argsort(x, axis=axis), axis)


def _sorts() -> Iterator[Row]:
    ties = np.array([[2.0, NAN, 0.0, -INF, -0.0, 2.0, -NAN, INF], [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]])
    for name, expected in (("argsort", _python_argsort), ("sort", _python_sort)):
        for shape, axis in AXES:
            for dtype in ("float64", "float32", "int64", "bool") if shape == (3, 4) else ("float64",):
                yield Row(name, f"{dtype}{list(shape)}{axis}", (_array(name, shape, dtype),), expected, {"axis": axis})
        for dtype in ("float64", "float32"):
            yield Row(name, f"ties {dtype}", (ties.astype(dtype),), expected, {"axis": 1}, False)
        for dtype in DTYPES if name == "sort" else DTYPES[:3]:
            bounds = (False, True) if dtype == "bool" else (-9, 9) if dtype.startswith("f") else (None, None)
            wide = np.iinfo(dtype) if bounds[0] is None else None
            low, high = (wide.min, wide.max) if wide else bounds
            rng = generator(dtype)
            x = rng.integers(low, high, 200, "int64" if dtype[0] in "fb" else dtype, endpoint=True).astype(dtype)
            yield Row(name, f"long {dtype}", (x,), expected, {"axis": 0}, False)


def _moves() -> Iterator[Row]:
    for shape, axis in AXES:
        x = _array("permute", shape, "float64")
        order = np.argsort(_array("order", shape, "float64"), axis=axis)
        for dtype in ("float64", "bool") if shape == (3, 4) else ("float64",):
            linear = ((0,),) if dtype == "float64" else ()
            label, y = f"{dtype}{list(shape)}{axis}", x.astype(dtype)
            yield Row(
                "permute",
                label,
                (y, order),
                lambda x, order, *, axis: np.take_along_axis(x, order, axis),
                {"axis": axis},
                True,
                linear,
            )
            if len(shape) == 1:
                back = lambda x, order, *, axis: np.take_along_axis(x, np.argsort(order, axis=axis), axis)
                yield Row("unpermute", label, (y, order), back, {"axis": axis}, True, linear)


def _counted(a: Any, v: Any, *, right: bool) -> Any:
    """The number of elements that come before."""
    a, v = a[..., None, :], v[..., :, None]
    less = (a < v) | ((a == a) & (v != v))
    before = ~((v < a) | ((v == v) & (a != a))) if right else less
    return np.sum(before, axis=-1)


def _searches() -> Iterator[Row]:
    a = np.array([-2.0, -1.0, -1.0, 0.0, 0.5, 3.0, INF, NAN])
    v = np.array([-1.0, 3.0, NAN, -INF, 0.25, INF, -3.0, 0.0])
    for right in (False, True):
        for dtype in ("float64", "float32"):
            yield Row("searchsorted", f"{dtype}{right}", (a.astype(dtype), v.astype(dtype)), _counted, {"right": right})
        for dtype in ("int8", "uint64", "bool"):
            sorted_, wanted = np.sort(_array("a", (7,), dtype)), _array("v", (5,), dtype)
            yield Row("searchsorted", f"{dtype}{right}", (sorted_, wanted), _counted, {"right": right})
        stack = np.stack([a, np.sort(2 * a)]), np.stack([v, 3 * v])
        yield Row("searchsorted", f"rows{right}", stack, _counted, {"right": right})
        yield Row("searchsorted", f"in nothing{right}", (a[:0], v), _counted, {"right": right})
        yield Row("searchsorted", f"nothing{right}", (a, v[:0]), _counted, {"right": right})


ORDERING = [*_scans(), *_recurrences(), *_sorts(), *_moves(), *_searches()]
