"""Values, instructions and what a module needs from outside: the vocabulary of the emitter.

Invariant: a value knows its LLVM type from its dtype and lanes.
Start at ``Value``.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from staged_ad.ir.types import FLOAT16
from staged_ad.native import vecmath

_TYPES = {"f8": "double", "f4": "float", "b1": "i1"}
_MEMORY = {"b1": "i8", "c8": "<2 x float>", "c16": "<2 x double>"}  # complex only in kernels


def element_type(dtype: np.dtype[Any]) -> str:
    """The LLVM type of one element in a register."""
    key = f"{dtype.kind}{dtype.itemsize}"
    return _TYPES.get(key) or f"i{8 * dtype.itemsize}"


def memory_type(dtype: np.dtype[Any]) -> str:
    """The LLVM type of one element in memory: booleans are bytes."""
    return _MEMORY.get(f"{dtype.kind}{dtype.itemsize}") or element_type(dtype)


def vector_type(element: str, lanes: int) -> str:
    return element if lanes == 1 else f"<{lanes} x {element}>"


def suffix(dtype: np.dtype[Any], lanes: int) -> str:
    """``v8f64``: how intrinsics name the type of a vector in memory."""
    element = memory_type(dtype)
    short = {"double": "f64", "float": "f32"}.get(element, element)
    return f"v{lanes}{short}"


def constant_text(value: Any, dtype: np.dtype[Any]) -> str:
    if dtype == FLOAT16:  # in registers as in memory 16 bits, which only casts read as a number
        return str(int(np.float16(value).view(np.uint16)))
    if dtype.kind == "f":
        number = float(dtype.type(value))
        bits = 0x7FF8000000000000 if math.isnan(number) else struct.unpack("<Q", struct.pack("<d", number))[0]
        return f"0x{bits:016X}"
    if dtype.kind == "b":
        return "true" if value else "false"
    return str(int(value))


class Value(NamedTuple):
    """A register or a constant. `finite` says that it is known to be neither infinite nor NaN."""

    name: str
    dtype: np.dtype[Any]
    lanes: int
    depth: int
    literal: Any = None
    finite: bool = False

    @property
    def type(self) -> str:
        return vector_type(element_type(self.dtype), self.lanes)

    @property
    def operand(self) -> str:
        return f"{self.type} {self.name}"


class Instruction(NamedTuple):
    """A line of LLVM text; `result` is empty for a store. `uses` are the registers that it reads."""

    result: str
    type: str
    text: str
    uses: tuple[str, ...]


class Library(Protocol):
    """Where mathematical functions come from: for each its symbol, or None. `vecmath` is that of the host."""

    def vector_function(self, name: str, item: Any, lanes: int, /) -> vecmath.Symbol | None: ...

    def scalar_function(self, name: str, item: Any, /) -> vecmath.Symbol | None: ...

    def special_function(self, name: str, item: Any, result: int, /) -> vecmath.Symbol | None: ...


@dataclass(slots=True)
class Externals:
    """What a module needs from outside: declarations; helper functions; and in `symbols` the addresses of functions
    that only this process knows. Those of all others are found by their names. `halves`: whether the target has
    instructions that convert float16.
    """

    declarations: dict[str, str] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    helpers: dict[str, str] = field(default_factory=dict)
    precise: bool = False
    halves: bool = True
    library: Library = vecmath

    def intrinsic(self, name: str, signature: str) -> None:
        """`signature` is the declaration with ``@`` where the name goes."""
        self.declarations.setdefault(name, f"declare {signature.replace('@', '@' + name, 1)}")

    def function(self, symbol: vecmath.Symbol, signature: str) -> str:
        """Declare a function of mathematics. LLVM does not know it by its name: LLVM 22 takes fmod(0, x / 0) for 0."""
        name, _ = symbol
        pure = " nounwind willreturn memory(none) nobuiltin"
        self.declarations.setdefault(name, f"declare {signature.replace('@', '@' + name, 1)}{pure}")
        return name


def lanewise_text(helper: str, function: str, like: Value, arity: int, masked: bool) -> str:
    """A function that calls another one for each lane; if `masked`, for those that its last argument names."""
    element, wide = element_type(like.dtype), like.type
    arguments = [f"{wide} %a{k}" for k in range(arity)] + [f"<{like.lanes} x i1> %live"] * masked
    lines = [f"define internal {wide} @{helper}({', '.join(arguments)}) noinline nounwind {{", "entry:"]
    result, before = "zeroinitializer", "entry"
    for lane in range(like.lanes):
        if masked:
            lines.append(f"  %live{lane} = extractelement <{like.lanes} x i1> %live, i64 {lane}")
            lines.append(f"  br i1 %live{lane}, label %call{lane}, label %next{lane}")
            lines.append(f"call{lane}:")
        for k in range(arity):
            lines.append(f"  %x{lane}.{k} = extractelement {wide} %a{k}, i64 {lane}")
        numbers = ", ".join(f"{element} %x{lane}.{k}" for k in range(arity))
        lines.append(f"  %y{lane} = call {element} @{function}({numbers})")
        lines.append(f"  %r{lane} = insertelement {wide} {result}, {element} %y{lane}, i64 {lane}")
        after = f"%r{lane}"
        if masked:
            lines += [f"  br label %next{lane}", f"next{lane}:"]
            lines.append(f"  %s{lane} = phi {wide} [ {after}, %call{lane} ], [ {result}, %{before} ]")
            after, before = f"%s{lane}", f"next{lane}"
        result = after
    return "\n".join([*lines, f"  ret {wide} {result}", "}"])


def integer_power(externals: Externals, dtype: np.dtype[Any]) -> str:
    """A function of scalars: repeated squaring; negative exponents give 0, save of 1 and -1."""
    t = element_type(dtype)
    name = f"power.{dtype.kind}{t}"
    negative = f"icmp slt {t} %n, 0" if dtype.kind == "i" else f"icmp ult {t} %n, 0"
    externals.helpers.setdefault(
        name,
        f"""define internal {t} @{name}({t} %x, {t} %n) nounwind {{
start:
  %negative = {negative}
  br i1 %negative, label %reciprocal, label %loop
reciprocal:
  %is.one = icmp eq {t} %x, 1
  %is.minus = icmp eq {t} %x, -1
  %odd = and {t} %n, 1
  %odd.one = icmp eq {t} %odd, 1
  %minus = select i1 %odd.one, {t} -1, {t} 1
  %unit = select i1 %is.minus, {t} %minus, {t} 0
  %inverse = select i1 %is.one, {t} 1, {t} %unit
  ret {t} %inverse
loop:
  %left = phi {t} [ %n, %start ], [ %left.next, %step ]
  %square = phi {t} [ %x, %start ], [ %square.next, %step ]
  %result = phi {t} [ 1, %start ], [ %result.next, %step ]
  %done = icmp eq {t} %left, 0
  br i1 %done, label %end, label %step
step:
  %bit = and {t} %left, 1
  %take = icmp eq {t} %bit, 1
  %product = mul {t} %result, %square
  %result.next = select i1 %take, {t} %product, {t} %result
  %square.next = mul {t} %square, %square
  %left.next = lshr {t} %left, 1
  br label %loop
end:
  ret {t} %result
}}""",
    )
    return name
