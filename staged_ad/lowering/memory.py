"""Loads, stores and addresses of one loop nest, as LLVM text.

Invariant: no address outside an array is read or written, whatever the guards and masks say.
Start at ``Memory.load``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from staged_ad.ir import Atom
from staged_ad.ir.types import BOOL, INT64
from staged_ad.lowering import alternating
from staged_ad.lowering.code import Code
from staged_ad.lowering.indexing import NODES, Affine, Condition
from staged_ad.lowering.regions import Load
from staged_ad.lowering.storage import Place, Places
from staged_ad.lowering.values import Value, memory_type, suffix, vector_type


class Memory:
    """Addresses arrays through the table `arrays`, in the order of `places`.

    `positions` gives the register of each loop variable, and of nodes that are indices. While a vector is emitted,
    `shift` is how far it is, along the dimension `copied`, from the first one of the iteration, and `mask` says which
    of its lanes exist (None: all). `first` is the number of the element at address 0, for arrays where it is not 0.
    """

    def __init__(
        self, code: Code, storage: Places, vector: int | None, copied: int | None, first: Mapping[Atom, int]
    ) -> None:
        self.code = code
        self.storage = storage
        self.vector = vector
        self.copied = -1 if copied is None else copied
        self.first = first
        self.positions: dict[int, Value] = {}
        self.shift = 0
        self.mask: Value | None = None
        self.unguarded = False  # where guards along the vector dimension are known to hold
        self.places: dict[Place, int] = {}
        self._pointers: dict[Place, str] = {}
        self._sums: dict[Any, Value] = {}
        self._loads: dict[Any, Value] = {}
        self.pairs: dict[Any, Value] = {}

    def forget(self, depth: int) -> None:
        """Drop what was computed at a depth: another body is written there."""
        self._sums = {key: value for key, value in self._sums.items() if value.depth < depth}
        self._loads = {key: value for key, value in self._loads.items() if value.depth < depth}
        self.pairs = {key: value for key, value in self.pairs.items() if value.depth < depth}

    def pointer(self, array: Atom) -> str:
        """The register with the address of an array's first element that is used."""
        place = self.storage.place(array).at(self.first.get(array, 0) * array.type.dtype.itemsize)
        known = self._pointers.get(place)
        if known is None:
            code = self.code
            number = self.places.setdefault(place, len(self.places))
            cell = code.write(f"getelementptr ptr, ptr %arrays, i64 {number}", "ptr", ("%arrays",), 0)
            known = code.write(f"load ptr, ptr {cell}, align 8", "ptr", (cell,), 0)
            self._pointers[place] = known
        return known

    def varies(self, affine: Affine) -> bool:
        """Whether an index differs from lane to lane."""
        return bool(affine.coefficient(self.vector_or_none)) or self._scattered(affine)

    def _scattered(self, affine: Affine) -> bool:
        return any(self.positions[dim].lanes > 1 for dim, _ in affine.terms if dim >= NODES)

    def scalar(self, affine: Affine) -> Value:
        """An affine index at the first lane of the present vector; in all lanes where nodes differ between them."""
        code = self.code
        total = code.constant(affine.offset + affine.coefficient(self.copied) * self.shift, INT64)
        for dim, factor in sorted(affine.terms, key=lambda term: self.positions[term[0]].depth):
            position = self.positions[dim]
            key = total.name, position.name, factor
            known = self._sums.get(key)
            if known is None:
                term = position if factor == 1 else code.mul(position, code.constant(factor, INT64))
                known = term if total.literal == 0 else code.add(term, total)
                self._sums[key] = known
            total = known
        return total

    @property
    def vector_or_none(self) -> int:
        return -1 if self.vector is None else self.vector

    def index(self, affine: Affine) -> Value:
        """An affine index in every lane."""
        first = self.scalar(affine)
        step = affine.coefficient(self.vector_or_none)
        if not step or self.code.lanes == 1:
            return first
        return self.code.add(first, self._lane_offsets(step))

    def _lane_offsets(self, step: int) -> Value:
        lanes = self.code.lanes
        text = f"<{', '.join(f'i64 {k * step}' for k in range(lanes))}>"
        return Value(text, INT64, lanes, 0, "lanes")

    def condition(self, conditions: Sequence[Condition]) -> Value | None:
        """Whether all conditions hold; None if there are none."""
        result: Value | None = None
        for affine, n in conditions:
            if self.unguarded and self.varies(affine):
                continue
            index, bound = self.code.aligned(self.index(affine), self.code.constant(n, INT64))
            holds = self.code.apply("icmp ult", (index, bound), BOOL)
            result = holds if result is None else self.code.and_(result, holds)
        return result

    def lanes_below(self, dim: int, end: Value) -> Value:
        """The mask of the lanes of the present vector that are before the end of the loop."""
        index = self.index(Affine(0, ((dim, 1),)))
        return self.code.compare("lt", index, end)

    def _pointer_at(self, array: Atom, address: Value, dtype: np.dtype[Any]) -> tuple[str, int]:
        base = self.pointer(array)
        text = f"getelementptr {memory_type(dtype)}, ptr {base}, i64 {address.name}"
        return self.code.write(text, "ptr", (base, address), address.depth), address.depth

    def load(self, node: Load) -> Value:
        guard = tuple(c for c in node.guard if not (self.unguarded and self.varies(c[0])))
        key = id(node.array), node.address, guard, self.shift if self._moves(node) else 0
        known = self._loads.get(key)
        if known is None:
            known = self._loads[key] = self._load(node)
        return known

    def alignment(self, dtype: np.dtype[Any]) -> int:
        """Of what number of bytes the address of a vector of neighbours is known to be a multiple."""
        return dtype.itemsize

    def _moves(self, node: Load) -> bool:
        """Whether what is read differs from copy to copy."""
        indices = node.address, *(affine for affine, _ in node.guard)
        return any(affine.coefficient(self.copied) or affine.nodes for affine in indices)

    def _load(self, node: Load) -> Value:
        code = self.code
        if code.lanes == 1 or not self.varies(node.address):
            return self._load_scalar(node)
        mask = self._combined(self.condition(node.guard))
        wide = vector_type(memory_type(node.dtype), code.lanes)
        align = node.dtype.itemsize
        if self._contiguous(node.address):
            align = self.alignment(node.dtype)
            address = self.scalar(node.address)
            pointer, depth = self._pointer_at(node.array, address, node.dtype)
            if mask is None:
                name = code.write(f"load {wide}, ptr {pointer}, align {align}", wide, (pointer,), depth)
                return self._from_memory(name, node.dtype, code.lanes, depth)
            depth = max(depth, mask.depth)
            intrinsic = f"llvm.masked.load.{suffix(node.dtype, code.lanes)}.p0"
            code.externals.intrinsic(intrinsic, f"{wide} @(ptr, {mask.type}, {wide})")
            text = f"call {wide} @{intrinsic}(ptr align {align} {pointer}, {mask.operand}, {wide} zeroinitializer)"
            return self._from_memory(code.write(text, wide, (pointer, mask), depth), node.dtype, code.lanes, depth)
        if not node.guard and (half := alternating.load(self, node)) is not None:
            return half
        pointers, depth = self._pointers_at(node.array, node.address, node.dtype)
        mask = mask or code.splat(code.constant(True, BOOL))
        depth = max(depth, mask.depth)
        intrinsic = f"llvm.masked.gather.{suffix(node.dtype, code.lanes)}.v{code.lanes}p0"
        pointer_type = f"<{code.lanes} x ptr>"
        code.externals.intrinsic(intrinsic, f"{wide} @({pointer_type}, {mask.type}, {wide})")
        text = (
            f"call {wide} @{intrinsic}({pointer_type} align {align} {pointers}, {mask.operand}, {wide} zeroinitializer)"
        )
        return self._from_memory(code.write(text, wide, (pointers, mask), depth), node.dtype, code.lanes, depth)

    def _load_scalar(self, node: Load) -> Value:
        """One element; at index 0 where the guard fails, so that the address is always inside."""
        code = self.code
        address = self.scalar(node.address)
        own = tuple(c for c in node.guard if not self.varies(c[0]) or code.lanes == 1)
        inside = self.condition(own)
        if inside is not None:
            address = code.select(inside, address, code.constant(0, INT64))
        pointer, depth = self._pointer_at(node.array, address, node.dtype)
        element = memory_type(node.dtype)
        name = code.write(f"load {element}, ptr {pointer}, align {node.dtype.itemsize}", element, (pointer,), depth)
        return self._from_memory(name, node.dtype, 1, depth)

    def _from_memory(self, name: str, dtype: np.dtype[Any], lanes: int, depth: int) -> Value:
        if dtype != BOOL:
            return Value(name, dtype, lanes, depth, None, dtype.kind != "f")
        wide = vector_type("i8", lanes)
        bits = self.code.write(
            f"icmp ne {wide} {name}, zeroinitializer" if lanes > 1 else f"icmp ne i8 {name}, 0",
            vector_type("i1", lanes),
            (name,),
            depth,
        )
        return Value(bits, dtype, lanes, depth, None, True)

    def _combined(self, condition: Value | None) -> Value | None:
        if condition is None or self.mask is None:
            mask = condition or self.mask
        else:
            mask = self.code.and_(self.mask, condition)
        return None if mask is None else self.code.splat(mask)

    def _pointers_at(self, array: Atom, address: Affine, dtype: np.dtype[Any]) -> tuple[str, int]:
        code = self.code
        base = self.pointer(array)
        index = self.index(address)
        pointers = f"<{code.lanes} x ptr>"
        text = f"getelementptr {memory_type(dtype)}, ptr {base}, <{code.lanes} x i64> {index.name}"
        return code.write(text, pointers, (base, index), index.depth), index.depth

    def _contiguous(self, address: Affine) -> bool:
        return address.coefficient(self.vector_or_none) == 1 and not self._scattered(address)

    def present(self, array: Atom, address: Affine, dtype: np.dtype[Any], depth: int) -> Value:
        """What an element that is about to be overwritten holds now, at the depth of the store."""
        if self.varies(address):
            return self._load(Load(array, address, (), dtype))
        pointer, _ = self._pointer_at(array, self.scalar(address), dtype)
        element = memory_type(dtype)
        name = self.code.write(f"load {element}, ptr {pointer}, align {dtype.itemsize}", element, (pointer,), depth)
        return self._from_memory(name, dtype, 1, depth)

    def store(self, array: Atom, address: Affine, value: Value, depth: int) -> None:
        """Write `value` at a depth of at least that of its operands."""
        code = self.code
        dtype = value.dtype
        align = dtype.itemsize
        if code.lanes == 1 or not self.varies(address):
            pointer, _ = self._pointer_at(array, self.scalar(address), dtype)
            stored = self._to_memory(value, depth)
            code.effect(f"store {memory_type(dtype)} {stored}, ptr {pointer}, align {align}", (stored, pointer), depth)
            return
        value = code.splat(value)
        stored = self._to_memory(value, depth)
        wide = vector_type(memory_type(dtype), code.lanes)
        if self._contiguous(address):
            align = self.alignment(dtype)
            pointer, _ = self._pointer_at(array, self.scalar(address), dtype)
            if self.mask is None:
                code.effect(f"store {wide} {stored}, ptr {pointer}, align {align}", (stored, pointer), depth)
                return
            intrinsic = f"llvm.masked.store.{suffix(dtype, code.lanes)}.p0"
            code.externals.intrinsic(intrinsic, f"void @({wide}, ptr, {self.mask.type})")
            text = f"call void @{intrinsic}({wide} {stored}, ptr align {align} {pointer}, {self.mask.operand})"
            code.effect(text, (stored, pointer, self.mask), depth)
            return
        pointers, _ = self._pointers_at(array, address, dtype)
        mask = self.mask or code.splat(code.constant(True, BOOL))
        pointer_type = f"<{code.lanes} x ptr>"
        intrinsic = f"llvm.masked.scatter.{suffix(dtype, code.lanes)}.v{code.lanes}p0"
        code.externals.intrinsic(intrinsic, f"void @({wide}, {pointer_type}, {mask.type})")
        text = f"call void @{intrinsic}({wide} {stored}, {pointer_type} align {align} {pointers}, {mask.operand})"
        code.effect(text, (stored, pointers, mask), depth)

    def _to_memory(self, value: Value, depth: int) -> str:
        if value.dtype != BOOL:
            return value.name
        wide = vector_type("i8", value.lanes)
        return self.code.write(f"zext {value.operand} to {wide}", wide, (value,), depth)
