"""All examples of supported functions, by name.

Invariant: a supported function without an example fails tests/test_coverage.py.
Start at ``EXAMPLES``; a new family adds one line.
"""

from __future__ import annotations

from tests.coverage.elementwise import ELEMENTWISE, full_name
from tests.coverage.example import Example, Table
from tests.coverage.fourier import FOURIER
from tests.coverage.inplace import IN_PLACE
from tests.coverage.matrices import MATRICES
from tests.coverage.shapes import SHAPES
from tests.coverage.special import SPECIAL
from tests.coverage.sums import SUMS
from tests.numpy.test_functions import CALLS, array

CALLED: Table = {full_name(f): [Example(call, (array(),)) for call in calls] for f, calls in CALLS.items()}
"""What tests/numpy/test_functions.py calls, for functions that are not shown here."""

EXAMPLES: Table = {
    **CALLED,
    **SPECIAL,
    **ELEMENTWISE,
    **SHAPES,
    **IN_PLACE,
    **FOURIER,
    **MATRICES,
    **SUMS,
}
