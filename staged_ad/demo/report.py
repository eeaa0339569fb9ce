"""Runs the three tasks behind a progress bar and prints one table.

Invariant: the exit code is 0 only if every derivative agrees with central differences and with hand-written NumPy.
Start reading at `run`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from staged_ad.demo import hypergradient, mlp, newton
from staged_ad.demo.checks import Outcome, worst

Task = Callable[[Callable[[float], None]], list[Outcome]]

TASKS: tuple[tuple[str, Task], ...] = (
    ("MLP on digits, Adam on jit(value_and_grad(loss))", mlp.run),
    ("Logistic regression, Newton with jit(hvp)", newton.run),
    ("L2 penalty tuned through unrolled training", hypergradient.run),
)


def run(tasks: Sequence[tuple[str, Task]] = TASKS, console: Console | None = None) -> int:
    """Run `tasks`, print their table and return the exit code."""
    console = console or Console()
    started = perf_counter()
    outcomes = _run_tasks(tasks, console)
    console.print(_table(outcomes))
    worst_hand = worst([outcome.hand_error for outcome in outcomes])
    console.print(
        "error     largest relative difference from central differences\n"
        "compiled  with jit; eager: the same without jit\n"
        f"by hand   NumPy with the chain rule worked out on paper; agrees to {worst_hand:.0e}\n"
        f"All of it took {perf_counter() - started:.1f} s.",
        highlight=False,
        soft_wrap=True,
    )
    disagreeing = [outcome for outcome in outcomes if not outcome.agrees]
    for outcome in disagreeing:
        console.print(
            f"FAILED {outcome.task}: {outcome.difference_error:.1e} from central differences, "
            f"{outcome.hand_error:.1e} from the derivative by hand",
            style="bold red",
        )
    return 1 if disagreeing else 0


def _run_tasks(tasks: Sequence[tuple[str, Task]], console: Console) -> list[Outcome]:
    """Run `tasks` in turn: a live bar per task on a terminal, one plain line per finished task elsewhere."""
    outcomes: list[Outcome] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = [progress.add_task(title, total=1.0, start=False) for title, _ in tasks]
        for bar, (title, task) in zip(bars, tasks, strict=True):
            progress.start_task(bar)
            rows = task(partial(_advance, progress, bar))
            outcomes += rows
            if not console.is_terminal:
                results = "; ".join(row.result for row in rows)
                console.print(f"{title}: {results}", highlight=False, soft_wrap=True)
    return outcomes


def _advance(progress: Progress, bar: TaskID, fraction: float) -> None:
    progress.update(bar, completed=fraction)


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="Derivatives of plain NumPy code, microseconds per call")
    table.add_column("task")
    table.add_column("result")
    for heading in ("error", "compiled", "eager", "by hand"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        times = (f"{time:,.0f}" if time >= 100 else f"{time:.1f}" for time in _times(outcome))
        table.add_row(outcome.task, outcome.result, f"{outcome.difference_error:.0e}", *times)
    return table


def _times(outcome: Outcome) -> tuple[float, float, float]:
    return outcome.compiled, outcome.eager, outcome.by_hand
