"""check_derivatives: right derivatives pass, and wrong ones are found in the mode and order where they are wrong.

Invariant: the wrong derivatives are wrong by construction.
Start at ``wrong``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import ArgumentError

X = np.array([-1.5, 0.3, 2.0])


def test_right_derivatives_pass_in_both_precisions_and_nests():
    sad.check_derivatives(lambda p, n: {"y": np.sin(p["x"]) * n, "n": n}, ({"x": X}, 3), order=3)
    sad.check_derivatives(lambda x: np.tanh(x) * x[0], (X.astype(np.float32),))


def test_complex_arguments_move_in_all_directions():
    z = np.array([1 + 2j, 0.5 - 0.3j])
    sad.check_derivatives(lambda z: np.exp(z) * z[0], (z,))
    sad.check_derivatives(lambda z, x: np.abs(z) * x, (z, X[:2]))
    f = sad.custom_jvp(lambda z: z**2)
    f.defjvp(lambda primals, tangents: (primals[0] ** 2, 2 * primals[0].conj() * tangents[0]))
    with pytest.raises(AssertionError, match="forward mode"):
        sad.check_derivatives(f, (z,))


def wrong(derivative: Callable[[Any], Any]) -> Any:
    f = sad.custom_jvp(lambda x: x**3)
    f.defjvp(lambda primals, tangents: (primals[0] ** 3, derivative(primals[0]) * tangents[0]))
    return f


def test_wrong_derivatives_are_found_and_named():
    with pytest.raises(AssertionError, match=r"forward mode of .*result is .*differ by"):
        sad.check_derivatives(wrong(lambda x: 3 * x**2 + 1e-4), (X,))
    with pytest.raises(AssertionError, match="reverse mode of"):
        sad.check_derivatives(wrong(lambda x: 3 * x**2 + 1e-4), (X,), modes=("reverse",))
    with pytest.raises(AssertionError, match="forward mode of the forward derivative of"):
        sad.check_derivatives(wrong(hidden), (X,))
    sad.check_derivatives(wrong(hidden), (X,), order=1)


@sad.custom_jvp
def hidden(x: Any) -> Any:
    return 3 * x**2


hidden.defjvp(lambda primals, tangents: (hidden(*primals), 7.0 * primals[0] * tangents[0]))  # it is 6


def test_a_constant_term_in_a_rule_is_found_because_the_modes_are_not_adjoint():
    f = sad.custom_jvp(lambda x: x)
    f.defjvp(lambda primals, tangents: (primals[0], tangents[0] + 1.0))
    sad.check_derivatives(f, (X,), modes=("reverse",))
    with pytest.raises(AssertionError, match="forward mode"):
        sad.check_derivatives(f, (X,))


def test_check_derivatives_needs_something_to_move():
    with pytest.raises(ArgumentError, match="no argument is of floating point"):
        sad.check_derivatives(lambda n: n, (3,))
    with pytest.raises(ArgumentError, match="modes must be among"):
        sad.check_derivatives(np.sin, (3.0,), modes=("backward",))
    with pytest.raises(ArgumentError, match="step must be positive"):
        sad.check_derivatives(np.sin, (3.0,), step=0)
    with pytest.raises(AssertionError, match="they differ"):
        sad.check_derivatives(np.exp, (3.0,), tolerance=0)
