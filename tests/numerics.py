"""Finite differences, comparison with a tolerance that fits the dtype, and inner products.

Invariant: nothing here uses the package under test.
Start at ``directional``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

STENCIL = ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280))
"""Central differences of order 8."""


def directional(f: Callable[..., Any], xs: Sequence[Any], x_dots: Sequence[Any], step: float = 2e-3) -> Any:
    """The derivative of `f` at `xs` along `x_dots`; its error is near 1e-12. A direction of None stands still."""

    def at(t: float) -> Any:
        return np.asarray(f(*(x if v is None else x + t * v for x, v in zip(xs, x_dots, strict=True))))

    return sum(weight * (at(k * step) - at(-k * step)) for k, weight in STENCIL) / step


def gradient(f: Callable[..., Any], x: Any, step: float = 2e-3) -> Any:
    """The gradient of a scalar function of one array."""
    x = np.asarray(x, dtype=float)
    columns = [directional(f, [x], [unit.reshape(x.shape)], step) for unit in np.eye(x.size).reshape(x.size, x.size)]
    return np.array(columns, dtype=float).reshape(x.shape)


def slopes(f: Callable[..., Any], z: Any) -> Any:
    """The gradient ``df/dx - i df/dy`` of a real function of z = x + iy."""
    units = np.eye(z.size).reshape(-1, *z.shape)
    parts = [directional(f, [z], [unit]) - 1j * directional(f, [z], [1j * unit]) for unit in units]
    return np.array(parts).reshape(z.shape)


def jacobian(f: Callable[..., Any], x: Any, step: float = 2e-3) -> Any:
    """The Jacobian of a function of one array, of shape (result, argument)."""
    x = np.asarray(x, dtype=float)
    shape = np.shape(f(x))
    columns = [directional(f, [x], [unit.reshape(x.shape)], step) for unit in np.eye(x.size)]
    return np.reshape(np.stack(columns, axis=-1) if columns else np.zeros((*shape, 0)), (*shape, *x.shape))


def inner(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    """The pairing of two lists of arrays: ``Re(sum(x y))``, without conjugation."""
    return float(sum(np.sum((_wide(x) * _wide(y)).real) for x, y in zip(xs, ys, strict=True)))


def _wide(x: Any) -> Any:
    """In double precision."""
    return np.asarray(x, complex if np.iscomplexobj(x) else float)


def precision(*values: Any) -> float:
    """A relative tolerance that fits the least precise dtype among `values`."""
    names = {np.asarray(v).dtype.name for v in values}
    return 2e-3 if "float16" in names else 1e-12 if names.isdisjoint({"float32", "complex64"}) else 2e-5


def assert_same(found: Any, expected: Any, tolerance: float | None = None) -> None:
    """Equal shape and dtype, and values equal up to rounding (exactly, where they are not floating-point)."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype, f"dtype {found.dtype}, expected {expected.dtype}"
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    if expected.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, expected)
    else:
        assert_close(found, expected, precision(expected) if tolerance is None else tolerance)


def assert_close(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Values equal up to `tolerance`, relative to the largest finite one; NaN and infinities in the same places."""
    found, expected = _wide(found), _wide(expected)
    if np.iscomplexobj(found) or np.iscomplexobj(expected):
        found, expected = (np.stack([z.real, z.imag]) for z in (found, expected))
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)
