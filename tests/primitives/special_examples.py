"""Example rows of the functions of scipy.special: random points of their domains in float64, edges in both precisions.

Invariant: one small row per function for the derived tests; grids and references are in tests/scipy.
Start at ``SPECIAL_FUNCTIONS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.special as sp

from tests.primitives.row import ANYWHERE, POSITIVE, Row, generator, points

INF, NAN = np.inf, np.nan
UNIT: Any = ((0.1, 0.9),)
SYMMETRIC: Any = ((-0.9, 0.9),)
NEAR: Any = ((0.5, 2.5),)

_DOMAINS: list[tuple[str, tuple[Any, ...]]] = [
    ("erfcx erfi dawsn ndtr log_ndtr exprel cosm1 i0 i1 i0e i1e j0 j1", (((0.2, 2.0), (-2.0, -0.2)),)),
    ("sindg cosdg tandg exp10 wrightomega rgamma", (ANYWHERE,)),
    ("gamma gammasgn k0 k1 k0e k1e y0 y1 entr expi exp1 spence cotdg", (POSITIVE,)),
    ("erfinv", (SYMMETRIC,)),
    ("erfcinv", (((0.2, 1.8),),)),
    ("ndtri logit", (UNIT,)),
    ("ndtri_exp", (((-4.0, -0.2),),)),
    ("ellipk ellipe", (((-1.5, 0.9),),)),
    ("ellipkm1 ellipem1", (((0.1, 1.8),),)),
    ("riemann_zeta", (((-2.5, 0.8), (1.5, 4.0)),)),
    ("owens_t", (ANYWHERE, ANYWHERE)),
    ("beta betaln poch xlogy xlog1py rel_entr kl_div gammainc gammaincc", (POSITIVE, POSITIVE)),
    ("chdtr chdtrc stdtr", (NEAR, POSITIVE)),
    ("gammaincinv gammainccinv chdtri stdtrit", (NEAR, UNIT)),
    ("binom", (((3.2, 6.0),), ((0.3, 2.9),))),
    ("huber", (((1.0, 1.2),), ((0.2, 0.9), (-3.0, -1.3)))),
    ("pseudo_huber powm1 boxcox boxcox1p", (POSITIVE, ANYWHERE)),
    ("inv_boxcox inv_boxcox1p", (((0.2, 2.0),), ((0.1, 1.5),))),
    ("zeta", (((1.5, 4.0),), POSITIVE)),
    ("betainc betaincc betaincinv betainccinv fdtri", (NEAR, NEAR, UNIT)),
    ("gdtr gdtrc fdtr fdtrc", (NEAR, NEAR, POSITIVE)),
    ("radian", (ANYWHERE, ANYWHERE, ANYWHERE)),
]
"""Functions that are differentiable in all operands, and intervals for those."""

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "zeta": sp._ufuncs._zeta,
    "riemann_zeta": sp._ufuncs._riemann_zeta,
    "ellipem1": lambda p: sp.ellipe(1 - p),
}
"""Those that have another name in SciPy."""

_RESULTS: dict[str, tuple[str, int, Any]] = {
    "si": ("sici", 0, ((0.2, 0.9), (1.1, 4.0))),
    "ci": ("sici", 1, POSITIVE),
    "shi": ("shichi", 0, ((0.2, 0.9), (1.1, 4.0))),
    "chi": ("shichi", 1, POSITIVE),
    "fresnel_s": ("fresnel", 0, ANYWHERE),
    "fresnel_c": ("fresnel", 1, ANYWHERE),
    "airy_ai": ("airy", 0, ANYWHERE),
    "airy_ai_prime": ("airy", 1, ANYWHERE),
    "airy_bi": ("airy", 2, ANYWHERE),
    "airy_bi_prime": ("airy", 3, ANYWHERE),
}

_FIXED: list[tuple[str, tuple[Any, ...]]] = [
    ("iv ive kv kve jv jve yv yve", (((0.0, 3.0),), POSITIVE)),
    ("kn yn expn", (((0.0, 0.0), (1.0, 1.0), (2.0, 2.0)), POSITIVE)),
    ("pdtr pdtrc", (((0.0, 4.0),), POSITIVE)),
    ("hyp0f1", (NEAR, ANYWHERE)),
    ("hyp1f1", (NEAR, NEAR, ANYWHERE)),
    ("hyp2f1", (NEAR, NEAR, NEAR, ((-0.8, 0.8),))),
    ("hyperu", (NEAR, NEAR, POSITIVE)),
]
"""Functions that are differentiable in their last operand alone."""

_POLYNOMIALS: list[tuple[str, int, tuple[float, ...]]] = [
    ("jacobi", 4, (0.5, 1.5)),
    ("legendre", 5, ()),
    ("gegenbauer", 3, (0.7,)),
    ("chebyt", 6, ()),
    ("chebyu", 4, ()),
    ("hermite", 5, ()),
    ("hermitenorm", 1, ()),
    ("laguerre", 4, ()),
    ("genlaguerre", 3, (1.3,)),
    ("legendre", 0, ()),
]

_EDGES: dict[str, list[tuple[float, ...]]] = {
    "xlogy": [(0.0, 0.0, 0.0, 1.0, 2.0, 0.0, -1.0), (0.0, INF, NAN, 0.0, -1.0, -1.0, 0.5)],
    "xlog1py": [(0.0, 0.0, 0.0, 1.0, 2.0, 0.0, -1.0), (-1.0, INF, NAN, -1.0, -2.0, -3.0, 0.5)],
    "logit": [(0.0, 1.0, 0.5, 1e-30, 0.3, 0.7, 2.0, -1.0, NAN)],
    "log_ndtr": [(-40.0, -1e6, 40.0, 0.0, INF, -INF, NAN)],
    "kn": [(0.0, 1.0, 2.0, NAN), (0.5, INF, 0.0, 1.0)],
    "erfcx": [(-30.0, 0.0, 1e3, 1e30, INF, -INF, NAN)],
    "polynomial": [(0.0, 1.0, -1.0, 0.5, 30.0, NAN)],
}


def _each(families: list[tuple[str, tuple[Any, ...]]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for names, intervals in families:
        for name in names.split():
            yield name, intervals


def _operands(name: str, intervals: tuple[Any, ...], dtype: str = "float64") -> tuple[Any, ...]:
    rng = generator(name)
    return tuple(points(rng, i, (5,), dtype) for i in intervals)


def _edges(name: str, expected: Callable[..., Any], fixed: tuple[int, ...] = (), **params: Any) -> Iterator[Row]:
    for dtype in ("float64", "float32") if name in _EDGES else ():
        arguments = tuple(np.array(values).astype(dtype) for values in _EDGES[name])
        yield Row(name, f"edges-{dtype}", arguments, expected, params, False, (), fixed)


def _rows() -> Iterator[Row]:
    for name, intervals in _each(_DOMAINS):
        ufunc = _FUNCTIONS.get(name) or getattr(sp, name)
        smooth = name not in ("gammasgn",)
        yield Row(name, "f64[5]", _operands(name, intervals), ufunc, {}, smooth)
        yield from _edges(name, ufunc)
    for name, (several, k, interval) in _RESULTS.items():
        ufunc = getattr(sp, several)
        yield Row(name, "f64[5]", _operands(name, (interval,)), lambda x, ufunc=ufunc, k=k: ufunc(x)[k])
    for name, intervals in _each(_FIXED):
        fixed = tuple(range(len(intervals) - 1))
        yield Row(name, "f64[5]", _operands(name, intervals), getattr(sp, name), {}, True, (), fixed)
        yield from _edges(name, getattr(sp, name), fixed)
    for family, n, parameters in _POLYNOMIALS:
        params = {"family": family, "n": n, "parameters": parameters}
        yield Row("polynomial", f"{family}-{n}", _operands(family, (SYMMETRIC,)), _polynomial, params)
    yield from _edges("polynomial", _polynomial, family="legendre", n=3, parameters=())


def _polynomial(x: Any, *, family: str, n: int, parameters: tuple[float, ...]) -> Any:
    return np.asarray(getattr(sp, f"eval_{family}")(n, *parameters, x)).astype(np.asarray(x).dtype)


SPECIAL_FUNCTIONS = list(_rows())
