"""float16: values, dtypes, derivatives and control flow are NumPy's, by NumPy and compiled.

Invariant: what is expected is NumPy's float16, or float64 rounded to it.
Start at ``test_exact_operations_give_the_bits_of_numpy_for_all_numbers``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import scipy.linalg
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import staged_ad as sad
from staged_ad.errors import ArgumentError, DTypeError
from staged_ad.ir import Program
from staged_ad.native import disk, llvm
from tests.backends import MODES, in_mode, run, through_program

by_mode = pytest.mark.parametrize("mode", MODES)
HALF = np.dtype("float16")
EVERY = np.arange(2**16, dtype=np.uint16).view(HALF)
"""All numbers of float16."""
OTHERS = np.random.default_rng(3).permutation(EVERY)
HALVES = arrays(np.uint16, 5, elements=st.integers(0, 2**16 - 1)).map(lambda bits: bits.view(HALF))
X = np.linspace(-2.0, 2.5, 37).astype(HALF)
Y = np.linspace(0.3, 3.0, 37).astype(HALF)[::-1].copy()


def called(mode: str, f: Callable[..., Any], *xs: Any) -> Any:
    """The results of `f` by way of a program, as a tuple."""
    with np.errstate(all="ignore"):
        found = sad.jit(f)(*xs) if mode == "jit" else through_program(f, *xs)
    return found if isinstance(found, tuple) else (found,)


def expected(f: Callable[..., Any], *xs: Any) -> Any:
    with np.errstate(all="ignore"):
        found = f(*xs)
    return found if isinstance(found, tuple) else (found,)


def places(x: Any) -> Any:
    """The numbers of float16 counted from zero."""
    bits = np.asarray(x).view(np.int16).astype(int)
    return np.where(bits < 0, -(bits & 0x7FFF), bits)


def assert_bits(found: Any, wanted: Any, units: int = 0) -> None:
    """The same dtype; of float16 the same bits, but for those of NaN, or at most so many units away."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype
    if wanted.dtype != HALF:
        np.testing.assert_array_equal(found, wanted)
        return
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    numbers = ~np.isnan(wanted)
    if not units:
        np.testing.assert_array_equal(found.view(np.uint16)[numbers], wanted.view(np.uint16)[numbers])
    assert np.abs(places(found) - places(wanted))[numbers].max(initial=0) <= units


# -- values ------------------------------------------------------------------------------------------------------------


def exact(x: Any, y: Any) -> Any:
    two = [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.fmax, np.fmin, np.copysign]
    two += [np.nextafter, np.remainder, np.floor_divide, np.fmod, np.less, np.equal, np.greater_equal, np.logical_and]
    one = [np.negative, np.abs, np.sqrt, np.square, np.reciprocal, np.floor, np.ceil, np.trunc, np.rint, np.spacing]
    one += [np.isnan, np.isinf, np.isfinite, np.signbit, np.degrees, np.radians]
    return (*[f(x, y) for f in two], *[f(x) for f in one], x**2, x**-1, x**0.5, *np.frexp(x), np.heaviside(x, y))


@by_mode
def test_exact_operations_give_the_bits_of_numpy_for_all_numbers(mode: str):
    for found, wanted in zip(called(mode, exact, EVERY, OTHERS), expected(exact, EVERY, OTHERS), strict=True):
        assert_bits(found, wanted)


def functions(x: Any, y: Any) -> Any:
    one = [np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.cbrt, np.sin, np.cos, np.tan, np.arcsin]
    one += [np.arccos, np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh]
    two = [np.power, np.arctan2, np.hypot, np.logaddexp, np.logaddexp2]
    return (*[f(x) for f in one], *[f(x, y) for f in two])


@by_mode
def test_functions_are_within_one_unit_of_numpy_for_all_numbers(mode: str):
    for found, wanted in zip(called(mode, functions, EVERY, OTHERS), expected(functions, EVERY, OTHERS), strict=True):
        assert_bits(found, wanted, units=1)


def chain(x: Any, y: Any, z: Any) -> Any:
    return ((x + y) * z - x) / (y * 3.3 + np.float16(0.1)) - z


@by_mode
@settings(max_examples=30)
@given(x=HALVES, y=HALVES, z=HALVES)
def test_each_operation_of_a_chain_rounds(mode: str, x: Any, y: Any, z: Any):
    assert_bits(called(mode, chain, x, y, z)[0], expected(chain, x, y, z)[0])


def to_halves(*xs: Any) -> Any:
    return tuple([x.astype(HALF) for x in xs])


@by_mode
def test_casts_round_once(mode: str):
    rng = np.random.default_rng(0)
    numbers = EVERY[np.isfinite(EVERY)].astype(float)
    between = (numbers[:-1] + numbers[1:]) / 2
    ties = np.concatenate(
        [between, np.nextafter(between, np.inf), np.nextafter(between, -np.inf), EVERY, [1e300, 70e3]]
    )
    wide = rng.normal(size=999) * np.exp(40 * rng.normal(size=999))
    whole = rng.integers(-(2**62), 2**62, 999) >> rng.integers(0, 60, 999)
    with np.errstate(all="ignore"):
        single = [ties.astype("f"), wide.astype("f")]
    xs = ties, wide, *single, whole, whole.astype("i2"), whole.astype("u8"), whole % 3 == 0
    for found, wanted in zip(called(mode, to_halves, *xs), expected(to_halves, *xs), strict=True):
        assert_bits(found, wanted)

    def from_halves(x: Any) -> Any:
        return tuple([x.astype(dtype) for dtype in ("?", "i1", "u2", "i4", "i8", "f", "d", "F", "D")])

    def and_back(x: Any) -> Any:
        return tuple([x.astype(dtype).astype(HALF) for dtype in ("?", "i1", "u2", "i8", "f", "d")])

    small = EVERY[np.abs(EVERY) < 100]
    for found, wanted in zip(called(mode, and_back, small), expected(and_back, small), strict=True):
        assert_bits(found, wanted)
    for found, wanted in zip(called(mode, from_halves, small), expected(from_halves, small), strict=True):
        assert_bits(found, wanted)


PROMOTIONS: dict[str, Callable[[Any], Any]] = {
    "number": lambda x: x * 3.14159 + 1,
    "bool": lambda x: x + (x > 0),
    "int8": lambda x: x * np.int8(3),
    "int16": lambda x: x * np.int16(3),
    "float32": lambda x: x * np.float32(0.1),
    "float64 array": lambda x: x * np.ones(37),
    "complex number": lambda x: x * 1j,
    "complex64": lambda x: x + np.complex64(1j),
    "where": lambda x: np.where(x > 0, x, 1.5),
    "sums": lambda x: x.sum() * x.mean() * np.var(x) * np.std(x) * np.prod(x) * np.max(x),
    "cumsum": lambda x: np.cumsum(x),
    "float_power": lambda x: np.float_power(np.abs(x), 2),
    "median": lambda x: np.median(x) + np.quantile(x, 0.3),
    "norm": lambda x: np.linalg.norm(x),
    "ldexp": lambda x: np.ldexp(x, np.arange(37) - 25),
    "sort": lambda x: np.sort(x)[::-1],
    "concatenate": lambda x: np.concatenate([x, x[:2]]),
    "angle": lambda x: np.angle(x + 1j) + np.real(x),
    "sinc and i0": lambda x: np.sinc(x) + np.i0(x),
    "clip": lambda x: np.clip(x, -1, 1.1),
    "erf": lambda x: scipy.special.erf(x),
    "logsumexp": lambda x: scipy.special.logsumexp(x),
    "rfft": np.fft.rfft,
    "irfft": np.fft.irfft,
    "hfft": np.fft.hfft,
    "poly": lambda x: np.poly(x[:3]),
    "matmul": lambda x: np.outer(x, x) @ x,
    "astype": lambda x: np.arange(37).astype(np.float16) * x.astype("e"),
    "interp": lambda x: np.interp(x, np.arange(4.0), np.arange(4.0) ** 2),
}


@pytest.mark.parametrize("f", PROMOTIONS.values(), ids=list(PROMOTIONS))
def test_dtypes_are_those_of_numpy(f: Callable[[Any], Any]):
    (found,), wanted = called("eager", f, X), f(X)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=4e-3, atol=4e-3)


@by_mode
def test_sums_means_and_products_of_matrices_are_float32_until_they_end(mode: str):
    x = np.random.default_rng(1).uniform(0, 1, (60, 3000)).astype(HALF)

    def sums(x: Any) -> Any:
        return (
            np.mean(x * 100),
            np.var(x * 200),
            np.sum(x[0]),
            np.sum(x[:, :40].T, axis=0),
            x @ x.T,
            np.average(x, axis=1),
        )

    wide = x.astype(float)
    products = x[0] * np.float16(1), (x * 100).astype(float), (x * 200).astype(float)
    wanted = (
        products[1].mean(),
        products[2].var(),
        wide[0].sum(),
        wide[:, :40].sum(axis=1),
        wide @ wide.T,
        wide.mean(axis=1),
    )
    for found, right in zip(called(mode, sums, x), wanted, strict=True):
        assert_bits(found, np.asarray(right).astype(HALF), units=1)


# -- derivatives -------------------------------------------------------------------------------------------------------


def model(x: Any, y: Any) -> Any:
    return np.sum(np.tanh(x) * y + x**2 / (1 + y) - np.where(x > 0, x, 0.5 * x) * np.sqrt(y))


@by_mode
def test_derivatives_are_float16_and_close_to_those_of_float64(mode: str):
    def both(x: Any, y: Any) -> Any:
        reverse = sad.grad(model, (0, 1))(x, y)
        value, slope = sad.jvp(model, (x, y), (y, x))
        hessian = sad.hvp(model, (x, y), (y, x))[0]
        return (*reverse, value, slope, hessian)

    for found, wanted in zip(in_mode(mode, both)(X, Y), both(X.astype(float), Y.astype(float)), strict=True):
        assert found.dtype == HALF
        np.testing.assert_allclose(found, wanted, rtol=4e-3, atol=4e-3)


@by_mode
def test_the_derivative_of_an_element_that_is_read_often_is_a_long_sum(mode: str):
    often = np.zeros(5000, int)
    assert in_mode(mode, sad.grad(lambda x: np.sum(x[often]) * np.float16(0.5)))(X)[0] == 2500
    assert in_mode(mode, sad.grad(lambda x: np.sum(x[0] * np.ones(5000, HALF)) * np.float16(0.5)))(X)[0] == 2500


def test_differences_of_float16_are_refused():
    with pytest.raises(ArgumentError, match=r"float16 tell nothing.*astype\(np.float32\)"):
        sad.check_derivatives(model, (X, Y))


def test_gradients_of_mixed_precision_have_the_dtypes_of_their_arguments():
    weights = np.linspace(0, 1, 37).astype("f")
    x_bar, w_bar = sad.jit(sad.grad(lambda x, w: np.sum(x * w), (0, 1)))(X, weights)
    assert (x_bar.dtype, w_bar.dtype) == (HALF, np.dtype("f"))
    np.testing.assert_array_equal(w_bar, X.astype("f"))


# -- batches, loops and arrays that change -----------------------------------------------------------------------------


def lane(x: Any) -> Any:
    def step(carry: Any, k: Any) -> Any:
        carry = carry * np.float16(0.7) + sad.numpy.take(x, k % 3)
        return carry, carry**2

    last, squares = sad.scan(step, x[0], np.arange(9))
    root = sad.while_loop(lambda a: a * a > x[1], lambda a: a * np.float16(0.9), x[0] * 0 + 60)
    return sad.cond(last > root, lambda: last - root, lambda: root), squares


def plainly(x: Any) -> Any:
    carry, squares, root = x[0], [], x[0] * 0 + 60
    for k in range(9):
        carry = carry * np.float16(0.7) + x[k % 3]
        squares.append(carry**2)
    while root * root > x[1]:
        root = root * np.float16(0.9)
    return carry - root if carry > root else root, np.array(squares)


@by_mode
def test_loops_branches_and_batches_are_those_of_python(mode: str):
    rows = np.random.default_rng(2).uniform(0.1, 4, (5, 3)).astype(HALF)
    singly = [plainly(row) for row in rows]
    for k in range(2):
        assert_bits(in_mode(mode, sad.vmap(lane))(rows)[k], np.stack([row[k] for row in singly]))
    assert_bits(in_mode(mode, lane)(rows[0])[1], singly[0][1])
    slope = in_mode(mode, sad.vmap(sad.grad(lambda x: lane(x)[0])))(rows)
    assert slope.dtype == HALF
    wide = sad.vmap(sad.grad(lambda x: lane(x)[0]))(rows.astype(float))
    np.testing.assert_allclose(slope, wide, rtol=0.01, atol=0.01)


def changed(x: Any, y: Any) -> Any:
    x = x.copy()
    x[1:] += x[:-1] * y[1:]
    x[x > 1] *= np.float16(0.3)
    np.add.at(x, [0, 3, 0, 0], y[:4])
    x[::2] = y[::2] / 3
    table = np.zeros((3, 4), HALF)
    table[1, 1:] = x[:3]
    table.T[2] -= 0.1
    return x, table, np.roll(x, 3).reshape(1, 37).T, np.pad(x, 2)


@by_mode
def test_arrays_that_change_in_place_hold_what_those_of_numpy_do(mode: str):
    for found, wanted in zip(called(mode, changed, X, Y), changed(X, Y), strict=True):
        assert_bits(found, wanted)


def test_python_reads_numbers_of_float16():
    f = sad.jit(lambda x: x * 2 if x[0] > 1 else x - int(x[1]))
    for x in (X, Y):
        assert_bits(f(x), x * 2 if x[0] > 1 else x - int(x[1]))


def test_scalars_arrays_without_axes_and_views_are_arguments():
    f = sad.jit(lambda x, a: x * a)
    for x in (X[::-1], X[:36].reshape(6, 6).T, np.float16(3), np.array(2, HALF), X.astype(">f2")):
        assert_bits(f(x, np.float16(0.1)), (x * np.float16(0.1)).astype(HALF))


# -- refusals, and what stands around ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["inv", "det", "svd", "qr", "cholesky", "eigh", "pinv", "matrix_rank"])
def test_linalg_refuses_float16_as_numpy_does(name: str):
    a = np.eye(2, dtype=HALF)
    f = getattr(np.linalg, name)
    with pytest.raises(TypeError):
        f(a)
    with pytest.raises(DTypeError, match=r"float16 is unsupported in linalg.*astype\(np.float32\)"):
        sad.jit(lambda a: f(a))(a)


@pytest.mark.filterwarnings("ignore:Calling .*float16:DeprecationWarning")
def test_scipys_linalg_takes_float16_for_float32():
    a = (np.eye(3) * 2 + 0.25).astype(HALF)
    for name in ("inv", "cholesky", "expm", "norm"):
        found, wanted = sad.vjp(getattr(sad.scipy.linalg, name), a)[0], getattr(scipy.linalg, name)(a)
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=2e-3)


def test_the_users_own_functions_are_given_float16():
    seen = []

    def double(x: Any) -> Any:
        seen.append(x.dtype)
        return x * 2

    f = sad.jit(lambda x: sad.pure_callback(double, sad.ShapeDtypeStruct((37,), HALF), x) + x)
    assert_bits(f(X), X * 2 + X)
    assert set(seen) == {HALF}


def test_numba_has_no_float16():
    double = numba.njit(lambda x: x * 2)
    for f in (
        lambda: sad.numba_function(lambda x: x * 2, X),
        lambda: sad.numba_call(double, sad.ShapeDtypeStruct((37,)), X),
        lambda: sad.numba_call(double, np.float16, 1.0),
    ):
        with pytest.raises(DTypeError, match=r"Numba has no float16.*x.astype\(np.float32\)"):
            f()


def test_programs_are_pickled():
    program: Program = sad.trace(functions)(X, Y)
    again: Program = pickle.loads(pickle.dumps(program))
    assert again == program
    for found, wanted in zip(run("compiled", again, X, Y), run("evaluate", program, X, Y), strict=True):
        assert_bits(found, wanted, units=1)


@pytest.mark.skipif(not llvm.has_feature("f16c"), reason="this processor has no instructions for float16")
def test_a_chain_is_one_loop_over_vectors():
    lowered = sad.jit(lambda x, y: (x * y + x) * y - x / y).lower(np.ones(4000, HALF), np.ones(4000, HALF))
    code = lowered.text("asm")
    assert code.count("vcvtps2ph") == 2 * 5  # one for each operation, of two registers
    assert "__" not in code.replace("__unnamed", "")  # nothing is called


def test_processors_without_such_instructions_get_the_same_bits(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(llvm, "converts_halves", lambda: False)
    monkeypatch.setattr(disk, "enabled", lambda: False)  # where code of this processor lies under the same name
    f = sad.jit(exact)
    for found, wanted in zip(f(EVERY, OTHERS), expected(exact, EVERY, OTHERS), strict=True):
        assert_bits(found, wanted)
    between = np.sort(EVERY[np.isfinite(EVERY)].astype(float))
    ties = np.concatenate([(between[1:] + between[:-1]) / 2, [65519, 65520, 1e300, -1e-300, np.inf, np.nan]])
    with np.errstate(all="ignore"):
        assert_bits(sad.jit(lambda x: x.astype(HALF))(ties), ties.astype(HALF))
        assert_bits(sad.jit(lambda x: x.astype(HALF))(ties.astype("f")), ties.astype("f").astype(HALF))
    assert "half" not in f.lower(EVERY, OTHERS).text("llvm")


def test_programs_without_float16_have_no_casts():
    program: Program = sad.trace(model)(X.astype("f"), Y.astype("f"))
    assert "cast" not in str(program)
