"""Random NumPy programs: eager against jit, forward against reverse against finite differences, vmap against a loop.

Invariant: programs are verified before and after every transform.
Start at strategies.py, where programs are drawn.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.api.calling import trace_call
from staged_ad.ir import evaluate, verify
from staged_ad.passes import PIPELINE, optimize
from staged_ad.transforms.jvp import jvp_program
from staged_ad.transforms.vjp import value_and_grad_program, vjp_program
from staged_ad.transforms.vmap import vmap_program
from tests.backends import through_program
from tests.numerics import assert_close, assert_same, directional, inner
from tests.strategies import NumpyProgram, numpy_programs

kinked = numpy_programs(smooth=False)
smooth = numpy_programs(smooth=True)
scalars = numpy_programs(smooth=True, scalar=True)


def directions(program: NumpyProgram, salt: int = 0) -> tuple[Any, ...]:
    rng = np.random.default_rng(salt)
    return tuple(np.asarray(rng.uniform(-1, 1, x.shape)) for x in program.arguments)


@settings(max_examples=400)
@given(kinked)
def test_traced_programs_give_what_numpy_gives(program: NumpyProgram):
    for found, expected in zip(through_program(program, *program.arguments), program(*program.arguments), strict=True):
        assert_same(found, np.asarray(expected))


@settings(max_examples=100)
@given(st.one_of(kinked, numpy_programs(smooth=False, dtype="float32")))
def test_jitted_programs_give_what_numpy_gives(program: NumpyProgram):
    tolerance = 1e-4 if any(x.dtype == np.float32 for x in program.arguments) or "float32" in program.source else 1e-11
    found = sad.jit(program.function)(*program.arguments)
    for value, expected in zip(found, program(*program.arguments), strict=True):
        assert_same(value, np.asarray(expected), tolerance)


@settings(max_examples=250)
@given(smooth)
def test_forward_reverse_and_finite_differences_agree(program: NumpyProgram):
    xs, x_dots = program.arguments, directions(program)
    ys, y_dots = sad.jvp(program.function, xs, x_dots)
    for k, y_dot in enumerate(y_dots):
        assert_close(y_dot, directional(lambda *xs, k=k: program(*xs)[k], xs, x_dots), 1e-7)
    _, pull = sad.vjp(program.function, *xs)
    y_bars = tuple(np.asarray(np.cos(y + 1)) for y in ys)
    x_bars = pull(y_bars)
    magnitude = max(1.0, *(float(np.max(np.abs(bar), initial=0)) for bar in x_bars))
    np.testing.assert_allclose(inner(x_bars, x_dots), inner(y_dots, y_bars), rtol=1e-9, atol=1e-10 * magnitude)


@settings(max_examples=120)
@given(scalars)
def test_second_derivatives_agree_in_both_orders(program: NumpyProgram):
    f, xs, x_dots = program.function, program.arguments, directions(program, 1)
    everything = tuple(range(len(xs)))
    gradient = sad.grad(f, everything)
    forward_over_reverse = sad.jvp(gradient, xs, x_dots)[1]
    reverse_over_forward = sad.grad(lambda *xs: sad.jvp(f, xs, x_dots)[1], everything)(*xs)
    reverse_over_reverse = sad.vjp(gradient, *xs)[1](x_dots)
    for k, h in enumerate(forward_over_reverse):
        assert_close(h, directional(lambda *xs, k=k: gradient(*xs)[k], xs, x_dots), 1e-6)
        assert_close(h, reverse_over_forward[k], 1e-9)
        assert_close(h, reverse_over_reverse[k], 1e-9)


@settings(max_examples=60)
@given(scalars)
def test_jitted_derivatives_are_the_eager_ones(program: NumpyProgram):
    xs, everything = program.arguments, tuple(range(len(program.arguments)))
    both = sad.value_and_grad(program.function, everything)
    value, gradient = sad.jit(both)(*xs)
    expected_value, expected = both(*xs)
    assert_close(value, expected_value, 1e-10)
    for found, wanted in zip(gradient, expected, strict=True):
        assert_close(found, wanted, 1e-9)
    products = lambda *xs: sad.jvp(sad.grad(program.function, everything), xs, directions(program, 2))[1]
    for found, wanted in zip(sad.jit(products)(*xs), products(*xs), strict=True):
        assert_close(found, wanted, 1e-9)


@settings(max_examples=150)
@given(kinked, st.data())
def test_vmap_is_a_loop(program: NumpyProgram, data: Any):
    flags = data.draw(st.lists(st.booleans(), min_size=len(program.arguments), max_size=len(program.arguments)))
    if not any(flags):
        flags[0] = True
    xs = [np.stack([x, -x, 0.5 * x]) if flag else x for x, flag in zip(program.arguments, flags, strict=True)]
    found = sad.vmap(program.function, in_axes=tuple(0 if flag else None for flag in flags))(*xs)
    slices = [
        through_program(program, *(x[k] if flag else x for x, flag in zip(xs, flags, strict=True))) for k in range(3)
    ]
    for k, value in enumerate(found):
        assert_same(value, np.stack([piece[k] for piece in slices]), 1e-5 if value.dtype == np.float32 else None)


@settings(max_examples=100)
@given(scalars)
def test_vmap_of_gradients_is_a_loop(program: NumpyProgram):
    gradient = sad.grad(program.function)
    x, *rest = program.arguments
    found = sad.vmap(gradient, in_axes=(0, *[None] * len(rest)))(np.stack([x, 0.5 * x]), *rest)
    assert_close(found, np.stack([gradient(x, *rest), gradient(0.5 * x, *rest)]), 1e-11)


@settings(max_examples=120)
@given(kinked)
def test_programs_are_sound_before_and_after_every_transform_and_pass(program: NumpyProgram):
    traced = trace_call(program.function, program.arguments, {})
    active = [True] * len(program.arguments)
    whole = verify(traced.program)
    assert pickle.loads(pickle.dumps(whole)) == whole
    pullback = vjp_program(whole, active)
    mapped, _ = vmap_program(whole, active, 2)
    for rewritten in (whole, jvp_program(whole, active), pullback.forward, pullback.backward, mapped):
        verify(rewritten)
        for rewrite in PIPELINE:
            rewritten = verify(rewrite(rewritten))


@settings(max_examples=120)
@given(scalars)
def test_passes_keep_the_meaning(program: NumpyProgram):
    traced = trace_call(program.function, program.arguments, {})
    gradient = value_and_grad_program(traced.program, [True] * len(program.arguments))
    for whole in (traced.program, gradient):
        for found, expected in zip(
            evaluate(optimize(whole), *program.arguments), evaluate(whole, *program.arguments), strict=True
        ):
            assert_close(found, expected, 1e-10)
