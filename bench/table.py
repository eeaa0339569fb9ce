"""The tables that are printed, and the same figures as JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

from rich.console import Console
from rich.table import Table

Seconds = float | None  # None: not measured, because the library is missing or failed


@dataclass(frozen=True)
class Result:
    """The figures of one row: seconds of each side, and what went wrong, if anything did."""

    name: str
    group: str
    first: tuple[Seconds, Seconds]  # ours, JAX
    steady: tuple[Seconds, Seconds]
    problem: str = ""
    has_peer: bool = True  # whether JAX can compute the row at all

    def as_json(self) -> dict[str, Any]:
        figures = {
            f"{kind}_{side}": seconds
            for kind, pair in (("first", self.first), ("steady", self.steady))
            for side, seconds in zip(("ours", "jax"), pair, strict=True)
        }
        return {"name": self.name, "group": self.group, **figures, "problem": self.problem}


def console() -> Console:
    """Standard output, wide enough for a table where it is not a terminal."""
    output = Console()
    return output if output.is_terminal else Console(width=120)


def shown(seconds: Seconds) -> str:
    """Three digits with the unit that suits: ``0.00123 -> 1.23 ms``."""
    if seconds is None:
        return ""
    scale, unit = next((s for s in ((1, "s"), (1e3, "ms")) if seconds * s[0] >= 1), (1e6, "us"))
    value = seconds * scale
    return f"{value:.{max(0, 2 - int(log(max(value, 1), 10)))}f} {unit}"


def ratio(pair: Sequence[Seconds]) -> float | None:
    """How many times faster than JAX."""
    ours, peer = pair
    return peer / ours if ours and peer else None


def shown_ratio(value: float | None, wanted: float = 1.0) -> str:
    if value is None:
        return ""
    text = f"{value:.2f}x"
    return text if value >= wanted else f"[bold red]{text}[/]"


def geometric_mean(values: Iterable[float | None]) -> float | None:
    logarithms = [log(value) for value in values if value]
    return exp(sum(logarithms) / len(logarithms)) if logarithms else None


def comparison(results: Sequence[Result], caption: str) -> Table:
    """The main table: one line per row, then the geometric means of the ratios."""
    table = Table(caption=caption, caption_justify="left")
    table.add_column("row", no_wrap=True)
    for kind in ("first call", "steady"):
        for side in (f"{kind}\nours", "\nJAX", "\nfaster"):
            table.add_column(side, justify="right", no_wrap=True)
    for result in results:
        cells = []
        for pair in (result.first, result.steady):
            cells += [shown(pair[0])]
            cells += [shown(pair[1]), shown_ratio(ratio(pair))] if result.has_peer else ["-", "-"]
        table.add_row(result.name + (" [bold red]*[/]" if result.problem else ""), *cells)
    table.add_section()
    groups = dict.fromkeys(result.group for result in results)
    for label, members in [
        *((f"geometric mean, {g}", [r for r in results if r.group == g]) for g in groups),
        ("geometric mean, all rows", list(results)),
    ]:
        first = geometric_mean(ratio(r.first) for r in members)
        steady = geometric_mean(ratio(r.steady) for r in members)
        table.add_row(label, "", "", shown_ratio(first), "", "", shown_ratio(steady))
    return table


def plain(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> Table:
    """A table of cells that are text already."""
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
