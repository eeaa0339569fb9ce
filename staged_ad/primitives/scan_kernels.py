"""Machine code of cumulative operations: the text of one loop along the axis.

An array is seen as (outer, n, inner); an item is a vector of neighbours on the inner axis, which move along the axis
together, or a single sequence. The inner axis is cut into vectors of 64 bytes, and its rest into halves of them.

Invariant: each sequence is accumulated one element after the other, as NumPy does.
Start at ``scan``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.ir import ArrayType
from staged_ad.ir.lowerings import Kernel

VECTOR = 64
"""Bytes of the widest vector."""

Register = Any
"""The name of a register: a string."""

Step = Callable[[Any, np.dtype[Any], str, str, Sequence[str]], Register]
"""``(kernel, dtype, LLVM type, carry, elements) -> carry``, which is also the result there."""


def _pieces(inner: int, lanes: int) -> list[tuple[int, int]]:
    """The rest behind the whole vectors: (first, lanes) of each piece."""
    pieces, first = [], inner - inner % lanes
    while lanes > 1:
        lanes //= 2
        if inner - first >= lanes:
            pieces.append((first, lanes))
            first += lanes
    return pieces


def extent_of(type: ArrayType, axis: int) -> tuple[int, int, int]:
    return math.prod(type.shape[:axis]), type.shape[axis], math.prod(type.shape[axis + 1 :])


def _lanes(type: ArrayType) -> int:
    return VECTOR // type.dtype.itemsize


def _items(*types: ArrayType, axis: int, reverse: bool) -> int:
    outer, _, inner = extent_of(types[0], axis)
    lanes = _lanes(types[0])
    return outer * (inner // lanes + len(_pieces(inner, lanes)))


def _cost(*types: ArrayType, axis: int, reverse: bool) -> float:
    return 1 + 1.5 * types[0].shape[axis]


def scan(step: Step, start: Callable[[np.dtype[Any]], str]) -> Kernel:
    """The lowering of an operation whose carry begins as `start` and goes on by `step`."""

    def emit(kernel: Any, *, axis: int, reverse: bool) -> None:
        type = kernel.outputs[0].type
        _, n, inner = extent_of(type, axis)
        lanes = _lanes(type)
        whole, rest = inner // lanes, _pieces(inner, lanes)
        count = max(1, whole + len(rest))
        place = kernel.value(f"urem i64 {kernel.item}, {count}")
        base = kernel.value(f"mul i64 {kernel.value(f'udiv i64 {kernel.item}, {count}')}, {n * inner}")
        end, wide, cases = kernel.label("end"), kernel.label("wide"), [kernel.label("rest") for _ in rest]
        table = " ".join(f"i64 {whole + k}, label %{case}" for k, case in enumerate(cases))
        kernel.line(f"switch i64 {place}, label %{wide} [{table}]")

        for label, (first, width) in zip(cases, rest, strict=True):
            kernel.start(label)
            _column(kernel, kernel.value(f"add i64 {base}, {first}"), width, (n, inner), reverse, end)
        kernel.start(wide)
        first = kernel.value(f"add i64 {base}, {kernel.value(f'mul i64 {place}, {lanes}')}")
        _column(kernel, first, lanes, (n, inner), reverse, end)
        kernel.start(end)

    def _column(kernel: Any, base: str, lanes: int, extent: tuple[int, int], reverse: bool, end: str) -> None:
        n, inner = extent
        (result,) = kernel.outputs
        element, dtype = result.element, result.type.dtype
        vector = element if lanes == 1 else f"<{lanes} x {element}>"
        initial = start(dtype) if lanes == 1 else f"splat ({element} {start(dtype)})"
        before, head, body = kernel.label("before"), kernel.label("head"), kernel.label("body")
        kernel.line(f"br label %{before}")
        kernel.start(before)
        kernel.line(f"br label %{head}")
        kernel.start(head)
        k, carry, following, made = (f"%{name}.{head}" for name in ("k", "carry", "next", "made"))
        kernel.line(f"{k} = phi i64 [ 0, %{before} ], [ {following}, %{body} ]")
        kernel.line(f"{carry} = phi {vector} [ {initial}, %{before} ], [ {made}, %{body} ]")
        kernel.line(f"br i1 {kernel.value(f'icmp slt i64 {k}, {n}')}, label %{body}, label %{end}")
        kernel.start(body)
        row = kernel.value(f"sub i64 {n - 1}, {k}") if reverse else k
        place = kernel.value(f"add i64 {base}, {kernel.value(f'mul i64 {row}, {inner}')}")
        align = f"align {result.type.dtype.itemsize}"
        elements = [kernel.value(f"load {vector}, ptr {kernel.element(x, place)}, {align}") for x in kernel.inputs]
        value = step(kernel, dtype, vector, carry, elements)
        kernel.line(f"store {vector} {value}, ptr {kernel.element(result, place)}, {align}")
        kernel.line(f"{following} = add nsw i64 {k}, 1")
        kernel.line(f"{made} = bitcast {vector} {value} to {vector}")
        kernel.line(f"br label %{head}")

    return Kernel(emit, _items, cost=_cost)


def _truth(vector: str) -> str:
    """The type of a comparison of two values of a type."""
    return f"{vector.split(' x ')[0]} x i1>" if vector[0] == "<" else "i1"


def _arithmetic(floating: str, integer: str) -> Step:
    def step(kernel: Any, dtype: np.dtype[Any], vector: str, carry: str, elements: Sequence[str]) -> Register:
        return kernel.value(f"{floating if dtype.kind == 'f' else integer} {vector} {carry}, {elements[0]}")

    return step


def _extremum(order: str) -> Step:
    """The carry where it wins or is NaN, else the element: a NaN stays."""

    def step(kernel: Any, dtype: np.dtype[Any], vector: str, carry: str, elements: Sequence[str]) -> Register:
        (x,) = elements
        bits = _truth(vector)
        if dtype.kind == "f":
            larger = kernel.value(f"fcmp o{order} {vector} {carry}, {x}")
            nan = kernel.value(f"fcmp uno {vector} {carry}, {carry}")
            wins = kernel.value(f"or {bits} {larger}, {nan}")
        else:
            wins = kernel.value(f"icmp {'s' if dtype.kind == 'i' else 'u'}{order} {vector} {carry}, {x}")
        return kernel.value(f"select {bits} {wins}, {vector} {carry}, {vector} {x}")

    return step


def _recur(kernel: Any, dtype: np.dtype[Any], vector: str, carry: str, elements: Sequence[str]) -> Register:
    a, b = elements
    zero = "zeroinitializer" if vector[0] == "<" else "0.0"
    bits = _truth(vector)
    product = kernel.value(f"fmul {vector} {a}, {carry}")
    some = kernel.value(f"fcmp une {vector} {a}, {zero}")
    more = kernel.value(f"fcmp une {vector} {carry}, {zero}")
    keep = kernel.value(f"and {bits} {some}, {more}")
    strong = kernel.value(f"select {bits} {keep}, {vector} {product}, {vector} {zero}")
    return kernel.value(f"fadd {vector} {strong}, {b}")


def _least(dtype: np.dtype[Any]) -> str:
    """What every number is as large as."""
    if dtype.kind == "f":
        return "0xFFF0000000000000"
    return str(np.iinfo(dtype).min) if dtype.kind != "b" else "0"


def _greatest(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "f":
        return "0x7FF0000000000000"
    return str(np.iinfo(dtype).max) if dtype.kind != "b" else "1"


SUM = scan(_arithmetic("fadd", "add"), lambda dtype: "-0.0" if dtype.kind == "f" else "0")  # -0.0 + x is x, of all x
PRODUCT = scan(_arithmetic("fmul", "mul"), lambda dtype: "1.0" if dtype.kind == "f" else "1")
MAXIMUM = scan(_extremum("ge"), _least)
MINIMUM = scan(_extremum("le"), _greatest)
RECURRENCE = scan(_recur, lambda dtype: "0.0")
