"""verify: what is wrong with a program is said, and the bad equation is shown with its neighbours.

Invariant: every kind of damage is found; sound programs pass unchanged.
Start at ``sound``.
"""

from __future__ import annotations

import numpy as np
import pytest

from staged_ad.errors import VerificationError
from staged_ad.ir import PRIMITIVES, ArrayType, Equation, Literal, Program, Var, verify
from staged_ad.tracing import trace_flat
from staged_ad.transforms.call import call

F3 = ArrayType((3,), np.dtype(float))


def sound() -> Program:
    def f(x, y):
        for _ in range(3):
            x = np.sin(x)
        z = x * y
        for _ in range(3):
            z = np.cos(z)
        return [np.sum(z)]

    return trace_flat(f, [F3, F3], "f")[0]


def replaced(program: Program, position: int, equation: Equation) -> Program:
    equations = (*program.equations[:position], equation, *program.equations[position + 1 :])
    return Program(program.inputs, equations, program.outputs)


def test_a_sound_program_is_returned():
    program = sound()
    assert verify(program) is program


def test_the_bad_equation_is_marked_among_its_neighbours():
    program = sound()
    bad = program.equations[3]
    program = replaced(program, 3, Equation(PRIMITIVES["add"], (bad.inputs[0], Var(F3)), {}, bad.outputs, bad.source))
    with pytest.raises(VerificationError) as caught:
        verify(program)
    text = str(caught.value)
    assert "used before it is defined, in equation 3" in text
    marked = [line for line in text.splitlines() if line.startswith("-->")]
    assert len(marked) == 1
    assert "add" in marked[0]
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["1:", "2:", "-->", "4:", "5:"]


@pytest.mark.parametrize(
    ("type", "said"),
    [
        (ArrayType((4,), np.dtype(float)), r"f64\[4\], should be f64\[3\]"),
        (ArrayType((3,), np.dtype("f4")), r"f32\[3\], should be f64\[3\]"),
        (ArrayType((3,), np.dtype(float), weak=True), r"f64\[3\]~, should be f64\[3\]"),
    ],
)
def test_a_wrong_type_is_found(type: ArrayType, said: str):
    x = Var(F3)
    program = Program((x,), (Equation(PRIMITIVES["sin"], (x,), {}, (Var(type),)),), (x,))
    with pytest.raises(VerificationError, match=said):
        verify(program)


def test_operands_that_do_not_fit_are_found():
    x, y = Var(F3), Var(ArrayType((2,), np.dtype(float)))
    program = Program((x, y), (Equation(PRIMITIVES["add"], (x, y), {}, (Var(F3),)),), (x,))
    with pytest.raises(VerificationError, match=r"ShapeError: add: operands have shapes \(3,\) and \(2,\)"):
        verify(program)


def test_parameters_that_do_not_exist_are_found():
    x = Var(F3)
    program = Program((x,), (Equation(PRIMITIVES["reduce_sum"], (x,), {"axis": 0}, (Var(F3),)),), (x,))
    with pytest.raises(VerificationError, match="axis"):
        verify(program)


def test_a_second_assignment_is_found():
    x = Var(F3)
    program = Program((x,), (Equation(PRIMITIVES["sin"], (x,), {}, (x,)),), (x,))
    with pytest.raises(VerificationError, match="assigned twice"):
        verify(program)


def test_one_equation_that_assigns_a_variable_twice_is_found():
    inner = trace_flat(lambda x: [np.sin(x), np.cos(x)], [F3], "inner")[0]
    x, y = Var(F3), Var(F3)
    program = Program((x,), (Equation(PRIMITIVES["call"], (x,), {"program": inner}, (y, y)),), (y,))
    with pytest.raises(VerificationError, match="assigned twice"):
        verify(program)


def test_an_input_that_appears_twice_is_found():
    x = Var(F3)
    with pytest.raises(VerificationError, match="appears twice"):
        verify(Program((x, x), (), (x,)))


def test_an_output_that_nothing_defines_is_found():
    with pytest.raises(VerificationError, match="output 0"):
        verify(Program((Var(F3),), (), (Var(F3),)))


@pytest.mark.parametrize("literal", [Literal(np.float32(1), F3), Literal(np.zeros(2), F3)])
def test_a_literal_that_contradicts_its_type_is_found(literal: Literal):
    with pytest.raises(VerificationError, match="literal"):
        verify(Program((), (), (literal,)))


def test_programs_inside_programs_are_verified():
    inner = trace_flat(lambda x: [np.sin(x)], [F3], "inner")[0]
    outer = trace_flat(lambda x: call(inner, x), [F3], "outer")[0]
    bad = Program(inner.inputs, inner.equations, (Var(F3),), "inner")
    with pytest.raises(VerificationError, match="used before it is defined"):
        verify(
            replaced(outer, 0, Equation(PRIMITIVES["call"], outer.inputs, {"program": bad}, outer.equations[0].outputs))
        )


def test_operations_that_compute_with_float16_are_found():
    half = Var(ArrayType((3,), np.dtype("float16")))
    result = Var(half.type)
    with pytest.raises(VerificationError, match=r"sin computes with a value of type f16\[3\]"):
        verify(Program((half,), (Equation(PRIMITIVES["sin"], (half,), {}, (result,)),), (result,)))
