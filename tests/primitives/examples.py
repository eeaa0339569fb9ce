"""The example rows of all primitives: what the derived tests run over.

Invariant: no two rows have one id.
Start at row.py.
"""

from __future__ import annotations

import staged_ad.transforms.call  # noqa: F401  # declares the one primitive that holds a program
from tests.primitives.bits_examples import BITS
from tests.primitives.complex_examples import COMPLEX
from tests.primitives.elementwise_examples import ELEMENTWISE
from tests.primitives.fourier_examples import FOURIER
from tests.primitives.indexing_examples import INDEXING
from tests.primitives.linalg_examples import LINALG
from tests.primitives.ordering_examples import ORDERING
from tests.primitives.random_examples import RANDOM
from tests.primitives.row import Row
from tests.primitives.special_examples import SPECIAL_FUNCTIONS
from tests.primitives.structural_examples import STRUCTURAL

ROWS: list[Row] = [
    *BITS,
    *COMPLEX,
    *ELEMENTWISE,
    *FOURIER,
    *INDEXING,
    *LINALG,
    *ORDERING,
    *RANDOM,
    *SPECIAL_FUNCTIONS,
    *STRUCTURAL,
]
DIFFERENTIABLE = [row for row in ROWS if row.differentiable]
LINEAR = [(row, operands) for row in ROWS for operands in row.linear]
