"""Elements that alternate in memory, as the real and imaginary parts of complex numbers do: loads and stores by pairs.

A vector of every second element is half of a contiguous vector of twice the length.

Invariant: of a pair either both elements are inside of the array or none: arrays have even size, pairs begin at even
addresses.
Start at ``load``, which takes the place of a gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.ir import Atom
from staged_ad.lowering.indexing import Affine
from staged_ad.lowering.regions import Load
from staged_ad.lowering.values import Value, memory_type, suffix, vector_type

if TYPE_CHECKING:
    from staged_ad.lowering.memory import Memory

Written = tuple[Atom, Affine, Value]
"""Where a value goes: array and address."""


def _parity(memory: Memory, array: Atom, address: Affine, dtype: np.dtype[Any]) -> int | None:
    """Whether these are the first or the second elements of pairs; None if neither."""
    if address.coefficient(memory.vector_or_none) != 2 or memory.code.lanes == 1:
        return None
    if dtype.kind != "f" or array.type.ragged or array.type.size % 2:
        return None
    if any(memory.positions[dim].lanes > 1 for dim, _ in address.terms):
        return None
    return address.offset % 2 if all(factor % 2 == 0 for _, factor in address.terms) else None


def load(memory: Memory, node: Load) -> Value | None:
    """The elements of `node`, which has no guard, in the lanes of the present vector; None where they do not alternate.

    Both halves of the pairs come from one load.
    """
    parity = _parity(memory, node.array, node.address, node.dtype)
    if parity is None:
        return None
    code, lanes = memory.code, memory.code.lanes
    first = Affine(node.address.offset - parity, node.address.terms)
    both = memory.pairs.get((id(node.array), first, memory.shift))
    if both is None:
        both = memory.pairs[id(node.array), first, memory.shift] = _load_both(memory, node.array, first, node.dtype)
    wide = vector_type(memory_type(node.dtype), lanes)
    chosen = ", ".join(f"i32 {2 * k + parity}" for k in range(lanes))
    text = f"shufflevector {both.operand}, {both.type} poison, <{lanes} x i32> <{chosen}>"
    return Value(code.write(text, wide, (both,), both.depth), node.dtype, lanes, both.depth)


def _load_both(memory: Memory, array: Atom, first: Affine, dtype: np.dtype[Any]) -> Value:
    code, lanes = memory.code, 2 * memory.code.lanes
    wide = vector_type(memory_type(dtype), lanes)
    pointer, depth = memory._pointer_at(array, memory.scalar(first), dtype)
    if memory.mask is None:
        name = code.write(f"load {wide}, ptr {pointer}, align {dtype.itemsize}", wide, (pointer,), depth)
        return Value(name, dtype, lanes, depth)
    mask = _doubled(memory, memory.mask)
    depth = max(depth, mask.depth)
    intrinsic = f"llvm.masked.load.{suffix(dtype, lanes)}.p0"
    code.externals.intrinsic(intrinsic, f"{wide} @(ptr, {mask.type}, {wide})")
    place = f"ptr align {dtype.itemsize} {pointer}"
    text = f"call {wide} @{intrinsic}({place}, {mask.operand}, {wide} zeroinitializer)"
    return Value(code.write(text, wide, (pointer, mask), depth), dtype, lanes, depth)


def _doubled(memory: Memory, mask: Value) -> Value:
    """Each lane of the mask twice."""
    lanes = 2 * mask.lanes
    chosen = ", ".join(f"i32 {k // 2}" for k in range(lanes))
    text = f"shufflevector {mask.operand}, {mask.type} poison, <{lanes} x i32> <{chosen}>"
    return Value(memory.code.write(text, f"<{lanes} x i1>", (mask,), mask.depth), mask.dtype, lanes, mask.depth)


def store(memory: Memory, writes: Sequence[Written], depth: int) -> None:
    """Writes values; those that alternate are interleaved and stored together."""
    rest = list(writes)
    while rest:
        array, address, value = rest.pop(0)
        partner = _partner(memory, (array, address, value), rest)
        if partner is None:
            memory.store(array, address, value, depth)
            continue
        _, other, second = rest.pop(partner)
        if address.offset < other.offset:
            _store_both(memory, array, address, (value, second), depth)
        else:
            _store_both(memory, array, other, (second, value), depth)


def _partner(memory: Memory, write: Written, others: Sequence[Written]) -> int | None:
    """The place among `others` of the write of the other elements of the pairs."""
    array, address, value = write
    parity = _parity(memory, array, address, value.dtype)
    if parity is None:
        return None
    wanted = Affine(address.offset + (-1 if parity else 1), address.terms)
    found = (k for k, other in enumerate(others) if other[0] is array and other[1] == wanted)
    return next(found, None)


def _store_both(memory: Memory, array: Atom, first: Affine, values: tuple[Value, Value], depth: int) -> None:
    code, lanes = memory.code, 2 * memory.code.lanes
    a, b = (code.splat(value) for value in values)
    wide = vector_type(memory_type(a.dtype), lanes)
    chosen = ", ".join(f"i32 {k // 2 + k % 2 * (lanes // 2)}" for k in range(lanes))
    both = code.write(f"shufflevector {a.operand}, {b.operand}, <{lanes} x i32> <{chosen}>", wide, (a, b), depth)
    pointer, _ = memory._pointer_at(array, memory.scalar(first), a.dtype)
    if memory.mask is None:
        code.effect(f"store {wide} {both}, ptr {pointer}, align {a.dtype.itemsize}", (both, pointer), depth)
        return
    mask = _doubled(memory, memory.mask)
    intrinsic = f"llvm.masked.store.{suffix(a.dtype, lanes)}.p0"
    code.externals.intrinsic(intrinsic, f"void @({wide}, ptr, {mask.type})")
    place = f"ptr align {a.dtype.itemsize} {pointer}"
    code.effect(f"call void @{intrinsic}({wide} {both}, {place}, {mask.operand})", (both, pointer, mask), depth)
