"""The rules of every primitive, derived from its example rows: value, derivatives, transpose, batching, text.

Invariant: each check is one test over all rows; a primitive without a row fails the suite.
Start at ``test_every_primitive_has_an_example``; the rows are in examples.py, and test_compiled_rules.py compiles them.
"""

from __future__ import annotations

import itertools
import pickle
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from staged_ad.ir import PRIMITIVES, Linear, Program, Var, evaluate, type_of, verify
from staged_ad.ir.lowerings import Branch, Check, Entries, Inlined, Loop, Sweep
from staged_ad.primitives.arithmetic import mul
from staged_ad.primitives.complexes import real
from staged_ad.primitives.makers import plus
from staged_ad.primitives.reductions import reduce_sum
from staged_ad.tracing import building
from staged_ad.tracing.trace import inline
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.partial_eval import partial_eval
from staged_ad.transforms.transpose import transpose_program
from staged_ad.transforms.vjp import linearize_program, value_and_grad_program, vjp_program
from staged_ad.transforms.vmap import vmap_program
from tests.backends import run
from tests.numerics import assert_close, assert_same, directional, inner, precision
from tests.primitives.examples import DIFFERENTIABLE, LINEAR, ROWS
from tests.primitives.row import Row

FLOATING = [row for row in ROWS if any(row.floating)]

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
every_floating_row = pytest.mark.parametrize("row", FLOATING, ids=lambda row: row.id)
every_differentiable_row = pytest.mark.parametrize("row", DIFFERENTIABLE, ids=lambda row: row.id)


def randomly(row: Row, values: Sequence[Any], salt: str = "") -> list[Any]:
    """Random arrays of the types of `values`, the same in every run."""
    rng = np.random.default_rng(zlib.crc32((row.id + salt).encode()))
    found = []
    for v in map(np.asarray, values):
        x = rng.uniform(-1, 1, v.shape)
        x = x + 1j * rng.uniform(-1, 1, v.shape) if v.dtype.kind == "c" else x
        found.append(np.asarray(x).astype(v.dtype)[()])
    return found


def directions(row: Row) -> list[Any]:
    """A direction for each floating-point argument, None for the others."""
    moving = zip(randomly(row, row.arguments), row.floating, strict=True)
    return [row.direction(v) if flag else None for v, flag in moving]


def of_type(row: Row, program: Program, outputs: bool, salt: str) -> list[Any]:
    """Random arrays for the floating-point inputs or outputs of a program."""
    types = program.output_types if outputs else program.input_types
    return randomly(row, [np.zeros(t.shape, t.dtype) for t in types if t.inexact], salt)


def test_every_primitive_has_an_example():
    elsewhere = (
        Branch | Check | Entries | Inlined | Loop | Sweep
    )  # they hold programs or effects: tests/control, tests/tracing
    here = {name for name, primitive in PRIMITIVES.items() if not isinstance(primitive.lower, elsewhere)}
    after_transforms = {"interleaved", "outside"}  # tests/test_complex_programs.py, tests/cuda
    foreign = {"pure_callback", "numba_call"}  # tests/api/test_callbacks.py
    assert here - {row.primitive for row in ROWS} == after_transforms | foreign


def test_every_example_has_a_name_of_its_own():
    names = [row.id for row in ROWS]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@every_row
def test_value_dtype_and_shape_are_numpys(row: Row):
    assert_value(row, "evaluate")


def assert_value(row: Row, backend: str) -> None:
    found = run(backend, row.program, *row.arguments)
    assert len(found) == len(row.results)
    for value, expected, type in zip(found, row.results, row.program.output_types, strict=True):
        assert_same(value, expected)
        assert (np.shape(value), np.asarray(value).dtype) == (type.shape, type.dtype)
        assert isinstance(value, np.ndarray if type.shape else np.generic)


@every_differentiable_row
def test_jvp_is_the_limit_of_finite_differences(row: Row):
    x_dots = directions(row)
    program = jvp_program(row.program, row.floating)
    results = run("evaluate", program, *row.arguments, *(v for v in x_dots if v is not None))
    count = len(row.program.outputs)
    for k in range(count):
        expected = directional(lambda *xs, k=k: evaluate(row.program, *xs)[k], row.arguments, x_dots)
        assert_close(results[count + k], expected, 1e-10)
        assert_same(results[k], row.results[k])


@every_row
def test_tangents_and_cotangents_have_the_types_of_their_values(row: Row):
    program = row.program
    tangents = jvp_program(program, row.floating)
    floats = [t.strong() for t in program.output_types if t.inexact]
    assert verify(tangents).output_types == [*program.output_types, *floats]
    pullback = vjp_program(program, row.floating)
    verify(pullback.forward)
    moving = [type_of(x) for x, flag in zip(row.arguments, row.floating, strict=True) if flag]
    assert verify(pullback.backward).output_types == moving


@pytest.mark.parametrize(("row", "operands"), LINEAR, ids=lambda v: v.id if isinstance(v, Row) else str(v))
def test_transpose_is_the_adjoint(row: Row, operands: tuple[int, ...]):
    flags = [k in operands for k in range(len(row.arguments))]
    xs = [
        new if flag else old for new, old, flag in zip(randomly(row, row.arguments), row.arguments, flags, strict=True)
    ]
    y_bars = of_type(row, row.program, True, "cotangent")
    transposed = transpose_program(row.program, flags)
    x_bars = run("evaluate", transposed, *(x for x, flag in zip(xs, flags, strict=True) if not flag), *y_bars)
    at_zero = [np.zeros_like(x) if flag else x for x, flag in zip(xs, flags, strict=True)]
    ys = [
        y - y_0
        for y, y_0 in zip(run("evaluate", row.program, *xs), run("evaluate", row.program, *at_zero), strict=True)
    ]
    moved = [x for x, flag in zip(xs, flags, strict=True) if flag]
    assert [type_of(x_bar) for x_bar in x_bars] == [type_of(x) for x in moved]
    assert_close(inner(moved, x_bars), inner(ys, y_bars), 20 * precision(*xs, *ys))


@pytest.mark.parametrize("row", [row for row in FLOATING if row.smooth], ids=lambda row: row.id)  # finite partials
def test_transpose_of_the_linearised_program_is_the_adjoint(row: Row):
    split = linearize_program(row.program, row.floating)
    residuals = run("evaluate", split.known, *row.arguments)[len(row.program.outputs) :]
    x_dots = randomly(row, [x for x, flag in zip(row.arguments, row.floating, strict=True) if flag])
    y_dots = run("evaluate", split.unknown, *residuals, *x_dots)
    y_bars = randomly(row, y_dots, "cotangent")
    pullback = vjp_program(row.program, row.floating)
    x_bars = run("evaluate", pullback.backward, *residuals, *y_bars)
    assert_close(inner(x_dots, x_bars), inner(y_dots, y_bars), 20 * precision(*x_dots, *y_bars))


@every_floating_row
def test_no_rule_puts_a_nonlinear_equation_on_tangents(row: Row):
    """What depends on tangents must be transposable; transposing says so where it is not."""
    split = partial_eval(
        jvp_program(row.program, row.floating), [True] * len(row.arguments) + [False] * sum(row.floating)
    )
    tangents = set(split.unknown.inputs[split.residuals :])
    for equation in split.unknown.equations:
        moving = [x for x in equation.inputs if isinstance(x, Var) and x in tangents]
        assert moving or not equation.inputs or any(isinstance(x, Var) for x in equation.inputs)
        tangents.update(equation.outputs)
    transpose_program(split.unknown, [False] * split.residuals + [True] * sum(row.floating))


def batches(row: Row) -> list[tuple[bool, ...]]:
    """The subsets of operands that a batch may have, but for none of them."""
    return list(itertools.product([False, True], repeat=len(row.arguments)))[1:]


@every_row
def test_vmap_is_a_loop_for_every_subset_of_batched_operands(row: Row):
    for batched in batches(row):
        xs = [row.stack(x) if flag else x for x, flag in zip(row.arguments, batched, strict=True)]
        program, flags = vmap_program(row.program, batched, 3)
        found = run("evaluate", program, *xs)
        slices = [
            evaluate(row.program, *(x[k] if flag else x for x, flag in zip(xs, batched, strict=True))) for k in range(3)
        ]
        for k, (value, flag) in enumerate(zip(found, flags, strict=True)):
            assert_same(value, np.stack([piece[k] for piece in slices]) if flag else slices[0][k])


@every_differentiable_row
def test_vmap_of_the_linearised_program_and_of_its_transpose_is_a_loop(row: Row):
    split = linearize_program(row.program, row.floating)
    residuals = evaluate(split.known, *row.arguments)[len(row.program.outputs) :]
    pullback = vjp_program(row.program, row.floating)
    for program in (split.unknown, pullback.backward):
        batched = [k >= len(residuals) for k in range(len(program.inputs))]
        moving = randomly(row, [np.zeros((3, *v.type.shape), v.type.dtype) for v in program.inputs[len(residuals) :]])
        mapped, flags = vmap_program(program, batched, 3)
        found = run("evaluate", mapped, *residuals, *moving)
        slices = [evaluate(program, *residuals, *(x[k] for x in moving)) for k in range(3)]
        for k, (value, flag) in enumerate(zip(found, flags, strict=True)):
            assert_close(value, np.stack([piece[k] for piece in slices]) if flag else slices[0][k])


def weighted(row: Row, weights: Sequence[Any]) -> Program:
    """``x -> <weights, y>``; of complex numbers the real part of that."""
    with building() as trace:
        xs = trace.add_inputs(row.program.input_types)
        total = None
        for y, w in zip(inline(trace, row.program, xs), weights, strict=True):
            product = reduce_sum(mul(y, w), axes=tuple(range(y.ndim)))
            total = plus(total, real(product) if product.type.is_complex else product)
        return trace.finish([total])[0]


def gradient_of(scalar: Program, active: Sequence[bool]) -> Program:
    whole = value_and_grad_program(scalar, active)
    return Program(whole.inputs, whole.equations, whole.outputs[1:])


def slope_of(scalar: Program, active: Sequence[bool]) -> Program:
    """``(x, x_dot) -> y_dot`` of a program of one result."""
    whole = jvp_program(scalar, active)
    return Program(whole.inputs, whole.equations, whole.outputs[1:])


@every_differentiable_row
def test_second_derivatives_agree_in_all_orders_of_the_modes(row: Row):
    active = row.floating
    x_dots = directions(row)
    moving = [v for v in x_dots if v is not None]
    scalar = weighted(row, of_type(row, row.program, True, "weights"))
    gradient = gradient_of(scalar, active)
    expected = [
        directional(lambda *xs, k=k: evaluate(gradient, *xs)[k], row.arguments, x_dots) for k in range(len(moving))
    ]

    forward_over_reverse = run("evaluate", jvp_program(gradient, active), *row.arguments, *moving)[len(moving) :]

    reverse_over_forward = value_and_grad_program(slope_of(scalar, active), [*active, *[False] * len(moving)])
    reverse_of_slope = run("evaluate", reverse_over_forward, *row.arguments, *moving)[1:]

    pullback = vjp_program(gradient, active)
    residuals = run("evaluate", pullback.forward, *row.arguments)[len(moving) :]
    reverse_over_reverse = run("evaluate", pullback.backward, *residuals, *moving)  # the Hessian is symmetric

    for found in (forward_over_reverse, reverse_of_slope, reverse_over_reverse):
        for value, wanted in zip(found, expected, strict=True):
            assert_close(value, wanted, 1e-9)


@every_row
def test_a_program_survives_pickling(row: Row):
    again = pickle.loads(pickle.dumps(row.program))
    assert again == row.program
    assert again.fingerprint == row.program.fingerprint
    assert str(again) == str(row.program)
    for found, expected in zip(verify(again) and evaluate(again, *row.arguments), row.results, strict=True):
        assert_same(found, expected)


@every_row
def test_the_text_of_a_program_shows_its_types_and_its_primitive(row: Row):
    first, equation, last = str(row.program).split("\n\n")[0].splitlines()
    assert (
        first
        == "{ lambda "
        + " ".join(f"{n}:{type_of(x)}" for n, x in zip("abcdefgh", row.arguments, strict=False))
        + " . let"
    )
    left, right = equation.strip().split(" = ")
    assert [part.split(":")[1] for part in left.split()] == list(map(str, row.program.output_types))
    assert right.split("[")[0].split()[0] == row.primitive
    assert last == f"  in ({', '.join(part.split(':')[0] for part in left.split())}) }}"


@pytest.mark.parametrize(
    "name", sorted({row.primitive for row in ROWS} - {row.primitive for row, _ in LINEAR} - {"call"})
)
def test_transposing_what_is_not_linear_says_so(name: str):
    primitive = PRIMITIVES[name]
    row = next(row for row in ROWS if row.primitive == name)
    with pytest.raises(TypeError, match=r"not linear|not differentiable"):
        primitive.transpose(0.0, [Linear(type_of(x)) for x in row.arguments], **row.params)


def test_stop_gradient_has_derivative_zero():
    row = next(row for row in ROWS if row.primitive == "stop_gradient" and row.arguments[0].dtype == float)
    _, y_dot = evaluate(jvp_program(row.program, [True]), *row.arguments, np.ones(3))
    np.testing.assert_array_equal(y_dot, np.zeros(3))
