"""``python -m bench``: the table of this project beside JAX. README.md in this folder tells how to read it."""

import argparse
import json
import os
import platform
import sys
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from bench import loops, modes, table
from bench.library import jax_library, this_project
from bench.problems import ROWS


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", metavar="PATTERN", default="", help="rows whose name or group contains or matches it")
    parser.add_argument("--json", metavar="PATH", type=Path, help="write the figures, in seconds, to this file too")
    parser.add_argument("--threads", type=int, metavar="N", help="run both sides on N cores (default: all)")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--list", action="store_true", help="print the names of the rows")
    for option, measure, text in [
        ("--ratio", modes.gradient_ratio, "cost of the gradient of Helmholtz's energy over the cost of the energy"),
        ("--compile", modes.compile_time, "compile time against the number of equations"),
        ("--scan", loops.compile_time, "compile time of a loop of 10 steps beside one of a million"),
        ("--memory", loops.peak_memory, "peak memory and time of a loop's gradient, with and without checkpoints"),
        ("--dispatch", modes.dispatch_time, "time of a call on a vector of two"),
    ]:
        mode.add_argument(option, dest="measure", action="store_const", const=measure, help=text)
    return parser.parse_args()


def restrict_to_cores(count: int) -> None:
    """Start again on that many cores: every library sizes its thread pools by them when it is loaded."""
    cores = sorted(os.sched_getaffinity(0))
    if count > len(cores):
        sys.exit(f"--threads {count}: there are {len(cores)} cores")
    if count < len(cores):
        os.sched_setaffinity(0, cores[:count])
        os.execv(sys.executable, [sys.executable, "-m", "bench", *sys.argv[1:]])


def selected(pattern: str, name: str) -> bool:
    return pattern.lower() in name.lower() or fnmatch(name.lower(), pattern.lower())


def environment() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = platform.processor() or platform.machine()
    if (information := Path("/proc/cpuinfo")).exists():
        models = [line.split(":")[1] for line in information.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].strip() if models else cpu
    versions = {"python": platform.python_version()}
    for name in ("staged-ad", "numba", "llvmlite", "numpy", "scipy", "jax", "jaxlib"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu, "threads": threads, "versions": versions}


def main() -> int:
    options = arguments()
    output = table.console()
    rows = [row for row in ROWS if selected(options.only, row.name) or selected(options.only, row.group)]
    if options.list:
        output.print("\n".join(row.name for row in rows))
        return 0
    if not rows:
        sys.exit(f"no row matches {options.only!r}; see --list")
    if options.threads:
        restrict_to_cores(options.threads)
    machine = environment()
    caption = f"{machine['cpu']}, threads: {machine['threads']}, float64; " + ", ".join(
        f"{name} {number}" for name, number in machine["versions"].items()
    )
    libraries = (this_project(), jax_library())
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def report(done: int, total: int, label: str) -> None:
            progress.update(task, completed=done, total=total, description=label)

        if options.measure:
            outcome = options.measure(libraries, report)
        else:
            outcome = modes.compare(libraries, report, rows)
    output.print(outcome.table(caption))
    for problem in outcome.problems:
        output.print(f"[bold red]*[/] {escape(problem)}", highlight=False)
    if options.json:
        options.json.write_text(json.dumps({"environment": machine, **outcome.figures}, indent=1) + "\n")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
