"""Calls of regions: every region is a function ``void (i64 chunk, ptr arrays)``, called where its block runs.

Invariant: the table `arrays` holds the address of everything that the region reads and writes, in the order in which
its text asks for them.
Start at ``Calls.add``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from staged_ad.ir import Atom, Equation
from staged_ad.ir.lowerings import Check
from staged_ad.lowering.blocks import Step
from staged_ad.lowering.matrices import product_text
from staged_ad.lowering.nest import REGION, NestWriter
from staged_ad.lowering.plan import KernelPlan
from staged_ad.lowering.regions import Copy, MatrixProduct, Nest, Opaque, Rows
from staged_ad.lowering.storage import Place, Places
from staged_ad.lowering.values import Externals, memory_type
from staged_ad.native.failures import FAILED, Failure

INLINED = 30000
"""Characters of text up to which a region becomes part of the loop around it, so that its scalars stay in registers."""
QUICK = 1000
"""Nanoseconds of a step up to which it may run after a guard has failed: a branch costs more to compile."""
STATUS, ARENA = Place("%status"), Place("%arena")
"""Where loops report that they failed, and what their ragged arrays are allocated from."""


@dataclass(slots=True)
class RegionText:
    """A region as a function, and how to call it."""

    text: str
    places: list[Place]
    chunks: int = 1
    parallel: bool = False
    may_fail: bool = False


Resolve = Callable[[Atom], Place]


@dataclass(slots=True)
class Functions:
    """The functions of a module, each distinct text once, and what they need from outside."""

    externals: Externals
    nest: Callable[[Step, Places, Functions, bool], RegionText]
    opaque: Callable[[Step, Resolve, Functions], RegionText]
    asks: bool = True  # whether long loops ask Python if a signal has come
    room: int = 4096  # bytes that loops of unknown length take at first for what they keep
    names: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    tasks: set[str] = field(default_factory=set)
    failures: list[Failure] = field(default_factory=list)

    def named(self, text: str) -> str:
        """The function with this text; in an unrolled loop most steps share theirs."""
        name = self.names.get(text)
        if name is None:
            name = self.names[text] = f"region{len(self.names)}"
            self.texts.append(text.replace(f"@{REGION}", f"@{name}"))
        return name

    def failure(self, make: Callable[..., Exception], *arguments: Any, reads: bool = False) -> int:
        """The status with which the body asks for the exception ``make(*arguments)``."""
        wanted = Failure(make, arguments, reads)
        if wanted not in self.failures:
            self.failures.append(wanted)
        return FAILED + self.failures.index(wanted)

    def task(self, name: str) -> str:
        """``name.task(first, last, arrays)``: a range of chunks one after another."""
        if name not in self.tasks:
            self.tasks.add(name)
            self.texts.append(_task_text(name))
        return f"{name}.task"


class Calls:
    """The lines that run the steps of one block. `nested` blocks take small regions into their own function."""

    def __init__(self, functions: Functions, nested: bool) -> None:
        self.functions = functions
        self.nested = nested
        self.lines: list[str] = []
        self.allocas: list[str] = []
        self.bases: dict[str, None] = {}
        self.may_fail = False
        self._guarded = False  # whether a guard may have failed since the last check
        self._serial = 0
        self._widest = 0
        self._ends = [0]  # where the lines of each step end

    def add(self, step: Step, storage: Places) -> None:
        """Append the call of one step; `storage` gives the places of what it reads and writes."""
        self._append(step, storage)
        self._ends.append(len(self.lines))

    def cuts(self, length: int) -> list[int]:
        """The lines in pieces of at least `length` with no register across: where they begin and end."""
        cuts = [0]
        for end in self._ends:
            if end - cuts[-1] >= length:
                cuts.append(end)
        return cuts if cuts[-1] == self._ends[-1] else [*cuts, self._ends[-1]]

    def _append(self, step: Step, storage: Places) -> None:
        region = step.region
        # behind a guard that failed, a loop might not end, and a kernel fail in its turn
        apart = isinstance(region, Opaque) and (bool(region.blocks) or isinstance(region.plan, KernelPlan))
        if self._guarded and (apart or step.cost > QUICK):
            self.check()
        match region:
            case Nest():
                self._call(self.functions.nest(step, storage, self.functions, self.nested))
            case MatrixProduct():
                places = [storage.place(atom) for atom in (region.a.array, region.b.array, region.result)]
                self._call(RegionText(product_text(region, self.functions.externals), places, region.count))
            case Opaque() if isinstance(region.equation.primitive.lower, Check):
                self._guard(region.equation, storage)
            case Copy() if storage.place(region.source) == storage.place(region.target):
                pass  # its source ends here
            case Copy() | Opaque() | Rows():
                self._call(self.functions.opaque(step, storage.place, self.functions))

    @property
    def table(self) -> list[str]:
        """The allocation of the table that is shared by the calls of functions that are not inlined."""
        return [f"  %arrays.out = alloca [{self._widest} x ptr], align 64"] if self._widest else []

    def _call(self, region: RegionText) -> None:
        serial = self._serial
        self._serial += 1
        inline = self.nested and region.chunks == 1 and len(region.text) <= INLINED
        text = region.text
        if inline and ".stage" not in text:
            text = text.replace(") nounwind {", ") alwaysinline nounwind {")
            table = f"%table{serial}"
            self.allocas.append(f"  {table} = alloca [{max(1, len(region.places))} x ptr], align 64")
        else:
            table = "%arrays.out"
            self._widest = max(self._widest, len(region.places), 1)
        name = self.functions.named(text)
        for k, place in enumerate(region.places):
            pointer = self._pointer(f"%at{serial}.{k}", place)
            self.lines.append(f"  %cell{serial}.{k} = getelementptr ptr, ptr {table}, i64 {k}")
            self.lines.append(f"  store ptr {pointer}, ptr %cell{serial}.{k}, align 8")
        if region.chunks == 1:
            self.lines.append(f"  call void @{name}(i64 0, ptr {table})")
        elif region.parallel:
            self.functions.externals.declarations["staged_parallel"] = "declare void @staged_parallel(ptr, i64, ptr)"
            task = self.functions.task(name)
            self.lines.append(f"  call void @staged_parallel(ptr @{task}, i64 {region.chunks}, ptr {table})")
        else:
            self.lines.append(f"  call void @{self.functions.task(name)}(i64 0, i64 {region.chunks}, ptr {table})")
        if region.may_fail:
            self.check()

    def _pointer(self, name: str, place: Place) -> str:
        """A register with the address of a place."""
        self.bases.setdefault(place.base)
        if not place.offset:
            return place.base
        self.lines.append(f"  {name} = getelementptr i8, ptr {place.base}, i64 {place.offset}")
        return name

    def _guard(self, equation: Equation, storage: Places) -> None:
        """Its number + 1 becomes the status when the value is not what it was while tracing, if it fails first."""
        (atom,), serial = equation.inputs, self._serial
        self._serial += 1
        self._guarded = True
        self.bases.setdefault(STATUS.base)
        source = self._pointer(f"%at{serial}", storage.place(atom))
        self.lines += guard_lines(equation, source, STATUS.base, str(serial))

    def check(self) -> None:
        """Leave the function when something has failed."""
        serial = self._serial
        self._serial += 1
        self._guarded = False
        self.may_fail = True
        self.bases.setdefault(STATUS.base)
        self.lines += [
            f"  %state{serial} = load atomic i64, ptr {STATUS.base} monotonic, align 8",
            f"  %fine{serial} = icmp eq i64 %state{serial}, 0",
            f"  br i1 %fine{serial}, label %go{serial}, label %fail",
            f"go{serial}:",
        ]


def guard_lines(equation: Equation, value: str, status: str, serial: str = "") -> list[str]:
    """A guard's number + 1 becomes the status where `value` is not what it was while tracing, if it fails first."""
    (atom,), params = equation.inputs, equation.params
    kind = memory_type(atom.type.dtype)
    return [
        f"  %found{serial} = load {kind}, ptr {value}",
        f"  %same{serial} = icmp eq {kind} %found{serial}, {int(params['expected'])}",
        f"  %before{serial} = load i64, ptr {status}",
        f"  %none{serial} = icmp eq i64 %before{serial}, 0",
        f"  %own{serial} = select i1 %same{serial}, i64 0, i64 {params['number'] + 1}",
        f"  %state{serial} = select i1 %none{serial}, i64 %own{serial}, i64 %before{serial}",
        f"  store i64 %state{serial}, ptr {status}",
    ]


def nest_text(step: Step, storage: Places, functions: Functions, nested: bool) -> RegionText:
    """The function of a nest on the host; if `nested`, inside of a loop."""
    (plan,) = step.schedules
    writer = NestWriter(plan, storage, functions.externals, step.partials, nested)
    return RegionText(writer.text(), writer.places, plan.chunks, plan.parallel)


def _task_text(name: str) -> str:
    return f"""define internal void @{name}.task(i64 %first, i64 %last, ptr %arrays) nounwind {{
entry:
  br label %head
head:
  %k = phi i64 [ %first, %entry ], [ %next, %body ]
  %go = icmp slt i64 %k, %last
  br i1 %go, label %body, label %exit
body:
  call void @{name}(i64 %k, ptr %arrays)
  %next = add nsw i64 %k, 1
  br label %head
exit:
  ret void
}}"""
