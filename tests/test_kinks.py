"""The conventions at kinks: every row of the table in docs/kinks.md, and the product that makes zero absorbing.

Invariant: the table is the test.
Start at ``rows``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.primitives.makers import scale
from tests.backends import MODES, in_mode

TABLE = Path(__file__).parent.parent / "docs" / "kinks.md"
by_mode = pytest.mark.parametrize("mode", MODES)


class Row(NamedTuple):
    function: str
    x: str
    derivative: str


def rows() -> list[Row]:
    """The rows of the table: in each cell the text between the first backquotes."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    return [Row(*re.findall(r"`([^`]*)`", line)[:3]) for line in lines]


def evaluated(text: str) -> Any:
    value = eval(text, {"np": np})
    return np.array(value) if isinstance(value, list) else value


@by_mode
@pytest.mark.parametrize("derivative", [sad.jacfwd, sad.jacrev], ids=["forward", "reverse"])
@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row.function} at {row.x}")
def test_the_table_of_conventions_holds(row: Row, derivative: Any, mode: str):
    f = eval(f"lambda x: {row.function}", {"np": np, "sad": sad})
    found = in_mode(mode, derivative(f))(evaluated(row.x))
    np.testing.assert_array_equal(found, evaluated(row.derivative))


def test_the_table_has_all_its_rows():
    assert len(rows()) == TABLE.read_text().count("\n| `") > 60


@given(st.floats(), st.sampled_from([0.0, -0.0]))
def test_zero_is_absorbing_in_both_factors(x: float, zero: float):
    assert float(scale(np.float64(x), np.float64(zero))) == 0
    assert float(scale(np.float64(zero), np.float64(x))) == 0


@given(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100))
def test_among_finite_numbers_the_strong_product_is_the_product(x: float, y: float):
    assert float(scale(np.float64(x), np.float64(y))) == x * y


@by_mode
@pytest.mark.parametrize("order", [sad.jacfwd, sad.jacrev])
def test_an_untaken_branch_leaves_no_trace_in_second_derivatives(order: Any, mode: str):
    f = lambda x: np.where(x > 0, np.sqrt(np.abs(x)), x**2)
    assert in_mode(mode, order(sad.grad(f)))(0.0) == 2.0
    assert in_mode(mode, order(sad.grad(f)))(-1.0) == 2.0


@by_mode
def test_the_conventions_hold_under_vmap(mode: str):
    norms = sad.vmap(sad.grad(np.linalg.norm))
    found = in_mode(mode, norms)(np.array([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(found, [[0, 0], [0.6, 0.8]], rtol=1e-15)
