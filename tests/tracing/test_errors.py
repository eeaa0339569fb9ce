"""What cannot be traced raises an error that shows the user's line and what to write instead.

Invariant: no traced value ever becomes a Python float, an object array or a silent wrong answer.
Start at ``REFUSED``.
"""

from __future__ import annotations

import cmath
import copy
import math
import operator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.ndimage
import scipy.signal
import scipy.special
import scipy.stats

import staged_ad as sad
from staged_ad.errors import (
    ArgumentError,
    ConcretizationError,
    DTypeError,
    LeakedTracerError,
    MutationError,
    StagedADError,
    UnsupportedError,
)

X = np.array([1.0, 2.0])
OUTSIDE = np.ones(2)

# each function stands on one line, which the message must show
REFUSED: list[tuple[Any, type[StagedADError], str]] = [
    (lambda x: float(x[0]), ConcretizationError, "Leave the float() away"),
    (lambda x: complex(x[0]), ConcretizationError, "Leave the complex() away"),
    (lambda x: (x * 1j).astype(float), DTypeError, "z.real"),
    (lambda x: np.maximum(x * 1j, x), DTypeError, "no order"),
    (lambda x: np.sum((x + 1j) < x), DTypeError, "no order"),
    (lambda x: np.max(x + 1j), DTypeError, "no order"),
    (lambda x: np.argmax(x + 1j), DTypeError, "no order"),
    (lambda x: np.clip(x + 1j, 0, 1), DTypeError, "no order"),
    (lambda x: np.real_if_close(x + 0j), UnsupportedError, "real_if_close"),
    (lambda x: np.arctan2(x + 1j, x), DTypeError, "arctan2"),
    (lambda x: np.float64(x[0]), ConcretizationError, "x.astype(np.float64)"),
    (lambda x: round(x, 2), ConcretizationError, "np.round(x, decimals)"),
    (lambda x: math.sqrt(x), ConcretizationError, "the function of NumPy"),
    (lambda x: x.view(np.int64), UnsupportedError, "x.astype"),
    (lambda x: operator.setitem(x, 0, 1.0), MutationError, "x.copy()"),
    (lambda x: np.add(x, x, out=X), MutationError, "u = np.array(np.sin(grid))"),
    (lambda x: np.add(x, x, where=np.array([True, False])), UnsupportedError, "np.where"),
    (lambda x: np.subtract.reduce(x, where=np.array([True, False]), initial=1.0), UnsupportedError, "where"),
    (lambda x: np.sin(x, dtype=np.int64), DTypeError, "sin"),
    (lambda x: np.pad(x, 1, mode=lambda *args: None), UnsupportedError, "function"),
    (lambda x: np.repeat(x, x.astype(int)), ConcretizationError, "static argument"),
    (lambda x: operator.delitem(x, 0), MutationError, "np.delete"),
    (lambda x: setattr(x * 2, "shape", (2, 1)), MutationError, "reshape((2, 1))"),
    (lambda x: setattr(x * 2, "dtype", int), MutationError, "astype"),
    (lambda x: pow(x[0].astype(int), 3, 5), ArgumentError, "x**n % m"),
    (lambda x: x * Fraction(1, 2), ArgumentError, "float(x)"),
    (lambda x: scipy.integrate.quad(lambda s: s * x[0], 0, 1), ConcretizationError, "float()"),
]


@pytest.mark.parametrize(("f", "error", "advice"), REFUSED, ids=range(len(REFUSED)))
def test_the_error_shows_the_users_line_and_what_to_write(f: Any, error: type[StagedADError], advice: str):
    with pytest.raises(error) as caught:
        sad.jvp(f, (X,), (X,))
    assert f"{__file__}:{f.__code__.co_firstlineno}" in str(caught.value)
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("name", "advice"), [("strides", "ascontiguousarray"), ("tobytes", "outside"), ("resize", "np")]
)
def test_attributes_that_there_are_not_say_why(name: str, advice: str):
    with pytest.raises(AttributeError, match=f"{name}.*test_errors.py.*{advice}"):
        sad.jvp(lambda x: getattr(x, name), (X,), (X,))


def test_a_rule_that_does_not_fit_is_reported_at_the_users_line():
    @sad.custom_vjp
    def f(x: Any) -> Any:
        return np.sum(x**2)

    f.defvjp(lambda x: (f(x), x), lambda kept, y_bar: (np.ones(5),))
    with pytest.raises(ArgumentError) as caught:
        sad.grad(f)(X)
    assert "functools" not in str(caught.value)
    assert __file__ in str(caught.value)


# what Python may read of a traced value (test_guards.py), but not where a vmap gives it many values
MANY_VALUES: list[tuple[Any, str]] = [
    (lambda x: 1.0 if x[0] > 0 else 2.0, "np.where"),
    (lambda x: x[0] and x[1], "& |"),
    (lambda x: not x[0], "staged_ad.cond"),
    (lambda x: max(x[0], x[1]), "np.maximum"),
    (lambda x: 1.0 if 0 < x[0] < 1 else 2.0, "np.where"),
    (lambda x: 1.0 if x[0] in (1.0, 2.0) else 2.0, "staged_ad.while_loop"),
    (lambda x: int(x[0]), "x.astype(int)"),
    (lambda x: [1.0, 2.0][x.astype(int)[0]], "static"),
    (lambda x: range(x.astype(int)[0]), "staged_ad.fori_loop"),
]


@pytest.mark.parametrize(("f", "advice"), MANY_VALUES, ids=range(len(MANY_VALUES)))
def test_inside_vmap_the_error_shows_the_users_line_and_what_to_write(f: Any, advice: str):
    with pytest.raises(ConcretizationError) as caught:
        sad.vmap(f)(X[None])
    assert f"{__file__}:{f.__code__.co_firstlineno}" in str(caught.value)
    assert advice in str(caught.value)


def _elements(y: Any, x: Any) -> None:
    y[0, 0] = x[0]


def _rows(y: Any, x: Any) -> None:
    y[0] = x


def _masked(y: Any, x: Any) -> None:
    y[y > 0] = x[0]


def _listed(y: Any, x: Any) -> None:
    y[1] = [x[0], 2.0]


@pytest.mark.parametrize("write", [_elements, _rows, _masked, _listed])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
def test_writing_a_traced_value_into_an_array_from_outside_says_so_first(write: Any, dtype: Any):
    table = np.ones((2, 2), dtype)
    with pytest.raises(ConcretizationError, match="cannot be written into this NumPy array") as caught:
        sad.jvp(lambda x: write(table * 1, x), (X,), (X,))
    assert f"{__file__}:{write.__code__.co_firstlineno + 1}" in str(caught.value)
    assert "u = np.array(np.sin(grid))" in str(caught.value)


@pytest.mark.parametrize("write", [operator.setitem, lambda y, _, value: y.fill(value)])
def test_functions_that_write_a_traced_value_into_an_array_from_outside_are_told_the_same(write: Any):
    f = lambda x: write(OUTSIDE, 0, x[0])
    with pytest.raises(ConcretizationError, match="cannot be written into this NumPy array") as caught:
        sad.jit(f)(X)
    assert f"{__file__}:" in str(caught.value)
    np.testing.assert_array_equal(OUTSIDE, 1.0)


def test_errors_that_users_raise_themselves_stay_theirs():
    def f(x: Any) -> Any:
        try:
            return float(x[0])
        except ConcretizationError as error:
            raise ValueError("no number") from error

    with pytest.raises(ValueError, match="no number"):
        sad.grad(f)(X)


TABLE = np.arange(2.0)
TABLED = {
    "a": scipy.special.logsumexp,
    "b": scipy.linalg.inv,
    "c": scipy.signal.lfilter,
    "d": scipy.interpolate.CubicSpline,
}
ASKED: list[tuple[Any, str]] = [
    (lambda x: TABLE[np.argsort(x)], "np.take(a, i, axis=0)"),
    (lambda x: TABLE.dot(x), "np.dot(a, x)"),
    (lambda x: TABLE * [x[0], x[1]], "a * np.array([x, y])"),
    (lambda x: np.hypot([x[0], x[1]], 2.0), "hypot(np.array([x, y]))"),
    (lambda x: np.maximum.reduce([x, 2 * x]), "reduce(np.array([x, y]))"),
    (lambda x: scipy.special.erf([x[0], 1.0]), "erf(np.array([x, y]))"),
    (
        lambda x: scipy.signal.convolve(x, x),
        "scipy.signal.convolve asks for numbers: it takes no traced values. Write np",
    ),
    (lambda x: scipy.integrate.trapezoid(x), "Write np.trapezoid"),
    (lambda x: scipy.linalg.lstsq(np.outer(x, x), x), "scipy.linalg.lstsq asks for numbers: it takes no traced"),
    (lambda x: scipy.linalg.polar(np.outer(x, x)), "Write it by functions of np.linalg, or outside"),
    (lambda x: scipy.linalg.hankel(x), "Write it by functions of np.linalg, or outside"),
    (lambda x: scipy.stats.norm.cdf(x), "scipy.special.ndtr((x - mean) / scale) for norm.cdf"),
    (
        lambda x: TABLED["a"](x),
        "scipy.special.logsumexp asks for numbers: it takes no traced values under another name. W",
    ),
    (lambda x: TABLED["a"](x), "Write scipy.special.logsumexp(...) itself, by its module"),
    (lambda x: TABLED["b"](np.diag(x)), "Write scipy.linalg.inv(...) itself, by its module"),
    (
        lambda x: TABLED["c"]([1.0], [1.0, 0.5], x),
        "scipy.signal.lfilter asks for numbers: it takes no traced values. W",
    ),
    (lambda x: TABLED["d"](TABLE, x), "scipy.interpolate.CubicSpline asks"),
    (lambda x: x * math.dist(x, X), "Write np.linalg.norm(a - b)"),
    (lambda x: math.remainder(x[0], 2.0), "Write x - y * np.rint(x / y)"),
    (lambda x: math.ldexp(x[0], 2), "Write np.ldexp(x, n)"),
    (lambda x: math.ulp(x[0]), "Write np.spacing(np.abs(x))"),
    (lambda x: cmath.polar(x[0]), "Write np.abs(z) and np.angle(z)"),
    (lambda x: cmath.rect(x[0], 1.0), "Write r * np.exp(1j * phi)"),
    (lambda x: np.random.default_rng(0).normal(x[0]), "Write staged_ad.random, as in mean + scale * "),
    (lambda x: scipy.integrate.quad(lambda t: t * x[0], 0, 1), "leggauss"),
    (lambda x: scipy.stats.norm.logpdf(x), "its formula"),
    (lambda x: scipy.interpolate.CubicSpline(TABLE, x), "CubicSpline asks"),
    (lambda x: scipy.linalg.solve_banded((0, 0), x[None], x), "np.linalg.solve"),
    (lambda x: scipy.fft.dct(x), "scipy.fft.dct asks for numbers: it takes no traced values. Write the product with"),
    (lambda x: scipy.ndimage.gaussian_filter(x, 1.0), "shifted slices"),
    (lambda x: np.ma.array(TABLE) * x, "drops its mask"),
    (lambda x: np.testing.assert_allclose(x, x), "outside"),
    (lambda x: np.arange(x[0], 3.0), "start + step * np.arange(n)"),
    (lambda x: np.random.default_rng(0).permutation(x), "rng.permutation(len(x))"),
    (lambda x: np.lib.stride_tricks.as_strided(x, (2,), (8,)), "sliding_window_view"),
]


@pytest.mark.parametrize(("f", "advice"), ASKED, ids=range(len(ASKED)))
def test_where_numpy_asks_for_the_contents_the_advice_is_about_that_line(f: Any, advice: str):
    with pytest.raises(ConcretizationError) as caught:
        sad.jit(f)(X)
    assert f"{__file__}:{f.__code__.co_firstlineno}" in str(caught.value)
    assert advice in str(caught.value)


def test_what_is_to_be_written_for_functions_of_math_gives_their_numbers():
    x, y, z = 5.3, 2.0, -1.5 + 0.5j
    r, phi = cmath.polar(z)
    for f, expected in (
        (lambda x: np.linalg.norm(np.array([x, y]) - np.array([1.0, 1.0])), math.dist([x, y], [1.0, 1.0])),
        (lambda x: x - y * np.rint(x / y), math.remainder(x, y)),
        (lambda x: np.ldexp(x, 3), math.ldexp(x, 3)),
        (lambda x: np.spacing(np.abs(-x)), math.ulp(-x)),
        (lambda x: np.abs(z * x / x), r),
        (lambda x: np.angle(z * x / x), phi),
        (lambda x: r * np.exp(1j * phi * x / x), cmath.rect(r, phi)),
    ):
        np.testing.assert_allclose(sad.jit(f)(x), expected, rtol=1e-14)


def test_the_division_written_by_hand_is_polydiv():
    def divided(u: Any, v: Any) -> Any:
        u, q = u.copy(), np.zeros(len(u) - len(v) + 1)
        for k in range(len(u) - len(v) + 1):
            q[k] = u[k] / v[0]
            u[k : k + len(v)] -= q[k] * v
        return q, u[len(q) :]

    u, v = np.array([2.0, -3.0, 1.0, 5.0]), np.array([4.0, 1.0, 7.0])
    with pytest.raises(UnsupportedError, match=r"np.polydiv .*q\[k\] = u\[k\] / v\[0\]"):
        sad.jit(np.polydiv)(u, v)
    for found, expected in zip(sad.jit(divided)(u, v), np.polydiv(u, v), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("transform", [scipy.fft.dct, scipy.fft.idct, scipy.fft.dst, scipy.fft.idst])
def test_a_cosine_or_sine_transform_is_the_product_with_its_matrix(transform: Any):
    x = np.array([2.0, -3.0, 1.0, 5.0])
    product = lambda x: transform(np.eye(len(x)), axis=0) @ x
    np.testing.assert_allclose(sad.jit(product)(x), transform(x), rtol=1e-13, atol=1e-13)


def test_of_masked_arrays_the_mask_is_not_dropped():
    masked = np.ma.MaskedArray(X, np.arange(len(X)) == 1)
    for call in (lambda: sad.jit(np.sin)(masked), lambda: sad.jit(lambda x: x * masked)(X)):
        with pytest.raises(ArgumentError, match=r"x.filled\(value\), or np.where\(x.mask, value, x.data\)"):
            call()


def test_an_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"tobytes.*outside"):
        sad.grad(lambda x: x.tobytes())(X)
    with pytest.raises(AttributeError, match=r"no attribute 'banana' \(at .*\)$"):
        sad.grad(lambda x: x.banana)(X)
    assert not sad.jvp(lambda x: x * hasattr(x, "banana"), (X,), (X,))[0].any()


def test_an_array_without_dimensions_has_no_length():
    for f in (len, list, iter):
        with pytest.raises(TypeError):
            sad.grad(f)(1.0)


def test_traced_values_are_not_hashable():
    with pytest.raises(TypeError, match="unhashable"):
        sad.grad(lambda x: {x: 1})(1.0)


def test_augmented_assignment_to_a_number_rebinds_the_name():
    def f(x: Any) -> Any:
        y = x[0]
        y += 1
        y *= x[0]
        return y

    np.testing.assert_array_equal(sad.grad(f)(X), [3.0, 0.0])


def test_an_array_from_outside_is_not_changed_by_a_traced_operand():
    def f(x: Any) -> Any:
        y = OUTSIDE
        y += x
        return np.sum(y * x)

    with pytest.raises(MutationError) as caught:
        sad.grad(f)(X)
    assert f"{__file__}:{f.__code__.co_firstlineno + 2}" in str(caught.value)
    np.testing.assert_array_equal(OUTSIDE, 1)


def test_statements_on_arrays_from_outside_happen_once_where_nothing_is_traced():
    table = np.zeros(3)

    def f(x: Any) -> Any:
        table[0] += 1.0
        return x * table[0]

    compiled = sad.jit(f)
    assert [compiled(2.0), compiled(3.0)] == [2.0, 3.0]
    np.testing.assert_array_equal(table, [1.0, 0.0, 0.0])

    def g(x: Any, k: Any) -> Any:
        np.add.at(table, k, 1.0)
        return x

    with pytest.raises(MutationError, match=r"np.add.at cannot write a traced value"):
        sad.jit(g)(X, 1)


def test_plain_integers_are_permuted_by_traced_indices():
    p = np.array([2, 0, 1])
    np.testing.assert_array_equal(sad.jit(lambda p: np.array(range(3))[p])(p), p)
    with pytest.raises(ConcretizationError, match=r"np.take\(a, i, axis=0\)"):
        sad.jit(lambda p: np.arange(3)[p])(p)


class Kept:
    value: Any = None


def test_a_leaked_result_names_the_line_that_made_it():
    def f(x: Any) -> Any:
        Kept.value = np.sin(x)
        return np.sum(x)

    sad.grad(f)(X)
    for use in (
        lambda: Kept.value + 1,
        lambda: np.cos(Kept.value),
        lambda: sad.grad(lambda y: np.sum(y * Kept.value))(X),
    ):
        with pytest.raises(LeakedTracerError, match="after the traced function had returned") as caught:
            use()
        assert f"{__file__}:{f.__code__.co_firstlineno + 1}" in str(caught.value)


def test_a_leaked_argument_is_refused():
    def f(x: Any) -> Any:
        Kept.value = x
        return np.sum(x)

    sad.vmap(f)(X[None])
    with pytest.raises(LeakedTracerError):
        np.sum(Kept.value)


def test_a_value_of_an_inner_derivative_may_not_be_used_outside_it():
    def f(x: Any) -> Any:
        kept = []

        def inner(y: Any) -> Any:
            kept.append(x * y)
            return x * y

        return sad.grad(inner)(2.0) + kept[0]

    with pytest.raises(LeakedTracerError):
        sad.grad(f)(1.0)


def test_a_leak_after_an_exception_is_refused_too():
    def f(x: Any) -> Any:
        Kept.value = x
        raise KeyError("the user's")

    with pytest.raises(KeyError, match="the user's"):
        sad.grad(f)(X)
    with pytest.raises(LeakedTracerError):
        Kept.value + 1


def test_copying_a_traced_value_keeps_it_traced():
    assert sad.grad(lambda x: copy.copy(x) * x.copy() * 1.0)(3.0) == 6.0


def test_the_text_of_a_traced_value_shows_its_type():
    seen = []
    sad.grad(lambda x: (seen.append(f"{x!r} {x}"), np.sum(x))[1])(X)
    assert seen == ["Tracer<f64[2]> Tracer<f64[2]>"]
