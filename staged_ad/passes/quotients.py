"""quotients: powers of two that are divided by one divisor again and again are multiplied by its reciprocal.

Derivatives of reciprocals and roots are full of these: ``1 / y``, ``0.5 / y``, ``-(1 / y) / y``. Other numerators stay:
zero times the reciprocal of a number below the least normal one would be NaN.

Invariant: results have the same limits; they differ by one more rounding, and where divisors or results are not normal.
Start at ``quotients``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from staged_ad.ir import ArrayType, Atom, Equation, Literal, Program, Var, filled
from staged_ad.ir.rewriting import Substitution
from staged_ad.primitives.arithmetic import div
from staged_ad.primitives.makers import mul, neg

_Divisor = tuple[Atom, ArrayType]
"""A divisor, and the type of the quotients."""
_LARGEST = 16.0
"""A power of two up to which, and from whose inverse on, no ratio of two overflows in any dtype."""


def quotients(program: Program) -> Program:
    groups: dict[_Divisor, list[Equation]] = {}
    divisors: dict[Atom, Atom] = {}  # of the quotients of powers of two
    for equation in program.equations:
        if equation.primitive is neg.primitive and equation.inputs[0] in divisors:
            divisors[equation.outputs[0]] = divisors[equation.inputs[0]]
        elif equation.primitive is div.primitive:
            numerator, divisor = equation.inputs
            if isinstance(divisor, Var) and (_power(equation) or divisors.get(numerator) is divisor):
                divisors[equation.outputs[0]] = divisor
                groups.setdefault(_divisor(equation), []).append(equation)
    shared = {k: _Reciprocal(group) for k, group in groups.items() if len(group) > 1 and any(map(_power, group))}
    if not shared:
        return program
    members = {equation.outputs[0] for divisor in shared for equation in groups[divisor]}
    names = Substitution()
    equations: list[Equation] = []
    for equation in program.equations:
        inputs = names.atoms(equation.inputs)
        if not equation.outputs or equation.outputs[0] not in members:
            equations.append(equation.with_inputs(inputs) if inputs != equation.inputs else equation)
            continue
        reciprocal = shared[_divisor(equation)]
        if power := _power(equation):
            names[equation.outputs[0]] = reciprocal.times(power, inputs[1], equations)
        else:
            factors = inputs[0], reciprocal.times(1.0, inputs[1], equations)
            equations.append(Equation(mul.primitive, factors, {}, equation.outputs, equation.source))
    return Program(program.inputs, tuple(equations), names.atoms(program.outputs), program.name)


class _Reciprocal:
    """The quotients of powers of two by one divisor: the least is a quotient, the others are multiples of it."""

    def __init__(self, group: Iterable[Equation]) -> None:
        self.first = min((equation for equation in group if _power(equation)), key=lambda e: abs(_power(e)))
        self.known: dict[float, Var] = {}

    def times(self, power: float, divisor: Atom, equations: list[Equation]) -> Var:
        """``power / divisor``; the equations that it takes are appended where it is not known yet."""
        least, type = _power(self.first), self.first.outputs[0].type
        if not self.known:
            self.known[least] = Var(type)
            pair = self.first.inputs[0], divisor
            equations.append(Equation(div.primitive, pair, {}, (self.known[least],), self.first.source))
        if power not in self.known:
            self.known[power] = Var(type)
            pair = self.known[least], filled(power / least, type)
            equations.append(Equation(mul.primitive, pair, {}, (self.known[power],), self.first.source))
        return self.known[power]


def _divisor(equation: Equation) -> _Divisor:
    return equation.inputs[1], equation.outputs[0].type


def _power(equation: Equation) -> float:
    """The power of two that is divided, with its sign; 0 if it is something else, or ratios of them might overflow."""
    numerator = equation.inputs[0]
    if not isinstance(numerator, Literal) or not numerator.is_splat or numerator.type.dtype.kind != "f":
        return 0.0
    value = float(numerator.value)
    return value if abs(math.frexp(value)[0]) == 0.5 and 1 / _LARGEST <= abs(value) <= _LARGEST else 0.0
