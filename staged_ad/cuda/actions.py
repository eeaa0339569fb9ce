"""Actions: what the host does for a program, one after another.

Invariant: an action names what it works on by places; where these are, the executor knows.
Start at ``Action``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from staged_ad.ir import Equation
from staged_ad.ir.program import Source
from staged_ad.lowering.plan import BranchPlan, LoopPlan
from staged_ad.lowering.regions import MatrixProduct
from staged_ad.lowering.storage import Place
from staged_ad.lowering.sweep_plan import SweepPlan


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel, and the addresses that it is given."""

    kernel: str
    total: int
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product of the library."""

    region: MatrixProduct
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """The bytes of one value, copied."""

    source: Place
    target: Place
    size: int


@dataclass(frozen=True, slots=True)
class Ask:
    """The host asks whether a guard has failed, and goes no further if so."""


@dataclass(frozen=True, slots=True)
class Outside:
    """An operation without kernels: it is computed by a library, from arrays to arrays."""

    equation: Equation
    operands: tuple[Place, ...]
    results: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """The larger of the numbers of entries of two ragged arrays."""

    operands: tuple[Place, Place]
    result: Place


@dataclass(frozen=True, slots=True)
class Repeat:
    """A loop: `test` says whether it goes on, where its length is not known; `body` is one iteration.

    `places` are those of its operands and results outside, by the names that they have inside.
    """

    plan: LoopPlan
    source: Source | str
    places: Mapping[str, Place]
    test: Sequence[Action]
    body: Sequence[Action]


@dataclass(frozen=True, slots=True)
class Choose:
    """One of several blocks runs, that whose number is at `index`."""

    plan: BranchPlan
    index: Place
    places: Mapping[str, Place]
    blocks: Sequence[Sequence[Action]]


@dataclass(frozen=True, slots=True)
class Retrace:
    """A run of a checkpointed loop: its programs by name run in the order of a table; `places` as those of a loop."""

    plan: SweepPlan
    places: Mapping[str, Place]
    blocks: Mapping[str, Sequence[Action]]


Action = Launch | Product | Move | Ask | Outside | Count | Repeat | Choose | Retrace


def all_actions(actions: Sequence[Action]) -> Iterator[Action]:
    """These, and those inside of loops and branches."""
    for action in actions:
        yield action
        match action:
            case Repeat():
                yield from all_actions([*action.test, *action.body])
            case Choose():
                yield from all_actions([inner for block in action.blocks for inner in block])
            case Retrace():
                yield from all_actions([inner for block in action.blocks.values() for inner in block])
            case _:
                pass
