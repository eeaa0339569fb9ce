"""Random orders and selections: permutation and choice.

Invariant: what is selected is differentiable as an indexed array is; the selection itself has no derivative.
Start at ``permutation``: the order of random bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, ShapeError
from staged_ad.ir.types import FLOAT64, describe
from staged_ad.numpy.promotion import as_value
from staged_ad.primitives import exact
from staged_ad.primitives.shaping import stop_gradient
from staged_ad.random.arguments import check_axis_of, check_key, check_shape, parameters
from staged_ad.random.elementary import gumbel, integers, uniform
from staged_ad.random.keys import words
from staged_ad.tracing import Tracer, literal_of
from staged_ad.tracing.trace import innermost


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Any:
    """The slices of an array in a random order, all orders equally likely.

    Parameters
    ----------
    key
        A key, of `random.key`, `split` or `fold_in`.
    x
        An array, or an integer n for ``np.arange(n)``.
    axis
        The axis along which slices are moved.
    independent
        Whether the elements along `axis` move in orders of their own, instead of whole slices.

    Raises
    ------
    ArgumentError, ShapeError
        When `x` is neither an array nor an integer, or `axis` does not exist.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.permutation(sad.random.key(0), 6))
    [5 2 1 3 4 0]
    """
    check_key("permutation", key)
    x = _population("permutation", x)
    axis = check_axis_of("permutation", x.shape, axis)
    if independent:
        return np.take_along_axis(x, np.argsort(words(key, x.shape), axis=axis, kind="stable"), axis)
    return _taken(x, _order(key, x.shape[axis]), axis)


def _order(key: Any, n: int) -> Any:
    """64 bits each: that two of them are equal, which a stable order would bias, is rarer than n^2 / 2^65."""
    return np.argsort(words(key, (n,)), kind="stable")


def choice(key: Any, a: Any, shape: Any = (), replace: bool = True, p: Any = None, axis: int = 0) -> Any:
    """Random slices of an array, with or without replacement.

    Parameters
    ----------
    key
        A key, of `random.key`, `split` or `fold_in`.
    a
        An array, or an integer n for ``np.arange(n)``.
    shape
        How many: an integer or a shape, which takes the place of `axis` in the result.
    replace
        Whether a slice may be chosen more than once.
    p
        The probability of each slice, of shape (n,); None: all are equally likely. Traced ones are divided by their
        sum. Without replacement, each next one is chosen with these probabilities among those that are left.
    axis
        The axis of the slices.

    Raises
    ------
    ArgumentError
        When `a` is empty, more slices are asked for than there are, or `p` holds no probabilities.
    ShapeError
        When `axis` does not exist, or `p` has another shape.

    References
    ----------
    W. Kool, H. van Hoof, M. Welling, *Stochastic beams and where to find them: the Gumbel-top-k trick*, ICML (2019).

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.choice(sad.random.key(0), 10, 4, replace=False))
    [5 7 9 2]
    """
    check_key("choice", key)
    a = _population("choice", a)
    axis = check_axis_of("choice", a.shape, axis)
    shape, n = check_shape("choice", shape), a.shape[axis]
    size = math.prod(shape)
    weights = None if p is None else _weights(p, n, 0 if replace else size)
    if n == 0 and size:
        raise ArgumentError(f"choice: a has no elements along axis {axis}")
    if not replace and size > n:
        raise ArgumentError(f"choice: {size} of {n} cannot be chosen without replacement")
    if not size:
        index = np.zeros(shape, np.int64)
    elif replace:
        index = integers(key, shape, 0, n) if weights is None else _by_distribution(key, weights, shape)
    elif weights is None:
        index = np.reshape(_order(key, n)[:size], shape)
    else:
        scores = exact.log(weights) + gumbel(key, n)
        index = np.reshape(np.argsort(-scores, kind="stable")[:size], shape)
    return _taken(a, index, axis)


def _taken(x: Any, index: Any, axis: int) -> Any:
    """np.take asks a traced array, not a traced index, what to do: a constant array becomes a traced one."""
    trace = innermost((index,))
    if trace is not None and not isinstance(x, Tracer):
        x = trace.constant(literal_of(x))
    return np.take(x, index, axis=axis)


def _by_distribution(key: Any, weights: Any, shape: tuple[int, ...]) -> Any:
    total = np.cumsum(weights)
    found = np.searchsorted(total, uniform(key, shape) * total[-1], side="right")
    return np.minimum(found, len(weights) - 1)


def _weights(p: Any, n: int, needed: int) -> Any:
    _, (weights,) = parameters("choice", FLOAT64, None, p=p)
    if weights.shape != (n,):
        raise ShapeError(f"choice: p must have shape ({n},), got {weights.shape}")
    if isinstance(weights, Tracer):
        return stop_gradient(weights)
    if not np.all(weights >= 0) or not abs(np.sum(weights) - 1) < 1e-8:
        raise ArgumentError(f"choice: p must hold probabilities of sum 1, got {describe(p)}; write p / p.sum()")
    if np.count_nonzero(weights) < needed:
        raise ArgumentError(f"choice: p has fewer than {needed} nonzero probabilities")
    return weights


def _population(what: str, x: Any) -> Any:
    """The array that is selected from."""
    if isinstance(x, bool | float) or x is None:
        raise ArgumentError(f"{what}: expected an array or an integer, got {describe(x)}")
    if isinstance(x, int | np.integer):
        if x < 0:
            raise ArgumentError(f"{what}: the number of elements must not be negative, got {x}")
        return np.arange(int(x))
    array = x if isinstance(x, Tracer) else np.asarray(x)
    as_value(array, f"{what}: its argument")
    return array
