"""From a traced program to object code: passes, the text of a module, LLVM.

Invariant: the result depends on the program, this package and the processor alone.
Start at ``compiled_artifact``.
"""

from __future__ import annotations

import math

from staged_ad.ir import Program
from staged_ad.lowering.blocks import Block
from staged_ad.lowering.donation import successions
from staged_ad.lowering.module import Module, emit
from staged_ad.lowering.regions import MatrixProduct, Nest, Opaque, Rows
from staged_ad.native import llvm
from staged_ad.native.artifact import Artifact
from staged_ad.passes import optimize

QUICK = 2000
"""Points of all loops together up to which the GIL is kept: releasing it takes as long as running them."""


def compiled_artifact(program: Program, precise: bool) -> Artifact:
    """The object code of a program and what is needed to call it."""
    module = emit(optimize(program), precise)
    code = llvm.object_code(module.text)
    storage = module.storage
    return Artifact(
        code,
        outside_names(module, code),
        storage.constants,
        storage.workspace,
        _slow(module.block),
        module.failures,
        successions(module.block),
        module.symbols,
    )


def outside_names(module: Module, code: bytes) -> list[str]:
    """What the code of a module calls, save what only this process knows."""
    return [name for name in llvm.declared(module.text) if name not in module.symbols and name.encode() in code]


def _slow(block: Block) -> bool:
    if any(rule.unbounded(**equation.params) for rule, equation in block.kernels):
        return True
    points = 0.0
    for step in block.steps:
        match step.region:
            case MatrixProduct():
                return True
            case Nest() | Rows():
                points += sum(math.prod(plan.nest.domain) for plan in step.schedules)
            case Opaque() as region if region.equation.params.get("length", 0) is None or region.blocks[1:]:
                return True  # nobody knows how long it runs
            case _:
                points += step.cost
    return points > QUICK
