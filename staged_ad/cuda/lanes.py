"""Loops over items that do not depend on each other: a thread runs each item where it can, else all go step by step.

Invariant: results are those of the loop.
Start at ``in_step``.
"""

from __future__ import annotations

from dataclasses import replace

from staged_ad.control.scan import SCAN
from staged_ad.cuda.outside import outside
from staged_ad.cuda.planner import fits_a_thread
from staged_ad.ir import Equation, Program
from staged_ad.passes import optimize
from staged_ad.passes.inline import inline_calls
from staged_ad.passes.rewriting import Substitution
from staged_ad.transforms.vmap import vmap_program

LARGEST = 1 << 28
"""Elements of all values of a batch up to which it is made: a loop takes less memory."""


def in_step(program: Program) -> Program:
    """A traced program whose loops over independent items are batches, unless one thread can run an item."""
    program = inline_calls(program)
    substitution = Substitution()
    equations: list[Equation] = []
    for equation in program.equations:
        inputs = substitution.atoms(equation.inputs)
        mapped = _batch(equation)
        if mapped is None:
            equations.append(replace(equation, inputs=inputs))
            continue
        inner = Substitution(zip(mapped.inputs, inputs, strict=True))
        equations += [replace(inside, inputs=inner.atoms(inside.inputs)) for inside in mapped.equations]
        substitution.update(zip(equation.outputs, inner.atoms(mapped.outputs), strict=True))
    return Program(program.inputs, tuple(equations), substitution.atoms(program.outputs), program.name)


def _batch(equation: Equation) -> Program | None:
    """What is to be done instead of a loop; None where it stays, also where its batch would be such a loop again."""
    if not _is_batch(equation):
        return None
    body, fixed, length = equation.params["body"], equation.params["consts"], equation.params["length"]
    flags = [k >= fixed for k in range(len(equation.inputs))]
    mapped = inline_calls(vmap_program(body, flags, length, [True] * len(body.outputs))[0])
    again = any(inside.params.get("length") == length and _is_batch(inside) for inside in mapped.equations)
    return None if again else in_step(mapped)


def _is_batch(equation: Equation) -> bool:
    params = equation.params
    if equation.primitive is not SCAN or params["carries"] or not params["length"]:
        return False
    body = outside(optimize(params["body"]))
    work = sum(var.type.size for inside in body.equations for var in inside.outputs if not var.type.ragged)
    return not fits_a_thread(body) and work * params["length"] <= LARGEST
