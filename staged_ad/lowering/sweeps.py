"""Sweeps: checkpointed loops as machine code, a loop over a table of actions around the code of an iteration.

An iteration reads the current state and writes the next one to the other of two buffers, or to its slot; restoring a
state moves a pointer. Where only the run knows the number of iterations, forwards a table says which states to store,
and backwards Python makes the table of actions, once in each run, in memory of the call's arena.

Invariant: nothing writes to what a state or a residual set is read from: ``control/sweep_plan.py`` chooses slots so.
Start at ``sweep_text``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from typing import Any, Final

from staged_ad.control.sweep_plan import OP_BITS, SLOT_BITS, online_table
from staged_ad.control.sweep_run import Backward, Forward
from staged_ad.ir import Atom, Var
from staged_ad.lowering.calls import ARENA, STATUS, Calls, Functions, RegionText, Resolve
from staged_ad.lowering.nest import REGION
from staged_ad.lowering.regions import Opaque
from staged_ad.lowering.scope import aligned, freed
from staged_ad.lowering.storage import Place, nbytes
from staged_ad.lowering.sweep_plan import SweepPlan
from staged_ad.lowering.tape import GROW, OVERFLOW, RELEASE

ROWS, FILL = "staged_sweep_rows", "staged_sweep_fill"


def sweep_text(region: Opaque, resolve: Resolve, functions: Functions) -> RegionText:
    """The function of a run of a sweep."""
    writer = _SweepWriter(region, resolve, functions)
    return writer.backward() if writer.plan.backward else writer.forward()


def _rows(count: int, slots: int) -> int:
    """The number of rows plus 1: where Python fails, ctypes returns 0."""
    return len(online_table(count, slots)) + 1


def _fill(count: int, slots: int, target: int) -> int:
    table = online_table(count, slots)
    ctypes.memmove(target, table.ctypes.data, table.nbytes)
    return 1


_CALLBACKS: Final = {
    ROWS: ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(_rows),
    FILL: ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(_fill),
}


class _SweepWriter:
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

    # -- the two runs -------------------------------------------------------------------------------------------

    def forward(self) -> RegionText:
        plan, outputs = self.plan, self.region.equation.outputs
        parts = plan.parts
        assert isinstance(parts, Forward)
        carries = len(parts.carry)
        online = plan.length is None
        counted = plan.params["cond"] is not None
        self._common(parts.carry, parts.xs, outputs[carries + counted : -1])
        self._pointer("%slots", self.resolve(outputs[-1]))
        self._pointer("%table", self.resolve(parts.table))
        if online:
            self._online(parts, outputs)
        else:
            self._actions(len(parts.table.value), ["advance", "save", "tape"])
        for k, (atom, result) in enumerate(zip(parts.carry, outputs, strict=False)):
            out = self._pointer(f"%result{k}", self.resolve(result))
            self.exit += [f"  %last{k} = load ptr, ptr %cur{k}", self._copied(out, f"%last{k}", nbytes(atom.type))]
        return self._text()

    def backward(self) -> RegionText:
        plan, outputs = self.plan, self.region.equation.outputs
        parts = plan.parts
        assert isinstance(parts, Backward)
        cache = self._pointer("%cache", self.resolve(parts.cache))
        self._common(parts.state, parts.xs, ())
        if plan.overwrites:
            self.entry.append(f"  %slots = getelementptr i8, ptr {cache}, i64 0")
        else:
            self.entry += [
                f"  %slots = getelementptr i8, ptr %work, i64 {plan.buffers}",
                self._copied("%slots", cache, plan.layout.bytes),
            ]
        self._cotangents(parts, outputs)
        if plan.length is None:
            self._ask()
            rows: Any = "%rows"
        else:
            self._pointer("%table", self.resolve(parts.table))
            rows = len(parts.table.value)
        self._actions(rows, ["advance", "save", "restore", "tape", "adjoint"])
        if plan.length is None:
            self._release("%table")
        return self._text()

    # -- operands -----------------------------------------------------------------------------------------------

    def _common(self, carry: Sequence[Atom], xs: Sequence[Atom], ys: Sequence[Var]) -> None:
        """Pointers to operands and results, and the buffers between which states alternate."""
        plan = self.plan
        for k, literal in enumerate(plan.literals):
            self._pointer(f"%lit{k}", self.resolve(literal))
        for k, atom in enumerate(plan.parts.consts):
            self._pointer(f"%advance.const{k}", self.resolve(atom))
        for k, atom in enumerate(plan.parts.tape_consts):
            self._pointer(f"%tape.const{k}", self.resolve(atom))
        for k, atom in enumerate(xs):
            self._pointer(f"%xs{k}", self.resolve(atom))
        for k, var in enumerate(ys):
            self._pointer(f"%ys{k}", self.resolve(var))
        if self.region.scratch is not None:
            self._pointer("%work", self.resolve(self.region.scratch))
        offset = plan.work
        for k, atom in enumerate(carry):
            first = self._pointer(f"%init{k}", self.resolve(atom))
            offset = self._pair(f"%a{k}", f"%b{k}", offset, nbytes(atom.type))
            self.allocas.append(f"  %cur{k} = alloca ptr, align 8")
            self.entry.append(f"  store ptr {first}, ptr %cur{k}")
        self.buffers = offset
        trips = plan.parts.trips
        if trips:
            self.entry.append(f"  %count = load i64, ptr {self._pointer('%count.at', self.resolve(trips[0]))}")
        elif plan.length is not None:
            self.entry.append(f"  %count = add i64 0, {plan.length}")
        self._cell("%now", "0")

    def _pair(self, a: str, b: str, offset: int, size: int) -> int:
        for name in (a, b):
            self.entry.append(f"  {name} = getelementptr i8, ptr %work, i64 {offset}")
            offset += aligned(size)
        return offset

    def _cotangents(self, parts: Backward, outputs: Sequence[Var]) -> None:
        """What the adjoint carries along, and what it gives for each iteration."""
        plan, offset = self.plan, self.buffers
        for k, atom in enumerate(parts.back_consts):
            self._pointer(f"%back{k}", self.resolve(atom))
        for k, atom in enumerate(parts.back_xs):
            self._pointer(f"%back.xs{k}", self.resolve(atom))
        for k, var in enumerate(outputs[len(parts.back_carry) :]):
            self._pointer(f"%back.ys{k}", self.resolve(var))
        for k, (atom, mode, result) in enumerate(zip(parts.back_carry, plan.modes, outputs, strict=False)):
            size = nbytes(atom.type)
            first = self._pointer(f"%back.init{k}", self.resolve(atom))
            out = self._pointer(f"%out{k}", self.resolve(result))
            if mode == "in place":
                self.entry.append(self._copied(out, first, size))
                continue
            offset = self._pair(f"%back.a{k}", f"%back.b{k}", offset, size)
            self.allocas.append(f"  %back.cur{k} = alloca ptr, align 8")
            self.entry.append(f"  store ptr {first}, ptr %back.cur{k}")
            self.exit += [f"  %back.last{k} = load ptr, ptr %back.cur{k}", self._copied(out, f"%back.last{k}", size)]
        self._cell("%left", "%count")

    def _pointer(self, name: str, place: Place) -> str:
        """A register with an address that comes through the table of the call."""
        self.names[name] = place
        return name

    def _cell(self, name: str, value: str) -> None:
        self.allocas.append(f"  {name} = alloca i64, align 8")
        self.entry.append(f"  store i64 {value}, ptr {name}")

    # -- tables of actions --------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Python makes the table; it is copied into a block of the arena."""
        externals = self.functions.externals
        externals.declarations |= {
            ROWS: f"declare i64 @{ROWS}(i64, i64)",
            FILL: f"declare i64 @{FILL}(i64, i64, ptr)",
            GROW: f"declare ptr @{GROW}(ptr, ptr, i64, ptr, i64)",
        }
        externals.symbols |= {name: ctypes.cast(f, ctypes.c_void_p).value or 0 for name, f in _CALLBACKS.items()}
        self.allocates = True
        number = self._number()
        slots = self.plan.params["slots"]
        self.entry += [
            f"  %rows.more = call i64 @{ROWS}(i64 %count, i64 {slots})",
            "  %rows = sub i64 %rows.more, 1",
            "  %rows.none = icmp slt i64 %rows, 0",
            "  br i1 %rows.none, label %refuse, label %ask",
            "ask:",
            "  %table.bytes = mul i64 %rows, 8",
            f"  %table = call ptr @{GROW}(ptr %arena, ptr null, i64 %table.bytes, ptr %status, i64 {number})",
            "  %table.none = icmp eq ptr %table, null",
            "  br i1 %table.none, label %fail, label %copy",
            "refuse:",
            f"  store atomic i64 {OVERFLOW + number}, ptr %status monotonic, align 8",
            "  br label %fail",
            "copy:",
            f"  %filled = call i64 @{FILL}(i64 %count, i64 {slots}, ptr %table)",
            "  %unfilled = icmp eq i64 %filled, 0",
            "  br i1 %unfilled, label %refuse, label %asked",
            "asked:",
        ]

    def _number(self) -> int:
        """The number under which this loop reports that its memory is used up."""
        source = self.region.equation.source
        text = str(source) if source is not None else "an unknown place"
        if text not in self.functions.sources:
            self.functions.sources.append(text)
        return self.functions.sources.index(text)

    def _actions(self, rows: Any, actions: Sequence[str]) -> None:
        """The loop over the table, with the code of each action."""
        numbers = {"advance": 0, "save": 1, "restore": 2, "tape": 3, "adjoint": 4}
        cases = " ".join(f"i64 {numbers[name]}, label %{name}" for name in actions)
        self._cell("%row", "0")
        self.lines += [
            "head:",
            "  %r = load i64, ptr %row",
            f"  %more = icmp slt i64 %r, {rows}",
            "  br i1 %more, label %fetch, label %exit",
            "fetch:",
            "  %r.next = add i64 %r, 1",
            "  store i64 %r.next, ptr %row",
            "  %word.at = getelementptr i64, ptr %table, i64 %r",
            "  %word = load i64, ptr %word.at",
            f"  %op = and i64 %word, {(1 << OP_BITS) - 1}",
            f"  %slot.high = lshr i64 %word, {OP_BITS}",
            f"  %slot.one = and i64 %slot.high, {(1 << SLOT_BITS) - 1}",
            "  %slot = sub i64 %slot.one, 1",
            f"  %step = ashr i64 %word, {OP_BITS + SLOT_BITS}",
            f"  switch i64 %op, label %exit [ {cases} ]",
        ]
        for name in actions:
            self.lines.append(f"{name}:")
            getattr(self, f"_{name}")()

    def _advance(self) -> None:
        self.lines += [
            "  br label %advance.test",
            "advance.test:",
            "  %advance.k = load i64, ptr %now",
            "  %advance.on = icmp slt i64 %advance.k, %step",
            "  br i1 %advance.on, label %advance.run, label %head",
            "advance.run:",
        ]
        self._iteration("advance")
        self.lines.append("  br label %advance.test")

    def _iteration(self, name: str) -> None:
        """Iteration %{name}.k plain: the next state goes to the buffer that is not current."""
        self._index(name)
        for k in range(len(self.plan.state_types)):
            self.lines += self._turned(f"%{name}.in{k}", f"%{name}.to{k}", f"%cur{k}", f"%a{k}", f"%b{k}")
        self._body(name)
        self.lines += [f"  store ptr %{name}.to{k}, ptr %cur{k}" for k in range(len(self.plan.state_types))]
        self._next(name)

    def _next(self, name: str) -> None:
        self.lines += [f"  %{name}.next = add i64 %{name}.k, 1", f"  store i64 %{name}.next, ptr %now"]

    def _turned(self, current: str, other: str, cell: str, a: str, b: str) -> list[str]:
        return [
            f"  {current} = load ptr, ptr {cell}",
            f"  {current}.is = icmp eq ptr {current}, {a}",
            f"  {other} = select i1 {current}.is, ptr {b}, ptr {a}",
        ]

    def _save(self) -> None:
        self._stored("%save", "%slot")
        self.lines.append("  br label %head")

    def _stored(self, name: str, slot: str) -> None:
        """The current state to a slot."""
        self.lines += self._state_slot(name, slot)
        for k, (number, offset) in enumerate(zip(self.plan.stored, self.plan.layout.states, strict=True)):
            size = nbytes(self.plan.state_types[number])
            self.lines += [
                f"  {name}.to{k} = getelementptr i8, ptr {name}.base, i64 {offset}",
                f"  {name}.from{k} = load ptr, ptr %cur{number}",
                self._copied(f"{name}.to{k}", f"{name}.from{k}", size),
            ]

    def _state_slot(self, name: str, slot: str) -> list[str]:
        layout = self.plan.layout
        return [
            f"  {name}.by = mul i64 {slot}, {layout.state_bytes}",
            f"  {name}.at = add i64 {name}.by, {layout.first_state}",
            f"  {name}.base = getelementptr i8, ptr %slots, i64 {name}.at",
        ]

    def _restore(self) -> None:
        self.lines += ["  store i64 %step, ptr %now", "  %initial = icmp slt i64 %slot, 0"]
        self.lines += self._state_slot("%restore", "%slot")
        for k, offset in enumerate(self.plan.layout.states):
            self.lines += [
                f"  %restore.slot{k} = getelementptr i8, ptr %restore.base, i64 {offset}",
                f"  %restore.from{k} = select i1 %initial, ptr %init{k}, ptr %restore.slot{k}",
                f"  store ptr %restore.from{k}, ptr %cur{k}",
            ]
        self.lines.append("  br label %head")

    def _tape(self) -> None:
        """An iteration that leaves a residual set, and the state after it in its slot where there is one."""
        plan, layout = self.plan, self.plan.layout
        places = dict(zip(plan.stored, layout.states, strict=True))
        self.lines.append("  %tape.k = load i64, ptr %now")
        self._index("tape")
        self.lines += ["  %kept = icmp sge i64 %step, 0", *self._state_slot("%tape.state", "%step")]
        for k in range(len(plan.state_types)):
            other = f"%tape.other{k}" if k in places else f"%tape.to{k}"
            self.lines += self._turned(f"%tape.in{k}", other, f"%cur{k}", f"%a{k}", f"%b{k}")
            if k in places:
                self.lines += [
                    f"  %tape.slot{k} = getelementptr i8, ptr %tape.state.base, i64 {places[k]}",
                    f"  %tape.to{k} = select i1 %kept, ptr %tape.slot{k}, ptr {other}",
                ]
        self._set("tape", plan.params["written"])
        self._body("tape")
        self.lines += [f"  store ptr %tape.to{k}, ptr %cur{k}" for k in range(len(plan.state_types))]
        self._next("tape")
        self.lines.append("  br label %head")

    def _set(self, name: str, members: Iterable[int]) -> None:
        """Pointers into the residual set in slot %slot."""
        layout = self.plan.layout
        self.lines += [
            f"  %{name}.set.at = mul i64 %slot, {layout.set_bytes}",
            f"  %{name}.set.base = getelementptr i8, ptr %slots, i64 %{name}.set.at",
        ]
        for k, member in enumerate(members):
            offset = layout.residuals[member]
            self.lines.append(f"  %{name}.set{k} = getelementptr i8, ptr %{name}.set.base, i64 {offset}")

    def _adjoint(self) -> None:
        plan = self.plan
        assert isinstance(plan.parts, Backward)
        self.lines += [
            "  %left.now = load i64, ptr %left",
            "  %adjoint.k = sub i64 %left.now, 1",
            "  store i64 %adjoint.k, ptr %left",
        ]
        xs = [atom.type.slice() for atom in plan.parts.back_xs]
        ys = [atom.type for atom in plan.blocks["adjoint"].outputs[len(plan.parts.back_carry) :]]
        self._elements("adjoint", [(f"%back.xs{k}", nbytes(t)) for k, t in enumerate(xs)],
                       [(f"%back.ys{k}", nbytes(t)) for k, t in enumerate(ys)])  # fmt: skip
        self._set("adjoint", range(len(plan.layout.residuals)))
        for k in plan.turns:
            self.lines += self._turned(
                f"%adjoint.in{k}", f"%adjoint.to{k}", f"%back.cur{k}", f"%back.a{k}", f"%back.b{k}"
            )
        self._body("adjoint")
        self.lines += [f"  store ptr %adjoint.to{k}, ptr %back.cur{k}" for k in plan.turns]
        self.lines.append("  br label %head")

    # -- a loop whose length only the run knows -----------------------------------------------------------------

    def _online(self, parts: Forward, outputs: Sequence[Var]) -> None:
        plan = self.plan
        carries = len(parts.carry)
        self._cell("%row", "0")
        self.entry += ["  %target.first = load i64, ptr %table"]
        self._cell("%target", "%target.first")
        self.lines += ["head:", "  %advance.k = load i64, ptr %now"]
        if "cond" in plan.blocks:
            for k, atom in enumerate(parts.cond):
                self._pointer(f"%test{k}", self.resolve(atom))
            self.lines += [f"  %cond.in{k} = load ptr, ptr %cur{k}" for k in range(carries)]
            self._body("cond")
            self.lines += ["  %going.now = load i8, ptr %going", "  %going.on = icmp ne i8 %going.now, 0"]
            trips = self._pointer("%trips", self.resolve(outputs[carries]))
            self.exit += ["  %k.last = load i64, ptr %now", f"  store i64 %k.last, ptr {trips}"]
        else:
            self.lines.append("  %going.on = icmp slt i64 %advance.k, %count")
        self.lines += [
            "  br i1 %going.on, label %inside, label %exit",
            "inside:",
            "  %target.now = load i64, ptr %target",
            "  %hit = icmp eq i64 %target.now, %advance.k",
            "  br i1 %hit, label %store, label %advance",
            "store:",
            "  %r = load i64, ptr %row",
            "  %r.next = add i64 %r, 2",
            "  store i64 %r.next, ptr %row",
            "  %slot.number = add i64 %r, 1",
            "  %slot.at = getelementptr i64, ptr %table, i64 %slot.number",
            "  %slot = load i64, ptr %slot.at",
            "  %target.at = getelementptr i64, ptr %table, i64 %r.next",
            "  %target.next = load i64, ptr %target.at",
            "  store i64 %target.next, ptr %target",
        ]
        self._stored("%save", "%slot")
        self.lines += ["  br label %advance", "advance:"]
        self._iteration("advance")
        self.lines.append("  br label %head")

    # -- iterations ---------------------------------------------------------------------------------------------

    def _index(self, name: str) -> None:
        """Pointers to the elements of xs and ys in iteration %{name}.k."""
        plan, block = self.plan, self.plan.blocks[name]
        assert isinstance(plan.parts, Forward | Backward)
        xs = [atom.type.slice() for atom in plan.parts.xs]
        written = len(plan.params["written"]) if name == "tape" else 0
        ys = [var.type for var in block.outputs[len(plan.state_types) : len(block.outputs) - written]]
        self._elements(name, [(f"%xs{k}", nbytes(t)) for k, t in enumerate(xs)],
                       [(f"%ys{k}", nbytes(t)) for k, t in enumerate(ys)])  # fmt: skip

    def _elements(self, name: str, xs: Sequence[tuple[str, int]], ys: Sequence[tuple[str, int]]) -> None:
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

    def _body(self, name: str) -> None:
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
            self._release(f"%free{serial}.data", self.lines)

    def _release(self, data: str, lines: list[str] | None = None) -> None:
        self.allocates = True
        self.functions.externals.declarations[RELEASE] = f"declare void @{RELEASE}(ptr, ptr)"
        (self.exit if lines is None else lines).append(f"  call void @{RELEASE}(ptr %arena, ptr {data})")

    def _copied(self, target: str, source: str, size: int) -> str:
        self.functions.externals.intrinsic("llvm.memmove.p0.p0.i64", "void @(ptr, ptr, i64, i1)")
        return f"  call void @llvm.memmove.p0.p0.i64(ptr {target}, ptr {source}, i64 {size}, i1 false)"

    # -- the function -------------------------------------------------------------------------------------------

    def _text(self) -> RegionText:
        may_fail = self.calls.may_fail or self.allocates
        if may_fail:
            self._pointer("%status", STATUS)
        if self.allocates or ARENA.base in self.calls.bases:
            self._pointer("%arena", ARENA)
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
