"""The ways in which a primitive becomes native code: what its ``lower`` field holds.

Invariant: the code generator knows these classes, and no primitive by name.
Start at ``Map``: an elementwise operation is a scalar expression; the others are views and loops.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from staged_ad.ir.primitive import Lowering


@dataclass(eq=False, repr=False)
class Map(Lowering):
    """Elementwise: ``emit(code, *scalars, **params) -> scalar``.

    ``cost`` is about the number of machine instructions per vector; above ``COSTLY`` it is not
    computed twice to save a store. ``absorbing``: zero times infinity or NaN is zero here, which takes masks.
    ``computes`` is False of what only chooses, converts or reads bits.
    """

    emit: Callable[..., Any]
    cost: int = 1
    absorbing: bool = False
    computes: bool = True


@dataclass(eq=False, repr=False)
class View(Lowering):
    """An index map: ``index(index, operand_type, **params) -> (index of operand, conditions)``.

    An index is a list of ``Affine`` (staged_ad/lowering/indexing.py); a condition ``(i, n)`` says that
    the element is zero unless ``0 <= i < n``. ``pads``: there may be such elements.
    """

    index: Callable[..., Any]
    pads: bool = False


@dataclass(eq=False, repr=False)
class Gather(Lowering):
    """Elements at computed places: ``place(index, positions, x, **params)`` is the index into the first operand.

    The other operands are arrays of positions, which lie along the first axes of the result.
    """

    place: Callable[..., Any]


@dataclass(eq=False, repr=False)
class Overwrite(Lowering):
    """The first operand with elements of the second written into it, in place where nothing reads it any more.

    `place` is that of a Gather whose result is the second operand; positions are the operands after it.
    ``combine(code, old, new, mode)`` is what is written where the operation has a `mode` parameter.
    """

    place: Callable[..., Any]
    combine: Callable[..., Any] | None = None


class Bounded(Lowering):
    """Indices that are checked; ``lowering/bounds.py`` writes them with other operations."""


class Alias(Lowering):
    """reshape: the same elements in the same order."""


class Pieces(Lowering):
    """concatenate: each operand is written where it ends up."""


@dataclass(eq=False, repr=False)
class Fold(Lowering):
    """A reduction over ``axes`` with an associative ``combine(code, a, b)`` from ``identity(dtype)``."""

    combine: Callable[..., Any]
    identity: Callable[[Any], Any]
    computes = True


@dataclass(eq=False, repr=False)
class ArgFold(Lowering):
    """argmax or argmin: a fold over pairs (value, index); ``better`` is the comparison that wins."""

    better: str
    computes = True


class Product(Lowering):
    """dot_general: a matrix product, inline or through BLAS."""

    computes = True


@dataclass(eq=False, repr=False)
class Index(Lowering):
    """An element that is a function of its own index alone: ``emit(code, index, **params)``."""

    emit: Callable[..., Any]


class Check(Lowering):
    """A guard: the body returns status ``number + 1`` when the operand differs from ``expected``."""


class Loop(Lowering):
    """scan and while: a native loop around the code of the body."""


class Branch(Lowering):
    """switch: the code of one of several programs runs."""


class Sweep(Lowering):
    """A run of a checkpointed loop: a native loop over a table of actions."""


class Entries(Lowering):
    """The number of entries of ragged arrays."""


@dataclass(eq=False, repr=False)
class Kernel(Lowering):
    """An operation on whole arrays with code of its own: ``emit(kernel, **params)`` writes it (lowering/kernels.py).

    It runs for each of ``items(*types, **params)`` items, such as the matrices of a stack, which do not depend on each
    other; one takes about ``cost`` nanoseconds and ``scratch`` bytes of working memory, given as functions likewise.
    ``interleaved`` says that its code knows complex numbers, and wants them as NumPy has them: passes/complexes.py.

    ``unbounded(**params)``: nobody knows how long it runs. ``sequential(**params)``: one thread must run all of them.
    ``fails(**params)``: it may raise an error.
    ``computes`` is False of functions of the user's, which want what they are given as it is.
    """

    emit: Callable[..., None]
    items: Callable[..., int] = lambda *types, **params: 1
    scratch: Callable[..., int] = lambda *types, **params: 0
    cost: Callable[..., float] = lambda *types, **params: float(sum(type.size for type in types))
    interleaved: bool = False
    unbounded: Callable[..., bool] = lambda **params: False
    sequential: Callable[..., bool] = lambda **params: False
    fails: Callable[..., bool] = lambda **params: False
    computes: bool = True


class Outside(Lowering):
    """Whole arrays in, whole arrays out, by `evaluate`: for targets that have no code for the operation."""


@dataclass(eq=False, repr=False)
class Inlined(Lowering):
    """Never lowered itself: a pass replaces it by ``program(equation)`` before."""

    program: Callable[..., Any]
