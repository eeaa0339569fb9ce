"""What the figures depend on: processor, cores, versions."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("staged-ad", "numba", "llvmlite", "numpy", "scipy", "jax", "jaxlib", "torch", "autograd")
PACKAGES_OF_GPUS = ("cupy-cuda13x", "cupy-cuda12x", "jax-cuda13-plugin", "jax-cuda12-plugin", "triton")


def found() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    if (information := Path("/proc/cpuinfo")).exists():
        models = [line.split(":")[1] for line in information.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].strip() if models else cpu
    versions = {"python": platform.python_version()}
    for name in (*PACKAGES, *PACKAGES_OF_GPUS):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu, "threads": threads, "versions": versions}


def caption(environment: dict[str, Any]) -> str:
    """One line."""
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    return f"{environment['cpu']}, threads: {environment['threads']}, float64; {versions}"
