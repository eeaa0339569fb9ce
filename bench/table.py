"""The tables that are printed, and the same figures as JSON."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from typing import Any

from rich.console import Console
from rich.table import Table

Seconds = float | None  # None: not measured, because the library is missing or failed

BY_HAND = "by hand"
WANTED = {BY_HAND: 0.8}  # how many times faster than each side is wanted, where that is not 1


@dataclass(frozen=True)
class Outcome:
    """A table, given its caption; the figures as JSON holds them; what went wrong."""

    table: Callable[[str], Table]
    figures: dict[str, Any]
    problems: list[str]


@dataclass(frozen=True)
class Result:
    """The figures of one row: seconds of each side by its name, ours first, and what went wrong, if anything did.

    `ratios` are those of the other sides' steady times to ours, the medians over the rounds: from one round to another
    the machine may become slower as a whole.
    """

    name: str
    group: str
    first: Mapping[str, float]
    steady: Mapping[str, float]
    ratios: Mapping[str, float]
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def faster(self, kind: str, side: str) -> float | None:
        """How many times faster than that side this project is, in the first call or in later ones."""
        return self.ratios.get(side) if kind == "steady" else ratio((self.first.get("staged_ad"), self.first.get(side)))


def console() -> Console:
    """Standard output, wide enough for a table where it is not a terminal."""
    output = Console()
    return output if output.is_terminal else Console(width=160)


def shown(seconds: Seconds) -> str:
    """Three digits with the unit that suits: ``0.00123 -> 1.23 ms``."""
    if seconds is None:
        return ""
    scale, unit = next((s for s in ((1, "s"), (1e3, "ms")) if seconds * s[0] >= 1), (1e6, "us"))
    value = seconds * scale
    return f"{value:.{max(0, 2 - int(log(max(value, 1), 10)))}f} {unit}"


def ratio(pair: Sequence[Seconds]) -> float | None:
    """How many times faster than a peer."""
    ours, peer = pair
    return peer / ours if ours and peer else None


def shown_ratio(value: float | None, wanted: float = 1.0) -> str:
    if value is None:
        return "-"
    text = f"{value:.2f}x" if value < 100 else f"{value:.0f}x"
    return text if value >= wanted else f"[bold red]{text}[/]"


def geometric_mean(values: Iterable[float | None]) -> float | None:
    logarithms = [log(value) for value in values if value]
    return exp(sum(logarithms) / len(logarithms)) if logarithms else None


def means(results: Sequence[Result], kind: str, side: str) -> list[tuple[str, float | None]]:
    """The geometric mean of the ratios of each group, and of all rows."""
    groups = {group: [r for r in results if r.group == group] for group in dict.fromkeys(r.group for r in results)}
    parts = {**groups, "all rows": list(results)}
    return [(name, geometric_mean(r.faster(kind, side) for r in members)) for name, members in parts.items()]


def comparison(results: Sequence[Result], sides: Sequence[str], caption: str) -> Table:
    """The main table: one line per row, then the geometric means. What is below what is wanted is red."""
    ours, *peers = sides
    table = Table(caption=caption, caption_justify="left")
    table.add_column("row", no_wrap=True)
    for head in ("first call\nours", "\nthan JAX", "later calls\nours", *(f"\nthan {peer}" for peer in peers)):
        table.add_column(head, justify="right", no_wrap=True)
    ratios = [("first", "JAX"), *(("steady", peer) for peer in peers)]
    for result in results:
        first, *steady = (shown_ratio(result.faster(kind, peer), WANTED.get(peer, 1.0)) for kind, peer in ratios)
        name = result.name + (" [bold red]*[/]" if result.problem else "")
        table.add_row(name, shown(result.first.get(ours)), first, shown(result.steady.get(ours)), *steady)
    table.add_section()
    columns = [means(results, kind, peer) for kind, peer in ratios]
    for line in zip(*columns, strict=True):
        first, *steady = (
            shown_ratio(value, WANTED.get(p, 1.0)) for (_, value), (_, p) in zip(line, ratios, strict=True)
        )
        table.add_row(f"geometric mean, {line[0][0]}", "", first, "", *steady)
    return table


def plain(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> Table:
    """A table of cells that are text already."""
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
