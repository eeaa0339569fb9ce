"""The text form of fused loops: what ``lower(...).text("loops")`` shows.

Invariant: one paragraph per region, in the order in which they run.
Start at ``loops_text``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from staged_ad.ir import Literal
from staged_ad.ir.text import literal_text, param_text
from staged_ad.lowering.plan import LoopPlan
from staged_ad.lowering.regions import (
    Apply,
    Constant,
    Copy,
    Guarded,
    Load,
    MatrixProduct,
    Nest,
    Node,
    OfIndex,
    Opaque,
    Rows,
    Times,
)
from staged_ad.lowering.sweep_plan import SweepPlan

if TYPE_CHECKING:
    from staged_ad.lowering.blocks import Block, Step
    from staged_ad.lowering.schedule import Schedule


class _Arrays:
    """Names of stored arrays: in0, out1, tmp2."""

    def __init__(self, block: Block) -> None:
        self._fresh = count()
        self._names: dict[Any, str] = {var: f"in{k}" for k, var in enumerate(block.fused.program.inputs)}
        for k, atom in enumerate(block.fused.program.outputs):
            self._names[block.fused.copies.get(k, atom)] = f"out{k}"

    def name(self, atom: Any) -> str:
        if isinstance(atom, Literal):
            return literal_text(atom)
        if atom not in self._names:
            self._names[atom] = f"tmp{next(self._fresh)}"
        return self._names[atom]


def loops_text(block: Block, workspace: int) -> str:
    """The regions of a whole program, which needs so many bytes of working memory."""
    arrays = _Arrays(block)
    head = f"workspace: {workspace} bytes"
    return "\n\n".join([head, *("\n".join(_region(step, arrays)) for step in block.steps)])


def _opaque(region: Opaque, arrays: _Arrays) -> Iterator[str]:
    """A loop, branch or guard: its results and operands, then its blocks."""
    equation = region.equation
    params = equation.params
    left = ", ".join(map(arrays.name, equation.outputs))
    length = params.get("length")
    times = f" {length} times" if length is not None else ""
    note = ""
    if isinstance(region.plan, LoopPlan):
        kept = ", ".join(
            f"{arrays.name(var)} {mode}" for (var, _), mode in zip(region.plan.carry, region.plan.modes, strict=True)
        )
        chunks = f"{region.plan.chunks} chunks in parallel" if region.plan.chunks > 1 else ""
        note = "    # " + "; ".join(part for part in (f"carry: {kept}" if kept else "", chunks) if part)
    elif isinstance(region.plan, SweepPlan):
        slots = region.plan.layout
        note = f"    # slots: {slots.sets} residual sets of {slots.set_bytes} bytes, {slots.bytes} bytes in all"
    yield f"{left} = {equation.primitive.name}{times} ({', '.join(map(arrays.name, equation.inputs))}){note}".rstrip(
        " #"
    )
    for block in region.blocks:
        yield f"  {block.program.name} ({', '.join(map(arrays.name, block.program.inputs))}):"
        for step in block.steps:
            yield from ("    " + line for line in _region(step, arrays))
        yield f"    in ({', '.join(map(arrays.name, block.outputs))})"


def _region(step: Step, arrays: _Arrays) -> Iterator[str]:
    region = step.region
    if isinstance(region, MatrixProduct):
        marks = [("^T" if m.transposed else "") for m in (region.a, region.b)]
        yield (
            f"{arrays.name(region.result)} = {arrays.name(region.a.array)}{marks[0]} @ {arrays.name(region.b.array)}"
            f"{marks[1]}    # BLAS: {region.count} of {region.m} x {region.k} x {region.n}"
        )
        return
    if isinstance(region, Copy):
        yield f"{arrays.name(region.target)} = {arrays.name(region.source)}"
        return
    if isinstance(region, Opaque):
        yield from _opaque(region, arrays)
        return
    if isinstance(region, Rows):
        width = sum(region.local.values())
        local = f", {region.block * width} bytes of {', '.join(map(arrays.name, region.local))} each" if width else ""
        yield f"{-(-region.count // region.block)} blocks of {region.block} rows{local}:"
        for plan in step.schedules:
            yield from ("  " + line for line in _nest(plan, arrays))
        return
    (plan,) = step.schedules
    yield from _nest(plan, arrays)


def _nest(plan: Schedule, arrays: _Arrays) -> Iterator[str]:
    nest = plan.nest
    if plan.title:
        yield f"{plan.title}:"
    for depth, dim in enumerate(plan.loops):
        notes = ["reduced"] if dim in nest.reduced else []
        if dim == plan.vector:
            notes.append(f"vectors of {plan.lanes}" + (f" x {plan.copies}" if plan.copies > 1 else ""))
        if dim == plan.chunked:
            notes.append(f"{plan.chunks} chunks" + (" in parallel" if plan.parallel else ""))
        note = f"    # {', '.join(notes)}" if notes else ""
        yield f"{'  ' * depth}for i{dim} in range({nest.domain[dim]}):{note}"
    indent = "  " * len(plan.loops)
    for number, node in enumerate(nest.nodes):
        yield f"{indent}%{number} = {_node(node, arrays)}"
    yield from (indent + line for line in _results(nest, arrays))


def _results(nest: Nest, arrays: _Arrays) -> Iterator[str]:
    for store in nest.stores:
        yield f"{arrays.name(store.array)}[{store.address}] = %{store.node}"
    for reduce in nest.reduces:
        yield f"{arrays.name(reduce.array)}[{reduce.address}] <- fold %{reduce.node}"


def _node(node: Node, arrays: _Arrays) -> str:
    match node:
        case Load():
            return f"{arrays.name(node.array)}[{node.address}]" + _guard(node.guard)
        case Constant():
            return repr(node.value.item())
        case Apply():
            params = ",".join(f"{k}={param_text(v)}" for k, v in node.equation.params.items())
            operands = " ".join(f"%{k}" for k in node.operands)
            return f"{node.equation.primitive.name}{f'[{params}]' if params else ''} {operands}"
        case OfIndex():
            return f"{node.equation.primitive.name} ({', '.join(map(str, node.index))})"
        case Guarded():
            return f"%{node.operand}" + _guard(node.guard) + " else 0"
        case Times():
            return f"mul %{node.left} %{node.right}"


def _guard(conditions: Any) -> str:
    return f" if {' and '.join(f'0 <= {affine} < {n}' for affine, n in conditions)}" if conditions else ""
