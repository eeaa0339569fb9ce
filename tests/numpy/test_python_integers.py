"""Python integers that are traced: what Python makes of them, or an error that says so.

Invariant: no result wraps around. Start at ``test_results_are_exact_or_refused``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.errors import IntegerDivisionError, OutOfRangeError

OPERATORS: dict[Callable[..., Any], Any] = {
    f: sad.jit(f) for f in (operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod)
}
COUNTED: dict[Callable[..., Any], Any] = {f: sad.jit(f) for f in (operator.pow, operator.lshift)}
ALONE: dict[Callable[..., Any], Any] = {f: sad.jit(f) for f in (operator.neg, abs, lambda n: n**3, lambda n: 3 - n)}
SMALLEST, LARGEST = -(2**63), 2**63 - 1

edges = st.sampled_from([SMALLEST, LARGEST, 2**32, -(2**31), 2**53 + 1, 3037000499, 3037000500, 0, 1, -1])
integers = st.one_of(edges, st.integers(SMALLEST, LARGEST), st.integers(-9, 9))


def agree(f: Callable[..., Any], compiled: Any, *numbers: int) -> None:
    try:
        expected = f(*numbers)
    except ZeroDivisionError:
        with pytest.raises(IntegerDivisionError, match="modulo by zero"):
            compiled(*numbers)
        return
    if SMALLEST <= expected <= LARGEST:
        assert compiled(*numbers) == expected
    else:
        with pytest.raises(OutOfRangeError, match="does not fit into int64"):
            compiled(*numbers)


@given(integers, integers)
@example(SMALLEST, -1)
@example(3037000499, 3037000500)
@example(2**62, 2)
def test_results_are_exact_or_refused(x: int, y: int) -> None:
    for f, compiled in OPERATORS.items():
        agree(f, compiled, x, y)


@given(integers, st.integers(0, 63))
@example(-2, 63)
@example(2, 63)
@example(LARGEST, 1)
def test_powers_and_shifts_are_exact_or_refused(x: int, y: int) -> None:
    for f, compiled in COUNTED.items():
        agree(f, compiled, x, y)


@given(integers)
@example(SMALLEST)
@example(2097151)
@example(2097152)
def test_functions_of_one_integer_are_exact_or_refused(x: int) -> None:
    for f, compiled in ALONE.items():
        agree(f, compiled, x)


def binomial(x: Any, n: int, k: int) -> Any:
    r = 1
    for i in range(k):
        r = r * (n - i) // (i + 1)
    return x * r


def test_the_error_names_the_line_that_overflows() -> None:
    f = sad.jit(binomial)
    assert f(1.0, 30, 4) == 27405
    with pytest.raises(OutOfRangeError, match=f"{__file__}:{binomial.__code__.co_firstlineno + 3}"):
        f(1.0, 80, 35)


def test_factors_in_derivatives_do_not_wrap_around() -> None:
    for transformed in (sad.grad(lambda x, n: x * (n * n)), sad.grad(lambda x, n: x / 10**n)):
        f = sad.jit(transformed)
        assert f(2.0, 3) == transformed(2.0, 3)
        with pytest.raises(OutOfRangeError, match=r"float\(n\)"):
            f(1.0, 2**40)


def test_a_path_that_overflows_raises_while_it_is_traced() -> None:
    f = sad.jit(lambda x, n: x if n * n > 7 else -x)
    assert (f(1.0, 2), f(1.0, 3)) == (-1.0, 1.0)
    with pytest.raises(OutOfRangeError):
        f(1.0, 2**40)


def test_division_by_the_integer_zero_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        sad.jit(lambda n: n // 0)(3)
    assert np.isinf(sad.jit(lambda x, n: x / n)(1.0, 0))  # true division is that of floating-point numbers


def test_bodies_of_loops_compute_in_int64() -> None:
    f = lambda n: sad.fori_loop(0, 3, lambda k, product: product * n, 1)
    assert sad.jit(f)(2**30) == f(2**30) == 0


@pytest.mark.parametrize("number", [0, 7, LARGEST, LARGEST + 1, 2**64 - 1])
def test_unsigned_integers_become_pythons_where_int64_holds_them(number: int) -> None:
    halves = sad.jit(lambda x: x.item() + 0.5)
    elements = sad.jit(lambda x: np.vectorize(lambda t: t + 0.5)(x))
    x = np.array(number, np.uint64)
    if number > LARGEST:
        for compiled, given in ((halves, x), (elements, np.array([3, number], np.uint64))):
            with pytest.raises(OutOfRangeError, match="does not fit into int64"):
                compiled(given)
        return
    assert halves(x) == number + 0.5
    assert elements(np.array([3, number], np.uint64)).tolist() == [3.5, number + 0.5]
