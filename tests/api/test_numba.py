"""numba_function: compiled functions inside of the user's own Numba code.

Invariant: what Numba code gets is what ``jit`` gives, in any number of threads.
Start at ``gradient``.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import ArgumentError

X = np.array([0.3, -1.0, 2.0])


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@pytest.fixture(scope="module")
def gradient() -> Any:
    return sad.numba_function(sad.jit(sad.grad(rosenbrock)), X)


def test_a_gradient_is_called_in_a_loop_of_numba(gradient: Any):
    @numba.njit
    def descend(x: Any) -> Any:
        for _ in range(3):
            x = x - 1e-3 * gradient(x)
        return x

    expected = X
    for _ in range(3):
        expected = expected - 1e-3 * sad.grad(rosenbrock)(expected)
    np.testing.assert_allclose(descend(X), expected, rtol=1e-13)


def test_threads_of_numba_call_it_at_the_same_time(gradient: Any):
    @numba.njit(parallel=True)
    def rows(xs: Any) -> Any:
        out = np.empty_like(xs)
        for k in numba.prange(xs.shape[0]):
            out[k] = gradient(xs[k])
        return out

    xs = np.random.default_rng(0).uniform(-1, 1, (500, 3))
    np.testing.assert_allclose(rows(xs), sad.vmap(sad.grad(rosenbrock))(xs), rtol=1e-12, atol=1e-12)


def test_large_work_inside_of_a_parallel_loop_stays_in_its_thread():
    a = np.random.default_rng(0).uniform(-1, 1, (2, 300, 300))
    f = sad.numba_function(lambda a: np.sum(np.tanh(np.sin(a) @ a)), a[0])

    @numba.njit(parallel=True)
    def both(a: Any) -> Any:
        out = np.empty(2)
        for k in numba.prange(2):
            out[k] = f(a[k])
        return out

    np.testing.assert_allclose(both(a), [np.sum(np.tanh(np.sin(x) @ x)) for x in a], rtol=1e-11)


def test_scalars_integers_and_several_results():
    def f(x: Any, n: Any, flag: Any) -> Any:
        return np.where(flag, x * n, -x), n + 1, np.ones((2, 3)) * x

    h = sad.numba_function(f, 2.0, np.int32(3), np.True_)
    value, n, ones = h(4.0, np.int32(5), False)
    assert (value, n, ones.tolist()) == (-4.0, 6, [[4.0] * 3] * 2)
    assert h(4, np.int32(5), True)[0] == 20.0  # as Python does, integers are taken for floats
    pair = sad.numba_function(lambda x: (x,), X)
    assert pair(X)[0].tolist() == X.tolist()
    assert pair(X)[0] is not X


def test_complex_arguments_and_results():
    f = sad.numba_function(lambda z, w: (z * w, (z @ z).real), np.ones(2) + 0j, 1j)
    z = np.array([1 + 2j, 3j])
    product, total = f(z, 2j)
    assert product.tolist() == (2j * z).tolist()
    assert total == (z @ z).real


def test_arrays_that_are_not_contiguous_or_read_only_are_accepted(gradient: Any):
    wide = np.asfortranarray(np.stack([X, X, X]))
    np.testing.assert_allclose(gradient(wide[0]), sad.grad(rosenbrock)(X), rtol=1e-13)
    fixed = X.copy()
    fixed.flags.writeable = False
    np.testing.assert_allclose(gradient(fixed), sad.grad(rosenbrock)(X), rtol=1e-13)


def test_loops_of_unknown_length_and_foreign_functions_inside():
    @numba.njit
    def double(x: Any) -> Any:
        if x > 100:
            raise ValueError("too large")
        return 2 * x

    root = lambda a: sad.while_loop(lambda x: abs(x * x - a) > 1e-12, lambda x: (x + a / x) / 2, a)
    f = sad.numba_function(lambda a: sad.numba_call(double, float, sad.grad(root)(a)), 4.0)
    np.testing.assert_allclose(f(9.0), 1 / 3, rtol=1e-10)
    g = sad.numba_function(lambda x: sad.numba_call(double, float, x), 4.0)
    with pytest.raises(RuntimeError, match="jit of the same function raises the exception"):
        g(200.0)


def test_constants_of_the_function_are_found():
    f = sad.numba_function(lambda x: np.arange(3.0) @ x, X)
    assert f(X) == 3.0


def test_another_path_of_python_is_an_error_that_names_the_line():
    def f(x: Any) -> Any:
        return 2 * x if x > 0 else -x

    h = sad.numba_function(f, 1.0)
    assert h(3.0) == 6.0
    with pytest.raises(RuntimeError, match=rf"takes another path .*test_numba.py:{f.__code__.co_firstlineno + 1}"):
        h(-3.0)


def test_wrong_arguments_are_typing_errors_or_say_which_shape(gradient: Any):
    with pytest.raises(numba.TypingError, match=r"argument 0 .*must be an array of type f64\[3\], got array.float32"):
        gradient(X.astype(np.float32))
    with pytest.raises(numba.TypingError, match=r"must be an array of type f64\[3\], got float64"):
        gradient(1.0)
    with pytest.raises(ValueError, match=r"must have shape \(3,\)"):
        gradient(np.ones(4))
    h = sad.numba_function(lambda x: x, 1)
    with pytest.raises(numba.TypingError, match="must be a number of type i64, got float64"):
        h(1.5)


def test_functions_of_nests_are_refused():
    with pytest.raises(ArgumentError, match=r"argument 0 .* must be an array"):
        sad.numba_function(lambda p: p["x"], {"x": 1.0})
    with pytest.raises(ArgumentError, match=r"must return an array, a number, or a tuple of them, got .'x'"):
        sad.numba_function(lambda x: {"x": x}, 1.0)
