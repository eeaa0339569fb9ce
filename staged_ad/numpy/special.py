"""The ufuncs of scipy.special on traced values.

Invariant: dtypes are those that SciPy would choose, and all operands are computed with in the dtype of the result.
Start at ``FUNCTIONS``; functions of scipy.special that are no ufuncs are in staged_ad/scipy/special.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special as sp

from staged_ad.errors import ConcretizationError, DTypeError
from staged_ad.ir import Literal, filled
from staged_ad.numpy.promotion import as_value, common_shape, resolve, to_dtype, to_shape
from staged_ad.numpy.ufuncs import UFUNCS, multiply, true_divide
from staged_ad.primitives import (
    bessel,
    exponential,
    gammas,
    incomplete,
    information,
    integrals,
    special,
)
from staged_ad.primitives.arithmetic import and_, lt, ne, not_, or_
from staged_ad.primitives.makers import Operation, mul, select, typeof
from staged_ad.primitives.polynomials import FAMILIES, polynomial
from staged_ad.tracing.source import location, user_source

_SAME_NAME = [
    (special, "erf erfc erfcx erfinv erfcinv erfi dawsn ndtr log_ndtr ndtri ndtri_exp owens_t"),
    (gammas, "gamma rgamma gammasgn beta betaln binom poch"),
    (
        incomplete,
        "gammainc gammaincc gammaincinv gammainccinv betainc betaincc betaincinv betainccinv chdtr chdtrc chdtri gdtr "
        "gdtrc pdtr pdtrc stdtr stdtrit fdtr fdtrc fdtri",
    ),
    (bessel, "iv ive kv kve kn jv jve yv yve yn i0 i1 i0e i1e k0 k1 k0e k1e j0 j1 y0 y1"),
    (integrals, "expi exp1 expn spence ellipk ellipkm1 ellipe hyp0f1 hyp1f1 hyp2f1 hyperu"),
    (
        information,
        "xlogy xlog1py entr rel_entr kl_div huber pseudo_huber logit exprel cosm1 powm1 boxcox boxcox1p inv_boxcox "
        "inv_boxcox1p sindg cosdg tandg cotdg exp10 radian wrightomega",
    ),
    (exponential, "expit log_expit expm1 log1p exp2 cbrt"),
]

DIRECT: dict[np.ufunc, Operation] = {
    **{getattr(sp, name): getattr(module, name) for module, names in _SAME_NAME for name in names.split()},
    sp.gammaln: special.lgamma,
    sp.psi: special.digamma,
    sp._ufuncs._zeta: gammas.zeta,
    sp._ufuncs._riemann_zeta: gammas.riemann_zeta,
}
"""Ufuncs that are one primitive."""

_SEVERAL: dict[np.ufunc, tuple[Operation, ...]] = {
    sp.sici: (integrals.si, integrals.ci),
    sp.shichi: (integrals.shi, integrals.chi),
    sp.fresnel: (integrals.fresnel_s, integrals.fresnel_c),
    sp.airy: (integrals.airy_ai, integrals.airy_ai_prime, integrals.airy_bi, integrals.airy_bi_prime),
}
"""Ufuncs with several results."""


def _operands(ufunc: np.ufunc, xs: tuple[Any, ...]) -> list[Any]:
    """Operands of one shape and of the dtype of the ufunc's result."""
    if len(xs) != ufunc.nin:
        raise TypeError(
            f"scipy.special.{ufunc.__name__} takes {ufunc.nin} arguments, got {len(xs)} (at {location(user_source())})"
        )
    values = [as_value(x, f"operand {k} of scipy.special.{ufunc.__name__}") for k, x in enumerate(xs)]
    types = [typeof(v) for v in values]
    dtype = resolve(ufunc, types)[-1]
    if dtype.kind != "f" and not (dtype.kind == "c" and ufunc in COMPLEX):
        raise DTypeError(
            f"scipy.special.{ufunc.__name__} of {' and '.join(str(t.dtype) for t in types)} is not supported on traced "
            "values: real numbers only"
        )
    shape = common_shape(types)
    return [to_shape(to_dtype(v, dtype), shape) for v in values]


COMPLEX = {sp.expm1, sp.log1p, sp.xlogy, sp.xlog1py}
"""Ufuncs that take complex numbers here, as they do in SciPy."""


def _times_log(ufunc: np.ufunc, log: Operation, zero: float) -> Callable[..., Any]:
    """x log(y), and 0 where x is 0, unless y is NaN."""

    def apply(*xs: Any) -> Any:
        x, y = _operands(ufunc, xs)
        if not typeof(y).is_complex:
            return getattr(information, ufunc.__name__)(x, y)
        regular = and_(ne(y, zero), not_(UFUNCS[np.isinf](y)))
        one = filled(1.0 + zero, typeof(y))
        return mul(x, log(select(or_(ne(x, 0.0), regular), y, one)))

    return apply


def _direct(ufunc: np.ufunc, operation: Operation) -> Callable[..., Any]:
    return lambda *xs: operation(*_operands(ufunc, xs))


def _loggamma(x: Any) -> Any:
    """The logarithm of gamma(x), NaN for x < 0: it is gammaln(x) where that is real-valued."""
    (value,) = _operands(sp.loggamma, (x,))
    return select(lt(value, 0.0), filled(np.nan, typeof(value)), special.lgamma(value))


def _several(ufunc: np.ufunc, operations: tuple[Operation, ...]) -> Callable[..., Any]:
    def apply(*xs: Any) -> tuple[Any, ...]:
        operands = _operands(ufunc, xs)
        return tuple(operation(*operands) for operation in operations)

    return apply


def _number(x: Any, what: str) -> float:
    """A number that is known while tracing."""
    value = as_value(x, what)
    if isinstance(value, Literal) and value.is_splat and np.ndim(value.value) == 0:
        return float(value.value)
    raise ConcretizationError(f"{what} must be one number known while tracing")


def _polynomial(
    name: str, family: str, inner: tuple[float, float] = (1.0, 0.0), outer: float = 1.0
) -> Callable[..., Any]:
    """``outer * p(inner[0] x + inner[1])``."""
    ufunc: np.ufunc = getattr(sp, f"eval_{name}")

    def apply(*xs: Any) -> Any:
        x = _operands(ufunc, xs)[-1]
        n, *parameters = (_number(p, f"argument {k} of scipy.special.{ufunc.__name__}") for k, p in enumerate(xs[:-1]))
        if n != int(n) or n < 0:
            raise ConcretizationError(
                f"scipy.special.{ufunc.__name__} on traced values needs a whole degree n >= 0, got {n}"
            )
        if inner != (1.0, 0.0):
            x = UFUNCS[np.add](multiply(x, inner[0]), inner[1])
        y = polynomial(x, family=family, n=int(n), parameters=tuple(parameters))
        return y if outer == 1.0 else multiply(y, outer)

    return apply


def _shifted_jacobi(n: Any, p: Any, q: Any, x: Any) -> Any:
    """Jacobi polynomials on [0, 1] with leading coefficient 1."""
    degree, first, second = (_number(v, "an argument of scipy.special.eval_sh_jacobi") for v in (n, p, q))
    value = _polynomial("jacobi", "jacobi", (2.0, -1.0))(n, first - second, second - 1, x)
    return true_divide(value, float(sp.binom(2 * degree + first - 1, degree)))


_POLYNOMIALS = {
    **{getattr(sp, f"eval_{family}"): _polynomial(family, family) for family in FAMILIES},
    sp.eval_sh_legendre: _polynomial("sh_legendre", "legendre", (2.0, -1.0)),
    sp.eval_sh_chebyt: _polynomial("sh_chebyt", "chebyt", (2.0, -1.0)),
    sp.eval_sh_chebyu: _polynomial("sh_chebyu", "chebyu", (2.0, -1.0)),
    sp.eval_sh_jacobi: _shifted_jacobi,
    sp.eval_chebyc: _polynomial("chebyc", "chebyt", (0.5, 0.0), 2.0),
    sp.eval_chebys: _polynomial("chebys", "chebyu", (0.5, 0.0)),
}


def _round(x: Any) -> Any:
    """Zero has the sign of zeros alone: -0.4 is rounded to 0.0."""
    (given,) = _operands(sp.round, (x,))
    return np.where(given == 0, given, UFUNCS[np.rint](given) + 0.0)


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    **{ufunc: _direct(ufunc, operation) for ufunc, operation in DIRECT.items()},
    **{ufunc: _several(ufunc, operations) for ufunc, operations in _SEVERAL.items()},
    **_POLYNOMIALS,
    sp.xlogy: _times_log(sp.xlogy, exponential.log, 0.0),
    sp.xlog1py: _times_log(sp.xlog1py, exponential.log1p, -1.0),
    sp.loggamma: _loggamma,
    sp.round: _round,
}
"""Every ufunc of scipy.special that works on traced values."""
