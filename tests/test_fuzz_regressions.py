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
from tests.backends import through_program
from tests.numerics import assert_same

V = np.array([1.0, -2.5, 4.0])
N = np.array([np.nan, 2.5, 4.0, 9.0])
Z = np.array([1 + 2j, complex(np.nan, 1), 3 - 1j])
K = np.array([3, -2, 7], "int8")
W = np.array([1 - 0.04j, -2.26 + 0.2j, complex(-2, -0.0), complex(np.nan, -0.0)])
K64 = np.array([3, 2**64 - 2, 6], "uint64")
MASK = np.array([True, False, True])


def _written(f: Callable[..., Any], k: Any) -> Any:
    """Computed in the dtype of the array that takes it."""
    found = np.zeros(np.shape(f(k)))
    f(k, axis=0, out=found)
    return found


def _placed(k: Any) -> Any:
    """Large integers that are no floats."""
    one, two = k.copy(), k.copy()
    np.place(one, [False, True, False], [1, 2])
    np.add(two, np.uint64(1), out=two, where=MASK)
    return np.stack([one, two])


def _masked_by(x: Any, value: Any) -> Any:
    y = x.copy()
    np.putmask(y, y > 0, value)
    return y


def _without_nan(x: Any) -> Any:
    y = x.copy()
    np.nan_to_num(y, copy=False, nan=7.0)
    return y


CALLS: list[tuple[Callable[..., Any], Any]] = [
    *[(lambda x, f=f, t=t: getattr(np, f)(x, dtype=t), V) for f in ("mean", "var", "std") for t in ("float32", "int8")],
    *[(lambda x, f=f: getattr(np, f)(x, dtype="complex64"), V) for f in ("mean", "var", "std")],
    *[(lambda x, f=f: getattr(np, f)(x, dtype="bool"), K) for f in ("sum", "prod", "mean", "std", "cumsum")],
    *[(lambda x, f=f: getattr(np, f)(x), Z) for f in ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nancumsum")],
    (lambda z: np.var(z, where=MASK), Z),
    (lambda x: np.linalg.matrix_power(x[:2, None] * x[:2], 0), V),
    (lambda x: np.exp(np.linalg.matrix_power(x[:2, None] * x[:2], 0)), V),
    (lambda x: np.vdot(x > 1, x > 0), V),
    (lambda x: np.delete(x, []), V),
    (lambda x: np.std(x, where=False, ddof=-1), V),
    (lambda k: np.linspace(k > 1, np.float32(2.5), 4), K),
    (lambda x: np.linspace(x, 1.0, 3), V.astype("float32")),
    (lambda x: np.logspace(x, 1.0, 3), V.astype("float32")),
    *[(lambda x, f=f: getattr(np, f)(V, where=x > 0), V) for f in ("sum", "prod", "any", "all", "nansum")],
    *[(lambda x, f=f: getattr(np, f)(V, where=x > 0, initial=1.0), V) for f in ("max", "min")],
    *[(lambda x, f=f: getattr(np, f)(V, where=x > 0), V) for f in ("mean", "var", "std")],
    *[(lambda x, f=f: getattr(np, f)(x, dtype="complex64"), N) for f in ("nanmean", "nanvar", "nanstd")],
    (lambda x: np.nanstd(x, dtype="int8"), K),
    (lambda x: (x > 0).conj(), V),
    (lambda x: np.clip(x > 0, 0, np.int8(3)), V),
    (lambda x: np.correlate(x > 0, x > 1), V),
    (lambda z: 0**z, np.array([2 + 0j, 1j, -1 + 2j, 0j])),
    (lambda x: np.logical_xor.reduce(x[:1]), V),
    (lambda k: np.divide.reduce(k[:1]), K),
    (lambda k: np.allclose(k, -1), K.astype("uint16")),
    (lambda z: np.geomspace(z, 2.0 - 1j, 4), Z[::2]),
    (lambda k: np.angle(k, deg=True), K.astype("int16")),
    *[(lambda x, m=m: np.correlate(x, x, m), np.array([np.inf, 0.0, 2.0, 0.5])) for m in ("full", "same", "valid")],
    *[(lambda x, m=m: np.convolve(x, [1.0, np.nan, 0.0, 2.0], m), V) for m in ("full", "same", "valid")],
    (lambda k: np.convolve(k, K[:2]), K),
    (lambda k: np.logaddexp2.reduce(k, initial=2.5), K.astype(int)),
    (lambda k: _placed(k), np.array([2**64 - 1, 5, 2**64 - 3], "uint64")),
    (lambda x: np.einsum("kk,li->i", x[:, None] * N[:3], np.zeros((0, 2))), V),
    (lambda x: np.einsum("ii->i", np.where(np.eye(3) > 0, x, np.inf)), V),
    (lambda x: np.polymul(x[:0], x), V),
    *[
        (lambda x, m=m, w=w: np.pad(x, w, mode=m, reflect_type="odd"), np.array(v))
        for m in ("reflect", "symmetric")
        for w, v in [((9, 2), [1.0, np.nan, 3.0]), ((0, 7), [np.inf, 1.0]), (3, [5.0]), (2, [[1, 2], [3, 5]])]
    ],
    *[(lambda k, n=n: np.round(k, n), np.array([-127, 25, 15, 4], "int8")) for n in (-3, -1, 0, 2)],
    (lambda x: np.round(x * 1e4, -3), V),
    (lambda k: np.where(k > 0, -1, k), K.astype("uint8")),
    (lambda k: np.where(k > 0, k, 300), K.astype("uint8")),
    (lambda x: np.transpose(x, []) * np.float32([1, 2]), 2.5),
    (lambda x: np.copy(x) * np.float32([1, 2]), 2.5),
    (lambda x: np.clip(x, np.float32([1, 2]), None), 3),
    (lambda k: np.bitwise_xor.reduce(k, initial=2), K),
    (lambda k: np.gcd.reduce(k, initial=6), K),
    (lambda x: np.hypot.reduce(x, initial=2), V),
    (lambda x: np.fmax.reduce(x, initial=5), N),
    (lambda x: np.subtract.reduce(x, initial=5), V),
    (lambda x: np.linspace(x, np.float32([1, 2]), 3), 2.5),
    (lambda x: np.logical_or.reduce(x > 9, initial=1), V),
    (lambda x: np.logical_and.reduce(x > -9, axis=None, initial=0, keepdims=True), V),
    (lambda k: np.clip(k, -1, 1), K.astype("uint8")),
    (lambda k: np.clip(k, -1000, 1000), K),
    (lambda x: round(x[1], 1), V * 1.23456),
    (lambda x: round(x[1]) * x, V * 1.23456),
    *[(lambda k, f=f: _written(f, k), np.array([2**62] * 3)) for f in (np.sum, np.prod, np.cumsum, np.add.accumulate)],
    (lambda x: _without_nan(x), N),
    (lambda x: np.nanquantile(x[:0], [[0.2], [0.7]], axis=0, keepdims=True), K[:, None]),
    (lambda x: np.nanpercentile(x[:0], [30.0]), V.astype("float32")),
    (lambda x: np.polymul(x[:0], True), V.astype("float32")),
    (lambda x: np.polyadd(x, x[:1]), V),
    (lambda z: np.cov(z[:, :0].T), Z[:, None]),
    (lambda x: np.select([x > 0, MASK], [np.float32(1.5), 2], 0.5), V),
    (lambda x: np.invert(-x, dtype="uint8", casting="unsafe"), V),
    *[(lambda x, t=t: x.astype(t), np.array([-1.5, -300.5, 300.5, 255.9, -0.5])) for t in ("uint8", "int8", "uint32")],
    (lambda x: x.astype("uint64"), np.array([-1.5, 1e19, 2.0**63, 9e18, 3.0], "float32")),
    (lambda x: sum([x[0] > 0, x[1] > 0, x[2] > 0]), V),
    (lambda k: k ** (k - k), K),
    *[(lambda k, t=t: np.reciprocal(np.append(k, [0, 1, -1]).astype(t)), K) for t in ("int8", "uint16", "bool")],
    *[(lambda x, u=u: u.accumulate(x), V) for u in (np.arctan2, np.fmax, np.subtract, np.heaviside)],
    *[(lambda k, u=u: u.accumulate(k, axis=1), K.reshape(1, 3, 1)) for u in (np.divide, np.bitwise_and, np.gcd)],
    *[(lambda x, f=f: f(x[0], axis=-1), V) for f in (np.sum, np.nanmax, np.argmin, np.ptp, np.squeeze, np.nanvar)],
    *[(lambda x, f=f: f(x[0], 2, axis=0), V) for f in (np.repeat, lambda x, n, axis: np.take(x, [0, 0], axis))],
    *[(lambda k, u=u: u.reduce(k[1:2]), K.astype(int)) for u in (np.hypot, np.gcd)],
    (lambda k: np.clip(k, True, k), K.astype("uint64")),
    (lambda x: np.subtract.reduce(x[0], axis=0, keepdims=True), V),
    *[(lambda x, f=f: True * f(x, x), V) for f in (np.allclose, np.array_equal, np.array_equiv)],
    (lambda x: np.array_equal(x, x) * np.int8(2) + np.array_equal(x, x[1:]), V),
    (lambda x: np.einsum("...ij,...->...", x, V[:0]), np.zeros((1, 0, 1))),
    (lambda k: np.logaddexp.accumulate(k), K.astype("int16")),
    (lambda z: np.angle(np.round(z, 1)), W),
    (lambda z: np.angle(np.nan_to_num(z)), W),
    (lambda x: np.hypot.reduceat(x, [1, 2]), V),
    (lambda k: np.gcd.reduceat(k, [1, 2, 0]), K),
    *[(lambda x, s=s: np.linalg.pinv(x.reshape(s)), np.zeros(0, int)) for s in ((0, 0), (2, 3, 0))],
    *[(lambda x, n=n: linalg.toeplitz(x.reshape(3, 2)[:, :n]), np.arange(6.0)) for n in (0, 2)],
    (lambda x: linalg.toeplitz(x[:, None], x[1:]), V),
    (lambda z: np.average(V, weights=z, returned=True), Z.real.astype("float32") + 1j),
    (lambda k: np.average(k, weights=np.float32([1, 2, 1]), returned=True), V),
    (lambda k: np.bincount(k[:0], weights=V[:0]), K),
    (lambda x: _masked_by(x[:0], 7.0), V),
    (lambda x: np.partition(x[:0], 0), V),
    (lambda x: np.roll(x, (1, 2, -1), 0), V),
    (lambda x: np.roll(x[None], 1, (0, 1)), V),
    (lambda x: np.histogram2d(x, x, [[0, 1, 5], [-3, 4]])[0], V),
    (lambda k: np.packbits(k[0] > 0, axis=-1), K),
    (lambda k: np.unpackbits(k[0].astype("uint8"), axis=0), K),
    *[(lambda k, t=t: np.signbit(k.astype(t)), K) for t in ("int8", "uint8", "bool")],
    (lambda x: np.divmod.outer(x, V), V),
    *[(lambda k, u=u: u.reduce(k, where=MASK), K) for u in (np.bitwise_and, np.bitwise_xor, np.gcd, np.logical_xor)],
    *[(lambda k, f=f: f(K64, k), K) for f in (np.equal, np.less, np.greater_equal, np.array_equal)],
    *[(lambda k, f=f: f(k, K), K64) for f in (np.not_equal, np.less_equal, np.greater)],
    (lambda x: linalg.toeplitz(x > 0), 2.5),
    (lambda x: special.logsumexp(x[:0], keepdims=True), V),
    *[(lambda x, p=p: np.linalg.norm(x.reshape(0, 2), p), V[:0]) for p in (1, 2, np.inf)],
    *[(lambda x, p=p: np.linalg.norm(x.reshape(2, 0), p), V[:0]) for p in (1, 2)],
    (lambda x: np.linalg.norm(x[:0], np.inf), V),
    (lambda x: np.fmax.reduce(x[:0], axis=(), initial=1.0), V),
    (lambda x: np.array([4.0 in x, 1.0 in x, 2.5 in x[:, None], x[0] in x, 1.0 in np.array(x[0])]), V),
    (lambda x: special.softmax(x[:0].reshape(0, 2), axis=1), V),
    *[(lambda x, f=f: f(N, x[0]), V) for f in (lambda n, t: n.clip(t, 3), lambda n, t: np.nan_to_num(n, nan=t))],
    (lambda x: np.pad(N, 1, constant_values=x[0]) + np.append(np.roll(N, np.argmax(x)), [x[1], 1]), V),
    (lambda x: np.poly(x[:2, None] * x[1:] + 5 * np.eye(2)), V),
    *[(lambda x, u=u: u.reduce(x, where=x > 2, initial=3.0), N) for u in (np.fmax, np.fmin, np.hypot, np.logaddexp)],
]


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
    (lambda x: np.median(x[:0], axis=(), keepdims=True), V),
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
]


@pytest.mark.parametrize("k", range(len(REFUSED)))
def test_calls_that_numpy_refuses_are_refused(k: int):
    call, x = REFUSED[k]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises((OverflowError, TypeError, ValueError)):
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
    with pytest.raises(sad.errors.MutationError, match="of a number"):
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


def test_narrowed_integers_are_not_written_behind_their_row():
    """Rows are written from the last one to the first; what is written behind one destroys the next."""
    k = np.array([3, 3, 3, 1, 1, 5, 1, 0, 5], "uint8")
    found = sad.jit(lambda k: sad.scan(lambda n, _: (n, np.bitwise_count(k)), 0, None, length=2, reverse=True)[1])(k)
    assert_same(found, np.stack([np.bitwise_count(k)] * 2))
