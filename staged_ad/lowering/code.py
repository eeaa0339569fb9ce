"""Code: the text of LLVM instructions on SIMD values; what the ``lower`` rules of primitives talk to.

Invariant: an instruction is put at the loop depth of its deepest operand, so what does not change in a loop
is computed outside of it. A value of one lane is repeated where its partner has more.
Start at ``Value``, then the arithmetic in ``Code``; ``memory.py`` loads and stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.errors import LoweringError
from staged_ad.ir.types import BOOL, FLOAT16
from staged_ad.lowering import conversions
from staged_ad.lowering.values import (
    Externals,
    Instruction,
    Value,
    constant_text,
    element_type,
    integer_power,
    lanewise_text,
    vector_type,
)
from staged_ad.native import vecmath

_COMPARE_FLOAT = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}

HALVES = frozenset({-5.0, -3.0, -1.0, 1.0, 3.0, 5.0})
"""Twice the exponents of powers that are products with a square root."""


class Code:
    """Instructions of one loop nest, a list for each loop depth."""

    def __init__(self, externals: Externals, lanes: int, depths: int) -> None:
        self.externals = externals
        self.lanes = lanes
        self.blocks: list[list[Instruction]] = [[] for _ in range(depths)]
        self._count = 0
        self._splats: dict[str, Value] = {}
        self.prefix = "v"
        self.live: Value | None = None  # which lanes the present vector has, where the loop may end inside of it
        self.betting: int | None = None  # the depth at which strong products have no masks (speculation.py)
        self.bets: list[str] = []

    def forget(self, depth: int) -> None:
        """Drop what was repeated at a depth: another body is written there."""
        self._splats = {key: value for key, value in self._splats.items() if value.depth < depth}

    # -- writing ------------------------------------------------------------------------------------------------

    def fresh(self) -> str:
        self._count += 1
        return f"%{self.prefix}{self._count}"

    def write(self, text: str, type: str, operands: Sequence[Value | str], depth: int) -> str:
        """Append ``fresh = text`` at a depth; returns the register."""
        name = self.fresh()
        uses = tuple([o if isinstance(o, str) else o.name for o in operands])
        self.blocks[depth].append(Instruction(name, type, f"{name} = {text}", uses))
        return name

    def effect(self, text: str, operands: Sequence[Value | str], depth: int) -> None:
        uses = tuple([o if isinstance(o, str) else o.name for o in operands])
        self.blocks[depth].append(Instruction("", "", text, uses))

    def constant(self, value: Any, dtype: np.dtype[Any]) -> Value:
        literal = dtype.type(value)
        finite = dtype.kind != "f" or bool(np.isfinite(literal))
        return Value(constant_text(literal, dtype), dtype, 1, 0, literal, finite)

    def splat(self, x: Value, lanes: int | None = None) -> Value:
        """`x` in every lane."""
        lanes = self.lanes if lanes is None else lanes
        if x.lanes == lanes:
            return x
        if x.literal is not None:
            return x._replace(name=f"splat ({element_type(x.dtype)} {x.name})", lanes=lanes)
        key = f"{x.name}/{lanes}"
        known = self._splats.get(key)
        if known is None:
            wide = vector_type(element_type(x.dtype), lanes)
            one = self.write(f"insertelement {wide} poison, {x.operand}, i64 0", wide, (x,), x.depth)
            zeros = f"<{lanes} x i32> zeroinitializer"
            name = self.write(f"shufflevector {wide} {one}, {wide} poison, {zeros}", wide, (one,), x.depth)
            known = self._splats[key] = x._replace(name=name, lanes=lanes)
        return known

    def aligned(self, *values: Value) -> list[Value]:
        """All with the number of lanes of the widest."""
        lanes = max([v.lanes for v in values])
        return [v if v.lanes == lanes else self.splat(v, lanes) for v in values]

    def apply(
        self, text: str, values: Sequence[Value], dtype: np.dtype[Any] | None = None, finite: bool = False
    ) -> Value:
        """One instruction ``text type a, b, ...`` on aligned values; the result has `dtype` or that of the first."""
        depth = max([v.depth for v in values])
        first = values[0]
        result = first.dtype if dtype is None else dtype
        type = vector_type(element_type(result), first.lanes)
        arguments = ", ".join([v.name for v in values])
        name = self.write(f"{text} {first.type} {arguments}", type, values, depth)
        return Value(name, result, first.lanes, depth, None, finite or result.kind != "f")

    # -- arithmetic ---------------------------------------------------------------------------------------------

    def _binary(self, floating: str, integer: str, a: Value, b: Value) -> Value:
        a, b = self.aligned(a, b)
        return self.apply(floating if a.dtype.kind == "f" else integer, (a, b))

    def contracted(self, name: str, a: Value, b: Value) -> Value:
        """add or mul that may become one multiply-add with its partner: for the terms of matrix products only.

        Elsewhere an expression must have the same bits wherever it is computed: ``x == max(x)`` has to hold.
        """
        if a.dtype.kind != "f":
            return self.add(a, b) if name == "add" else self.mul(a, b)
        return self.apply(f"f{name} contract", self.aligned(a, b))

    def add(self, a: Value, b: Value) -> Value:
        return self._binary("fadd", "add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self._binary("fsub", "sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self._binary("fmul", "mul", a, b)

    def neg(self, a: Value) -> Value:
        if a.dtype.kind == "f":
            return self.apply("fneg", (a,), finite=a.finite)
        return self.sub(self.constant(0, a.dtype), a)

    def div(self, a: Value, b: Value) -> Value:
        a, b = self.aligned(a, b)
        return self.apply("fdiv", (a, b))

    def strong_product(self, t: Value, p: Value) -> Value:
        """t * p, where zero times anything is zero. A mask is needed only where zero can meet inf or NaN."""
        if (t.finite and p.finite) or any(x.literal is not None and x.finite and x.literal != 0 for x in (t, p)):
            return self.mul(t, p)
        # a factor known to be finite may be zero, but its partner's zeros do no harm
        watched = [x for x in (t, p) if x.finite] or [t, p]
        if self.betting == max(t.depth, p.depth) and len(watched) == 2:
            bet = self.intrinsic("fma", t, p, self.constant(0, t.dtype))
            self.bets.append(bet.name)
            return bet
        product = self.mul(t, p)
        masks = [self.compare("ne", x, self.constant(0, x.dtype)) for x in watched]
        keep = masks[0] if len(masks) == 1 else self.and_(*masks)
        return self.select(keep, product, self.constant(0, product.dtype))

    def floor_div(self, a: Value, b: Value) -> Value:
        """NumPy's: rounds towards minus infinity; integers by zero give zero."""
        if a.dtype.kind == "f":
            return self._float_floor_div(a, b)
        zero, one = self.constant(0, a.dtype), self.constant(1, a.dtype)
        by_zero = self.compare("eq", b, zero)
        if a.dtype.kind == "u":
            return self.select(by_zero, zero, self._integer_division("udiv", a, self.select(by_zero, one, b)))
        minus = self.compare("eq", b, self.constant(-1, a.dtype))  # the least integer / -1 traps
        safe = self.select(self.or_(by_zero, minus), one, b)
        quotient = self._integer_division("sdiv", a, safe)
        rest = self.sub(a, self.mul(quotient, safe))
        apart = self.compare("lt", self.xor(rest, safe), zero)
        lower = self.and_(apart, self.compare("ne", rest, zero))
        floored = self.select(lower, self.sub(quotient, one), quotient)
        return self.select(by_zero, zero, self.select(minus, self.neg(a), floored))

    def _float_floor_div(self, a: Value, b: Value) -> Value:
        """As npy_divmod does it: exact for infinite divisors, where the remainder itself is not."""
        zero, one = self.constant(0, a.dtype), self.constant(1, a.dtype)
        rest = self.math("fmod", a, b)
        quotient = self.div(self.sub(a, rest), b)
        quotient = self.select(self._signs_differ(rest, b), self.sub(quotient, one), quotient)
        floor = self.intrinsic("floor", quotient)
        half = self.compare("gt", self.sub(quotient, floor), self.constant(0.5, a.dtype))
        whole = self.select(half, self.add(floor, one), floor)
        ratio = self.div(a, b)
        signed = self.select(self.compare("eq", quotient, zero), self.intrinsic("copysign", zero, ratio), whole)
        return self.select(self.compare("eq", b, zero), ratio, signed)

    def _signs_differ(self, rest: Value, b: Value) -> Value:
        """Whether a remainder other than zero has not the sign of the divisor."""
        zero = self.constant(0, rest.dtype)
        apart = self.xor(self.compare("lt", b, zero), self.compare("lt", rest, zero))
        return self.and_(apart, self.compare("ne", rest, zero))

    def _integer_division(self, name: str, a: Value, b: Value) -> Value:
        a, b = self.aligned(a, b)
        return self.apply(name, (a, b))

    def remainder(self, a: Value, b: Value) -> Value:
        """NumPy's: the sign of the divisor; integers by zero give zero."""
        if a.dtype.kind != "f":
            zero = self.constant(0, a.dtype)
            rest = self.sub(a, self.mul(self.floor_div(a, b), b))
            return self.select(self.compare("eq", b, zero), zero, rest)
        zero, rest = self.constant(0, a.dtype), self.math("fmod", a, b)
        moved = self.select(self._signs_differ(rest, b), self.add(rest, b), rest)
        return self.select(self.compare("eq", rest, zero), self.intrinsic("copysign", zero, b), moved)

    def fmod(self, a: Value, b: Value) -> Value:
        """The remainder with the sign of the dividend; integers by zero give zero."""
        if a.dtype.kind == "f":
            return self.math("fmod", a, b)
        rest = self.remainder(a, b)
        if a.dtype.kind == "u":
            return rest
        zero = self.constant(0, a.dtype)
        apart = self.compare("lt", self.xor(a, b), zero)
        other = self.and_(apart, self.compare("ne", rest, zero))
        return self.select(other, self.sub(rest, b), rest)

    def abs(self, a: Value) -> Value:
        if a.dtype.kind == "f":
            return self.intrinsic("fabs", a)
        if a.dtype.kind == "u":
            return a
        return self.select(self.compare("lt", a, self.constant(0, a.dtype)), self.neg(a), a)

    def sign(self, a: Value) -> Value:
        zero, one = self.constant(0, a.dtype), self.constant(1, a.dtype)
        positive = self.select(self.compare("gt", a, zero), one, self.add(a, zero) if a.dtype.kind == "f" else zero)
        if a.dtype.kind == "u":
            return positive
        return self.select(self.compare("lt", a, zero), self.constant(-1, a.dtype), positive)

    def maximum(self, a: Value, b: Value) -> Value:
        return self._extremum("oge", "ge", a, b)

    def minimum(self, a: Value, b: Value) -> Value:
        return self._extremum("ole", "le", a, b)

    def _extremum(self, floating: str, integer: str, a: Value, b: Value) -> Value:
        """The first where it wins or is NaN, else the second: NaN in either gives NaN."""
        a, b = self.aligned(a, b)
        if a.dtype == BOOL:
            return self.or_(a, b) if integer == "ge" else self.and_(a, b)
        if a.dtype.kind != "f":
            return self.select(self.compare(integer, a, b), a, b)
        wins = self.apply(f"fcmp {floating}", (a, b), BOOL)
        nan = self.apply("fcmp uno", (a, a), BOOL)
        return self.select(self.or_(wins, nan), a, b)

    def power(self, a: Value, b: Value) -> Value:
        if a.dtype.kind == "f":
            half = b.literal is not None and float(2 * b.literal) in HALVES and not self.externals.precise
            return self._half_power(a, float(b.literal)) if half else self.math("pow", a, b)
        return self.lanewise(integer_power(self.externals, a.dtype), a, b)

    def _half_power(self, a: Value, exponent: float) -> Value:
        """a^(k + 1/2) by a square root and k products: within 2 ulp, at a third of the time."""
        result = self.intrinsic("sqrt", a)
        for _ in range(int(abs(exponent))):
            result = self.mul(result, a)
        infinity = self.constant(np.inf, a.dtype)
        if exponent != 0.5:
            result = self.intrinsic("fabs", result)  # of -0.0, too, powers are positive
        if exponent < 0:
            result = self.div(self.constant(1, a.dtype), result)
        beyond = infinity if exponent > 0 else self.constant(0, a.dtype)  # C's pow(-inf, 0.5) is inf
        return self.select(self.compare("eq", a, self.neg(infinity)), beyond, result)

    # -- logic --------------------------------------------------------------------------------------------------

    def compare(self, name: str, a: Value, b: Value) -> Value:
        a, b = self.aligned(a, b)
        if a.dtype.kind == "f":
            return self.apply(f"fcmp {_COMPARE_FLOAT[name]}", (a, b), BOOL)
        sign = "" if name in ("eq", "ne") else "s" if a.dtype.kind == "i" else "u"
        return self.apply(f"icmp {sign}{name}", (a, b), BOOL)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        condition, a, b = self.aligned(condition, a, b)
        depth = max(condition.depth, a.depth, b.depth)
        name = self.write(f"select {condition.operand}, {a.operand}, {b.operand}", a.type, (condition, a, b), depth)
        return Value(name, a.dtype, a.lanes, depth, None, a.finite and b.finite)

    def and_(self, a: Value, b: Value) -> Value:
        return self._binary("and", "and", a, b)

    def or_(self, a: Value, b: Value) -> Value:
        return self._binary("or", "or", a, b)

    def xor(self, a: Value, b: Value) -> Value:
        return self._binary("xor", "xor", a, b)

    def not_(self, a: Value) -> Value:
        ones = self.constant(True, BOOL) if a.dtype == BOOL else Value("-1", a.dtype, 1, 0, ~a.dtype.type(0))
        return self.xor(a, ones)

    def shift_left(self, a: Value, b: Value) -> Value:
        return self._shift("shl", a, b, self.constant(0, a.dtype))

    def shift_right(self, a: Value, b: Value) -> Value:
        if a.dtype.kind == "u":
            return self._shift("lshr", a, b, self.constant(0, a.dtype))
        negative = self.compare("lt", a, self.constant(0, a.dtype))
        return self._shift("ashr", a, b, self.select(negative, self.constant(-1, a.dtype), self.constant(0, a.dtype)))

    def _shift(self, name: str, a: Value, b: Value, beyond: Value) -> Value:
        """Shifts by the width or more, and by negative numbers, give `beyond`."""
        wide = Value(str(8 * a.dtype.itemsize), b.dtype, 1, 0, 8 * a.dtype.itemsize)
        x, y = self.aligned(b, wide)
        fits = self.apply("icmp ult", (x, y), BOOL)
        safe = self.select(fits, b, self.constant(0, b.dtype))
        return self.select(fits, self.apply(name, self.aligned(a, safe)), beyond)

    # -- conversion and functions -------------------------------------------------------------------------------

    def cast(self, a: Value, dtype: np.dtype[Any]) -> Value:
        source, kind = a.dtype, dtype.kind
        if source == dtype:
            return a
        if a.literal is not None:
            with np.errstate(all="ignore"):
                return self.constant(np.asarray(a.literal).astype(dtype)[()], dtype)
        if source == FLOAT16 or source.kind == "V":
            return conversions.of_short(self, a, dtype)
        if dtype == FLOAT16:
            return conversions.to_half(self, a)
        if kind == "b":
            return self.compare("ne", a, self.constant(0, source))
        target = vector_type(element_type(dtype), a.lanes)
        if source.kind == "f" and kind in "iu":
            return conversions.to_integer(self, a, dtype)
        if source.kind == "f":
            operation = "fptrunc" if dtype.itemsize < source.itemsize else "fpext"
        elif kind == "f":
            operation = "sitofp" if source.kind == "i" else "uitofp"
        elif dtype.itemsize < source.itemsize:
            operation = "trunc"
        elif dtype.itemsize == source.itemsize and source.kind != "b":
            return a._replace(dtype=dtype)
        else:
            operation = "sext" if source.kind == "i" else "zext"
        result = self.write(f"{operation} {a.operand} to {target}", target, (a,), a.depth)
        return Value(result, dtype, a.lanes, a.depth, None, source.kind != "f" or kind != "f")

    def bitcast(self, a: Value, dtype: np.dtype[Any]) -> Value:
        """The bits of `a` as a number of another type of the same width."""
        if a.literal is not None:
            return self.constant(np.asarray(a.literal).view(dtype)[()], dtype)
        target = vector_type(element_type(dtype), a.lanes)
        name = self.write(f"bitcast {a.operand} to {target}", target, (a,), a.depth)
        return Value(name, dtype, a.lanes, a.depth, None, dtype.kind != "f")

    def helper(self, name: str, text: str) -> str:
        """A function of scalars for ``lanewise``, part of the module once; `text` defines ``@name``."""
        self.externals.helpers.setdefault(name, text)
        return name

    def intrinsic(self, name: str, *values: Value) -> Value:
        """An LLVM intrinsic of floating point: floor, ceil, trunc, rint, sqrt, fabs, copysign."""
        aligned = self.aligned(*values)
        first = aligned[0]
        suffix = ("" if first.lanes == 1 else f"v{first.lanes}") + f"f{8 * first.dtype.itemsize}"
        full = f"llvm.{name}.{suffix}"
        return self._call(full, aligned, lambda signature: self.externals.intrinsic(full, signature))

    def _call(self, name: str, values: Sequence[Value], declare: Any) -> Value:
        first = values[0]
        declare(f"{first.type} @({', '.join([v.type for v in values])})")
        depth = max([v.depth for v in values])
        arguments = ", ".join([v.operand for v in values])
        result = self.write(f"call {first.type} @{name}({arguments})", first.type, values, depth)
        return Value(result, first.dtype, first.lanes, depth)

    def math(self, name: str, *values: Value) -> Value:
        """A mathematical function: libmvec on whole vectors where it has it, else libm by lane."""
        aligned = self.aligned(*values)
        first = aligned[0]
        item: Any = element_type(first.dtype)
        if first.lanes > 1 and not self.externals.precise:
            vector = self.externals.library.vector_function(name, item, first.lanes)
            if vector is not None:
                return self._call(vector[0], aligned, lambda s: self.externals.function(vector, s))
            half = first.lanes // 2
            if half > 1:
                low = self.math(name, *[self.part(v, 0, half) for v in aligned])
                high = self.math(name, *[self.part(v, half, half) for v in aligned])
                return self.joined(low, high)
        symbol = self.externals.library.scalar_function(name, item)
        return self._lanewise_symbol(name, symbol, aligned)

    def special(self, name: str, *values: Value, result: int = 0) -> Value:
        """A function of scipy.special, lane by lane; of several results it gives one."""
        aligned = self.aligned(*values)
        item: Any = element_type(aligned[0].dtype)
        return self._lanewise_symbol(name, self.externals.library.special_function(name, item, result), aligned)

    def part(self, value: Value, start: int, lanes: int) -> Value:
        """Some neighbouring lanes of a vector."""
        element = element_type(value.dtype)
        if lanes == 1:
            name = self.write(f"extractelement {value.operand}, i64 {start}", element, (value,), value.depth)
        else:
            chosen = ", ".join(f"i32 {start + k}" for k in range(lanes))
            text = f"shufflevector {value.operand}, {value.type} poison, <{lanes} x i32> <{chosen}>"
            name = self.write(text, vector_type(element, lanes), (value,), value.depth)
        return Value(name, value.dtype, lanes, value.depth)

    def joined(self, low: Value, high: Value) -> Value:
        """The lanes of two vectors, one behind the other."""
        lanes = 2 * low.lanes
        depth = max(low.depth, high.depth)
        chosen = ", ".join(f"i32 {k}" for k in range(lanes))
        text = f"shufflevector {low.operand}, {high.operand}, <{lanes} x i32> <{chosen}>"
        name = self.write(text, vector_type(element_type(low.dtype), lanes), (low, high), depth)
        return Value(name, low.dtype, lanes, depth)

    def _lanewise_symbol(self, name: str, symbol: vecmath.Symbol | None, values: Sequence[Value]) -> Value:
        item = element_type(values[0].dtype)
        if symbol is None:
            raise LoweringError(f"no machine code for {name} of {values[0].dtype} was found")
        return self.lanewise(self.externals.function(symbol, f"{item} @({', '.join([item] * len(values))})"), *values)

    def lanewise(self, function: str, *values: Value) -> Value:
        """A function of scalars applied to every lane; not behind the end, where some functions would take for ever."""
        values = tuple(self.aligned(*values))
        first = values[0]
        if first.lanes == 1:
            return self._call(function, values, lambda signature: None)
        live = self.live if self.live is not None and self.live.lanes == first.lanes else None
        helper = f"{'lanes' if live is None else 'live'}{first.lanes}.{function}"
        if helper not in self.externals.helpers:
            self.externals.helpers[helper] = lanewise_text(helper, function, first, len(values), live is not None)
        return self._call(helper, values if live is None else (*values, live), lambda signature: None)

    def index(self, value: Value) -> Value:
        """An index as an int64 value; here for the ``emit`` rules of operations on indices."""
        return value
