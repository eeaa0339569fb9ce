"""Latency: how many registers a value takes, so that results which wait for one another overlap with those of others.

Invariant: what is alive at once fits into the registers of the machine, as far as the order of the nodes tells.
Start at ``registers``.
"""

from __future__ import annotations

from collections.abc import Sequence

from staged_ad.ir.lowerings import Map
from staged_ad.lowering.regions import Apply, Constant, Guarded, Nest, Node, Times

INTERLEAVED = 200
"""Nodes in a body up to which a value takes four registers."""
CHAIN = 12
"""Operations one after another from which on a body waits for results more than it computes; of twice as many, more."""
REGISTERS = 32
"""Of vectors, which a body may use before it keeps values in memory."""
LONG = 8
"""Iterations that a loop must have left."""


def registers(nest: Nest, vector: int | None, lanes: int, varying: Sequence[bool]) -> int:
    """For vectors of `lanes`; `varying` says which nodes depend on the vector dimension."""
    if lanes == 1 or vector is None:
        return 1
    if _calls(nest) >= 2:
        wanted, longest = (4 if len(nest.nodes) <= INTERLEAVED else 2), max(nest.domain)
    else:
        chain, longest = _chain(nest.nodes, varying), nest.domain[vector]
        wanted = 4 if chain >= 2 * CHAIN else 2 if chain >= CHAIN else 1
        while wanted > 1 and _alive(nest, varying, wanted, vector in nest.reduced) > REGISTERS:
            wanted //= 2
    while wanted > 1 and longest < LONG * wanted * lanes:
        wanted //= 2
    return wanted


def _calls(nest: Nest) -> int:
    """How many mathematical functions, with a latency of many cycles, a body calls."""
    rules = [node.equation.primitive.lower for node in nest.nodes if isinstance(node, Apply)]
    return sum(isinstance(rule, Map) and rule.cost >= 20 for rule in rules)


def _operands(node: Node) -> tuple[int, ...]:
    match node:
        case Apply():
            return node.operands
        case Guarded():
            return (node.operand,)
        case Times():
            return node.left, node.right
        case _:
            return ()


def _chain(nodes: Sequence[Node], varying: Sequence[bool]) -> int:
    """The most operations of which each waits for the one before."""
    depths: list[int] = []
    for node, varies in zip(nodes, varying, strict=True):
        before = max((depths[k] for k in _operands(node)), default=0)
        depths.append(before + (varies and isinstance(node, Apply | Times)))
    return max(depths, default=0)


def _alive(nest: Nest, varying: Sequence[bool], wanted: int, summed: bool) -> int:
    """Registers for the values that are alive at once, each `wanted`, and for sums, one where they are `summed` up."""
    last = {k: number for number, node in enumerate(nest.nodes) for k in (*_operands(node), number)}
    alive = most = 0
    ending = [0] * len(nest.nodes)
    for number, varies in enumerate(varying):
        if varies and not isinstance(nest.nodes[number], Constant):
            alive += 1
            ending[last[number]] += 1
        most = max(most, alive)
        alive -= ending[number]
    return wanted * most + len(nest.reduces) * (1 if summed else wanted)
