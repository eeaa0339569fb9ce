"""Bad input to control flow: each mistake is a clear error that names the leaf and the function, and says what to do.

Invariant: every error derives from StagedADError, and is the same eager, jitted and under a derivative.
Start at ``CARRIES``.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import ArgumentError, DTypeError, ShapeError, StagedADError

X = np.array([1.0, 2.0])
XS = np.ones((4, 2))
V = np.ones(3)
F4 = V.astype("f4")


@dataclasses.dataclass
class Point:
    x: Any
    y: Any


def same(c: Any, x: Any = None) -> Any:
    return c, x


# how to run a body that maps a carry to a carry, and the name under which errors speak of it
LOOPS: dict[str, Callable[[Any, Any], Any]] = {
    "scan": lambda body, init: sad.scan(lambda c, x: (body(c), None), init, X),
    "while_loop": lambda body, init: sad.while_loop(lambda c: False, body, init),
    "fori_loop": lambda body, init: sad.fori_loop(0, 3, lambda i, c: body(c), init),
    "jit": lambda body, init: sad.jit(lambda init: sad.while_loop(lambda c: False, body, init))(init),
    "vmap": lambda body, init: sad.vmap(lambda x: sad.while_loop(lambda c: x > 0, body, init))(X),
    "grad": lambda body, init: sad.grad(lambda x: sad.scan(lambda c, _: (body(c), x), init, X)[1].sum())(1.0),
}

# a carry, what the body makes of it, and words of the message
CARRIES: list[tuple[Any, Callable[[Any], Any], list[str]]] = [
    (V, lambda c: c.astype("f4"), ["carry: enters as f64[3], leaves as f32[3]", ".astype(np.float64)"]),
    (F4, lambda c: c * np.float64(2), ["carry: enters as f32[3], leaves as f64[3]", ".astype(np.float32)"]),
    (V, lambda c: c[:2], ["carry: enters as f64[3], leaves as f64[2]", "shape"]),
    (V, lambda c: np.sum(c), ["carry: enters as f64[3], leaves as f64;", "np.full_like"]),
    (0.0, lambda c: c + V, ["carry: enters as f64, leaves as f64[3]"]),
    (np.int64(0), lambda c: c + 0.5, ["carry: enters as i64, leaves as f64"]),
    (0.5, lambda c: c.astype(int), ["carry: enters as f64, leaves as i64"]),
    (np.False_, lambda c: c + 1, ["carry: enters as bool, leaves as i64"]),
    (np.int64(0), lambda c: c > 0, ["carry: enters as i64, leaves as bool"]),
    ({"v": [V, V]}, lambda c: {"v": [F4, c["v"][1]]}, ["carry['v'][0]: enters as f64[3], leaves as f32[3]"]),
    ({"v": [V, V]}, lambda c: {"v": [F4, X]}, ["carry['v'][0]: enters", "carry['v'][1]: enters as f64[3], leaves as"]),
    (Point(V, V), lambda c: Point(c.x, F4), ["carry.y: enters as f64[3], leaves as f32[3]"]),
    ((V, V), lambda c: c[0], ["structure differs: enters as (*, *), leaves as *"]),
    ((V, V), lambda c: [c[0], c[1]], ["structure differs: enters as (*, *), leaves as [*, *]"]),
    ((V, V), lambda c: (*c, V), ["leaves as (*, *, *); only the latter has carry[2]"]),
    ({"a": V, "b": V}, lambda c: {"a": V, "d": V}, ["the former has carry['b']", "the latter has carry['d']"]),
    ((V, None), lambda c: (None, V), ["enters as (*, None), leaves as (None, *)"]),
    (V, lambda c: None, ["leaves as None", "does a return statement lack?"]),
    (None, lambda c: V, ["enters as None, leaves as *"]),
]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("init", "body", "said"), CARRIES, ids=range(len(CARRIES)))
def test_a_carry_that_changes_is_described_leaf_by_leaf(init: Any, body: Any, said: list[str], loop: str):
    with pytest.raises(ArgumentError, match="the carry must leave <lambda>") as caught:
        LOOPS[loop](body, init)
    assert f"({__file__}:" in str(caught.value)
    for words in said:
        assert words in str(caught.value)


def test_the_file_and_line_of_the_body_are_given():
    line = same.__code__.co_firstlineno

    def changing(c: Any, x: Any) -> Any:
        return F4, x

    with pytest.raises(ArgumentError, match=re.escape(f"changing ({__file__}:{changing.__code__.co_firstlineno})")):
        sad.scan(changing, V, X)
    for f in (functools.partial(same, x=1), functools.partial(same)):
        with pytest.raises(ArgumentError, match=re.escape(f"same ({__file__}:{line})")):
            sad.while_loop(lambda c: False, f, V)
    with pytest.raises(ArgumentError, match=r"__call__|Callable"):
        sad.while_loop(lambda c: False, type("Callable", (), {"__call__": lambda self, c: F4})(), V)
    with pytest.raises(ArgumentError, match=r"the carry must leave sum \("):
        sad.while_loop(lambda c: False, np.sum, V)


LEAVES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: sad.scan(same, {"a": "text"}, X), ArgumentError, r"scan: init\['a'\] must be an array.*str 'text'"),
    (lambda: sad.scan(same, 2**70, X), DTypeError, "scan: init: .*does not fit into int64"),
    (lambda: sad.scan(same, V, {"a": X, "b": "text"}), ArgumentError, r"scan: xs\['b'\] must be an array"),
    (lambda: sad.scan(same, V, np.ones(3, np.longdouble)), DTypeError, "scan: xs: .*longdouble|float128"),
    (lambda: sad.while_loop(lambda c: False, same, [V, "text"]), ArgumentError, r"while_loop: init\[1\] must be"),
    (lambda: sad.fori_loop(0, 2, same, ("text",)), ArgumentError, r"fori_loop: init\[0\] must be an array"),
    (lambda: sad.map(np.sin, {"a": np.ma.masked_array(X)}), ArgumentError, r"map: xs\['a'\] is a MaskedArray"),
    (lambda: sad.associative_scan(np.add, ["text"]), ArgumentError, r"associative_scan: elems\[0\] must be"),
    (lambda: sad.checkpoint(np.sin)("text"), ArgumentError, "argument 0.* of sin must be an array"),
    (lambda: sad.vmap(lambda p: sad.cond(p > 0, same, same, ("a",)))(X), ArgumentError, r"cond: operands\[0\]\[0\]"),
    (lambda: sad.scan(lambda c, x: (c, "text"), V, X), ArgumentError, r"the result of <lambda>.*result\[1\] must be"),
    (lambda: sad.map(lambda x: {"a": object()}, X), ArgumentError, r"\['a'\] must be an array"),
]


@pytest.mark.parametrize(("call", "error", "said"), LEAVES, ids=range(len(LEAVES)))
def test_leaves_that_are_no_arrays_of_numbers_are_named(call: Any, error: type[Exception], said: str):
    with pytest.raises(error, match=said) as caught:
        call()
    assert isinstance(caught.value, StagedADError)


SLICES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: sad.scan(same, V, {"a": np.ones(2), "b": (np.ones((3, 2)), np.ones(2))}),
        ShapeError,
        r"xs must have one length.*xs\['a'\] has length 2, xs\['b'\]\[0\] has length 3, xs\['b'\]\[1\] has length 2",
    ),
    (lambda: sad.scan(same, V, X, length=3), ShapeError, "length=3, but xs has length 2"),
    (lambda: sad.scan(same, V, (X, 2.0)), ShapeError, r"xs\[1\] has shape \(\), it has no axis 0; write np.array"),
    (lambda: sad.scan(same, V, [1.0, 2.0]), ShapeError, r"xs\[0\] has shape \(\).*np.array\(...\) for a list"),
    (lambda: sad.scan(same, V), ArgumentError, "xs holds no array.*length=..."),
    (lambda: sad.scan(same, V, {}), ArgumentError, "xs holds no array"),
    (lambda: sad.scan(same, V, None, length=-1), ShapeError, "length must not be negative, got -1"),
    (lambda: sad.scan(same, V, None, length=2.0), ArgumentError, "length must be an integer, got float 2.0"),
    (lambda: sad.scan(same, V, None, length="2"), ArgumentError, "length must be an integer, got str '2'"),
    (lambda: sad.vmap(lambda n: sad.scan(same, V, None, length=n))(np.arange(3)), StagedADError, "not one number here"),
    (lambda: sad.map(np.sin, 1.0), ShapeError, r"map: xs has shape \(\)"),
    (lambda: sad.map(np.sin, None), ArgumentError, "map: xs holds no array"),
    (lambda: sad.associative_scan(np.add, 1.0), ShapeError, r"elems has shape \(\)"),
    (lambda: sad.associative_scan(np.add, X, axis=1), ShapeError, r"elems has shape \(2,\), it has no axis 1"),
    (lambda: sad.associative_scan(np.add, X, axis=1.0), ArgumentError, "axis must be an integer"),
    (
        lambda: sad.associative_scan(same, (X, V)),
        ShapeError,
        r"elems must have one length along axis 0, but elems\[0\] has length 2, elems\[1\] has length 3",
    ),
]


@pytest.mark.parametrize(("call", "error", "said"), SLICES, ids=range(len(SLICES)))
def test_lengths_that_do_not_fit_are_listed(call: Any, error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        call()


OPTIONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: sad.scan(same, V, X, checkpoint=0), "scan: checkpoint must be a positive integer"),
    (lambda: sad.scan(same, V, X, checkpoint=-2), "got int -2"),
    (lambda: sad.scan(same, V, X, checkpoint=True), "got bool True"),
    (lambda: sad.scan(same, V, X, checkpoint=2.0), "got float 2.0"),
    (lambda: sad.while_loop(lambda c: False, lambda c: c, V, checkpoint="all"), "while_loop: checkpoint must be"),
    (lambda: sad.fori_loop(0, 2, lambda i, c: c, V, checkpoint=0), "fori_loop: checkpoint must be"),
    (lambda: sad.fori_loop(0.0, 2, lambda i, c: c, V), "fori_loop: lower must be an integer scalar, got float 0.0"),
    (lambda: sad.fori_loop(0, X, lambda i, c: c, V), "fori_loop: upper must be an integer scalar, got ndarray"),
    (lambda: sad.fori_loop(0, True, lambda i, c: c, V), "upper must be an integer scalar, got bool True"),
    (lambda: sad.fori_loop(0, None, lambda i, c: c, V), "fori_loop: upper must be an array, a number"),
    (lambda: sad.jit(lambda n: sad.fori_loop(0, n, lambda i, c: c, V))(2.0), r"got f64; write .*x.astype\(int\)"),
]


@pytest.mark.parametrize(("call", "said"), OPTIONS, ids=range(len(OPTIONS)))
def test_options_and_bounds_of_the_wrong_kind_are_named(call: Any, said: str):
    with pytest.raises(ArgumentError, match=said):
        call()


FUNCTIONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: sad.scan(3, V, X), r"scan: f must be a function of \(carry, x\), got int 3"),
    (lambda: sad.map(None, X), r"map: f must be a function of \(x\), got NoneType"),
    (lambda: sad.while_loop(V, np.sin, V), r"while_loop: cond_fun must be a function of \(carry\)"),
    (lambda: sad.while_loop(np.any, V, V), "while_loop: body_fun must be a function"),
    (lambda: sad.fori_loop(0, 3, V, np.sin), r"fori_loop: body_fun must be a function of \(i, carry\)"),
    (lambda: sad.associative_scan(X, np.add), r"associative_scan: fn must be a function of \(a, b\)"),
    (lambda: sad.cond(True, 1.0, np.sin, X), r"cond: true_fun must be a function of \(operand 0\), got float 1.0"),
    (lambda: sad.cond(True, np.sin, X, X), "cond: false_fun must be a function"),
    (lambda: sad.switch(0, np.sin, X), "switch: branches must be a list of one or more functions, got ufunc"),
    (lambda: sad.switch(0, [], X), "switch: branches must be a list of one or more functions"),
    (lambda: sad.switch(0, [np.sin, 3], X), r"switch: branches\[1\] must be a function"),
    (lambda: sad.checkpoint(3), "checkpoint: f must be a function, got int 3"),
    (lambda: sad.scan(lambda c: c, V, X), r"scan calls f <lambda> \(.*with 2 .*\(carry, x\).*too many positional"),
    (lambda: sad.scan(lambda c, x, y: c, V, X), "missing a required argument: 'y'"),
    (lambda: sad.while_loop(lambda: True, np.sin, V), "while_loop calls cond_fun .*too many positional"),
    (lambda: sad.while_loop(np.any, lambda i, c: c, V), "while_loop calls body_fun .*missing"),
    (lambda: sad.fori_loop(0, 3, lambda c: c, V), r"fori_loop calls body_fun .*2 positional arguments \(i, carry\)"),
    (lambda: sad.cond(True, lambda x: x, lambda: 0.0, X), "cond calls false_fun .* with 1 positional"),
    (lambda: sad.switch(0, [lambda: 1.0], X), r"switch calls branches\[0\]"),
    (lambda: sad.scan(lambda c, x: c, V, X), r"f must return a pair \(carry, y\), but <lambda> .* returned Tracer"),
    (lambda: sad.scan(lambda c, x: None, V, X), "must return a pair .* returned NoneType None"),
    (lambda: sad.scan(lambda c, x: (c, x, x), V, X), "must return a pair .* returned tuple"),
    (lambda: sad.scan(lambda c, x: [c, x], V, X), "must return a pair .* returned list"),
]


@pytest.mark.parametrize(("call", "said"), FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_functions_that_cannot_be_called_or_return_no_pair_are_named(call: Any, said: str):
    with pytest.raises(ArgumentError, match=said):
        call()


TESTS: list[tuple[Any, str]] = [
    (lambda c: c[0], r"but <lambda> \(.*returned f64. Write x != 0"),
    (lambda c: c > 0, r"returned bool\[3\]. Write np.all\(...\), np.any\(...\)"),
    (lambda c: c[:1] > 0, r"returned bool\[1\].*or \[0\]"),
    (lambda c: (c[0] > 0, c[1] > 0), r"returned \(\*, \*\)"),
    (lambda c: None, "returned None"),
    (lambda c: 1, "returned i64. Write x != 0"),
    (lambda c: True, "returned True whatever the carry is, so the loop would never end"),
    (lambda c: "yes", "must be an array"),
]


@pytest.mark.parametrize(("test", "said"), TESTS, ids=range(len(TESTS)))
def test_a_condition_that_is_no_boolean_is_described(test: Any, said: str):
    for loop in (lambda v: sad.while_loop(test, np.sin, v), sad.jit(lambda v: sad.while_loop(test, np.sin, v))):
        with pytest.raises(ArgumentError, match=said):
            loop(V)


PREDICATES: list[tuple[Any, type[Exception], str]] = [
    (1, ArgumentError, "cond: pred must be a boolean, got i64. Write x != 0 for a number x"),
    (0.5, ArgumentError, "got f64. Write x != 0"),
    (np.array([True]), ShapeError, r"cond: pred must be a scalar, got bool\[1\]. Write pred\[0\]"),
    (np.array([True, False]), ShapeError, "np.where"),
    ("yes", ArgumentError, "cond: pred must be an array"),
    (None, ArgumentError, "cond: pred must be an array"),
]


@pytest.mark.parametrize(("pred", "error", "said"), PREDICATES, ids=range(len(PREDICATES)))
def test_a_predicate_that_is_no_boolean_is_described(pred: Any, error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        sad.cond(pred, np.sin, np.cos, X)
    if isinstance(pred, int | float | np.ndarray):
        with pytest.raises(error, match=said):
            sad.jit(lambda p: sad.cond(p, np.sin, np.cos, X))(pred)


INDICES: list[tuple[Any, type[Exception], str]] = [
    (0.5, ArgumentError, r"switch: index must be an integer, got f64. Write x.astype\(int\)"),
    (True, ArgumentError, "index must be an integer, got bool. Use cond"),
    (np.array([1]), ShapeError, r"switch: index must be a scalar, got i64\[1\]"),
    ("a", ArgumentError, "switch: index must be an array"),
]


@pytest.mark.parametrize(("index", "error", "said"), INDICES, ids=range(len(INDICES)))
def test_an_index_that_is_no_integer_is_described(index: Any, error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        sad.switch(index, [np.sin, np.cos], X)


BRANCHES: list[tuple[Any, Any, str]] = [
    (lambda x: x, lambda x: x.astype("f4"), r"result: f64\[2\] from .*, f32\[2\] from .*; cast one of them"),
    (lambda x: x, lambda x: 0.0, r"result: f64\[2\] from .*, f64 from .*; np.zeros, np.full_like"),
    (lambda x: x[0], lambda x: np.argmax(x), "result: f64 from .*, i64 from"),
    (lambda x: 0.5, lambda x: np.argmax(x), "result: f64 from .*, i64 from"),
    (lambda x: {"v": (x, x)}, lambda x: {"v": (x, x[0])}, r"result\['v'\]\[1\]: f64\[2\] from .*, f64 from"),
    (lambda x: (x, x), lambda x: x, r"structure differs: .* returns \(\*, \*\), .* returns \*"),
    (lambda x: {"a": x}, lambda x: {"b": x}, r"only the former has result\['a'\]; only the latter has result\['b'\]"),
    (lambda x: x, lambda x: None, r"returns \*, .* returns None"),
]


@pytest.mark.parametrize(("one", "other", "said"), BRANCHES, ids=range(len(BRANCHES)))
def test_branches_that_differ_are_compared_leaf_by_leaf(one: Any, other: Any, said: str):
    with pytest.raises(ArgumentError, match=said) as caught:
        sad.grad(lambda x: np.sum(sad.cond(x[0] > 0, other, one, x)))(X)
    place = re.escape(f"<lambda> ({__file__}:")
    assert re.search(f"false_fun {place}.*true_fun {place}", str(caught.value), re.DOTALL)
    with pytest.raises(ArgumentError, match=said) as caught:
        sad.vmap(lambda k: sad.switch(k, [one, one, other], X))(np.arange(3))
    assert re.search(rf"branches\[0\] {place}.*branches\[2\] {place}", str(caught.value), re.DOTALL)


ASSOCIATIVE: list[tuple[Any, str]] = [
    (lambda a, b: np.sum(a + b), r"but <lambda> \(.*returned elems as f64, given f64\[1,2\]"),
    (lambda a, b: (a + b).astype("f4"), r"returned elems as f32\[1,2\], given f64\[1,2\]"),
    (lambda a, b: (a, b), r"returned \(\*, \*\), given \*"),
    (lambda a, b: None, "returned None"),
    (lambda a, b: "text", "must be an array"),
]


@pytest.mark.parametrize(("fn", "said"), ASSOCIATIVE, ids=range(len(ASSOCIATIVE)))
def test_an_associative_function_that_changes_its_elements_is_described(fn: Any, said: str):
    for run in (lambda x: sad.associative_scan(fn, x), sad.jit(lambda x: sad.associative_scan(fn, x))):
        with pytest.raises(ArgumentError, match=said):
            run(XS[:2])


@pytest.mark.parametrize(
    "call",
    [
        lambda f: sad.scan(lambda c, x: f(), V, X),
        lambda f: sad.while_loop(lambda c: f(), np.sin, V),
        lambda f: sad.while_loop(np.any, lambda c: f(), V),
        lambda f: sad.fori_loop(0, 2, lambda i, c: f(), V),
        lambda f: sad.map(lambda x: f(), X),
        lambda f: sad.cond(True, lambda x: f(), np.sin, X),
        lambda f: sad.grad(lambda x: sad.cond(x > 0, np.sin, lambda x: f(), x))(1.0),
        lambda f: sad.checkpoint(lambda x: f())(X),
        lambda f: sad.associative_scan(lambda a, b: f(), X),
    ],
)
def test_what_a_body_raises_is_not_disturbed(call: Any):
    def failing() -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        call(failing)


def test_a_python_number_too_large_for_the_dtype_that_leaves_is_refused():
    with pytest.raises(OverflowError):
        sad.scan(lambda c, x: (c + x, None), 300, np.ones(2, "u1"))
    with pytest.raises(OverflowError):
        sad.scan(lambda c, x: (300, None), np.uint8(1), length=2)


def test_a_traced_value_kept_from_a_body_is_said_to_have_leaked():
    kept = []
    sad.scan(lambda c, x: (kept.append(x) or c, None), V, X)
    with pytest.raises(sad.errors.LeakedTracerError, match="was used after the traced function had returned"):
        kept[0] + 1.0
