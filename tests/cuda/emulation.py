"""A device that is emulated on the processor: the kernels of a program, compiled for the host.

Threads that exchange values run as threads of Python, which meet at barriers; others one after another.

Invariant: the text of the kernels is that which becomes PTX; only what the target defines differs.
Start at ``emulated``.
"""

from __future__ import annotations

import ctypes
import math
import re
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.cuda.executor import Executor
from staged_ad.cuda.geometry import Geometry
from staged_ad.cuda.libdevice import RENAMED
from staged_ad.cuda.program import DeviceModule, emit
from staged_ad.cuda.threads import WARP
from staged_ad.ir import Program
from staged_ad.lowering.regions import Matrix, MatrixProduct
from staged_ad.native import llvm, vecmath
from staged_ad.native.failures import raise_status

GEOMETRY = Geometry(threads=WARP, full=64, team=1)
"""Small, so that small arrays fill it; no thread waits for another."""
TOGETHER = Geometry(threads=WARP, full=64, team=WARP)
"""The same where the threads of a warp exchange values."""

_EXCHANGE = """
declare i32 @exchange.lanes(i32, i32)
declare void @exchange.barrier()
declare void @exchange.warp()
declare ptr @exchange.shown()
declare ptr @exchange.place()
"""


def emulated(program: Program, *arrays: Any, geometry: Geometry = GEOMETRY) -> list[Any]:
    """The outputs of a traced program."""
    return Emulator(emit(program, geometry))(*arrays)


class Emulator:
    """A program on the emulated device."""

    def __init__(self, module: DeviceModule) -> None:
        self._module = module
        kernels = re.findall(r"^define ptx_kernel void @([\w.]+)_kernel\(", module.text, re.MULTILINE)
        lines = [_host(module.text), *(_task(name) for name in kernels), "define i64 @body(ptr %table) {"]
        for k, name in enumerate(kernels):
            lines += [f"  %at{k} = getelementptr ptr, ptr %table, i64 {k}", f"  store ptr @{name}.task, ptr %at{k}"]
        text = "\n".join([llvm.header(), _EXCHANGE, *lines, "  ret i64 0", "}", ""])
        self._block = _Block()
        self._code = llvm.compile_ir(text, self._symbols(text))
        table = (ctypes.c_int64 * max(len(kernels), 1))()
        ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(self._code.address)(ctypes.addressof(table))
        kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
        self._kernels = {f"{name}_kernel": kind(address) for name, address in zip(kernels, table, strict=False)}
        self._meeting = {f"{name}_kernel" for name in kernels if _meets(name, module.text)}

    def __call__(self, *arrays: Any) -> list[Any]:
        module = self._module
        inputs = [np.array(a, t.dtype, order="C") for a, t in zip(arrays, module.types, strict=True)]
        outputs = [np.empty(type.shape, type.dtype) for type in module.results]
        workspace = np.empty(module.storage.workspace, np.uint8)
        slots = [aligned(array) for array in (*inputs, *module.storage.constants, *outputs, workspace)]
        for slot, output in zip(slots[-1 - len(outputs) : -1], outputs, strict=True):
            slot[...] = output
        status = np.zeros(1, np.int64)
        found = Executor(module, self).run([slot.ctypes.data for slot in slots], status.ctypes.data)
        if found:
            raise_status(found, module.failures)
        return [slot[()] for slot in slots[len(slots) - 1 - len(outputs) : -1]]

    def _symbols(self, text: str) -> dict[str, int]:
        symbols = self._block.symbols
        for name in llvm.declared(text):
            if name.startswith("__nv_"):
                item = "float" if re.search(rf"declare float @{name}\(", text) else "double"
                symbols[name] = _address(name.removeprefix("__nv_"), item)
        return symbols

    # -- what an engine does ------------------------------------------------------------------------------------------

    def launch(self, kernel: str, total: int, addresses: Sequence[int]) -> None:
        table = (ctypes.c_int64 * max(len(addresses), 1))(*addresses)
        task, place = self._kernels[kernel], ctypes.addressof(table)
        if kernel not in self._meeting:
            task(0, total, 1, place)
            return
        threads = self._module.geometry.threads
        for start in range(0, total, threads):
            self._block.run(
                min(threads, total - start), lambda k, start=start: task(start + k, start + k + 1, 1, place)
            )

    def product(self, product: MatrixProduct, a: int, b: int, c: int) -> None:
        dtype, size = product.result.type.dtype, product.result.type.dtype.itemsize

        def matrix(x: Matrix, address: int, rows: int, columns: int) -> Any:
            steps = (size, x.leading * size) if x.transposed else (x.leading * size, size)
            return self.view(address, (product.count, rows, columns), dtype, (x.stack * size, *steps))

        left, right = matrix(product.a, a, product.m, product.k), matrix(product.b, b, product.k, product.n)
        np.matmul(left, right, out=self.view(c, (product.count, product.m, product.n), dtype))

    def view(
        self, address: int, shape: Sequence[int], dtype: np.dtype[Any], strides: Sequence[int] | None = None
    ) -> Any:
        extent = sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) if strides else 0
        size = extent + dtype.itemsize if strides else math.prod(shape) * dtype.itemsize
        memory = (ctypes.c_char * size).from_address(address)
        return np.ndarray(tuple(shape), dtype, memory, strides=None if strides is None else tuple(strides))

    def outside(self, equation: Any, operands: Sequence[Any], results: Sequence[Any]) -> None:
        values = equation.primitive.evaluate(*operands, **equation.params)
        for result, value in zip(results, values if equation.primitive.multiple_results else [values], strict=True):
            result[...] = value

    def move(self, target: int, source: int, size: int) -> None:
        ctypes.memmove(target, source, size)

    def number(self, address: int, dtype: np.dtype[Any]) -> int:
        return int(self.view(address, (), dtype))

    def set_number(self, address: int, value: int) -> None:
        self.view(address, (), np.dtype("int64"))[...] = value

    def allocate(self, size: int) -> tuple[int, Any]:
        memory = np.zeros(size, np.uint8)
        return memory.ctypes.data, memory

    def recorded(self, work: Any) -> Any:
        return None


class _Block:
    """The threads of one block, which exchange values."""

    def __init__(self) -> None:
        self._shown = np.zeros(1024, np.uint64)
        self._own = threading.local()
        self._barrier: Any = None
        lanes = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)(self._lanes)
        barrier = ctypes.CFUNCTYPE(None)(lambda: self._barrier.wait() and None)
        shown = ctypes.CFUNCTYPE(ctypes.c_void_p)(lambda: self._shown.ctypes.data)
        place = ctypes.CFUNCTYPE(ctypes.c_void_p)(lambda: self._shown.ctypes.data + 8 * self._own.thread)
        self._functions = {"lanes": lanes, "barrier": barrier, "warp": barrier, "shown": shown, "place": place}

    @property
    def symbols(self) -> dict[str, int]:
        functions = self._functions.items()
        return {f"exchange.{name}": ctypes.cast(f, ctypes.c_void_p).value or 0 for name, f in functions}

    def run(self, count: int, work: Any) -> None:
        self._barrier = threading.Barrier(count)

        def start(thread: int) -> None:
            self._own.thread = thread
            work(thread)

        threads = [threading.Thread(target=start, args=(k,)) for k in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _lanes(self, value: int, mask: int) -> int:
        me = self._own.thread
        self._shown[me] = value
        self._barrier.wait()
        other = int(self._shown[me ^ mask])
        self._barrier.wait()
        return other


def aligned(array: Any) -> Any:
    """A copy that begins at a multiple of 64 bytes."""
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def _host(text: str) -> str:
    """The functions of the kernels, without the kernels around them."""
    return re.sub(r"^define ptx_kernel .*?^}\n?", "", text, flags=re.MULTILINE | re.DOTALL)


def _meets(name: str, text: str) -> bool:
    """Whether the threads of a kernel exchange values."""
    body = re.search(rf"^define [^@\n]*@{re.escape(name)}\(.*?^}}", text, re.MULTILINE | re.DOTALL)
    assert body is not None
    called = re.findall(r"@(region\d+)\(", body[0].split("{", 1)[1])
    return "@exchange." in body[0] or "@give." in body[0] or any(_meets(other, text) for other in called)


def _task(name: str) -> str:
    return f"""define internal void @{name}.task(i64 %first, i64 %last, i64 %step, ptr %arrays) nounwind {{
entry:
  br label %head
head:
  %k = phi i64 [ %first, %entry ], [ %next, %body ]
  %go = icmp slt i64 %k, %last
  br i1 %go, label %body, label %exit
body:
  call void @{name}(i64 %k, ptr %arrays)
  %next = add nsw i64 %k, %step
  br label %head
exit:
  ret void
}}"""


def _address(name: str, item: Any) -> int:
    """The address of the host's function for one of libdevice."""
    for candidate in (name, name.removesuffix("f")):
        for known in (candidate, *(ours for ours, theirs in RENAMED.items() if theirs == candidate)):
            found = vecmath.scalar_function(known, item) or vecmath.special_function(known, item)
            if found:
                return found[1]
    raise AssertionError(f"no function of the host for {name}")
