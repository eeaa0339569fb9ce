"""Which outputs may be made in the memory of which inputs, if their arrays are given away.

Invariant: nothing is read from an array after another value was written there, save at the place of each point itself.
Start at ``successions``.
"""

from __future__ import annotations

import math
from itertools import product

from staged_ad.ir import Atom, Var
from staged_ad.lowering.blocks import Block, Step
from staged_ad.lowering.overwriting import continued, harmless
from staged_ad.lowering.regions import Copy, Load, Nest

MOST = 64
"""Outputs and inputs of one type that are compared, each with each."""


def successions(block: Block) -> list[tuple[int, int]]:
    """Pairs of an output and an input of one type that may have one place, those of equal position first."""
    first: dict[Var, int] = {}
    last: dict[Atom, int] = {}
    for number, step in enumerate(block.steps):
        last.update((atom, number) for atom in step.reads)
        for var in step.writes:
            first.setdefault(block.shared.get(var, var), number)
    outputs = [(k, block.shared.get(var, var)) for k, var in enumerate(block.outputs)]
    pairs = [
        (k, n)
        for (k, output), (n, given) in product(outputs, enumerate(block.program.inputs))
        if given.type == output.type and output in first and abs(k - n) < MOST
        if _follows(block, output, given, first[output], last.get(given, -1))
    ]
    return sorted(pairs, key=lambda pair: abs(pair[0] - pair[1]))


def _follows(block: Block, output: Var, given: Var, begun: int, done: int) -> bool:
    """Whether `given`, last read by step `done`, is not needed once step `begun` writes to `output`."""
    if done < begun:
        return True
    step = block.steps[begun]
    region = step.region
    if done == begun and isinstance(region, Nest):
        return _at_each_point(step, region, block.shared, output, given)
    if not any(a is given and block.shared.get(b, b) is output for a, b in continued(region)):
        return False
    if done == begun:
        return True
    following = block.steps[begun + 1].region
    if done > begun + 1 or not isinstance(region, Copy) or not isinstance(following, Nest):
        return False
    return following.writes == [region.target] and len(following.stores) == 1 and harmless(following, given)


def _at_each_point(step: Step, nest: Nest, shared: dict[Var, Var], output: Var, given: Var) -> bool:
    """Whether a nest reads of `given` at each point only what is overwritten there, once."""
    if step.partials or any(shared.get(reduce.array, reduce.array) is output for reduce in nest.reduces):
        return False
    stores = [store for store in nest.stores if shared.get(store.array, store.array) is output]
    addresses = {store.address for store in stores}
    loads = [node for node in nest.nodes if isinstance(node, Load) and node.array is given]
    return (
        not any(store.combine or store.ordered for store in stores)
        and math.prod(nest.domain) * len(addresses) == output.type.size
        and all(load.address in addresses and not load.guard for load in loads)
    )
