"""The ways in which a primitive becomes native code: what its ``lower`` field holds.

Invariant: the code generator knows these classes, and no primitive by name.
Start at ``Map``: an elementwise operation is a scalar expression; the others are views and loops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from staged_ad.ir.primitive import Lowering


@dataclass(frozen=True)
class Map(Lowering):
    """Elementwise: ``emit(code, *scalars, **params) -> scalar``.

    ``cost`` is about the number of machine instructions per vector; above ``COSTLY`` it is not
    computed twice to save a store.
    """

    emit: Callable[..., Any]
    cost: int = 1


@dataclass(frozen=True)
class View(Lowering):
    """An index map: ``index(index, operand_type, **params) -> (index of operand, conditions)``.

    An index is a list of ``Affine`` (staged_ad/lowering/indexing.py); a condition ``(i, n)`` says that
    the element is zero unless ``0 <= i < n``.
    """

    index: Callable[..., Any]


@dataclass(frozen=True)
class Alias(Lowering):
    """reshape: the same elements in the same order."""


@dataclass(frozen=True)
class Pieces(Lowering):
    """concatenate: each operand is written where it ends up."""


@dataclass(frozen=True)
class Fold(Lowering):
    """A reduction over ``axes`` with an associative ``combine(code, a, b)`` from ``identity(dtype)``."""

    combine: Callable[..., Any]
    identity: Callable[[Any], Any]


@dataclass(frozen=True)
class ArgFold(Lowering):
    """argmax or argmin: a fold over pairs (value, index); ``better`` is the comparison that wins."""

    better: str


@dataclass(frozen=True)
class Product(Lowering):
    """dot_general: a matrix product, inline or through BLAS."""


@dataclass(frozen=True)
class Index(Lowering):
    """An element that is a function of its own index alone: ``emit(code, index, **params)``."""

    emit: Callable[..., Any]


@dataclass(frozen=True)
class Check(Lowering):
    """A guard: the body returns status ``number + 1`` when the operand differs from ``expected``."""


@dataclass(frozen=True)
class Loop(Lowering):
    """scan and while: a native loop around the code of the body."""


@dataclass(frozen=True)
class Branch(Lowering):
    """switch: the code of one of several programs runs."""


@dataclass(frozen=True)
class Sweep(Lowering):
    """A run of a checkpointed loop: a native loop over a table of actions."""


@dataclass(frozen=True)
class Entries(Lowering):
    """The number of entries of ragged arrays."""


@dataclass(frozen=True)
class Kernel(Lowering):
    """An operation on whole arrays with code of its own: ``emit(kernel, **params)`` writes it (lowering/kernels.py).

    It runs for each of ``items(*types, **params)`` items, such as the matrices of a stack, which do not depend on each
    other; one takes about ``cost`` nanoseconds and ``scratch`` bytes of working memory, given as functions likewise.

    `unbounded` says that nobody knows how long it runs; ``sequential(**params)``, that one thread must run all of them.
    """

    emit: Callable[..., None]
    items: Callable[..., int] = lambda *types, **params: 1
    scratch: Callable[..., int] = lambda *types, **params: 0
    cost: Callable[..., float] = lambda *types, **params: float(sum(type.size for type in types))
    unbounded: bool = False
    sequential: Callable[..., bool] = lambda **params: False


@dataclass(frozen=True)
class Inlined(Lowering):
    """Never lowered itself: a pass replaces it by ``program(equation)`` before."""

    program: Callable[..., Any]
