"""fission: products that need no loop leave it, and become one large product before or behind it.

Before the loop: products of consts and xs, for all iterations at once. Behind it: sums of outer products, as in the
gradient of a weight matrix: ``sum_t p_t q_t^T`` is one product of the stacked p and q.

Invariant: a result differs by the rounding of a sum in another order only.
Start at ``fission``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from staged_ad.control.layout import groups
from staged_ad.control.scan import SCAN
from staged_ad.ir import Atom, Equation, Program, Var
from staged_ad.ir.rewriting import Substitution
from staged_ad.primitives.makers import add
from staged_ad.primitives.products import dot_general
from staged_ad.tracing import building

SMALLEST = 1024
"""Multiplications of one iteration from which a product is worth moving."""
LARGEST = 1 << 26
"""Bytes of stacked operands or results up to which it is."""
_OUTER = {"contract": ((), ()), "batch": ((), ())}


def fission(program: Program) -> Program:
    equations: list[Equation] = []
    for equation in program.equations:
        if equation.primitive is SCAN and equation.params["length"]:
            before, equation = _products_of_xs(equation)
            equation, behind = _outer_sums(equation)
            equations += [*before, equation, *behind]
        else:
            equations.append(equation)
    return Program(program.inputs, tuple(equations), program.outputs, program.name)


def _bytes(var: Atom) -> int:
    return var.type.size * var.type.dtype.itemsize


# -- before the loop ----------------------------------------------------------------------------------------------


def _products_of_xs(equation: Equation) -> tuple[list[Equation], Equation]:
    params = dict(equation.params)
    body, length = params["body"], params["length"]
    inner = groups(body.inputs, 0, params["consts"], params["carries"])
    fixed = params["consts"] + params["carries"]
    stacks: dict[Atom, Atom] = dict(zip(inner.xs, equation.inputs[fixed:], strict=True))
    consts: dict[Atom, Atom] = dict(zip(inner.consts, equation.inputs, strict=False))
    before: list[Equation] = []
    kept: list[Equation] = []
    added: list[tuple[Var, Var]] = []
    for inside in body.equations:
        along = [atom in stacks for atom in inside.inputs]
        known = all(flag or atom in consts for flag, atom in zip(along, inside.inputs, strict=True))
        if inside.primitive is not dot_general.primitive or not known or not any(along) or not _moves(inside, length):
            kept.append(inside)
            continue
        operands = [stacks[a] if flag else consts[a] for flag, a in zip(along, inside.inputs, strict=True)]
        result = _batched(inside, operands, along, length, before)
        added.append((inside.outputs[0], result))
    if not added:
        return [], equation
    program = Program((*body.inputs, *(var for var, _ in added)), tuple(kept), body.outputs, body.name)
    operands = [*equation.inputs, *(stack for _, stack in added)]
    return before, Equation(SCAN, tuple(operands), {**params, "body": program}, equation.outputs, equation.source)


def _moves(inside: Equation, length: int) -> bool:
    a, (y,) = inside.inputs[0], inside.outputs
    contracted = 1
    for axis in inside.params["contract"][0]:
        contracted *= a.type.shape[axis]
    return y.type.inexact and y.type.size * contracted >= SMALLEST and length * _bytes(y) <= LARGEST


def _batched(
    inside: Equation, operands: Sequence[Atom], along: Sequence[bool], length: int, before: list[Equation]
) -> Var:
    """The stacked results of one equation of the body; the equations that compute them go to `before`."""
    with building() as trace:
        values = trace.add_inputs([atom.type for atom in operands])
        trace.source = inside.source
        result, _ = inside.primitive.batch(length, values, along, **inside.params)
        program, _ = trace.finish([result])
    names = Substitution(zip(program.inputs, operands, strict=True))
    before += [new.with_inputs(names.atoms(new.inputs)) for new in program.equations]
    (stack,) = names.atoms(program.outputs)
    assert isinstance(stack, Var)
    return stack


# -- behind the loop ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sum:
    """A carry to which every iteration adds `rest` and the outer products `pairs`."""

    number: int
    pairs: list[tuple[Var, Var]]
    rest: list[Atom] = field(default_factory=list)


def _outer_sums(equation: Equation) -> tuple[Equation, list[Equation]]:
    params = dict(equation.params)
    body, carries = params["body"], params["carries"]
    inner = groups(body.inputs, 0, params["consts"], carries)
    definitions = {var: e for e in body.equations for var in e.outputs}
    uses = body.uses
    fixed = set(inner.consts)
    found = [_sum(k, c, o, definitions, uses, fixed) for k, (c, o) in enumerate(zip(inner.carry, body.outputs))]  # noqa: B905  # ys follow
    sums = [s for s in found if s is not None and _fits(s, params["length"])]
    if not sums:
        return equation, []
    stacks: dict[Var, Atom] = dict(zip(inner.xs, equation.inputs[params["consts"] + carries :], strict=True))
    for atom, stack in zip(body.outputs[carries:], equation.outputs[carries:], strict=True):
        if isinstance(atom, Var):
            stacks.setdefault(atom, stack)
    results: list[Var] = list(equation.outputs)
    new: list[Var] = []
    for var in (var for s in sums for pair in s.pairs for var in pair):
        if var not in stacks:
            stacks[var] = made = Var(var.type.stacked(params["length"]))
            new.append(var)
            results.append(made)
    equations, outputs = list(body.equations), list(body.outputs)
    behind: list[Equation] = []
    for s in sums:
        inside: Atom = inner.carry[s.number]
        for part in s.rest:
            inside = _added(inside, part, equations)
        outputs[s.number] = inside
        total = Var(equation.outputs[s.number].type)
        results[s.number] = total
        for k, (p, q) in enumerate(s.pairs):
            product = Var(equation.outputs[s.number].type)
            both = {"contract": ((0,), (0,)), "batch": ((), ())}
            behind.append(Equation(dot_general.primitive, (stacks[p], stacks[q]), both, (product,), equation.source))
            target = equation.outputs[s.number] if k == len(s.pairs) - 1 else None
            total = _added(total, product, behind, target)
    program = Program(body.inputs, tuple(equations), (*outputs, *new), body.name)
    whole = Equation(SCAN, equation.inputs, {**params, "body": program}, tuple(results), equation.source)
    return whole, behind


def _sum(
    number: int, carry: Var, after: Atom, definitions: dict[Var, Equation], uses: Counter[Atom], fixed: set[Var]
) -> _Sum | None:
    """The terms that an iteration adds to a carry which it uses for nothing else."""
    if uses[carry] != 1 or not isinstance(after, Var) or uses[after] != 1:
        return None
    leaves: list[Atom] = []
    stack: list[Atom] = [after]
    while stack:
        atom = stack.pop()
        made = definitions.get(atom) if isinstance(atom, Var) else None
        if made is not None and made.primitive is add.primitive and uses[made.outputs[0]] == 1:
            stack += made.inputs
        else:
            leaves.append(atom)
    if leaves.count(carry) != 1:
        return None
    leaves.remove(carry)
    found = _Sum(number, [])
    for leaf in leaves:
        made = definitions.get(leaf) if isinstance(leaf, Var) else None
        outer = made is not None and made.primitive is dot_general.primitive and dict(made.params) == _OUTER
        if outer and made is not None and uses[made.outputs[0]] == 1:
            p, q = made.inputs
            if isinstance(p, Var) and isinstance(q, Var) and p not in fixed and q not in fixed:
                found.pairs.append((p, q))
                continue
        found.rest.append(leaf)
    return found if found.pairs else None


def _fits(found: _Sum, length: int) -> bool:
    p, q = found.pairs[0]
    stacked = length * sum(_bytes(p) + _bytes(q) for p, q in found.pairs)
    return p.type.size * q.type.size >= SMALLEST and stacked <= LARGEST


def _added(a: Atom, b: Atom, equations: list[Equation], target: Var | None = None) -> Var:
    result = target or Var(a.type.strong())
    equations.append(Equation(add.primitive, (a, b), {}, (result,)))
    return result
