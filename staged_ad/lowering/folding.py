"""How partial results of reductions are put together: sums and products, and positions of extrema.

A partial result is one value, or of an extremum the value and its position, which is -1 where nothing was met.

Invariant: of equal elements the first has the position, in whatever order parts are joined; NaN comes before all.
Start at ``joined``.
"""

from __future__ import annotations

from typing import Any

from staged_ad.ir.lowerings import ArgFold, Fold
from staged_ad.ir.types import INT64
from staged_ad.lowering.code import Code
from staged_ad.lowering.values import Value


def identity(code: Code, rule: Fold | ArgFold, dtype: Any, part: int) -> Value:
    """What a part of a result is before anything is met."""
    if isinstance(rule, Fold):
        return code.constant(rule.identity(dtype), dtype)
    return code.constant(0 if part == 0 else -1, dtype)


def beats(code: Code, rule: ArgFold, new: tuple[Value, Value], old: tuple[Value, Value]) -> Value:
    """Whether a later element takes the place: it is better, or the first NaN, or the first at all."""
    return code.or_(_better(code, rule, new[0], old[0]), code.compare("lt", old[1], code.constant(0, INT64)))


def joined(code: Code, rule: Fold | ArgFold, a: list[Value], b: list[Value]) -> list[Value]:
    """One result of two parts."""
    if isinstance(rule, Fold):
        return [rule.combine(code, a[0], b[0])]
    none = code.constant(0, INT64)
    better = _better(code, rule, b[0], a[0])
    equal = code.not_(code.or_(better, _better(code, rule, a[0], b[0])))  # neither is better than the other
    earlier = code.and_(equal, code.compare("lt", b[1], a[1]))
    wins = code.and_(code.or_(better, earlier), code.compare("ge", b[1], none))
    wins = code.or_(wins, code.compare("lt", a[1], none))
    return [code.select(wins, b[0], a[0]), code.select(wins, b[1], a[1])]


def _better(code: Code, rule: ArgFold, new: Value, old: Value) -> Value:
    better = code.compare(rule.better, new, old)
    if new.dtype.kind != "f":
        return better
    new_nan, old_nan = code.compare("ne", new, new), code.compare("ne", old, old)
    return code.or_(code.and_(better, code.not_(old_nan)), code.and_(new_nan, code.not_(old_nan)))
