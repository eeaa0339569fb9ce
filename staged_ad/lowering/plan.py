"""Plans of loops, branches and kernels: their operands and results in groups, and how each value is kept.

Invariant: a plan is made with the blocks, before anything around the region gets a place.
Start at ``plan_region``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from staged_ad.ir import ArrayType, Atom, Equation, Literal, Program, Var
from staged_ad.ir.lowerings import Branch, Kernel, Loop, Sweep
from staged_ad.lowering.regions import Opaque
from staged_ad.lowering.scope import Scope, aligned, in_place, scratch
from staged_ad.lowering.storage import ALIGNMENT, Place, nbytes
from staged_ad.lowering.sweep_plan import SweepPlan

if TYPE_CHECKING:
    from staged_ad.lowering.blocks import Block


Pieces = Callable[[Equation, int, float], int]
"""Into how many chunks the independent items of an equation are cut, of which each takes so many nanoseconds."""


def plan_region(region: Opaque, dies: bool, pieces: Pieces, stack: bool) -> None:
    """Set the plan and the working memory of a region whose blocks are made.

    `dies` says that the first operand is a temporary that nothing reads afterwards; `stack`, whether what lives in one
    run of a block may lie on the stack.
    """
    if isinstance(region.equation.primitive.lower, Loop):
        region.plan = _plan_loop(region, pieces, Scope(stack=stack))
        region.scratch = scratch(region.plan.bytes * region.plan.chunks)
    elif isinstance(region.equation.primitive.lower, Branch):
        region.plan = BranchPlan(region, Scope(stack=stack))
        region.scratch = scratch(region.plan.scope.work)
    elif isinstance(region.equation.primitive.lower, Sweep):
        region.plan = SweepPlan(region, stack)
        region.plan.overwrites = dies
        region.scratch = scratch(region.plan.bytes)
    elif isinstance(region.equation.primitive.lower, Kernel):
        region.plan = _plan_kernel(region.equation, region.equation.primitive.lower, pieces)
        region.scratch = scratch(region.plan.scratch * region.plan.chunks)


@dataclass(slots=True)
class LoopPlan:
    """Operands and results of a loop in their groups, and how each carry is kept: in a cell, in place, or by turns."""

    body: Block
    cond: Block | None
    count: Atom | None
    length: int | None
    reverse: bool
    consts: list[tuple[Var, Atom]]
    carry: list[tuple[Var, Atom]]
    xs: list[tuple[Var, Atom]]
    results: list[Var]
    trips: Var | None
    ys: list[Var]
    scope: Scope
    literals: list[Literal] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    buffers: list[int] = field(default_factory=list)
    chunks: int = 1
    chunk: int = 0
    distances: dict[str, int] = field(default_factory=dict)
    """Bytes from one entry of ``%x0`` to the next, if not its own."""

    @property
    def continued(self) -> list[tuple[Atom, Var]]:
        """Operands that may lie where results do: carries that are overwritten in place, and are nothing else."""
        operands = [atom for _, atom in (*self.consts, *self.carry, *self.xs)]
        return [
            (atom, result)
            for (_, atom), mode, result in zip(self.carry, self.modes, self.results, strict=True)
            if mode == "in place" and operands.count(atom) == 1
        ]

    @property
    def bytes(self) -> int:
        """Working memory of one chunk; the last of it says whether the loop goes on, where that has no cell."""
        test = 0 if self.scope.stack or self.cond is None else ALIGNMENT
        return aligned(self.scope.work) + sum(2 * aligned(size) for size in self.buffers) + test

    @property
    def x_types(self) -> list[ArrayType]:
        return [var.type for var, _ in self.xs]

    @property
    def y_types(self) -> list[ArrayType]:
        return [atom.type for atom in self.body.outputs[len(self.carry) :]]


def _plan_loop(region: Opaque, pieces: Pieces, scope: Scope) -> LoopPlan:
    equation = region.equation
    params, atoms, outputs = equation.params, list(equation.inputs), list(equation.outputs)
    if "cond" in params:
        cond, body = region.blocks
        first, second = params["cond_consts"], params["cond_consts"] + params["body_consts"]
        fixed = len(body.program.inputs) - (len(atoms) - second)
        moving = body.program.inputs[fixed:]
        consts = [*_pairs(cond.program, atoms[:first]), *_pairs(body.program, atoms[first:second])]
        carries = len(moving)
        plan = LoopPlan(
            body, cond, None, None, False, consts, list(zip(moving, atoms[second:], strict=True)), [],
            outputs[:carries], outputs[carries], outputs[carries + 1 :], scope,
        )  # fmt: skip
    else:
        (body,) = region.blocks
        length, carries = params["length"], params["carries"]
        count = atoms.pop(0) if length is None else None
        first, second = params["consts"], params["consts"] + carries
        inputs = body.program.inputs
        plan = LoopPlan(
            body, None, count, length, params["reverse"],
            list(zip(inputs[:first], atoms[:first], strict=True)),
            list(zip(inputs[first:second], atoms[first:second], strict=True)),
            list(zip(inputs[second:], atoms[second:], strict=True)),
            outputs[:carries], None, outputs[carries:], scope,
        )  # fmt: skip
    _place(plan)
    alone = any(rule.sequential(**equation.params) for rule, equation in plan.body.kernels)
    if not plan.carry and plan.length and plan.length > 1 and not alone:
        plan.chunk = -(-plan.length // pieces(equation, plan.length, plan.body.cost))
        plan.chunks = -(-plan.length // plan.chunk)
    return plan


def _pairs(program: Program, atoms: list[Atom]) -> list[tuple[Var, Atom]]:
    return list(zip(program.inputs, atoms, strict=False))


def _place(plan: LoopPlan) -> None:
    scope, places = plan.scope, plan.scope.places
    blocks = [plan.body] if plan.cond is None else [plan.cond, plan.body]
    plan.literals = scope.add_literals(blocks)
    places.update((var, Place(f"%const{k}")) for k, (var, _) in enumerate(plan.consts))
    for k, (var, _) in enumerate(plan.carry):
        after = plan.body.outputs[k]
        if scope.keeps(var.type):
            plan.modes.append("cell")
            places[var], places[after] = Place(f"%carry{k}"), Place(f"%next{k}")
            scope.add_cell(f"%carry{k}", var.type)
            scope.add_cell(f"%next{k}", var.type)
        elif in_place(plan.body, var, after):
            plan.modes.append("in place")
            places[var] = places[after] = Place(f"%out{k}")
        else:
            plan.modes.append("turns")
            plan.buffers.append(nbytes(var.type))
            places[var], places[after] = Place(f"%in{k}"), Place(f"%to{k}")
        if plan.cond is not None:
            tested = plan.cond.program.inputs[len(plan.cond.program.inputs) - len(plan.carry) + k]
            places[tested] = places[var]
    places.update((var, Place(f"%x{k}")) for k, (var, _) in enumerate(plan.xs))
    places.update((var, Place(f"%y{k}")) for k, var in enumerate(plan.body.outputs[len(plan.carry) :]))
    if plan.cond is not None:
        places[plan.cond.outputs[0]] = Place("%going")
        if scope.stack:
            scope.add_cell("%going", plan.cond.outputs[0].type)
        scope.add_temporaries(plan.cond, "test")
    scope.add_temporaries(plan.body, "temp")


class BranchPlan:
    """The places of all branches; their working memories are one."""

    def __init__(self, region: Opaque, scope: Scope) -> None:
        self.scope = scope
        self.literals: list[Literal] = self.scope.add_literals(region.blocks)
        for number, block in enumerate(region.blocks):
            self.scope.places.update((var, Place(f"%operand{k}")) for k, var in enumerate(block.program.inputs))
            self.scope.places.update((var, Place(f"%result{k}")) for k, var in enumerate(block.outputs))
            self.scope.add_temporaries(block, f"temp{number}.")


@dataclass(frozen=True, slots=True)
class KernelPlan:
    """How the items of a kernel are shared out, and the bytes of working memory of each chunk."""

    items: int
    cost: float
    chunks: int
    chunk: int
    scratch: int


def _plan_kernel(equation: Equation, rule: Kernel, pieces: Pieces) -> KernelPlan:
    types = [atom.type for atom in equation.inputs]
    items, cost = rule.items(*types, **equation.params), rule.cost(*types, **equation.params)
    chunk = -(-items // pieces(equation, items, cost))
    chunks = -(-items // chunk) if items else 1
    return KernelPlan(items, cost, chunks, chunk, aligned(rule.scratch(*types, **equation.params)))
