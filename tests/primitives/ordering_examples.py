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
    ((3, 4), 1, False),
    ((3, 15), 0, False),
    ((5, 3), 0, True),
    ((2, 3, 2), 1, True),
    ((1,), 0, False),
    ((0,), 0, False),
    ((2, 0), 1, False),
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
            for dtype in (*NUMBERS, "bool") if extremum else NUMBERS:
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
        for dtype in ("float64", "float32"):
            a, b = (points(generator(f"{n}{shape}"), OFF_ZERO, shape, dtype) for n in "ab")
            params = {"axis": axis, "reverse": reverse}
            yield Row("recurrence", f"{dtype}{list(shape)}{axis}{'r' * reverse}", (a, b), _solved, params, True, ((1,),))
    b = np.array([1.0, 2.0, 3.0, 4.0])
    params = {"axis": 0, "reverse": False}
    yield Row("recurrence", "zeros", (np.array([1.0, 0.0, 2.0, 0.0]), b), _solved, params, True, ((1,),))
    strong = np.array([NAN, INF, 0.0, 2.0]), np.array([0.0, 0.0, NAN, INF])
    yield Row("recurrence", "absorbing", strong, lambda a, b, **_: np.array([0.0, 0.0, NAN, NAN]), params, False)


ORDERING = [*_scans(), *_recurrences()]
