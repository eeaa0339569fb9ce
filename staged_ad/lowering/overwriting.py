"""Arrays that are written into: how they begin, what is read before, and which share one place.

A scatter or update becomes a copy of its first operand and a nest that stores into it. Where nothing reads the operand
afterwards, both have one place, and the copy is none: so a chain of assignments works on one array. Overwriting comes
as late as it can, and what is read of the old array and needed later is stored before.

Invariant: what a nest writes into it does not read, except at the place of each point itself.
Start at ``late`` for the order of equations, ``share`` for the places.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from staged_ad.ir import Atom, Equation, Literal, Program, Var
from staged_ad.ir.lowerings import Overwrite
from staged_ad.lowering.indexing import flat, identity, squeezed
from staged_ad.lowering.regions import Constant, Copy, Load, Nest, Region, Store
from staged_ad.lowering.storage import nbytes

if TYPE_CHECKING:
    from staged_ad.lowering.blocks import Step


LONGEST = 200
"""Operations from which on nobody looks whether an expression may be written where it reads."""
LARGE = 1 << 19
"""Bytes from which a result goes where an operand lies: then it need not be brought into the cache."""


def overwrites(equation: Equation) -> bool:
    return isinstance(equation.primitive.lower, Overwrite)


# -- the order of equations ---------------------------------------------------------------------------------------


def late(program: Program) -> Program:
    """`program` with every overwriting equation just before the first that needs it; the others keep their order."""
    equations = program.equations
    if not any(map(overwrites, equations)):
        return program
    makers = {var: number for number, e in enumerate(equations) if overwrites(e) for var in e.outputs}
    waiting = dict.fromkeys(makers.values(), 0)
    for equation in equations:
        for atom in equation.inputs:
            if atom in makers:
                waiting[makers[atom]] += 1
    ready = [-number for number, count in waiting.items() if not count]
    heapq.heapify(ready)
    rest = [number for number, equation in enumerate(equations) if not overwrites(equation)]
    order: list[Equation] = []  # from the last to the first
    while ready or rest:
        equation = equations[-heapq.heappop(ready) if ready else rest.pop()]
        order.append(equation)
        for atom in equation.inputs:
            if atom in makers:
                maker = makers[atom]
                waiting[maker] -= 1
                if not waiting[maker]:
                    heapq.heappush(ready, -maker)
    return Program(program.inputs, tuple(reversed(order)), program.outputs, program.name)


# -- what must be stored ------------------------------------------------------------------------------------------


def read_too_late(equations: Sequence[Equation], stored: set[Var]) -> Iterator[Var]:
    """Expressions that read an array before it is overwritten, and would be computed after it is."""
    overwritten = {e.inputs[0]: number for number, e in enumerate(equations) if overwrites(e)}
    reads: dict[Atom, set[Atom]] = {}
    made: dict[Atom, int] = {}
    for number, equation in enumerate(equations):
        found: set[Atom] = set()
        for atom in dict.fromkeys(equation.inputs):
            sources = reads.get(atom, set()) if atom not in stored else set()
            lost = any(made[atom] < overwritten[x] < number and atom.type.size < x.type.size for x in sources)
            if lost and isinstance(atom, Var):
                yield atom
            else:
                found |= sources
            if atom in overwritten:
                found.add(atom)
        for var in equation.outputs:
            made[var] = number
            if found:
                reads[var] = found


def read_while_written(equation: Equation, definitions: Mapping[Var, Equation], stored: set[Var]) -> Iterator[Atom]:
    """Operands of an overwriting equation whose expressions read the array that it writes."""
    x, u, *indices = equation.inputs
    if u.type.size <= 1 or isinstance(x, Literal):
        return
    for operand in (u, *indices):
        pending, seen = [operand], set[Atom]()
        while pending:
            atom = pending.pop()
            if atom is x:
                yield operand
                break
            definition = definitions.get(atom) if isinstance(atom, Var) and atom not in seen else None
            seen.add(atom)
            if definition is not None and (atom not in stored or atom is operand):
                pending += definition.inputs


def is_long(equation: Equation, definitions: Mapping[Var, Equation], stored: set[Var]) -> bool:
    """Whether what an overwriting equation writes is an expression of very many operations."""
    pending, seen = list(equation.inputs[1:]), set[Atom]()
    while pending and len(seen) <= LONGEST:
        atom = pending.pop()
        definition = definitions.get(atom) if isinstance(atom, Var) and atom not in seen else None
        if definition is not None and (atom not in stored or atom in equation.inputs):
            seen.add(atom)
            pending += definition.inputs
    return len(seen) > LONGEST


def harmless(nest: Nest, array: Atom) -> bool:
    """Whether a nest that writes one array may do so where `array`, which it reads, lies."""
    loads = [node for node in nest.nodes if isinstance(node, Load) and node.array is array]
    if not loads or math.prod(nest.domain) == 1:
        return True
    (store,) = nest.stores
    return not store.ordered and all(load.address == store.address and not load.guard for load in loads)


# -- regions ------------------------------------------------------------------------------------------------------


def beginning(equation: Equation) -> Copy | Nest:
    """What gives the result of an overwriting equation the elements of its first operand."""
    x, (result,) = equation.inputs[0], equation.outputs
    if not isinstance(x, Literal) or not x.is_splat:
        return Copy(x, result)
    shape = result.type.shape
    fill = Store(0, result, flat(identity(shape), shape))
    return Nest(squeezed(shape), frozenset(), [Constant(x.value, x.type.dtype)], [fill])


def continued(region: Region) -> list[tuple[Atom, Var]]:
    """Operands that a region turns into results, in the same memory where nothing else reads them."""
    if isinstance(region, Copy):
        return [] if region.target.type.ragged else [(region.source, region.target)]
    if isinstance(region, Nest):
        return list(_point_by_point(region))
    return getattr(getattr(region, "plan", None), "continued", [])


def _point_by_point(nest: Nest) -> Iterator[tuple[Atom, Var]]:
    """Large arrays that are read at the very places where a result of their size is written."""
    for store in nest.stores:
        if nbytes(store.array.type) < LARGE or store.combine or store.ordered:
            continue
        for array in nest.reads:
            loads = [node for node in nest.nodes if isinstance(node, Load) and node.array is array]
            if array.type == store.array.type and all(x.address == store.address and not x.guard for x in loads):
                yield array, store.array
                break


def share(steps: Sequence[Step], inputs: Sequence[Var], outputs: Sequence[Var]) -> dict[Var, Var]:
    """For each value that another continues in the same memory, the last one of them.

    An input may be among them: then it depends on the surroundings whether its memory can be had.
    """
    last: dict[Atom, int] = {}
    for number, step in enumerate(steps):
        last.update((atom, number) for atom in step.reads)
    local = {var for step in steps for var in step.writes} | set(inputs)
    followers: dict[Var, Var] = {}
    begun: set[Var] = set()
    for number, step in enumerate(steps):
        for source, target in continued(step.region):
            if not isinstance(source, Var) or source not in local or source in outputs or source in followers:
                continue
            if isinstance(step.region, Nest) and (source in inputs or target in begun):
                continue
            following = steps[number + 1].region if number + 1 < len(steps) else None
            allowed = number
            if isinstance(step.region, Copy) and isinstance(following, Nest) and target in following.writes:
                allowed += harmless(following, source)
            if last[source] <= allowed:
                followers[source] = target
                begun.add(target)
        begun.update(step.writes)
    roots: dict[Var, Var] = {}
    for source in reversed(followers):  # a target is followed later than its source
        roots[source] = roots.get(followers[source], followers[source])
    return roots
