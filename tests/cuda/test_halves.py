"""float16 and bfloat16 on the device: the bits of the processor, and 16 bytes at once.

Invariant: what is expected is NumPy's, or what the processor gives.
Start at ``test_chains_sums_and_derivatives_are_those_of_numpy``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.cuda import target
from staged_ad.cuda.program import emit
from staged_ad.cuda.threads import Geometry
from staged_ad.ir import evaluate
from tests.cuda.cupy_stand_in import Standing
from tests.cuda.emulation import TOGETHER, emulated
from tests.cuda.test_emulated_loops import traced
from tests.cuda.test_ptx import CAPABILITIES, assembled
from tests.test_halves import assert_bits, chain, changed, exact, lane, plainly

HALF = np.dtype("float16")
X = np.linspace(-2.0, 2.5, 640).astype(HALF)
Y = np.linspace(0.3, 3.0, 640).astype(HALF)


def every(x: Any, y: Any) -> Any:
    slope = sad.grad(lambda x: np.sum(chain(x, y, x) * 0.01))(x)
    return chain(x, y, x), np.mean(x * 100), x.reshape(20, 32) @ y.reshape(32, 20), slope, x.astype("d") / 3


def test_chains_sums_and_derivatives_are_those_of_numpy():
    program = traced(every, X, Y)
    for found, wanted in zip(emulated(program, X, Y, geometry=TOGETHER), evaluate(program, X, Y), strict=True):
        assert_bits(found, wanted, units=1)
    assert_bits(emulated(program, X, Y)[0], chain(X, Y, X))


def test_operations_casts_and_arrays_that_change_have_the_bits_of_numpy():
    x, y = np.random.default_rng(0).integers(0, 2**16, (2, 640), dtype=np.uint16).view(HALF)
    with np.errstate(all="ignore"):
        for found, wanted in zip(emulated(traced(exact, x, y), x, y), exact(x, y), strict=True):
            assert_bits(found, wanted)
        for found, wanted in zip(emulated(traced(changed, X[:37], Y[:37]), X, Y), changed(X[:37], Y[:37]), strict=True):
            assert_bits(found, wanted)


def test_a_thread_runs_the_loop_of_each_lane():
    rows = np.random.default_rng(2).uniform(0.1, 4, (5, 3)).astype(HALF)
    singly = [plainly(row) for row in rows]
    for k, found in enumerate(emulated(traced(sad.vmap(lane), rows), rows)):
        assert_bits(found, np.stack([row[k] for row in singly]))


def test_a_thread_loads_and_stores_eight_numbers_at_once():
    x = np.ones(1 << 20, HALF)
    lowered = sad.jit(lambda x, y: (x * y + x) * y, device="cuda").lower(x, x)
    code = lowered.text("ptx")
    assert len(re.findall(r"ld\.global[.\w]*\.v4\.b32", code)) == 2
    assert len(re.findall(r"st\.global[.\w]*\.v4\.b32", code)) == 1
    assert re.findall(r"cvt\S*f16", code) or re.findall(r"mul\S*f16", code)


def test_the_code_is_what_nvidias_assembler_takes(tmp_path: Path):
    module = emit(traced(lambda x, y: (exact(x, y), every(x, y), changed(x[:37], y[:37])), X, Y), Geometry())
    for capability in CAPABILITIES:
        assembled(target.ptx(module.text, capability), tmp_path)


@pytest.mark.usefixtures("device")
def test_bfloat16_is_read_as_float32_where_it_is_used(device: Standing):
    x = np.linspace(-3, 3, 512).astype(pytest.importorskip("ml_dtypes").bfloat16)
    f = sad.jit(lambda x, y: (np.sum(x * y), sad.grad(lambda x: np.sum(x**2))(x)), device="cuda")
    wide = x.astype("f")
    for given in (x, device.sent(x)):
        total, slope = f(given, wide)
        assert (total.dtype, slope.dtype) == (np.float32, np.float32)
        np.testing.assert_array_equal(slope.get(), 2 * wide)
        np.testing.assert_allclose(total.get(), np.sum(wide**2), rtol=1e-6)
    assert "cast" in f.lower(x, wide).text("loops").split("in0[i0]")[1].splitlines()[1]
