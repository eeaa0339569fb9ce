"""Programs: types, literals, equality by content, pickling, the text form and its names.

Invariant: names and sources do not count for equality; everything else does.
Start at ``sample``.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from staged_ad.errors import DTypeError, ShapeError
from staged_ad.ir import PRIMITIVES, ArrayType, Equation, Literal, Program, Var, filled, type_of, verify
from staged_ad.ir.types import DTYPES, canonical_dtype, check_axis
from staged_ad.tracing import trace_flat
from staged_ad.transforms.call import call

F3 = ArrayType((3,), np.dtype(float))


def sample(constant: Any = 2.0) -> Program:
    return trace_flat(lambda x, y: [np.sin(x) * constant + y, np.sum(y)], [F3, F3], "sample")[0]


@pytest.mark.parametrize("dtype", DTYPES)
@given(shape=st.lists(st.integers(0, 3), max_size=3).map(tuple))
def test_type_of_an_array_is_its_shape_and_dtype(dtype: Any, shape: tuple[int, ...]):
    type = type_of(np.zeros(shape, dtype))
    assert (type.shape, type.dtype, type.weak) == (shape, dtype, False)
    assert (type.ndim, type.size) == (len(shape), int(np.prod(shape)))
    assert type.inexact == (dtype.kind in "fc")


@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.complex_numbers(), st.booleans()))
def test_python_numbers_and_booleans_are_weak(number: Any):
    assert type_of(number) == ArrayType((), np.asarray(number).dtype, weak=True)


def test_byte_order_is_that_of_the_machine():
    assert type_of(np.zeros(2, ">f8")) == ArrayType((2,), np.dtype(float))


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (np.zeros(2, np.clongdouble), r"x.astype\(np.complex128\)"),
        (np.array([None]), "ragged"),
        (np.array(["a"]), "not supported"),
        (2**63, r"float\(9223372036854775808\)"),
        ("text", "expected an array or a number"),
    ],
)
def test_values_without_a_type_are_refused_with_advice(value: Any, advice: str):
    with pytest.raises(DTypeError, match=advice):
        type_of(value)


def test_types_print_as_dtype_shape_and_weakness():
    assert [str(t) for t in (F3, ArrayType((), np.dtype("int8")), type_of(1.5), type_of(np.zeros((2, 0), bool)))] == [
        "f64[3]",
        "i8",
        "f64~",
        "bool[2,0]",
    ]


def test_canonical_dtype_takes_what_numpy_takes():
    assert canonical_dtype(float) == canonical_dtype("f8") == canonical_dtype(">f8") == np.dtype(float)


def test_an_axis_out_of_range_is_refused():
    assert [check_axis(k, 2) for k in (-2, -1, 0, 1)] == [0, 1, 0, 1]
    with pytest.raises(ShapeError, match="axis 2"):
        check_axis(2, 2)


def test_a_filled_literal_stands_for_a_whole_array():
    literal = filled(2, F3)
    assert literal.is_splat
    np.testing.assert_array_equal(literal.array, [2.0, 2.0, 2.0])
    assert literal.key == filled(2, F3).key != filled(3, F3).key


def test_programs_are_equal_and_hashed_by_content():
    assert sample() == sample()
    assert hash(sample()) == hash(sample())
    assert len({sample(), sample(), sample(3.0)}) == 2
    assert sample() != "sample"


@pytest.mark.parametrize(
    "other",
    [
        sample(3.0),
        sample(np.float64(2.0) + np.zeros(3)),
        trace_flat(lambda x, y: [np.cos(x) * 2.0 + y, np.sum(y)], [F3, F3], "sample")[0],
        trace_flat(lambda x, y: [np.sin(x) * 2.0 + x, np.sum(y)], [F3, F3], "sample")[0],
        trace_flat(lambda x, y: [np.sum(y), np.sin(x) * 2.0 + y], [F3, F3], "sample")[0],
        trace_flat(lambda x, y: [np.sin(x) * 2.0 + y, np.sum(y)], [ArrayType((4,), np.dtype(float))] * 2, "sample")[0],
        trace_flat(lambda x, y: [np.sin(x) * 2.0 + y, np.sum(y)], [ArrayType((3,), np.dtype("f4"))] * 2, "sample")[0],
    ],
)
def test_a_difference_in_content_is_a_difference(other: Program):
    assert sample() != other


def test_names_and_sources_do_not_count_for_equality():
    program = sample()
    bare = tuple(Equation(e.primitive, e.inputs, e.params, e.outputs) for e in program.equations)
    assert Program(program.inputs, bare, program.outputs, "other") == program


def test_a_fingerprint_is_the_same_in_every_process():
    code = "import numpy as np; from tests.ir.test_program import sample; print(sample().fingerprint, end='')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_root())
    assert found.stdout == sample().fingerprint


def _root() -> str:
    return __file__.rsplit("/tests/", 1)[0]


def test_content_is_not_confused_by_negative_zero_or_nan():
    assert sample(0.0) != sample(-0.0)
    assert sample(float("nan")) == sample(float("nan"))


def test_a_program_inside_a_program_counts_by_its_content():
    def outer(inner: Program) -> Program:
        return trace_flat(lambda x, y: call(inner, x, y), [F3, F3], "outer")[0]

    assert outer(sample()) == outer(sample())
    assert outer(sample()) != outer(sample(3.0))


def test_pickling_keeps_a_program_and_its_primitives():
    program = trace_flat(lambda x, y: call(sample(), x, y), [F3, F3], "outer")[0]
    again = pickle.loads(pickle.dumps(program))
    assert again == program
    assert str(again) == str(program)
    assert verify(again).equations[0].primitive is PRIMITIVES["call"]
    assert pickle.loads(pickle.dumps(PRIMITIVES["sin"])) is PRIMITIVES["sin"]


def test_constants_are_copied_and_read_only():
    constant = np.arange(3.0)
    program = trace_flat(lambda x: [x * constant], [F3], "f")[0]
    constant[:] = 9
    (literal,) = [a for e in program.equations for a in e.inputs if isinstance(a, Literal)]
    np.testing.assert_array_equal(literal.array, [0, 1, 2])
    with pytest.raises(ValueError, match="read-only"):
        literal.value[0] = 1


def test_the_text_shows_one_equation_a_line_with_the_users_line():
    def f(x: Any) -> Any:
        y = np.sin(x)
        return [np.sum(y)]

    line = f.__code__.co_firstlineno
    lines = str(trace_flat(f, [F3], "f")[0]).splitlines()
    assert lines[0] == "{ lambda a:f64[3] . let"
    assert [text.split() for text in lines[1:3]] == [
        ["b:f64[3]", "=", "sin", "a", "#", f"test_program.py:{line + 1}"],
        ["c:f64", "=", "reduce_sum[axes=(0,)]", "b", "#", f"test_program.py:{line + 2}"],
    ]
    assert lines[3] == "  in (c) }"


def test_the_text_shows_constants_briefly():
    text = str(trace_flat(lambda x: [x + 2.5, x * np.arange(3.0), x * np.arange(1.0)[:, None]], [F3], "f")[0])
    assert "add a 2.5:f64[3]" in text
    assert "<f64[3] 0 1 2>" in text


def test_the_text_shows_programs_inside_programs():
    text = str(trace_flat(lambda x, y: call(sample(), x, y), [F3, F3], "outer")[0])
    assert "call[program=sample] a b" in text
    assert "\n\nsample = { lambda a:f64[3] b:f64[3] . let" in text


def test_names_go_on_after_z():
    def f(x: Any) -> Any:
        for _ in range(30):
            x = np.sin(x)
        return [x]

    assert "in (ae) }" in str(trace_flat(f, [F3], "f")[0])


def test_last_uses_name_what_no_later_equation_needs():
    program = trace_flat(lambda x: [np.sin(x) + np.cos(x)], [F3], "f")[0]
    sin, cos, add = program.equations
    assert program.last_uses[0] == ()
    assert program.last_uses[1] == program.inputs
    assert set(program.last_uses[2]) == {*sin.outputs, *cos.outputs}
    assert add.outputs == program.outputs


def test_a_variable_is_equal_only_to_itself():
    assert Var(F3) != Var(F3)
