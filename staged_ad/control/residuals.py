"""Residuals of a loop: what the reverse of an iteration needs of its forward run, and where it comes from.

Loop-invariant values and elements of xs are handed on as they are. What follows cheaply from them, without the
carry, is computed again in the reverse loop: a sum over iterations needs no tape (cf. Vicini et al. 2021, path replay,
and the loops of Dr.Jit, Jakob et al. 2022). The rest is stored, one entry for each iteration.

Invariant: the known half stores exactly what the reverse cannot have otherwise.
Start at ``plan``.
"""

from __future__ import annotations

from dataclasses import dataclass

from staged_ad.control.layout import Groups
from staged_ad.ir import Equation, Program, Var
from staged_ad.ir.lowerings import Alias, Index, Map, View
from staged_ad.transforms.partial_eval import Split


@dataclass(frozen=True)
class Plan:
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
    stored = [var for var in residuals if var not in free]
    needed = {var for var in residuals if var in free}
    again: list[Equation] = []
    for equation in reversed(split.known.equations):
        if any(var in needed for var in equation.outputs):
            again.append(equation)
            needed.update(atom for atom in equation.inputs if isinstance(atom, Var))
    known = Program(
        split.known.inputs, split.known.equations, (*split.known.outputs[:outputs], *stored), split.known.name
    )
    consts = [var for var in inputs.consts if var in needed]
    return Plan(known, consts, [var for var in inputs.xs if var in needed], stored, tuple(reversed(again)))


def _free(program: Program, inputs: Groups) -> set[Var]:
    """Consts, xs, and what follows from them by cheap operations."""
    free: set[Var] = {*inputs.consts, *inputs.xs}
    for equation in program.equations:
        cheap = isinstance(equation.primitive.lower, Map | View | Alias | Index)
        if cheap and all(not isinstance(atom, Var) or atom in free for atom in equation.inputs):
            free.update(equation.outputs)
    return free
