"""Example rows of the primitives that look at bits, and of shears.

Invariant: see row.py. Start at ``BITS``.
"""

from __future__ import annotations

import numpy as np

from tests.primitives.row import ANYWHERE, Row, elementwise_rows, generator, points

EDGES = (0.0, -0.0, 1.0, -2.5, 5e-324, np.inf, np.nan, 1e308)
TOWARDS = (1.0, 1.0, -np.inf, np.inf, 0.0, 0.0, 1.0, np.inf)


def antidiagonals(x: np.ndarray) -> np.ndarray:
    """y[..., k, j] = x[..., k - j, j], element by element."""
    *stack, n, m = x.shape
    y = np.zeros((*stack, n + m - 1, m), x.dtype)
    for j in range(m):
        y[..., j : j + n, j] = x[..., j]
    return y


def diagonals(x: np.ndarray) -> np.ndarray:
    """y[..., i, j] = x[..., i + j, j], column by column."""
    n, m = x.shape[-2:]
    return np.stack([x[..., j : j + n - m + 1, j] for j in range(m)], axis=-1)


def _matrix(*shape: int, dtype: str = "float64") -> np.ndarray:
    return points(generator(f"shear{shape}"), ANYWHERE, shape, dtype)


BITS = [
    *elementwise_rows("gcd", np.gcd, ANYWHERE, ANYWHERE, kinds="iu"),
    *elementwise_rows("nextafter", np.nextafter, ANYWHERE, ANYWHERE, edges=[EDGES, TOWARDS]),
    Row("nextafter", "float16", tuple(np.array(v[:7], "float16") for v in (EDGES, TOWARDS)), np.nextafter, {}, False),
    *[
        Row("bitcast", f"{x.dtype}-{to}", (x,), lambda x, *, dtype: x.view(dtype), {"dtype": np.dtype(to)}, False)
        for x, to in [
            (np.array(EDGES), "int64"),
            (np.array([1.5, -2.0], "float32"), "uint32"),
            (np.arange(2**62, 2**62 + 19), "float64"),
            (np.float64(0.1), "uint64"),
            (np.zeros((0, 3), "int32"), "float32"),
            (np.array(EDGES[:5], "float16"), "uint16"),
        ]
    ],
    *[
        Row(name, f"{x.dtype}{list(x.shape)}", (x,), expected, linear=((0,),))
        for name, expected in [("shear", antidiagonals), ("unshear", diagonals)]
        for x in [_matrix(5, 3), _matrix(2, 3, 3), _matrix(4, 1), _matrix(0, 5, 2), _matrix(70, 4, dtype="float32")]
    ],
]
