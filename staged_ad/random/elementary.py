"""Samplers that are one function of random bits: bits, uniform, integers, bernoulli, normal, exponential and others.

Invariant: every step is exactly rounded (``primitives/exact.py``), so numbers are the same to the last bit eager,
compiled and on every platform; float32 is rounded once from float64, save for uniform.
Start at ``uniform``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, DTypeError
from staged_ad.ir.types import FLOAT64, describe
from staged_ad.primitives import exact
from staged_ad.primitives.exact import UINT64
from staged_ad.primitives.makers import add, sub
from staged_ad.primitives.random_bits import normal_quantile, scaled_bits
from staged_ad.primitives.shaping import cast
from staged_ad.random.arguments import check_dtype, check_key, check_shape, parameters, spread
from staged_ad.random.keys import words
from staged_ad.tracing import Tracer


def bits(key: Any, shape: Any = (), dtype: Any = np.uint64) -> Any:
    """Random bits: unsigned integers of which all are equally likely.

    Parameters
    ----------
    key
        A key, of `random.key`, `split` or `fold_in`.
    shape
        The shape of the result: an integer or a tuple.
    dtype
        uint8, uint16, uint32 or uint64.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        When an argument is of another kind; the message names it. So do all samplers.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> print(sad.random.bits(sad.random.key(0), 3, np.uint8))
    [225  92  81]
    """
    check_key("bits", key)
    shape, dtype = check_shape("bits", shape), check_dtype("bits", dtype, "u")
    found = words(key, shape)
    return _cast(np.right_shift(found, np.uint64(64 - 8 * dtype.itemsize)), dtype)


def uniform(key: Any, shape: Any = (), dtype: Any = np.float64, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Numbers that are uniform in [minval, maxval): multiples of 2**-53 (float32: 2**-24), scaled.

    Rounding may give maxval itself where the bounds are not 0 and 1, as in NumPy.

    Parameters
    ----------
    key, shape
        As for `bits`; the bounds broadcast to `shape`.
    dtype
        float64 or float32.
    minval, maxval
        Numbers or arrays; the result is differentiable in both.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        As `bits`.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.uniform(sad.random.key(0), 3, minval=-1.0))
    [ 0.7610404  -0.27581777 -0.36110846]
    """
    check_key("uniform", key)
    shape, dtype = check_shape("uniform", shape), check_dtype("uniform", dtype, "f")
    shape, (low, high) = parameters("uniform", dtype, shape, minval=minval, maxval=maxval)
    u = _unit(words(key, shape), dtype)
    return u if _is_number(minval, 0.0) and _is_number(maxval, 1.0) else low + u * (high - low)


def integers(key: Any, shape: Any, minval: Any, maxval: Any, dtype: Any = np.int64) -> Any:
    """Integers from minval to maxval - 1, all equally likely up to a part in 2**64.

    Parameters
    ----------
    key, shape
        As for `bits`; the bounds broadcast to `shape`.
    minval, maxval
        Integers or arrays of them. Where traced ones leave no integer between them, the result is minval.
    dtype
        An integer dtype.

    Raises
    ------
    ArgumentError
        When a bound is no integer or does not fit into `dtype`, or maxval is not above minval.
    ShapeError, DTypeError
        As `bits`.

    References
    ----------
    D. Lemire, *Fast random integer generation in an interval*, ACM TOMACS 29 (2019).

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.integers(sad.random.key(0), 5, 1, 7))
    [6 3 2 3 5]
    """
    check_key("integers", key)
    shape, dtype = check_shape("integers", shape), check_dtype("integers", dtype, "iu")
    low, last = _bound("minval", minval, 0, dtype), _bound("maxval", maxval, 1, dtype)
    if isinstance(last, Tracer):
        empty = np.less_equal(cast(maxval, dtype=dtype, weak=False), low)
    else:
        empty = np.less(last, low)
    if not isinstance(empty, Tracer) and np.any(empty):
        raise ArgumentError(f"integers: maxval must be above minval, got {minval} and {maxval}")
    _, (low, last) = parameters("integers", dtype, shape, minval=low, maxval=last)
    start = _cast(low, UINT64)
    span = add(sub(_cast(last, UINT64), start), 1)  # modulo 2^64, as machine integers are
    high, rest = (words(key, shape, half=half) for half in (0, 1))
    offset = scaled_bits(high, rest, spread(span, shape, key))
    found = _cast(add(spread(start, shape, key), offset), dtype)
    return np.where(empty, low, found) if isinstance(empty, Tracer) else found


def _bound(name: str, value: Any, offset: int, dtype: np.dtype[Any]) -> Any:
    """A bound less `offset` in `dtype`. The offset is taken off first: 256 is an upper bound for uint8."""
    array = value if isinstance(value, Tracer) else np.asarray(value)
    if array.dtype.kind not in "iuO":
        found = value.type if isinstance(value, Tracer) else describe(value)
        raise ArgumentError(f"integers: {name} must be an integer, got {found}")
    if isinstance(value, Tracer):
        if not np.can_cast(value.dtype, dtype):
            raise DTypeError(
                f"integers: {name} has dtype {value.dtype}, which does not fit into {dtype}; pass "
                f"dtype=np.{value.dtype}, or write {name}.astype(np.{dtype})"
            )
        return sub(cast(value, dtype=dtype, weak=False), offset)
    numbers = array.ravel().tolist()
    if any(type(n) is not int for n in numbers):
        raise ArgumentError(f"integers: {name} must be an integer, got {describe(value)}")
    limits = np.iinfo(dtype)
    if any(not limits.min <= n - offset <= limits.max for n in numbers):
        raise ArgumentError(f"integers: {name} = {value} does not fit into {dtype}; pass another dtype")
    return np.array([n - offset for n in numbers], dtype).reshape(array.shape)


def bernoulli(key: Any, p: Any = 0.5, shape: Any = None) -> Any:
    """Booleans that are True with probability p. The shape is that of `p` unless given; not differentiable.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.bernoulli(sad.random.key(0), 0.9, 4))
    [ True  True  True  True]
    """
    check_key("bernoulli", key)
    shape, (p,) = parameters("bernoulli", FLOAT64, shape, p=p)
    return _unit(words(key, shape), FLOAT64) < p


def normal(key: Any, shape: Any = (), dtype: Any = np.float64) -> Any:
    """Standard normal variates, by inversion: to 9.1 standard deviations. ``loc + scale * z`` has its derivatives.

    Parameters
    ----------
    key, shape
        As for `bits`.
    dtype
        float64 or float32.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        As `bits`.

    References
    ----------
    M. J. Wichura, *Algorithm AS 241: the percentage points of the normal distribution*, Applied Statistics 37 (1988).

    Examples
    --------
    >>> import staged_ad as sad
    >>> loc, scale = 1.0, 2.0
    >>> print(loc + scale * sad.random.normal(sad.random.key(0), 3))
    [ 0.69938039  2.82277546 -0.99119493]
    """
    check_key("normal", key)
    shape, dtype = check_shape("normal", shape), check_dtype("normal", dtype, "f")
    return _cast(normal_quantile(words(key, shape)), dtype)


def exponential(key: Any, shape: Any = (), dtype: Any = np.float64) -> Any:
    """Exponential variates of mean 1: ``-log(u)``. ``scale * e`` has its derivatives. Arguments as for `normal`.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.exponential(sad.random.key(0), 3))
    [0.12724241 1.0158594  1.14116776]
    """
    return _by_inversion("exponential", key, shape, dtype, lambda u: -exact.log(u))


def gumbel(key: Any, shape: Any = (), dtype: Any = np.float64) -> Any:
    """Standard Gumbel variates: ``-log(-log(u))``. Arguments as for `normal`.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.gumbel(sad.random.key(0), 2))
    [ 2.06166125 -0.01573495]
    """
    return _by_inversion("gumbel", key, shape, dtype, lambda u: -exact.log(-exact.log(u)))


def logistic(key: Any, shape: Any = (), dtype: Any = np.float64) -> Any:
    """Standard logistic variates: ``log(u) - log(1 - u)``. Arguments as for `normal`.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.logistic(sad.random.key(0), 2))
    [ 1.99736553 -0.56629958]
    """
    return _by_inversion("logistic", key, shape, dtype, lambda u: exact.log(u) - exact.log(1.0 - u))


def laplace(key: Any, shape: Any = (), dtype: Any = np.float64) -> Any:
    """Standard Laplace variates: exponential ones with a random sign. Arguments as for `normal`.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.laplace(sad.random.key(0), 2))
    [-0.12724241  1.0158594 ]
    """
    check_key("laplace", key)
    shape, dtype = check_shape("laplace", shape), check_dtype("laplace", dtype, "f")
    found = words(key, shape)
    sign = 1.0 - 2.0 * _cast(found & np.uint64(1), FLOAT64)
    return _cast(sign * -exact.log(open_unit(found)), dtype)


def cauchy(key: Any, shape: Any = (), dtype: Any = np.float64) -> Any:
    """Standard Cauchy variates: the quotient of two normal ones. Arguments as for `normal`.

    Examples
    --------
    >>> import staged_ad as sad
    >>> print(sad.random.cauchy(sad.random.key(0), 2))
    [-0.29099721 -0.43717364]
    """
    check_key("cauchy", key)
    shape, dtype = check_shape("cauchy", shape), check_dtype("cauchy", dtype, "f")
    above, below = (normal_quantile(words(key, shape, half=half)) for half in (0, 1))
    return _cast(above / below, dtype)


def _by_inversion(what: str, key: Any, shape: Any, dtype: Any, quantile: Any) -> Any:
    check_key(what, key)
    shape, dtype = check_shape(what, shape), check_dtype(what, dtype, "f")
    return _cast(quantile(open_unit(words(key, shape))), dtype)


def open_unit(found: Any) -> Any:
    """Random bits as numbers strictly between 0 and 1: odd multiples of 2**-53."""
    return (_cast(np.right_shift(found, np.uint64(12)), FLOAT64) + 0.5) * 2.0**-52


def _unit(found: Any, dtype: np.dtype[Any]) -> Any:
    """Random bits as numbers from 0 to below 1, with as many bits as `dtype` has."""
    digits = 53 if dtype == FLOAT64 else 24
    return _cast(np.right_shift(found, np.uint64(64 - digits)), dtype) * dtype.type(2.0**-digits)


def _cast(x: Any, dtype: np.dtype[Any]) -> Any:
    return x if x.dtype == dtype else cast(x, dtype=dtype, weak=False)


def _is_number(x: Any, number: float) -> bool:
    return isinstance(x, int | float) and x == number
