"""The table of a GPU: each row for this project, JAX and PyTorch, on the same device, in one run.

Invariant: a side that fails has a dash, and what it said stands under the table; the run goes on. What is known is
printed, and handed to `keep`, row by row. Start at `compare_on_device`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from math import ceil
from statistics import median
from time import monotonic
from typing import Any

from rich.table import Table

from bench import hardware
from bench.agreement import disagreement, leaves
from bench.libraries import this_project
from bench.problems.on_device import DeviceRow
from bench.sides import SLOW, Side, SideError
from bench.table import Outcome, ratio, shown, shown_ratio

OURS, JAX = "staged_ad", "JAX"
ROUNDS = 5
ROUNDS_IF_SLOW = 3
ANSWER = 100.0  # seconds that a side may take for what it is asked
SLOWEST, WITHOUT_SLOWEST = "PyTorch", 0.7  # to compile, and no target needs it: left out after this part of the time
ROTATED, MOST_COPIES = 300_000_000, 4  # bytes of arguments that no cache holds


@dataclass
class DeviceResult:
    """The figures of one row by the names of the sides: seconds, their spread, the bytes that must move."""

    name: str
    bytes: int = 0
    share_wanted: float | None = None
    faster_wanted: float | None = None
    first: dict[str, float] = field(default_factory=dict)
    steady: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)  # greatest less least sample, over the median
    share: dict[str, float] = field(default_factory=dict)  # of the bandwidth of a copy
    problems: list[str] = field(default_factory=list)

    def faster(self, kind: str, side: str) -> float | None:
        seconds: dict[str, float] = getattr(self, kind)
        return ratio((seconds.get(OURS), seconds.get(side)))

    def as_json(self) -> dict[str, Any]:
        faster = {side: self.faster("steady", side) for side in self.steady if side != OURS}
        return {**asdict(self), "faster": faster}


@dataclass(frozen=True)
class Run:
    """What a row needs besides itself."""

    sides: Sequence[Side]
    copy: float  # bytes per second, read and written
    end: float  # on the clock `monotonic`; of a row that has begun only the current step is waited for
    answer: float = ANSWER

    def ask(self, side: Side, *command: Any) -> Any:
        return side.ask(min(self.answer, max(20.0, self.end - monotonic())), *command)


def compare_on_device(
    sides: Sequence[Side],
    rows: Sequence[DeviceRow],
    device: dict[str, Any],
    say: Callable[[str], None],
    keep: Callable[[dict[str, Any]], None],
    seconds: float,
) -> Outcome:
    """First call and steady time of every row on every side, ours first, and whether the results are the CPU's.

    `device` is what `hardware.found` returns. Rows that have not begun after so many seconds are left out.
    """
    began = monotonic()
    names = [side.name for side in sides]
    results: list[DeviceResult] = []
    used, problems = ready(sides)
    for row in rows:
        elapsed = monotonic() - began
        if elapsed > seconds:
            problems.append(f"{row.name}: left out, after {elapsed:.0f} s")
            continue
        if elapsed > WITHOUT_SLOWEST * seconds and (slowest := [side for side in used if side.name == SLOWEST]):
            problems.append(f"{SLOWEST}: left out from {row.name!r} on, after {elapsed:.0f} s")
            used = [side for side in used if side not in slowest]
        results.append(measure(Run(used, device["copy"], began + seconds), row))
        say(line(results[-1], names, monotonic() - began))
        keep(figures(results))
    for side in sides:
        side.end()
    return Outcome(
        table=partial(table, results, names),
        figures=figures(results),
        problems=problems + [f"{result.name}: {text}" for result in results for text in result.problems],
    )


def ready(sides: Sequence[Side]) -> tuple[list[Side], list[str]]:
    """The sides that can be asked; what the others said, whose columns stay empty."""
    used, problems = [], []
    for side in sides:
        try:
            side.ready()
            used.append(side)
        except SideError as error:
            problems.append(f"{side.name}: {error}")
    return used, problems


def figures(results: Sequence[DeviceResult]) -> dict[str, Any]:
    return {"device_rows": [result.as_json() for result in results]}


def measure(run: Run, row: DeviceRow) -> DeviceResult:
    """The figures of one row: each side's first call, samples of all sides in turn, then the results."""
    result = DeviceResult(row.name, share_wanted=row.share, faster_wanted=row.faster)
    data = row.data()
    size = sum(leaf.nbytes for leaf in leaves(data))
    copies = min(MOST_COPIES, ceil(ROTATED / size)) if row.in_memory else 1
    started = start(run, row, copies, result)
    take_samples(run, started, result)
    check(run, row, expected(row, data, result), started, result)
    if row.in_memory and result.bytes:
        result.share = {name: result.bytes / each / run.copy for name, each in result.steady.items()}
    return result


def start(run: Run, row: DeviceRow, copies: int, result: DeviceResult) -> list[Side]:
    """The sides that have made a first call."""
    started = []
    for side in run.sides[: None if row.has_peer else 1]:
        try:
            seconds = run.ask(side, "start", row, copies)
        except SideError as error:
            result.problems.append(f"{side.name}: {error}")
            continue
        if seconds is not None:
            result.first[side.name] = seconds
            started.append(side)
    return started


def take_samples(run: Run, started: list[Side], result: DeviceResult) -> None:
    """Medians, the sides in alternating order, so that a change of the device's clock falls on all; lost ones go."""
    samples: dict[str, list[float]] = {side.name: [] for side in started}
    for turn in range(ROUNDS):
        for side in started[:: 1 if turn % 2 == 0 else -1]:
            taken = samples[side.name]
            if turn >= ROUNDS_IF_SLOW and taken[0] > SLOW:
                continue
            try:
                taken.append(run.ask(side, "sample"))
            except SideError as error:
                result.problems.append(f"{side.name}: {error}")
                started.remove(side)
    for side in started:
        taken = samples[side.name]
        result.steady[side.name] = median(taken)
        result.spread[side.name] = (max(taken) - min(taken)) / median(taken)


def expected(row: DeviceRow, data: tuple[Any, ...], result: DeviceResult) -> list[Any] | None:
    """What this project computes on the processor; None if it fails. Also counts the bytes that must move."""
    library = this_project()
    try:
        arrays = leaves(library.jit(row.function(library))(*data))
    except Exception as error:  # noqa: BLE001  the sides are then compared with the first of them
        result.problems.append(f"on the processor: {type(error).__name__}: {error}")
        return None
    library.clear_caches()
    result.bytes = sum(leaf.nbytes for leaf in [*leaves(data), *arrays])
    return arrays


def check(run: Run, row: DeviceRow, right: list[Any] | None, started: list[Side], result: DeviceResult) -> None:
    """Compare the last result of each side with the right one, or, if there is none, with that of the first side."""
    than = "the processor"
    for side in started:
        try:
            arrays, text = run.ask(side, "finish")
        except SideError as error:
            result.problems.append(f"{side.name}: {error}")
            continue
        if right is None:
            right, than = arrays, side.name
        different = disagreement(arrays, right, row.tolerance)
        said = [text] * bool(text) + [f"the result is not that of {than}: {different}"] * bool(different)
        result.problems += [f"{side.name}: {problem}" for problem in said]


# -- what is printed --------------------------------------------------------------------------------------------------


def line(result: DeviceResult, sides: Sequence[str], elapsed: float) -> str:
    """One row, as soon as it is measured."""
    times = [
        f"{name} {shown(result.steady[name])} (first {shown(result.first[name])}, +-{result.spread[name] / 2:.0%})"
        if name in result.steady
        else f"{name} -"
        for name in sides
    ]
    shares = [f"{name} {share:.0%} of copy" for name, share in result.share.items()]
    said = [f"{elapsed:4.0f} s  {result.name}: {', '.join(times + shares)}", *result.problems]
    return "\n        * ".join(said)


def table(results: Sequence[DeviceResult], sides: Sequence[str], caption: str) -> Table:
    """One line per row; what is below its target is red. What is left out is in the lines, and among the figures."""
    ours, *peers = sides
    made = Table(caption=caption, caption_justify="left")
    made.add_column("row", no_wrap=True)
    heads = ["first call\nours", *(f"\nthan {peer}" for peer in peers if peer == JAX)]
    heads += ["later calls\nours", *(f"\n{peer}" for peer in peers), *(f"\nthan {peer}" for peer in peers)]
    heads += ["of copy\nours", *(f"\n{peer}" for peer in peers if peer == JAX), "wanted"]
    for head in heads:
        made.add_column(head, justify="right", no_wrap=True)
    for result in results:
        made.add_row(*cells(result, ours, peers))
    return made


def cells(result: DeviceResult, ours: str, peers: Sequence[str]) -> list[str]:
    wanted, least = result.faster_wanted or 0.0, result.share_wanted or 0.0
    share = result.share.get(ours)
    targets = [f"{least:.0%}"] * bool(least) + [f"{wanted:g}x JAX"] * bool(wanted)
    return [
        result.name + (" [bold red]*[/]" if result.problems else ""),
        shown(result.first.get(ours)) or "-",
        *(shown_ratio(result.faster("first", peer), 0.0) for peer in peers if peer == JAX),
        shown(result.steady.get(ours)) or "-",
        *(shown(result.steady.get(peer)) or "-" for peer in peers),
        *(shown_ratio(result.faster("steady", peer), wanted if peer == JAX else 0.0) for peer in peers),
        "" if share is None else f"{share:.0%}" if share >= least else f"[bold red]{share:.0%}[/]",
        *(f"{result.share[peer]:.0%}" if peer in result.share else "" for peer in peers if peer == JAX),
        ", ".join(targets),
    ]


def caption(device: dict[str, Any], environment: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    return f"{hardware.caption(device)}; {versions}"
