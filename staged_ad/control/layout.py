"""What the rules of loops share: operands in groups, values by flags, one lane at a time.

Invariant: the operands of a loop come as consts, carry, xs; its results as carry, ys.
Start at ``lanes``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from staged_ad.errors import UnsupportedError
from staged_ad.ir import ArrayType, Equation, Linear, Primitive, Program, Var
from staged_ad.primitives.makers import typeof
from staged_ad.tracing import bind
from staged_ad.transforms.vmap import BEHIND

T = TypeVar("T")


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


def without_still(body: Program, consts: int, carries: int) -> tuple[Program, list[bool]]:
    """`body` with the carries that it does not change behind its consts, and which they are."""
    inputs = groups(body.inputs, 0, consts, carries)
    still = [after is before for before, after in zip(inputs.carry, body.outputs, strict=False)]
    if not any(still):
        return body, still
    order = (*inputs.consts, *chosen(inputs.carry, still), *others(inputs.carry, still), *inputs.xs)
    outputs = (*others(body.outputs[:carries], still), *body.outputs[carries:])
    return Program(order, body.equations, outputs, body.name), still


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

    It is a scan over the lanes without carry.
    """
    batched = list(map(bool, flags))
    if BEHIND in flags:
        raise UnsupportedError(f"vmap of {primitive.name}: loops that run in step meet lanes that run one by one")
    types = [typeof(v).slice() if flag else typeof(v) for v, flag in zip(values, batched, strict=True)]
    inputs = [Var(type) for type in types]
    outputs = [Var(type) for type in primitive.abstract_eval(*types, **params)]
    equation = Equation(primitive, tuple(inputs), params, tuple(outputs))
    body = Program((*others(inputs, batched), *chosen(inputs, batched)), (equation,), tuple(outputs), primitive.name)
    fixed, moving = others(values, batched), chosen(values, batched)
    results = bind(
        scan_primitive(), *fixed, *moving, body=body, length=size, reverse=False, consts=len(fixed), carries=0
    )
    return results, [True] * len(outputs)


def scan_primitive() -> Primitive:
    from staged_ad.control.scan import SCAN  # scan.py needs `lanes`: the batch rule of a scan may be another scan

    return SCAN


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
        raise TypeError(f"{primitive.name} is not linear: its control flow depends on what should be linear")
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
