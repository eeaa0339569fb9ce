"""Strong products without masks, on the bet that no zero meets an infinity or NaN, and how a lost bet is noticed.

Where it is lost, such a product is NaN where 0 is wanted. NaN goes through sums and products, so it is enough to look
at the values at the ends of these chains, before anything is stored: one comparison in place of two for each product.
Where they are summed up, and are many, it is enough to look at the sums after a stretch of the loop (`loop`).

Invariant: where no bet is lost, the bits are those of the masked products, for fma(t, p, +0) is t * p, with +0 for
the products of zeros.
Start at `lost`; `code.Code.strong_product` makes the bets.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Container, Iterable, Sequence
from itertools import zip_longest

from staged_ad.ir.lowerings import Map
from staged_ad.lowering.accumulators import Cell
from staged_ad.lowering.code import Code
from staged_ad.lowering.regions import Apply, Nest
from staged_ad.lowering.values import Instruction, Value, vector_type
from staged_ad.native import llvm
from staged_ad.native.once import once

LONGEST, LONGEST_SCALAR = 200, 500
"""Nodes up to which a body is also written without masks."""
SHARE = 3
"""Masks count where so much of the work is in strong products: more than a third."""
MANY = 8
"""Sums from which on they are looked at after a stretch of iterations: their terms are not all kept till then."""
STRETCH = 64
"""Iterations of a loop after which it is looked whether a bet was lost."""
UNLIKELY = '!0 = !{!"branch_weights", i32 1, i32 1000000}'
"""The metadata of the branch that is taken when a bet is lost."""

_PASSING = re.compile(
    r"%\S+ = ((?P<strict>(fadd|fsub|fmul|fdiv|fneg) (?!contract)|call \S+( x \w+>)? @llvm\.fma\.)|select )"
)
"""Instructions that are NaN where an operand is, those that may be contracted excepted: they get no second use."""


@once
def available() -> bool:
    """Whether a multiply-add is one instruction here."""
    return llvm.has_feature("fma") or platform.machine() in ("aarch64", "arm64")


def pays(nest: Nest, repeated: bool) -> bool:
    """Whether to bet: the masks are a part of the work that counts, as those of scalars in a loop always are."""
    rules = [node.equation.primitive.lower for node in nest.nodes if isinstance(node, Apply)]
    costs = [(rule.cost, rule.absorbing) for rule in rules if isinstance(rule, Map)]
    strong = sum(cost for cost, absorbing in costs if absorbing)
    if not strong or not available():
        return False
    many = strong * SHARE > sum(cost for cost, _ in costs)
    if not nest.domain:  # sums of one term are stored where one of the two bodies stands
        return not nest.reduces and (repeated or many) and len(nest.nodes) <= LONGEST_SCALAR
    return many and len(nest.nodes) <= LONGEST


def either(inside: str, plain: list[str], lost: str, commit: list[str], careful: list[str]) -> list[str]:
    """Lines: `plain` and then `commit`; but `careful` where `inside`, if given, is false, or `lost`, if given, true."""
    lines = [
        f"  br i1 {inside}, label %plain, label %careful" if inside else "  br label %plain",
        "plain:",
        *plain,
        f"  br i1 {lost}, label %careful, label %commit, !prof !0" if lost else "  br label %commit",
        "commit:",
        *commit,
        "  br label %both",
    ]
    if inside or lost:
        lines += ["careful:", *careful, "  br label %both"]
    return [*lines, "both:"]


def loop(
    k: int,
    label: str,
    limits: tuple[str, str, int],
    cells: Sequence[Cell],
    lost: str,
    plain: Sequence[str],
    watched: Sequence[str],
    careful: Sequence[str],
) -> list[str]:
    """Lines of an innermost loop, after the block `label`, that looks at its sums, in `cells`, after each stretch.

    `plain` does one iteration; `watched` finds out whether a bet was `lost`: the stretch is done again by `careful`.
    `limits` are the first index, the last one and the step.
    """
    start, end, step = limits
    again = [re.sub(rf"%i{k}\b", f"%j{k}", line) for line in careful]
    return [
        "  br label %stretch",
        "stretch:",
        f"  %from = phi i64 [ {start}, %{label} ], [ %to, %sound ]",
        f"  %far = add nsw i64 %from, {STRETCH * step}",
        f"  %within = icmp slt i64 %far, {end}",
        f"  %to = select i1 %within, i64 %far, i64 {end}",
        *(line for n, cell in enumerate(cells) for line in _copy(cell.name, f"%kept{n}", cell.type)),
        *_counted(f"i{k}", "plain", "%stretch", step, plain, "ended"),
        "ended:",
        *watched,
        f"  br i1 {lost}, label %again, label %sound, !prof !0",
        "again:",
        *(line for n, cell in enumerate(cells) for line in _copy(f"%kept{n}", cell.name, cell.type)),
        *_counted(f"j{k}", "careful", "%again", step, again, "sound"),
        "sound:",
        f"  %more = icmp slt i64 %to, {end}",
        f"  br i1 %more, label %stretch, label %exit{k}",
        f"exit{k}:",
    ]


def _counted(index: str, name: str, label: str, step: int, body: Sequence[str], then: str) -> list[str]:
    """A loop over a stretch."""
    return [
        f"  br label %{name}",
        f"{name}:",
        f"  %{index} = phi i64 [ %from, {label} ], [ %{name}.next, %{name}.body ]",
        f"  %{name}.go = icmp slt i64 %{index}, %to",
        f"  br i1 %{name}.go, label %{name}.body, label %{then}",
        f"{name}.body:",
        *body,
        f"  %{name}.next = add nsw i64 %{index}, {step}",
        f"  br label %{name}",
    ]


def kept(cells: Sequence[Cell]) -> list[str]:
    """Where `loop` keeps the sums before a stretch."""
    return [f"  %kept{n} = alloca {cell.type}, align 64" for n, cell in enumerate(cells)]


def _copy(source: str, target: str, type: str) -> list[str]:
    register = f"{target}.{source[1:]}"
    return [f"  {register} = load {type}, ptr {source}", f"  store {type} {register}, ptr {target}"]


def lost(
    code: Code, depth: int, ends: Sequence[tuple[int, Instruction]], masks: Sequence[tuple[int, Value | None]]
) -> str:
    """Write, behind the instructions at a depth, whether a bet among them is lost; returns the register.

    `ends` are what to look at, and `masks` says up to which instruction which lanes count.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for number, end in ends:
        mask = next(mask for last, mask in masks if number < last)
        masked = mask is not None and end.type.startswith("<")
        groups.setdefault((end.type, mask.name if mask and masked else ""), []).append(end.result)
    return _any(code, "i1", [_any_nan(code, type, mask, ends, depth) for (type, mask), ends in groups.items()], depth)


def ends(block: Sequence[Instruction], bets: Iterable[str], kept: Container[str]) -> list[tuple[int, Instruction]]:
    """What to look at, instructions and their numbers: all that is wrong about a lost bet goes through one that is NaN.

    NaN goes through strict instructions; through a choice it goes where it matters, so that it is enough for a value
    which nothing else reads.
    """
    reached = set(bets)
    readers: dict[str, list[tuple[Instruction, re.Match[str] | None]]] = {}
    for instruction in block:
        kind = _PASSING.match(instruction.text)
        for register in reached.intersection(instruction.uses):
            readers.setdefault(register, []).append((instruction, kind))
            if kind:
                reached.add(instruction.result)
    seen: set[str] = set()  # NaN wherever they are wrong
    found = []
    for number in reversed(range(len(block))):
        name = block[number].result
        if name not in reached:
            continue
        uses = readers.get(name, [])
        if any(kind and kind["strict"] and reader.result in seen for reader, kind in uses):
            seen.add(name)
        elif name in kept or not uses or not all(kind for _, kind in uses):
            found.append((number, block[number]))
            seen.add(name)
    return found


def any_nan(code: Code, values: Sequence[Value], depth: int) -> str:
    """Write whether a lane is NaN in one of the values; returns the register."""
    types = dict.fromkeys(value.type for value in values)
    found = [_any_nan(code, type, "", [v.name for v in values if v.type == type], depth) for type in types]
    return _any(code, "i1", found, depth)


def _any_nan(code: Code, type: str, mask: str, registers: Sequence[str], depth: int) -> str:
    """Whether a lane of the mask is NaN in one of the registers; they are compared two at a time."""
    lanes = int(type[1:].split()[0]) if type.startswith("<") else 1
    flags = vector_type("i1", lanes)
    pairs = zip_longest(registers[::2], registers[1::2], fillvalue=registers[-1])
    nans = [code.write(f"fcmp uno {type} {a}, {b}", flags, (a, b), depth) for a, b in pairs]
    found = _any(code, flags, nans, depth)
    if lanes == 1:
        return found
    if mask:
        found = code.write(f"and {flags} {found}, {mask}", flags, (found, mask), depth)
    bits = code.write(f"bitcast {flags} {found} to i{lanes}", f"i{lanes}", (found,), depth)
    return code.write(f"icmp ne i{lanes} {bits}, 0", "i1", (bits,), depth)


def _any(code: Code, type: str, registers: Sequence[str], depth: int) -> str:
    first, *rest = registers
    for register in rest:
        first = code.write(f"or {type} {first}, {register}", type, (first, register), depth)
    return first
