"""The text form of programs: what ``print(program)`` shows.

Invariant: every variable has one short name, given in order of appearance.
Start at ``render``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count, product
from typing import Any

import numpy as np

from staged_ad.ir.program import Atom, Equation, Literal, Program, Var
from staged_ad.ir.types import ArrayType

_LETTERS = "abcdefghijklmnopqrstuvwxyz"  # those of `string`, a module that is slow to load


class Names:
    """Gives each variable a name: a, b, ..., z, aa, ab, ..."""

    def __init__(self) -> None:
        self._fresh = ("".join(letters) for length in count(1) for letters in product(_LETTERS, repeat=length))
        self._known: dict[Var, str] = {}

    def of(self, atom: Atom) -> str:
        if isinstance(atom, Literal):
            return literal_text(atom)
        if atom not in self._known:
            self._known[atom] = next(self._fresh)
        return self._known[atom]

    def typed(self, var: Var) -> str:
        return f"{self.of(var)}:{var.type}"


def literal_text(literal: Literal) -> str:
    if literal.is_splat:
        return f"{literal.value.item()!r}" + (f":{literal.type}" if literal.type.shape else "")
    flat = np.asarray(literal.value).ravel()
    numbers = " ".join(f"{x:g}" for x in flat[:3])
    return f"<{literal.type} {numbers}{' ...' if flat.size > 3 else ''}>"


def param_text(value: Any) -> str:
    if isinstance(value, Program):
        return value.name
    if isinstance(value, tuple) and any(isinstance(part, Program | ArrayType) for part in value):
        return f"({','.join(map(param_text, value))})"
    return str(value).replace(" ", "")


def equation_text(equation: Equation, names: Names) -> str:
    params = ",".join(f"{key}={param_text(value)}" for key, value in equation.params.items())
    left = " ".join(map(names.typed, equation.outputs))
    right = " ".join([equation.primitive.name + (f"[{params}]" if params else ""), *map(names.of, equation.inputs)])
    text = f"{left} = {right}"
    if equation.source is None:
        return text
    return f"{text:<56}  # {os.path.basename(equation.source.file)}:{equation.source.line}"


def render(program: Program) -> str:
    """The whole program, sub-programs after it."""
    blocks = ["\n".join(_lines(program, Names()))]
    for inner in _inner_programs(program):
        blocks.append(f"{inner.name} = {render(inner)}")
    return "\n\n".join(blocks)


def _inner_programs(program: Program) -> Iterator[Program]:
    seen: set[str] = set()
    for equation in program.equations:
        for inner in equation.programs:
            if inner.fingerprint not in seen:
                seen.add(inner.fingerprint)
                yield inner


def _lines(program: Program, names: Names) -> Iterator[str]:
    yield f"{{ lambda {' '.join(map(names.typed, program.inputs))} . let"
    for equation in program.equations:
        yield "    " + equation_text(equation, names)
    yield f"  in ({', '.join(map(names.of, program.outputs))}) }}"
