"""The table of a GPU without one: this project on the emulated device, JAX and PyTorch on the processor.

Invariant: nothing here is timed, and nothing but the hardware differs from ``python -m bench --device cuda``.
Start at ``test_the_table_of_a_device_is_printed_and_written``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest

import staged_ad as sad
from bench import __main__ as command
from bench import device, hardware, sides
from bench.libraries import ON_GPU
from bench.libraries.of_jax import jax_library
from bench.libraries.of_torch import torch_library
from bench.libraries.ours import this_project, this_project_on_gpu
from bench.library import Library, returned_as_it_is
from bench.problems import black_scholes, chains, kepler, lorenz, perceptron
from bench.problems.on_device import ROWS_ON_DEVICE, DeviceRow
from bench.sides import Side, SideError, asked
from staged_ad.cuda import devices
from staged_ad.native import disk
from tests.cuda import cupy_stand_in

GPU = {"name": "emulated", "memory": 2**30, "driver": 0, "runtime": 0, "copy": 1e9}
SMALL = {
    "Black-Scholes, five greeks, 1e7": (partial(black_scholes.data, 50), black_scholes.greeks),
    "chain 5 gradient, float32": (partial(chains.data, 300, numpy.float32), partial(chains.gradient, steps=5)),
    "1e5 Lorenz systems, gradient": (
        partial(lorenz.data_of_lanes, 3),
        partial(lorenz.gradient_of_lanes, steps=4),
    ),
    "Kepler 1e6, while_loop gradient": (partial(kepler.data, 5), kepler.gradient),
    "MLP gradient, batch 8192": (partial(perceptron.data, (4, 3, 2), 5), perceptron.value_and_gradient),
}


def small_rows() -> list[DeviceRow]:
    rows = {row.name: row for row in ROWS_ON_DEVICE}
    return [replace(rows[name], data=data, function=function) for name, (data, function) in SMALL.items()]


def in_short(make: Callable[[], Library]) -> Library:
    """For the process of a side: one call is a sample."""
    sides.SAMPLE = 0.0
    return make()


def on_emulated_device() -> Library:
    def on_device(value: Any) -> Any:
        return cupy_stand_in.ndarray.over(cupy_stand_in.aligned(numpy.asarray(value)))

    pool = SimpleNamespace(free_all_blocks=lambda: None)
    names = {"asarray": on_device, "asnumpy": lambda x: x.get(), "get_default_memory_pool": lambda: pool}
    sys.modules["cupy"] = SimpleNamespace(**names, cuda=cupy_stand_in.LIBRARY.cuda)  # type: ignore[assignment]
    devices._standing_in.append(cupy_stand_in.Standing())
    return this_project_on_gpu()


def torch_uncompiled() -> Library:
    return replace(torch_library(), jit=returned_as_it_is)


STANDING_IN = {
    "staged_ad": partial(in_short, on_emulated_device),
    "JAX": partial(in_short, jax_library),
    "PyTorch": partial(in_short, torch_uncompiled),
}


@pytest.fixture(autouse=True)
def _cache_on_disk_as_it_was() -> Any:
    before = disk.enabled()
    yield
    sad.configure_cache(enabled=before)


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """``python -m bench``, with that GPU, those libraries and the small rows in the places of the real ones."""

    def run(*options: str, found: Callable[[Any], Any] = lambda _: GPU) -> int:
        monkeypatch.setattr(sys, "argv", ["bench", *options])
        monkeypatch.setattr(command, "asked", found)
        monkeypatch.setattr(command, "ROWS_ON_DEVICE", small_rows())
        for name, make in STANDING_IN.items():
            monkeypatch.setitem(ON_GPU, name, make)
        return command.main()

    return run


def test_the_table_of_a_device_is_printed_and_written(
    command_line: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    peers = {name: side for name, side in command.PEERS_ON_GPU.items() if find_spec(name)}
    status = command_line("--device", "cuda", "--peers", ",".join(peers), "--json", str(tmp_path / "gpu.json"))
    printed = capsys.readouterr().out
    assert status == 0, printed
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert written["device"] == GPU
    rows = {row["name"]: row for row in written["device_rows"]}
    assert list(rows) == list(SMALL)
    for name, row in rows.items():
        expected = ["staged_ad"] if "while_loop" in name else ["staged_ad", *peers.values()]
        assert list(row["first"]) == list(row["steady"]) == expected
        assert printed.count(name) == 2  # as it goes, and in the table
    options = rows["Black-Scholes, five greeks, 1e7"]
    assert options["bytes"] == (5 + 6) * 50 * 8
    assert options["share"]["staged_ad"] == pytest.approx(options["bytes"] / options["steady"]["staged_ad"] / 1e9)


def test_without_a_gpu_the_command_says_what_it_needs(command_line: Callable[..., int]):
    def found(_: Any) -> Any:
        raise SideError("ModuleNotFoundError: No module named 'cupy'")

    with pytest.raises(SystemExit, match=r"needs an NVIDIA GPU.*staged-ad\[cuda\].*No module named 'cupy'"):
        command_line("--device", "cuda", found=found)


# -- sides that fail --------------------------------------------------------------------------------------------------

WRONG, ENDS, RIGHT = 10, 11, 12  # the sizes of arguments for which a side does so


def failing() -> Library:
    """This project, which gives wrong results or ends its process, as the size of the arguments has it."""
    library = this_project()

    def jit(f: Any) -> Any:
        compiled = library.jit(f)

        def call(x: Any, y: Any) -> Any:
            if x.size == ENDS:
                os._exit(3)
            return compiled(x, y) * (1 + 1e-6) if x.size == WRONG else compiled(x, y)

        return call

    return replace(library, jit=jit)


def is_missing() -> Library:
    raise ImportError("no such library")


def test_a_side_that_fails_is_named_and_the_run_goes_on():
    rows = [
        DeviceRow(str(size), "chains", partial(chains.data, size), partial(chains.chain, steps=2), in_memory=True)
        for size in (WRONG, ENDS, RIGHT)
    ]
    used = [Side("missing", is_missing), Side("failing", partial(in_short, failing))]
    said: list[str] = []
    kept: list[Any] = []
    outcome = device.compare_on_device(used, rows, GPU, said.append, kept.append, 60.0)
    assert len(said) == len(kept) == 3
    assert [list(row["steady"]) for row in outcome.figures["device_rows"]] == [["failing"], [], ["failing"]]
    missing, wrong, ended = outcome.problems
    assert missing == "missing: ImportError: no such library"
    assert wrong.startswith(f"{WRONG}: failing: the result is not that of the processor: array 0: largest difference")
    assert ended == f"{ENDS}: failing: its process ended with status 3"


def test_a_side_that_gives_no_answer_is_not_waited_for():
    with pytest.raises(SideError, match=r"no answer"):
        asked(partial(time.sleep, 60), 0.01)


def test_the_bandwidth_of_a_copy_is_measured_where_arrays_are():
    waits: list[None] = []
    assert hardware.copy_bandwidth(numpy, lambda: waits.append(None), 80_000) > 0
    assert waits
