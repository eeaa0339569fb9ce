"""Long loop bodies, which are cut into stages: what crosses a cut, and where it lies meanwhile.

Start anywhere: each test stands alone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.lowering import stages
from tests.numerics import assert_close

IN_A_SMALL_STACK = """
import threading, warnings
import numpy as np
import staged_ad as sad

warnings.simplefilter("ignore")

def oscillator(p):
    x, v = 1.0, 0.0
    for _ in range(300):
        v = v - 0.03 * (p[0] * x + p[1] * v)
        x = x + 0.03 * v
    return x**2

gradient, p = sad.jit(sad.grad(oscillator)), np.array([1.0, 0.1])
expected = sad.grad(oscillator)(p)
found = [gradient(p)]
threading.stack_size(160 * 1024)
thread = threading.Thread(target=lambda: found.append(gradient(p)))
thread.start()
thread.join()
np.testing.assert_allclose(found, [expected, expected], rtol=1e-12)
"""


def chain(x: Any, turn: float) -> Any:
    """Hundreds of operations, of which the first ones are needed to the end by the gradient."""
    v = x
    for k in range(120):
        x = np.where(x > turn, x + 0.01 * np.sin(v), x - 0.02 * k * v)
        v = v - 0.01 * x * x * v
    return np.sum(x * v)


def test_a_long_body_needs_little_stack() -> None:
    subprocess.run([sys.executable, "-c", IN_A_SMALL_STACK], check=True, timeout=300)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("on_stack", [stages.ON_STACK, 0])
def test_values_cross_cuts_on_the_stack_and_on_the_heap(
    dtype: Any, on_stack: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "ON_STACK", on_stack)
    x = np.linspace(0, 1, 37).astype(dtype)
    turn = 0.5 + on_stack / 2**20  # another program for each
    gradient = sad.jit(sad.grad(chain))
    assert_close(gradient(x, turn), sad.grad(chain)(x, turn), {8: 1e-12, 4: 1e-4, 2: 0.1}[x.itemsize])
    text = gradient.lower(x, turn).text("llvm")
    assert "stage1" in text
    assert ("@malloc" in text) == (on_stack == 0)


def test_places_that_nobody_reads_any_more_are_used_again() -> None:
    def forward(x: Any) -> Any:
        for k in range(1500):
            x = np.cos(x) * (1.0 + k)
        return x

    text = sad.jit(forward).lower(np.ones(100)).text("llvm")
    used = [int(n) for n in re.findall(r"%scratch, i64 (\d+)", text)]
    assert max(used) < 1024


@pytest.mark.parametrize(
    ("type", "size"),
    [
        ("double", 8),
        ("ptr", 8),
        ("half", 2),
        ("i1", 1),
        ("i64", 8),
        ("<8 x double>", 64),
        ("<64 x i1>", 8),
        ("<4 x i1>", 1),
        ("<3 x float>", 16),
    ],
)
def test_sizes_of_registers(type: str, size: int) -> None:
    assert stages.size_of(type) == size
