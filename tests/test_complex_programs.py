"""Complex numbers in programs: dtypes, the border of compiled code, control flow, indexing, kernels.

Invariant: expected values are NumPy's, expected derivatives finite differences in the real and the imaginary part.
Start at ``test_arguments_of_every_kind_go_in_and_come_out_as_numpys``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import LoweringError
from staged_ad.ir import PRIMITIVES, ArrayType, Primitive
from staged_ad.ir.lowerings import Fold, Kernel
from staged_ad.ir.primitive import not_linear
from staged_ad.primitives.makers import Operation
from tests.backends import MODES, in_mode
from tests.checks import assert_derivatives, assert_value
from tests.numerics import assert_close, assert_same, directional, slopes

by_mode = pytest.mark.parametrize("mode", MODES)
RNG = np.random.default_rng(7)
Z = RNG.uniform(0.3, 1.5, 3) + 1j * RNG.uniform(-1.5, 1.5, 3)
W = RNG.uniform(-1.5, 1.5, 3) + 1j * RNG.uniform(0.3, 1.5, 3)
A = RNG.uniform(-1, 1, (3, 3)) + 1j * RNG.uniform(-1, 1, (3, 3))


# -- dtypes -------------------------------------------------------------------------------------------------------


@by_mode
@given(
    x=st.sampled_from(["bool", "int8", "int64", "float32", "float64", "complex64", "complex128"]),
    y=st.sampled_from([1j, 2.0, 3, np.complex64(1j), np.complex128(1j), np.float32(2), np.arange(1, 4)]),
    f=st.sampled_from([operator.add, operator.mul, operator.truediv]),
)
@settings(max_examples=10)
def test_results_have_numpys_dtypes(mode: str, x: str, y: Any, f: Any):
    array = np.array([1, 0, 1]).astype(x) + np.array(1).astype(x)
    assert_same(in_mode(mode, lambda x: f(x, y))(array), f(array, y))
    assert_same(in_mode(mode, lambda x: f(y, x + 1j))(array), f(y, array + 1j))


FUNCTIONS: list[Callable[[Any], Any]] = [
    *(np.real, np.imag, np.conj, np.abs, np.angle, np.sign, np.square, np.reciprocal, np.exp, np.sqrt, np.rint),
    *(np.isnan, np.isfinite, np.iscomplex, np.isreal, np.logical_not, np.var, np.std, np.mean, np.sum, np.prod),
    *(np.any, np.round, np.positive, np.negative, abs, lambda z: z.real, lambda z: z.imag, lambda z: z.conj().T),
    *(lambda z: np.angle(z, deg=True), lambda z: z * 1j + 2, lambda z: 1j * z, lambda z: z**2, lambda z: z**0.5),
    *(lambda z: 2**z, lambda z: z == z.conj(), lambda z: np.vdot(z, z), lambda z: np.where(z.real > 1, z, 0)),
    *(lambda z: np.diff(z.ravel()), lambda z: np.pad(z.ravel(), 1), lambda z: z.astype(np.complex64)),
]


@pytest.mark.parametrize("f", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_functions_give_numpys_values_dtypes_and_shapes(f: Callable[[Any], Any]):
    for z in (Z, A[:, 1:2].T[::-1], A[0, 0]):
        for dtype in (np.complex128, np.complex64):
            assert_value(f, z.astype(dtype))
    assert_same(sad.jit(f)(A), np.asarray(f(A)))


# -- the border of compiled code ----------------------------------------------------------------------------------


def outputs(z: Any) -> Any:
    return z, z * 2j + 1, np.abs(z), z.real > 0, np.sum(z), np.array([1j, 2.0])


@pytest.mark.parametrize(
    "z",
    [
        *(1 + 2j, np.complex64(1 + 2j), np.complex128(1 + 2j), np.array(1 - 2j), np.zeros(0, complex)),
        *(Z, Z.astype("c8"), A, A.T, A[::2, ::-1], np.zeros((2, 0, 3), "c8"), A.astype(">c16"), Z.real, np.arange(3)),
    ],
    ids=lambda z: f"{np.asarray(z).dtype}{np.shape(z)}",
)
def test_arguments_of_every_kind_go_in_and_come_out_as_numpys(z: Any):
    compiled = sad.jit(outputs)
    for _ in range(2):  # by the slow path, then by the fast one
        for found, expected in zip(compiled(z), outputs(np.asarray(z)[()]), strict=True):
            expected = np.asarray(expected)
            native = expected.astype(expected.dtype.newbyteorder("="))
            assert_same(found, native)
            assert isinstance(found, np.ndarray if native.shape else np.generic)


def test_results_of_compiled_code_share_no_memory_with_its_arguments():
    z = Z.copy()
    found = sad.jit(lambda z: z)(z)
    found[0] = 0
    assert z[0] == Z[0]


def test_a_signature_of_complex_numbers_is_not_that_of_real_ones():
    f = sad.jit(lambda x: x * 2)
    for x in (1.0, 1j, np.float64(1), np.complex64(1j), np.ones(2), np.ones(2, complex), np.ones(2, "c8")):
        assert_same(f(x), np.asarray(x * 2))


# -- control flow -------------------------------------------------------------------------------------------------


def scanned(z: Any) -> Any:
    carry, ys = sad.scan(lambda c, x: (np.sin(c * x) + 1j, (c, abs(x))), 1 + 0j, z)
    return abs(carry) ** 2 + np.sum(ys[0] * ys[1]).real


def checkpointed(z: Any) -> Any:
    step = lambda c, x: ((np.sin(c[0] * x) + 1j, c[1] * 0.9), None)
    return abs(sad.scan(step, (1 + 0j, 1.0), np.concatenate([z] * 4), checkpoint=3)[0][0])


def counted(z: Any) -> Any:
    return abs(sad.fori_loop(0, 7, lambda k, c: np.tanh(c * z) + 0.1j * k, z * 1j, checkpoint=3)).sum()


def while_small(z: Any) -> Any:
    return np.sum(sad.while_loop(lambda c: np.sum(abs(c)) < 30, lambda c: c * z + z * (1 + 1j), z)).imag


def while_checkpointed(z: Any) -> Any:
    step = lambda c: (c[0] * z * 1.5 + 1j + c[1], c[1] * 1.01)
    return np.sum(sad.while_loop(lambda c: np.sum(abs(c[0])) < 50, step, (z, 1.0 + 0j), checkpoint=3)[0]).imag


def nested(z: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        grown = sad.while_loop(lambda s: abs(s[0]) < 3, lambda s: (s[0] * (1.2 + 0.3j * x.real) + x, s[1] + 1), (c, 0))
        return grown[0] * 0.4 / (1 + abs(c)), (grown[0], x * 2)

    carry, ys = sad.scan(step, 0.3 + 0.1j, z)
    return np.sum(abs(ys[0]) ** 2) + abs(carry)


def branched(z: Any) -> Any:
    return np.sum(sad.cond(z[0].real > 0, lambda z: z * z, np.conj, z)).imag


def recomputed(z: Any) -> Any:
    return np.sum(sad.checkpoint(lambda z: np.exp(z) * z.conj())(z)).real


def mapped(z: Any) -> Any:
    return np.sum(sad.vmap(lambda a, z: np.vdot(a, z), in_axes=(0, None))(A, z)).real


def mapped_loops(z: Any) -> Any:
    loop = lambda z: sad.while_loop(lambda c: abs(c) < 5, lambda c: c * z + 1j, z * 1j)
    return np.sum(abs(sad.vmap(loop)(2 + z)))


LOOPS = [
    *(scanned, checkpointed, counted, while_small, while_checkpointed, nested),
    *(branched, recomputed, mapped, mapped_loops),
]


@by_mode
@pytest.mark.parametrize("f", LOOPS, ids=lambda f: f.__name__)
def test_control_flow_carries_complex_numbers(f: Callable[[Any], Any], mode: str):
    value, gradient = in_mode(mode, sad.value_and_grad(f))(Z)
    assert_close(value, f(Z))
    assert_close(gradient, slopes(f, Z), 1e-8)
    along = in_mode(mode, lambda z, v: sad.hvp(f, (z,), (v,)))(Z, W)
    assert_close(along, directional(sad.grad(f), [Z], [W], 1e-3), 1e-6)


@by_mode
def test_python_branches_on_complex_values(mode: str):
    f = in_mode(mode, sad.grad(lambda z: abs(z) if z else z.real))
    assert f(0j) == 1
    assert_close(f(3 + 4j), 0.6 - 0.8j)
    with pytest.raises(TypeError, match=r"int\(z.real\)"):
        sad.jit(lambda z: int(z))(1j)


def test_lists_of_traced_complex_numbers_become_arrays():
    f = lambda z: sad.numpy.array([[z[0], 1j], [2.0, z[1].real]])
    assert_same(sad.jit(f)(Z), np.array([[Z[0], 1j], [2.0, Z[1].real]]))
    assert_same(sad.jit(lambda z: sad.numpy.full((2,), z[0]))(Z), np.full(2, Z[0]))


def test_python_numbers_in_a_carry_become_complex():
    carry, _ = sad.scan(lambda c, x: (c * x + 1j, None), 1.0, Z)
    assert_close(carry, ((Z[0] + 1j) * Z[1] + 1j) * Z[2] + 1j)
    assert sad.scan(lambda c, x: (c * x, None), 1j, Z.astype("c8"))[0].dtype == np.complex64


@by_mode
@pytest.mark.parametrize("f", [np.sinc, np.cov, np.corrcoef, np.kron, np.vecdot, np.convolve], ids=lambda f: f.__name__)
def test_further_functions_of_complex_arrays(f: Any, mode: str):
    once = np.sinc if f is np.sinc else lambda z: f(z, W)
    assert_same(in_mode(mode, once)(Z), np.asarray(once(Z)))
    assert_derivatives(in_mode(mode, once), Z)


# -- indexing, sums, systems --------------------------------------------------------------------------------------


def assigned(z: Any) -> Any:
    y = np.zeros(4, complex)
    y[1:] = 1j * z
    y[0] += z[1]
    y[np.array([2, 0])] *= z[:2]
    return np.sum(abs(y) ** 3)


def accumulated(z: Any) -> Any:
    order = np.argsort(z.real)
    return np.sum(abs(np.cumprod(z) + np.cumsum(z)[order])) + np.sum(np.take(z, np.array([2, 2, 0])).imag)


@by_mode
@pytest.mark.parametrize("f", [assigned, accumulated], ids=lambda f: f.__name__)
def test_elements_are_assigned_accumulated_and_reordered(f: Callable[[Any], Any], mode: str):
    value, gradient = in_mode(mode, sad.value_and_grad(f))(Z)
    assert_close(value, f(Z))
    assert_close(gradient, slopes(f, Z), 1e-8)


# -- operations without a rule, and kernels -----------------------------------------------------------------------


@pytest.fixture
def declared(monkeypatch: Any) -> Any:
    """Declares a primitive for one test: twice the operand."""

    def declare(lower: Any) -> Operation:
        monkeypatch.setattr("staged_ad.ir.primitive.PRIMITIVES", {})
        rules = (lambda z: z, lambda z: z * 2, not_linear("twice"), not_linear("twice"), not_linear("twice"))
        return Operation(Primitive("twice", *rules, lower))

    return declare


@pytest.mark.parametrize("lower", [Fold(lambda code, a, b: a, lambda dtype: 0), Kernel(lambda kernel: None)])
def test_an_operation_without_a_rule_for_complex_numbers_is_named(declared: Any, lower: Any):
    twice = declared(lower)
    assert "twice" not in PRIMITIVES
    with pytest.raises(LoweringError, match=r"twice of complex numbers has no machine code.*test_complex_programs.py"):
        sad.jit(lambda z: twice(z))(Z)


@pytest.mark.parametrize("dtype", ["complex128", "complex64"])
def test_a_kernel_gets_complex_numbers_as_numpy_has_them(declared: Any, dtype: str):
    """The code of the kernel sees buffers of complex numbers; each item is one of them."""
    seen: list[ArrayType] = []

    def emit(kernel: Any) -> None:
        (source,), (target,) = kernel.inputs, kernel.outputs
        seen.extend([source.type, target.type])
        part = "double" if dtype == "complex128" else "float"
        pointers = [kernel.element(buffer, kernel.item) for buffer in (source, target)]
        for k in (0, 1):
            first, second = (kernel.value(f"getelementptr {part}, ptr {p}, i64 {k}") for p in pointers)
            number = kernel.value(f"load {part}, ptr {first}")
            kernel.line(f"store {part} {kernel.value(f'fadd {part} {number}, {number}')}, ptr {second}")

    twice = declared(Kernel(emit, items=lambda z: z.size, interleaved=True))
    z = A.astype(dtype)
    assert_same(sad.jit(lambda z: 1j * twice(z * 3))(z), 6j * z)
    assert set(seen) == {ArrayType((3, 3), np.dtype(dtype))}


@by_mode
@pytest.mark.parametrize("n", [*range(1, 10), 17, 4.0, -2, -3, -5])
def test_whole_powers_have_numpys_signs_of_zeros(n: Any, mode: str):
    parts = (0.0, -0.0, 1.0, -1.0, 2.5, -2.5)
    z = np.array([complex(a, b) for a in parts for b in parts if a or b or n > 0])
    found, expected = in_mode(mode, lambda z: z**n)(z), z**n
    np.testing.assert_array_equal(found, expected)
    for part in ("real", "imag"):
        np.testing.assert_array_equal(np.signbit(getattr(found, part)), np.signbit(getattr(expected, part)))
