"""hoist: what does not change from iteration to iteration is computed before the loop.

Invariant: views of invariant values stay in the body, where they cost nothing; loops that may not end are not moved,
nor what may raise an error where the loop may not run.
Start at ``hoist``.
"""

from __future__ import annotations

from staged_ad.control.regions import fixed_inputs, with_fixed
from staged_ad.ir import Atom, Equation, Program, Var
from staged_ad.ir.lowerings import Alias, Bounded, Index, Kernel, Loop, Map, Sweep, View
from staged_ad.ir.rewriting import Substitution


def hoist(program: Program) -> Program:
    equations: list[Equation] = []
    for equation in program.equations:
        if isinstance(equation.primitive.lower, Loop | Sweep):
            equation = _hoisted(equation, equations)
        equations.append(equation)
    return Program(program.inputs, tuple(equations), program.outputs, program.name)


def _hoisted(equation: Equation, before: list[Equation]) -> Equation:
    """The loop without its invariant equations, which are appended to `before`."""
    for inner, pairs in fixed_inputs(equation):
        moved = _invariant(inner, {var for var, _ in pairs}, bool(equation.params.get("length")))
        if not moved:
            continue
        names = Substitution(pairs)
        for found in moved:
            inputs = names.atoms(found.inputs)
            types = found.primitive.abstract_eval(*[atom.type for atom in inputs], **found.params)
            outputs = tuple([Var(type) for type in (types if found.primitive.multiple_results else [types])])
            before.append(Equation(found.primitive, inputs, found.params, outputs, found.source))
            names.update(zip(found.outputs, outputs, strict=True))
        gone = set(map(id, moved))
        kept = [e for e in inner.equations if id(e) not in gone]
        read = {atom for e in kept for atom in e.inputs} | set(inner.outputs)
        crossing = [var for found in moved for var in found.outputs if var in read]
        rest = Program(inner.inputs, tuple(kept), inner.outputs, inner.name)
        equation = with_fixed(equation, inner, rest, [(var, names[var]) for var in crossing])
    return equation


def _invariant(body: Program, fixed: set[Var], runs: bool) -> list[Equation]:
    """The equations that depend on `fixed` alone and are worth moving; harmless ones unless the loop surely `runs`."""
    known = set(fixed)
    invariant: list[Equation] = []
    for equation in body.equations:
        movable = equation.outputs and equation.params.get("cond") is None
        if movable and (runs or _harmless(equation)) and _all_in(equation.inputs, known):
            invariant.append(equation)
            known.update(equation.outputs)
    ids = set(map(id, invariant))
    read = {atom for e in body.equations if id(e) not in ids for atom in e.inputs} | set(body.outputs)
    wanted: set[Atom] = set()
    moved: list[Equation] = []
    for equation in reversed(invariant):
        crosses = any(var in read for var in equation.outputs)
        needed = any(var in wanted for var in equation.outputs)
        if isinstance(equation.primitive.lower, View | Alias | Index) and not needed:
            if crosses:  # stays: what it reads crosses in its place
                read.update(equation.inputs)
            continue
        if not (needed or (crosses and _costs(equation))):
            if crosses:
                read.update(equation.inputs)
            continue
        wanted.update(equation.inputs)
        moved.append(equation)
    return moved[::-1]


def _harmless(equation: Equation) -> bool:
    """Whether it surely ends, and without an error."""
    lower, params = equation.primitive.lower, equation.params
    if params.get("cond") is not None or isinstance(lower, Bounded):
        return False
    if isinstance(lower, Kernel) and (lower.fails(**params) or lower.unbounded(**params)):
        return False
    return all(_harmless(inner) for program in equation.programs for inner in program.equations)


def _all_in(atoms: tuple[Atom, ...], known: set[Var]) -> bool:
    return all(not isinstance(atom, Var) or atom in known for atom in atoms)


def _costs(equation: Equation) -> bool:
    """Whether computing it anew costs more than loading it."""
    lower = equation.primitive.lower
    if isinstance(lower, Map):
        return lower.cost > 1 or not equation.outputs[0].type.shape
    return not isinstance(lower, View | Alias | Index)
