"""The command line: `python -m staged_ad` runs the demonstration, `info` prints versions, `coverage` what is supported,
`cache` the compiled code that is kept on disk.

Invariant: `info` needs nothing beyond the package's own dependencies.
Start reading at `main`.
"""

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

from staged_ad.diagnostics import coverage
from staged_ad.native import disk

USAGE_EXAMPLES = "Without a command, the demonstration runs: three learning tasks on real data, checked and timed."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command named in `arguments` (the process's own by default) and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m staged_ad", description=USAGE_EXAMPLES)
    commands = parser.add_subparsers(dest="command", title="commands")
    commands.add_parser("demo", help="run the demonstration (the default)")
    commands.add_parser("info", help="print versions, the processor and its SIMD width")
    table = commands.add_parser("coverage", help="print which functions of NumPy and SciPy are supported")
    table.add_argument("--write", metavar="FILE", type=Path, help="write the table to a file instead")
    kept = commands.add_parser("cache", help="print where compiled code is kept, and how much of it")
    kept.add_argument("--clear", action="store_true", help="delete it")
    options = parser.parse_args(arguments)
    match options.command:
        case "info":
            return print_info()
        case "cache":
            return print_cache(options.clear)
        case "coverage":
            return print_coverage(options.write)
        case _:
            return run_demonstration()


def run_demonstration() -> int:
    """Run the demonstration, or say in one line what has to be installed for it."""
    try:
        from staged_ad.demo.report import run  # here: rich and scikit-learn are extras, which `info` does without
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"rich", "sklearn"}:
            raise
        package = {"rich": "rich", "sklearn": "scikit-learn"}[missing]
        print(
            f"The demonstration needs {package}; install it by: python -m pip install 'staged-ad[demo]'",
            file=sys.stderr,
        )
        return 1
    return run()


def print_coverage(target: Path | None) -> int:
    """Print the table of supported functions, or write it to a file."""
    if target is None:
        print(coverage.text(), end="")
    else:
        target.write_text(coverage.text(), encoding="utf-8")
    return 0


def print_cache(clear: bool) -> int:
    """Print where compiled code is kept between processes, and how much; or delete it."""
    entries = disk.clear() if clear else disk.entries()
    size = sum(entry.bytes for entry in entries)
    rows = {
        "directory": f"{disk.cache_directory()}{'' if disk.enabled() else ' (off: nothing is read or written)'}",
        "deleted" if clear else "holds": f"{len(entries)} files, {size / 1e6:.1f} MB",
        "limit": f"{disk.cache_limit() / 1e6:.1f} MB",
    }
    if entries and not clear:
        rows["last used"] = time.strftime("%Y-%m-%d %H:%M", time.localtime(entries[0].used))
    for name, value in rows.items():
        print(f"{name:10} {value}")
    return 0


def print_info() -> int:
    """Print what a bug report should say about this machine."""
    rows = {
        "staged-ad": _version("staged-ad"),
        "Python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "NumPy": np.__version__,
        "SciPy": _version("scipy"),
        "Numba": _version("numba"),
        "llvmlite": f"{_version('llvmlite')} (LLVM {'.'.join(map(str, llvm.llvm_version_info))})",
        "CPU": f"{_cpu_model()} (LLVM's name: {llvm.get_host_cpu_name()})",
        "SIMD": _simd_width(),
        "BLAS": _blas(),
    }
    for name, value in rows.items():
        print(f"{name:10} {value}")
    return 0


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    """Return the processor's marketing name: Linux tells it in a file, elsewhere `platform` has to do."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _simd_width() -> str:
    features = llvm.get_host_cpu_features()
    bits = 512 if features.get("avx512f") else 256 if features.get("avx2") else 128
    return f"{bits} bits, {bits // 64} float64 lanes"


def _blas() -> str:
    build = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    name = f"{build.get('name', 'unknown')} {build.get('version', '')}".strip()
    try:
        from threadpoolctl import threadpool_info  # here: it comes with scikit-learn only, and `info` does without
    except ModuleNotFoundError:
        return name
    cores = {str(library["architecture"]) for library in threadpool_info() if library["internal_api"] == "openblas"}
    return f"{name}, core type {' and '.join(sorted(cores))}" if cores else name


if __name__ == "__main__":
    sys.exit(main())
