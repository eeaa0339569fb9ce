"""Faults that random nests once found, each in its smallest form.

Invariant: every program is verified by the tests of random nests; here only what it gives is compared.
Start anywhere.
"""

from __future__ import annotations

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.control.scan import SCAN, scan
from staged_ad.ir import ArrayType, Equation, Program, Var, evaluate, verify
from staged_ad.ir.types import FLOAT64, INT64
from staged_ad.passes import optimize
from staged_ad.primitives.trigonometric import sin
from staged_ad.tracing import building
from tests.backends import MODES, in_mode
from tests.numerics import assert_close


def test_a_loop_that_loses_its_results_to_passes_is_gone_with_its_operands():
    number, count = ArrayType((), FLOAT64), ArrayType((), INT64)
    x, y, z, after, times = Var(number), Var(number), Var(number), Var(number), Var(count)
    params = {"body": Program((x,), (), (x,)), "length": None, "reverse": False, "consts": 0, "carries": 1}
    still = Equation(SCAN, (times, y), params, (after,))  # a while loop leaves such a loop, in reverse mode under vmap
    body = Program((y, times), (still, Equation(sin.primitive, (after,), {}, (z,))), (z,))
    with building() as trace:
        carry, times = trace.add_inputs([number, count.stacked(3)])
        program, _ = trace.finish(scan(body, [], [carry], [times], length=3))
    (found,) = evaluate(verify(optimize(verify(program))), 0.5, np.array([0, 1, 2]))
    assert_close(found, np.sin(np.sin(np.sin(0.5))))


@pytest.mark.parametrize("mode", MODES)
def test_what_a_checkpoint_knows_may_come_from_an_equation_that_knows_a_part_of_its_results(mode: str):
    f = sad.checkpoint(lambda x: sad.map(lambda y: (np.sin(y), 2.0), x))
    assert_close(in_mode(mode, sad.grad(lambda x: f(x)[0][1] * f(x)[1][0]))(np.array([0.1, 0.2])), [0, 2 * np.cos(0.2)])
    nested = sad.checkpoint(sad.checkpoint(lambda x: (np.sin(x), 3.0)))
    assert_close(in_mode(mode, sad.grad(lambda x: nested(x)[0] * nested(x)[1]))(0.5), 3 * np.cos(0.5))
