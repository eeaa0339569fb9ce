"""What the rules of loops share: operands in groups, values by flags, one lane at a time.

Invariant: the operands of a loop come as consts, carry, xs; its results as carry, ys.
Start at ``lanes``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from staged_ad.errors import NotDifferentiableError
from staged_ad.ir import ArrayType, Equation, Linear, Primitive, Program, Var
from staged_ad.ir.types import INT64, RAGGED
from staged_ad.primitives.arithmetic import and_, eq
from staged_ad.primitives.makers import Operation, select, typeof, zeros
from staged_ad.primitives.reductions import reduce_or, reduce_sum
from staged_ad.primitives.shaping import broadcast, iota
from staged_ad.tracing import bind, building
from staged_ad.transforms.vmap import BEHIND

T = TypeVar("T")
_SCAN, _ENTRIES = Operation("scan"), Operation("entries")  # declared above this file, where it is needed


class Groups(NamedTuple):
    """Operands of a loop (or flags, types, tangents of them); `trips` is empty where the length is fixed."""

    trips: list[Any]
    consts: list[Any]
    carry: list[Any]
    xs: list[Any]


def groups(operands: Sequence[Any], counts: int, consts: int, carries: int) -> Groups:
    values = list(operands)
    first, second, third = counts, counts + consts, counts + consts + carries
    return Groups(values[:first], values[first:second], values[second:third], values[third:])


def chosen(values: Iterable[T], flags: Iterable[bool]) -> list[T]:
    """The values whose flag is set."""
    return [value for value, flag in zip(values, flags, strict=True) if flag]


def others(values: Iterable[T], flags: Iterable[bool]) -> list[T]:
    """The values whose flag is not set."""
    return [value for value, flag in zip(values, flags, strict=True) if not flag]


def spread(values: Iterable[T], flags: Iterable[bool]) -> list[T | None]:
    """The inverse of `chosen`: None where the flag is not set."""
    rest = iter(values)
    return [next(rest) if flag else None for flag in flags]


def either(a: Iterable[bool], b: Iterable[bool]) -> list[bool]:
    return [x or y for x, y in zip(a, b, strict=True)]


def without_still(body: Program, consts: int, carries: int, conditional: bool = False) -> tuple[Program, list[bool]]:
    """`body` with the carries that it does not change behind its consts, and which they are.

    They stay where they are in a `conditional` loop that changes nothing: it does not end, or does not begin, and must
    not be taken for unused.
    """
    inputs = groups(body.inputs, 0, consts, carries)
    still = [after is before for before, after in zip(inputs.carry, body.outputs, strict=False)]
    if not any(still) or (conditional and all(still)):
        return body, [False] * carries
    order = (*inputs.consts, *chosen(inputs.carry, still), *others(inputs.carry, still), *inputs.xs)
    outputs = (*others(body.outputs[:carries], still), *body.outputs[carries:])
    return Program(order, body.equations, outputs, body.name), still


def condition_without_still(cond: Program, consts: int, still: Sequence[bool]) -> Program:
    """The condition that goes with ``without_still(body, ...)``."""
    tested = cond.inputs[consts:]
    inputs = (*cond.inputs[:consts], *chosen(tested, still), *others(tested, still))
    return Program(inputs, cond.equations, cond.outputs, cond.name)


def merged(fixed: Sequence[T], moving: Sequence[T], still: Sequence[bool]) -> list[T]:
    """The inverse of `chosen` and `others`."""
    first, second = iter(fixed), iter(moving)
    return [next(first) if flag else next(second) for flag in still]


def same_types(what: str, found: Sequence[ArrayType], expected: Sequence[ArrayType]) -> None:
    """Raises TypeError: a fault of the caller of a primitive, whose public functions check before."""
    if [(t.shape, t.dtype) for t in found] != [(t.shape, t.dtype) for t in expected]:
        raise TypeError(f"{what}: {list(map(str, found))}, expected {list(map(str, expected))}")


def lanes(
    primitive: Primitive, size: int, values: Sequence[Any], flags: Sequence[int], params: dict[str, Any]
) -> tuple[list[Any], list[bool]]:
    """An equation mapped over lanes one by one: each takes its own branch and its own number of iterations.

    It is a scan over the lanes without carry. Of a ragged array of loops that ran in step each lane picks its part.
    """
    numbers = np.arange(size)
    with building() as trace:
        operands: list[Any] = []
        for value, flag in zip(values, flags, strict=True):
            single = flag and flag != BEHIND
            operands.append(trace.add_input(typeof(value).slice() if single else typeof(value)))
        number = trace.add_input(ArrayType((), INT64))
        parts = [lane_of(x, number) if flag == BEHIND else x for x, flag in zip(operands, flags, strict=True)]
        program, _ = trace.finish(bind(primitive, *parts, **params), primitive.name)
    along = [bool(flag) and flag != BEHIND for flag in flags]
    inputs = (*others(program.inputs[:-1], along), *chosen(program.inputs[:-1], along), program.inputs[-1])
    body = Program(inputs, program.equations, program.outputs, program.name)
    fixed, moving = others(values, along), [*chosen(values, along), numbers]
    results = bind(
        _SCAN.primitive, *fixed, *moving, body=body, length=size, reverse=False, consts=len(fixed), carries=0
    )
    return results, [True] * len(program.outputs)


def lane_of(x: Any, number: Any) -> Any:
    """The ragged array of one lane, of one whose entries hold all lanes along their first axis that is not ragged."""
    type = typeof(x)
    if not type.ragged:
        shape = type.shape
        mask = eq(iota(shape=shape, dtype=INT64, axis=0), broadcast(number, shape=shape, dims=()))
        if type.dtype.kind == "b":
            return reduce_or(and_(mask, x), axes=(0,))
        return reduce_sum(select(mask, x, zeros(type)), axes=(0,))
    with building() as trace:
        which, inner = trace.add_inputs([ArrayType((), INT64), type.slice()])
        body, _ = trace.finish([lane_of(inner, which)], "lane")
    length = None if type.shape[0] == RAGGED else type.shape[0]
    counts = [] if length is not None else [bind(_ENTRIES.primitive, x, x)]
    params = {"body": body, "length": length, "reverse": False, "consts": 1, "carries": 0}
    (result,) = bind(_SCAN.primitive, *counts, number, x, **params)
    return result


def transpose_by_parts(
    primitive: Primitive, cts: Sequence[Any], inputs: Sequence[Any], params: dict[str, Any]
) -> list[Any]:
    """Transpose an equation whose linear part depends on a part that is not: run that first, then turn the rest."""
    variables = [Var(typeof(x)) for x in inputs]
    outputs = [Var(type) for type in primitive.abstract_eval(*[v.type for v in variables], **params)]
    known = [not isinstance(x, Linear) for x in inputs]
    assert primitive.partial_eval is not None
    split = primitive.partial_eval(Equation(primitive, tuple(variables), params, tuple(outputs)), known)
    if split is None:
        raise NotDifferentiableError(
            f"{primitive.name} is not linear: its control flow depends on what should be linear"
        )
    before, after, _ = split
    values: dict[Var, Any] = dict(zip(variables, inputs, strict=True))
    bars: dict[Var, Any] = dict(zip(outputs, cts, strict=True))
    for equation in before:
        operands = [values[atom] if isinstance(atom, Var) else atom for atom in equation.inputs]
        results = bind(equation.primitive, *operands, **equation.params)
        values.update(zip(equation.outputs, results, strict=True))
    found: dict[Var, Any] = {}
    for equation in reversed(after):
        operands = [values[atom] if isinstance(atom, Var) else atom for atom in equation.inputs]
        given = [bars.get(var) for var in equation.outputs]
        parts = equation.primitive.transpose(given, operands, **equation.params)
        found.update((a, x) for a, x in zip(equation.inputs, parts, strict=True) if isinstance(a, Var))
    return [found.get(var) for var in variables]
