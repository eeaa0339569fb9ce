"""Transforms of loop bodies: what goes in as a carry comes out as one, so flags of carries are found by iteration.

Invariant: the flags of the carries that enter a transformed body are those of the carries that leave it.
Start at ``body_jvp``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.control.layout import Groups, either, groups
from staged_ad.ir import Program, Var
from staged_ad.transforms.jvp import symbolic_jvp
from staged_ad.transforms.partial_eval import Split, partial_eval
from staged_ad.transforms.vmap import vmap_program


def body_jvp(
    body: Program, consts: Sequence[bool], carry: Sequence[bool], xs: Sequence[bool] = ()
) -> tuple[Program, list[bool], list[bool]]:
    """The jvp of a body, and which carries and ys have a tangent: those that start or ever leave the body with one.

    Tangents stand behind the primals of their own group: consts, carry, xs; carry, ys.
    """
    moving = list(carry)
    count = len(moving)
    while True:
        wanted = [*moving, *[False] * (len(body.outputs) - count)]
        both, flags = symbolic_jvp(body, [*consts, *moving, *xs], wanted)
        if flags[:count] == moving:
            return _paired(both, body, consts, moving, xs), moving, flags[count:]
        moving = either(moving, flags[:count])


def _paired(both: Program, body: Program, consts: Sequence[bool], carry: Sequence[bool], xs: Sequence[bool]) -> Program:
    primals = groups(both.inputs, 0, len(consts), len(carry))
    dots = groups(primals.xs[len(xs) :], 0, sum(consts), sum(carry))
    inputs = (*primals.consts, *dots.consts, *primals.carry, *dots.carry, *primals.xs[: len(xs)], *dots.xs)
    ys, y_dots = both.outputs[: len(body.outputs)], both.outputs[len(body.outputs) :]
    count, moving = len(carry), sum(carry)
    outputs = (*ys[:count], *y_dots[:moving], *ys[count:], *y_dots[moving:])
    return Program(inputs, both.equations, outputs, both.name)


def body_split(
    body: Program, consts: Sequence[bool], carry: Sequence[bool], xs: Sequence[bool] = ()
) -> tuple[Split, list[bool]]:
    """The split of a body by what is known, and which carries are known in every iteration."""
    known = list(carry)
    count = len(known)
    while True:
        unknown = [not flag for flag in known] + [False] * (len(body.outputs) - count)
        split = partial_eval(body, [*consts, *known, *xs], unknown)
        found = [a and b for a, b in zip(known, split.outputs_known[:count], strict=True)]
        if found == known:
            return split, known
        known = found


def body_batch(
    body: Program, size: int, consts: Sequence[int], carry: Sequence[int], xs: Sequence[int] = ()
) -> tuple[Program, list[Any], list[Any]]:
    """The batch of a body, and the flags of the carries and of the ys."""
    moving: list[Any] = list(carry)
    count = len(moving)
    while True:
        wanted = [*moving, *[False] * (len(body.outputs) - count)]
        mapped, found = vmap_program(body, [*consts, *moving, *xs], size, wanted)
        if found[:count] == moving:
            return mapped, moving, found[count:]
        moving = either(moving, found[:count])


def body_live(body: Program, carry: Sequence[Var], used: Sequence[bool]) -> tuple[set[Var], list[bool]]:
    """What the used results of a loop depend on in its body, and which results that needs: carries feed themselves."""
    kept = list(used)
    count = len(carry)
    while True:
        live = body.live(kept)
        found = [flag or var in live for flag, var in zip(kept[:count], carry, strict=True)]
        if found == kept[:count]:
            return live, kept
        kept[:count] = found


def linear_carries(body: Program, linear: Groups) -> list[bool]:
    """Which carries depend on linear operands, from the first iteration on or later."""
    moving = list(linear.carry)
    while True:
        flags = [*linear.consts, *moving, *linear.xs]
        depends = {var for var, flag in zip(body.inputs, flags, strict=True) if flag}
        for equation in body.equations:
            if any(isinstance(atom, Var) and atom in depends for atom in equation.inputs):
                depends.update(equation.outputs)
        found = either(moving, [isinstance(a, Var) and a in depends for a in body.outputs[: len(moving)]])
        if found == moving:
            return moving
        moving = found
