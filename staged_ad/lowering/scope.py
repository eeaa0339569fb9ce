"""Places inside of loops and branches: cells, which become registers, memory on the stack, working memory.

Invariant: places are registers of the region's own function; loops.py and branches.py write what they stand for.
Start at ``Scope``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.control.regions import stacked_results
from staged_ad.ir import ArrayType, Atom, Literal, Var
from staged_ad.ir.types import RAGGED
from staged_ad.lowering.regions import Load, Nest, Opaque
from staged_ad.lowering.storage import ALIGNMENT, Place, nbytes, pack
from staged_ad.lowering.values import memory_type

if TYPE_CHECKING:
    from staged_ad.lowering.blocks import Block, Step

SMALL = 1024
"""Bytes up to which a temporary lies on the stack."""
STACK = 16384
"""Bytes of temporaries on the stack of one region."""


def is_cell(type: ArrayType) -> bool:
    """Whether a value is one number, which has a register."""
    return not type.ragged and type.size == 1


def cell_type(type: ArrayType) -> str:
    return memory_type(type.dtype)


@dataclass(slots=True)
class Scope:
    """The places of the values of some blocks inside of one function."""

    places: dict[Atom, Place] = field(default_factory=dict)
    allocas: list[str] = field(default_factory=list)
    work: int = 0
    stack: bool = True  # whether numbers and little arrays lie on the stack, rather than all in working memory

    def place(self, atom: Atom) -> Place:
        return self.places[atom]

    def keeps(self, type: ArrayType) -> bool:
        """Whether a value has a cell."""
        return self.stack and is_cell(type)

    def add_cell(self, name: str, type: ArrayType) -> None:
        self.allocas.append(f"  {name} = alloca {cell_type(type)}, align 8")

    def add_temporaries(self, block: Block, prefix: str) -> None:
        """Places for what the steps of a block write and nothing outside of it reads."""
        used = 0
        for step in block.steps:
            for var in step.writes:
                var = block.shared.get(var, var)
                if var in self.places:
                    continue
                size = nbytes(var.type)
                if not self.stack or size > SMALL or used + size > STACK:
                    continue
                name = f"%{prefix}{len(self.allocas)}"
                if is_cell(var.type):
                    self.add_cell(name, var.type)
                else:
                    used += size
                    self.allocas.append(f"  {name} = alloca [{max(size, 1)} x i8], align 64")
                self.places[var] = Place(name)
        self.work = max(self.work, pack(block.steps, self.places, "%work", block.shared))

    def add_literals(self, blocks: Iterable[Block]) -> list[Literal]:
        """Constant arrays that the blocks read; they come through the table, as ``%lit0, %lit1, ...``."""
        found = list(dict.fromkeys(atom for block in blocks for atom in block.literals))
        self.places.update((atom, Place(f"%lit{k}")) for k, atom in enumerate(found))
        return found


def scratch(bytes: int) -> Var | None:
    """The working memory of a region, as a value that lives while it runs."""
    return Var(ArrayType((bytes,), np.dtype("uint8"))) if bytes else None


def aligned(bytes: int) -> int:
    return -(-bytes // ALIGNMENT) * ALIGNMENT


def in_place(block: Block, before: Var, after: Var) -> bool:
    """Whether `after` may overwrite `before`: nothing reads that later, or at another index than is written."""
    if block.shared.get(before) is after:
        return True
    after = next((var for step in block.steps for var in step.writes if block.shared.get(var, var) is after), after)
    writer = None
    for number, step in enumerate(block.steps):
        if after in step.writes:
            if writer is not None:
                return False
            writer = number
    if writer is None:
        return False
    nest = block.steps[writer].region
    if not isinstance(nest, Nest) or nest.reduced:
        return False
    addresses = {store.address for store in nest.stores if store.array is after}
    if len(addresses) != 1 or any(reduce.array is after for reduce in nest.reduces):
        return False
    if any(before in step.reads for step in block.steps[writer + 1 :]):
        return False
    loads = [node for node in nest.nodes if isinstance(node, Load) and node.array is before]
    return all(load.address in addresses and not load.guard for load in loads)


def freed(block: Block) -> list[Var]:
    """Ragged arrays that an iteration makes and that nothing can reach after it."""
    outputs = set(block.outputs)
    made = [
        var
        for step in block.steps
        if isinstance(step.region, Opaque)
        for _, var in stacked_results(step.region.equation)
        if var.type.shape[0] == RAGGED and var not in outputs
    ]
    return [var for var in made if all(_only_reads(step, var) for step in block.steps if var in step.reads)]


def _only_reads(step: Step, var: Any) -> bool:
    region = step.region
    return isinstance(region, Opaque) and not any(out.type.ragged for out in region.equation.outputs)
