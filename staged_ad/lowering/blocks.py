"""Blocks: a program as steps that run one after another; the bodies of loops and branches are blocks of their own.

Invariant: what a block takes and gives has one place each, which its surroundings choose.
Start at ``make_block``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from staged_ad.ir import ArrayType, Atom, Equation, Literal, Program, Var
from staged_ad.ir.lowerings import Kernel, Loop, Sweep
from staged_ad.lowering.bounds import checked
from staged_ad.lowering.fusion import Fused, fuse
from staged_ad.lowering.indexing import Affine
from staged_ad.lowering.matrices import canonical
from staged_ad.lowering.overwriting import late, share
from staged_ad.lowering.plan import KernelPlan, plan_region
from staged_ad.lowering.regions import Copy, Load, MatrixProduct, Nest, Opaque, Reduce, Region, Rows
from staged_ad.lowering.reordering import reordered
from staged_ad.lowering.rows import grouped
from staged_ad.lowering.schedule import Schedule, by_rows, cost_per_point, pieces, schedule

TRIPS = 20
"""Iterations that a loop of unknown length is taken to have."""


@dataclass(slots=True)
class Step:
    """One region as it will run, and how each of its nests does."""

    region: Region
    schedules: list[Schedule] = field(default_factory=list)
    partials: dict[Var, Var] = field(default_factory=dict)

    @property
    def reads(self) -> list[Atom]:
        return self.region.reads

    @property
    def writes(self) -> list[Var]:
        return [self.partials.get(var, var) for var in self.region.writes]

    @property
    def cost(self) -> float:
        """Nanoseconds, roughly."""
        match self.region:
            case Nest() | Rows():
                return sum(
                    2 + math.prod(plan.nest.domain) * cost_per_point(plan.nest) / plan.lanes for plan in self.schedules
                )
            case MatrixProduct() as product:
                return 100 + 0.1 * product.m * product.n * product.k * product.count
            case Copy():
                return 2
            case Opaque(plan=KernelPlan() as kernel):
                return 5 + kernel.items * kernel.cost
            case Opaque() as opaque:
                inner = sum(block.cost for block in opaque.blocks)
                trips = opaque.equation.params.get("length") or TRIPS
                return 5 + inner * (trips if isinstance(opaque.equation.primitive.lower, Loop | Sweep) else 1)


@dataclass(slots=True)
class Block:
    """`outputs` are the variables whose storage is that of each output of the program.

    `shared` gives for values that are overwritten the last one in the same memory; inputs are among them where the
    surroundings may hand theirs over.
    """

    program: Program
    steps: list[Step]
    outputs: list[Var]
    fused: Fused
    shared: dict[Var, Var]

    @property
    def literals(self) -> Iterator[Literal]:
        """Constant arrays that its regions read."""
        for step in self.steps:
            for atom in step.reads:
                if isinstance(atom, Literal):
                    yield atom

    @property
    def cost(self) -> float:
        return sum(step.cost for step in self.steps)

    @property
    def kernels(self) -> Iterator[tuple[Kernel, Equation]]:
        """Its kernels and those of the blocks inside."""
        for step in self.steps:
            if isinstance(step.region, Opaque):
                lower = step.region.equation.primitive.lower
                if isinstance(lower, Kernel):
                    yield lower, step.region.equation
                for block in step.region.blocks:
                    yield from block.kernels


class Planner(Protocol):
    """How the regions of a program run on a target; `HOST` is that of the processor."""

    @property
    def stack(self) -> bool:
        """Whether the values of a block inside of another may lie on the stack."""

    @property
    def goes_on(self) -> bool:
        """Whether what follows runs even where a check has failed."""

    def grouped(self, regions: Sequence[Region], outputs: Sequence[Atom], /) -> list[Region]:
        """`regions`, some of which may have become one."""

    def steps(self, nest: Nest, /) -> list[Step]:
        """What runs for a nest."""

    def row_steps(self, rows: Rows, /) -> list[Step]:
        """What runs for nests that work on the same rows."""

    def pieces(self, equation: Equation, items: int, cost: float, /) -> int:
        """Into how many chunks the independent items of an equation are cut, of some nanoseconds each."""

    def inside(self, equation: Equation, /) -> Planner:
        """How the blocks of a loop or branch run."""


class Host:
    """Chunks for threads, and blocks of rows that stay in the cache."""

    stack = True
    goes_on = False

    def grouped(self, regions: Sequence[Region], outputs: Sequence[Atom]) -> list[Region]:
        return grouped(reordered(regions), outputs)

    def pieces(self, equation: Equation, items: int, cost: float) -> int:
        return pieces(items, cost)

    def steps(self, nest: Nest) -> list[Step]:
        plan = schedule(nest)
        return _summed(Step(plan.nest, [plan]))

    def row_steps(self, rows: Rows) -> list[Step]:
        return _summed(Step(rows, [by_rows(nest, rows.count, rows.block) for nest in rows.nests]))

    def inside(self, equation: Equation) -> Planner:
        return self


HOST = Host()


def make_block(program: Program, planner: Planner = HOST) -> Block:
    fused = fuse(late(canonical(checked(program, planner.goes_on))))
    mine = _temporaries(fused)
    regions = planner.grouped(fused.regions, [*fused.program.outputs, *fused.copies.values()])
    steps = [step for region in regions for step in _steps(region, mine, planner)]
    outputs = [fused.copies.get(k, atom) for k, atom in enumerate(fused.program.outputs)]
    shared = share(steps, program.inputs, outputs)  # type: ignore[arg-type]  # outputs that are no Var are copies
    return Block(fused.program, steps, outputs, fused, shared)  # type: ignore[arg-type]  # outputs that are no Var are copies


def _temporaries(fused: Fused) -> set[Atom]:
    """Values that one region writes, one reads, and nothing outside."""
    reads = Counter(atom for region in fused.regions for atom in region.reads)
    made: set[Atom] = {var for equation in fused.program.equations for var in equation.outputs}
    return {atom for atom, count in reads.items() if count == 1 and atom in made} - set(fused.program.outputs)


def _steps(region: Region, temporaries: set[Atom], planner: Planner) -> list[Step]:
    """A chunked reduction is followed by the sum of its partial results."""
    if isinstance(region, Opaque):
        inner = planner.inside(region.equation)
        region.blocks = [make_block(program, inner) for program in region.equation.programs]
        dies = bool(region.equation.inputs) and region.equation.inputs[0] in temporaries
        plan_region(region, dies, planner.pieces, inner.stack)
    match region:
        case Nest():
            return planner.steps(region)
        case Rows():
            return planner.row_steps(region)
        case _:
            return [Step(region)]


def _summed(step: Step) -> list[Step]:
    """The step, and those that add up what its chunks give."""
    folds = [(plan.chunks, fold) for plan in step.schedules if plan.partial for fold in plan.nest.reduces]
    for chunks, fold in folds:
        step.partials[fold.array] = Var(ArrayType((chunks, fold.array.type.size), fold.array.type.dtype))
    return [step, *(_joined(fold, step.partials[fold.array]) for _, fold in folds)]


def _joined(reduce: Reduce, partial: Var) -> Step:
    plan = schedule(joining(reduce, partial))
    plan.chunked, plan.chunks, plan.parallel = None, 1, False
    return Step(plan.nest, [plan])


def joining(reduce: Reduce, partial: Var) -> Nest:
    """The nest that adds up partial results."""
    chunks, kept = partial.type.shape
    load = Load(partial, Affine(0, ((0, kept), (1, 1))), (), partial.type.dtype)
    fold = Reduce(0, reduce.array, Affine(0, ((1, 1),)), reduce.rule)
    return Nest((chunks, kept), frozenset({0}), [load], [], [fold])
