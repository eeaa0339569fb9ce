"""PTX: every primitive, its transposes and its derivatives are compiled for GPUs, without one.

Invariant: for each primitive there is a program in single and one in double precision, where it has such examples.
Start at ``test_values_and_derivatives_become_ptx``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.cuda import libdevice, target
from staged_ad.cuda.geometry import Geometry
from staged_ad.cuda.program import emit
from tests.primitives.examples import ROWS
from tests.primitives.row import Row
from tests.primitives.test_compiled_rules import Variant, linearised, together, transposed
from tests.primitives.test_rules import directions

CAPABILITIES = 80, 90
EVERY = 12
"""One in so many programs is assembled, too."""


def _chosen() -> list[Row]:
    """For each primitive and precision the row that has most derivatives."""
    found: dict[tuple[str, bool], Row] = {}
    for row in sorted(ROWS, key=lambda row: row.smooth and any(row.floating), reverse=True):
        single = any(np.asarray(x).dtype.name in ("float32", "complex64") for x in row.arguments)
        found.setdefault((row.primitive, single), row)
    return list(found.values())


CHOSEN = _chosen()


def program_of(row: Row) -> Any:
    """The value, the transposes, and the derivative in both modes, as one program."""
    x_dots = [v for v in directions(row) if v is not None]
    value = Variant("value", row.program, list(row.arguments), 1.0)
    return together([value, *transposed(row), *linearised(row, x_dots)])[0]


def ptxas() -> str:
    """NVIDIA's assembler, of its wheels or of a toolkit."""
    beside = libdevice.location().parents[2] / "bin" / "ptxas"
    found = str(beside) if beside.is_file() else shutil.which("ptxas")
    if not found:
        pytest.skip("ptxas is not installed: python -m pip install nvidia-cuda-nvcc")
    return found


def assembled(code: str, folder: Path) -> None:
    source = folder / "kernels.ptx"
    source.write_text(code)
    (architecture,) = re.findall(r"^\.target (sm_\d+)", code, re.MULTILINE)
    command = [ptxas(), f"-arch={architecture}", str(source), "-o", str(folder / "kernels.cubin")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("row", CHOSEN, ids=lambda row: row.id)
def test_values_and_derivatives_become_ptx(row: Row, tmp_path: Path):
    module = emit(program_of(row), Geometry())
    kernels = re.findall(r"^define ptx_kernel void @([\w.]+)\(", module.text, re.MULTILINE)
    for capability in CAPABILITIES:
        code = target.ptx(module.text, capability)
        assert f".target sm_{capability}" in code
        assert all(f".entry {kernel}(" in code for kernel in kernels)
        assert not re.search(r"^\.extern", code, re.MULTILINE)  # nothing is left to be linked
    if CHOSEN.index(row) % EVERY == 0:
        assembled(code, tmp_path)


def test_all_primitives_are_among_the_programs():
    assert {row.primitive for row in CHOSEN} == {row.primitive for row in ROWS}


@pytest.mark.parametrize(
    ("capability", "known"), [(75, 75), (88, 88), (89, 89), (100, 100), (103, 103), (110, 110), (121, 121), (130, 121)]
)
def test_devices_of_every_kind_have_ptx_that_can_be_assembled(capability: int, known: int, tmp_path: Path):
    text = emit(sad.trace(lambda x: np.sum(np.sin(x)))(np.ones(1000)), Geometry()).text
    code = target.ptx(text, capability)
    assert f".target sm_{known}\n" in code
    assembled(code, tmp_path)


def newton(x: Any) -> Any:
    return sad.while_loop(lambda y: np.abs(y * y - x) > 1e-9, lambda y: 0.5 * (y + x / y), x)


def recurrence(x: Any) -> Any:
    return sad.scan(lambda c, _: (np.sin(c) * x, c), x, None, length=20)[0]


def checkpointed(x: Any) -> Any:
    return sad.scan(lambda c, _: (np.sin(c) * x, c), x, None, length=20, checkpoint=3)[0]


@pytest.mark.parametrize("f", [newton, recurrence, checkpointed])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loops_of_many_lanes_and_their_derivatives_are_assembled(f: Any, dtype: Any, tmp_path: Path):
    lanes = np.linspace(1.0, 2.0, 1000).astype(dtype)
    gradient = sad.jit(sad.vmap(sad.value_and_grad(f)), device="cuda").lower(lanes)
    assembled(gradient.text("ptx"), tmp_path)
