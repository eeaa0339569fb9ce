"""The picture of the main table: cost against size, and how many times faster than JAX each row is."""

import re
from pathlib import Path
from typing import Any

from bench.table import Result

COLOURS = {"staged_ad": "C3", "JAX": "C0", "PyTorch": "C1", "autograd": "C2", "by hand": "0.4"}


def draw(figures: dict[str, Any], path: Path) -> None:
    """Write the picture in the format that the path's ending names."""
    from matplotlib.figure import Figure  # here, so that the table can be made without it

    results = [Result(**row) for row in figures["rows"]]
    figure = Figure(figsize=(13, 2 + 0.17 * len(results)), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.3))
    for place, problem in enumerate(("Rosenbrock", "Helmholtz")):
        draw_sizes(figure.add_subplot(grid[place, 0]), results, problem)
    draw_ratios(figure.add_subplot(grid[:, 1]), results)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def draw_sizes(axes: Any, results: list[Result], problem: str) -> None:
    """Seconds of the gradient against n, one line for each side."""
    named = [(re.fullmatch(rf"{problem} n=(\d+) gradient", result.name), result) for result in results]
    sized = [(int(match[1]), result.steady) for match, result in named if match]
    for side, colour in COLOURS.items():
        if points := [(size, steady[side]) for size, steady in sized if side in steady]:
            axes.loglog(*zip(*points, strict=True), "o-", color=colour, label=side)
    axes.set(title=f"gradient of {problem}'s function", xlabel="n", ylabel="seconds")
    if sized:
        axes.legend(frameon=False)
    axes.grid(alpha=0.3)


def draw_ratios(axes: Any, results: list[Result]) -> None:
    """A bar for each row, from 1: to the right where this project is faster."""
    ratios = [(result.name, ratio) for result in results if (ratio := result.faster("steady", "JAX"))]
    names = [name for name, _ in ratios]
    axes.barh(
        names,
        [ratio - 1.0 for _, ratio in ratios],
        left=1.0,
        color=[COLOURS["staged_ad"] if ratio >= 1.0 else "0.6" for _, ratio in ratios],
    )
    axes.set(xscale="log", title="times faster than JAX")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.tick_params(axis="y", labelsize=7)
    axes.grid(axis="x", alpha=0.3)
