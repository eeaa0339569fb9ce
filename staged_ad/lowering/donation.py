"""Which outputs may be made in the memory of which inputs, if their arrays are given away.

Invariant: nothing is read from an array after another value was written there, save at the place of each point itself.
Start at ``successions``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import product

from staged_ad.ir import Atom, Var
from staged_ad.lowering.blocks import Block, Step
from staged_ad.lowering.overwriting import continued, harmless
from staged_ad.lowering.regions import Copy, Load, Nest, Store

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
    accesses: dict[int, _Accesses] = {}
    pairs = []
    for (k, output), (n, given) in product(outputs, enumerate(block.program.inputs)):
        if given.type == output.type and output in first and abs(k - n) < MOST:
            begun = first[output]
            if begun not in accesses:
                accesses[begun] = _Accesses(block.steps[begun], block.shared)
            if _follows(block, output, given, accesses[begun], begun, last.get(given, -1)):
                pairs.append((k, n))
    return sorted(pairs, key=lambda pair: abs(pair[0] - pair[1]))


class _Accesses:
    """What one step reads and writes, by arrays."""

    def __init__(self, step: Step, shared: dict[Var, Var]) -> None:
        region = step.region
        self.continued = {(a, shared.get(b, b)) for a, b in continued(region)}
        self.stores: dict[Atom, list[Store]] = defaultdict(list)
        self.loads: dict[Atom, list[Load]] = defaultdict(list)
        self.partial: set[Atom] = set()
        if isinstance(region, Nest):
            for store in region.stores:
                self.stores[shared.get(store.array, store.array)].append(store)
            for node in region.nodes:
                if isinstance(node, Load):
                    self.loads[node.array].append(node)
            self.partial = {shared.get(reduce.array, reduce.array) for reduce in region.reduces}


def _follows(block: Block, output: Var, given: Var, accesses: _Accesses, begun: int, done: int) -> bool:
    """Whether `given`, last read by step `done`, is not needed once step `begun` writes to `output`."""
    if done < begun:
        return True
    step = block.steps[begun]
    region = step.region
    if done == begun and isinstance(region, Nest):
        return not step.partials and _at_each_point(region, accesses, output, given)
    if (given, output) not in accesses.continued:
        return False
    if done == begun:
        return True
    following = block.steps[begun + 1].region
    if done > begun + 1 or not isinstance(region, Copy) or not isinstance(following, Nest):
        return False
    return following.writes == [region.target] and len(following.stores) == 1 and harmless(following, given)


def _at_each_point(nest: Nest, accesses: _Accesses, output: Var, given: Var) -> bool:
    """Whether a nest reads of `given` at each point only what is overwritten there, once."""
    stores = accesses.stores[output]
    addresses = {store.address for store in stores}
    return (
        output not in accesses.partial
        and not any(store.combine or store.ordered for store in stores)
        and math.prod(nest.domain) * len(addresses) == output.type.size
        and all(load.address in addresses and not load.guard for load in accesses.loads[given])
    )
