"""Normal variates between bounds, and of several variables.

Invariant: differentiable in their parameters; SciPy and LAPACK take part, so bits are theirs.
Start at ``truncated_normal``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.ir.types import FLOAT64
from staged_ad.primitives import exact
from staged_ad.primitives.shaping import cast
from staged_ad.random.arguments import check_batch, check_dtype, check_key, parameters
from staged_ad.random.elementary import normal, open_unit
from staged_ad.random.keys import words
from staged_ad.tracing.libraries import scipy_special


def truncated_normal(key: Any, lower: Any, upper: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Standard normal variates between two bounds, by inversion of the distribution, in logarithms in the tails.

    Parameters
    ----------
    key
        A key, of `random.key`, `split` or `fold_in`.
    lower, upper
        Numbers or arrays, infinite ones too; the result is differentiable in both. Where lower is above upper it is
        NaN.
    shape
        The shape of the result, to which the bounds broadcast; None for their common shape.
    dtype
        float64 or float32.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        When an argument is of another kind; the message names it.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.truncated_normal(sad.random.key(0), 30.0, 31.0, 3))
    [30.00423642 30.03380548 30.03797282]
    """
    check_key("truncated_normal", key)
    dtype = check_dtype("truncated_normal", dtype, "f")
    shape, (lower, upper) = parameters("truncated_normal", FLOAT64, shape, lower=lower, upper=upper)
    # the interval or its mirror image: the one on the left, where the distribution function has its digits
    mirrored = lower > -upper
    low, high = np.where(mirrored, -upper, lower), np.where(mirrored, -lower, upper)
    top = scipy_special.log_ndtr(high)
    bottom = exact.exp(scipy_special.log_ndtr(low) - top)
    share = bottom + open_unit(words(key, shape)) * (1.0 - bottom)
    x = np.clip(scipy_special.ndtri_exp(top + exact.log(share)), low, high)
    x = np.where(lower <= upper, np.where(mirrored, -x, x), np.nan)
    return cast(x, dtype=dtype, weak=False)


def multivariate_normal(key: Any, mean: Any, cov: Any, shape: Any = None, dtype: Any = np.float64) -> Any:
    """Normal vectors of a mean and a covariance: ``mean + L @ z`` with the Cholesky factor of the covariance.

    Parameters
    ----------
    key
        A key, of `random.key`, `split` or `fold_in`.
    mean
        An array of shape (..., n).
    cov
        An array of shape (..., n, n), symmetric and positive definite. The result is differentiable in both.
    shape
        The shape of the result without n, to which the leading axes broadcast; None for their common shape.
    dtype
        float64 or float32.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        When an argument is of another kind; the message names it.
    numpy.linalg.LinAlgError
        When the covariance is not positive definite.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.random.multivariate_normal(sad.random.key(0), np.zeros(2), np.array([[1.0, 0.9], [0.9, 1.0]])))
    [-0.1503098   0.26198588]
    """
    what = "multivariate_normal"
    check_key(what, key)
    dtype = check_dtype(what, dtype, "f")
    _, (mean,) = parameters(what, FLOAT64, None, mean=mean)
    _, (cov,) = parameters(what, FLOAT64, None, cov=cov)
    if not mean.shape or cov.shape[-2:] != (mean.shape[-1],) * 2:
        found = f"got {mean.shape} and {cov.shape}"
        raise ShapeError(f"{what}: mean must have shape (..., n) and cov (..., n, n), {found}")
    result = check_batch(what, shape, mean=mean.shape[:-1], cov=cov.shape[:-2])
    z = np.expand_dims(normal(key, (*result, mean.shape[-1])), -1)
    return cast(mean + np.squeeze(np.linalg.cholesky(cov) @ z, -1), dtype=dtype, weak=False)
