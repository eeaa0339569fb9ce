"""The figures in README.md: the means of the main table, and its picture, between two markers."""

import os
from pathlib import Path
from typing import Any

from bench import environment
from bench.table import BY_HAND, Result, means, shown_ratio

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BEGIN = "<!-- figures: written by `python -m bench --readme` -->"
END = "<!-- end of figures -->"
PICTURED = "time of two gradients against the number of variables, and each row beside JAX"


def rewrite(figures: dict[str, Any], picture: Path | None, document: Path = README) -> None:
    """Put the table, and the picture if there is one, where the old ones are.

    Raises
    ------
    ValueError
        The document has not one pair of markers.
    """
    text = document.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{document} needs one line {BEGIN!r} and, below it, one line {END!r}")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    link = [f"![{PICTURED}]({os.path.relpath(picture, document.parent)})"] if picture else []
    lines = [BEGIN, "", *table(figures), "", *link, *[""] * len(link), END]
    document.write_text(before + "\n".join(lines) + after)


def table(figures: dict[str, Any]) -> list[str]:
    """How many times faster than each side, as geometric means over groups of rows, in Markdown."""
    results = [Result(**row) for row in figures["rows"]]
    sides = list(dict.fromkeys(side for result in results for side in result.steady))[1:]
    columns = [("first", "JAX"), *(("steady", side) for side in sides)]
    heads = [
        f"first call, than {columns[0][1]}",
        *("than code by hand" if s == BY_HAND else f"than {s}" for s in sides),
    ]
    values = [means(results, kind, side) for kind, side in columns]
    lines = [f"| times faster, geometric means | {' | '.join(heads)} |", "|---|" + "---:|" * len(columns)]
    for line in zip(*values, strict=True):
        cells = [shown_ratio(value, wanted=0.0) for _, value in line]
        lines.append(f"| {line[0][0]} | {' | '.join(cells)} |")
    return [*lines, "", f"{environment.caption(figures['environment'])}."]
