"""Traces: captures, sources, nests of containers, threads.

Invariant: a program holds what its function did, nothing of when or where it ran.
Start at ``test_values_of_outer_traces_are_captured_once``.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.errors import ArgumentError
from staged_ad.ir import Literal, Program, type_of, verify
from staged_ad.ir.evaluate import evaluate
from staged_ad.tracing import Tracer, building, trace_flat
from staged_ad.tracing import trace as tracing_trace
from staged_ad.tracing.trace import inline
from staged_ad.tracing.trees import flatten, paths, tree_map, unflatten
from staged_ad.transforms.vjp import value_and_grad_program
from staged_ad.transforms.vmap import vmap_program


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass
class Layer:
    weight: Any
    bias: Any


@dataclass(frozen=True)
class Frozen:
    a: Any
    b: Any = None


def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, max_size=3),
        st.lists(children, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("abcd"), children, max_size=3),
        st.builds(Pair, children, children),
        st.builds(Frozen, children, children),
    )


trees = st.recursive(st.one_of(st.floats(-3, 3), st.just(None)), containers, max_leaves=8)


@given(trees)
def test_flattening_and_unflattening_are_inverse(tree: Any):
    leaves, spec = flatten(tree)
    assert unflatten(spec, leaves) == tree
    assert all(isinstance(leaf, float) for leaf in leaves)
    assert len(paths(tree)) == len(leaves)
    assert tree_map(lambda x: x, tree) == tree


@given(trees.filter(lambda tree: bool(flatten(tree)[0])))
def test_gradients_have_the_structure_of_their_argument(tree: Any):
    def f(tree: Any) -> Any:
        return sum((x**2 for x in flatten(tree)[0]), 0.0)

    assert sad.grad(f)(tree) == tree_map(lambda x: 2 * x, tree)


@given(trees.filter(lambda tree: bool(flatten(tree)[0])))
def test_results_keep_their_structure(tree: Any):
    value, slope = sad.jvp(lambda t: tree_map(lambda x: 3.0 * x, t), (tree,), (tree,))
    assert value == slope == tree_map(lambda x: 3.0 * x, tree)


def test_dataclasses_are_containers():
    layer = Layer(np.eye(2), np.ones(2))
    gradient = sad.grad(lambda p, x: np.sum(p.weight @ x + p.bias))(layer, np.array([1.0, 2.0]))
    assert isinstance(gradient, Layer)
    np.testing.assert_array_equal(gradient.weight, [[1, 2], [1, 2]])
    np.testing.assert_array_equal(gradient.bias, [1, 1])


def test_values_of_outer_traces_are_captured_once():
    seen = []

    def f(x: Any) -> Any:
        traced = trace_call(lambda y: x * y + x - np.sin(x), [2.0], {})
        seen.append(traced)
        return x

    sad.grad(f)(3.0)
    (traced,) = seen
    assert len(traced.captures) == 2  # x, and sin(x), which is computed where x lives
    assert all(isinstance(c, Tracer) for c in traced.captures)
    assert len(traced.program.inputs) == 3


def test_constants_of_outer_functions_are_literals_not_captures():
    c = np.arange(3.0)
    traced = trace_call(lambda x: x * c, [np.ones(3)], {})
    assert traced.captures == []
    assert len(traced.program.inputs) == 1


def test_a_function_that_ignores_its_inner_variable_is_captured_whole():
    assert sad.grad(lambda x: sad.grad(lambda y: x**2)(1.0) + x)(3.0) == 1.0
    assert sad.grad(lambda x: sad.value_and_grad(lambda y: x**2)(1.0)[0])(3.0) == 6.0


def test_operations_on_constants_alone_are_not_recorded():
    program = trace_flat(lambda x: [x + np.sum(np.sin(np.ones(3)))], [type_of(np.float64(1))], "f")[0]
    assert [e.primitive.name for e in program.equations] == ["add"]


def test_equations_name_the_users_line_also_after_transforms():
    def f(x: Any) -> Any:
        y = np.sin(x)
        return np.sum(y * y)

    first = f.__code__.co_firstlineno
    traced = trace_call(f, [np.ones(3)], {})
    for program in (
        traced.program,
        value_and_grad_program(traced.program, [True]),
        vmap_program(traced.program, [True], 2)[0],
    ):
        places = {(e.source.file, e.source.line) for e in program.equations if e.source is not None}
        assert {file for file, _ in places} == {__file__}
        assert {line for _, line in places} == {first + 1, first + 2}
    assert {e.source.function for e in traced.program.equations} == {f.__qualname__}


def branching(x: Any, y: Any) -> list[Any]:
    """With literals, an argument and a constant among the results, one result twice, and one that nobody needs."""
    low, high = np.linalg.eigh(np.outer(x, x))
    z = np.sin(x) * 2.0 + np.sum(y) * np.arange(3.0)
    return [x, z, low, z[::-1] @ high, np.float64(4.0) + 0 * y, y]


def test_a_program_that_is_copied_is_the_program_that_is_traced_again():
    types = [type_of(np.zeros(3)), type_of(2.0)]
    program = trace_flat(branching, types, "f")[0]
    outside = np.ones(3)

    def inlined(how: Callable[..., list[Any]]) -> Program:
        with building() as trace:
            (x,) = trace.add_inputs(types[:1])
            given = dict(zip(program.inputs, (x, Literal(np.float64(0.5), types[1])), strict=True))
            return trace.finish(how(trace, program, given))[0]

    copied, again = inlined(tracing_trace._copied), inlined(tracing_trace._emitted)
    assert copied == again
    assert (
        [e.source for e in copied.equations]
        == [e.source for e in again.equations]
        == [e.source for e in program.equations]
    )
    verify(copied)
    for found, expected in zip(evaluate(copied, outside), branching(outside, 0.5), strict=True):
        assert np.allclose(np.abs(found), np.abs(expected))


def test_a_program_takes_the_types_of_what_it_is_applied_to():
    program = trace_flat(lambda x, y: [x * y], [type_of(np.float32(1)), type_of(2.0)], "f")[0]
    assert program.output_types == [type_of(np.float32(1))]
    with building() as trace:
        x, y = trace.add_inputs([type_of(np.float32(1)), type_of(np.float32(1))])
        assert [result.type for result in inline(trace, program, [x, y])] == [type_of(np.float32(1))]
    strong = trace_flat(lambda x, y: [y * 2.0, x], [type_of(np.float32(1)), type_of(2.0)], "f")[0]
    with building() as trace:
        x, y = trace.add_inputs([type_of(np.float32(1)), type_of(np.float64(1))])
        assert [result.type.weak for result in inline(trace, strong, [x, y])] == [False, False]
        assert [result.type.weak for result in inline(trace, strong, [x, 1.5])] == [True, False]


def test_methods_of_arrays_are_those_of_numpy():
    x = np.arange(6.0).reshape(2, 3) + 1
    calls: list[Callable[[Any], Any]] = [
        *(
            lambda x: x.sum(axis=0),
            lambda x: x.mean(),
            lambda x: x.T,
            lambda x: x.reshape(3, 2),
            lambda x: x.reshape((6,)),
        ),
        *(lambda x: x.ravel(), lambda x: x.flatten(), lambda x: x.transpose(), lambda x: x.transpose(1, 0)),
        *(lambda x: x.swapaxes(0, 1), lambda x: x[None].squeeze(), lambda x: x.max(axis=1), lambda x: x.min()),
        *(lambda x: x.prod(axis=1, keepdims=True), lambda x: x.std(), lambda x: x.var(axis=0), lambda x: x.dot(x.T)),
        *(lambda x: x.clip(2, 4), lambda x: x.clip(min=2), lambda x: x.astype("float32"), lambda x: x.copy()),
        *(
            lambda x: x.argmax(),
            lambda x: x.argmin(axis=1),
            lambda x: x.any(),
            lambda x: x.all(axis=0),
            lambda x: x.round(1),
        ),
        *(lambda x: x.mT, lambda x: x.real, lambda x: x.conj(), lambda x: x.transpose((1, 0)), lambda x: x.reshape(-1)),
        *(lambda x: x.reshape(3, -1), lambda x: x.transpose(None), lambda x: np.ptp(x)),
        *(lambda x: np.float64(x.shape[0] + x.ndim + x.size) + x, lambda x: np.zeros(1, x.dtype) + x),
    ]
    for call in calls:
        found = sad.jvp(call, (x,), (x,))[0]
        np.testing.assert_allclose(found, call(x), rtol=1e-14)
        assert found.dtype == call(x).dtype


def test_threads_do_not_disturb_each_other():
    def work(k: int) -> float:
        f = lambda x: np.sum(np.sin(k * x) * sad.grad(lambda y: np.sum(y**3) * x[0])(x))
        return float(sad.hessian(f)(np.array([0.3, 0.1 * k]))[0, 1])

    expected = [work(k) for k in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == expected


def test_a_traced_value_may_not_cross_threads_after_its_trace():
    with ThreadPoolExecutor(1) as pool:
        f = lambda x: pool.submit(np.sin, x).result()
        assert sad.grad(f)(0.0) == 1.0


def test_objects_that_hold_no_arrays_are_refused_by_name():
    def f(x: Any, options: Any) -> Any:
        return x

    with pytest.raises(ArgumentError, match=r"argument 1 \(options\) of f"):
        sad.jvp(f, (1.0, object()), (1.0, 1.0))
