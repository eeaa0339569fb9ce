"""Regions that are no loop nests: their text by the kind of their equation.

Invariant: as every region, each is a function ``void (i64 chunk, ptr arrays)``.
Start at ``opaque_text``; loops and branches have files of their own.
"""

from __future__ import annotations

from staged_ad.ir.lowerings import Branch, Entries, Kernel, Loop, Sweep
from staged_ad.lowering.blocks import Step
from staged_ad.lowering.branches import branch_text
from staged_ad.lowering.calls import Functions, RegionText, Resolve
from staged_ad.lowering.kernels import kernel_text
from staged_ad.lowering.loops import loop_text
from staged_ad.lowering.nest import REGION
from staged_ad.lowering.regions import Copy, Opaque, Rows
from staged_ad.lowering.row_code import rows_text
from staged_ad.lowering.storage import nbytes
from staged_ad.lowering.sweeps import sweep_text


def opaque_text(step: Step, resolve: Resolve, functions: Functions) -> RegionText:
    region = step.region
    if isinstance(region, Copy):
        functions.externals.intrinsic("llvm.memmove.p0.p0.i64", "void @(ptr, ptr, i64, i1)")
        return _copy_text(region, resolve)
    if isinstance(region, Rows):
        return rows_text(step, region, resolve, functions)
    assert isinstance(region, Opaque)
    match region.equation.primitive.lower:
        case Loop():
            return loop_text(region, resolve, functions)
        case Branch():
            return branch_text(region, resolve, functions)
        case Sweep():
            return sweep_text(region, resolve, functions)
        case Kernel():
            return kernel_text(region, resolve, functions)
        case Entries():
            return _entries_text(region, resolve)
        case _:
            raise AssertionError(f"{region.equation.primitive.name} has no region")


def _copy_text(region: Copy, resolve: Resolve) -> RegionText:
    size = nbytes(region.target.type)
    lines = [
        f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{",
        "  %source = load ptr, ptr %arrays",
        "  %cell = getelementptr ptr, ptr %arrays, i64 1",
        "  %target = load ptr, ptr %cell",
        "  %same = icmp eq ptr %target, %source",  # of an array that was given away
        "  br i1 %same, label %done, label %copy",
        "copy:",
        f"  call void @llvm.memmove.p0.p0.i64(ptr %target, ptr %source, i64 {size}, i1 false)",
        "  br label %done",
        "done:",
        "  ret void",
        "}",
    ]
    return RegionText("\n".join(lines), [resolve(region.source), resolve(region.target)])


def _entries_text(region: Opaque, resolve: Resolve) -> RegionText:
    a, b = region.equation.inputs
    (result,) = region.equation.outputs
    lines = [f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{"]
    for k in range(3):
        lines += [f"  %cell{k} = getelementptr ptr, ptr %arrays, i64 {k}", f"  %p{k} = load ptr, ptr %cell{k}"]
    for k in range(2):
        lines += [f"  %q{k} = getelementptr i8, ptr %p{k}, i64 8", f"  %n{k} = load i64, ptr %q{k}"]
    lines += [
        "  %more = icmp sgt i64 %n0, %n1",
        "  %n = select i1 %more, i64 %n0, i64 %n1",
        "  store i64 %n, ptr %p2",
        "  ret void",
        "}",
    ]
    return RegionText("\n".join(lines), [resolve(a), resolve(b), resolve(result)])
