"""Keys, and the random bits that they stand for.

Random bits are Philox4x32-10 of a counter: the place of the element in its array, and a stream, which is a number
and a purpose. So an element does not depend on the shape around it, on threads or on vector registers.

Invariant: a key is a uint32 array of shape (2,), an ordinary array for every transform. What one key gives for
different purposes never meets.
Start at ``key``, then ``words``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError
from staged_ad.ir.types import describe
from staged_ad.primitives.arithmetic import or_, shift_left
from staged_ad.primitives.exact import UINT64
from staged_ad.primitives.random_bits import philox
from staged_ad.primitives.shaping import cast, iota, reshape
from staged_ad.random.arguments import UINT32, check_key, check_shape, spread
from staged_ad.tracing import Tracer

DRAW, SPLIT, FOLD, REJECTION = range(4)
"""Purposes: samples, new keys, and the attempts of samplers that reject."""


def key(seed: Any) -> Any:
    """A key made of a seed: the start of all random numbers.

    A key stands for a stream of random numbers. A sampler given the same key gives the same numbers, so use each key
    once: make new ones by `split` or `fold_in`.

    Parameters
    ----------
    seed
        An integer from -2**63 to 2**64 - 1, or a traced integer scalar. Negative ones count from 2**64 down.

    Returns
    -------
    A uint32 array of shape (2,): the lower and the upper half of the seed.

    Raises
    ------
    ArgumentError
        When `seed` is not such an integer.

    References
    ----------
    J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC11 (2011):
    Philox4x32-10.

    Examples
    --------
    >>> import staged_ad as sad
    >>> key = sad.random.key(7)
    >>> print(key, sad.random.uniform(key, 2))
    [7 0] [0.75015222 0.79528404]
    """
    if isinstance(seed, Tracer):
        if seed.shape or seed.dtype.kind not in "iu":
            raise ArgumentError(f"key: seed must be an integer scalar, got {seed.type}")
        return _halves(cast(seed, dtype=UINT64, weak=False))
    number = seed.item() if isinstance(seed, np.ndarray | np.generic) and seed.shape == () else seed
    if type(number) is not int or not -(2**63) <= number < 2**64:
        raise ArgumentError(f"key: seed must be an integer from -2**63 to 2**64 - 1, got {describe(seed)}")
    return _halves(np.uint64(number % 2**64))


def split(key: Any, num: Any = 2) -> Any:
    """New keys, independent of each other and of what `key` itself gives.

    Parameters
    ----------
    key
        A key, which is not to be used any more.
    num
        How many: an integer, or a shape.

    Returns
    -------
    A uint32 array of shape (num, 2), or (*num, 2) for a shape.

    Raises
    ------
    ArgumentError, ShapeError
        When `key` is no key, or `num` no shape.

    Examples
    --------
    >>> import staged_ad as sad
    >>> one, other = sad.random.split(sad.random.key(0))
    """
    check_key("split", key)
    return _halves(words(key, check_shape("split", num), SPLIT))


def fold_in(key: Any, data: Any) -> Any:
    """A new key made of a key and a number, such as the step of a loop.

    Parameters
    ----------
    key
        A key, which may be used with other numbers too.
    data
        An integer scalar, which may be traced.

    Returns
    -------
    A key.

    Raises
    ------
    ArgumentError
        When `key` is no key, or `data` no integer.

    Examples
    --------
    >>> import staged_ad as sad
    >>> keys = [sad.random.fold_in(sad.random.key(0), step) for step in range(3)]
    """
    check_key("fold_in", key)
    traced = isinstance(data, Tracer)
    if not traced:
        data = data.item() if isinstance(data, np.ndarray | np.generic) and data.shape == () else data
    fits = not data.shape and data.dtype.kind in "iu" if traced else type(data) is int and -(2**63) <= data < 2**64
    if not fits:
        found = data.type if traced else describe(data)
        raise ArgumentError(f"fold_in: data must be an integer scalar of 64 bits, got {found}")
    number = cast(data, dtype=UINT64, weak=False) if traced else np.uint64(data % 2**64)
    return _halves(philox(number, np.uint64(FOLD << 32), joined(key), half=0))


def words(key: Any, shape: tuple[int, ...], purpose: int = DRAW, half: int = 0) -> Any:
    """64 random bits for each element of an array of `shape`; `half` 0 or 1 gives 64 others."""
    stream = spread(np.uint64(purpose << 32), shape, key)
    return philox(places(shape, key), stream, spread(joined(key), shape, key), half=half)


def places(shape: tuple[int, ...], *near: Any) -> Any:
    """The number of each element of an array, in C order."""
    return reshape(iota((math.prod(shape),), UINT64, 0, near), shape=shape)


def joined(key: Any) -> Any:
    """A key as one number of 64 bits."""
    wide = cast(key, dtype=UINT64, weak=False)
    return or_(wide[0], shift_left(wide[1], 32))


def _halves(number: Any) -> Any:
    """Numbers of 64 bits as keys: lower and upper half along a last axis."""
    mask, places = np.uint64(0xFFFFFFFF), np.uint64(32)
    pair = np.stack([np.bitwise_and(number, mask), np.right_shift(number, places)], axis=-1)
    return pair.astype(UINT32)
