"""What the rules of every primitive give, compiled: equal to what the same programs give with NumPy.

The derivatives and batches of a row are one program with common inputs, compiled once: what they share is computed
once, as it is where a user takes a value and its derivatives.

Invariant: that programs are right with NumPy is up to test_rules.py, which makes the same ones.
Start at ``test_compiled_derivatives_and_batches_are_those_of_numpy``; a variant names itself where it fails.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from staged_ad.ir import Program, evaluate
from staged_ad.tracing import building
from staged_ad.tracing.trace import inline
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.transpose import transpose_program
from staged_ad.transforms.vjp import linearize_program, value_and_grad_program, vjp_program
from staged_ad.transforms.vmap import vmap_program
from tests.backends import run
from tests.numerics import assert_same, precision
from tests.primitives.examples import LINEAR
from tests.primitives.row import Row
from tests.primitives.test_rules import (
    assert_value,
    batches,
    directions,
    every_row,
    gradient_of,
    of_type,
    randomly,
    slope_of,
    weighted,
)


class Variant(NamedTuple):
    """A program made by rules, and arguments to call it on."""

    name: str
    program: Program
    arguments: list[Any]
    tolerance: float


def composed(first: Program, second: Program, results: int) -> Program:
    """The second program on what the first gives after its `results`, and on inputs of its own."""
    with building() as trace:
        xs = trace.add_inputs(first.input_types)
        residuals = inline(trace, first, xs)[results:]
        rest = trace.add_inputs(second.input_types[len(residuals) :])
        return trace.finish(inline(trace, second, [*residuals, *rest]))[0]


def transposed(row: Row) -> Iterator[Variant]:
    for operands in (operands for other, operands in LINEAR if other is row):
        flags = [k in operands for k in range(len(row.arguments))]
        y_bars = of_type(row, row.program, True, "cotangent")
        rest = [x for x, flag in zip(row.arguments, flags, strict=True) if not flag]
        program = transpose_program(row.program, flags)
        yield Variant(f"transpose {operands}", program, [*rest, *y_bars], 20 * precision(*rest, *y_bars))


def linearised(row: Row, x_dots: list[Any]) -> Iterator[Variant]:
    """The linearised program and its transpose; batches of both."""
    if not (row.smooth and any(row.floating)):
        return
    split, pullback = linearize_program(row.program, row.floating), vjp_program(row.program, row.floating)
    y_bars = of_type(row, row.program, True, "cotangent")
    tolerance = 20 * precision(*x_dots, *y_bars)
    for name, program, moving in (("linearised", split.unknown, x_dots), ("pullback", pullback.backward, y_bars)):
        whole = composed(split.known, program, len(row.program.outputs))
        yield Variant(name, whole, [*row.arguments, *moving], tolerance)
        if row.differentiable:
            batched = [False] * (len(program.inputs) - len(moving)) + [True] * len(moving)
            mapped = composed(split.known, vmap_program(program, batched, 3)[0], len(row.program.outputs))
            stacks = randomly(row, [np.stack([v] * 3) for v in moving], "batch")
            yield Variant(f"batch of {name}", mapped, [*row.arguments, *stacks], tolerance)


def higher(row: Row, x_dots: list[Any]) -> Iterator[Variant]:
    """Derivatives forward, and second ones in all orders of the modes."""
    if not row.differentiable:
        return
    yield Variant("jvp", jvp_program(row.program, row.floating), [*row.arguments, *x_dots], 1e-10)
    scalar = weighted(row, of_type(row, row.program, True, "weights"))
    gradient = gradient_of(scalar, row.floating)
    slope = value_and_grad_program(slope_of(scalar, row.floating), [*row.floating, *[False] * len(x_dots)])
    pullback = vjp_program(gradient, row.floating)
    for name, program in (
        ("forward over reverse", jvp_program(gradient, row.floating)),
        ("reverse over forward", slope),
        ("reverse over reverse", composed(pullback.forward, pullback.backward, len(x_dots))),
    ):
        yield Variant(name, program, [*row.arguments, *x_dots], 1e-9)


def mapped(row: Row) -> Iterator[Variant]:
    """Batches of every subset of operands."""
    stacks = [row.stack(x) for x in row.arguments]
    for batched in batches(row):
        xs = [stack if flag else x for stack, x, flag in zip(stacks, row.arguments, batched, strict=True)]
        program = vmap_program(row.program, batched, 3)[0]
        yield Variant(f"batch {batched}", program, xs, precision(*row.results))


def together(variants: list[Variant]) -> tuple[Program, list[Any]]:
    """All programs as one, with one input for each array, and those arrays."""
    inputs: dict[int, Any] = {}
    arrays = []
    with building() as trace:
        outputs = []
        for variant in variants:
            for x, type in zip(variant.arguments, variant.program.input_types, strict=True):
                if id(x) not in inputs:
                    (inputs[id(x)],) = trace.add_inputs([type])
                    arrays.append(x)
            outputs += inline(trace, variant.program, [inputs[id(x)] for x in variant.arguments])
        return trace.finish(outputs)[0], arrays


@contextlib.contextmanager
def naming(variant: Variant) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{variant.name}: {error}") from None


@every_row
def test_compiled_value_dtype_and_shape_are_numpys(row: Row):
    assert_value(row, "compiled")


@every_row
def test_compiled_derivatives_and_batches_are_those_of_numpy(row: Row):
    x_dots = [v for v in directions(row) if v is not None]
    variants = [*transposed(row), *linearised(row, x_dots), *higher(row, x_dots), *mapped(row)]
    program, arrays = together(variants)
    found = iter(run("compiled", program, *arrays))
    for variant in variants:
        expected = evaluate(variant.program, *variant.arguments)
        for value, wanted in zip(itertools.islice(found, len(expected)), expected, strict=True):
            with naming(variant):
                assert_same(value, wanted, variant.tolerance)
    assert next(found, None) is None
