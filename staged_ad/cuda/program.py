"""A program as kernels, and the order in which the host launches them.

Invariant: a kernel reads only what kernels before it have stored; they run one after another.
Start at ``emit``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from staged_ad.cuda.actions import Action, Ask, Choose, Count, Launch, Move, Outside, Product, Repeat, Retrace
from staged_ad.cuda.geometry import Geometry
from staged_ad.cuda.interleaving import interleave
from staged_ad.cuda.lanes import in_step
from staged_ad.cuda.libdevice import Libdevice
from staged_ad.cuda.outside import outside
from staged_ad.cuda.planner import DevicePlanner, is_small
from staged_ad.cuda.row_threads import rows_text
from staged_ad.cuda.sharing import shared
from staged_ad.cuda.sums import summed
from staged_ad.cuda.tape import TAPE
from staged_ad.cuda.threads import Threads
from staged_ad.cuda.turning import cut_at_turns
from staged_ad.cuda.writer import ThreadWriter
from staged_ad.errors import LoweringError
from staged_ad.ir import UNKNOWN, ArrayType, Atom, Equation, Program, lowerings
from staged_ad.lowering.blocks import Block, Step, make_block
from staged_ad.lowering.calls import STATUS, Functions, RegionText, guard_lines
from staged_ad.lowering.nest import REGION
from staged_ad.lowering.opaque import opaque_text
from staged_ad.lowering.plan import BranchPlan, LoopPlan
from staged_ad.lowering.regions import Copy, Load, MatrixProduct, Nest, Opaque, Rows, Store
from staged_ad.lowering.storage import Places, Storage, assign, nbytes
from staged_ad.lowering.sweep_plan import SweepPlan
from staged_ad.lowering.values import Externals
from staged_ad.native.failures import Failure
from staged_ad.native.tape import GROW, RELEASE
from staged_ad.passes import optimize

MOST_ARRAYS = 4094
"""Arrays of one kernel: their addresses and the number of threads are its arguments, 32764 bytes at most."""


@dataclass(slots=True)
class DeviceModule:
    """The text of the kernels, without what the target defines, and what the host does."""

    text: str
    actions: list[Action]
    block: Block
    storage: Storage
    failures: list[Failure]
    types: list[ArrayType]
    results: list[ArrayType]
    geometry: Geometry
    grows: bool  # whether threads keep values whose number is known only when they have run


def emit(program: Program, geometry: Geometry) -> DeviceModule:
    """The kernels of a traced program."""
    block = make_block(cut_at_turns(summed(outside(shared(optimize(in_step(program)))))), DevicePlanner(geometry))
    interleave(block)
    storage = assign(block.program, block.steps, block.outputs, block.shared)
    functions = Functions(Externals(precise=True, library=Libdevice()), nest_text, opaque_text, asks=False, room=64)
    writer = _Writer(functions, geometry)
    actions = [*writer.block(block, storage), *writer.asked()]
    externals = functions.externals
    grows = externals.declarations.pop(GROW, None) is not None
    if externals.declarations.pop(RELEASE, None) is not None or grows:
        externals.declarations.pop("llvm.memcpy.p0.p0.i64", None)
        functions.texts.append(TAPE)
    parts = [*externals.declarations.values(), *externals.helpers.values(), *functions.texts, *writer.kernels.values()]
    types, results = list(program.input_types), list(program.output_types)
    return DeviceModule("\n".join(parts), actions, block, storage, functions.failures, types, results, geometry, grows)


def nest_text(step: Step, storage: Places, functions: Functions, nested: bool) -> RegionText:
    """The function of one thread of a nest."""
    (plan,) = step.schedules
    assert isinstance(plan, Threads)
    writer = ThreadWriter(plan, storage, functions.externals, step.partials)
    text = writer.text()
    return RegionText(text, writer.places, plan.total)


@dataclass(slots=True)
class _Writer:
    functions: Functions
    geometry: Geometry
    kernels: dict[str, str] = field(default_factory=dict)
    guarded: bool = False  # whether a guard may have failed since the host asked last

    def block(self, block: Block, storage: Places) -> list[Action]:
        """What the host does for the steps of a block."""
        return [action for step in block.steps for action in self._step(step, storage)]

    def _step(self, step: Step, storage: Places) -> list[Action]:
        region = step.region
        match region:
            case Nest():
                asked = self.asked() if _picks_from_nothing(region) else []  # no index is inside
                return [*asked, *self._launched(nest_text(step, storage, self.functions, False))]
            case Rows():
                return self._launched(rows_text(step, region, storage.place, self.functions))
            case MatrixProduct():
                places = [storage.place(atom) for atom in (region.a.array, region.b.array, region.result)]
                return [Product(region, tuple(places))]
            case Copy():
                source, target = storage.place(region.source), storage.place(region.target)
                return [Move(source, target, nbytes(region.target.type))] if source != target else []
            case Opaque() if isinstance(region.equation.primitive.lower, lowerings.Check):
                self.guarded = True
                return self._launched(_guard_text(region.equation, storage))
            case Opaque():
                return [*self.asked(), *self._opaque(step, region, storage)]
            case _:
                raise AssertionError(f"no action for {type(region).__name__}")

    def asked(self) -> list[Action]:
        """Behind a guard that failed, a loop might not end, and a kernel fail in its turn."""
        if not self.guarded:
            return []
        self.guarded = False
        return [Ask()]

    def _opaque(self, step: Step, region: Opaque, storage: Places) -> list[Action]:
        equation = region.equation
        operands = tuple(storage.place(atom) for atom in equation.inputs)
        results = tuple(storage.place(var) for var in equation.outputs)
        match equation.primitive.lower:
            case lowerings.Outside():
                return [Outside(equation, operands, results)]
            case lowerings.Entries():
                return [Count((operands[0], operands[1]), results[0])]
            case lowerings.Loop() if not is_small(equation):
                return [self._repeat(region, storage)]
            case lowerings.Branch() if not is_small(equation):
                return [self._choose(region, storage)]
            case lowerings.Sweep() if not is_small(equation):
                return [self._retrace(region, storage)]
            case _:
                text = self.functions.opaque(step, storage.place, self.functions)
                self.guarded = self.guarded or text.may_fail
                return self._launched(text)

    def _repeat(self, region: Opaque, storage: Places) -> Repeat:
        plan = region.plan
        assert isinstance(plan, LoopPlan)
        names: dict[str, Atom] = {f"%lit{k}": atom for k, atom in enumerate(plan.literals)}
        names |= {f"%const{k}": atom for k, (_, atom) in enumerate(plan.consts)}
        names |= {f"%init{k}": atom for k, (_, atom) in enumerate(plan.carry)}
        names |= {f"%out{k}": var for k, var in enumerate(plan.results)}
        names |= {f"%xs{k}": atom for k, (_, atom) in enumerate(plan.xs)}
        names |= {f"%ys{k}": var for k, var in enumerate(plan.ys)}
        named = {"%count": plan.count, "%trips": plan.trips, "%work": region.scratch}
        names |= {name: atom for name, atom in named.items() if atom is not None}
        test = self.block(plan.cond, plan.scope) if plan.cond is not None else []
        body = [*self.block(plan.body, plan.scope), *self.asked()]
        return Repeat(
            plan,
            region.equation.source or UNKNOWN,
            {name: storage.place(atom) for name, atom in names.items()},
            test,
            body,
        )

    def _retrace(self, region: Opaque, storage: Places) -> Retrace:
        plan = region.plan
        assert isinstance(plan, SweepPlan)
        places = {name: storage.place(atom) for name, atom in plan.atoms(region).items()}
        blocks = {name: [*self.block(block, plan.scopes[name]), *self.asked()] for name, block in plan.blocks.items()}
        return Retrace(plan, places, blocks)

    def _choose(self, region: Opaque, storage: Places) -> Choose:
        plan, equation = region.plan, region.equation
        assert isinstance(plan, BranchPlan)
        names: dict[str, Atom] = {f"%lit{k}": atom for k, atom in enumerate(plan.literals)}
        names |= {f"%operand{k}": atom for k, atom in enumerate(equation.inputs[1:])}
        names |= {f"%result{k}": var for k, var in enumerate(equation.outputs)}
        if region.scratch is not None:
            names["%work"] = region.scratch
        places = {name: storage.place(atom) for name, atom in names.items()}
        blocks = [[*self.block(block, plan.scope), *self.asked()] for block in region.blocks]
        return Choose(plan, storage.place(equation.inputs[0]), places, blocks)

    def _launched(self, region: RegionText) -> list[Action]:
        if not region.chunks:
            return []
        if len(region.places) > MOST_ARRAYS:
            raise LoweringError(
                f"a kernel of a GPU would work on {len(region.places)} arrays, and may on {MOST_ARRAYS} at most: let "
                "arrays of one shape be rows of one array (np.stack), and write a loop over them as vmap or scan"
            )
        name = self.functions.named(region.text.replace(") nounwind {", ") alwaysinline nounwind {", 1))
        self.kernels.setdefault(name, self._kernel_text(name, len(region.places)))
        return [Launch(f"{name}_kernel", region.chunks, tuple(region.places))]

    def _kernel_text(self, name: str, count: int) -> str:
        """The kernel around the function of a thread: ``void (i64 total, ptr ...)``."""
        pointers = "".join(f", ptr %p{k}" for k in range(count))
        lines = [
            f"define ptx_kernel void @{name}_kernel(i64 %total{pointers}) nounwind {{",
            f"  %arrays = alloca [{max(count, 1)} x ptr], align 16",
        ]
        for k in range(count):
            lines += [f"  %cell{k} = getelementptr ptr, ptr %arrays, i64 {k}", f"  store ptr %p{k}, ptr %cell{k}"]
        lines += [
            f"  %thread = call i64 @thread.number(i64 {self.geometry.threads})",
            "  %mine = icmp slt i64 %thread, %total",
            "  br i1 %mine, label %run, label %done",
            "run:",
            f"  call void @{name}(i64 %thread, ptr %arrays)",
            "  br label %done",
            "done:",
            "  ret void",
            "}",
        ]
        return "\n".join(lines)


def _picks_from_nothing(nest: Nest) -> bool:
    """Whether elements of an array that has none are read or written, at computed places."""
    accesses = [node for node in (*nest.nodes, *nest.stores) if isinstance(node, Load | Store)]
    return any(access.address.nodes and not access.array.type.size for access in accesses)


def _guard_text(equation: Equation, storage: Places) -> RegionText:
    (atom,) = equation.inputs
    lines = [
        f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{",
        "  %value = load ptr, ptr %arrays",
        "  %cell = getelementptr ptr, ptr %arrays, i64 1",
        "  %status = load ptr, ptr %cell",
        *guard_lines(equation, "%value", "%status"),
        "  ret void",
        "}",
    ]
    return RegionText("\n".join(lines), [storage.place(atom), STATUS])
