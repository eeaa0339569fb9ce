"""scipy.special: functions that work on traced values and give what SciPy gives on plain arrays.

Invariant: ufuncs are SciPy's own objects, which traced values answer by the NumPy protocol; the other functions call
SciPy unless an argument is traced. Start at ``logsumexp``; the ufuncs are in staged_ad/numpy/special.py.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sp

from staged_ad.errors import UnsupportedError
from staged_ad.ir import filled
from staged_ad.ir.types import FLOAT64
from staged_ad.numpy import exponentials, ufuncs
from staged_ad.numpy.of_lists import taking_lists
from staged_ad.numpy.promotion import as_value, promote, to_dtype, to_float
from staged_ad.numpy.special import FUNCTIONS as UFUNCS
from staged_ad.primitives import gammas
from staged_ad.primitives.arithmetic import and_, eq, ge, le, lt
from staged_ad.primitives.makers import add, select, sub, typeof, zeros
from staged_ad.primitives.special import lgamma
from staged_ad.tracing import Tracer
from staged_ad.tracing.operations import OPERATIONS


def __getattr__(name: str) -> Any:
    found = getattr(sp, name, None)
    if isinstance(found, np.ufunc) and found in UFUNCS:
        return found
    raise AttributeError(f"staged_ad.scipy.special has no function {name!r}; it has {', '.join(__dir__())}")


def __dir__() -> list[str]:
    named = [name for name in dir(sp) if isinstance(getattr(sp, name), np.ufunc) and getattr(sp, name) in UFUNCS]
    return sorted({*named, *FUNCTIONS})


FUNCTIONS: dict[str, Callable[..., Any]] = {}


def _for_traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """SciPy's function of the same name, unless an argument is traced."""
    original = getattr(sp, function.__name__)

    @functools.wraps(function)
    def apply(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Tracer) for x in (*args, *kwargs.values())):
            return function(*args, **kwargs)
        return original(*args, **kwargs)

    FUNCTIONS[function.__name__] = apply
    return apply


logsumexp = _for_traced(exponentials.logsumexp)
softmax = _for_traced(exponentials.softmax)
log_softmax = _for_traced(exponentials.log_softmax)


def _exactly(name: str, exact: bool) -> None:
    if exact:
        raise UnsupportedError(
            f"scipy.special.{name}(..., exact=True) of a traced value is not supported: "
            "Python integers have no derivative; leave exact=True away"
        )


def _clear(value: Any, where: Any) -> Any:
    """`value`, and 0 where a condition does not hold."""
    return select(where, value, zeros(typeof(value)))


@_for_traced
def polygamma(n: int, x: Any) -> Any:
    """The n-th derivative of the digamma function; n is a whole number known while tracing."""
    return ufuncs.polygamma(n, to_dtype(as_value(x), FLOAT64))


@_for_traced
def zeta(x: Any, q: Any = None, out: Any = None) -> Any:
    """Riemann's zeta function, or Hurwitz's with `q`; differentiable in both arguments."""
    if out is not None:
        raise UnsupportedError("zeta(..., out=...) is not supported on traced values")
    return sp._ufuncs._riemann_zeta(x) if q is None else sp._ufuncs._zeta(x, q)


@_for_traced
def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the gamma function of d x d matrices; NaN where SciPy raises, for a <= (d - 1) / 2."""
    if int(d) != d or d < 1:
        raise ValueError("d should be a positive integer (dimension)")
    value = to_dtype(as_value(a), FLOAT64)
    total = filled(d * (d - 1) / 4 * math.log(math.pi), typeof(value).strong())
    for j in range(int(d)):
        total = add(total, lgamma(sub(value, j / 2)))
    return select(le(value, (d - 1) / 2), filled(np.nan, typeof(total)), total)


@_for_traced
def comb(N: Any, k: Any, *, exact: bool = False, repetition: bool = False) -> Any:
    """The number of combinations as a real function of both arguments; 0 outside of ``0 <= k <= N``."""
    _exactly("comb", exact)
    n, k = map(to_float, promote(N, k))
    if repetition:
        value = gammas.binom(sub(add(n, k), 1.0), k)
        return select(and_(eq(k, 0.0), ge(n, 0.0)), filled(1, typeof(value)), value)
    return _in_range(gammas.binom(n, k), n, k)


@_for_traced
def perm(N: Any, k: Any, exact: bool = False) -> Any:
    """The number of k-permutations as a real function of both arguments; 0 outside of ``0 <= k <= N``."""
    _exactly("perm", exact)
    n, k = map(to_float, promote(N, k))
    return _in_range(gammas.poch(add(sub(n, k), 1.0), k), n, k)


def _in_range(value: Any, n: Any, k: Any) -> Any:
    return _clear(value, and_(and_(le(k, n), ge(n, 0.0)), ge(k, 0.0)))


@_for_traced
def factorial(n: Any, exact: bool = False, extend: str = "zero") -> Any:
    """gamma(n + 1), and 0 for negative n."""
    _exactly("factorial", exact)
    if extend != "zero":
        raise UnsupportedError(
            f"factorial(..., extend={extend!r}) is not supported on traced values; write gamma(n + 1)"
        )
    value = to_float(n)
    if typeof(value).ndim:
        value = to_dtype(value, FLOAT64)  # as SciPy does for arrays
    result = gammas.gamma(add(value, 1.0))
    return select(lt(value, 0.0), zeros(typeof(result)), result)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)) without overflow."""
    return np.logaddexp(0, x)


FUNCTIONS["softplus"] = softplus

OPERATIONS.functions.update(UFUNCS)
OPERATIONS.stand_in(sp, {name: taking_lists(f) for name, f in FUNCTIONS.items()})
