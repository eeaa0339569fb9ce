"""What a program becomes before it is text: regions that run one after another, and the storage they use.

Invariant: a region reads only what regions before it have stored.
Start at ``Nest``; ``fusion.py`` makes the list, ``storage.py`` gives every value its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.ir import Atom, Equation, Var
from staged_ad.ir.lowerings import ArgFold, Fold
from staged_ad.lowering.indexing import Affine, Condition, Index

if TYPE_CHECKING:
    from staged_ad.lowering.blocks import Block

# -- expressions: the nodes of a loop nest, in an order in which operands come first ------------------------------


@dataclass(frozen=True, slots=True)
class Load:
    """An element of a stored array; zero where `guard` fails."""

    array: Atom
    address: Affine
    guard: tuple[Condition, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Constant:
    value: Any
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Apply:
    """An elementwise operation on earlier nodes."""

    equation: Equation
    operands: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class OfIndex:
    """A function of the index (iota)."""

    equation: Equation
    index: Index
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Guarded:
    """`operand` where all conditions hold, else zero."""

    operand: int
    guard: tuple[Condition, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class Times:
    """The product inside an inline dot_general."""

    left: int
    right: int
    dtype: np.dtype[Any]


Node = Load | Constant | Apply | OfIndex | Guarded | Times

# -- results of a nest --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Store:
    """Writes a node to `array` at every point of the domain.

    `combine(code, old, new)`, where there is one, is what is written. Points that differ in the dimensions `ordered`
    may write one element, and do so one after another.
    """

    node: int
    array: Var
    address: Affine
    combine: Callable[..., Any] | None = None
    ordered: frozenset[int] = frozenset()


@dataclass(slots=True)
class Reduce:
    """Folds a node over the reduced dimensions into `array`; `position` is the index of an ArgFold."""

    node: int
    array: Var
    address: Affine
    rule: Fold | ArgFold
    position: Affine | None = None


@dataclass(slots=True)
class Nest:
    """Loops over `domain`, those in `reduced` summed over, with an expression graph and its results."""

    domain: tuple[int, ...]
    reduced: frozenset[int]
    nodes: list[Node] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    reduces: list[Reduce] = field(default_factory=list)

    @property
    def reads(self) -> list[Atom]:
        return list(dict.fromkeys(node.array for node in self.nodes if isinstance(node, Load)))

    @property
    def writes(self) -> list[Var]:
        arrays = [store.array for store in self.stores] + [reduce.array for reduce in self.reduces]
        return list(dict.fromkeys(arrays))


@dataclass(slots=True)
class Rows:
    """Nests that run one after another on `block` of `count` rows at a time.

    `widths` are the bytes of a row of arrays that have rows; those in `local` are in a buffer of one block.
    """

    nests: list[Nest]
    count: int
    block: int
    widths: dict[Atom, int]
    local: dict[Var, int]

    @property
    def reads(self) -> list[Atom]:
        reads = dict.fromkeys(atom for nest in self.nests for atom in nest.reads)
        return [atom for atom in reads if atom not in self.local]

    @property
    def writes(self) -> list[Var]:
        writes = dict.fromkeys(var for nest in self.nests for var in nest.writes)
        return [var for var in writes if var not in self.local]


@dataclass(slots=True)
class Matrix:
    """A stack of matrices inside a stored array, as BLAS wants it: rows `leading` elements apart."""

    array: Atom
    transposed: bool
    leading: int
    stack: int  # elements between matrices of the stack


@dataclass(slots=True)
class MatrixProduct:
    """C = A B for each of `count` stacked matrices, by BLAS."""

    m: int
    n: int
    k: int
    count: int
    a: Matrix
    b: Matrix
    result: Var

    @property
    def reads(self) -> list[Atom]:
        return [self.a.array, self.b.array]

    @property
    def writes(self) -> list[Var]:
        return [self.result]


@dataclass(slots=True)
class Copy:
    """The bytes of one stored value, for results that are something else too."""

    source: Atom
    target: Var

    @property
    def reads(self) -> list[Atom]:
        return [self.source]

    @property
    def writes(self) -> list[Var]:
        return [self.target]


@dataclass(slots=True)
class Opaque:
    """An equation that has a region of its own: a loop, a branch, a guard, a count of entries.

    `blocks` are the programs that it holds, as blocks of regions of their own; `plan` says where a loop or a
    branch keeps its values, `scratch` is its working memory.
    """

    equation: Equation
    blocks: list[Block] = field(default_factory=list)
    scratch: Var | None = None
    plan: Any = None

    @property
    def reads(self) -> list[Atom]:
        inner = [atom for block in self.blocks for atom in block.literals]
        return list(dict.fromkeys([*self.equation.inputs, *inner]))

    @property
    def writes(self) -> list[Var]:
        return [*self.equation.outputs, *([] if self.scratch is None else [self.scratch])]


Region = Nest | Rows | MatrixProduct | Copy | Opaque
