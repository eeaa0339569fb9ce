"""Primitive: one operation of the language with all of its rules.

Invariant: everything the package knows of an operation stands in its one declaration.
Start at ``Primitive``; the makers in ``staged_ad/primitives/makers.py`` derive the usual rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

from staged_ad.errors import NotDifferentiableError
from staged_ad.ir.types import ArrayType

_FAMILIES = ("staged_ad.primitives", "staged_ad.control")
"""Packages whose modules declare primitives when they are imported."""


class _Declared(dict[str, "Primitive"]):
    """Primitives by their names. Many families are imported where they are needed; a name that none of them has
    declared so far, as in a program from another process, is looked for in all.
    """

    def __missing__(self, name: str) -> Primitive:
        from pkgutil import iter_modules  # most processes never need it

        for package in map(import_module, _FAMILIES):
            for module in iter_modules(package.__path__, f"{package.__name__}."):
                import_module(module.name)
        if name not in self:
            raise KeyError(name)
        return self[name]


PRIMITIVES = _Declared()
"""The primitives that are declared: what unpickling looks names up in."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Stands in a transpose rule for an operand that the operation is linear in."""

    type: ArrayType


class Pair(NamedTuple):
    """A complex value as its real and its imaginary part: what machine code computes with."""

    real: Any
    imag: Any


class Lowering:
    """Base of the ways in which a primitive becomes native code; see ``staged_ad/ir/lowerings.py``.

    ``computes`` says that it does arithmetic with its operands, which half precision does in single: tracing/halves.py.
    What only moves or chooses elements, and what holds programs, does none.
    """

    computes: bool = False


@dataclass(frozen=True, eq=False)
class Primitive:
    """One operation.

    name
        What the text form prints.
    abstract_eval
        ``(*types, **params) -> type``; checks what callers of the primitive must respect.
    evaluate
        ``(*arrays, **params) -> array`` with NumPy or SciPy: the meaning of the operation.
    jvp
        ``(primals, tangents, **params) -> (y, y_dot)``; a tangent of None is a symbolic zero.
    transpose
        ``(cotangent, inputs, **params) -> [cotangent of each input]``; linear inputs are ``Linear``,
        None stands for "no cotangent".
    batch
        ``(size, values, batched, **params) -> (y, y_batched)``; a batched value has the batch as axis 0.
    lower
        How it becomes native code.
    multiple_results
        Whether y is a sequence (of values, types, tangents, cotangents, flags).
    partial_eval
        Only for operations that hold programs: ``(equation, known) -> (equations before, equations after, variables
        known between them)``, or None where it cannot be split; see ``transforms/partial_eval.py``.
    prune
        Only for operations that hold programs: ``(equation, outputs used) -> equation`` without the outputs that
        nothing uses and what only they need.
    split
        ``(*operands, **params) -> y`` in real operations, where complex operands and results are ``Pair``; needed of
        operations on complex numbers that do more than move elements. See ``passes/complexes.py``.
    """

    name: str
    abstract_eval: Callable[..., Any]
    evaluate: Callable[..., Any]
    jvp: Callable[..., Any]
    transpose: Callable[..., Any]
    batch: Callable[..., Any]
    lower: Lowering
    multiple_results: bool = False
    partial_eval: Callable[..., Any] | None = None
    prune: Callable[..., Any] | None = None
    split: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if self.name in PRIMITIVES:
            raise ValueError(f"primitive {self.name} is declared twice")
        PRIMITIVES[self.name] = self

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str], Primitive], tuple[str]]:
        return _by_name, (self.name,)


def _by_name(name: str) -> Primitive:
    return PRIMITIVES[name]


def not_linear(name: str) -> Callable[..., Any]:
    """A transpose rule for operations that are linear in none of their operands."""

    def transpose(cotangent: Any, inputs: Sequence[Any], **params: Any) -> Any:
        raise NotDifferentiableError(f"{name} is not linear, so it cannot be transposed")

    return transpose
