"""Loops: scan and while as native loops around the code of their bodies.

Scalars live in cells on the stack, which LLVM makes registers; arrays in the carry are overwritten in place where that
is right, else two buffers take turns; stacked results are written where they end up. A scan without carry has
independent iterations, which threads share.

Invariant: every value of the body has a place that is fixed for the iteration, so the steps of the body are called as
those of the program are.
Start at ``loop_text``.
"""

from __future__ import annotations

from staged_ad.control.budget import tape_overflow
from staged_ad.ir import UNKNOWN
from staged_ad.lowering.blocks import Block
from staged_ad.lowering.calls import ARENA, STATUS, Calls, Functions, RegionText, Resolve
from staged_ad.lowering.nest import REGION
from staged_ad.lowering.plan import LoopPlan
from staged_ad.lowering.regions import Opaque
from staged_ad.lowering.scope import aligned, cell_type, freed, is_cell
from staged_ad.lowering.storage import Place, nbytes
from staged_ad.native.interrupts import DECLARATION, INTERRUPTED, every
from staged_ad.native.tape import GROW, RELEASE

LINE = 64
"""Bytes of a line of the cache."""
FETCHED = 16384
"""Bytes that an iteration reads of stacked arrays up to which the iteration before fetches them."""
CACHE = 262_144
"""Bytes of stacked arrays from which the next entries may not be in the cache."""


def loop_text(region: Opaque, resolve: Resolve, functions: Functions) -> RegionText:
    """The function of a loop."""
    return _LoopWriter(region, resolve, functions).write()


class _LoopWriter:
    def __init__(self, region: Opaque, resolve: Resolve, functions: Functions) -> None:
        assert isinstance(region.plan, LoopPlan)
        self.region = region
        self.plan: LoopPlan = region.plan
        self.resolve = resolve
        self.functions = functions
        self.calls = Calls(functions, nested=True)
        self.places: list[Place] = []
        self._names: dict[str, int] = {}  # of the registers that hold the addresses of these places
        self.entry: list[str] = []
        self.head: list[str] = []
        self.start: list[str] = []  # of an iteration
        self.latch: list[str] = []
        self.exit: list[str] = []
        self.allocates = False
        self.asks = False

    def write(self) -> RegionText:
        plan = self.plan
        self._operands()
        self._carries()
        self._xs()
        self._ys()
        test: list[str] = []
        if plan.cond is not None:
            test = self._block(plan.cond)
            test += [
                "  %going.now = load i8, ptr %going",
                "  %going.on = icmp ne i8 %going.now, 0",
            ]
        body = self._block(plan.body)
        often = every(plan.body.cost)
        if (
            self.functions.asks
            and plan.chunks == 1
            and (plan.length is None or plan.cond is not None or plan.length > often)
        ):
            body += self._interrupted(often)
        self._free()
        if plan.trips is not None:
            self.exit.append(f"  store i64 %k, ptr {self._pointer('%trips', self.resolve(plan.trips))}")
        may_fail = self.calls.may_fail or self.allocates or self.asks
        if may_fail:
            self._pointer("%status", STATUS)
        if self.allocates or ARENA.base in self.calls.bases:
            self._pointer("%arena", ARENA)
        return RegionText(self._text(test, body), self.places, plan.chunks, plan.chunks > 1, may_fail)

    def _text(self, test: list[str], body: list[str]) -> str:
        plan = self.plan
        lines = [f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{", "entry:"]
        lines += plan.scope.allocas
        lines += [*self.calls.allocas, *self.calls.table, *self._tables, *self.entry]
        lines += ["  br label %start", "start:", "  br label %head", "head:"]
        lines.append(f"  %k = phi i64 [ {'%first' if plan.chunks > 1 else 0}, %start ], [ %k.next, %latch ]")
        lines += self.head
        if plan.cond is None:
            lines.append("  %going.on = icmp slt i64 %k, %last")
        lines += test
        lines += ["  br i1 %going.on, label %body, label %exit", "body:"]
        if plan.reverse:
            lines += ["  %i.up = add nsw i64 %k, 1", "  %i = sub nsw i64 %count, %i.up"]
        else:
            lines.append("  %i = add nsw i64 %k, 0")
        lines += [*self.start, *body, "  br label %latch", "latch:", *self.latch]
        lines += ["  %k.next = add nsw i64 %k, 1", "  br label %head", "exit:", *self.exit, "  ret void"]
        if self.calls.may_fail or self.allocates or self.asks:
            lines += ["fail:", "  ret void"]
        return "\n".join([*lines, "}"])

    # -- operands -----------------------------------------------------------------------------------------------

    def _pointer(self, name: str, place: Place) -> str:
        """A register with an address that comes through the table."""
        self._names.setdefault(name, len(self.places))
        if self._names[name] == len(self.places):
            self.places.append(place)
        return name

    @property
    def _tables(self) -> list[str]:
        lines = []
        for name, k in self._names.items():
            lines.append(f"  %slot{k} = getelementptr ptr, ptr %arrays, i64 {k}")
            lines.append(f"  {name} = load ptr, ptr %slot{k}, align 8")
        return lines

    def _operands(self) -> None:
        plan = self.plan
        for k, literal in enumerate(plan.literals):
            self._pointer(f"%lit{k}", self.resolve(literal))
        for k, (var, atom) in enumerate(plan.consts):
            if is_cell(var.type):
                kind = cell_type(var.type)
                source = self._pointer(f"%const{k}.at", self.resolve(atom))
                plan.scope.allocas.append(f"  %const{k} = alloca {kind}, align 8")
                self.entry += _moved(f"%const{k}.now", kind, source, f"%const{k}")
            else:
                self._pointer(f"%const{k}", self.resolve(atom))
        if plan.count is not None:
            source = self._pointer("%count.at", self.resolve(plan.count))
            self.entry.append(f"  %count = load i64, ptr {source}")
        else:
            self.entry.append(f"  %count = add i64 0, {plan.length or 0}")
        if plan.chunks > 1:
            self.entry += [
                f"  %first = mul i64 %chunk, {plan.chunk}",
                f"  %behind = add i64 %first, {plan.chunk}",
                "  %inside = icmp slt i64 %behind, %count",
                "  %last = select i1 %inside, i64 %behind, i64 %count",
            ]
        else:
            self.entry.append("  %last = add i64 %count, 0")
        if self.region.scratch is None:
            self.entry.append("  %work = getelementptr i8, ptr null, i64 0")
        else:
            whole = self._pointer("%work.all", self.resolve(self.region.scratch))
            self.entry += [
                f"  %work.from = mul i64 %chunk, {plan.bytes}",
                f"  %work = getelementptr i8, ptr {whole}, i64 %work.from",
            ]

    def _carries(self) -> None:
        plan = self.plan
        offset = aligned(plan.scope.work)
        for k, ((var, atom), mode, result) in enumerate(zip(plan.carry, plan.modes, plan.results, strict=True)):
            size = nbytes(var.type)
            first = self._pointer(f"%init{k}", self.resolve(atom))
            out = self._pointer(f"%out{k}", self.resolve(result))
            if mode == "cell":
                kind = cell_type(var.type)
                self.entry += [
                    f"  %init{k}.now = load {kind}, ptr {first}",
                    f"  store {kind} %init{k}.now, ptr %carry{k}",
                ]
                self.latch += [f"  %moved{k} = load {kind}, ptr %next{k}", f"  store {kind} %moved{k}, ptr %carry{k}"]
                self.exit += [f"  %final{k} = load {kind}, ptr %carry{k}", f"  store {kind} %final{k}, ptr {out}"]
            elif mode == "in place":
                if self.resolve(atom) != self.resolve(result):
                    self.entry.append(self._copied(out, first, size))
            else:
                a, b = f"%a{k}", f"%b{k}"
                for name in (a, b):
                    self.entry.append(f"  {name} = getelementptr i8, ptr %work, i64 {offset}")
                    offset += aligned(size)
                if plan.length:  # the last iteration writes the result itself
                    if plan.length % 2:
                        a = out
                    else:
                        b = out
                self.head += [
                    f"  %in{k} = phi ptr [ {first}, %start ], [ %to{k}, %latch ]",
                    f"  %to{k} = phi ptr [ {a}, %start ], [ %other{k}, %latch ]",
                    f"  %other{k} = phi ptr [ {b}, %start ], [ %to{k}, %latch ]",
                ]
                if not plan.length:
                    self.exit.append(self._copied(out, f"%in{k}", size))

    def _copied(self, target: str, source: str, size: int) -> str:
        self.functions.externals.intrinsic("llvm.memmove.p0.p0.i64", "void @(ptr, ptr, i64, i1)")
        return f"  call void @llvm.memmove.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)"

    def _xs(self) -> None:
        fetches = self._fetches
        for k, ((_, atom), type) in enumerate(zip(self.plan.xs, self.plan.x_types, strict=True)):
            size = nbytes(type)
            base = self._pointer(f"%xs{k}", self.resolve(atom))
            step = str(self.plan.distances.get(f"%x{k}", size))
            if self.plan.length is None:
                zeros = self._zeros(size)
                self.entry += [
                    f"  %xs{k}.data = load ptr, ptr {base}",
                    f"  %xs{k}.size = getelementptr i8, ptr {base}, i64 8",
                    f"  %xs{k}.entries = load i64, ptr %xs{k}.size",
                    f"  %xs{k}.none = icmp eq i64 %xs{k}.entries, 0",
                    f"  %xs{k}.from = select i1 %xs{k}.none, ptr {zeros}, ptr %xs{k}.data",
                    f"  %xs{k}.step = select i1 %xs{k}.none, i64 0, i64 {size}",
                ]
                base, step = f"%xs{k}.from", f"%xs{k}.step"
            self.start += [
                f"  %x{k}.at = mul i64 %i, {step}",
                f"  %x{k} = getelementptr i8, ptr {base}, i64 %x{k}.at",
            ]
            if fetches and size >= LINE:
                self.start += [f"  %x{k}.back = sub i64 0, {step}", *self._ahead(f"%x{k}", size)]

    @property
    def _fetches(self) -> bool:
        """Whether iterations fetch what the next one reads: in reverse loops, where hardware foresees little."""
        plan = self.plan
        entry = sum(map(nbytes, plan.x_types))
        return plan.reverse and entry <= FETCHED and (plan.length is None or entry * plan.length > CACHE)

    def _ahead(self, name: str, size: int) -> list[str]:
        """Fetch the entry before the one at `name`; no harm outside of the array."""
        self.functions.externals.intrinsic("llvm.prefetch.p0", "void @(ptr, i32, i32, i32)")
        lines = [f"  {name}.line0 = getelementptr i8, ptr {name}, i64 {name}.back"]
        for start in range(0, size, LINE):
            if start:
                lines.append(f"  {name}.line{start} = getelementptr i8, ptr {name}.line0, i64 {start}")
            lines.append(f"  call void @llvm.prefetch.p0(ptr {name}.line{start}, i32 0, i32 3, i32 1)")
        return lines

    def _zeros(self, size: int) -> str:
        """Memory that holds zeros: what a ragged array without entries stands for."""
        name = f"@zeros{size}"
        self.functions.externals.helpers.setdefault(
            name, f"{name} = internal constant [{max(size, 1)} x i8] zeroinitializer, align 64"
        )
        return name

    # -- results ------------------------------------------------------------------------------------------------

    def _ys(self) -> None:
        plan = self.plan
        for k, (result, type) in enumerate(zip(plan.ys, plan.y_types, strict=True)):
            size = nbytes(type)
            base = self._pointer(f"%ys{k}", self.resolve(result))
            if plan.length is None:
                base = self._ragged(k, base, size)
            self.start += [
                f"  %y{k}.at = mul i64 %i, {self.plan.distances.get(f'%y{k}', size)}",
                f"  %y{k} = getelementptr i8, ptr {base}, i64 %y{k}.at",
            ]

    def _ragged(self, k: int, handle: str, size: int) -> str:
        """A stacked result whose length only the run knows: a tape. The register with its address in an iteration."""
        self.allocates = True
        self.functions.externals.declarations[GROW] = f"declare ptr @{GROW}(ptr, ptr, i64, ptr, i64)"
        number = self._number()
        if self.plan.cond is None:
            self.entry += [
                f"  %ys{k}.bytes = mul i64 %count, {size}",
                f"  %ys{k}.data = call ptr @{GROW}(ptr %arena, ptr null, i64 %ys{k}.bytes, ptr %status, i64 {number})",
                f"  %ys{k}.none = icmp eq ptr %ys{k}.data, null",
                f"  br i1 %ys{k}.none, label %fail, label %ys{k}.made",
                f"ys{k}.made:",
            ]
            data, count = f"%ys{k}.data", "%count"
        else:
            first = max(1, min(64, self.functions.room // max(size, 1)))
            self.plan.scope.allocas += [f"  %ys{k}.cell = alloca ptr, align 8", f"  %ys{k}.room = alloca i64, align 8"]
            self.entry += [f"  store ptr null, ptr %ys{k}.cell", f"  store i64 0, ptr %ys{k}.room"]
            self.start += [
                f"  %ys{k}.has = load i64, ptr %ys{k}.room",
                f"  %ys{k}.fits = icmp slt i64 %k, %ys{k}.has",
                f"  br i1 %ys{k}.fits, label %ys{k}.go, label %ys{k}.grow",
                f"ys{k}.grow:",
                f"  %ys{k}.twice = shl i64 %ys{k}.has, 1",
                f"  %ys{k}.small = icmp slt i64 %ys{k}.twice, {first}",
                f"  %ys{k}.wanted = select i1 %ys{k}.small, i64 {first}, i64 %ys{k}.twice",
                f"  %ys{k}.bytes = mul i64 %ys{k}.wanted, {size}",
                f"  %ys{k}.old = load ptr, ptr %ys{k}.cell",
                f"  %ys{k}.new = call ptr @{GROW}(ptr %arena, ptr %ys{k}.old, i64 %ys{k}.bytes, ptr %status, "
                f"i64 {number})",
                f"  %ys{k}.none = icmp eq ptr %ys{k}.new, null",
                f"  br i1 %ys{k}.none, label %fail, label %ys{k}.made",
                f"ys{k}.made:",
                f"  store ptr %ys{k}.new, ptr %ys{k}.cell",
                f"  store i64 %ys{k}.wanted, ptr %ys{k}.room",
                f"  br label %ys{k}.go",
                f"ys{k}.go:",
                f"  %ys{k}.now = load ptr, ptr %ys{k}.cell",
            ]
            self.exit.append(f"  %ys{k}.last = load ptr, ptr %ys{k}.cell")
            data, count = f"%ys{k}.last", "%k"
        self.exit += [
            f"  store ptr {data}, ptr {handle}",
            f"  %ys{k}.count = getelementptr i8, ptr {handle}, i64 8",
            f"  store i64 {count}, ptr %ys{k}.count",
        ]
        return data if self.plan.cond is None else f"%ys{k}.now"

    def _number(self) -> int:
        """The status that says that the memory of this loop is used up."""
        return self.functions.failure(tape_overflow, self.region.equation.source or UNKNOWN)

    def _free(self) -> None:
        """Ragged arrays that live in one iteration."""
        for k, var in enumerate(freed(self.plan.body)):
            self.allocates = True
            self.functions.externals.declarations[RELEASE] = f"declare void @{RELEASE}(ptr, ptr)"
            place = self.plan.scope.place(var)
            self.latch += [
                f"  %free{k}.at = getelementptr i8, ptr {place.base}, i64 {place.offset}",
                f"  %free{k}.data = load ptr, ptr %free{k}.at",
                f"  call void @{RELEASE}(ptr %arena, ptr %free{k}.data)",
            ]

    def _interrupted(self, often: int) -> list[str]:
        """Now and then, the loop asks whether Python wants the call to end."""
        self.asks = True
        self.functions.externals.declarations[INTERRUPTED] = DECLARATION
        status = self.functions.failure(RuntimeError, "a signal came")  # where Python knows of no exception
        return [
            f"  %ask.count = and i64 %k, {often - 1}",
            f"  %ask.now = icmp eq i64 %ask.count, {often - 1}",
            "  br i1 %ask.now, label %ask, label %ask.done, !prof !0",
            "ask:",
            f"  %ask.stop = call preserve_allcc i64 @{INTERRUPTED}()",
            "  %ask.none = icmp eq i64 %ask.stop, 0",
            "  br i1 %ask.none, label %ask.done, label %ask.end",
            "ask.end:",
            f"  store atomic i64 {status}, ptr %status monotonic, align 8",
            "  br label %fail",
            "ask.done:",
        ]

    def _block(self, block: Block) -> list[str]:
        before = len(self.calls.lines)
        for step in block.steps:
            self.calls.add(step, self.plan.scope)
        lines = self.calls.lines[before:]
        del self.calls.lines[before:]
        return lines


def _moved(register: str, kind: str, source: str, target: str) -> list[str]:
    """One number from one place to another."""
    return [f"  {register} = load {kind}, ptr {source}", f"  store {kind} {register}, ptr {target}"]
