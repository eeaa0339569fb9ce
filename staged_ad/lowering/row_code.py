"""Row-local nests as one function: for a block of rows, the function of each nest.

Invariant: a row of a local array lies in the buffer of its block, whose address is as far before it as the row is
from the first, so nests address local arrays like others.
Start at ``rows_text``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from staged_ad.ir import Atom, Var
from staged_ad.lowering.blocks import Step
from staged_ad.lowering.calls import Functions, RegionText, Resolve
from staged_ad.lowering.nest import REGION, NestWriter
from staged_ad.lowering.regions import Rows
from staged_ad.lowering.schedule import PARALLEL_NS
from staged_ad.lowering.storage import ALIGNMENT, Place


def rows_text(step: Step, region: Rows, resolve: Resolve, functions: Functions) -> RegionText:
    block = _Block(region, resolve)
    lines: list[str] = []
    for number, plan in enumerate(step.schedules):
        writer = NestWriter(plan, block, functions.externals, step.partials)
        name = functions.named(writer.text())
        lines += [*block.table(number, writer.places), f"  call void @{name}(i64 %chunk, ptr %table{number})"]
    text = [f"define internal void @{REGION}(i64 %chunk, ptr %arrays) nounwind {{", "entry:", *block.entry(), *lines]
    chunks = step.schedules[0].chunks
    return RegionText(
        "\n".join([*text, "  ret void", "}"]), list(block.places), chunks, chunks > 1 and step.cost > PARALLEL_NS
    )


@dataclass(slots=True)
class _Block:
    """The places of one block of rows."""

    region: Rows
    resolve: Resolve
    places: dict[Place, int] = field(default_factory=dict)
    size: int = 0
    buffers: dict[Var, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for var, width in self.region.local.items():
            self.buffers[var] = self.size
            self.size += -(-self.region.block * width // ALIGNMENT) * ALIGNMENT

    def place(self, atom: Atom) -> Place:
        if atom in self.region.local:
            return Place(f"%local{list(self.region.local).index(atom)}")
        return self.resolve(atom)

    def entry(self) -> list[str]:
        """The buffer, and where each local array would begin."""
        lines = [f"  %buffer = alloca [{self.size} x i8], align {ALIGNMENT}"] if self.size else []
        for k, (var, width) in enumerate(self.region.local.items()):
            lines += [
                f"  %before{k} = mul i64 %chunk, {-self.region.block * width}",
                f"  %from{k} = add i64 %before{k}, {self.buffers[var]}",
                f"  %local{k} = getelementptr i8, ptr %buffer, i64 %from{k}",
            ]
        return lines

    def table(self, number: int, places: list[Place]) -> list[str]:
        """The table of one nest, from those of the block."""
        lines = [f"  %table{number} = alloca [{max(1, len(places))} x ptr], align {ALIGNMENT}"]
        for k, place in enumerate(places):
            name = f"{number}.{k}"
            if place.base.startswith("%local"):
                lines.append(f"  %at{name} = getelementptr i8, ptr {place.base}, i64 {place.offset}")
            else:
                own = self.places.setdefault(place, len(self.places))
                lines.append(f"  %source{name} = getelementptr ptr, ptr %arrays, i64 {own}")
                lines.append(f"  %at{name} = load ptr, ptr %source{name}, align 8")
            lines.append(f"  %cell{name} = getelementptr ptr, ptr %table{number}, i64 {k}")
            lines.append(f"  store ptr %at{name}, ptr %cell{name}, align 8")
        return lines
