"""factors: a sum of c * x, where c is the same in all terms and x is summed already, is c times that sum.

Reverse mode through a quotient by a sum, as in softmax, adds up the terms once more, each divided by their sum: a
pass over all of them for what is known.

Invariant: a result differs by rounding only, as long as no sum overflows and no factor is infinite.
Start at ``factors``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from staged_ad.ir import ArrayType, Atom, Equation, Literal, Program, Var, filled
from staged_ad.primitives.makers import mul, neg, scale
from staged_ad.primitives.reductions import reduce_sum
from staged_ad.primitives.shaping import _reshape, broadcast

Sums = dict[tuple[Atom, tuple[int, ...]], Var]
"""The sum of a value over axes."""


def factors(program: Program) -> Program:
    made: dict[Atom, Equation] = {}
    sums: Sums = {}
    equations: list[Equation] = []
    for equation in program.equations:
        if equation.primitive is reduce_sum.primitive and not equation.inputs[0].type.ragged:
            found = list(_known(equation, made, sums))
            sums[equation.inputs[0], equation.params["axes"]] = equation.outputs[0]
            equations += found or [equation]
        else:
            made.update((var, equation) for var in equation.outputs)
            equations.append(equation)
    return Program(program.inputs, tuple(equations), program.outputs, program.name)


def _known(equation: Equation, made: dict[Atom, Equation], sums: Sums) -> Iterator[Equation]:
    """The sum as a known one with factors; nothing if it is not one."""
    (x,), axes, (output,) = equation.inputs, equation.params["axes"], equation.outputs
    outside: list[tuple[Equation, Atom | None]] = []  # what is done to each term, the last first; its factor
    while (x, axes) not in sums:
        inner = made.get(x)
        split = None if inner is None else _split(inner, axes, made)
        if inner is None or split is None:
            return
        x, factor = split
        outside.append((inner, factor))
    total = sums[x, axes]
    while outside:
        inner, factor = outside.pop()
        result = Var(output.type) if outside else output
        inputs: tuple[Atom, ...] = (total,)
        if factor is not None:
            each: Atom
            if isinstance(factor, Literal):
                each = filled(factor.value, output.type)
            else:
                views = list(_for_sums(factor, axes, made, output.type))
                yield from views
                (each,) = views[-1].outputs
            inputs = (each, total) if inner.inputs[0] is factor else (total, each)
        yield Equation(inner.primitive, inputs, inner.params, (result,), equation.source)
        total = result


def _split(equation: Equation, axes: tuple[int, ...], made: dict[Atom, Equation]) -> tuple[Atom, Atom | None] | None:
    """The terms without a factor, and the factor, if it is the same in all terms; of a negation there is none."""
    if equation.primitive is neg.primitive:
        return equation.inputs[0], None
    if equation.primitive not in (mul.primitive, scale.primitive):
        return None
    for factor, terms in (equation.inputs, equation.inputs[::-1]):
        if isinstance(factor, Literal):
            constant = factor.is_splat
        else:
            view = made.get(factor)
            constant = view is not None and _is_constant(view, axes)
        if constant:
            return terms, factor
    return None


def _is_constant(equation: Equation, axes: tuple[int, ...]) -> bool:
    """Whether a value is repeated along the axes."""
    if equation.primitive is not broadcast.primitive:
        return False
    lengths = zip(equation.params["dims"], equation.inputs[0].type.shape, strict=True)
    return all(n == 1 for dim, n in lengths if dim in axes)


def _for_sums(factor: Var, axes: tuple[int, ...], made: dict[Atom, Equation], type: ArrayType) -> Iterator[Equation]:
    """The factor for each sum: what it repeats, along the axes that are left."""
    view = made[factor]
    (x,), dims = view.inputs, view.params["dims"]
    if set(dims) & set(axes):
        shape = tuple(n for dim, n in zip(dims, x.type.shape, strict=True) if dim not in axes)
        reshape = Equation(
            _reshape.primitive, (x,), {"shape": shape}, (Var(replace(x.type, shape=shape)),), view.source
        )
        yield reshape
        (x,) = reshape.outputs
    kept = tuple(dim - sum(axis < dim for axis in axes) for dim in dims if dim not in axes)
    yield Equation(broadcast.primitive, (x,), {"shape": type.shape, "dims": kept}, (Var(type),), view.source)
