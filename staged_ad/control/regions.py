"""What rewrites and machine code need to know of loops and branches, whatever their primitive.

Invariant: the layout of operands is written down here and in the primitives, nowhere else.
Start at ``fixed_inputs``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from staged_ad.control.scan import SCAN
from staged_ad.control.switch import SWITCH
from staged_ad.control.while_loop import WHILE
from staged_ad.ir import Atom, Equation, Literal, Program, Var


def fixed_inputs(equation: Equation) -> Iterator[tuple[Program, list[tuple[Var, Atom]]]]:
    """Each program of a loop or branch with those of its inputs that never change while it runs, and their values."""
    params, atoms = equation.params, equation.inputs
    if equation.primitive is SCAN:
        start = int(params["length"] is None)
        yield params["body"], _pairs(params["body"], atoms[start : start + params["consts"]])
    elif equation.primitive is WHILE:
        first = params["cond_consts"]
        yield params["cond"], _pairs(params["cond"], atoms[:first])
        yield params["body"], _pairs(params["body"], atoms[first : first + params["body_consts"]])
    elif equation.primitive is SWITCH:
        for branch in params["branches"]:
            yield branch, _pairs(branch, atoms[1:])


def filled_xs(equation: Equation) -> list[tuple[Var, Atom]]:
    """Elements of those xs of a scan that are the same number everywhere."""
    if equation.primitive is not SCAN:
        return []
    params = equation.params
    skipped = params["consts"] + params["carries"]
    body: Program = params["body"]
    atoms = equation.inputs[int(params["length"] is None) + skipped :]
    return [
        (var, Literal(atom.value, var.type))
        for var, atom in zip(body.inputs[skipped:], atoms, strict=True)
        if isinstance(atom, Literal) and atom.is_splat
    ]


def _pairs(program: Program, atoms: Sequence[Atom]) -> list[tuple[Var, Atom]]:
    return list(zip(program.inputs, atoms, strict=False))


def with_fixed(equation: Equation, old: Program, new: Program, added: Sequence[tuple[Var, Atom]]) -> Equation:
    """A loop in which `new` stands for `old`, with further inputs that do not change, in front of the others."""
    params, atoms = dict(equation.params), equation.inputs
    program = Program((*(var for var, _ in added), *new.inputs), new.equations, new.outputs, new.name)
    operands = tuple(atom for _, atom in added)
    if equation.primitive is SCAN:
        start = int(params["length"] is None)
        atoms = (*atoms[:start], *operands, *atoms[start:])
        params |= {"body": program, "consts": params["consts"] + len(added)}
    elif params["cond"] is old:
        atoms = (*operands, *atoms)
        params |= {"cond": program, "cond_consts": params["cond_consts"] + len(added)}
    else:
        start = params["cond_consts"]
        atoms = (*atoms[:start], *operands, *atoms[start:])
        params |= {"body": program, "body_consts": params["body_consts"] + len(added)}
    return Equation(equation.primitive, atoms, params, equation.outputs, equation.source)
