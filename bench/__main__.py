"""``python -m bench``: the table of this project beside its peers. README.md in this folder tells how to read it."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from bench import checks, device, dispatch, document, environment, hardware, loops, modes, starts, table
from bench.comparison import compare
from bench.libraries import ON_GPU, PEERS, peers, this_project
from bench.picture import draw
from bench.problems.on_device import ROWS_ON_DEVICE, DeviceRow
from bench.problems.on_host import ROWS
from bench.problems.row import Row
from bench.sides import Side, SideError, asked
from bench.table import Outcome

HAND = "hand"
PEERS_ON_GPU = {"jax": "JAX", "torch": "PyTorch"}
OF_ROWS = [
    ("--cost", checks.cost, "cost of each gradient over its function's, of each HVP over its gradient's"),
    ("--accuracy", checks.accuracy, "error of each row against extended precision, beside NumPy's"),
    (
        "--deterministic",
        checks.determinism,
        "whether each row's result is the same, bit for bit, on 1, 2 and 4 threads",
    ),
]
CLOSER = [
    ("--ratio", modes.gradient_ratio, "cost of the gradient of Helmholtz's energy over the cost of the energy"),
    ("--compile", modes.compile_time, "compile time against the number of equations"),
    ("--scan", loops.compile_time, "compile time of a loop of 10 steps beside one of a million"),
    ("--memory", loops.peak_memory, "peak memory and time of a loop's gradient, with and without checkpoints"),
    ("--dispatch", dispatch.dispatch_time, "time of a call on vectors of two: one, many, and nests of them"),
    ("--imports", starts.start_time, "time of the import, and from a new process to its first gradient"),
]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", metavar="PATTERN", default="", help="rows whose name or group contains or matches it")
    sides = [*PEERS, HAND]
    parser.add_argument(
        "--peers", metavar="A,B", default=",".join(sides), help=f"who is compared, of {', '.join(sides)} (default: all)"
    )
    parser.add_argument("--json", metavar="PATH", type=Path, help="write the figures, in seconds, to this file too")
    parser.add_argument("--from", metavar="PATH", type=Path, dest="saved", help="take the figures from such a file")
    parser.add_argument("--picture", metavar="PATH", type=Path, help="draw the figures of the main table")
    parser.add_argument("--readme", action="store_true", help="write the means of the main table into README.md")
    parser.add_argument("--device", choices=["cuda"], help="the table of a GPU, beside JAX and PyTorch on the same one")
    parser.add_argument("--minutes", type=float, default=7.0, help="of the table of a GPU: rows left then are left out")
    parser.add_argument("--threads", type=int, metavar="N", help="run all sides on N cores (default: all)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--list", action="store_true", help="print the names of the rows")
    for option, measure, text in OF_ROWS:
        mode.add_argument(option, dest="of_rows", action="store_const", const=measure, help=text)
    for option, closer, text in CLOSER:
        mode.add_argument(option, dest="closer", action="store_const", const=closer, help=text)
    options = parser.parse_args()
    unknown = set(options.peers.split(",")) - {*sides, ""}
    if unknown:
        parser.error(f"--peers: {', '.join(unknown)} is none of {', '.join(sides)}")
    if (options.picture or options.readme) and (options.of_rows or options.closer or options.only):
        parser.error("--picture and --readme are of the main table with all of its rows")
    if options.device and (options.picture or options.readme or options.saved or options.of_rows or options.closer):
        parser.error("--device has a table of its own, of which there is no picture and no closer look")
    return options


def restrict_to_cores(count: int) -> None:
    """Start again on that many cores: every library sizes its thread pools by them when it is loaded."""
    cores = sorted(os.sched_getaffinity(0))
    if count > len(cores):
        sys.exit(f"--threads {count}: there are {len(cores)} cores")
    if count < len(cores):
        os.sched_setaffinity(0, cores[:count])
        os.execv(sys.executable, [sys.executable, "-m", "bench", *sys.argv[1:]])


def with_pool_of(threads: int) -> None:
    """Start again with room for so many threads, which may be more than there are cores."""
    if os.environ.get("NUMBA_NUM_THREADS") != str(threads):
        os.environ["NUMBA_NUM_THREADS"] = str(threads)
        os.execv(sys.executable, [sys.executable, "-m", "bench", *sys.argv[1:]])


def measured(options: argparse.Namespace, rows: list[Row], report: modes.Report) -> Outcome:
    names = options.peers.split(",")
    if options.of_rows:
        return options.of_rows(rows, report)
    if options.closer:
        return options.closer([this_project(), *peers([name for name in names if name == "jax"])], report)
    return compare([this_project(), *peers(names)], report, rows, by_hand=HAND in names)


def write(options: argparse.Namespace, figures: dict[str, Any]) -> None:
    """Everything that is to be written."""
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.picture:
        draw(figures, options.picture)
    if options.readme:
        document.rewrite(figures, options.picture)


def measure_on_gpu(options: argparse.Namespace, rows: list[DeviceRow], output: Console) -> int:
    """The table of a GPU; each row is printed, and written with those before it, as soon as it is measured."""
    try:
        gpu = asked(hardware.found)
    except SideError as error:
        sys.exit(
            f"--device cuda needs an NVIDIA GPU with its driver, and CuPy (pip install 'staged-ad[cuda]'): {error}"
        )
    machine = environment.found()
    output.print(escape(caption := device.caption(gpu, machine)), highlight=False)

    def keep(figures: dict[str, Any]) -> None:
        write(options, {"environment": machine, "device": gpu, **figures})

    def say(line: str) -> None:
        output.print(escape(line), highlight=False, soft_wrap=True)

    chosen = [device.OURS, *(PEERS_ON_GPU[name] for name in options.peers.split(",") if name in PEERS_ON_GPU)]
    sides = [Side(name, ON_GPU[name]) for name in chosen]
    outcome = device.compare_on_device(sides, rows, gpu, say, keep, 60.0 * options.minutes)
    return finished(outcome, caption, output)


def finished(outcome: Outcome, caption: str, output: Console) -> int:
    """Print the table and what went wrong; returns the exit status."""
    output.print(outcome.table(caption))
    for problem in outcome.problems:
        output.print(f"[bold red]*[/] {escape(problem)}", highlight=False)
    return 1 if outcome.problems else 0


def main() -> int:
    options = arguments()
    output = table.console()
    table_of: list[Row] = [*ROWS_ON_DEVICE] if options.device else ROWS
    rows = [row for row in table_of if row.matches(options.only)]
    if options.list:
        output.print("\n".join(row.name for row in rows))
        return 0
    if not rows:
        sys.exit(f"no row matches {options.only!r}; see --list")
    if options.saved:
        write(options, json.loads(options.saved.read_text()))
        return 0
    if options.device:
        return measure_on_gpu(options, [row for row in rows if isinstance(row, DeviceRow)], output)
    if options.threads:
        restrict_to_cores(options.threads)
    if options.of_rows is checks.determinism:
        with_pool_of(max(checks.THREADS))
    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def report(done: int, total: int, label: str) -> None:
            progress.update(task, completed=done, total=total, description=label)
            if not errors.is_terminal:
                errors.print(f"{done}/{total} {escape(label)}", highlight=False)

        outcome = measured(options, rows, report)
    machine = environment.found()
    status = finished(outcome, environment.caption(machine), output)
    write(options, {"environment": machine, **outcome.figures})
    return status


if __name__ == "__main__":
    sys.exit(main())
