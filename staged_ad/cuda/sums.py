"""Loops that only add something up, as the derivative with respect to what all lanes share: a thread for each step.

What a step adds is a stacked result instead, and the sum of these is taken by many threads.

Invariant: results differ by rounding, since terms are added in another order.
Start at ``summed``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from staged_ad.control.scan import SCAN
from staged_ad.cuda.planner import is_small
from staged_ad.ir import ArrayType, Atom, Equation, Program, Var
from staged_ad.ir.rewriting import Substitution
from staged_ad.primitives.makers import add, neg, sub
from staged_ad.primitives.reductions import reduce_sum

LEAST = 32
"""Steps from which they are shared out."""
LARGEST = 1 << 28
"""Terms up to which they are stored."""


def summed(program: Program) -> Program:
    """`program`; of its loops, and those of loops that the host runs, any that one thread may run and that only add
    something up has a thread for each step.
    """
    equations: list[Equation] = []
    for equation in program.equations:
        if is_small(equation):
            equations += _by_steps(equation)
        else:
            equations.append(equation.with_programs(summed))
    return Program(program.inputs, tuple(equations), program.outputs, program.name)


def _by_steps(loop: Equation) -> list[Equation]:
    """The loop; or one without carries, and the sums."""
    params = loop.params
    if loop.primitive is not SCAN or not params["carries"] or (params["length"] or 0) < LEAST:
        return [loop]
    fixed, carries, length = params["consts"], params["carries"], params["length"]
    terms = sum(var.type.size for var in loop.outputs[:carries]) * length
    body = _without_sums(params["body"], fixed, carries) if terms <= LARGEST else None
    if body is None:
        return [loop]
    starts = loop.inputs[fixed : fixed + carries]
    stacks = [Var(var.type.stacked(length)) for var in loop.outputs[:carries]]
    operands = (*loop.inputs[:fixed], *loop.inputs[fixed + carries :])
    over = Equation(
        SCAN, operands, {**params, "body": body, "carries": 0}, (*stacks, *loop.outputs[carries:]), loop.source
    )
    equations = [over]
    for stack, start, result in zip(stacks, starts, loop.outputs, strict=False):
        total = Var(result.type)
        equations.append(Equation(reduce_sum.primitive, (stack,), {"axes": (0,)}, (total,), loop.source))
        equations.append(Equation(add.primitive, (start, total), {}, (result,), loop.source))
    return equations


def _without_sums(body: Program, fixed: int, carries: int) -> Program | None:
    """A body that gives what is added to each carry; None where a carry is more than a sum."""
    uses = body.uses
    equations = list(body.equations)
    names = Substitution()
    moving = body.inputs[fixed : fixed + carries]
    for carry, result in zip(moving, body.outputs, strict=False):
        first = _first_term(carry, result, equations, uses)
        if first is None:
            return None
        number, term = first
        old = equations[number]
        if old.primitive is sub.primitive:
            equations[number] = Equation(neg.primitive, (term,), {}, old.outputs, old.source)
        else:
            del equations[number]
            names[old.outputs[0]] = term
    rewritten = tuple([equation.with_inputs(_atoms(names, equation.inputs)) for equation in equations])
    inputs = (*body.inputs[:fixed], *body.inputs[fixed + carries :])
    return Program(inputs, rewritten, _atoms(names, body.outputs), body.name)


def _first_term(
    carry: Var, result: Atom, equations: Sequence[Equation], uses: Counter[Atom]
) -> tuple[int, Atom] | None:
    """Where something is added to the carry first, and what; None if the result is not the carry and a sum."""
    found: tuple[int, Atom] | None = None
    now: Atom = carry
    while now is not result:
        if uses[now] != 1:
            return None
        number, equation = next((k, e) for k, e in enumerate(equations) if now in e.inputs)
        taken = equation.primitive is sub.primitive and equation.inputs[0] is now
        if not (equation.primitive is add.primitive or taken) or not _same_types(equation):
            return None
        found = found or (number, next(atom for atom in equation.inputs if atom is not now))
        now = equation.outputs[0]
    return found if uses[now] == 1 else None


def _same_types(equation: Equation) -> bool:
    """Whether an addition is of two values of one shape and dtype."""

    def key(type: ArrayType) -> Any:
        return type.shape, type.dtype

    return all(key(atom.type) == key(equation.outputs[0].type) for atom in equation.inputs)


def _atoms(names: Substitution, atoms: Sequence[Atom]) -> tuple[Atom, ...]:
    """What stands for atoms in the end; one name may stand for another."""
    while any(isinstance(atom, Var) and atom in names for atom in atoms):
        atoms = names.atoms(atoms)
    return tuple(atoms)
