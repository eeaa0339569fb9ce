"""pure_callback and numba_call: foreign functions are called where they stand, or an error says why not.

Invariant: eager and compiled code give what the function gives when it is called directly.
Start at ``CALLS``.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import ArgumentError, NotDifferentiableError
from tests.backends import MODES, in_mode

every_mode = pytest.mark.parametrize("mode", MODES)
X = np.array([3.0, -1.0, 2.0])
XS = np.arange(12.0).reshape(4, 3) % 5


def backwards(x: Any) -> Any:
    return np.sort(x)[::-1]


@numba.njit
def sorted_and_sum(x: Any, scale: Any) -> Any:
    if scale < 0:
        raise ValueError("a negative scale")
    return np.sort(x) * scale, x.sum()


@numba.njit
def steps(n: Any) -> Any:
    count = 0
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        count += 1
    return count


@numba.njit("float64(float64)")
def of_numbers(x: Any) -> Any:
    return 2 * x


@numba.njit("float64(float64[:], float64)")
def of_any_layout(x: Any, y: Any) -> Any:
    return x[0] * y


def call_python(x: Any, scale: Any) -> Any:
    return sad.pure_callback(lambda x, s: (np.sort(x) * s, x.sum()), (x, float), x, scale)


def call_numba(x: Any, scale: Any) -> Any:
    return sad.numba_call(sorted_and_sum, (x, float), x, scale)


CALLS = {"pure_callback": call_python, "numba_call": call_numba}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)

# -- results --------------------------------------------------------------------------------------------------------


@every_call
@every_mode
def test_results_are_those_of_the_function_between_other_operations(call: Callable[..., Any], mode: str):
    f = in_mode(mode, lambda x, s: [y + 1 for y in call(2 * x, s)])
    for s in (2.0, 3.0):
        values, total = f(X, s)
        np.testing.assert_allclose(values, np.sort(2 * X) * s + 1)
        np.testing.assert_allclose(total, 2 * X.sum() + 1)


@every_call
@every_mode
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_a_batch_is_a_loop_over_its_lanes(call: Callable[..., Any], mode: str, axes: Any):
    s = np.arange(1.0, 5.0) if axes[1] == 0 else 2.0
    x = XS if axes[0] == 0 else X
    values, totals = in_mode(mode, sad.vmap(call, in_axes=axes))(x, s)
    lanes_x, lanes_s = np.broadcast_to(x, (4, 3)), np.broadcast_to(s, (4,))
    np.testing.assert_allclose(values, np.sort(lanes_x, axis=1) * lanes_s[:, None])
    np.testing.assert_allclose(totals, lanes_x.sum(axis=1))


@every_mode
def test_a_vectorized_function_is_called_once_for_the_whole_batch(mode: str):
    shapes = []

    def f(x: Any, y: Any) -> Any:
        shapes.append((x.shape, y.shape))
        return np.sort(x, axis=-1) + y

    mapped = sad.vmap(lambda x: sad.pure_callback(f, x, x, X, vectorized=True))
    np.testing.assert_allclose(in_mode(mode, mapped)(XS), np.sort(XS, axis=1) + X)
    assert shapes == [((4, 3), (4, 3))]


@every_call
def test_calls_work_in_loops_and_branches(call: Callable[..., Any]):
    f = lambda x: sad.scan(lambda c, _: (call(c, 1.0)[0][::-1] + 1.0, call(c, 1.0)[1]), x, np.zeros(3))
    g = lambda x: sad.cond(x[0] > 0, lambda: call(x, 2.0)[0], lambda: x)
    for h in (f, g):
        for found, expected in zip(sad.jit(h)(X), h(X), strict=True):
            np.testing.assert_allclose(found, expected)


@every_mode
def test_nests_integers_booleans_and_empty_arrays_are_passed_as_they_are(mode: str):
    seen = []

    def f(p: Any, flag: Any, empty: Any) -> Any:
        seen.append((p["n"].dtype, type(flag), empty.shape))
        return {"n": p["n"] + 1, "flag": ~flag, "empty": empty.astype(np.float32)}

    declared = {"n": sad.ShapeDtypeStruct(3, np.int32), "flag": bool, "empty": sad.ShapeDtypeStruct((0, 2), "float32")}
    call = in_mode(mode, lambda *args: sad.pure_callback(f, declared, *args))
    found = call({"n": np.arange(3, dtype=np.int32)}, np.True_, np.zeros((0, 2)))
    assert found["n"].tolist() == [1, 2, 3]
    assert not found["flag"]
    assert found["empty"].shape == (0, 2)
    assert found["empty"].dtype == np.float32
    assert set(seen) == {(np.dtype(np.int32), np.bool_, (0, 2))}


@every_mode
def test_complex_numbers_are_passed_as_they_are(mode: str):
    @numba.njit
    def turned(z: Any) -> Any:
        return z * 1j

    z = XS + 1j * XS[::-1]
    conjugates = lambda z: 2 * sad.pure_callback(np.conj, z, z)
    np.testing.assert_allclose(in_mode(mode, conjugates)(z), 2 * z.conj())
    call = lambda z: sad.numba_call(turned, z, z) + 1
    np.testing.assert_allclose(in_mode(mode, sad.vmap(call))(z), 1j * z + 1)
    np.testing.assert_allclose(in_mode(mode, call)(z[0, 0]), 1j * z[0, 0] + 1)


def test_what_a_callback_keeps_or_changes_is_its_own():
    kept = []

    def f(x: Any) -> Any:
        kept.append(x)
        x += 1.0
        return x

    x = X.copy()
    for mode in MODES:
        assert in_mode(mode, lambda x: sad.pure_callback(f, x, x) * 2)(x).tolist() == ((X + 1) * 2).tolist()
    assert x.tolist() == X.tolist()
    assert [k.tolist() for k in kept] == [(X + 1).tolist()] * 2


def test_many_lanes_of_a_numba_function_run_in_compiled_code():
    n = np.arange(1, 5001)
    found = sad.jit(sad.vmap(lambda n: sad.numba_call(steps, int, n)))(n)
    assert found.tolist() == [steps(k) for k in n]


def test_a_parallel_numba_function_may_be_mapped():
    @numba.njit(parallel=True)
    def total(x: Any) -> Any:
        result = 0.0
        for k in numba.prange(x.size):
            result += x[k]
        return result

    rows = np.arange(3000.0).reshape(1000, 3)
    found = sad.jit(sad.vmap(lambda x: sad.numba_call(total, float, x)))(rows)
    np.testing.assert_allclose(found, rows.sum(axis=1))


def test_a_numba_function_that_makes_arrays_is_compiled_while_another_function_is_traced():
    @numba.njit
    def halves(x: Any) -> Any:
        out = np.zeros(x.size)
        for k in range(x.size):
            out[k] = x[k] / 2 + np.ones(1)[0] + np.array([0.0, 1.0])[0]
        return np.concatenate((np.full(1, 3.0), out))

    found = sad.jit(lambda x: sad.numba_call(halves, np.zeros(4), x))(X)
    assert found.tolist() == [3.0, *(X / 2 + 1)]


FIRST_COMPILATION = """
import numba, numpy as np, staged_ad as sad

@numba.njit
def first(x):
    return np.zeros_like(x) + np.ones(x.size)

@numba.njit
def later(x):
    return np.zeros_like(x) - np.ones(x.size)

print(sad.jit(lambda x: sad.numba_call(first, x, x))(np.zeros(2)), later(np.zeros(2)))
"""


def test_numba_may_compile_for_the_first_time_in_its_process_while_a_function_is_traced():
    found = subprocess.run([sys.executable, "-c", FIRST_COMPILATION], capture_output=True, text=True, check=True)
    assert found.stdout == "[1. 1.] [-1. -1.]\n"


def test_a_vectorized_numba_function_gets_the_whole_batch():
    @numba.njit
    def double(x: Any) -> Any:
        return 2 * x

    call = lambda x: sad.numba_call(double, x, x, vectorized=True)
    np.testing.assert_allclose(sad.jit(sad.vmap(call))(XS), 2 * XS)


def test_a_numba_function_of_fixed_types_takes_what_converts_to_them():
    for mode in MODES:
        assert in_mode(mode, lambda n: sad.numba_call(of_numbers, float, n))(3) == 6.0
        assert in_mode(mode, lambda x: sad.numba_call(of_any_layout, float, x, x[1]))(X) == -3.0


def test_calls_from_several_threads_get_their_own_results_and_exceptions():
    def f(x: Any) -> Any:
        if x[0] % 2:
            raise KeyError(float(x[0]))
        return x + 1

    call = sad.jit(lambda x: sad.pure_callback(f, x, x))
    call(np.zeros(2))
    found: dict[int, Any] = {}

    def work(k: int) -> None:
        for _ in range(50):
            try:
                found[k] = call(np.full(2, float(k)))[0]
            except KeyError as error:
                found[k] = error.args[0]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {k: k if k % 2 else k + 1 for k in range(6)}


# -- errors ---------------------------------------------------------------------------------------------------------


@every_mode
def test_an_exception_reaches_the_caller_with_its_traceback(mode: str):
    def fails(x: Any) -> Any:
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose") as caught:
        in_mode(mode, lambda x: sad.pure_callback(fails, x, 2 * x))(X)
    assert "fails" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


@every_mode
def test_an_exception_of_a_numba_function_reaches_the_caller(mode: str):
    f = in_mode(mode, call_numba)
    f(X, 1.0)
    with pytest.raises(ValueError, match="a negative scale"):
        f(X, -1.0)
    np.testing.assert_allclose(f(X, 1.0)[0], np.sort(X))


def test_an_exception_in_one_lane_of_many_reaches_the_caller():
    @numba.njit
    def f(n: Any) -> Any:
        if n == 4321:
            raise ValueError("that lane")
        return n

    call = sad.jit(sad.vmap(lambda n: sad.numba_call(f, int, n)))
    with pytest.raises(ValueError, match="that lane"):
        call(np.arange(5000))
    assert call(np.arange(4000)).tolist() == list(range(4000))


@every_call
@pytest.mark.parametrize("derivative", [sad.grad, lambda f: lambda x: sad.jvp(f, (x,), (x,))], ids=["grad", "jvp"])
def test_a_derivative_is_refused_and_names_custom_jvp(call: Callable[..., Any], derivative: Any):
    with pytest.raises(NotDifferentiableError, match=r"of .*test_callbacks.py.* has no derivative.*custom_jvp"):
        derivative(lambda x: np.sum(call(x, 1.0)[0]))(X)


@every_mode
def test_integer_results_are_constants_for_derivatives(mode: str):
    f = lambda x: x[0] * sad.pure_callback(lambda x: np.argmax(x), int, x)
    assert in_mode(mode, sad.grad(f))(X[::-1].copy()).tolist() == [2.0, 0.0, 0.0]


@every_mode
def test_a_rule_around_a_call_gives_it_derivatives(mode: str):
    @numba.njit
    def cube(x: Any) -> Any:
        return x**3

    @sad.custom_jvp
    def f(x: Any) -> Any:
        return sad.numba_call(cube, x, x)

    @f.defjvp
    def rule(primals: Any, tangents: Any) -> Any:
        return f(*primals), 3 * primals[0] ** 2 * tangents[0]

    total = lambda x: np.sum(f(x))
    np.testing.assert_allclose(in_mode(mode, sad.grad(total))(X), 3 * X**2)
    np.testing.assert_allclose(in_mode(mode, sad.hessian(total))(X), np.diag(6 * X))
    sad.check_derivatives(f, (X,))


# a call that is wrong, and words of the message
WRONG: list[tuple[Callable[[Any], Any], list[str]]] = [
    (lambda x: sad.pure_callback(3.0, x, x), ["pure_callback: f must be a function"]),
    (lambda x: sad.pure_callback(backwards, "f8", x), ["result_shape_dtypes must have a shape", "ShapeDtypeStruct("]),
    (lambda x: sad.pure_callback(backwards, (), x), ["it must have a result"]),
    (lambda x: sad.pure_callback(backwards, float, x), ["result is f64[3], but was declared as f64"]),
    (lambda x: sad.pure_callback(backwards, np.zeros(3, "f4"), x), ["result is f64[3], but was declared as f32[3]"]),
    (lambda x: sad.pure_callback(backwards, (x, x), x), ["structure differs", "declared as (*, *)"]),
    (lambda x: sad.pure_callback(lambda x: "s", x, x), ["result must be an array, a number"]),
    (lambda x: sad.pure_callback(backwards, x, x, "fast"), ["args[1] must be an array, a number"]),
    (lambda x: sad.numba_call(backwards, x, x), ["must be compiled by numba.njit; pure_callback"]),
    (lambda x: sad.numba_call(sorted_and_sum, (x, float), x[0], 1.0), ["cannot be compiled for (float64, float64)"]),
    (lambda x: sad.numba_call(steps, x, x, x), ["cannot be compiled for (array(float64, 1d, C), array("]),
    (lambda x: sad.numba_call(of_numbers, int, x), ["cannot be compiled for (array(float64, 1d, C)): it has"]),
    (lambda x: sad.numba_call(sorted_and_sum, x, x, 1.0), ["returns array(float64, 1d, C), float64", "as f64[3]"]),
    (lambda x: sad.numba_call(sorted_and_sum, (x, int), x, 1.0), ["returns array(float64, 1d, C), float64", "i64"]),
    (lambda x: sad.numba_call(sorted_and_sum, (x[:2], float), x, 1.0), ["result 0 is f64[3], but was declared as"]),
    (lambda x: sad.numba_call(steps, int, {"n": x}), ["argument 0 must be an array"]),
]  # fmt: skip


@every_mode
@pytest.mark.parametrize(("call", "words"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_call_says_what_is_wrong(call: Callable[[Any], Any], words: list[str], mode: str):
    with pytest.raises(ArgumentError) as caught:
        in_mode(mode, call)(X)
    for word in words:
        assert re.search(re.escape(word), str(caught.value)), str(caught.value)


@pytest.mark.parametrize("transform", [lambda f: f, sad.jit, lambda f: sad.jit(lambda x: sad.vmap(f)(x[None])[0])])
def test_numba_functions_change_copies_of_their_arguments(transform: Any):
    @numba.njit  # type: ignore[untyped-decorator]  # Numba has no types
    def spoil(x: Any) -> Any:
        x[0] = 99.0
        return x.sum()

    x = np.ones(4)
    assert transform(lambda x: sad.numba_call(spoil, float, x))(x) == 102.0
    np.testing.assert_array_equal(x, 1)
