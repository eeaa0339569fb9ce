"""Iterations of a sweep: its operands, the buffers between which states alternate, and the calls of its programs.

Invariant: pointers are registers of the region's own function, as in loops.py.
Start at ``StepWriter.iteration``; sweeps.py writes the loops around it.
"""

from __future__ import annotations

from collections.abc import Sequence

from staged_ad.control.budget import tape_overflow
from staged_ad.ir import UNKNOWN
from staged_ad.lowering.calls import ARENA, STATUS, Calls, Functions, RegionText, Resolve
from staged_ad.lowering.nest import REGION
from staged_ad.lowering.regions import Opaque
from staged_ad.lowering.scope import freed
from staged_ad.lowering.storage import Place, nbytes
from staged_ad.lowering.sweep_plan import SweepPlan
from staged_ad.native.tape import RELEASE


class StepWriter:
    def __init__(self, region: Opaque, resolve: Resolve, functions: Functions) -> None:
        assert isinstance(region.plan, SweepPlan)
        self.region = region
        self.plan: SweepPlan = region.plan
        self.resolve = resolve
        self.functions = functions
        self.calls = Calls(functions, nested=True)
        self.names: dict[str, Place] = {}
        self.allocas: list[str] = []
        self.entry: list[str] = []
        self.lines: list[str] = []
        self.exit: list[str] = []
        self.allocates = False
        self._serial = 0

    # -- operands -----------------------------------------------------------------------------------------------

    def common(self) -> None:
        """Pointers to operands and results, and the buffers between which states and cotangents alternate."""
        plan = self.plan
        for name, atom in plan.atoms(self.region).items():
            self.pointer(name, self.resolve(atom))
        if self.region.scratch is None:  # where all that is kept has no elements
            self.entry.append("  %work = getelementptr i8, ptr null, i64 0")
        for name, offsets in plan.pairs.items():
            for buffer, offset in zip(("a", "b"), offsets, strict=True):
                self.entry.append(f"  {self.buffer(name, buffer)} = getelementptr i8, ptr %work, i64 {offset}")
            self.allocas.append(f"  {name} = alloca ptr, align 8")
            self.entry.append(f"  store ptr {name.replace('cur', 'init')}, ptr {name}")
        if plan.parts.trips:
            self.entry.append("  %count = load i64, ptr %count.at0")
        elif plan.length is not None:
            self.entry.append(f"  %count = add i64 0, {plan.length}")
        self.cell("%now", "0")

    @staticmethod
    def buffer(current: str, which: str) -> str:
        """The register of one of the two buffers of ``%cur0``."""
        return current.replace("cur", f"{which}.")

    def pointer(self, name: str, place: Place) -> str:
        """A register with an address that comes through the table of the call."""
        self.names[name] = place
        return name

    def cell(self, name: str, value: str) -> None:
        self.allocas.append(f"  {name} = alloca i64, align 8")
        self.entry.append(f"  store i64 {value}, ptr {name}")

    def number(self) -> int:
        """The status that says that the memory of this loop is used up."""
        return self.functions.failure(tape_overflow, self.region.equation.source or UNKNOWN)

    # -- iterations ---------------------------------------------------------------------------------------------

    def iteration(self, name: str) -> None:
        """Iteration %{name}.k plain: the next state goes to the buffer that is not current."""
        self.index(name)
        for k in range(len(self.plan.state_types)):
            self.lines += self.turned(f"%{name}.in{k}", f"%{name}.to{k}", f"%cur{k}")
        self.body(name)
        self.lines += [f"  store ptr %{name}.to{k}, ptr %cur{k}" for k in range(len(self.plan.state_types))]
        self.next(name)

    def next(self, name: str) -> None:
        self.lines += [f"  %{name}.next = add i64 %{name}.k, 1", f"  store i64 %{name}.next, ptr %now"]

    def turned(self, current: str, other: str, cell: str) -> list[str]:
        a, b = self.buffer(cell, "a"), self.buffer(cell, "b")
        return [
            f"  {current} = load ptr, ptr {cell}",
            f"  {current}.is = icmp eq ptr {current}, {a}",
            f"  {other} = select i1 {current}.is, ptr {b}, ptr {a}",
        ]

    def index(self, name: str) -> None:
        """Pointers to the elements of xs and ys in iteration %{name}.k."""
        plan, block = self.plan, self.plan.blocks[name]
        xs = [atom.type.slice() for atom in plan.parts.xs]
        written = len(plan.params["written"]) if name == "tape" else 0
        ys = [var.type for var in block.outputs[len(plan.state_types) : len(block.outputs) - written]]
        self.elements(name, [(f"%xs{k}", nbytes(t)) for k, t in enumerate(xs)],
                       [(f"%ys{k}", nbytes(t)) for k, t in enumerate(ys)])  # fmt: skip

    def elements(self, name: str, xs: Sequence[tuple[str, int]], ys: Sequence[tuple[str, int]]) -> None:
        if not xs and not ys:
            return
        if self.plan.params["reverse"]:
            self.lines += [f"  %{name}.up = add i64 %{name}.k, 1", f"  %{name}.i = sub i64 %count, %{name}.up"]
        else:
            self.lines.append(f"  %{name}.i = add i64 %{name}.k, 0")
        for group, elements in (("x", xs), ("y", ys)):
            for k, (base, size) in enumerate(elements):
                self.lines += [
                    f"  %{name}.{group}at{k} = mul i64 %{name}.i, {size}",
                    f"  %{name}.{group}{k} = getelementptr i8, ptr {base}, i64 %{name}.{group}at{k}",
                ]

    def body(self, name: str) -> None:
        block, scope = self.plan.blocks[name], self.plan.scopes[name]
        for step in block.steps:
            self.calls.add(step, scope)
        self.lines += self.calls.lines
        self.calls.lines.clear()
        for var in freed(block):
            place = scope.place(var)
            serial, self._serial = self._serial, self._serial + 1
            self.lines += [
                f"  %free{serial}.at = getelementptr i8, ptr {place.base}, i64 {place.offset}",
                f"  %free{serial}.data = load ptr, ptr %free{serial}.at",
            ]
            self.release(f"%free{serial}.data", self.lines)

    # -- slots --------------------------------------------------------------------------------------------------

    def stored(self, name: str, slot: str) -> None:
        """The current state to a slot."""
        self.lines += self.state_slot(name, slot)
        for k, (number, offset) in enumerate(zip(self.plan.stored, self.plan.layout.states, strict=True)):
            size = nbytes(self.plan.state_types[number])
            self.lines += [
                f"  {name}.to{k} = getelementptr i8, ptr {name}.base, i64 {offset}",
                f"  {name}.from{k} = load ptr, ptr %cur{number}",
                self.copied(f"{name}.to{k}", f"{name}.from{k}", size),
            ]

    def state_slot(self, name: str, slot: str) -> list[str]:
        layout = self.plan.layout
        return [
            f"  {name}.by = mul i64 {slot}, {layout.state_bytes}",
            f"  {name}.at = add i64 {name}.by, {layout.first_state}",
            f"  {name}.base = getelementptr i8, ptr %slots, i64 {name}.at",
        ]

    # -- the function -------------------------------------------------------------------------------------------

    def copied(self, target: str, source: str, size: int) -> str:
        self.functions.externals.intrinsic("llvm.memmove.p0.p0.i64", "void @(ptr, ptr, i64, i1)")
        return f"  call void @llvm.memmove.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)"

    def release(self, data: str, lines: list[str] | None = None) -> None:
        self.allocates = True
        self.functions.externals.declarations[RELEASE] = f"declare void @{RELEASE}(ptr, ptr)"
        (self.exit if lines is None else lines).append(f"  call void @{RELEASE}(ptr %arena, ptr {data})")

    def text(self) -> RegionText:
        may_fail = self.calls.may_fail or self.allocates
        if may_fail:
            self.pointer("%status", STATUS)
        if self.allocates or ARENA.base in self.calls.bases:
            self.pointer("%arena", ARENA)
        lines = [f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{", "entry:", *self.allocas]
        lines += [line for scope in self.plan.scopes.values() for line in scope.allocas]
        lines += [*self.calls.allocas, *self.calls.table]
        for k, name in enumerate(self.names):
            lines += [f"  %cell{k}.at = getelementptr ptr, ptr %arrays, i64 {k}"]
            lines += [f"  {name} = load ptr, ptr %cell{k}.at, align 8"]
        lines += [*self.entry, "  br label %head", *self.lines, "exit:", *self.exit, "  ret void"]
        if may_fail:
            lines += ["fail:", "  ret void"]
        return RegionText("\n".join([*lines, "}"]), list(self.names.values()), may_fail=may_fail)
