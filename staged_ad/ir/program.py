"""Programs: typed equations in static single assignment form.

Invariant: programs are immutable; every Var is assigned once, before it is used.
Start at ``Program``; ``verify`` (verify.py) checks the invariant, ``render`` (text.py) prints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from staged_ad.ir.digests import blake2b
from staged_ad.ir.ragged import empty_stack
from staged_ad.ir.types import ArrayType, type_of

if TYPE_CHECKING:
    from staged_ad.ir.primitive import Primitive


class Source(NamedTuple):
    """The user's file, line and function that an equation comes from."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


UNKNOWN = "an unknown place"


class Var:
    """A value computed by an equation or given as an input; equal only to itself."""

    __slots__ = ("type",)

    def __init__(self, type: ArrayType) -> None:
        self.type = type


class Literal:
    """A constant. A scalar `value` with a non-empty shape in `type` stands for an array filled with it."""

    __slots__ = ("type", "value")

    def __init__(self, value: Any, type: ArrayType | None = None) -> None:
        self.value = value
        self.type = type or type_of(value)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.type.dtype

    @property
    def is_splat(self) -> bool:
        return isinstance(self.value, np.generic)

    @property
    def array(self) -> Any:
        """The value with its full shape, read-only."""
        if self.value.shape == self.type.shape:
            return self.value
        if self.type.ragged:
            return empty_stack(self.type)
        return np.broadcast_to(self.value, self.type.shape)

    @property
    def key(self) -> Any:
        """Equal keys mean equal literals; large arrays are compared by identity."""
        if self.value.nbytes <= 1024:
            return self.value.tobytes(), self.value.shape, self.type
        return id(self.value), self.type


def filled(value: Any, type: ArrayType) -> Literal:
    """A literal of the given type in which every element is the scalar `value`."""
    return Literal(type.dtype.type(value), type)


Atom = Var | Literal


class Equation(NamedTuple):
    """``outputs = primitive[params] inputs``, written at `source`."""

    primitive: Primitive
    inputs: tuple[Atom, ...]
    params: Mapping[str, Any]
    outputs: tuple[Var, ...]
    source: Source | None = None

    @property
    def place(self) -> str:
        """Where it is written, for messages."""
        return str(self.source or UNKNOWN)

    @property
    def programs(self) -> Iterator[Program]:
        """The programs among the parameters: bodies of loops, branches, callees."""
        for value in self.params.values():
            if isinstance(value, Program):
                yield value
            elif isinstance(value, tuple):
                yield from (part for part in value if isinstance(part, Program))

    def with_programs(self, rewrite: Callable[[Program], Program]) -> Equation:
        """The equation with every program among its parameters rewritten."""

        def changed(value: Any) -> Any:
            if isinstance(value, Program):
                return rewrite(value)
            if isinstance(value, tuple):
                parts = [changed(part) for part in value]
                return value if _are_same(parts, value) else tuple(parts)
            return value

        params = {key: changed(value) for key, value in self.params.items()}
        if _are_same(params.values(), self.params.values()):
            return self
        return Equation(self.primitive, self.inputs, params, self.outputs, self.source)

    def with_inputs(self, inputs: Iterable[Atom]) -> Equation:
        return Equation(self.primitive, tuple(inputs), self.params, self.outputs, self.source)


def _are_same(new: Iterable[Any], old: Iterable[Any]) -> bool:
    return all(one is other for one, other in zip(new, old, strict=True))


@dataclass(frozen=True, eq=False)
class Program:
    """A function of typed arrays: ``inputs -> outputs``. Equal and hashed by content."""

    inputs: tuple[Var, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]
    name: str = field(default="f", compare=False)

    @property
    def input_types(self) -> list[ArrayType]:
        return [var.type for var in self.inputs]

    @property
    def output_types(self) -> list[ArrayType]:
        return [atom.type for atom in self.outputs]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the content that is the same in every process; names and sources do not count."""
        digest = blake2b(size=16)
        for piece in _content(self):
            digest.update(piece)
            digest.update(b"\0")
        return digest.hexdigest()

    def with_programs(self, rewrite: Callable[[Program], Program]) -> Program:
        """The program with every program that its equations hold rewritten."""
        equations = tuple([equation.with_programs(rewrite) for equation in self.equations])
        if _are_same(equations, self.equations):
            return self
        return Program(self.inputs, equations, self.outputs, self.name)

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """What transforms made of this program: programs in programs would be rewritten again at each level."""
        return {}

    def live(self, outputs: Sequence[bool]) -> set[Var]:
        """The variables that these outputs depend on, and those that effects do."""
        found = {atom for atom, flag in zip(self.outputs, outputs, strict=True) if flag and isinstance(atom, Var)}
        for equation in reversed(self.equations):
            if not equation.outputs or any(var in found for var in equation.outputs):
                found.update(atom for atom in equation.inputs if isinstance(atom, Var))
        return found

    def narrowed(self, inputs: Sequence[bool], outputs: Sequence[bool]) -> Program:
        """The program of these outputs alone, which must not depend on inputs that are left out."""
        live = self.live(outputs)
        kept = tuple(e for e in self.equations if not e.outputs or any(var in live for var in e.outputs))
        return Program(
            tuple(var for var, flag in zip(self.inputs, inputs, strict=True) if flag),
            kept,
            tuple(atom for atom, flag in zip(self.outputs, outputs, strict=True) if flag),
            self.name,
        )

    @cached_property
    def lean(self) -> Program:
        """The program without what no output needs."""
        every = [True] * len(self.inputs)
        found = self.narrowed(every, [True] * len(self.outputs))
        return self if len(found.equations) == len(self.equations) else found

    @cached_property
    def uses(self) -> Counter[Atom]:
        """How often each atom is read, by equations and as an output."""
        found = Counter(atom for equation in self.equations for atom in equation.inputs)
        found.update(self.outputs)
        return found

    @cached_property
    def last_uses(self) -> tuple[tuple[Var, ...], ...]:
        """For each equation, the variables that nothing needs after it."""
        needed = {atom for atom in self.outputs if isinstance(atom, Var)}
        uses: list[tuple[Var, ...]] = []
        for equation in reversed(self.equations):
            here = {atom for atom in (*equation.inputs, *equation.outputs) if isinstance(atom, Var)}
            uses.append(tuple(here - needed))
            needed |= here
        return tuple(reversed(uses))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Program) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __str__(self) -> str:
        from staged_ad.ir.text import render  # text.py needs Program, and printing is where it is needed

        return render(self)


def _param_content(value: Any) -> str:
    if isinstance(value, Program):
        return value.fingerprint
    if isinstance(value, tuple):
        return f"({','.join(map(_param_content, value))})"
    return repr(value)


def _content(program: Program) -> Iterator[bytes]:
    numbers: dict[Var, int] = {}

    def atom_text(atom: Atom) -> bytes:
        if isinstance(atom, Var):
            return b"%%%d" % numbers[atom]
        return f"{atom.type}:{atom.value.dtype}{atom.value.shape}=".encode() + atom.value.tobytes()

    def define(var: Var) -> bytes:
        numbers[var] = len(numbers)
        return str(var.type).encode()

    yield from map(define, program.inputs)
    for equation in program.equations:
        yield equation.primitive.name.encode()
        for key in sorted(equation.params):
            value = equation.params[key]
            yield f"{key}={_param_content(value)}".encode()
        yield from map(atom_text, equation.inputs)
        yield from map(define, equation.outputs)
    yield b"in"
    yield from map(atom_text, program.outputs)
