"""Random functions written with if, while, for and early returns, dual numbers to differentiate them by, and jit
without machine code.

Invariant: values stay below 10; nothing here uses the derivatives under test.
Start at ``branching_functions``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from staged_ad.ir import Program, evaluate, type_of, verify
from staged_ad.lowering import compiled

# -- functions ------------------------------------------------------------------------------------------------------

EXPRESSIONS = [
    "np.sin({a} * {b})",
    "np.sin({a}) + 0.5 * np.cos({b})",
    "1.5 * np.cos({a} - {c})",
    "{a} * {b} / (1 + {a} * {a})",
    "0.5 * ({a} + {b})",
    "{c} - {a}",
    "min({a}, {b})",
    "max({a}, {b}, {c})",
    "sorted([{a}, {b}, {c}])[1]",
    "({a} if {a} < {b} else 2 * {b})",
]
CONDITIONS = [
    "{a} < {b}",
    "{a} > {c}",
    "not {a} <= {b}",
    "{c} < {a} < {d}",
    "{a} < {b} and {b} > {c}",
    "{a} >= {c} or {b} < {d}",
    "{a} - {c}",
    "any([{a} > {c}, {b} > {d}])",
    "not ({a} > {c} and not {b} != {d})",
]


@dataclass(frozen=True)
class BranchingFunction:
    """A function of one number as the text of its body."""

    lines: tuple[str, ...]

    @property
    def source(self) -> str:
        body = "".join(f"    {line}\n" for line in self.lines)
        return f"def f(x):\n    y = np.sin(x)\n    z = x * x\n{body}    return x + y * z\n"

    @cached_property
    def function(self) -> Callable[[Any], Any]:
        scope: dict[str, Any] = {"np": np}
        exec(compile(self.source, "<random function>", "exec"), scope)
        return scope["f"]  # type: ignore[no-any-return]

    def __call__(self, x: Any) -> Any:
        return self.function(x)

    def __repr__(self) -> str:
        return f"\n{self.source}"


constants = st.sampled_from([-0.9, -0.4, 0.1, 0.3, 0.7, 1.2])


@st.composite
def blocks(draw: st.DrawFn, depth: int) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        lines += draw(statements(depth))
    return lines


@st.composite
def statements(draw: st.DrawFn, depth: int) -> list[str]:
    a, b = draw(st.sampled_from([("x", "y"), ("y", "z"), ("z", "x"), ("y", "x"), ("z", "y")]))
    names = {"a": a, "b": b, "c": draw(constants), "d": draw(constants)}
    expression = draw(st.sampled_from(EXPRESSIONS)).format(**names)
    condition = draw(st.sampled_from(CONDITIONS)).format(**names)
    target = draw(st.sampled_from("yz"))
    kind = draw(st.sampled_from(["set", "if", "while", "for", "return"] if depth else ["set", "return"]))
    inside = [f"    {line}" for line in draw(blocks(depth - 1))] if depth else []
    match kind:
        case "set":
            return [f"{target} = {expression}"]
        case "if":
            other = [f"    {line}" for line in draw(blocks(depth - 1))]
            return [f"if {condition}:", *inside, "else:", *other]
        case "while":
            return [f"n{depth} = 0", f"while n{depth} < 3 and ({condition}):", *inside, f"    n{depth} += 1"]
        case "for":
            return [f"for _ in range(int(1.5 + 1.5 * np.sin({a}))):", *inside]
        case _:
            return [f"if {condition}:", f"    return {expression}"]


def branching_functions() -> st.SearchStrategy[BranchingFunction]:
    return blocks(2).map(lambda lines: BranchingFunction(tuple(lines)))


# -- dual numbers ---------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Dual:
    """``value + slope e`` with e * e = 0; parts may be dual themselves. `gaps`: how far comparisons were from equal."""

    value: Any
    slope: Any
    gaps: list[float] = field(default_factory=list)

    def _with(self, value: Any, slope: Any) -> Dual:
        return Dual(value, slope, self.gaps)

    def __add__(self, other: Any) -> Dual:
        value, slope = parts(other)
        return self._with(self.value + value, self.slope + slope)

    def __mul__(self, other: Any) -> Dual:
        value, slope = parts(other)
        return self._with(self.value * value, self.slope * value + self.value * slope)

    def __truediv__(self, other: Any) -> Dual:
        value, slope = parts(other)
        return self._with(self.value / value, (self.slope * value - self.value * slope) / (value * value))

    def __sub__(self, other: Any) -> Dual:
        return self + (-1.0) * other

    def __rsub__(self, other: Any) -> Dual:
        return (-1.0) * self + other

    __radd__, __rmul__ = __add__, __mul__

    def sin(self) -> Dual:  # what np.sin calls
        return self._with(np.sin(self.value), np.cos(self.value) * self.slope)

    def cos(self) -> Dual:
        return self._with(np.cos(self.value), np.sin(self.value) * self.slope * -1.0)

    def _gap(self, other: Any) -> float:
        gap = real(self) - real(other)
        if self is not other:
            self.gaps.append(abs(gap))
        return gap

    def __lt__(self, other: Any) -> bool:
        return self._gap(other) < 0

    def __le__(self, other: Any) -> bool:
        return self._gap(other) <= 0

    def __gt__(self, other: Any) -> bool:
        return self._gap(other) > 0

    def __ge__(self, other: Any) -> bool:
        return self._gap(other) >= 0

    def __ne__(self, other: object) -> bool:
        return self._gap(other) != 0

    def __bool__(self) -> bool:
        return self._gap(0.0) != 0

    def __int__(self) -> int:
        value = real(self)
        self.gaps.append(abs(value - round(value)))
        return int(value)


def parts(x: Any) -> tuple[Any, Any]:
    return (x.value, x.slope) if isinstance(x, Dual) else (x, 0.0)


def real(x: Any) -> float:
    while isinstance(x, Dual):
        x = x.value
    return float(x)


def derivatives(f: Callable[[Any], Any], x: float) -> tuple[float, float, float] | None:
    """The value of `f` and its first two derivatives; None where rounding might decide what Python does."""
    gaps: list[float] = []
    inner = Dual(x, 1.0, gaps)
    value, slope = parts(f(Dual(inner, Dual(1.0, 0.0, gaps), gaps)))
    found = real(value), real(slope), real(parts(slope)[1])
    return found if min(gaps, default=1.0) > 1e-6 and max(map(abs, found)) < 1e4 else None


# -- jit without machine code ---------------------------------------------------------------------------------------


Verdict = Callable[[int, Any, Any], Any]
"""What machine code sees: the number of a guard, what it expects, what NumPy finds -> what is found."""


class Interpreted:
    """Stands for Compiled: runs the program with NumPy, and returns a status where a guard fails."""

    def __init__(self, program: Program, sees: Verdict) -> None:
        verify(program)
        guards = [equation for equation in program.equations if equation.primitive.name == "guard"]
        rest = tuple(equation for equation in program.equations if equation.primitive.name != "guard")
        operands = tuple(equation.inputs[0] for equation in guards)
        self.program = program
        self.types = program.input_types
        self.runs = 0
        self._guards = [(equation.params["number"], equation.params["expected"]) for equation in guards]
        self._all = Program(program.inputs, rest, (*program.outputs, *operands))
        self._sees = sees

    def run(self, *values: Any) -> Any:
        self.runs += 1
        count = len(self.program.outputs)
        results = evaluate(self._all, *values)
        for (number, expected), found in zip(self._guards, results[count:], strict=True):
            if self._sees(number, expected, found) != expected:
                return number + 1
        return results[0] if count == 1 else tuple(results[:count])

    def entry(self, kinds: Sequence[type], donated: Collection[int]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if tuple(map(type, args)) != tuple(kinds) or list(map(type_of, args)) != self.types:
                return NotImplemented
            return self.run(*args)

        return call


def as_numpy_does(number: int, expected: Any, found: Any) -> Any:
    return found


@contextmanager
def interpreted(sees: Verdict = as_numpy_does) -> Iterator[list[Interpreted]]:
    """Within it, jit makes no machine code; gives the list of what it makes instead."""
    made: list[Interpreted] = []

    def compile_program(program: Program, precise: bool) -> Interpreted:
        made.append(Interpreted(program, sees))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "compile_program", compile_program)
        yield made


def assert_near(found: Any, expected: float) -> None:
    assert math.isclose(float(found), expected, rel_tol=1e-8, abs_tol=1e-8), (found, expected)
