"""The device as LLVM knows it: what kernels may call, and PTX, the assembly that the driver takes.

Invariant: the text of a module depends on the program, and PTX on the architecture besides; no driver is asked.
Start at ``ptx``.
"""

from __future__ import annotations

import re
from typing import Any

from staged_ad.cuda import libdevice
from staged_ad.cuda.threads import WARP
from staged_ad.native.once import LOCK, once
from staged_ad.tracing.libraries import Late

llvm: Any = Late("llvmlite.binding")

TRIPLE = "nvptx64-nvidia-cuda"
OLDEST = 81
"""The version of PTX from which on kernels may have several thousand arguments."""
VERSIONS = {88: 90, 100: 86, 103: 88, 110: 90, 120: 87, 121: 88}
"""The version that later compute capabilities came with: with an older one LLVM ends the process."""
NEWEST_WITH_OLDEST = 90
"""The last compute capability that `OLDEST` knows."""

PROLOGUE = f"""\
@exchange.cells = internal addrspace(3) global [1024 x i64] undef, align 16

define internal i64 @thread.number(i64 %threads) alwaysinline nounwind {{
  %block = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %block.wide = zext i32 %block to i64
  %thread.wide = zext i32 %thread to i64
  %before = mul i64 %block.wide, %threads
  %number = add i64 %before, %thread.wide
  ret i64 %number
}}
define internal i32 @exchange.lanes(i32 %x, i32 %mask) alwaysinline convergent nounwind {{
  %y = call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 -1, i32 %x, i32 %mask, i32 {WARP - 1})
  ret i32 %y
}}
define internal void @exchange.barrier() alwaysinline convergent nounwind {{
  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)
  ret void
}}
define internal void @exchange.warp() alwaysinline convergent nounwind {{
  call void @llvm.nvvm.bar.warp.sync(i32 -1)
  ret void
}}
define internal ptr @exchange.shown() alwaysinline nounwind {{
  ret ptr addrspacecast (ptr addrspace(3) @exchange.cells to ptr)
}}
define internal ptr @exchange.place() alwaysinline nounwind {{
  %thread = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %place = getelementptr i64, ptr addrspacecast (ptr addrspace(3) @exchange.cells to ptr), i32 %thread
  ret ptr %place
}}
declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()
declare i32 @llvm.nvvm.shfl.sync.bfly.i32(i32, i32, i32, i32) convergent
declare void @llvm.nvvm.bar.warp.sync(i32) convergent
declare void @llvm.nvvm.barrier.cta.sync.aligned.all(i32) convergent
"""


def ptx(text: str, capability: int) -> str:
    """PTX of a module, for devices of a compute capability (80 stands for 8.0) or later.

    Raises
    ------
    LoweringError
        The module calls mathematical functions, and libdevice is not installed.
    """
    with LOCK:
        code: str = _machine(capability).emit_assembly(_optimised(text, capability))
        return code


def optimised(text: str, capability: int) -> str:
    """The text of a module after LLVM's passes."""
    with LOCK:
        return str(_optimised(text, capability))


def _optimised(text: str, capability: int) -> Any:
    machine = _machine(capability)
    whole = f'target triple = "{TRIPLE}"\ntarget datalayout = "{machine.target_data}"\n{PROLOGUE}{_linked(text)}'
    module = llvm.parse_assembly(whole, llvm.create_context())
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def _linked(text: str) -> str:
    """The module with the definitions of what it declares of libdevice."""
    wanted = re.findall(r"^declare [^@]*@(__nv_\w+)\(.*$", text, re.MULTILINE)
    text = re.sub(r"^declare [^@]*@__nv_\w+\(.*$", "", text, flags=re.MULTILINE)
    own = set(re.findall(r"^declare [^@]*@([\w.]+)\(", PROLOGUE + text, re.MULTILINE))
    added = [
        line
        for line in libdevice.texts(wanted).splitlines()
        if not (line.startswith("declare") and re.search(r"@([\w.]+)\(", line)[1] in own)  # type: ignore[index]
    ]
    return "\n".join([text, *added, ""])


@once
def _machine(capability: int) -> Any:
    """LLVM's writer of PTX. What runs on one compute capability runs on those after it, such as are not known here."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    known = capability
    if capability > NEWEST_WITH_OLDEST:
        known = max(number for number in (NEWEST_WITH_OLDEST, *VERSIONS) if number <= capability)
    target = llvm.Target.from_triple(TRIPLE)
    return target.create_target_machine(cpu=f"sm_{known}", features=f"+ptx{VERSIONS.get(known, OLDEST)}", opt=3)
