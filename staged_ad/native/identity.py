"""The content of a program in a form that is the same in every process, to find its machine code again.

Constants count by their content, lines of the user's by which equations share one: error messages name lines, and
those of stored code are filled in from the program at hand.

Invariant: programs with equal keys have the same machine code, constants and places being matched by their numbers.
Start at ``identity``.
"""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

import numpy as np

from staged_ad.ir import ArrayType, Atom, Equation, Program, Source, Var
from staged_ad.ir.digests import blake2b
from staged_ad.ir.lowerings import Inlined


class NotStorableError(Exception):
    """A program that means something in this process alone, as one that calls a Python function does."""


@dataclass(frozen=True)
class Identity:
    """What a program is, and what its numbers stand for: constants and the user's lines, in order of appearance."""

    digest: str
    constants: tuple[np.ndarray[Any, Any] | np.generic, ...]
    sources: tuple[Source | None, ...]


def identity(program: Program) -> Identity | None:
    """The identity of a program; None where it holds what no other process has."""
    try:
        return _identity(program)
    except NotStorableError:
        return None


def _identity(program: Program) -> Identity:
    known: Identity | None = program.memo.get(Identity)
    if known is None:
        writer = _Writer()
        content = writer.program(program)
        try:
            text = marshal.dumps(content, 2)
        except ValueError:  # a number or a text of a class of the user's
            raise NotStorableError("a parameter") from None
        digest = blake2b(text, size=20).hexdigest()
        known = program.memo[Identity] = Identity(digest, tuple(writer.constants), tuple(writer.sources))
    return known


def content_of(value: Any) -> tuple[str, tuple[int, ...], bytes]:
    """What two arrays have in common if and only if they are equal bit for bit."""
    data = np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    return value.dtype.str, value.shape, blake2b(data, size=20).digest()


class _Writer:
    """Makes nested tuples of what marshal writes in one way only: numbers, text, bytes."""

    def __init__(self) -> None:
        self.constants: list[Any] = []
        self.sources: dict[Source | None, int] = {}
        self._vars: dict[Var, int] = {}
        self._literals: dict[int, int] = {}

    def program(self, program: Program) -> Any:
        inputs = [self._define(var) for var in program.inputs]
        equations = [self._equation(equation) for equation in program.equations]
        return inputs, equations, [self._atom(atom) for atom in program.outputs]

    def _equation(self, equation: Equation) -> Any:
        rule = equation.primitive.lower
        if isinstance(rule, Inlined):  # its parameters may be Python functions, which the callee does not need
            name, params = "", [self._nested(rule.program(equation))]
        else:
            name = equation.primitive.name
            params = [(key, self._value(equation.params[key])) for key in sorted(equation.params)]
        inputs = [self._atom(atom) for atom in equation.inputs]
        return name, params, inputs, [self._define(var) for var in equation.outputs], self._source(equation.source)

    def _nested(self, program: Program) -> Any:
        """A program by its digest, and which of this one's constants and lines are its own."""
        inner = _identity(program)
        constants = [self._constant(value) for value in inner.constants]
        return "program", inner.digest, constants, [self._source(source) for source in inner.sources]

    def _define(self, var: Var) -> Any:
        self._vars[var] = len(self._vars)
        return str(var.type)

    def _source(self, source: Source | None) -> int:
        return self.sources.setdefault(source, len(self.sources))

    def _atom(self, atom: Atom) -> Any:
        if isinstance(atom, Var):
            return self._vars[atom]
        return str(atom.type), self._constant(atom.value)

    def _constant(self, value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.dtype.str, value.tobytes()
        if id(value) not in self._literals:
            self._literals[id(value)] = len(self.constants)
            self.constants.append(value)
            return *content_of(value), self._literals[id(value)]
        return self._literals[id(value)]

    def _value(self, value: Any) -> Any:
        match value:
            case None | bool() | str() | bytes():
                return value
            case Enum():
                return "enum", str(type(value)), value.name
            case np.generic():
                return "number", value.dtype.str, value.tobytes()
            case int() | float() | complex():
                return type(value).__name__, value
            case np.ndarray():
                return "array", self._constant(value)
            case np.dtype():
                return "dtype", value.str
            case ArrayType():
                return "type", str(value)
            case Program():
                return self._nested(value)
            case Source():
                return "source", self._source(value)
            case slice():
                return "slice", self._items((value.start, value.stop, value.step))
            case tuple() | list():
                return type(value).__name__, self._items(value)
            case _ if is_dataclass(value) and not isinstance(value, type):
                return str(type(value)), self._items([getattr(value, field.name) for field in fields(value)])
            case _:
                raise NotStorableError(type(value).__name__)

    def _items(self, values: Sequence[Any]) -> list[Any]:
        return [self._value(value) for value in values]
