"""Values that are zero unless an equality holds: what a sum over such values skips.

The derivative of a minimum, ``x == min(x)`` times a tangent, is zero nearly everywhere; so is ``labels == k`` times
anything. An equality of numbers rarely holds, so where it is the same for all lanes of a vector, a branch costs less
than the terms that it saves.

Invariant: what is skipped is zero, not merely small: a factor whose zero could meet infinity or NaN does not count.
Start at ``RareCode``, which remembers such values; ``skipping`` writes the branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.ir.types import BOOL
from staged_ad.lowering.code import Code
from staged_ad.lowering.values import Instruction, Value

WORTH = 6
"""Instructions from which a branch around them pays."""


class RareCode(Code):
    """Code that knows of a value, by its register, the condition outside of which it is zero (or false)."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.unless: dict[str, Value] = {}

    def _zero_with(self, result: Value, *factors: Value) -> Value:
        """`result` is zero where one of the `factors` is."""
        for factor in factors:
            if factor.name in self.unless:
                self.unless[result.name] = self.unless[factor.name]
                break
        return result

    def compare(self, name: str, a: Value, b: Value) -> Value:
        result = super().compare(name, a, b)
        if name == "eq" and result.lanes == 1:
            self.unless[result.name] = result
        return result

    def and_(self, a: Value, b: Value) -> Value:
        return self._zero_with(super().and_(a, b), a, b)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        result = super().select(condition, a, b)
        return self._zero_with(result, a, condition) if b.literal is not None and b.literal == 0 else result

    def cast(self, a: Value, dtype: np.dtype[Any]) -> Value:
        return self._zero_with(super().cast(a, dtype), a)

    def neg(self, a: Value) -> Value:
        return self._zero_with(super().neg(a), a)

    def mul(self, a: Value, b: Value) -> Value:
        result = super().mul(a, b)
        return self._zero_with(result, *(x for x, other in ((a, b), (b, a)) if other.finite))

    def strong_product(self, t: Value, p: Value) -> Value:
        return self._zero_with(super().strong_product(t, p), t, p)

    def div(self, a: Value, b: Value) -> Value:
        """Zero over zero is not zero, and neither is zero over NaN."""
        result = super().div(a, b)
        holds = self.unless.get(a.name)
        if holds is not None and b.lanes == 1:
            odd = self.apply("fcmp ueq", (b, self.constant(0, b.dtype)), BOOL)
            self.unless[result.name] = self.or_(holds, odd)
        return result

    def common(self, values: Sequence[Value]) -> Value | None:
        """The condition outside of which all of the values are zero, if it is one."""
        found = {self.unless.get(value.name) for value in values}
        return found.pop() if len(found) == 1 else None


def skipping(condition: Value, body: Sequence[Instruction]) -> list[str]:
    """The text of a loop's body with a branch around all that `condition` does not need; empty if that is little."""
    needed = {condition.name}
    before: list[Instruction] = []
    rest: list[Instruction] = []
    for instruction in reversed(body):
        if instruction.result in needed:
            needed.update(instruction.uses)
            before.append(instruction)
        else:
            rest.append(instruction)
    if len(rest) < WORTH:
        return []
    return [
        *("  " + instruction.text for instruction in reversed(before)),
        f"  br i1 {condition.name}, label %rarely, label %mostly",
        "rarely:",
        *("  " + instruction.text for instruction in reversed(rest)),
        "  br label %mostly",
        "mostly:",
    ]
