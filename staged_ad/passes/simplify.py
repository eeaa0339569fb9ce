"""simplify: algebra. x * 1 = x, -(-x) = x, views of views are one view, transposes go into products.

Invariant: every rule is exact in floating point, signed zeros and NaN included; but the sum of one -0.0 is -0.0.
Start at ``RULES``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import numpy as np

from staged_ad.ir import Atom, Equation, Literal, Primitive, Program, Var, filled
from staged_ad.ir.rewriting import Substitution
from staged_ad.ir.types import FLOAT16, FLOAT32
from staged_ad.primitives import arithmetic as a
from staged_ad.primitives import makers as m
from staged_ad.primitives import products as d
from staged_ad.primitives import reductions as r
from staged_ad.primitives import shaping as s

Definitions = Mapping[Var, Equation]
Rewritten = Atom | tuple[Primitive, tuple[Atom, ...], dict[str, Any]] | None
"""What replaces an equation: an atom, another equation (primitive, inputs, params), or nothing."""


def simplify(program: Program) -> Program:
    substitution = Substitution()
    definitions: dict[Var, Equation] = {}
    kept: list[Equation] = []
    for equation in program.equations:
        inputs = substitution.atoms(equation.inputs)
        if inputs != equation.inputs:
            equation = equation.with_inputs(inputs)
        while (rule := RULES.get(equation.primitive)) is not None:
            found = rule(equation, definitions)
            if not isinstance(found, tuple):
                break
            equation = Equation(found[0], found[1], found[2], equation.outputs, equation.source)
        else:
            found = None
        if found is not None:
            substitution[equation.outputs[0]] = found
            continue
        definitions.update((var, equation) for var in equation.outputs)
        kept.append(equation)
    return Program(program.inputs, tuple(kept), substitution.atoms(program.outputs), program.name)


def _is(atom: Atom, value: float) -> bool:
    return isinstance(atom, Literal) and atom.is_splat and bool(atom.value == value)


def _made_by(atom: Atom, operation: m.Operation, definitions: Definitions) -> Equation | None:
    equation = definitions.get(atom) if isinstance(atom, Var) else None
    return equation if equation is not None and equation.primitive is operation.primitive else None


def _product(equation: Equation, definitions: Definitions) -> Rewritten:
    """x * 1 = x and x * -1 = -x; a strong product with 0 is 0, with another finite number a plain one."""
    for one, other in (equation.inputs, equation.inputs[::-1]):
        if _is(one, 1):
            return other
        if _is(one, -1):
            return a.neg.primitive, (other,), {}
        if equation.primitive is m.scale.primitive and isinstance(one, Literal) and one.is_splat:
            if one.value == 0:
                return filled(0, equation.outputs[0].type)
            if math.isfinite(one.value):
                return a.mul.primitive, equation.inputs, {}
        factor = _factor(one, other, definitions)
        if factor is not None:
            return equation.primitive, factor, {}
    return None


def _factor(one: Atom, other: Atom, definitions: Definitions) -> tuple[Atom, Atom] | None:
    """c * (2**k * x) = (c * 2**k) * x for whole k > 0 and c of at least 1: both are infinite where 2**k * x is."""
    inner = _made_by(other, a.mul, definitions) or _made_by(other, a.neg, definitions)
    if inner is None or not _is_constant(one) or abs(one.value) < 1:
        return None
    if inner.primitive is a.neg.primitive:
        return filled(-one.value, one.type), inner.inputs[0]
    for power, x in (inner.inputs, inner.inputs[::-1]):
        if _is_constant(power) and math.frexp(power.value)[0] == 0.5 and power.value > 1:
            product = float(one.value) * float(power.value)
            return (filled(product, one.type), x) if abs(product) <= np.finfo(one.type.dtype).max else None
    return None


def _is_constant(atom: Atom) -> TypeGuard[Literal]:
    return isinstance(atom, Literal) and atom.is_splat and atom.type.dtype.kind == "f" and math.isfinite(atom.value)


def _quotient(equation: Equation, definitions: Definitions) -> Rewritten:
    return equation.inputs[0] if _is(equation.inputs[1], 1) else None


def _negation(equation: Equation, definitions: Definitions) -> Rewritten:
    """-(-x) = x, and -(c * x) = (-c) * x."""
    inner = _made_by(equation.inputs[0], a.neg, definitions)
    if inner:
        return inner.inputs[0]
    product = _made_by(equation.inputs[0], a.mul, definitions)
    for c, x in (product.inputs, product.inputs[::-1]) if product else ():
        if _is_constant(c):
            return a.mul.primitive, (filled(-c.value, c.type), x), {}
    return None


def _sum(equation: Equation, definitions: Definitions) -> Rewritten:
    """x + (-y) = x - y."""
    x, y = equation.inputs
    negated = _made_by(y, a.neg, definitions)
    if negated:
        return a.sub.primitive, (x, negated.inputs[0]), {}
    negated = _made_by(x, a.neg, definitions)
    return (a.sub.primitive, (y, negated.inputs[0]), {}) if negated else None


def _difference(equation: Equation, definitions: Definitions) -> Rewritten:
    """x - (-y) = x + y."""
    x, y = equation.inputs
    negated = _made_by(y, a.neg, definitions)
    return (a.add.primitive, (x, negated.inputs[0]), {}) if negated else None


def _selection(equation: Equation, definitions: Definitions) -> Rewritten:
    condition, x, y = equation.inputs
    if x is y or (isinstance(x, Literal) and isinstance(y, Literal) and x.key == y.key):
        return x
    if isinstance(condition, Literal) and condition.is_splat:
        return x if condition.value else y
    return None


def _cast(equation: Equation, definitions: Definitions) -> Rewritten:
    """A float16 that was float32 in between is itself."""
    (x,), dtype = equation.inputs, equation.params["dtype"]
    if x.type.dtype == dtype:
        return x
    inner = _made_by(x, s.cast, definitions) if (x.type.dtype, dtype) == (FLOAT32, FLOAT16) else None
    return inner.inputs[0] if inner is not None and inner.inputs[0].type.dtype == dtype else None


def _integer_pow(equation: Equation, definitions: Definitions) -> Rewritten:
    (x,) = equation.inputs
    match equation.params["n"]:
        case 1:
            return x
        case 2:
            return a.mul.primitive, (x, x), {}
        case _:
            return None


def _reshape(equation: Equation, definitions: Definitions) -> Rewritten:
    (x,) = equation.inputs
    if x.type.shape == equation.params["shape"]:
        return x
    inner = _made_by(x, s._reshape, definitions)
    return (equation.primitive, inner.inputs, dict(equation.params)) if inner else None


def _transpose(equation: Equation, definitions: Definitions) -> Rewritten:
    (x,) = equation.inputs
    permutation = equation.params["permutation"]
    if permutation == tuple(range(len(permutation))):
        return x
    inner = _made_by(x, s._transpose, definitions)
    if inner is None:
        return None
    first = inner.params["permutation"]
    return equation.primitive, inner.inputs, {"permutation": tuple(first[k] for k in permutation)}


def _broadcast(equation: Equation, definitions: Definitions) -> Rewritten:
    (x,) = equation.inputs
    shape, dims = equation.params["shape"], equation.params["dims"]
    if x.type.shape == shape:
        return x
    inner = _made_by(x, s.broadcast, definitions)
    if inner is None:
        return None
    return equation.primitive, inner.inputs, {"shape": shape, "dims": tuple(dims[k] for k in inner.params["dims"])}


def _dot_general(equation: Equation, definitions: Definitions) -> Rewritten:
    """A transposed operand is the operand with other axes contracted, where its free axes keep their order."""
    inputs = list(equation.inputs)
    contract, batch = list(equation.params["contract"]), list(equation.params["batch"])
    changed = False
    for k, x in enumerate(inputs):
        inner = _made_by(x, s._transpose, definitions)
        if inner is None:
            continue
        order = inner.params["permutation"]
        free = [order[axis] for axis in d.free_axes(len(order), contract[k], batch[k])]
        if free != sorted(free):
            continue
        inputs[k] = inner.inputs[0]
        contract[k] = tuple(order[axis] for axis in contract[k])
        batch[k] = tuple(order[axis] for axis in batch[k])
        changed = True
    if not changed:
        return None
    return equation.primitive, tuple(inputs), {"contract": tuple(contract), "batch": tuple(batch)}


def _reduction(equation: Equation, definitions: Definitions) -> Rewritten:
    """A reduction over axes of length 1 only moves elements."""
    (x,), (output,) = equation.inputs, equation.outputs
    if x.type.size != output.type.size or any(x.type.shape[axis] != 1 for axis in equation.params["axes"]):
        return None
    return s._reshape.primitive, (x,), {"shape": output.type.shape}


def _position(equation: Equation, definitions: Definitions) -> Rewritten:
    """Along an axis of length 1 the extremum is at 0."""
    output = equation.outputs[0].type
    return filled(0, output) if equation.inputs[0].type.shape[equation.params["axis"]] == 1 else None


def _identity(equation: Equation, definitions: Definitions) -> Rewritten:
    return equation.inputs[0]


RULES: dict[Primitive, Callable[[Equation, Definitions], Rewritten]] = {
    a.mul.primitive: _product,
    m.scale.primitive: _product,
    a.div.primitive: _quotient,
    a.neg.primitive: _negation,
    a.add.primitive: _sum,
    a.sub.primitive: _difference,
    m.select.primitive: _selection,
    a.integer_pow.primitive: _integer_pow,
    s.cast.primitive: _cast,
    s._reshape.primitive: _reshape,
    s._transpose.primitive: _transpose,
    s.broadcast.primitive: _broadcast,
    s.stop_gradient.primitive: _identity,
    d.dot_general.primitive: _dot_general,
    r.argmax.primitive: _position,
    r.argmin.primitive: _position,
    **{
        operation.primitive: _reduction
        for operation in (r.reduce_sum, r.reduce_prod, r.reduce_max, r.reduce_min, r.reduce_or, r.reduce_and)
    },
}
