"""scipy.special on traced values: values and dtypes are SciPy's, derivatives are those of mpmath in 40 digits.

Invariant: every function of the table is compared with SciPy, on edges too; those with tails are checked there.
Start at ``test_values_and_dtypes_are_scipys``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.special as sp

import staged_ad as sad
from staged_ad.errors import ConcretizationError, DTypeError, NotDifferentiableError, UnsupportedError
from staged_ad.numpy.special import FUNCTIONS
from tests.backends import MODES, in_mode
from tests.numerics import assert_same

S: Any = sad.scipy.special
EDGES = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -2.5, 30.0, 3.0, 1.5])
MODERATE = np.array([0.0, 1.0, -1.0, 0.5, 3.0, np.nan])
UFUNCS = sorted(FUNCTIONS, key=lambda ufunc: ufunc.__name__)


def leading(ufunc: np.ufunc) -> tuple[Any, ...]:
    """Static arguments: the degree and parameters of orthogonal polynomials."""
    return (3, 1.5, 1.2)[: ufunc.nin - 1] if ufunc.__name__.startswith("eval_") else ()


def operands(ufunc: np.ufunc) -> list[tuple[Any, ...]]:
    """Arguments of several dtypes and shapes."""
    edges = MODERATE if leading(ufunc) else EDGES
    if ufunc in (sp.kn, sp.yn, sp.expn):  # SciPy warns of fractions and infinities
        orders = np.array([0.0, 1.0, np.nan, 2.0])
        return [(orders, MODERATE[1:5]), (np.float32(2), np.float32(0.5)), (2, np.array([0.5, 0.0])), (1, np.int8(2))]
    count = ufunc.nin - len(leading(ufunc))
    shifted = [np.roll(edges, -4 * k) for k in range(count)]
    return [
        tuple(shifted),
        tuple(x.astype(np.float32) for x in shifted),
        tuple(np.arange(1, 5) + k for k in range(count)),
        tuple(np.int8([2, 1]) for k in range(count)),
        tuple(np.float64(0.3 + k) for k in range(count)),
        tuple(np.float32(0.3 + k) for k in range(count)),
        tuple(np.zeros((0, 2)) for _ in range(count)),
        tuple(np.ones((2, 1)) * 0.4 if k == 0 else np.array([0.7, 2.0, 3.0])[::-1] for k in range(count)),
    ]


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_values_and_dtypes_are_scipys(ufunc: np.ufunc):
    f = lambda *xs: ufunc(*leading(ufunc), *xs)
    cases = operands(ufunc)
    found = sad.jit(lambda cases: [f(*xs) for xs in cases])(cases)
    for xs, values in zip(cases, found, strict=True):
        with np.errstate(all="ignore"):
            expected = f(*xs)
        several = expected if isinstance(expected, tuple) else (expected,)
        for value, wanted in zip(values if isinstance(values, tuple) else (values,), several, strict=True):
            assert_same(value, wanted)


# name: (the function in mpmath, points, operands it is differentiated in)
Reference = tuple[Callable[..., Any], list[tuple[float, ...]], tuple[int, ...]]


def at(*xs: float) -> list[tuple[float, ...]]:
    return [(x,) for x in xs]


def box(x: Any, power: Any) -> Any:
    return mp.log(x) if power == 0 else mp.expm1(power * mp.log(x)) / power


def unbox(y: Any, power: Any) -> Any:
    return mp.exp(y) if power == 0 else mp.exp(mp.log1p(power * y) / power)


FAR_APART = [(3.0, 171.5), (170.0, -3.5), (170.0, -2.0), (300.0, -1.5), (-170.5, 2.0), (3.0, 200.0), (3.0, 200.5)]
"""Where gamma of one argument is beyond the largest number, or its inverse below the least."""
MPMATH: dict[str, Reference] = {
    "erf": (mp.erf, at(-3.0, 0.0, 0.7), (0,)),
    "erfc": (mp.erfc, at(-3.0, 0.0, 9.0), (0,)),
    "erfcx": (lambda x: mp.exp(x * x) * mp.erfc(x), at(-3.0, 0.0, 3.0, 19.9, 20.1, 1e5), (0,)),
    "erfi": (mp.erfi, at(-2.0, 0.0, 3.0), (0,)),
    "erfinv": (mp.erfinv, at(-0.99, 0.0, 0.3, 0.999), (0,)),
    "erfcinv": (lambda x: mp.erfinv(1 - x), at(0.01, 1.0, 1.9), (0,)),
    "dawsn": (
        lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x),
        at(-1.0, 0.0, 3.0, 19.9, -20.1),
        (0,),
    ),
    "ndtr": (mp.ncdf, at(-30.0, 0.0, 3.0), (0,)),
    "log_ndtr": (lambda x: mp.log(mp.erfc(-x / mp.sqrt(2)) / 2), at(-1e4, -40.0, -1.0, 0.0, 6.0), (0,)),
    "ndtri": (lambda p: mp.sqrt(2) * mp.erfinv(2 * p - 1), at(1e-6, 0.5, 0.99), (0,)),
    "gamma": (mp.gamma, at(-2.5, 0.3, 1.0, 30.0), (0,)),
    "gammaln": (lambda x: mp.log(abs(mp.gamma(x))), at(-2.5, 0.3, 1.0, 300.0), (0,)),
    "loggamma": (mp.loggamma, at(0.3, 1.0, 300.0), (0,)),
    "psi": (mp.digamma, at(-2.5, 0.3, 1.0, 300.0), (0,)),
    "rgamma": (mp.rgamma, at(-3.0, -2.5, 0.0, 0.3, 1.0, 20.0), (0,)),
    "beta": (mp.beta, [(0.3, 2.0), (20.0, 1.5)], (0, 1)),
    "betaln": (lambda a, b: mp.log(mp.beta(a, b)), [(0.3, 2.0), (200.0, 1.5)], (0, 1)),
    "binom": (mp.binomial, [(5.5, 2.25), (2.0, 3.0), (3.5, -2.0), (300.0, 20.5), *FAR_APART], (0, 1)),
    "poch": (mp.rf, [(5.5, 2.25), (0.5, -0.25), (-1.5, 0.75), (0.25, -3.5)], (0, 1)),
    "xlogy": (lambda x, y: x * mp.log(y), [(2.0, 3.0), (-1.0, 1e-20)], (0, 1)),
    "xlog1py": (lambda x, y: x * mp.log1p(y), [(2.0, 3.0), (-1.0, 1e-20)], (0, 1)),
    "entr": (lambda x: -x * mp.log(x), at(1e-10, 2.0), (0,)),
    "rel_entr": (lambda x, y: x * mp.log(x / y), [(2.0, 3.0), (1e-3, 1.0), (2.0, 2.0)], (0, 1)),
    "kl_div": (lambda x, y: x * mp.log(x / y) - x + y, [(2.0, 3.0), (1e-3, 1.0), (2.0, 2.0)], (0, 1)),
    "pseudo_huber": (lambda d, r: d * d * (mp.sqrt(1 + (r / d) ** 2) - 1), [(2.0, 0.25), (0.1, 50.0)], (0, 1)),
    "expit": (lambda x: 1 / (1 + mp.exp(-x)), at(-700.0, -1.0, 0.0, 40.0), (0,)),
    "log_expit": (lambda x: -mp.log1p(mp.exp(-x)), at(-800.0, -1.0, 0.0, 40.0), (0,)),
    "logit": (lambda p: mp.log(p / (1 - p)), at(1e-20, 0.3, 0.5, 0.51), (0,)),
    "exprel": (lambda x: mp.expm1(x) / x, at(-300.0, -1.0, 1e-8, 0.5, 30.0), (0,)),
    "cosm1": (lambda x: mp.cos(x) - 1, at(0.0, 1e-8, 2.0), (0,)),
    "powm1": (lambda x, y: x**y - 1, [(1.5, 2.5), (0.1, -1.0)], (0, 1)),
    "boxcox": (box, [(1.5, 0.0), (1.5, 1e-9), (20.0, 2.5), (0.5, -1.0)], (0, 1)),
    "boxcox1p": (lambda x, p: box(1 + x, p), [(0.5, 0.0), (1e-9, 1.5), (20.0, 2.5)], (0, 1)),
    "inv_boxcox": (unbox, [(1.5, 0.0), (1.5, 1e-9), (3.0, 2.5), (0.5, -1.0), (0.5, 0.2)], (0, 1)),
    "inv_boxcox1p": (lambda y, p: unbox(y, p) - 1, [(1.5, 0.0), (3.0, 2.5)], (0, 1)),
    "exp10": (lambda x: mp.power(10, x), at(-2.0, 0.5), (0,)),
    "sindg": (lambda x: mp.sin(mp.radians(x)), at(0.0, 77.0), (0,)),
    "tandg": (lambda x: mp.tan(mp.radians(x)), at(0.0, 77.0), (0,)),
    "i0": (lambda x: mp.besseli(0, x), at(-3.0, 0.0, 1e-6, 30.0), (0,)),
    "i1": (lambda x: mp.besseli(1, x), at(-3.0, 0.0, 1e-6, 30.0), (0,)),
    "i0e": (lambda x: mp.besseli(0, x) * mp.exp(-abs(x)), at(-3.0, 1e-6, 300.0), (0,)),
    "i1e": (lambda x: mp.besseli(1, x) * mp.exp(-abs(x)), at(-3.0, 1e-6, 300.0, 990.0, 1010.0), (0,)),
    "k0": (lambda x: mp.besselk(0, x), at(1e-6, 3.0), (0,)),
    "k1": (lambda x: mp.besselk(1, x), at(1e-6, 3.0), (0,)),
    "k0e": (lambda x: mp.besselk(0, x) * mp.exp(x), at(1e-6, 300.0), (0,)),
    "k1e": (lambda x: mp.besselk(1, x) * mp.exp(x), at(1e-6, 300.0), (0,)),
    "j0": (lambda x: mp.besselj(0, x), at(-3.0, 0.0, 1e-6, 30.0), (0,)),
    "j1": (lambda x: mp.besselj(1, x), at(-3.0, 0.0, 1e-6, 30.0), (0,)),
    "y0": (lambda x: mp.bessely(0, x), at(1e-6, 30.0), (0,)),
    "y1": (lambda x: mp.bessely(1, x), at(1e-3, 30.0), (0,)),
    "iv": (mp.besseli, [(0.0, 0.5), (2.5, 3.0), (4.0, -2.0)], (1,)),
    "ive": (lambda v, x: mp.besseli(v, x) * mp.exp(-abs(x)), [(0.0, 0.5), (2.5, 3.0), (4.0, -2.0)], (1,)),
    "kv": (mp.besselk, [(0.0, 0.5), (2.5, 3.0)], (1,)),
    "kve": (lambda v, x: mp.besselk(v, x) * mp.exp(x), [(0.0, 0.5), (2.5, 3.0)], (1,)),
    "kn": (mp.besselk, [(0.0, 0.5), (3.0, 3.0)], (1,)),
    "jv": (mp.besselj, [(0.0, 0.5), (2.5, 3.0), (3.0, 0.0)], (1,)),
    "yv": (mp.bessely, [(0.0, 0.5), (2.5, 3.0)], (1,)),
    "yn": (mp.bessely, [(0.0, 0.5), (2.0, 3.0)], (1,)),
    "expi": (mp.ei, at(-2.0, 0.1, 20.0), (0,)),
    "exp1": (mp.e1, at(0.1, 20.0), (0,)),
    "expn": (mp.expint, [(0.0, 0.5), (1.0, 0.5), (3.0, 2.0)], (1,)),
    "spence": (lambda x: mp.polylog(2, 1 - x), at(0.3, 0.999999, 1.0, 1.1, 5.0), (0,)),
    "ellipk": (mp.ellipk, at(-30.0, 0.0, 1e-6, 0.12, 0.13, 0.999), (0,)),
    "ellipkm1": (lambda p: mp.ellipk(1 - p), at(1e-9, 0.5, 0.99999, 1.0), (0,)),
    "ellipe": (mp.ellipe, at(-30.0, 0.0, 1e-6, 0.12, 0.13, 0.999), (0,)),
    "hyp0f1": (mp.hyp0f1, [(1.5, -2.0), (0.5, 3.0)], (1,)),
    "hyp1f1": (mp.hyp1f1, [(0.5, 1.5, -2.0), (2.0, 0.7, 3.0)], (2,)),
    "hyp2f1": (mp.hyp2f1, [(0.5, 1.5, 2.2, -0.7), (0.3, 0.7, 1.1, 0.9)], (3,)),
    "hyperu": (mp.hyperu, [(0.5, 1.5, 2.0)], (2,)),
    "gammainc": (lambda a, x: mp.gammainc(a, 0, x, regularized=True), [(0.5, 1e-3), (7.5, 3.0)], (0, 1)),
    "gammaincc": (lambda a, x: mp.gammainc(a, x, mp.inf, regularized=True), [(0.5, 20.0), (7.5, 9.0)], (0, 1)),
    "betainc": (
        lambda a, b, x: mp.betainc(a, b, 0, x, regularized=True),
        [(0.5, 2.5, 0.1), (8.0, 3.0, 0.6)],
        (0, 1, 2),
    ),
    "_zeta": (mp.zeta, [(1.5, 0.3), (4.0, 20.0)], (0, 1)),
    "_riemann_zeta": (mp.zeta, at(-4.0, -0.5, 3.0), (0,)),
}


@pytest.mark.parametrize("name", MPMATH)
def test_first_and_second_derivatives_are_those_of_mpmath(name: str):
    f = getattr(sp._ufuncs if name.startswith("_") else sp, name)
    exact, points, active = MPMATH[name]
    with mp.workdps(40), np.errstate(all="ignore"):
        for point in points:
            gradient = sad.grad(f, active)
            found = gradient(*point)
            hessian = sad.jacfwd(gradient, active)(*point)
            for i, first in zip(active, found, strict=True):
                orders = tuple(int(k == i) for k in range(len(point)))
                np.testing.assert_allclose(float(first), float(mp.diff(exact, point, orders)), rtol=2e-11, atol=1e-15)
                for j in active:
                    both = tuple(o + int(k == j) for k, o in enumerate(orders))
                    second = hessian[active.index(i)][active.index(j)]
                    wanted = float(mp.diff(exact, point, both))
                    np.testing.assert_allclose(float(second), wanted, rtol=1e-9, atol=1e-12)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(10 ** rng.uniform(low, high))


def test_derivatives_of_gammainc_in_its_parameter_hold_for_small_and_large_ones():
    rng = np.random.default_rng(3)
    parameters = [log_uniform(rng, -4, 3.5) for _ in range(24)]
    xs = [a * log_uniform(rng, -1, 1) if k % 2 else log_uniform(rng, -4, 1) for k, a in enumerate(parameters)]
    found = sad.jit(sad.vmap(sad.grad(sp.gammainc)))(np.array(parameters), np.array(xs))
    with mp.workdps(40):
        for a, x, slope in zip(parameters, xs, found, strict=True):
            lower = x < a
            part = lambda t, x=x, lower=lower: mp.gammainc(t, *((0, x) if lower else (x, mp.inf)), regularized=True)
            wanted = float(mp.diff(part, a, h=mp.mpf(10) ** -14)) * (1 if lower else -1)
            np.testing.assert_allclose(slope, wanted, rtol=1e-9, atol=1e-290)


def test_derivatives_of_betainc_in_its_parameters_hold_for_small_and_large_ones():
    rng = np.random.default_rng(4)
    a, b = ([log_uniform(rng, -3, 3) for _ in range(12)] for _ in range(2))
    means = [p / (p + q) for p, q in zip(a, b, strict=True)]
    xs = [float(np.clip(m * log_uniform(rng, -0.5, 0.5), 1e-9, 1 - 1e-9)) for m in means]
    found = sad.jit(sad.vmap(sad.grad(sp.betainc, (0, 1))))(np.array(a), np.array(b), np.array(xs))
    with mp.workdps(40):
        for p, q, x, m, *slopes in zip(a, b, xs, means, *found, strict=True):
            if x < m:
                part = lambda p, q, x=x: mp.betainc(p, q, 0, x, regularized=True)
            else:
                part = lambda p, q, x=x: -mp.betainc(q, p, 0, 1 - mp.mpf(x), regularized=True)
            for order, slope in zip(((1, 0), (0, 1)), slopes, strict=True):
                wanted = float(mp.diff(part, (p, q), order, h=mp.mpf(10) ** -14))
                np.testing.assert_allclose(slope, wanted, rtol=1e-8, atol=1e-290)


@pytest.mark.parametrize("f", [sp.gammainc, sp.gammaincc])
def test_the_derivative_of_gammainc_in_its_parameter_vanishes_at_the_ends(f: Any):
    np.testing.assert_array_equal(sad.vmap(sad.grad(f), (None, 0))(1.5, np.array([0.0, np.inf, 1e4])), [0, 0, 0])


def test_the_distribution_function_of_student_is_smooth_at_zero_in_both_arguments():
    value, slopes = sp.stdtr(3.0, 0.0), sad.grad(sp.stdtr, (0, 1))(3.0, 0.0)
    assert value == 0.5
    np.testing.assert_allclose(slopes, [0.0, 2 / (np.pi * np.sqrt(3))], rtol=1e-14)
    near = sad.grad(sp.stdtr)(3.0, 1e-7)  # it is odd in t
    np.testing.assert_allclose(near, -sad.grad(sp.stdtr)(3.0, -1e-7), rtol=1e-12)


INF = np.inf
SUMS: list[tuple[Any, dict[str, Any]]] = [
    (np.linspace(-300, 300, 24).reshape(2, 3, 4), {"axis": (0, 2), "keepdims": True}),
    (np.linspace(-3, 3, 12).reshape(3, 4), {"axis": 1, "b": np.array([1.0, -2, 0, 3]), "return_sign": True}),
    (np.zeros((0, 3)), {"axis": 0}),
    (np.array([]), {}),
    (np.float32(2), {}),
    (np.arange(3), {}),
    (np.float32([1, 2]), {"b": np.array([1, 2])}),
    (np.array([1.0, 2.0]), {"b": np.array([1, -2])}),
    (np.array([1.0, 2.0]), {"b": np.array([0, 0]), "return_sign": True}),
    (np.array([1.0, 1.0, 0.0]), {"b": np.array([1.0, -1.0, -1.0]), "return_sign": True}),
    (np.array([2.0, INF, np.nan]), {"b": np.array([1, 0, 0])}),
    (np.array([INF, 1.0]), {}),
    (np.array([INF, -INF]), {}),
    (np.array([-INF, -INF]), {}),
    (np.array([1.0, np.nan]), {}),
    (np.array([0.0, -40.0]), {}),
]


@pytest.mark.parametrize(("a", "options"), SUMS)
def test_logsumexp_is_scipys_with_weights_and_signs(a: Any, options: dict[str, Any]):
    found, expected = sad.jit(lambda a: S.logsumexp(a, **options))(a), sp.logsumexp(a, **options)
    for value, wanted in zip(np.atleast_1d(found), np.atleast_1d(expected), strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-14, atol=1e-15)
    if not options.get("return_sign"):
        assert_same(found, expected)


def test_the_derivative_of_logsumexp_in_a_weight_holds_at_weight_zero():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 2.0])
    found = sad.grad(lambda b: S.logsumexp(a, b=b))(b)
    np.testing.assert_allclose(found, np.exp(a) / np.sum(b * np.exp(a)), rtol=1e-14)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_and_its_logarithm_are_scipys(name: str):
    ours, theirs = getattr(S, name), getattr(sp, name)
    cases = [np.linspace(-3, 3, 12).reshape(3, 4), np.array([1000.0, 1.0]), np.array([-INF, 0.0]), np.float32([1, 2])]
    cases += [np.arange(4), np.float32(3), np.array([INF, 0.0])]
    for x, found in zip(cases, sad.jit(lambda xs: list(map(ours, xs)))(cases), strict=True):
        with np.errstate(invalid="ignore"):
            assert_same(found, theirs(x), 1e-6 if np.asarray(x).dtype == np.float32 else 1e-14)
    rows = cases[0]
    assert_same(sad.jit(lambda x: ours(x, axis=1))(rows), theirs(rows, axis=1), 1e-14)


COUNTS = np.array([-1.0, 0.0, 2.0, 2.5, 5.0, 6.0])


@pytest.mark.parametrize(
    ("ours", "xs"),
    [
        (lambda x, s: s.comb(5, x), [COUNTS, np.arange(7)]),
        (lambda x, s: s.comb(x, 2), [COUNTS, np.arange(7)]),
        (lambda x, s: s.comb(x, 2, repetition=True), [COUNTS]),
        (lambda x, s: s.comb(x, 0, repetition=True), [COUNTS]),
        (lambda x, s: s.perm(x, 2), [COUNTS]),
        (lambda x, s: s.factorial(x), [COUNTS, np.arange(5), np.float32([2, 3])]),
        (lambda x, s: s.multigammaln(x, 3), [np.array([1.5, 4.0]), np.float64(3.3)]),
        (lambda x, s: s.polygamma(0, x), [np.array([0.5, 4.0]), np.arange(1, 4)]),
        (lambda x, s: s.polygamma(2, x), [np.array([0.5, 4.0]), np.float32([1, 2])]),
        (lambda x, s: s.zeta(x), [np.array([-2.5, 0.5, 4.0])]),
        (lambda x, s: s.zeta(x, 2.5), [np.array([1.5, 4.0])]),
        (lambda x, s: s.zeta(3, q=x), [np.array([1.5, 4.0]), np.arange(1, 4)]),
        (lambda x, s: s.softplus(x), [np.array([-800.0, 0.0, 800.0])]),
    ],
)
def test_functions_that_are_no_ufuncs_are_scipys(ours: Callable[..., Any], xs: list[Any]):
    founds = sad.jit(lambda xs: [ours(v, S) for v in xs])(xs)
    for x, found in zip(xs, founds, strict=True):
        assert_same(found, ours(x, sp), 1e-6 if x.dtype == np.float32 else 1e-13)
        assert_same(ours(x, S), ours(x, sp), 0.0)


def test_the_derivative_of_a_binomial_is_one_of_a_real_function():
    slope = float(mp.diff(lambda n: mp.binomial(n, 3), 6.5))
    np.testing.assert_allclose(sad.grad(lambda n: S.comb(n, 3))(6.5), slope, rtol=1e-14)
    np.testing.assert_allclose(sad.grad(S.factorial)(4.0), 24 * float(mp.digamma(5)), rtol=1e-14)


def test_the_namespace_has_the_ufuncs_of_scipy_themselves():
    assert S.erf is sp.erf
    assert set(dir(S)) >= {"erf", "gammainc", "logsumexp", "zeta", "comb"}
    assert [name for name in dir(S) if not hasattr(sp, name)] == []
    with pytest.raises(AttributeError, match="no function 'lambertw'; it has airy"):
        _ = S.lambertw


@pytest.mark.parametrize(
    ("f", "operand"),
    [
        (lambda x: sp.iv(x, 1.0), "the order v"),
        (lambda x: sp.expn(x, 1.0), "the order n"),
        (lambda x: sp.hyp1f1(1.0, x, 1.0), "the parameter b"),
    ],
)
def test_derivatives_that_are_not_to_be_had_are_refused_by_name(f: Any, operand: str):
    with pytest.raises(NotDifferentiableError, match=operand):
        sad.grad(f)(0.5)


def test_a_fixed_order_may_be_traced_and_mapped():
    orders = np.array([0.0, 1.0, 2.5])
    slopes = sad.jit(sad.vmap(sad.grad(sp.jv, 1), (0, None)))(orders, 1.5)
    np.testing.assert_allclose(slopes, sp.jvp(orders, 1.5), rtol=1e-13)


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda x: sp.bdtr(1, 2, x), UnsupportedError, "pure_callback"),
        (lambda x: sp.eval_legendre(x, 0.3), ConcretizationError, "one number known while tracing"),
        (lambda x: sp.eval_legendre(1.5, x), ConcretizationError, "a whole degree"),
        (lambda x: sp.erf(x * 1j), DTypeError, "real numbers only"),
        (lambda x: S.comb(x, 2, exact=True), UnsupportedError, "exact=True"),
        (lambda x: S.factorial(x, extend="complex"), UnsupportedError, "extend"),
        (lambda x: S.polygamma(0.5, x), ValueError, "whole number"),
        (lambda x: S.multigammaln(x, 0.5), ValueError, "positive integer"),
    ],
)
def test_what_is_not_supported_says_what_to_write(f: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        sad.grad(f)(0.5)


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (sp.exprel, np.array([np.inf, 1e17, 1.0, -1e17, -np.inf]), [np.inf, np.inf, 1.0, 1e-34, 0.0]),
        (lambda p: sp.boxcox(0.0, p), np.array([2.5, -2.5, 0.0]), [0.16, np.inf, np.inf]),
        (lambda p: sp.boxcox1p(np.inf, p), np.array([2.0, -2.0]), [np.inf, 0.25]),
        (lambda z: sp.hyp2f1(-1.5, 0.0, 1.0, z), np.array([0.5, 2.0]), [0.0, 0.0]),
        (lambda z: sp.hyp1f1(0.0, 2.0, z), np.array([0.5, 1e5]), [0.0, 0.0]),
    ],
)
def test_slopes_of_special_functions_hold_at_the_ends(f: Callable[[Any], Any], x: Any, slope: list[float]):
    assert_same(sad.jit(sad.grad(lambda x: np.sum(f(x))))(x), np.array(slope))


@pytest.mark.parametrize("mode", MODES)
def test_poch_has_slopes_where_the_gamma_function_has_poles(mode: str):
    """poch(a, m) of a whole m >= 0 is the polynomial a (a + 1) ... (a + m - 1)."""
    for a, m in [(0.0, 2), (-2.0, 3), (-5.0, 2), (-2.0, 2), (-4.0, 4), (-3.0, 1)]:
        polynomial = np.polynomial.Polynomial.fromroots(-np.arange(m))
        found = in_mode(mode, sad.grad(sp.poch))(a, float(m))
        np.testing.assert_allclose(found, polynomial.deriv()(a), rtol=1e-13)
        found = in_mode(mode, sad.grad(sad.grad(sp.poch)))(a, float(m))
        np.testing.assert_allclose(found, polynomial.deriv(2)(a), rtol=1e-12, atol=1e-12)


def test_the_slope_of_i1e_has_no_end() -> None:
    for x in (1e9, 1e10, 1e12):
        assert abs(sad.jit(sad.grad(sp.i1e))(x) + 0.5 / np.sqrt(2 * np.pi) * x**-1.5) < 1e-20
