"""Random nests of loops and branches: staged_ad against the same nest in plain Python, by value and by derivative.

Invariant: finite differences are those of the plain nest; where they cross a decision, the example is rejected.
Start at nests.py, where nests are drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.ir import Program, evaluate, verify
from staged_ad.passes import PIPELINE, optimize
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.vjp import value_and_grad_program, vjp_program
from staged_ad.transforms.vmap import vmap_program
from tests.backends import MODES, in_mode
from tests.nests import SIZE, CrossedError, Nest, Plain, nests
from tests.numerics import assert_close, assert_same, directional

Point = tuple[Any, Any, Any]
points = st.integers(0, 2**16).map(
    lambda seed: (
        (rng := np.random.default_rng(seed)).uniform(-1, 1),
        rng.uniform(-1, 1, SIZE),
        int(rng.integers(0, 4)),
    )
)
S_DOT, V_DOT = 0.7, np.array([0.4, -1.0, 0.3])


def total(nest: Nest, k: Any) -> Callable[[Any, Any], Any]:
    return lambda s, v: nest.total(sad, s, v, k)


def slope(nest: Nest, point: Point) -> Any:
    """The derivative of the plain nest along S_DOT, V_DOT."""
    s, v, k = point
    try:
        return Plain().directional(lambda s, v: nest.total(Plain(), s, v, k), (s, v), (S_DOT, V_DOT))[1][0]
    except CrossedError:
        assume(False)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=60)
@given(nest=nests(), point=points)
def test_nests_give_what_plain_python_gives(mode: str, nest: Nest, point: Point):
    pass
