"""A program as the text of an LLVM module: ``int64 body(void **slots)`` and the functions it calls.

Invariant: the text depends on the program and the CPU alone.
Start at ``emit``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from staged_ad.ir import ArrayType, Atom, Program, Var
from staged_ad.lowering import blas, native, runtime
from staged_ad.lowering.fusion import Fused, fuse
from staged_ad.lowering.indexing import Affine
from staged_ad.lowering.matrices import canonical
from staged_ad.lowering.nest import REGION, NestWriter
from staged_ad.lowering.regions import Load, MatrixProduct, Nest, Reduce, Region
from staged_ad.lowering.schedule import Schedule, schedule
from staged_ad.lowering.storage import Place, Storage, assign
from staged_ad.lowering.values import Externals


@dataclass(slots=True)
class Step:
    """One region as it will run."""

    region: Region
    schedule: Schedule | None
    partials: dict[Var, Var]

    @property
    def reads(self) -> list[Atom]:
        return self.region.reads

    @property
    def writes(self) -> list[Var]:
        return [self.partials.get(var, var) for var in self.region.writes]


@dataclass(slots=True)
class Module:
    """The text, the addresses of what it calls, and what the entry has to provide."""

    text: str
    symbols: Mapping[str, int]
    storage: Storage
    steps: list[Step]
    fused: Fused


def emit(program: Program, precise: bool = False) -> Module:
    fused = fuse(canonical(program))
    steps = [step for region in fused.regions for step in _steps(region)]
    outputs = [fused.copies.get(k, atom) for k, atom in enumerate(fused.program.outputs)]
    storage = assign(fused.program, steps, outputs)  # type: ignore[arg-type]  # outputs that are no Var are copies
    writer = _Writer(storage, precise)
    for step in steps:
        writer.add(step)
    return Module(writer.text(), writer.symbols(), storage, steps, fused)


def _steps(region: Region) -> list[Step]:
    """A chunked reduction is followed by the sum of its partial results."""
    if isinstance(region, MatrixProduct):
        return [Step(region, None, {})]
    plan = schedule(region)
    if not plan.partial:
        return [Step(plan.nest, plan, {})]
    partials = {
        r.array: Var(ArrayType((plan.chunks, r.array.type.size), r.array.type.dtype)) for r in plan.nest.reduces
    }
    steps = [Step(plan.nest, plan, partials)]
    for reduce in plan.nest.reduces:
        steps.append(_joining(reduce, partials[reduce.array]))
    return steps


def _joining(reduce: Reduce, partial: Var) -> Step:
    chunks, kept = partial.type.shape
    load = Load(partial, Affine(0, ((0, kept), (1, 1))), (), partial.type.dtype)
    nest = Nest(
        (chunks, kept), frozenset({0}), [load], [], [Reduce(0, reduce.array, Affine(0, ((1, 1),)), reduce.rule)]
    )
    plan = schedule(nest)
    plan.chunked, plan.chunks, plan.parallel = None, 1, False
    return Step(plan.nest, plan, {})


class _Writer:
    """Writes functions of a table of arrays, each distinct text once, and the body that calls them."""

    def __init__(self, storage: Storage, precise: bool) -> None:
        self.storage = storage
        self.externals = Externals({}, {}, {}, precise)
        self.names: dict[str, str] = {}
        self.functions: list[str] = []
        self.tasks: set[str] = set()
        self.calls: list[str] = []
        self.slots: set[int] = set()
        self.widest = 1

    def add(self, step: Step) -> None:
        if isinstance(step.region, MatrixProduct):
            product = step.region
            places = [self.storage.place(atom) for atom in (product.a.array, product.b.array, product.result)]
            self._call(self._named(self._product(product)), places, product.count, False)
            return
        assert step.schedule is not None
        writer = NestWriter(step.schedule, self.storage, self.externals, step.partials)
        name = self._named(writer.text())
        self._call(name, writer.places, step.schedule.chunks, step.schedule.parallel)

    def _named(self, text: str) -> str:
        """The function with this text; in an unrolled loop most steps share theirs."""
        name = self.names.get(text)
        if name is None:
            name = self.names[text] = f"region{len(self.names)}"
            self.functions.append(text.replace(f"@{REGION}", f"@{name}"))
        return name

    def _call(self, name: str, places: Sequence[Place], chunks: int, parallel: bool) -> None:
        serial = len(self.calls)
        self.widest = max(self.widest, len(places))
        lines = []
        for k, place in enumerate(places):
            self.slots.add(place.slot)
            pointer = f"%base{place.slot}"
            if place.offset:
                pointer = f"%array{serial}.{k}"
                lines.append(f"  {pointer} = getelementptr i8, ptr %base{place.slot}, i64 {place.offset}")
            lines.append(f"  store ptr {pointer}, ptr %cell{k}, align 8")
        if chunks == 1:
            lines.append(f"  call void @{name}(i64 0, ptr %arrays)")
        else:
            if name not in self.tasks:
                self.tasks.add(name)
                self.functions.append(_task_text(name))
            if parallel:
                self.externals.declarations["staged_parallel"] = "declare void @staged_parallel(ptr, i64, ptr)"
                lines.append(f"  call void @staged_parallel(ptr @{name}.task, i64 {chunks}, ptr %arrays)")
            else:
                lines.append(f"  call void @{name}.task(i64 0, i64 {chunks}, ptr %arrays)")
        self.calls.append("\n".join(lines))

    def _product(self, product: MatrixProduct) -> str:
        """A function of the number of the matrix in its stack."""
        size = product.result.type.dtype.itemsize
        lines = [f"define internal void @{REGION}(i64 %index, ptr %arrays) nounwind {{"]
        for k, stack in enumerate((product.a.stack, product.b.stack, product.m * product.n)):
            lines += [
                f"  %cell{k} = getelementptr ptr, ptr %arrays, i64 {k}",
                f"  %base{k} = load ptr, ptr %cell{k}, align 8",
                f"  %step{k} = mul i64 %index, {stack * size}",
                f"  %p{k} = getelementptr i8, ptr %base{k}, i64 %step{k}",
            ]
        lines.append(self._blas_call(product, ["%p0", "%p1", "%p2"]))
        return "\n".join([*lines, "  ret void", "}"])

    def _blas_call(self, product: MatrixProduct, pointers: list[str]) -> str:
        """A matrix product, or a matrix and a vector: then `rows` and `columns` are those of the stored matrix."""
        bits = 8 * product.result.type.dtype.itemsize
        m, n, k, a, b = product.m, product.n, product.k, product.a, product.b
        if min(m, n) > 1:
            function, kinds = f"staged_gemm_f{bits}", "i64, i64, i64, i64, i64, ptr, i64, ptr, i64, ptr, i64"
            arguments = (
                f"i64 {int(a.transposed)}, i64 {int(b.transposed)}, i64 {m}, i64 {n}, i64 {k}, "
                f"ptr {pointers[0]}, i64 {a.leading}, ptr {pointers[1]}, i64 {b.leading}, ptr {pointers[2]}, i64 {n}"
            )
        else:
            function, kinds = f"staged_gemv_f{bits}", "i64, i64, i64, ptr, i64, ptr, ptr"
            if n == 1:
                matrix, vector, length, turned = a, pointers[1], m, a.transposed
            else:
                matrix, vector, length, turned = b, pointers[0], n, not b.transposed
            stored = pointers[0] if matrix is a else pointers[1]
            rows, columns = (k, length) if turned else (length, k)
            arguments = (
                f"i64 {int(turned)}, i64 {rows}, i64 {columns}, ptr {stored}, i64 {matrix.leading}, ptr {vector}, "
                f"ptr {pointers[2]}"
            )
        self.externals.declarations[function] = f"declare void @{function}({kinds})"
        return f"  call void @{function}({arguments})"

    def text(self) -> str:
        body = ["define i64 @body(ptr %slots) nounwind {", f"  %arrays = alloca [{self.widest} x ptr], align 64"]
        for k in range(self.widest):
            body.append(f"  %cell{k} = getelementptr ptr, ptr %arrays, i64 {k}")
        for slot in sorted(self.slots):
            body.append(f"  %slot{slot} = getelementptr ptr, ptr %slots, i64 {slot}")
            body.append(f"  %base{slot} = load ptr, ptr %slot{slot}, align 8")
        body += [*self.calls, "  ret i64 0", "}"]
        return "\n".join(
            [
                native.header(),
                *self.externals.declarations.values(),
                *self.externals.helpers.values(),
                *self.functions,
                *body,
                "",
            ]
        )

    def symbols(self) -> Mapping[str, int]:
        found = dict(self.externals.symbols)
        if "staged_parallel" in self.externals.declarations:
            found.update(runtime.runtime_symbols())
        if any(name.startswith("staged_gem") for name in self.externals.declarations):
            found.update(blas.product_symbols())
        return found


def _task_text(name: str) -> str:
    """``name.task(first, last, arrays)``: a range of chunks one after another."""
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
