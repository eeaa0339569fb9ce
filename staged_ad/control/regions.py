"""What rewrites and machine code need to know of loops and branches, whatever their primitive.

Invariant: the layout of operands is written down here and in the primitives, nowhere else.
Start at ``fixed_inputs``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from staged_ad.control.layout import chosen, condition_without_still, groups, others, without_still
from staged_ad.control.scan import SCAN
from staged_ad.control.sweep_run import fixed_operands, with_consts
from staged_ad.control.switch import SWITCH
from staged_ad.control.while_loop import WHILE
from staged_ad.ir import ArrayType, Atom, Equation, Literal, Program, Var
from staged_ad.ir.lowerings import Sweep


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
    elif isinstance(equation.primitive.lower, Sweep):
        for program, consts in fixed_operands(equation):
            yield program, _pairs(program, consts)


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
    elif isinstance(equation.primitive.lower, Sweep):
        return with_consts(equation, old, program, operands)
    elif params["cond"] is old:
        atoms = (*operands, *atoms)
        params |= {"cond": program, "cond_consts": params["cond_consts"] + len(added)}
    else:
        start = params["cond_consts"]
        atoms = (*atoms[:start], *operands, *atoms[start:])
        params |= {"body": program, "body_consts": params["body_consts"] + len(added)}
    return Equation(equation.primitive, atoms, params, equation.outputs, equation.source)


def carried(equation: Equation) -> list[tuple[Var, Atom, Atom, Var]]:
    """The carries of a loop: in the body before and after an iteration, outside before and after the loop."""
    params, atoms = equation.params, equation.inputs
    if equation.primitive is SCAN:
        start, count = params["consts"], params["carries"]
        first = int(params["length"] is None) + start
    elif equation.primitive is WHILE:
        start = params["body_consts"]
        first = params["cond_consts"] + start
        count = len(atoms) - first
    else:
        return []
    body: Program = params["body"]
    inside, outside = body.inputs[start : start + count], atoms[first : first + count]
    return list(zip(inside, body.outputs, outside, equation.outputs, strict=False))[:count]


def settled(equation: Equation) -> tuple[Equation, list[tuple[Var, Atom]]]:
    """A loop whose carries that do not change are consts, and what stands for their results."""
    params, atoms, outputs = dict(equation.params), equation.inputs, equation.outputs
    if equation.primitive is SCAN:
        parts = groups(atoms, params["length"] is None, params["consts"], params["carries"])
        program, still = without_still(params["body"], params["consts"], params["carries"])
        fixed, moving = chosen(parts.carry, still), others(parts.carry, still)
        atoms = (*parts.trips, *parts.consts, *fixed, *moving, *parts.xs)
        params |= {"consts": params["consts"] + len(fixed), "carries": len(moving)}
    elif equation.primitive is WHILE:
        tests, consts = params["cond_consts"], params["body_consts"]
        carry = atoms[tests + consts :]
        program, still = without_still(params["body"], consts, len(carry), conditional=True)
        fixed, moving = chosen(carry, still), others(carry, still)
        atoms = (*atoms[:tests], *fixed, *atoms[tests : tests + consts], *fixed, *moving)
        params |= {
            "cond": condition_without_still(params["cond"], tests, still),
            "cond_consts": tests + len(fixed),
            "body_consts": consts + len(fixed),
        }
    else:
        return equation, []
    if not fixed:
        return equation, []
    params["body"] = program
    results = (*others(outputs[: len(still)], still), *outputs[len(still) :])
    gone = list(zip(chosen(outputs[: len(still)], still), fixed, strict=True))
    return Equation(equation.primitive, atoms, params, results, equation.source), gone


def stacked_results(equation: Equation) -> list[tuple[Atom, Var]]:
    """The ys of a loop, in its body and outside."""
    params = equation.params
    if equation.primitive is SCAN:
        carries = first = params["carries"]
    elif equation.primitive is WHILE:
        carries = len(params["body"].inputs) - params["body_consts"]
        first = carries + 1  # behind the number of iterations
    else:
        return []
    return list(zip(params["body"].outputs[carries:], equation.outputs[first:], strict=True))


def entries(equation: Equation) -> list[ArrayType]:
    """The types of what an operation gives, of a loop those of one step; without what a checkpointed one stores."""
    if isinstance(equation.primitive.lower, Sweep):
        params = equation.params
        program: Program = params["adjoint"] if "adjoint" in params else params["advance"]
        return program.output_types
    stacked: dict[Atom, Atom] = {outside: inside for inside, outside in stacked_results(equation)}
    return [stacked.get(var, var).type for var in equation.outputs]


def doubled(equation: Equation) -> list[tuple[Var, Atom]]:
    """The ys of a loop that are stacked already: as another of its ys, or as one of its xs."""
    params = equation.params
    known: dict[Atom, Atom] = {}
    if equation.primitive is SCAN:
        skipped = params["consts"] + params["carries"]
        xs = equation.inputs[int(params["length"] is None) + skipped :]
        known.update(zip(params["body"].inputs[skipped:], xs, strict=True))
    found = []
    for inside, outside in stacked_results(equation):
        if isinstance(inside, Var):
            if inside in known:
                found.append((outside, known[inside]))
            known.setdefault(inside, outside)
    return found


def with_carries(
    equation: Equation,
    starts: Sequence[Sequence[Atom]],
    results: Sequence[Sequence[Var]],
    rewrite: Callable[[Program, Sequence[bool]], Program],
) -> Equation:
    """A loop with several carries for each one; `rewrite` is given each program and which of its inputs are carries."""
    params, atoms = dict(equation.params), equation.inputs
    start = [atom for parts in starts for atom in parts]
    result = [var for parts in results for var in parts]
    count = len(starts)
    body: Program = params["body"]

    def rewritten(program: Program, consts: int) -> Program:
        flags = [consts <= k < consts + count for k in range(len(program.inputs))]
        return rewrite(program, flags)

    if equation.primitive is SCAN:
        first = int(params["length"] is None) + params["consts"]
        params |= {"body": rewritten(body, params["consts"]), "carries": len(start)}
    else:
        first = params["cond_consts"] + params["body_consts"]
        params |= {
            "cond": rewritten(params["cond"], params["cond_consts"]),
            "body": rewritten(body, params["body_consts"]),
        }
    operands = (*atoms[:first], *start, *atoms[first + count :])
    outputs = (*result, *equation.outputs[count:])
    return Equation(equation.primitive, operands, params, outputs, equation.source)
