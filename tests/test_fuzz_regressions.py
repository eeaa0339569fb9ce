"""Calls that random ones have found wrong; each is compared with NumPy, evaluated and compiled.

Invariant: a call that NumPy refuses is refused.
Start at ``test_calls_give_what_numpy_gives``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import linalg, special

import staged_ad as sad
from staged_ad.errors import InvalidValueError, ShapeError, ZeroWeightsError
from staged_ad.scipy.linalg import BATCHED
from tests.backends import through_program
from tests.fuzzing.checks import check_derivatives
from tests.fuzzing.found import CALLS, MASK, K, N, V, Z
from tests.fuzzing.infinite import is_inherent
from tests.numerics import assert_same


@pytest.mark.parametrize("k", range(len(CALLS)))
def test_calls_give_what_numpy_gives(k: int):
    call, x = CALLS[k]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = call(x)
    assert_same(through_program(call, x), expected)
    assert_same(sad.jit(call)(x), expected)


NUMBERS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (lambda a, b: (a > 0) + (b > 0), (1.5, 2.5)),
    (lambda a, b: ((a > 0) - (b < 0)) * V.astype("float32"), (1.5, -2.5)),
    (lambda a, b: True >> a, (True, 2)),
    (lambda a, b: (a + b, a * b, a - b, a // b, a**b, a % b, -a, +a, abs(a), ~a), (True, True)),
    (lambda a, b: (a & b, a | b, a ^ b), (True, False)),
    (lambda a, b: (a & b, a | b, a ^ b, a << b), (True, 2)),
    (lambda a, b: divmod(a, b)[0] * V.astype("float32"), (7, 3)),
    (lambda a, b: (a & b) * V.astype("float32"), (7, 3)),
    (lambda a, b: a * b + b[a > 0], (True, V.astype("float32"))),
    (lambda a, b: np.add(a, b), (True, True)),
    (lambda a, b: np.array([b, (a <= a).imag]), (1.5, np.float32(2.5))),
    (lambda a, b: (b * (a > 2).real, b + a.imag), (1.5, np.float32(2.5))),
    (lambda a, b: np.clip(a, None, b), (-1, np.int8(3))),
    (lambda a, b: np.select([b > 0], [b], a), (-0.5, V.astype("float32"))),
    (lambda a, b: sad.cond(a > 0, lambda: a > b, lambda: True) + 1, (-0.5, 2)),
]


@pytest.mark.parametrize("k", range(len(NUMBERS)))
def test_numbers_of_python_are_among_themselves_what_they_are_in_python(k: int):
    call, args = NUMBERS[k]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = call(*args)
    assert_same(through_program(call, *args), expected)
    assert_same(sad.jit(call)(*args), expected)


REFUSED: list[tuple[Callable[..., Any], Any]] = [
    (lambda x: np.logical_or.accumulate(x, dtype="float64"), V),
    (lambda x: np.linalg.lstsq(np.eye(3), x.reshape(3, 1, 1), rcond=None), V),
    *[(f, Z) for f in (np.isposinf, np.isneginf)],
    (lambda x: np.fft.fftshift(x[0]), V),
    (lambda x: np.putmask(np.array(x), x > 0, np.nan), K),
    (lambda x: np.nanmean(x, dtype=int), V),
    (lambda x: x.copy().sort(axis=None), V),
    (lambda x: x.copy().partition(1, None), V),
    (lambda x: x.copy().fill(x), V),
    (lambda k: np.copyto(k.copy(), 1.5), K),
    (lambda x: np.gradient(x > 0), V),
    (lambda x: x.std(correction=1), V),
    (lambda k: np.unwrap(k, period=3), K.astype("uint32")),
    (lambda x: np.fft.ifftn(x, (2, 3)), V),
    (lambda x: np.round(x, 3), True),
    (lambda x: np.polysub(x, x[None]), V),
    (lambda x: np.copyto(x > 0, 2), V),
    (lambda x: np.all(x, axis=0, where=MASK[:, None]), V),
    (lambda x: np.logical_or.accumulate(x, dtype="float32"), V),
    (lambda x: np.logical_or.reduce(x, dtype="float32"), V),
    (lambda k: np.nanstd(k[None], axis=0, dtype="int8"), K),
    (lambda x: np.add.reduce(x, where=x > 0, initial=None), V),
    (lambda x: np.logical_or.reduce(x, initial=None), V[:0]),
    (lambda x: np.broadcast_to(x.copy(), (2, 0)).fill(1), V[:0]),
    (lambda x: np.polyder(np.stack([x, x, x]), 1), V),
    (lambda x: np.polymul(x, x[:, None]), V),
    (lambda x: np.polyder(x[0], 0), V),
    (lambda x: np.correlate(x[0], x[0]), V),
    (lambda x: np.greater.reduce(x), V),
    (lambda x: np.putmask(np.array(x, "float32"), x > 0, x), V),
    (lambda k: np.piecewise(k, [k > 1], [300, 1]), K),
    (lambda x: np.quantile(x, abs(x) + 0.5), V),
    (lambda x: np.nanpercentile(x, x[1]), V),
    (lambda x: np.quantile(x, x * np.nan), V),
    (lambda k: np.bitwise_and.reduce(k, initial=-1, dtype="uint8"), K),
    (lambda k: k ** np.array([-1]), K),
    (lambda k: 2**k, K),
    (lambda k: np.power.outer(k, k), K),
    (lambda k: np.array([2, 3]) ** np.max(k[1:2]), K),
    (lambda k: np.lcm.reduce(k, where=MASK), K),
    (lambda x: np.put_along_axis(x.copy(), np.array([[0], [1]]), 1.0, None), V),
    (lambda x: special.softmax(x), V[:0]),
    (lambda k: np.choose(k.astype("uint64") % 2, [1, 2]), K),
    (lambda x: np.linalg.norm(x.reshape(2, 0), -1), V[:0]),
    (lambda x: np.roll(x, (1, 2), (0, 0, 0)), V),
    *[(lambda x, o=o: np.nan_to_num(x, **{o: 1j}), x) for o in ("nan", "posinf", "neginf") for x in (V[:0], Z)],
    (lambda x: np.polyfit(x[:0], np.zeros((0, 2)), 1), V),
    *[(lambda z, f=f: f(z[:0], 0.3), Z) for f in (np.nanquantile, np.nanpercentile)],
    (lambda x: np.float_power.reduceat(x, [0], dtype="complex64"), V),
    (lambda x: np.hypot.reduceat(x[:1], [0], dtype="int8"), V),
    (lambda x: np.float_power.accumulate(x, dtype="float32"), V),
    (lambda x: np.float_power.reduce(x, dtype="float32"), V),
    (lambda x: np.quantile(x, np.zeros((0, 3))), V),
    (lambda x: np.put(x[:0].copy(), [0, -1], x[:0]), V),
    *[(lambda x, f=f: f([x, K], dtype="int16"), V) for f in (np.concatenate, np.stack, np.hstack, np.vstack)],
    (lambda x: np.concatenate([x, N], dtype="float32", casting="safe"), V),
    (lambda x: x.astype("float32", casting="safe"), V),
    *[(lambda x, f=f: f(x, kind="bogus"), V) for f in (np.sort, np.argsort, lambda x, kind: np.isin(x, x, kind=kind))],
    *[(lambda x, f=f: f(x, 1, kind="bogus"), V) for f in (np.partition, np.argpartition)],
    *[(lambda x, f=f: f(x, kind="stable", stable=True), V) for f in (np.sort, np.argsort)],
    (lambda x: x.astype("float32", order="Z"), V),
    *[(lambda x, k=k: np.minimum.at(x[None].copy(), k, x[None]), V) for k in (0, (0, slice(None)))],
    (lambda x: np.linspace(x, 1, 3, device="gpu"), V),
    (lambda k: np.select([k > 0, k < 5], [k, 2], k), K.astype("uint8")),
    (lambda k: np.select([k > 0], [2], k), np.array(3, "uint64")),
    *[(lambda k, f=f: f(k[None], axis=0, dtype="int8"), K) for f in (np.std, np.nanstd)],
    *([(lambda x: linalg.toeplitz(x[:0, None]), V)] if BATCHED else []),
    *[(lambda x, f=f: 1.0 in f(x), V) for f in (np.sum, lambda x: x[0], lambda x: np.sqrt(np.array(x[2])))],
]
if np.lib.NumpyVersion(np.__version__) < "2.5.0":  # which takes it since
    REFUSED.append((lambda x: np.median(x[:0], axis=(), keepdims=True), V))


@pytest.mark.parametrize("k", range(len(REFUSED)))
def test_calls_that_numpy_refuses_are_refused(k: int):
    call, x = REFUSED[k]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((IndexError, OverflowError, TypeError, ValueError)):
            call(x)
        with pytest.raises(sad.errors.StagedADError):
            sad.jit(call)(x)


def _elements(x: Any, index: Any) -> Any:
    y = np.zeros((3, 2))
    y[index] = x
    return y


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.4.0", reason="NumPy took arrays of one element before")
@pytest.mark.parametrize("index", [(1, 1), (np.int8(1), 0)])
def test_an_element_is_no_array_of_one_element(index: Any):
    with pytest.raises(ValueError, match="setting an array element with a sequence"):
        _elements(V[:1], index)
    with pytest.raises(ShapeError, match="setting an array element with a sequence"):
        sad.jit(_elements, static_argnums=1)(V[:1], index)


def _of_a_number(x: Any) -> Any:
    total, first = np.sum(x), x[0]
    views = [total.reshape(1), np.atleast_1d(total), first[None], np.expand_dims(first, 0)]
    for view in views:
        view += 7.0
    return *views, total, first


def _through_a_view(x: Any) -> Any:
    y = x.copy()
    y.reshape(-1)[:1] = 3.0
    y.T[...] += 1.0
    element = y[None][0, ...].copy()
    element.fill(5.0)
    return y, element, y[()]


def _reversed_in_place(x: Any) -> Any:
    y = x * 1
    view = y[None]
    view[...] = view[:, ::-1]
    z = x * 1
    z[:] = z[::-1]
    z.reshape(-1)[...] = z[::-1]
    matrix = x[:, None] * np.arange(3.0)
    matrix.T[...] = matrix
    return y, z, matrix


def test_views_are_written_as_they_were_before():
    for one, two in zip(sad.jit(_reversed_in_place)(V), _reversed_in_place(V), strict=True):
        assert_same(one, two)


def _taken(x: Any, k: Any) -> Any:
    y = x * 1
    parts = [y[None][np.array(0)], y[None][0], y[None][np.int64(0)], y[None][k]]
    y[:] = 7.0
    return parts


def test_an_array_of_one_position_takes_where_a_number_looks():
    for one, two in zip(sad.jit(_taken)(V, 0), _taken(V, 0), strict=True):
        assert_same(one, two)


def test_copies_of_arrays_without_axes_are_written_to_through_views():
    x = np.array(2.5)
    for found in (sad.jit(_through_a_view)(x), through_program(_through_a_view, x)):
        for one, two in zip(found, _through_a_view(x), strict=True):
            assert_same(one, two)


@pytest.mark.parametrize("element", [lambda x: x[0], lambda x: np.array(x[0])[()], np.sum])
def test_numbers_are_not_filled(element: Callable[..., Any]):
    with pytest.raises(sad.errors.MutationError, match="a number cannot be written to"):
        sad.jit(lambda x: element(x).fill(2.0))(V)


def test_numbers_do_not_change_with_what_is_made_of_them():
    for one, two in zip(sad.jit(_of_a_number)(V), _of_a_number(V), strict=True):
        assert_same(one, two)


@pytest.mark.parametrize("compiled", [False, True])
def test_values_at_which_numpy_refuses_are_refused(compiled: bool):
    run = sad.jit if compiled else lambda f: lambda *args: through_program(f, *args)
    with pytest.raises(ValueError, match="All-NaN slice encountered") as caught:
        run(lambda x: np.nanargmin(x, axis=0))(np.array([[np.nan, 1.0], [np.nan, 2.0]]))
    assert isinstance(caught.value, InvalidValueError)
    with pytest.raises(ZeroDivisionError, match="Weights sum to zero") as caught:
        run(lambda x, w: np.average(x, weights=w))(V, np.array([1.0, -2.0, 1.0]))
    assert isinstance(caught.value, ZeroWeightsError)
    w = np.array([1.0, 0.0, 2.0])
    assert_same(run(lambda x, w: np.average(x, weights=w))(V, w), np.average(V, weights=w))
    assert_same(run(np.nanargmin)(N), np.nanargmin(N))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint32", "uint64"])
@pytest.mark.parametrize("number", [-1, 0, 5, 300])
def test_integers_of_python_are_compared_as_they_are(dtype: str, number: int):
    x = np.array([127, 5, 0], dtype)

    def compared(x: Any, n: Any) -> Any:
        return x < n, n < x, x <= n, n <= x, x == n, n != x

    for one, two in zip(sad.jit(compared)(x, number), compared(x, number), strict=True):
        assert_same(one, two)


def test_integers_of_python_do_not_wrap_around():
    add, x = sad.jit(lambda x, n: x + n), K.astype("uint8")
    assert_same(add(x, 200), x + 200)
    for number in (-1, 256):
        with pytest.raises(OverflowError, match="out of bounds"):
            add(x, number)
    assert_same(add(x, np.uint8(255)), x + np.uint8(255))


@pytest.mark.parametrize("name", ["arctan2", "power"])
def test_folds_are_in_order(name: str):
    """NumPy's own are not on some processors: its loops do not see that the result is an operand."""
    f, x = getattr(np, name), np.abs(V)
    assert_same(sad.jit(f.reduce)(x), f(f(x[0], x[1]), x[2]))


@pytest.mark.parametrize("order", [2, 0])
@pytest.mark.parametrize("f", [special.kn, special.yn, special.expn])
def test_orders_that_are_cut_down_are_so_in_derivatives(f: Any, order: int):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy tells of the cut
        assert_same(sad.grad(lambda x: f(order + 0.66, x))(1.5), sad.grad(lambda x: f(order, x))(1.5))


def test_a_constant_without_elements_is_compiled_and_kept():
    rows = np.zeros((3, 0))
    found = sad.jit(lambda x: sad.scan(lambda count, row: (count + 1, np.sum(row)), 0, x)[1])(rows)
    assert_same(found, np.zeros(3))
    found = sad.jit(lambda x: sad.scan(lambda count, row: (count + 1, np.average(row)), 0, x)[1])(rows)
    assert_same(found, np.full(3, np.nan))


def test_slopes_of_a_constant_have_no_sign():
    assert not np.signbit(sad.jit(lambda x: np.gradient(0 * x + 1))(np.abs(V))).any()


def test_the_angle_of_an_infinite_vector_does_not_change():
    assert_same(sad.jit(sad.grad(np.arctan2, (0, 1)))(2.0, np.inf), (0.0, -0.0))
    assert_same(sad.grad(np.arctan2, (0, 1))(-np.inf, 2.0), (0.0, 0.0))


@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (special.exprel, np.array([np.inf, 1e17, 1.0, -1e17, -np.inf]), [np.inf, np.inf, 1.0, 1e-34, 0.0]),
        (lambda p: special.boxcox(0.0, p), np.array([2.5, -2.5, 0.0]), [0.16, np.inf, np.inf]),
        (lambda p: special.boxcox1p(np.inf, p), np.array([2.0, -2.0]), [np.inf, 0.25]),
        (lambda z: special.hyp2f1(-1.5, 0.0, 1.0, z), np.array([0.5, 2.0]), [0.0, 0.0]),
        (lambda z: special.hyp1f1(0.0, 2.0, z), np.array([0.5, 1e5]), [0.0, 0.0]),
        (lambda z: special.hyp2f1(2.0, 0.0, 0.0, z), np.array([0.5, -0.5]), [0.0, 0.0]),
        (lambda m: special.fdtrc(m, 0.4, np.array([0.0, np.inf])), np.array([1.7, 1.7]), [0.0, 0.0]),
        (lambda n: special.fdtr(1.7, n, np.array([0.0, np.inf])), np.array([0.4, 0.4]), [0.0, 0.0]),
        (lambda a: special.gdtr(a, 0.5, 0.0), np.array([0.4]), [0.0]),
        (lambda m: special.fdtri(m, 0.5, 0.0), np.array([2.3]), [0.0]),
        (lambda x: special.gammainc(np.inf, x), np.array([0.4]), [0.0]),
        (lambda a: special.betainc(a, np.inf, 0.5), np.array([0.4]), [0.0]),
        (lambda x: special.betaincc(0.4, np.inf, x), np.array([0.4]), [0.0]),
        (lambda a: special.beta(a, np.inf), np.array([0.4]), [0.0]),
    ],
)
def test_slopes_of_special_functions_hold_at_the_ends(f: Callable[[Any], Any], x: Any, slope: list[float]):
    assert_same(sad.jit(sad.grad(lambda x: np.sum(f(x))))(x), np.array(slope))


def test_narrowed_integers_are_not_written_behind_their_row():
    """Rows are written from the last one to the first; what is written behind one destroys the next."""
    k = np.array([3, 3, 3, 1, 1, 5, 1, 0, 5], "uint8")
    found = sad.jit(lambda k: sad.scan(lambda n, _: (n, np.bitwise_count(k)), 0, None, length=2, reverse=True)[1])(k)
    assert_same(found, np.stack([np.bitwise_count(k)] * 2))


@sad.custom_jvp
def _of_no_slope(x: Any) -> Any:
    return x * 1.0


@_of_no_slope.defjvp
def _of_no_slope_jvp(primals: Any, tangents: Any) -> Any:
    return primals[0] * 1.0, tangents[0] * np.nan


@pytest.mark.parametrize(
    ("f", "excused"),
    [
        (lambda x: np.arcsin(x / x), True),
        (lambda x: np.convolve(x, x * np.inf)[:0], True),
        (lambda x: np.arcsin(_of_no_slope(x) / 9), False),
        (lambda x: np.arcsin(x / 9), False),
    ],
)
def test_only_what_infinity_makes_of_a_gradient_is_excused(f: Callable[[Any], Any], excused: bool):
    assert is_inherent(f, (V[::2],), np.ones(np.shape(f(V[::2])))) is excused


def test_sums_of_one_term_stand_beside_strong_products():
    """Nothing is a loop there; the sums are the least and the greatest index, which are checked."""

    def spread(x: Any) -> Any:
        ordered = np.take_along_axis(x, np.argsort(x, axis=-1), axis=-1)
        return np.nanstd(np.nanmean(ordered, axis=-1), axis=None, ddof=0.5, dtype="float64", where=False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_derivatives(spread, (V[:1],))
