"""evaluate: results are fresh, inputs are left alone, NumPy's warnings stay silent.

Invariant: these hold for the compiled backend as well.
Start at ``test_results_are_fresh_and_inputs_are_left_alone``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged_ad.ir import type_of
from staged_ad.tracing import trace_flat
from tests.backends import BACKENDS, run
from tests.numerics import assert_same

every_backend = pytest.mark.parametrize("backend", BACKENDS)

FUNCTIONS: dict[str, Callable[[Any], list[Any]]] = {
    "input": lambda x: [x],
    "input twice": lambda x: [x, x],
    "result twice": lambda x: [y := np.sin(x), y],
    "view": lambda x: [x.T, x[::-1], x[1:], x.reshape(-1), x[0], np.broadcast_to(x, (2, *x.shape))],
    "view of a result": lambda x: [y := x + 1, y.T, y[0], y[:, ::-1]],
    "constant": lambda x: [np.zeros_like(x), np.ones_like(x) + x * 0, x],
    "stop_gradient": lambda x: [x.astype(float), x.copy(), np.asarray(x.shape)],
    "where": lambda x: [np.where(x > 0, x, x)],
    "concatenate": lambda x: [np.concatenate([x]), np.concatenate([x, x])],
}


@every_backend
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("layout", ["C", "F", "strided", "reversed", "read-only"])
def test_results_are_fresh_and_inputs_are_left_alone(name: str, layout: str, backend: str):
    x = np.arange(12.0).reshape(3, 4) - 5
    x = {
        "C": lambda: x,
        "F": lambda: np.asfortranarray(x),
        "strided": lambda: np.repeat(x, 2, axis=1)[:, ::2],
        "reversed": lambda: x[::-1, ::-1],
        "read-only": lambda: np.broadcast_to(x[0], (3, 4)),
    }[layout]()
    before = x.copy()
    expected = FUNCTIONS[name](x)
    program = trace_flat(FUNCTIONS[name], [type_of(x)], name)[0]
    results = run(backend, program, x)
    for found, wanted in zip(results, expected, strict=True):
        assert_same(found, wanted)
    arrays = [r for r in results if isinstance(r, np.ndarray)]
    for k, array in enumerate(arrays):
        assert array.flags.writeable
        assert not np.shares_memory(array, x)
        assert not any(np.shares_memory(array, other) for other in arrays[:k])
        array[...] = -99
    np.testing.assert_array_equal(x, before)
    for found, wanted in zip(run(backend, program, x), expected, strict=True):  # constants were not harmed either
        assert_same(found, wanted)


@every_backend
def test_constants_in_results_are_copies(backend: str):
    constant = np.arange(3.0)
    program = trace_flat(lambda x: [constant, np.full(3, 2.0), x], [type_of(constant)], "f")[0]
    first = run(backend, program, constant)
    for array in first:
        array[:] = 7
    for found, expected in zip(
        run(backend, program, constant), [np.arange(3.0), np.full(3, 2.0), np.arange(3.0)], strict=True
    ):
        assert_same(found, expected)


@every_backend
@given(x=st.floats(-10, 10))
def test_results_without_dimensions_are_numpy_scalars(backend: str, x: float):
    program = trace_flat(lambda x: [x, np.sin(x), x > 0, x.astype(int)], [type_of(np.float64(x))], "f")[0]
    found = run(backend, program, x)
    assert [type(value) for value in found] == [np.float64, np.float64, np.bool_, np.int64]


@every_backend
def test_inputs_of_another_byte_order_are_read_as_numbers(backend: str):
    program = trace_flat(lambda x: [x * 2], [type_of(np.zeros(3))], "f")[0]
    assert_same(run(backend, program, np.arange(3, dtype=">f8"))[0], np.arange(3.0) * 2)


@every_backend
def test_floating_point_warnings_are_silent(backend: str):
    program = trace_flat(lambda x: [1 / x, np.log(x), np.exp(x * 1e9), x - x / x], [type_of(np.zeros(2))], "f")[0]
    assert_same(run(backend, program, np.array([0.0, 1.0]))[0], np.array([np.inf, 1.0]))


@every_backend
def test_a_program_without_inputs_or_equations_runs(backend: str):
    program = trace_flat(lambda: [np.float64(2.0), np.arange(3)], [], "f")[0]
    found = run(backend, program)
    assert_same(found[0], np.float64(2.0))
    assert_same(found[1], np.arange(3))


def test_a_wrong_number_of_arrays_is_refused():
    program = trace_flat(lambda x: [x], [type_of(1.0)], "f")[0]
    with pytest.raises(ValueError, match="argument"):
        run("evaluate", program)
