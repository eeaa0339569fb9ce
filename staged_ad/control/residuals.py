"""Residuals of a loop: what the reverse of an iteration needs of its forward run, and where it comes from.

Loop-invariant values and elements of xs are handed on as they are. What follows cheaply from them, without the
carry, is computed again in the reverse loop: a sum over iterations needs no tape (cf. Vicini et al. 2021, path replay,
and the loops of Dr.Jit, Jakob et al. 2022). The rest is stored, one entry for each iteration; where a residual follows
by cheap operations from something that is no larger, that is stored in its place. A root serves its cube, too: x ** 1.5
is stored as the square root that its derivative needs, and differs by two more roundings.

Invariant: the known half stores exactly what the reverse cannot have otherwise.
Start at ``plan``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from staged_ad.control.layout import Groups
from staged_ad.ir import Atom, Equation, Literal, Program, Var
from staged_ad.ir.lowerings import Alias, Index, Map, View
from staged_ad.primitives.arithmetic import abs_
from staged_ad.primitives.exponential import power
from staged_ad.primitives.makers import mul
from staged_ad.transforms.partial_eval import Split

CHEAP = 4
"""Cost (about instructions per vector) up to which an operation is done again rather than its result stored."""


class Plan(NamedTuple):
    """`known` with the stored residuals behind its outputs; what the other half reads and computes again."""

    known: Program
    consts: list[Var]
    xs: list[Var]
    stored: list[Var]
    again: tuple[Equation, ...]


def plan(split: Split, inputs: Groups) -> Plan:
    """Decide for each residual of `split`; `inputs` are the inputs of its known half in their groups."""
    outputs = len(split.known.outputs) - split.residuals
    residuals = [atom for atom in split.known.outputs[outputs:] if isinstance(atom, Var)]
    free = _free(split.known, inputs)
    stored = _smallest(split.known, [var for var in residuals if var not in free], free)
    cubes = _cubes(split.known.equations, stored)
    there = {*stored, *(equation.outputs[0] for equation in cubes)}
    needed: set[Atom] = {var for var in residuals if var not in there}
    again: list[Equation] = []
    for equation in reversed(split.known.equations):
        if any(var in needed for var in equation.outputs):
            again.append(equation)
            needed.update(atom for atom in equation.inputs if atom not in there)
    known = Program(
        split.known.inputs, split.known.equations, (*split.known.outputs[:outputs], *stored), split.known.name
    )
    consts = [var for var in inputs.consts if var in needed]
    xs = [var for var in inputs.xs if var in needed]
    return Plan(known, consts, xs, list(stored), (*cubes, *reversed(again)))


def _free(program: Program, inputs: Groups) -> set[Var]:
    """Consts, xs, and what follows from them by elementwise operations and views.

    Where there is no carry, iterations are independent, and the tape of a loop inside lives in one of them: it is
    made again rather than kept for all.
    """
    free: set[Var] = {*inputs.consts, *inputs.xs}
    for equation in program.equations:
        simple = isinstance(equation.primitive.lower, Map | View | Alias | Index)
        simple = simple or (not inputs.carry and any(var.type.ragged for var in equation.outputs))
        if simple and all(not isinstance(atom, Var) or atom in free for atom in equation.inputs):
            free.update(equation.outputs)
    return free


def _smallest(program: Program, residuals: Iterable[Var], free: set[Var]) -> dict[Var, None]:
    """What to store for these residuals: from the last on, operands take the place of a result where they are less."""
    stored = dict.fromkeys(residuals)
    views = {e.outputs[0]: e.inputs[0] for e in program.equations if isinstance(e.primitive.lower, View | Alias)}

    def source(atom: Atom) -> Atom:
        while isinstance(atom, Var) and atom in views and atom not in stored:
            atom = views[atom]
        return atom

    for equation in reversed(program.equations):
        made = [var for var in equation.outputs if var in stored]
        if not made or not _cheap(equation):
            continue
        operands = dict.fromkeys(
            atom for atom in map(source, equation.inputs) if isinstance(atom, Var) and atom not in free | stored.keys()
        )
        if sum(map(_bytes, operands)) <= sum(map(_bytes, made)):
            for var in made:
                del stored[var]
            stored.update(operands)
    return stored


def _cubes(equations: Sequence[Equation], stored: dict[Var, None]) -> list[Equation]:
    """Take powers 3/2 out of `stored` where the root of the base is there; how they are made of it."""
    powers = {(e.inputs[0], exponent): e for e in equations if (exponent := _exponent(e)) and e.outputs[0] in stored}
    made: list[Equation] = []
    for (base, exponent), equation in powers.items():
        root = powers.get((base, math.copysign(0.5, exponent)))
        if abs(exponent) == 1.5 and root is not None:
            del stored[equation.outputs[0]]
            square, size = Var(root.outputs[0].type), Var(root.outputs[0].type)
            factors = (size, square)  # the root of -0.0 is -0.0, the power 0.0
            made.append(Equation(mul.primitive, root.outputs * 2, {}, (square,), equation.source))
            made.append(Equation(abs_.primitive, root.outputs, {}, (size,), equation.source))
            made.append(Equation(mul.primitive, factors, {}, equation.outputs, equation.source))
    return made


def _exponent(equation: Equation) -> float:
    """The known exponent of a power of floating-point numbers; 0 for other equations."""
    if equation.primitive is not power.primitive or equation.outputs[0].type.dtype.kind != "f":
        return 0.0
    exponent = equation.inputs[1]
    return float(exponent.value) if isinstance(exponent, Literal) and exponent.is_splat else 0.0


def _cheap(equation: Equation) -> bool:
    lower = equation.primitive.lower
    return isinstance(lower, View | Alias) or (isinstance(lower, Map) and lower.cost <= CHEAP)


def _bytes(var: Var) -> int:
    return math.prod(var.type.shape) * var.type.dtype.itemsize
