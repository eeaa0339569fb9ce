"""bfloat16 of ml_dtypes: arguments of it are read as float32, and all results are float32.

Invariant: what is expected is what float32 arguments give.
Start at ``test_compiled_functions_give_what_they_give_for_float32``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import DTypeError

ml_dtypes = pytest.importorskip("ml_dtypes")
BFLOAT16 = ml_dtypes.bfloat16
X = np.linspace(-3, 3, 36).astype(BFLOAT16)
Y = np.linspace(0.5, 2, 36).astype("f")


def f(x: Any, y: Any) -> Any:
    assert x.dtype == np.float32
    return np.sin(x) * y, np.sum(x), x.reshape(6, 6)[1:, ::2], x


def same(found: Any, wanted: Any) -> None:
    for one, two in zip(found, wanted, strict=True):
        assert one.dtype == two.dtype == np.float32
        np.testing.assert_array_equal(one, two)


def test_compiled_functions_give_what_they_give_for_float32():
    g = sad.jit(f)
    every = np.arange(2**16, dtype=np.uint16).view(BFLOAT16)
    same(sad.jit(lambda x: (x, x * 1))(every), (every.astype("f"), every.astype("f")))
    for x in (X, X[::-1], np.stack([X, X], axis=1)[:, 0], X):
        same(g(x, Y), g(x.astype("f"), Y))
    assert g(X.view(np.uint16).astype("f"), Y)[3][0] > 1e4  # the same bits as another type are other numbers


def test_numbers_are_arguments():
    g = sad.jit(lambda x, a: x * a)
    for a in (BFLOAT16(1.5), np.array(1.5, BFLOAT16)):
        same([g(Y, a)], [Y * np.float32(1.5)])


@pytest.mark.parametrize("compiled", [False, True])
def test_derivatives_and_batches_are_those_of_float32(compiled: bool):
    def every(x: Any) -> Any:
        slope = sad.grad(lambda x: np.sum(x**2 * Y))(x)
        return slope, sad.jvp(np.sin, (x,), (slope,))[1], sad.vmap(np.sum)(x.reshape(6, 6))

    found = (sad.jit(every) if compiled else every)(X)
    for one, two in zip(found, every(X.astype("f")), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, two, rtol=2e-6, atol=1e-6)


def test_constants_and_arguments_within_another_trace_are_read_as_well():
    inner = sad.jit(lambda w, x: w * x)

    def loss(w: Any) -> Any:
        return np.sum(X * w) + np.sum(inner(w, X)) + np.sum(sad.jit(lambda x: x * w[0])(X))

    found = sad.grad(loss)(Y)
    wanted = 2 * X.astype("f")
    wanted[0] += np.sum(X.astype("f"))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_arguments_that_are_not_differentiated_and_states_of_loops_are_read_as_well():
    wide = X.astype("f")
    found = sad.grad(lambda y, x: np.sum(np.sin(x) * y))(Y, X)
    same([found], [np.sin(wide)])
    last, squares = sad.scan(lambda c, x: (c + x, x**2), X[0], X)
    assert (last.dtype, squares.dtype) == (np.float32, np.float32)
    same([squares], [wide**2])
    same([sad.while_loop(lambda x: x[0] < 3, lambda x: x + 1, X)], [wide + 6])


def test_python_branches_on_what_is_read():
    g = sad.jit(lambda x: x + 1 if x[0] > 0 else x - 1)
    for x in (X, -X, X):
        same([g(x)], [x.astype("f") + np.where(x[0] > 0, 1, -1).astype("f")])


def test_the_loop_that_uses_it_reads_its_sixteen_bits():
    lowered = sad.jit(lambda x, y: x * y).lower(np.ones(4000, BFLOAT16), np.ones(4000, "f"))
    loops = lowered.text("loops")
    assert loops.count("for ") == 1
    assert "cast" in loops
    assert str(lowered.text("program")).startswith("{ lambda a:bfloat16[4000] b:f32[4000]")


def test_results_of_bfloat16_are_refused_with_advice():
    with pytest.raises(DTypeError, match=r"bfloat16 .*read as float32.*x.astype\(np.float32\)"):
        sad.jit(lambda x: x.astype(BFLOAT16))(Y)
