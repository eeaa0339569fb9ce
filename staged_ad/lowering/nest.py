"""A scheduled loop nest as an LLVM function ``void name(i64 chunk, ptr arrays)``.

Invariant: instructions of depth d stand in the body of loop d - 1, before the loop inside it; those of the depth
after the innermost stand behind the reduced loops.
Start at ``NestWriter.text``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from staged_ad.ir import Var
from staged_ad.ir.lowerings import Index, Map
from staged_ad.ir.types import BOOL, INT64
from staged_ad.lowering import alternating, edges, folding, speculation
from staged_ad.lowering.accumulators import Accumulators
from staged_ad.lowering.bases import rebased
from staged_ad.lowering.indexing import NODES, Affine, Condition
from staged_ad.lowering.memory import Memory
from staged_ad.lowering.rarely import RareCode, skipping
from staged_ad.lowering.regions import Apply, Constant, Guarded, Load, Node, OfIndex, Reduce, Store, Times
from staged_ad.lowering.schedule import Schedule, depending
from staged_ad.lowering.stages import MEMORY, Cut, staged
from staged_ad.lowering.storage import Place, Places
from staged_ad.lowering.values import Externals, Instruction, Value

REGION = "REGION"
"""Stands for the name of the function: nests with equal text become one function."""


class NestWriter:
    """Writes one nest. `partials` has the partial results of a chunked one; if `repeated`, it stands in a loop."""

    code_type: type[RareCode] = RareCode
    memory_type: type[Memory] = Memory

    def __init__(
        self,
        schedule: Schedule,
        storage: Places,
        externals: Externals,
        partials: dict[Var, Var],
        repeated: bool = False,
    ) -> None:
        self.schedule = schedule
        self.nest, first = rebased(schedule.nest, frozenset(partials))
        self.partials = partials
        self.depth = len(schedule.loops)
        self.repeated = repeated
        self.after = self.depth + 1
        self.first_reduced = next((k for k, d in enumerate(schedule.loops) if d in self.nest.reduced), self.depth)
        self.code = self.code_type(externals, schedule.lanes, self.depth + 2)
        self.memory = self.memory_type(self.code, storage, schedule.vector, schedule.copied, first)
        for k, dim in enumerate(schedule.loops):
            self.memory.positions[dim] = Value(f"%i{k}", INT64, 1, k + 1)
        self.chunk_dim = len(self.nest.domain)
        self.memory.positions[self.chunk_dim] = Value("%chunk", INT64, 1, 0)
        self.accumulators = Accumulators(self.code, schedule, self.nest, self.first_reduced)
        self.allocas = self.accumulators.allocas
        self.start, self.end = self._bounds()
        self.depends = depending(self.nest.nodes)
        self.masks: list[Value | None] = []
        self.inside: list[Instruction] = []  # what comes before the choice between the two bodies
        self.plain: list[Instruction] = []  # the values of the body without guards and masks
        self.commit: list[Instruction] = []  # what it does with them
        self.inside_flag = self.lost_flag = ""  # registers: whether it may begin, and whether it was wrong
        self.folded: list[Value] = []  # what the body adds to accumulators
        self.skipping: list[str] = []  # the body with a branch around what mostly is zero
        self.watched: list[Instruction] = []  # what finds out behind a stretch of iterations whether a bet was lost

    @property
    def places(self) -> list[Place]:
        """What the table of arrays must hold, once the text is written."""
        return list(self.memory.places)

    def text(self) -> str:
        """The function, called ``@REGION``, preceded by those that it is split into."""
        self._write()
        cut = Cut([], [], [], [])
        if not self.plain:
            cut = staged(REGION, self.code.blocks, self.depth, self.allocas)
            self.code.blocks[self.depth] = cut.calls
            self.skipping = [] if cut.functions else self._without_zeros()
        if cut.after:
            self.code.externals.declarations.update(MEMORY)
        lines = [f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{", "entry:"]
        lines += [*self.allocas, *cut.before]
        lines += self._block(0)
        lines += self._loops(0, "entry")
        lines += [*cut.after, "  ret void", "}"]
        return "\n".join([*cut.functions, *lines])

    # -- loops --------------------------------------------------------------------------------------------------

    def _bounds(self) -> tuple[Value, Value]:
        """Where the chunked dimension starts and ends in this chunk."""
        schedule, code = self.schedule, self.code
        if schedule.chunked is None:
            return code.constant(0, INT64), code.constant(0, INT64)
        length = code.constant(self.nest.domain[schedule.chunked], INT64)
        start = code.mul(Value("%chunk", INT64, 1, 0), code.constant(schedule.chunk, INT64))
        limit = code.add(start, code.constant(schedule.chunk, INT64))
        return start, code.select(code.compare("lt", limit, length), limit, length)

    def _loop_bounds(self, k: int) -> tuple[Value, Value]:
        dim = self.schedule.loops[k]
        if dim == self.schedule.chunked:
            return self.start, self.end
        return self.code.constant(0, INT64), self.code.constant(self.nest.domain[dim], INT64)

    def _block(self, depth: int) -> list[str]:
        lines = _lines(self.code.blocks[depth])
        if depth == self.depth and self.plain:
            lines = self._either(lines)
        elif depth == self.depth and self.skipping:
            lines = self.skipping
        if depth == self.first_reduced == self.depth:
            lines += self._block(self.after)
        return lines

    def _loops(self, k: int, label: str) -> Iterator[str]:
        if k == self.depth:
            return
        start, end = self._loop_bounds(k)
        ends = start.name, end.name, self._step(self.schedule.loops[k])
        if k + 1 == self.depth and self.watched:
            parts = map(_lines, (self.plain, self.watched, self.code.blocks[self.depth]))
            yield from speculation.loop(k, label, ends, self.accumulators.all, self.lost_flag, *parts)
            if k == 0:
                yield from self._block(self.after)
            return
        if k + 1 == self.depth and self._dwells():
            parts = map(_lines, (self.inside, self.plain, self.commit, self.code.blocks[self.depth]))
            yield from edges.loop(k, label, ends, self.inside_flag, self.lost_flag, *parts)
            return
        yield f"  br label %head{k}"
        yield f"head{k}:"
        yield f"  %at{k} = phi i64 [ {start.name}, %{label} ], [ %next{k}, %latch{k} ]"
        yield f"  %go{k} = icmp slt i64 %at{k}, {end.name}"
        yield f"  br i1 %go{k}, label %body{k}, label %exit{k}"
        yield f"body{k}:"
        yield from self._position(k, end)
        yield from self._block(k + 1)
        yield from self._loops(k + 1, f"body{k}")
        if k + 1 == self.first_reduced < self.depth:
            yield from self._block(self.after)
        yield f"  br label %latch{k}"
        yield f"latch{k}:"
        yield f"  %next{k} = add nsw i64 %at{k}, {self._step(self.schedule.loops[k])}"
        yield f"  br label %head{k}"
        yield f"exit{k}:"
        if k == 0 and self.first_reduced == 0:
            yield from self._block(self.after)

    def _dwells(self) -> bool:
        """Whether most iterations of the innermost loop are far from its edges, one after another."""
        vector = self.schedule.loops[-1]
        many = self.nest.domain[vector] > edges.FEW * self._step(vector)  # of fewer, LLVM makes straight code
        return many and bool(self.inside_flag) and not self.code.blocks[self.after]

    def _step(self, dim: int) -> int:
        """Iterations at once."""
        schedule = self.schedule
        return (schedule.lanes if dim == schedule.vector else 1) * (schedule.copies if dim == schedule.copied else 1)

    def _position(self, k: int, end: Value) -> Iterator[str]:
        """The index in the body. The last rows may be those of the iteration before once more."""
        rows = self.schedule.copies
        if self.schedule.loops[k] != self.schedule.copied or self.schedule.copied == self.schedule.vector or rows == 1:
            yield f"  %i{k} = add nsw i64 %at{k}, 0"
            return
        yield f"  %last{k} = sub nsw i64 {end.name}, {rows}"
        yield f"  %whole{k} = icmp sle i64 %at{k}, %last{k}"
        yield f"  %i{k} = select i1 %whole{k}, i64 %at{k}, i64 %last{k}"

    # -- the body -----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        guards, bets = edges.guards(self.schedule, self.nest), speculation.pays(self.nest, self.repeated)
        if guards and self.nest.domain[self.schedule.loops[-1]] <= 2 * self._step(self.schedule.loops[-1]):
            bets = False  # LLVM makes two iterations straight code, if there is no further branch
        if (guards or bets) and not self._skips():
            self._write_plain_body(guards, bets)
        if not self.plain or self.inside_flag or self.lost_flag:
            self._write_body()
        for number, reduce in enumerate(self.nest.reduces):
            self._finish(reduce, self.accumulators.parts(number, self.after))

    def _either(self, guarded: list[str]) -> list[str]:
        """A choice for each iteration: the plain body where all guards hold for all lanes and no bet is lost."""
        before, plain, commit = map(_lines, (self.inside, self.plain, self.commit))
        return [*before, *speculation.either(self.inside_flag, plain, self.lost_flag, commit, guarded)]

    def _skips(self) -> bool:
        """Whether the one body, without a plain one beside it, would have such a branch: that saves more."""
        if self.nest.stores or not self.nest.reduces:
            return False
        before = list(self.code.blocks[self.depth])
        self._write_body()
        skips = bool(self._without_zeros())
        self.code.blocks[self.depth] = before
        self._forget()
        return skips

    def _forget(self) -> None:
        """Another body is written."""
        self.memory.forget(self.depth)
        self.memory.shift = 0  # what is written before any copy is about the first
        self.code.forget(self.depth)
        self.masks.clear()
        self.folded.clear()

    def _without_zeros(self) -> list[str]:
        """The body with a branch around its terms where all of them are zero at once, and mostly are."""
        code, nest = self.code, self.nest
        condition = None if nest.stores else code.common(self.folded)
        if condition is None or condition.depth != self.depth:
            return []
        if not all(map(self.accumulators.starts_at_zero, nest.reduces)):
            return []
        return skipping(condition, code.blocks[self.depth])

    def _write_plain_body(self, guards: set[Condition], bets: bool) -> None:
        """The body without guards at edges, and without the masks of strong products."""
        memory, code, depth = self.memory, self.code, self.depth
        for store in self.nest.stores:
            memory.pointer(store.array)  # known in both bodies
        if guards:
            end = self._loop_bounds(depth - 1)[1]
            self.inside_flag = edges.inside(code, memory, self.schedule, end, guards)
        self.inside, code.blocks[depth] = code.blocks[depth], []
        memory.unguarded, code.betting = bool(guards), depth if bets else None
        shared: dict[int, Value] = {}
        copies, masks = [], []
        for copy in range(self.schedule.copies):
            self._enter(copy)
            copies.append(self._values(shared))
            masks.append((len(code.blocks[depth]), memory.mask))
        results = [s.node for s in self.nest.stores] + [r.node for r in self.nest.reduces]
        kept = {values[node].name for values in copies for node in results}
        ends = speculation.ends(code.blocks[depth], code.bets, kept)
        sums = self.accumulators.sums(copies)
        late = ends and not guards and self._sums_alone() and sums.keys() >= {end.result for _, end in ends}
        if ends and not late:
            self.lost_flag = speculation.lost(code, depth, ends, masks)
        self.plain, code.blocks[depth] = code.blocks[depth], []
        for copy, values in enumerate(copies):
            self._enter(copy)
            self._act(copy, values)
        self.commit, code.blocks[depth] = code.blocks[depth], []
        if late:
            totals = [self.accumulators.read(sums[end.result], depth) for _, end in ends]
            self.lost_flag = speculation.any_nan(code, totals, depth)
            self.watched, code.blocks[depth] = code.blocks[depth], []
            self.plain, self.commit = [*self.plain, *self.commit], []
            self.allocas += speculation.kept(self.accumulators.all)
        memory.unguarded, code.betting = False, None
        self._forget()

    def _sums_alone(self) -> bool:
        """Whether the innermost loop does nothing but sum up, and many values."""
        alone = not self.nest.stores and self.first_reduced < self.depth
        return alone and len(self.nest.reduces) * self.schedule.copies >= speculation.MANY

    def _write_body(self) -> None:
        shared: dict[int, Value] = {}
        for copy in range(self.schedule.copies):
            self._enter(copy)
            self._act(copy, self._values(shared))

    def _act(self, copy: int, values: list[Value]) -> None:
        """What a body does with the values of a copy: stores and sums."""
        self.memory.positions.update((NODES + number, value) for number, value in enumerate(values))
        writes = []
        for store in self.nest.stores:
            if store.combine is None:
                writes.append((store.array, store.address, values[store.node]))
            else:
                self._update(store, store.combine, values[store.node])
        alternating.store(self.memory, writes, self.depth)
        for number, reduce in enumerate(self.nest.reduces):
            position = None if reduce.position is None else self.memory.index(reduce.position)
            self.accumulators.add(number, copy, values[reduce.node], self.memory.mask, position)
            self.folded.append(values[reduce.node])

    def _update(self, store: Store, combine: Callable[..., Any], value: Value) -> None:
        old = self.memory.present(store.array, store.address, value.dtype, self.depth)
        self.memory.store(store.array, store.address, combine(self.code, old, value), self.depth)

    def _enter(self, copy: int) -> None:
        """Make the memory speak of vector number `copy` of the iteration."""
        schedule, memory = self.schedule, self.memory
        memory.shift = copy * (schedule.lanes if schedule.copied == schedule.vector else 1)
        if copy == len(self.masks):
            self.masks.append(self._mask())
        self.code.live = memory.mask = self.masks[copy]

    def _mask(self) -> Value | None:
        schedule = self.schedule
        vector = schedule.vector
        if vector is None or self.memory.unguarded:
            return None
        length = self.nest.domain[vector]
        whole = math.gcd(length, schedule.chunk) if schedule.chunked == vector else length
        if whole % self._step(vector) == 0:
            return None
        end = self.end if schedule.chunked == vector else self.code.constant(length, INT64)
        alone = schedule.chunked == vector or length % schedule.lanes == 1
        dtypes = [store.array.type.dtype for store in self.nest.stores]
        if alone and any(dtype.kind in "biu" and dtype.itemsize < 8 for dtype in dtypes):
            end = self._unknown(end)
        return self.memory.lanes_below(vector, end)

    def _unknown(self, x: Value) -> Value:
        """A number that LLVM does not know.

        LLVM 22 writes all 8 bytes of an integer that it narrows for a masked store of which it knows that one lane
        alone is stored: X86's scalar form of that store forgets that it truncates.
        """
        cell = self.code.fresh()
        self.allocas.append(f"  {cell} = alloca i64")
        self.code.effect(f"store volatile i64 {x.name}, ptr {cell}", (x,), 0)
        return Value(self.code.write(f"load volatile i64, ptr {cell}", "i64", (), 0), INT64, 1, 0)

    def _values(self, shared: dict[int, Value]) -> list[Value]:
        """The value of every node; those without the dimension of the copies are common to all of them."""
        values: list[Value] = []
        for number, node in enumerate(self.nest.nodes):
            if self.schedule.copied in self.depends[number]:
                values.append(self._emit(node, values))
            else:
                if number not in shared:
                    shared[number] = self._emit(node, values)
                values.append(shared[number])
            self.memory.positions[NODES + number] = values[number]
        return values

    def _emit(self, node: Node, values: list[Value]) -> Value:
        code = self.code
        match node:
            case Load():
                return self.memory.load(node)
            case Constant():
                return code.constant(node.value, node.dtype)
            case Apply():
                rule = node.equation.primitive.lower
                assert isinstance(rule, Map)
                result: Value = rule.emit(code, *[values[k] for k in node.operands], **node.equation.params)
                return result
            case Times():
                left, right = values[node.left], values[node.right]
                return code.and_(left, right) if node.dtype == BOOL else code.contracted("mul", left, right)
            case OfIndex():
                own = node.equation.primitive.lower
                assert isinstance(own, Index)
                element: Value = own.emit(code, [self.memory.index(i) for i in node.index], **node.equation.params)
                return element
            case Guarded():
                value = values[node.operand]
                source = self.nest.nodes[node.operand]
                masked = isinstance(source, Load) and value.lanes > 1 and set(node.guard) <= set(source.guard)
                condition = None if masked else self.memory.condition(node.guard)
                return value if condition is None else code.select(condition, value, code.constant(0, node.dtype))

    # -- reductions ---------------------------------------------------------------------------------------------

    def _finish(self, reduce: Reduce, parts: list[list[Value]]) -> None:
        """Behind the reduced loops: join copies and lanes, and store."""
        target = self.partials.get(reduce.array, reduce.array) if self.schedule.partial else reduce.array
        address = reduce.address
        if target is not reduce.array:
            address = address + Affine(0, ((self.chunk_dim, reduce.array.type.size),))
        across = self.schedule.vector is None or self.schedule.vector in self.nest.reduced
        if not across:
            for copy, part in enumerate(parts):
                self._enter(copy)
                self.memory.store(target, address, part[-1], self.after)
            return
        if self.schedule.copied != self.schedule.vector:
            for copy, part in enumerate(parts):
                self._enter(copy)
                self.memory.store(target, address, self._across(reduce, part)[-1], self.after)
            return
        while len(parts) > 1:
            half = (len(parts) + 1) // 2
            joined = [folding.joined(self.code, reduce.rule, a, b) for a, b in zip(parts, parts[half:], strict=False)]
            parts = [*joined, *parts[len(joined) : half]]
        self.memory.shift = 0
        self.memory.store(target, address, self._across(reduce, parts[0])[-1], self.after)

    def _across(self, reduce: Reduce, whole: list[Value]) -> list[Value]:
        """The fold of the lanes of a vector."""
        lanes = whole[0].lanes
        while lanes > 1:
            lanes //= 2
            low = [self.code.part(v, 0, lanes) for v in whole]
            high = [self.code.part(v, lanes, lanes) for v in whole]
            whole = folding.joined(self.code, reduce.rule, low, high)
        return whole


def _lines(block: Sequence[Instruction]) -> list[str]:
    return ["  " + instruction.text for instruction in block]
