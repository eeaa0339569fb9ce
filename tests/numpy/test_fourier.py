"""np.fft on traced values beside np.fft, and its derivatives.

Invariant: lengths, axes, scalings and dtypes are drawn from all that NumPy takes.
Start at ``test_transforms_along_one_axis_are_numpys``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import DTypeError, ShapeError
from tests.backends import MODES, in_mode, through_program
from tests.numerics import assert_same, directional

ONE_AXIS = [np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.hfft, np.fft.ihfft]
TWO_AXES = [np.fft.fft2, np.fft.ifft2, np.fft.rfft2, np.fft.irfft2]
SEVERAL = [*TWO_AXES, np.fft.fftn, np.fft.ifftn, np.fft.rfftn, np.fft.irfftn]
REAL = {np.fft.rfft, np.fft.ihfft, np.fft.rfft2, np.fft.rfftn}
DTYPES = ["float64", "float32", "complex128", "complex64", "int32", "bool"]
by_mode = pytest.mark.parametrize("mode", MODES)


def array(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    x = 3 * rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        return (x + 3j * rng.normal(size=shape)).astype(dtype)
    return x.astype(dtype)


def same(found: Any, expected: Any) -> None:
    assert_same(found, expected, 1e-5 if np.asarray(expected).real.dtype == np.float32 else 1e-13)


@st.composite
def one_axis(draw: Any) -> tuple[Callable[..., Any], Any, dict[str, Any]]:
    f = draw(st.sampled_from(ONE_AXIS))
    shape = tuple(draw(st.lists(st.integers(2, 5), min_size=1, max_size=3)))
    dtype = draw(st.sampled_from([d for d in DTYPES if f not in REAL or not d.startswith("complex")]))
    options = {
        "n": draw(st.none() | st.integers(1, 7)),
        "axis": draw(st.integers(-len(shape), len(shape) - 1)),
        "norm": draw(st.sampled_from([None, "backward", "ortho", "forward"])),
    }
    return f, array(shape, dtype), options


@settings(max_examples=150)
@given(one_axis())
def test_transforms_along_one_axis_are_numpys(case: Any):
    f, x, options = case
    same(through_program(lambda x: f(x, **options), x), f(x, **options))


@st.composite
def several_axes(draw: Any) -> tuple[Callable[..., Any], Any, dict[str, Any]]:
    f = draw(st.sampled_from(SEVERAL))
    shape = tuple(draw(st.lists(st.integers(2, 4), min_size=2, max_size=3)))
    dtype = draw(st.sampled_from([d for d in DTYPES if f not in REAL or not d.startswith("complex")]))
    options: dict[str, Any] = {"norm": draw(st.sampled_from([None, "ortho", "forward"]))}
    if draw(st.booleans()):
        count = draw(st.integers(1, 3))
        options["axes"] = tuple(draw(st.integers(-len(shape), len(shape) - 1)) for _ in range(count))
        if draw(st.booleans()):
            options["s"] = tuple(draw(st.integers(1, 5) | st.just(-1)) for _ in range(count))
    return f, array(shape, dtype), options


@settings(max_examples=150)
@given(several_axes())
def test_transforms_along_several_axes_are_numpys(case: Any):
    f, x, options = case
    same(through_program(lambda x: f(x, **options), x), f(x, **options))


def test_lengths_without_axes_are_taken_with_a_warning_as_in_numpy():
    x = array((2, 3, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = np.fft.fftn(x, (2, 2))
    with pytest.warns(DeprecationWarning, match="axes"):
        same(through_program(lambda x: np.fft.fftn(x, (2, 2)), x), expected)


@pytest.mark.parametrize("f", [*ONE_AXIS, *SEVERAL], ids=lambda f: f.__name__)
def test_compiled_transforms_are_numpys(f: Any):
    cases = [array((3, 4, 5), d) for d in DTYPES[:2]] + [array((7, 300, 2)).transpose(2, 1, 0)]
    if f in (*ONE_AXIS, *TWO_AXES):
        cases.append(array((0, 3, 4)))
    if f not in REAL:
        cases += [array((3, 4, 5), d) for d in DTYPES[2:4]]
    found = sad.jit(lambda xs: [f(x) for x in xs])(cases)
    for x, value in zip(cases, found, strict=True):
        same(value, f(x))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.data())
def test_shifts_are_numpys(shape: list[int], data: Any):
    x = array(tuple(shape))
    axes = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1) | st.just(tuple(range(len(shape)))))
    for f in (np.fft.fftshift, np.fft.ifftshift):
        same(through_program(lambda x, f=f: f(x, axes), x), f(x, axes))


def test_frequencies_may_have_a_traced_spacing():
    np.testing.assert_allclose(sad.jacfwd(lambda d: np.fft.fftfreq(4, d))(2.0), -np.fft.fftfreq(4, 2.0) / 2, rtol=1e-15)


def power(x: Any) -> Any:
    """The energy of a filtered signal."""
    y = np.fft.irfft(np.fft.rfft(x) * np.exp(-np.arange(len(x) // 2 + 1)), len(x))
    return np.sum(y**4) + np.sum(np.abs(np.fft.fft(np.tanh(x))) ** 2)


@by_mode
@pytest.mark.parametrize("n", [6, 7])
def test_gradients_and_hessians_through_spectra_are_those_of_finite_differences(n: int, mode: str):
    x, v = array((n,)) / 3, array((n,), seed=1)
    gradient = in_mode(mode, sad.grad(power))
    np.testing.assert_allclose(np.sum(gradient(x) * v), directional(power, [x], [v]), rtol=1e-9)
    product = in_mode(mode, lambda x, v: sad.hvp(power, (x,), (v,)))(x, v)
    np.testing.assert_allclose(product, directional(gradient, [x], [v]), rtol=1e-8)
    forward = in_mode(mode, sad.jacfwd(sad.grad(power)))(x)
    np.testing.assert_allclose(forward @ v, product, rtol=1e-10)
    np.testing.assert_allclose(in_mode(mode, sad.jacrev(sad.grad(power)))(x), forward, rtol=1e-10, atol=1e-10)


@by_mode
def test_the_gradient_of_parseval_is_twice_the_signal(mode: str):
    x = array((2, 9))
    energy = lambda x: np.sum(np.abs(np.fft.fft2(x, norm="ortho")) ** 2)
    np.testing.assert_allclose(in_mode(mode, sad.grad(energy))(x), 2 * x, rtol=1e-13)
    z = array((2, 9), "complex128")
    np.testing.assert_allclose(in_mode(mode, sad.grad(energy))(z), 2 * np.conj(z), rtol=1e-13)


@by_mode
@pytest.mark.parametrize("f", [np.fft.rfft, np.fft.ifft, np.fft.ihfft], ids=lambda f: f.__name__)
def test_vmap_is_a_loop_in_any_batch_axis(f: Any, mode: str):
    x = array((4, 3, 5))
    for axis in (0, 1):
        rows = [f(np.take(x, k, axis), axis=0) for k in range(x.shape[axis])]
        same(in_mode(mode, sad.vmap(lambda x: f(x, axis=0), axis))(x), np.stack(rows))


def test_a_compiled_transform_reads_and_writes_complex_numbers_where_they_lie():
    z = array((3, 4), "complex128")
    regions = sad.jit(lambda z: np.fft.ifft(np.fft.fft(z), norm="forward")).lower(z).text("loops").split("\n")
    assert sum("interleaved" in line for line in regions) == 2
    assert not any("for " in line for line in regions)  # no loop moves their parts


def test_a_transform_in_a_loop_is_compiled_into_it():
    def step(x: Any, _: Any) -> Any:
        y = np.fft.ifft(np.fft.fft(x) * np.exp(-0.1 * np.arange(4))).real
        return np.tanh(y), np.sum(y)

    run = lambda x: np.sum(sad.scan(step, x, None, length=5)[1])
    x = array((4,))
    np.testing.assert_allclose(sad.jit(sad.grad(run))(x), sad.grad(run)(x), rtol=1e-12)


def test_convolution_by_spectra_has_the_gradient_of_the_convolution():
    x, w = array((8,)), array((8,), seed=1)
    by_spectra = lambda w: np.sum(np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(w), 8) ** 2)
    cyclic = np.array([np.roll(x, k) for k in range(8)]).T
    np.testing.assert_allclose(sad.grad(by_spectra)(w), 2 * cyclic.T @ (cyclic @ w), rtol=1e-12)


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (lambda x: np.fft.fft(x, 0), ShapeError, r"data points \(0\)"),
        (lambda x: np.fft.fft(x[:0]), ShapeError, r"data points \(0\)"),
        (lambda x: np.fft.irfft(x[:1]), ShapeError, r"data points \(0\)"),
        (lambda x: np.fft.fft(x, norm="other"), ValueError, "Invalid norm value other"),
        (lambda x: np.fft.fft(x, axis=2), ShapeError, "axis 2 is out of bounds"),
        (lambda x: np.fft.fft(x[0]), ShapeError, "axis -1 is out of bounds"),
        (lambda x: np.fft.fftn(x, (2, 2), (0,)), ValueError, "different lengths"),
        (lambda x: np.fft.rfft(x * 1j), DTypeError, "write np.fft.fft"),
    ],
)
def test_what_cannot_be_transformed_says_so(f: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        sad.vjp(f, array((4,)))
