"""All examples of supported functions, by name.

Invariant: a supported function without an example fails tests/test_coverage.py.
Start at ``EXAMPLES``; a new family adds one line.
"""

from tests.coverage.elementwise import ELEMENTWISE
from tests.coverage.example import Table
from tests.coverage.shapes import SHAPES
from tests.coverage.sums import SUMS

EXAMPLES: Table = {
    **ELEMENTWISE,
    **SHAPES,
    **SUMS,
}
