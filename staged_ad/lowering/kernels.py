"""Kernels: operations on whole arrays whose code stands in their declaration, as LLVM text.

A kernel works on items that do not depend on each other, such as the matrices of a stack. They are shared out to
chunks by rules that do not know the number of threads; each chunk has working memory of its own.

Invariant: operands and results are C-contiguous, and no result is an operand.
Start at ``KernelWriter``, which is what the ``emit`` of a ``Kernel`` talks to; ``kernel_text`` makes the region.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from staged_ad.ir import ArrayType, Equation
from staged_ad.ir.lowerings import Kernel
from staged_ad.lowering.calls import STATUS, Functions, RegionText, Resolve
from staged_ad.lowering.nest import REGION
from staged_ad.lowering.plan import KernelPlan
from staged_ad.lowering.regions import Opaque
from staged_ad.lowering.values import memory_type
from staged_ad.native.failures import FOUND
from staged_ad.native.vecmath import ufunc_loop, ufunc_symbol


@dataclass(frozen=True, slots=True)
class Buffer:
    """An operand or a result: a register with its address."""

    name: str
    type: ArrayType

    @property
    def element(self) -> str:
        """The LLVM type of an element in memory; booleans are bytes."""
        return memory_type(self.type.dtype)


class KernelWriter:
    """Takes the text of one item, number ``item`` (an i64 register).

    inputs, outputs
        Their addresses. ``element(buffer, index)`` is the address of an element, ``slice_of(buffer, count)`` that of
        the item's first element where each item has `count` of them, one item after the other.
    scratch
        The address of working memory that no other chunk uses.
    """

    item = "%item"
    scratch = "%scratch"

    def __init__(self, equation: Equation, functions: Functions) -> None:
        self.equation = equation
        self.inputs = tuple(Buffer(f"%in{k}", atom.type) for k, atom in enumerate(equation.inputs))
        self.outputs = tuple(Buffer(f"%out{k}", var.type) for k, var in enumerate(equation.outputs))
        self.allocas: list[str] = []
        self.lines: list[str] = []
        self.may_fail = False
        self._functions = functions
        self._serial = 0

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def value(self, text: str) -> str:
        """The register that gets the value of an instruction."""
        name = f"%v{self._next()}"
        self.line(f"{name} = {text}")
        return name

    def alloca(self, kind: str) -> str:
        """Memory on the stack of the region, the same for all of its items."""
        name = f"%stack{self._next()}"
        self.allocas.append(f"  {name} = alloca {kind}, align 64")
        return name

    def label(self, hint: str = "at") -> str:
        """A new label; ``start`` begins its block."""
        return f"{hint}{self._next()}"

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def element(self, buffer: Buffer, index: str | int) -> str:
        return self.value(f"getelementptr {buffer.element}, ptr {buffer.name}, i64 {index}")

    def slice_of(self, buffer: Buffer, count: int) -> str:
        return self.element(buffer, self.value(f"mul nsw i64 {self.item}, {count}"))

    def external(self, name: str, signature: str, address: int | None = None) -> str:
        """A function from outside; `signature` is its declaration with ``@`` where the name goes.

        With an address, its name means something in this process only.
        """
        self._functions.externals.intrinsic(name, signature)
        if address is not None:
            self._functions.externals.symbols[name] = address
        return f"@{name}"

    def lapack(self, name: str, count: int) -> str:
        """A routine of BLAS or LAPACK, such as ``dpotrf``, with `count` arguments, all of them addresses."""
        return self.external(f"lapack.{name}", f"void @({', '.join(['ptr'] * count)})")

    def ufunc_loop(self, module: str, name: str, types: str) -> tuple[str, str]:
        """The inner loop of a ufunc for some types, ``void (char **args, i64 *sizes, i64 *strides, void *data)``, and
        its last argument. The ufunc is given by its module and its name there.
        """
        _, data = ufunc_loop(getattr(importlib.import_module(module), name), types)
        symbol = ufunc_symbol(module, name, types)
        loop = self.external(symbol, "void @(ptr, ptr, ptr, ptr)")
        return loop, self.external(f"{symbol}.data", "void @()") if data else "null"

    def intrinsic(self, name: str, signature: str) -> str:
        """A function of LLVM itself, ``llvm....``."""
        self._functions.externals.intrinsic(name, signature)
        return f"@{name}"

    def helper(self, name: str, text: str) -> str:
        """A function that is part of the module once; `text` defines ``@name``."""
        self._functions.externals.helpers.setdefault(name, text)
        return f"@{name}"

    def fail_if(
        self, condition: str, make: Callable[..., Exception], *arguments: Any, found: str | None = None
    ) -> None:
        """Where the i1 register `condition` holds, leave: the call raises ``make(*arguments)``.

        What is in the i64 register `found`, if given, is the last argument.
        """
        self.may_fail = True
        status = str(self._functions.failure(make, *arguments, reads=found is not None))
        bad, good = self.label("bad"), self.label("good")
        self.line(f"br i1 {condition}, label %{bad}, label %{good}")
        self.start(bad)
        if found is not None:
            status = self.value(f"or i64 {self.value(f'shl i64 {found}, {FOUND}')}, {status}")
        self.line(f"store atomic i64 {status}, ptr %status monotonic, align 8")
        self.line("br label %exit")
        self.start(good)

    def _next(self) -> int:
        self._serial += 1
        return self._serial


def kernel_text(region: Opaque, resolve: Resolve, functions: Functions) -> RegionText:
    """The function of a kernel: a loop over the items of one chunk."""
    equation, plan = region.equation, region.plan
    rule = equation.primitive.lower
    assert isinstance(rule, Kernel)
    assert isinstance(plan, KernelPlan)
    kernel = KernelWriter(equation, functions)
    rule.emit(kernel, **equation.params)
    assert rule.fails(**equation.params) or not kernel.may_fail, equation.primitive
    names = [*(buffer.name for buffer in (*kernel.inputs, *kernel.outputs))]
    places = [resolve(atom) for atom in (*equation.inputs, *equation.outputs)]
    start = []
    if region.scratch is not None:
        names.append("%scratch.all")
        places.append(resolve(region.scratch))
        start += [
            f"  %scratch.offset = mul i64 %chunk, {plan.scratch}",
            f"  {kernel.scratch} = getelementptr i8, ptr %scratch.all, i64 %scratch.offset",
        ]
    if kernel.may_fail:
        names.append("%status")
        places.append(STATUS)
    lines = [f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{", "entry:", *kernel.allocas]
    for k, name in enumerate(names):
        lines += [
            f"  %slot{k} = getelementptr ptr, ptr %arrays, i64 {k}",
            f"  {name} = load ptr, ptr %slot{k}, align 8",
        ]
    lines += [
        *start,
        f"  %first = mul i64 %chunk, {plan.chunk}",
        f"  %behind = add i64 %first, {plan.chunk}",
        f"  %inside = icmp slt i64 %behind, {plan.items}",
        f"  %last = select i1 %inside, i64 %behind, i64 {plan.items}",
        "  br label %head",
        "head:",
        f"  {kernel.item} = phi i64 [ %first, %entry ], [ %next, %latch ]",
        f"  %going = icmp slt i64 {kernel.item}, %last",
        "  br i1 %going, label %body, label %exit",
        "body:",
        *kernel.lines,
        "  br label %latch",
        "latch:",
        f"  %next = add nsw i64 {kernel.item}, 1",
        "  br label %head",
        "exit:",
        "  ret void",
        "}",
    ]
    return RegionText("\n".join(lines), places, plan.chunks, plan.chunks > 1, kernel.may_fail)
