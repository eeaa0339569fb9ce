"""What the rules of every primitive give as kernels, on the emulated device: equal to what NumPy gives.

Invariant: the programs are those of tests/primitives/test_compiled_rules.py.
Start at ``test_values_derivatives_and_batches_are_those_of_numpy``.
"""

from __future__ import annotations

import itertools

from staged_ad.ir import evaluate
from tests.cuda.emulation import emulated
from tests.numerics import assert_same, precision
from tests.primitives.row import Row
from tests.primitives.test_compiled_rules import Variant, higher, linearised, mapped, naming, together, transposed
from tests.primitives.test_rules import directions, every_row


@every_row
def test_values_derivatives_and_batches_are_those_of_numpy(row: Row):
    x_dots = [v for v in directions(row) if v is not None]
    value = Variant("value", row.program, list(row.arguments), precision(*row.results))
    variants = [value, *transposed(row), *linearised(row, x_dots), *higher(row, x_dots), *mapped(row)]
    program, arrays = together(variants)
    found = iter(emulated(program, *arrays))
    for variant in variants:
        expected = row.results if variant is value else evaluate(variant.program, *variant.arguments)
        for got, wanted in zip(itertools.islice(found, len(expected)), expected, strict=True):
            with naming(variant):
                assert_same(got, wanted, variant.tolerance)
