"""Gamma variates and what is made of them: beta, Dirichlet, chi-square, Student's t.

Each element has a loop of its own that rejects, with a stream for each attempt, so what it gives depends on its place
alone. Acceptance is decided by exactly rounded arithmetic: the same everywhere.

Invariant: derivatives pass by ``moved_by_shape`` alone, never through the loop.
Start at ``loggamma``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from staged_ad.api.loops import while_loop
from staged_ad.api.mapping import vmap
from staged_ad.errors import ShapeError
from staged_ad.ir.types import FLOAT64
from staged_ad.primitives import exact
from staged_ad.primitives.random_bits import normal_quantile, philox
from staged_ad.primitives.shaping import cast, stop_gradient
from staged_ad.random.arguments import check_dtype, check_key, parameters, spread
from staged_ad.random.elementary import normal, open_unit
from staged_ad.random.gamma_slope import moved_by_shape
from staged_ad.random.keys import REJECTION, joined, places, split

_BOOST = np.uint64((REJECTION << 32) | 0xFFFFFFFF)
_FIRST = np.uint64(REJECTION << 32)


def gamma(key: Any, a: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Gamma variates of shape parameter `a` and scale 1; ``scale * z`` for others.

    Differentiable in `a` to any order, by implicit reparameterisation: a variate keeps its rank as `a` moves.

    Parameters
    ----------
    key
        A key, of `random.key`, `split` or `fold_in`.
    a
        A positive number or an array of them. Where it is not positive and finite the result is NaN.
    shape
        The shape of the result, to which `a` broadcasts; None for that of `a`.
    dtype
        float64 or float32.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        When an argument is of another kind; the message names it.

    References
    ----------
    G. Marsaglia, W. W. Tsang, *A simple method for generating gamma variables*, ACM TOMS 26 (2000). M. Figurnov,
    S. Mohamed, A. Mnih, *Implicit reparameterization gradients*, NeurIPS (2018).

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> sample = lambda a: np.mean(sad.random.gamma(sad.random.key(0), a, 1000))
    >>> print(round(sample(3.0), 2), round(sad.grad(sample)(3.0), 2))  # the mean is a
    2.91 0.98
    """
    dtype = check_dtype("gamma", dtype, "f")
    return cast(exact.exp(_loggamma("gamma", key, a, shape)), dtype=dtype, weak=False)


def loggamma(key: Any, a: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Logarithms of gamma variates, which stay finite for small `a`, where the variates underflow. See `gamma`.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(bool(np.isfinite(sad.random.loggamma(sad.random.key(0), 1e-4))))
    True
    """
    dtype = check_dtype("loggamma", dtype, "f")
    return cast(_loggamma("loggamma", key, a, shape), dtype=dtype, weak=False)


def _loggamma(what: str, key: Any, a: Any, shape: Any) -> Any:
    check_key(what, key)
    shape, (a,) = parameters(what, FLOAT64, shape, a=a)
    size = math.prod(shape)
    a = np.reshape(spread(a, shape, key), (size,))
    if size == 0:
        return np.reshape(a, shape)
    drawn = vmap(_one, in_axes=(None, 0, 0))(joined(key), places((size,), key, a), stop_gradient(a))
    return np.reshape(moved_by_shape(a, drawn), shape)


def _one(key: Any, place: Any, a: Any) -> Any:
    """The logarithm of one variate. For a < 1: z(a) = z(a + 1) u^(1 / a)."""
    valid = (a > 0.0) & (a < np.inf)
    boosted = a < 1.0
    d = np.where(valid, np.where(boosted, a + 1.0, a), 1.0) - 1 / 3
    c = 1.0 / (3.0 * np.sqrt(d))

    def attempt(carry: Any) -> Any:
        stream, _, _ = carry
        x = normal_quantile(philox(place, stream, key, half=0))
        u = open_unit(philox(place, stream, key, half=1))
        root = 1.0 + c * x
        v = root * root * root
        log_v = exact.log(v)  # NaN or -inf where v is not positive: not accepted
        accepted = exact.log(u) < 0.5 * x * x + d * (1.0 - v + log_v)
        return stream + np.uint64(1), log_v, accepted

    _, log_v, _ = while_loop(lambda carry: ~carry[2], attempt, (_FIRST, 0.0, False))
    log_u = exact.log(open_unit(philox(place, _BOOST, key, half=0)))
    y = exact.log(d) + log_v + np.where(boosted, log_u / a, 0.0)
    return np.where(valid, y, np.nan)


def beta(key: Any, a: Any, b: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Beta variates of parameters `a` and `b`: x / (x + y) of two gamma variates. Differentiable in both; see `gamma`.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> sample = lambda a: np.mean(sad.random.beta(sad.random.key(0), a, 1.0, 1000))
    >>> print(round(sample(3.0), 2), round(sad.grad(sample)(3.0), 2))  # the mean is a / (a + 1)
    0.75 0.06
    """
    check_key("beta", key)
    dtype = check_dtype("beta", dtype, "f")
    shape, (a, b) = parameters("beta", FLOAT64, shape, a=a, b=b)
    one, other = split(key)
    x, y = loggamma(one, a, shape), loggamma(other, b, shape)
    largest = stop_gradient(np.maximum(x, y))
    x, y = exact.exp(x - largest), exact.exp(y - largest)
    return cast(x / (x + y), dtype=dtype, weak=False)


def dirichlet(key: Any, alpha: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Dirichlet variates: `alpha` has shape (..., k); the result (*shape, k), its rows of sum 1; see `gamma`.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(round(sad.random.dirichlet(sad.random.key(0), np.ones(3)).sum(), 9))
    1.0
    """
    check_key("dirichlet", key)
    dtype = check_dtype("dirichlet", dtype, "f")
    _, (alpha,) = parameters("dirichlet", FLOAT64, None, alpha=alpha)
    if not alpha.shape:
        raise ShapeError("dirichlet: alpha must have at least one axis, got a scalar")
    batch, _ = parameters("dirichlet", FLOAT64, shape, alpha=alpha[..., 0])
    drawn = loggamma(key, alpha, (*batch, alpha.shape[-1]))
    weights = exact.exp(drawn - stop_gradient(np.max(drawn, axis=-1, keepdims=True)))
    return cast(weights / np.sum(weights, axis=-1, keepdims=True), dtype=dtype, weak=False)


def chisquare(key: Any, df: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Chi-square variates of `df` degrees of freedom: twice a gamma variate of shape df / 2; see `gamma`.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(round(np.mean(sad.random.chisquare(sad.random.key(0), 4.0, 1000)), 1))
    3.9
    """
    check_key("chisquare", key)
    dtype = check_dtype("chisquare", dtype, "f")
    shape, (df,) = parameters("chisquare", FLOAT64, shape, df=df)
    return cast(2.0 * gamma(key, 0.5 * df, shape), dtype=dtype, weak=False)


def standard_t(key: Any, df: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Student's t variates of `df` degrees of freedom: a normal one over the root of a mean square; see `gamma`.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(abs(np.mean(sad.random.standard_t(sad.random.key(0), 5.0, 1000))) < 0.1)
    True
    """
    check_key("standard_t", key)
    dtype = check_dtype("standard_t", dtype, "f")
    shape, (df,) = parameters("standard_t", FLOAT64, shape, df=df)
    one, other = split(key)
    square = gamma(other, 0.5 * df, shape) / (0.5 * df)
    return cast(normal(one, shape) / np.sqrt(square), dtype=dtype, weak=False)
