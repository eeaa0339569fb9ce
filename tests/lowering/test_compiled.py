"""Compiled code against NumPy where something once went wrong.

Invariant: each test is the smallest program that showed a fault.
Start anywhere.
"""

import copy
import os
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from scipy import special

import staged_ad as sad


def test_a_filled_constant_reaches_blas_with_all_its_elements() -> None:
    x = np.ones((64, 64))
    np.testing.assert_array_equal(sad.jit(sad.grad(lambda x, y: np.sum(x @ y)))(x, x), 64.0)


def test_a_filled_constant_may_be_reshaped() -> None:
    f = sad.jit(lambda a: np.reshape(np.argmin(a[None], axis=0), (5, 9, 17)))
    np.testing.assert_array_equal(f(np.zeros((3, 255))), 0)


def test_an_expression_has_the_same_bits_in_every_loop() -> None:
    def centred(h: Any) -> Any:
        return h - np.max(h, axis=-1, keepdims=True)

    f = sad.grad(lambda x: np.sum(centred(centred(x * 0.1)) ** 2))
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(sad.jit(f)(x), f(x), rtol=1e-12)


def test_a_difference_of_equal_products_is_zero() -> None:
    x = np.random.default_rng(0).normal(size=1000)
    np.testing.assert_array_equal(sad.jit(lambda a, b: a * a - b * b)(x, x), 0.0)


def test_integer_powers_with_one_constant_operand() -> None:
    n = np.arange(5)
    np.testing.assert_array_equal(sad.jit(lambda n: 2**n)(n), 2**n)
    np.testing.assert_array_equal(sad.jit(lambda n: n ** np.int64(3))(n), n**3)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_long_bodies_with_masks_and_sums(dtype: Any) -> None:
    def f(x: Any) -> Any:
        y = x
        for k in range(400):
            y = np.where(y > k % 5, y * dtype(0.5) - dtype(0.1), y * dtype(0.25) + dtype(1))
        return np.sum(y, axis=0), np.sin(y[:, ::2])

    x = np.random.default_rng(0).normal(size=(100, 7)).astype(dtype)
    for found, expected in zip(sad.jit(f)(x), f(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype is np.float32 else 1e-13)


def test_a_mapped_function_may_return_a_constant() -> None:
    x = np.arange(3.0)
    np.testing.assert_array_equal(sad.jit(sad.vmap(lambda x: np.float64(3.0)))(x), [3, 3, 3])
    first, second = sad.jit(sad.vmap(sad.grad(lambda x, y: x * x, (0, 1))))(x, x)
    np.testing.assert_array_equal(first, 2 * x)
    np.testing.assert_array_equal(second, 0 * x)


def test_arrays_made_of_python_numbers_are_not_weak() -> None:
    x = np.ones(3, np.float32)
    assert sad.jit(lambda x: np.where(x > 1, 1.0, 0.0) * x)(x).dtype == np.float64


def test_equal_static_arguments_of_different_type_are_different() -> None:
    f = sad.jit(lambda x, n: x * n / (2 if isinstance(n, bool) else 1), static_argnums=1)
    assert (f(1.0, 1), f(1.0, True)) == (1.0, 0.5)


def test_a_static_name_may_be_passed_by_position() -> None:
    assert len(sad.jit(lambda x, n: [x] * n, static_argnames="n")(2.0, 3)) == 3


def test_jitted_functions_can_be_copied_and_pickled() -> None:
    f = sad.jit(np.sin)
    assert copy.deepcopy(f)(1.0) == f(1.0)
    assert pickle.loads(pickle.dumps(f))(1.0) == f(1.0)


def test_jacobians_may_be_written_to() -> None:
    hessian = sad.hessian(np.sum)(np.ones(2))
    hessian += np.eye(2)
    np.testing.assert_array_equal(hessian, np.eye(2))


def test_two_functions_that_call_each_other_compile_from_two_threads() -> None:
    even: Any = sad.jit(lambda x, n: x if n == 0 else odd(x, n - 1), static_argnums=1)
    odd: Any = sad.jit(lambda x, n: -x if n == 0 else even(x, n - 1), static_argnums=1)
    threads = [threading.Thread(target=f, args=(np.ones(3), n)) for n in (4, 5) for f in (even, odd)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_others_compile_can_compile() -> None:
    stop = threading.Event()

    def work() -> None:
        n = 1
        while not stop.is_set():
            n += 1
            sad.jit(lambda x: np.sin(x) + 1)(np.ones(n))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for n in range(5):
            child = os.fork()
            if child == 0:
                right = sad.jit(lambda x: np.sum(np.exp(x)))(np.zeros(1000 + n)) == 1000 + n
                os._exit(0 if right else 1)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_functions_are_not_called_behind_the_end_of_an_array():
    """SciPy's hyp1f1 never ends at inf, which -log(0) is in lanes without an element."""
    x = np.linspace(2.0, 3.0, 7)
    np.testing.assert_allclose(
        sad.jit(lambda x: special.hyp1f1(2.0, 3.0, -np.log(x)))(x), special.hyp1f1(2.0, 3.0, -np.log(x))
    )


def wandering(i: Any) -> Any:
    for k in range(40):
        i = (i * (k + 3) + k) % 41
    return i


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (2,)])
def test_an_index_from_a_long_expression_is_checked(shape: tuple[int, ...]) -> None:
    values, start = np.arange(41.0), np.full(shape, 3)
    for f in (
        lambda b, i: b[wandering(i)],
        lambda b, i: sad.grad(lambda b: np.sum(b[wandering(i)] ** 2))(b),
        lambda b, i: sad.scan(lambda c, x: (c + np.sum(x[wandering(i)]), None), 0.0, b[None])[0],
    ):
        np.testing.assert_array_equal(sad.jit(f)(values, start), f(values, start))
