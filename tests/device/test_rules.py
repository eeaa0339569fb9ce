"""What the rules of every primitive give on the GPU: within stated bounds of what NumPy gives.

Invariant: the programs are those of tests/cuda/test_emulated_rules.py.
Start at ``test_values_derivatives_and_batches_are_those_of_numpy``.
"""

from __future__ import annotations

import itertools

import numpy as np

from staged_ad.cuda import devices
from staged_ad.cuda.compiled import DeviceCompiled
from staged_ad.ir import evaluate
from tests.numerics import assert_same, precision
from tests.primitives.row import Row
from tests.primitives.test_compiled_rules import Variant, higher, linearised, mapped, naming, together, transposed
from tests.primitives.test_rules import directions, every_row

BOUND = 8
"""How many times as far from NumPy as code for the processor the GPU may be: its libraries round otherwise."""


@every_row
def test_values_derivatives_and_batches_are_those_of_numpy(row: Row, device: devices.Device):
    x_dots = [v for v in directions(row) if v is not None]
    value = Variant("value", row.program, list(row.arguments), precision(*row.results))
    variants = [value, *transposed(row), *linearised(row, x_dots), *higher(row, x_dots), *mapped(row)]
    program, arrays = together(variants)
    found = iter(DeviceCompiled(program)(*map(np.asarray, arrays)))
    for variant in variants:
        expected = row.results if variant is value else evaluate(variant.program, *variant.arguments)
        for got, wanted in zip(itertools.islice(found, len(expected)), expected, strict=True):
            with naming(variant):
                assert_same(device.fetched(got)[()], wanted, BOUND * variant.tolerance)
