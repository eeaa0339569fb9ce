"""Bad input: each mistake is a clear error that names the argument, eager and jitted; nothing crashes.

Invariant: every error derives from StagedADError and from what a NumPy user would catch.
Start at ``BAD_LEAVES``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import ArgumentError, DTypeError, NotDifferentiableError, ShapeError, StagedADError
from tests.backends import MODES, in_mode

by_mode = pytest.mark.parametrize("mode", MODES)
X = np.array([1.0, 2.0])


def model(weights: Any, data: Any) -> Any:
    return np.sum(weights * data)


class Unusual:
    def __repr__(self) -> str:
        return "Unusual()"


BAD_LEAVES: dict[str, tuple[Any, type[Exception], str]] = {
    "string": ("abc", ArgumentError, "str 'abc'"),
    "bytes": (b"abc", ArgumentError, "bytes"),
    "object": (Unusual(), ArgumentError, r"Unusual\(\)"),
    "function": (np.sin, ArgumentError, "must be an array"),
    "set": ({1.0}, ArgumentError, "set"),
    "long complex": (np.ones(2, np.clongdouble), DTypeError, r"clongdouble|complex256.*astype\(np.complex128\)"),
    "object array": (np.array([1.0, None]), DTypeError, "object.*ragged"),
    "array of strings": (np.array(["a", "b"]), DTypeError, "<U1 is not supported"),
    "dates": (np.array(["2020-01-01"], "M8[D]"), DTypeError, "datetime64"),
    "records": (np.zeros(2, [("a", float)]), DTypeError, "not supported"),
    "long double": (np.ones(2, np.longdouble), DTypeError, "supported are bool"),
    "masked array": (np.ma.masked_array(X, [True, False]), ArgumentError, r"MaskedArray.*x\.filled\(value\)"),
    "matrix": (np.ones((2, 2)).view(np.matrix), ArgumentError, "matrix"),
    "huge integer": (2**70, DTypeError, "does not fit into int64"),
}

CALLS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda bad: sad.grad(model, 1)(X, bad),
    "value_and_grad": lambda bad: sad.value_and_grad(model, (0, 1))(X, bad),
    "jvp": lambda bad: sad.jvp(model, (X, bad), (X, X)),
    "vjp": lambda bad: sad.vjp(model, X, bad),
    "linearize": lambda bad: sad.linearize(model, X, bad),
    "linear_transpose": lambda bad: sad.linear_transpose(model, X, bad),
    "jacfwd": lambda bad: sad.jacfwd(model, 1)(X, bad),
    "jacrev": lambda bad: sad.jacrev(model, 1)(X, bad),
    "hessian": lambda bad: sad.hessian(model, 1)(X, bad),
    "hvp": lambda bad: sad.hvp(model, (X, bad), (X, X)),
    "vmap": lambda bad: sad.vmap(model)(X, bad),
    "jit": lambda bad: sad.jit(model)(X, bad),
    "jit of grad": lambda bad: sad.jit(sad.grad(model, 1))(X, bad),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", BAD_LEAVES)
def test_arguments_that_are_no_arrays_of_numbers_are_named(kind: str, call: str):
    bad, error, said = BAD_LEAVES[kind]
    with pytest.raises(error, match=said) as caught:
        CALLS[call](bad)
    assert isinstance(caught.value, StagedADError)
    assert "argument 1 (data) of model" in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
def test_a_bad_leaf_inside_a_nest_is_located(call: str):
    with pytest.raises(ArgumentError, match=re.escape("argument 1 (data) of model at ['b'][1]")):
        CALLS[call]({"a": X, "b": [X, "text"]})


RAGGED = [[1.0, 2.0], [3.0]]


@by_mode
def test_ragged_lists_in_a_computation_are_refused(mode: str):
    with pytest.raises(ArgumentError, match="ragged nested list"):
        in_mode(mode, sad.grad(lambda x: np.sum(x * RAGGED)))(X)
    with pytest.raises(ArgumentError, match="different shapes"):
        in_mode(mode, sad.jacfwd(lambda x: sad.numpy.array([[x[0], x[1]], [x[0]]])))(X)


@by_mode
@pytest.mark.parametrize("operand", ["a", None, {}, object(), np.array([None, 1])])
def test_operands_that_are_no_arrays_of_numbers_are_refused(operand: Any, mode: str):
    with pytest.raises((ArgumentError, TypeError)) as caught:
        in_mode(mode, sad.grad(lambda x: np.sum(x * operand)))(X)
    assert __file__ in str(caught.value)


INTEGER_SENSITIVE = [name for name in CALLS if name not in ("vmap", "jit")]


@pytest.mark.parametrize("call", INTEGER_SENSITIVE)
@pytest.mark.parametrize("integers", [np.array([1, 2]), np.array([True, False]), np.array([1, 2], "uint8"), 3, True])
def test_integer_arguments_of_derivatives_are_named(call: str, integers: Any):
    with pytest.raises(
        NotDifferentiableError, match=r"needs floating-point inputs.*argument 1 \(data\) of model"
    ) as caught:
        CALLS[call](integers)
    assert "x.astype(float)" in str(caught.value)
    assert isinstance(caught.value, TypeError)


@by_mode
@pytest.mark.parametrize(
    ("f", "said"),
    [
        (lambda x: None, "returned NoneType None, which holds no array; does a return statement lack"),
        (lambda x: (), "holds no array"),
        (lambda x: "text", "the result of <lambda> must be an array"),
        (lambda x: {"a": x, "b": object()}, r"the result of <lambda> at \['b'\]"),
        (lambda x: x.sum, "the result of <lambda> must be an array"),
    ],
)
def test_results_that_are_no_arrays_are_refused(f: Any, said: str, mode: str):
    for transform in (sad.vmap, sad.jacfwd, sad.grad, lambda f: lambda x: sad.jvp(f, (x,), (x,)), lambda f: f):
        if transform(f) is f and mode == "eager":
            continue
        with pytest.raises(ArgumentError, match=said):
            in_mode(mode, transform(f))(X)


@by_mode
@pytest.mark.parametrize(
    ("f", "said"),
    [
        (lambda x: x, r"returned f64\[2\]"),
        (lambda x: (np.sum(x), np.sum(x)), "returned 2 arrays"),
        (lambda x: np.argmax(x), "returned i64"),
        (lambda x: np.sum(x) > 0, "returned bool"),
    ],
)
def test_grad_of_what_is_not_a_scalar_says_what_to_use(f: Any, said: str, mode: str):
    with pytest.raises(NotDifferentiableError, match=said) as caught:
        in_mode(mode, sad.grad(f))(X)
    assert "jacrev" in str(caught.value)


@pytest.mark.parametrize("f", [lambda x: x, lambda x: (x, x, x), lambda x: [x, x]])
def test_a_missing_auxiliary_result_is_named(f: Any):
    with pytest.raises(ArgumentError, match="must return a pair"):
        sad.grad(f, has_aux=True)(1.0)


SHAPES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: x + np.zeros(3), r"\(2,\) \(3,\)"),
    (lambda x: x @ np.zeros((3, 2)), r"matmul: shapes \(2,\) and \(3, 2\)"),
    (lambda x: np.ones((3, 1, 2)) @ (x + np.zeros((4, 2, 1))), r"could not be broadcast.*\(3,\) \(4,\)"),
    (lambda x: np.dot(x, np.zeros(3)), "dot: shapes"),
    (lambda x: np.einsum("i,i->", x, np.zeros(3)), "label 'i'"),
    (lambda x: np.einsum("ij->i", x), "dimensions"),
    (lambda x: np.reshape(x, (3,)), "cannot reshape"),
    (lambda x: x.reshape(-1, -1), "one unknown"),
    (lambda x: np.concatenate([x, np.zeros((2, 2))]), "concatenate"),
    (lambda x: np.stack([x, np.zeros(3)]), "same shape"),
    (lambda x: np.sum(x, axis=1), "axis 1 is out of bounds"),
    (lambda x: np.sum(x, axis=(0, 0)), "duplicate"),
    (lambda x: np.transpose(x, (0, 1)), "axis|permutation"),
    (lambda x: np.broadcast_to(x, (3,)), "cannot broadcast"),
    (lambda x: np.where(np.ones(3, bool), x, 0.0), "broadcast"),
    (lambda x: np.squeeze(x, axis=0), "squeeze"),
    (lambda x: np.split(x, 3), "equal division"),
    (lambda x: np.expand_dims(x, 5), "axis 5"),
    (lambda x: np.moveaxis(x, 0, 2), "axis 2"),
    (lambda x: np.float64(1) @ x, "0-d|matmul"),
    (lambda x: np.inner(x, np.zeros((2, 3))), "inner: shapes"),
    (lambda x: np.tensordot(x, np.zeros(3), axes=1), "tensordot: shapes"),
]


@by_mode
@pytest.mark.parametrize(("f", "said"), SHAPES, ids=range(len(SHAPES)))
def test_shapes_that_do_not_fit_are_shown(f: Any, said: str, mode: str):
    with pytest.raises(ValueError, match=said) as caught:
        in_mode(mode, lambda x: f(x) * 1.0)(X) if mode == "jit" else sad.jvp(f, (X,), (X,))
    assert isinstance(caught.value, ShapeError)


TANGENTS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: sad.jvp(np.sin, X, X), ArgumentError, r"primals must be a tuple.*\(x,\)"),
    (lambda: sad.jvp(np.sin, (X,), X), ArgumentError, "tangents must be a tuple"),
    (lambda: sad.jvp(np.sin, (X,), (X, X)), ArgumentError, "1 primals, but 2 tangents"),
    (
        lambda: sad.jvp(np.sin, (X,), (np.zeros(3),)),
        ShapeError,
        r"tangents at \[0\] must have shape \(2,\), got \(3,\)",
    ),
    (lambda: sad.jvp(np.sin, (X,), (1.0,)), ShapeError, r"must have shape \(2,\), got \(\)"),
    (lambda: sad.jvp(np.sin, (X,), (X.astype("f4"),)), DTypeError, "must have dtype float64, got float32"),
    (lambda: sad.vjp(np.sin, X)[1](X.astype("f4")), DTypeError, "must have dtype float64, got float32"),
    (lambda: sad.jvp(np.sin, (X,), ("a",)), ArgumentError, r"tangents at \[0\] must be an array"),
    (lambda: sad.jvp(np.sin, (X,), ({"a": X},)), ArgumentError, "tangents must have the structure"),
    (
        lambda: sad.jvp(lambda d: d["a"], ({"a": X},), ({"b": X},)),
        ArgumentError,
        r"tangents must have the structure \(\{'a': \*\},\), got \(\{'b': \*\},\); only the former has "
        r"tangents\[0\]\['a'\]; only the latter has tangents\[0\]\['b'\]",
    ),
    (
        lambda: sad.linearize(lambda d: d["a"], {"a": X})[1]({"a": X, "b": X}),
        ArgumentError,
        r"only the latter has tangents\[0\]\['b'\]",
    ),
    (lambda: sad.vjp(np.sin, X)[1](np.zeros(3)), ShapeError, r"the cotangent must have shape \(2,\)"),
    (lambda: sad.vjp(np.sin, X)[1]((X,)), ArgumentError, "the cotangent must have the structure"),
    (
        lambda: sad.vjp(lambda x: {"v": (x, x)}, X)[1]({"v": (X,)}),
        ArgumentError,
        r"structure \{'v': \(\*, \*\)\}, got \{'v': \(\*,\)\}; only the former has cotangent\['v'\]\[1\]",
    ),
    (lambda: sad.vjp(np.sin, X)[1]("a"), ArgumentError, "the cotangent must be an array"),
    (lambda: sad.vjp(np.sin, X)[1](X * 1j), DTypeError, "the cotangent must have dtype float64, got complex128"),
    (lambda: sad.vjp(np.sum, X)[1](1j), DTypeError, "the cotangent must have dtype float64, got complex128"),
    (lambda: sad.vjp(np.sin, X)[1](X.astype("f4")), DTypeError, "the cotangent must have dtype"),
    (lambda: sad.linearize(np.sin, X)[1](np.zeros(1)), ShapeError, r"tangents at \[0\]"),
    (lambda: sad.linearize(np.sin, X)[1](X, X), ArgumentError, "structure"),
    (lambda: sad.linear_transpose(lambda x: 2 * x, X)(np.zeros(3)), ShapeError, "the cotangent"),
    (lambda: sad.hvp(np.sum, (X,), (np.zeros(3),)), ShapeError, "tangents"),
    (lambda: sad.hvp(np.sum, X, X), ArgumentError, "primals must be a tuple"),
]


@pytest.mark.parametrize(("call", "error", "said"), TANGENTS, ids=range(len(TANGENTS)))
def test_tangents_and_cotangents_that_do_not_match_are_described(call: Any, error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        call()


MAPPED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: sad.vmap(np.add)(X, np.zeros(3)), ShapeError, "argument 0.* has length 2; argument 1.* has length 3"),
    (lambda: sad.vmap(np.sin)(1.0), ShapeError, r"shape \(\), it has no axis 0"),
    (lambda: sad.vmap(np.sin, in_axes=1)(X), ShapeError, "no axis 1"),
    (lambda: sad.vmap(np.add, in_axes=(0,))(X, X), ArgumentError, "in_axes has 1 entries for 2 arguments"),
    (lambda: sad.vmap(np.sin, in_axes=None)(X), ArgumentError, "no argument has an axis"),
    (lambda: sad.vmap(np.sin, in_axes=({"a": 0},))(X), ArgumentError, "in_axes"),
    (lambda: sad.vmap(np.sin, in_axes="a")(X), (ArgumentError, ShapeError), "axis|in_axes"),
    (lambda: sad.vmap(np.sin, out_axes=3)(X), ShapeError, "axis 3"),
    (lambda: sad.vmap(np.sin, out_axes=None)(X), ArgumentError, "out_axes is None"),
    (lambda: sad.vmap(np.sin)(), ArgumentError, "no argument"),
]


@pytest.mark.parametrize(("call", "error", "said"), MAPPED, ids=range(len(MAPPED)))
def test_axes_of_vmap_that_do_not_fit_are_described(call: Any, error: Any, said: str):
    with pytest.raises(error, match=said):
        call()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sad.grad(model, 2)(X, X), "argnums=2 needs 3 positional arguments of model, 2 given"),
        (lambda: sad.grad(model, (0, 0))(X, X), "names an argument twice"),
        (lambda: sad.grad(model, (0, -2))(X, X), "names an argument twice"),
        (lambda: sad.grad(model, -3)(X, X), "argnums=-3"),
        (lambda: sad.grad(model)(weights=X, data=X), "0 given"),
    ],
)
def test_argnums_that_do_not_fit_are_described(call: Any, said: str):
    with pytest.raises(ArgumentError, match=re.escape(said)):
        call()


def test_holomorphic_derivatives_are_refused():
    with pytest.raises(NotDifferentiableError, match="holomorphic=True needs complex inputs"):
        sad.grad(np.sin, holomorphic=True)(1.0)


@by_mode
@pytest.mark.parametrize("derivative", [sad.jacfwd, sad.jacrev, sad.jacobian])
def test_jacobians_of_integer_results_are_refused(derivative: Any, mode: str):
    with pytest.raises(NotDifferentiableError, match="integer or boolean"):
        in_mode(mode, derivative(lambda x: x.astype(int)))(X)


def test_an_argument_without_a_name_is_named_by_its_position():
    with pytest.raises(ArgumentError, match=r"argument 0 .*of sin"):
        sad.grad(np.sin)("a")
    with pytest.raises(ArgumentError, match="argument 1"):
        sad.jvp(lambda *xs: xs[0], (X, "a"), (X, X))


def test_functions_that_raise_are_not_disturbed():
    def f(x: Any) -> Any:
        raise KeyError("mine")

    for call in (sad.grad(f), sad.vmap(f), sad.jit(f), sad.jit(sad.grad(f))):
        with pytest.raises(KeyError, match="mine"):
            call(X)


def test_what_is_not_callable_is_refused():
    for transform in (sad.grad, sad.vmap, sad.jit, sad.jacfwd):
        with pytest.raises((TypeError, AttributeError)):
            transform(3.0)(X)


def test_a_jitted_function_still_works_after_errors():
    f = sad.jit(lambda x: np.sum(x**2))
    for bad in ("a", np.ones(2, np.longdouble), None, [[1.0], [2.0, "b"]]):
        with pytest.raises((StagedADError, TypeError)):
            f(bad)
        assert f(X) == 5.0
