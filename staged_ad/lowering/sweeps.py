"""Sweeps: checkpointed loops as machine code, a loop over a table of actions around the code of an iteration.

An iteration reads the current state and writes the next one to the other of two buffers, or to its slot; restoring a
state moves a pointer. Where only the run knows the number of iterations, forwards a table says which states to store,
and backwards Python makes the table of actions, once in each run, in memory of the call's arena.

Invariant: nothing writes to what a state or a residual set is read from: ``control/sweep_plan.py`` chooses slots so.
Start at ``sweep_text``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from staged_ad.control.schedules import Action
from staged_ad.control.sweep_plan import OP_BITS, SLOT_BITS
from staged_ad.control.sweep_run import Backward, Forward
from staged_ad.lowering.calls import Functions, RegionText, Resolve
from staged_ad.lowering.regions import Opaque
from staged_ad.lowering.storage import nbytes
from staged_ad.lowering.sweep_steps import StepWriter
from staged_ad.native.sweep_calls import FILL, ROWS
from staged_ad.native.tape import GROW


def sweep_text(region: Opaque, resolve: Resolve, functions: Functions) -> RegionText:
    """The function of a run of a sweep."""
    writer = _SweepWriter(region, resolve, functions)
    return writer.backward() if writer.plan.backward else writer.forward()


class _SweepWriter(StepWriter):
    # -- the two runs -------------------------------------------------------------------------------------------

    def forward(self) -> RegionText:
        plan = self.plan
        assert isinstance(plan.parts, Forward)
        self.common()
        if plan.length is None:
            self._online(len(plan.parts.carry))
        else:
            self._actions(len(plan.parts.table.value), [Action.ADVANCE, Action.SAVE, Action.TAPE])
        for k, atom in enumerate(plan.parts.carry):
            self._result(f"%result{k}", f"%cur{k}", nbytes(atom.type))
        return self.text()

    def backward(self) -> RegionText:
        plan = self.plan
        parts = plan.parts
        assert isinstance(parts, Backward)
        self.common()
        if plan.overwrites:
            self.entry.append("  %slots = getelementptr i8, ptr %cache, i64 0")
        else:
            self.entry += [
                f"  %slots = getelementptr i8, ptr %work, i64 {plan.buffers}",
                self.copied("%slots", "%cache", plan.layout.bytes),
            ]
        for k, (atom, mode) in enumerate(zip(parts.back_carry, plan.modes, strict=True)):
            if mode == "in place":
                self.entry.append(self.copied(f"%out{k}", f"%back.init{k}", nbytes(atom.type)))
            else:
                self._result(f"%out{k}", f"%back.cur{k}", nbytes(atom.type))
        self.cell("%left", "%count")
        if plan.length is None:
            self._ask()
            rows: Any = "%rows"
        else:
            rows = len(parts.table.value)
        self._actions(rows, list(Action))
        if plan.length is None:
            self.release("%table")
        return self.text()

    def _result(self, target: str, current: str, size: int) -> None:
        """What alternates goes to its result at the end."""
        last = current.replace("cur", "last")
        self.exit += [f"  {last} = load ptr, ptr {current}", self.copied(target, last, size)]

    # -- tables of actions --------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Python makes the table; it is copied into a block of the arena."""
        externals = self.functions.externals
        externals.declarations |= {
            ROWS: f"declare i64 @{ROWS}(i64, i64)",
            FILL: f"declare i64 @{FILL}(i64, i64, ptr)",
            GROW: f"declare ptr @{GROW}(ptr, ptr, i64, ptr, i64)",
        }
        self.allocates = True
        number = self.number()
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
            f"  store atomic i64 {number}, ptr %status monotonic, align 8",
            "  br label %fail",
            "copy:",
            f"  %filled = call i64 @{FILL}(i64 %count, i64 {slots}, ptr %table)",
            "  %unfilled = icmp eq i64 %filled, 0",
            "  br i1 %unfilled, label %refuse, label %asked",
            "asked:",
        ]

    def _actions(self, rows: Any, actions: Sequence[Action]) -> None:
        """The loop over the table, with the code of each action."""
        cases = " ".join(f"i64 {int(action)}, label %{action.name.lower()}" for action in actions)
        self.cell("%row", "0")
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
        write = {
            Action.ADVANCE: self._advance,
            Action.SAVE: self._save,
            Action.RESTORE: self._restore,
            Action.TAPE: self._tape,
            Action.ADJOINT: self._adjoint,
        }
        for action in actions:
            self.lines.append(f"{action.name.lower()}:")
            write[action]()

    def _advance(self) -> None:
        self.lines += [
            "  br label %advance.test",
            "advance.test:",
            "  %advance.k = load i64, ptr %now",
            "  %advance.on = icmp slt i64 %advance.k, %step",
            "  br i1 %advance.on, label %advance.run, label %head",
            "advance.run:",
        ]
        self.iteration("advance")
        self.lines.append("  br label %advance.test")

    def _save(self) -> None:
        self.stored("%save", "%slot")
        self.lines.append("  br label %head")

    def _restore(self) -> None:
        self.lines += ["  store i64 %step, ptr %now", "  %initial = icmp slt i64 %slot, 0"]
        self.lines += self.state_slot("%restore", "%slot")
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
        self.index("tape")
        self.lines += ["  %kept = icmp sge i64 %step, 0", *self.state_slot("%tape.state", "%step")]
        for k in range(len(plan.state_types)):
            other = f"%tape.other{k}" if k in places else f"%tape.to{k}"
            self.lines += self.turned(f"%tape.in{k}", other, f"%cur{k}")
            if k in places:
                self.lines += [
                    f"  %tape.slot{k} = getelementptr i8, ptr %tape.state.base, i64 {places[k]}",
                    f"  %tape.to{k} = select i1 %kept, ptr %tape.slot{k}, ptr {other}",
                ]
        self._set("tape", plan.params["written"])
        self.body("tape")
        self.lines += [f"  store ptr %tape.to{k}, ptr %cur{k}" for k in range(len(plan.state_types))]
        self.next("tape")
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
        self.elements("adjoint", [(f"%back.xs{k}", nbytes(t)) for k, t in enumerate(xs)],
                       [(f"%back.ys{k}", nbytes(t)) for k, t in enumerate(ys)])  # fmt: skip
        self._set("adjoint", range(len(plan.layout.residuals)))
        for k in plan.turns:
            self.lines += self.turned(f"%adjoint.in{k}", f"%adjoint.to{k}", f"%back.cur{k}")
        self.body("adjoint")
        self.lines += [f"  store ptr %adjoint.to{k}, ptr %back.cur{k}" for k in plan.turns]
        self.lines.append("  br label %head")

    # -- a loop whose length only the run knows -----------------------------------------------------------------

    def _online(self, carries: int) -> None:
        plan = self.plan
        self.cell("%row", "0")
        self.entry += ["  %target.first = load i64, ptr %table"]
        self.cell("%target", "%target.first")
        self.lines += ["head:", "  %advance.k = load i64, ptr %now"]
        if "cond" in plan.blocks:
            self.lines += [f"  %cond.in{k} = load ptr, ptr %cur{k}" for k in range(carries)]
            self.body("cond")
            self.lines += ["  %going.now = load i8, ptr %going", "  %going.on = icmp ne i8 %going.now, 0"]
            self.exit += ["  %k.last = load i64, ptr %now", "  store i64 %k.last, ptr %trips0"]
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
        self.stored("%save", "%slot")
        self.lines += ["  br label %advance", "advance:"]
        self.iteration("advance")
        self.lines.append("  br label %head")
