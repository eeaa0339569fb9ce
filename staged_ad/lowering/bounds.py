"""Bounds: checked indices by operations that have machine code.

Invariant: the indices that come out depend on the check, so nothing is read before it. Where code goes on behind a
check that failed, they are inside all the same.
Start at ``checked``.
"""

from __future__ import annotations

from staged_ad.ir import Atom, Equation, Program, Var, filled
from staged_ad.ir.lowerings import Bounded
from staged_ad.ir.rewriting import Substitution
from staged_ad.primitives.arithmetic import lt, maximum, minimum
from staged_ad.primitives.bounds import fits
from staged_ad.primitives.makers import add, select, zeros
from staged_ad.primitives.reductions import reduce_max, reduce_min
from staged_ad.primitives.shaping import broadcast
from staged_ad.tracing import building


def checked(program: Program, goes_on: bool) -> Program:
    """`program` with the least and the greatest index checked, and the size added to negative ones.

    `goes_on` says that what follows runs even where the check fails.
    """
    if not any(isinstance(equation.primitive.lower, Bounded) for equation in program.equations):
        return program
    names = Substitution()
    equations: list[Equation] = []
    for equation in program.equations:
        equation = equation.with_inputs(names.atoms(equation.inputs))
        if isinstance(equation.primitive.lower, Bounded):
            names[equation.outputs[0]] = _written(equation, equations, goes_on)
        else:
            equations.append(equation)
    return Program(program.inputs, tuple(equations), names.atoms(program.outputs), program.name)


def _written(equation: Equation, equations: list[Equation], goes_on: bool) -> Atom:
    (i,) = equation.inputs
    if not i.type.size:
        return i
    with building() as trace:
        trace.source = equation.source
        value = trace.add_input(i.type)
        every = tuple(range(value.ndim))
        low, high = (reduce_min(value, axes=every), reduce_max(value, axes=every)) if every else (value, value)
        size = fits(low, high, **equation.params)
        moved = add(value, broadcast(size, shape=value.shape, dims=()) if every else size)
        inside = select(lt(value, zeros(value.type)), moved, value)
        if goes_on:
            last = filled(max(equation.params["bound"] - 1, 0), value.type)
            inside = maximum(minimum(inside, last), zeros(value.type))
        part, _ = trace.finish([inside])
    inner = Substitution(zip(part.inputs, [i], strict=True))
    for new in part.equations:
        outputs = tuple([Var(var.type) for var in new.outputs])
        equations.append(Equation(new.primitive, inner.atoms(new.inputs), new.params, outputs, new.source))
        inner.update(zip(new.outputs, outputs, strict=True))
    return inner.atoms(part.outputs)[0]
