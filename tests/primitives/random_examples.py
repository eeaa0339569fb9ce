"""Example rows of the primitives of random numbers and of exactly rounded functions.

Invariant: integers are expected as Python's, which do not overflow.
Start at ``RANDOM``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.special

import staged_ad.random  # noqa: F401  # declares moved_by_shape
from tests.primitives.row import ANYWHERE, POSITIVE, Row, elementwise_rows, generator, points

INF, NAN = np.inf, np.nan
SHAPES: tuple[tuple[int, ...], ...] = ((13,), (), (0,), (2, 3))
EDGES = np.array([0, 1, 2, 3, 2**31, 2**32 - 1, 2**32, 2**52, 2**63, 2**64 - 2, 2**64 - 1], np.uint64)


def philox_words(counter: int, key: int) -> list[int]:
    """Philox4x32-10 as in Salmon et al. (2011), on Python integers: four words of 32 bits."""
    c = [counter >> 32 * k & 0xFFFFFFFF for k in range(4)]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k0, q & 0xFFFFFFFF, p >> 32 ^ c[3] ^ k1, p & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def _philox(low: int, high: int, key: int, *, half: int) -> int:
    words = philox_words(low | high << 64, key)
    return words[2 * half] | words[2 * half + 1] << 32


def _scaled_bits(high: int, low: int, span: int) -> int:
    return (high << 64 | low) * (span or 2**64) >> 128


def _by_element(f: Callable[..., int]) -> Callable[..., Any]:
    def expected(*arrays: Any, **params: Any) -> Any:
        flat = [np.asarray(x).ravel().tolist() for x in arrays]
        found = [f(*numbers, **params) for numbers in zip(*flat, strict=True)]
        return np.array(found, np.uint64).reshape(np.shape(arrays[0]))[()]

    return expected


def _normal_quantile(bits: Any) -> Any:
    p = ((bits >> np.uint64(1)).astype(float) + 0.5) / 2**64
    return np.where(bits & np.uint64(1), 1.0, -1.0)[()] * scipy.special.ndtri(p)


def _integers(name: str, expected: Callable[..., Any], arity: int, **params: Any) -> Iterator[Row]:
    rng = generator(name)
    label = "".join(f"-{value}" for value in params.values())
    for shape in SHAPES:
        xs = tuple(np.asarray(rng.integers(0, 2**64, shape, np.uint64))[()] for _ in range(arity))
        yield Row(name, f"{list(shape)}{label}", xs, expected, params, False)
    edges = tuple(rng.permutation(EDGES) for _ in range(arity))
    yield Row(name, f"edges{label}", edges, expected, params, False)


def _moved() -> Iterator[Row]:
    rng = generator("moved_by_shape")
    for dtype in ("float64", "float32"):
        for shape in SHAPES:
            xs = points(rng, POSITIVE, shape, dtype)[()], points(rng, ANYWHERE, shape, dtype)[()]
            yield Row("moved_by_shape", f"{dtype}{list(shape)}", xs, lambda a, y: y, {}, False)


SPECIAL = (0.0, -0.0, 1.0, -1.0, INF, -INF, NAN, 0.5, -2.5)
RANDOM = [
    *elementwise_rows("exact_log", np.log, POSITIVE, edges=[(*SPECIAL, 1e-300, 1e300, 5e-324, 1e-310)]),
    *elementwise_rows("exact_exp", np.exp, ANYWHERE, edges=[(*SPECIAL, 709.7, 710.5, -745.0, -746.5, 88.0)]),
    *_integers("philox", _by_element(_philox), 3, half=0),
    *_integers("philox", _by_element(_philox), 3, half=1),
    *_integers("normal_quantile", _normal_quantile, 1),
    *_integers("scaled_bits", _by_element(_scaled_bits), 3),
    *_moved(),
]
