"""The memory that a compiled function says it takes.

Invariant: what is measured is measured in a process of its own.
Start at ``PROGRAM``.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import staged_ad as sad

PROGRAM = """
import ctypes, gc
from pathlib import Path
import numpy as np
import staged_ad as sad

n = 3_000_000
def chained(x):
    y = np.sort(x)
    return np.sum(y[::-1] * np.cumsum(np.sin(x)) + np.roll(y, 1))

def stepped(x):
    return np.sum(sad.scan(lambda c, _: (np.sin(c) * c, None), x, None, length=30)[0])

def many(x):
    return x + 1, x * 2, np.sort(x)[::-1]

for f, size in [(sad.grad(chained), n), (sad.grad(stepped), n // 10), (many, n)]:
    g = sad.jit(f)
    x = np.random.default_rng(0).normal(size=size)
    said = g.lower(x).memory().peak
    y = g(x)
    del y
    gc.collect()
    sad.clear_caches()  # and the memory that is kept for results
    g = sad.jit(f)
    g(x[:4]); g(x[:4])  # the kept workspace is a small one
    g.lower(x)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    lines = lambda: Path("/proc/self/status").read_text().splitlines()
    resident = lambda key: next(1024 * int(line.split()[1]) for line in lines() if line.startswith(key))
    before = resident("VmRSS:")
    y = g(x)
    print(said, resident("VmHWM:") - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_the_peak_that_is_said_is_measured() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for line in ran.stdout.splitlines():
        said, measured = map(int, line.split())
        assert abs(said - measured) <= 0.1 * measured, ran.stdout


def test_memory_of_arguments_results_constants_and_workspace() -> None:
    big = np.arange(300.0)
    memory = sad.jit(lambda x: np.sort(x)[::-1] * big).lower(np.zeros(300)).memory()
    assert (memory.arguments, memory.results, memory.constants) == (2400, 2400, 2400)
    assert memory.workspace >= 2400
    assert memory.peak == memory.results + memory.workspace
    assert not memory.unknown
    assert "2,400" in str(memory)


def test_loops_of_unknown_length_are_told() -> None:
    def f(x: Any, n: Any) -> Any:
        return sad.fori_loop(0, n, lambda _, c: np.sin(c) * c, x)

    memory = sad.jit(sad.grad(f)).lower(1.0, 5).memory()
    assert memory.unknown
    assert "unknown length" in str(memory)
    assert not sad.jit(f).lower(1.0, 5).memory().unknown
