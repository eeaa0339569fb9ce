"""Variates that are counts or classes: Poisson and categorical.

Invariant: not differentiable in their parameters: results are integers.
Start at ``poisson``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from staged_ad.api.loops import while_loop
from staged_ad.api.mapping import vmap
from staged_ad.errors import ArgumentError, ShapeError
from staged_ad.ir.types import FLOAT64
from staged_ad.primitives import exact
from staged_ad.primitives.random_bits import philox
from staged_ad.primitives.shaping import cast, stop_gradient
from staged_ad.random.arguments import check_axis_of, check_batch, check_dtype, check_key, parameters, spread
from staged_ad.random.elementary import gumbel, open_unit
from staged_ad.random.keys import REJECTION, joined, places
from staged_ad.tracing import Tracer

FEW = 10.0
"""Means below it: inversion, whose steps are about as many as the mean; from it on, rejection, of about one step."""
_LAST = 200.0
"""A count that a mean below FEW never reaches: where the sum of probabilities is rounded below u, the search ends."""
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
_FIRST = np.uint64(REJECTION << 32)


def poisson(key: Any, lam: Any, shape: Any = None, dtype: Any = np.int64) -> Any:
    """Poisson variates of mean `lam`.

    Parameters
    ----------
    key
        A key, of `random.key`, `split` or `fold_in`.
    lam
        A number that is not negative, at most 2**53, or an array of them. Where a traced one is not, the result is -1.
    shape
        The shape of the result, to which `lam` broadcasts; None for that of `lam`.
    dtype
        An integer dtype.

    Raises
    ------
    ArgumentError
        When `lam` is negative, NaN or above 2**53, or another argument is of another kind.
    ShapeError, DTypeError
        When shapes do not broadcast, or `dtype` is none of the integers.

    References
    ----------
    W. Hörmann, *The transformed rejection method for generating Poisson random variables*, Insurance: Mathematics and
    Economics 12 (1993): algorithm PTRS; inversion below a mean of 10.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.poisson(sad.random.key(0), 4.0, 6))
    [6 2 3 4 2 6]
    """
    check_key("poisson", key)
    dtype = check_dtype("poisson", dtype, "iu")
    shape, (lam,) = parameters("poisson", FLOAT64, shape, lam=lam)
    if not isinstance(lam, Tracer) and not np.all((lam >= 0) & (lam <= 2.0**53)):
        raise ArgumentError(f"poisson: lam must be from 0 to 2**53, got {lam}")
    size = math.prod(shape)
    means = np.reshape(spread(lam, shape, key), (size,))
    if size:
        means = vmap(_one, in_axes=(None, 0, 0))(joined(key), places((size,), key, means), stop_gradient(means))
    return cast(np.reshape(means, shape), dtype=dtype, weak=False)


def _one(key: Any, place: Any, lam: Any) -> Any:
    valid = (lam >= 0.0) & (lam <= 2.0**53)
    few = lam < FEW
    mean = np.where(valid, lam, 1.0)
    rejection = _rejection(np.where(few, FEW, mean))
    u = open_unit(philox(place, _FIRST, key, half=0))

    def step(carry: Any) -> Any:
        stream, count, p, total, _ = carry
        found, accepted = rejection(*[open_unit(philox(place, stream, key, half=half)) for half in (0, 1)])
        p = np.where(count < 0.0, exact.exp(-mean), p * mean / np.maximum(count + 1.0, 1.0))
        count, total = count + 1.0, total + p
        done = np.where(few, (u < total) | (count >= _LAST), accepted)
        return stream + np.uint64(1), np.where(few, count, found), p, total, done

    start = (_FIRST + np.uint64(1), -1.0, 0.0, 0.0, False)
    count = while_loop(lambda carry: ~carry[-1], step, start)[1]
    return np.where(valid, count, -1.0)


def _rejection(lam: Any) -> Any:
    """PTRS: from two uniform numbers to a count and whether it is accepted."""
    b = 0.931 + 2.53 * np.sqrt(lam)
    a = -0.059 + 0.02483 * b
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2.0)
    log_lam = exact.log(lam)

    def attempt(u: Any, v: Any) -> Any:
        u = u - 0.5
        left = 0.5 - np.abs(u)
        k = np.floor((2.0 * a / left + b) * u + lam + 0.43)
        at_once = (left >= 0.07) & (v <= squeeze)
        possible = (k >= 0.0) & ((left >= 0.013) | (v <= left))
        count = np.maximum(k, 0.0)
        density = count * log_lam - lam - _log_factorial(count)
        below = exact.log(v * inverse / (a / (left * left) + b)) <= density
        return k, at_once | (possible & below)

    return attempt


def _log_factorial(k: Any) -> Any:
    """log k! by Stirling's series of (k + 10)!."""
    product, n = 1.0, k + 10.0
    for j in range(1, 11):
        product = product * (k + float(j))
    inverse = 1.0 / n
    series, square = 0.0, inverse * inverse
    for coefficient in reversed(_STIRLING):
        series = series * square + coefficient
    whole = (n + 0.5) * exact.log(n) - n + 0.5 * math.log(2 * math.pi)
    return whole + series * inverse - exact.log(product)


def categorical(key: Any, logits: Any, axis: int = -1, shape: Any = None) -> Any:
    """Indices along an axis, of probabilities proportional to ``exp(logits)``: where logits plus Gumbel noise are
    largest.

    Parameters
    ----------
    key
        A key, of `random.key`, `split` or `fold_in`.
    logits
        An array of logarithms of weights, not all -inf.
    axis
        The axis of the classes.
    shape
        The shape of the result, to which that of `logits` without `axis` broadcasts; None for that shape itself.

    Returns
    -------
    int64 indices from 0 to the length of `axis` - 1.

    Raises
    ------
    ArgumentError, ShapeError
        When an argument is of another kind, or `axis` does not exist or has length 0.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.random.categorical(sad.random.key(0), np.log([0.7, 0.2, 0.1]), shape=6))
    [0 0 0 1 0 0]
    """
    check_key("categorical", key)
    _, (logits,) = parameters("categorical", FLOAT64, None, logits=logits)
    logits = np.moveaxis(logits, check_axis_of("categorical", logits.shape, axis), -1)
    *batch, classes = logits.shape
    if classes == 0:
        raise ShapeError("categorical: the axis of the classes has length 0")
    noise = gumbel(key, (*check_batch("categorical", shape, logits=tuple(batch)), classes))
    return np.argmax(logits + noise, axis=-1)
