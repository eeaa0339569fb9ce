"""jit: what is compiled when, and what comes back.

Invariant: a jitted function is the function, for every kind of argument.
Start at the first test.
"""

import sys
import threading
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.api import compilation
from staged_ad.api.variants import Variant
from staged_ad.errors import ArgumentError, ConcretizationError

Point = namedtuple("Point", "x y")


def counted() -> tuple[Any, list[int]]:
    """A jitted function and the list that grows with every tracing."""
    traces: list[int] = []

    @sad.jit
    def f(x: Any) -> Any:
        traces.append(1)
        return np.sin(x) * 2

    return f, traces


def test_a_function_is_traced_once_for_each_type_of_argument() -> None:
    f, traces = counted()
    for _ in range(3):
        f(np.ones(3))
        f(np.ones(4))
        f(np.ones(3, np.float32))
    assert len(traces) == 3


def test_weak_and_strong_scalars_are_different_types() -> None:
    scale = sad.jit(lambda x, s: x * s)
    x = np.ones(3, np.float32)
    assert scale(x, 2.0).dtype == np.float32
    assert scale(x, np.float64(2.0)).dtype == np.float64
    assert scale(x, 2).dtype == np.float32


@pytest.mark.parametrize(
    "arrange",
    [
        lambda a: a[::2, ::-1],
        lambda a: np.asfortranarray(a),
        lambda a: a.T,
        lambda a: a.astype(">f8"),
        lambda a: np.frombuffer(b"\0" + a.tobytes(), dtype=np.uint8)[1:].view(a.dtype).reshape(a.shape),
        lambda a: np.broadcast_to(a[0], (5, 7)),
    ],
    ids=["strided", "Fortran", "transposed", "byte-swapped", "unaligned", "broadcast"],
)
def test_arguments_of_any_layout_give_what_numpy_gives(arrange: Any) -> None:
    a = arrange(np.random.default_rng(0).normal(size=(6, 7)))
    f = sad.jit(lambda x: (np.sum(x * 2, axis=0), np.exp(x)))
    for found, expected in zip(f(a), (np.sum(a * 2, axis=0), np.exp(a)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_read_only_arguments_are_fine_and_arguments_are_never_modified() -> None:
    x = np.arange(5.0)
    x.flags.writeable = False
    f = sad.jit(lambda x: (x, x + 1, x))
    first, second, third = f(x)
    np.testing.assert_array_equal(second, x + 1)
    assert not np.shares_memory(first, x)
    assert not np.shares_memory(first, third)
    assert first.flags.writeable


def test_results_of_zero_dimensions_are_numpy_scalars() -> None:
    assert type(sad.jit(np.sum)(np.ones(3, np.float32))) is np.float32
    assert type(sad.jit(lambda x: x > 0)(1.0)) is np.bool_


def test_nests_of_arguments_come_back_as_they_went_in() -> None:
    f = sad.jit(lambda tree: {"p": Point(tree["a"][0] + 1, tree["b"].y), "n": None})
    found = f({"a": [np.zeros(2)], "b": Point(1.0, np.ones(3))})
    assert isinstance(found["p"], Point)
    assert found["n"] is None
    np.testing.assert_array_equal(found["p"].x, [1, 1])


def test_static_arguments_are_passed_as_they_are() -> None:
    f = sad.jit(lambda x, mode, n=1: np.sin(x) * n if mode == "sin" else x * n, static_argnums=1, static_argnames="n")
    np.testing.assert_allclose(f(np.ones(2), "sin", n=3), 3 * np.sin(np.ones(2)))
    np.testing.assert_allclose(f(np.ones(2), "id"), np.ones(2))


def test_unhashable_static_arguments_raise() -> None:
    with pytest.raises(ArgumentError, match="hashable"):
        sad.jit(lambda x, options: x, static_argnums=1)(1.0, [])


def test_python_branches_on_mapped_values_raise_with_the_line() -> None:
    def f(x: Any) -> Any:
        if x > 0:
            return x
        return -x

    with pytest.raises(ConcretizationError, match=r"test_compilation\.py:\d+.*\n?.*np\.where"):
        sad.jit(sad.vmap(f))(np.ones(3))


def test_jit_inside_and_outside_of_derivatives() -> None:
    f = sad.jit(lambda x: np.sum(np.tanh(x) ** 3))
    x = np.linspace(-1, 1, 5)
    expected = sad.grad(lambda x: np.sum(np.tanh(x) ** 3))(x)
    for nested in (sad.grad(f), sad.jit(sad.grad(f)), sad.jit(sad.grad(sad.jit(f)))):
        np.testing.assert_allclose(nested(x), expected, rtol=1e-13)


def test_a_jitted_closure_reads_values_of_the_trace_around_it() -> None:
    np.testing.assert_allclose(sad.grad(lambda x: sad.jit(lambda y: x * y)(3.0))(2.0), 3.0)


@pytest.mark.parametrize("stage", ["program", "loops", "llvm", "asm"])
def test_every_stage_has_a_text(stage: str) -> None:
    assert sad.jit(lambda x: np.sum(np.sin(x))).lower(np.ones(9)).text(stage).strip()


def test_an_unknown_stage_raises() -> None:
    with pytest.raises(ValueError, match="program"):
        sad.jit(np.sin).lower(1.0).text("c")


def test_clear_caches_traces_again() -> None:
    f, traces = counted()
    f(1.0)
    sad.clear_caches()
    f(1.0)
    assert len(traces) == 2


def test_a_method_may_be_jitted() -> None:
    class Model:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        @sad.jit
        def apply(self, x: Any) -> Any:
            return x * self.scale

    assert Model(2.0).apply(3.0) == 6.0
    assert Model(5.0).apply(3.0) == 15.0


def test_many_threads_may_call_and_compile_at_once() -> None:
    f = sad.jit(sad.grad(lambda x: np.sum(np.sin(x) * x)))
    arrays = [np.linspace(0, 1, n) for n in (3, 50, 20_000)]
    expected = [np.cos(x) * x + np.sin(x) for x in arrays]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(20):
            for x, y in zip(arrays, expected, strict=True):
                if not np.allclose(f(x), y):
                    wrong.append(x.size)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_threads_may_call_while_others_compile_other_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "KEPT", 20)
    f = sad.jit(lambda d, n: {"y": d["a"] + n, "m": None}, static_argnames="n")
    failures: list[BaseException] = []
    done = threading.Event()

    def call(n: int) -> None:
        try:
            assert f({"a": np.ones(1)}, n=n)["y"] == 1.0 + n
        except BaseException as error:  # noqa: BLE001  a thread has no other way to say so
            failures.append(error)

    def old() -> None:
        n = 0
        while not done.is_set():
            n = (n + 7) % 30
            call(n)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=old) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for n in range(30, 100):
            call(n)
    finally:
        done.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert not failures, failures[:3]
    assert len(f._variants) <= 20


def test_the_signature_used_least_recently_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def noted(*args: Any) -> Variant:
        made.append(args)
        return Variant(*args)

    monkeypatch.setattr(compilation, "KEPT", 3)
    monkeypatch.setattr(compilation, "Variant", noted)
    f = sad.jit(lambda d, n: d["a"] + n, static_argnames="n")
    for n, count in [(1, 1), (2, 2), (3, 3), (1, 3), (1, 3), (4, 4), (1, 4), (3, 4), (2, 5)]:
        f({"a": 1.0}, n=n)
        assert (n, len(made)) == (n, count)


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    x = np.random.default_rng(0).normal(size=300_000)
    f = sad.jit(sad.value_and_grad(lambda x: np.sum(np.exp(np.sin(x)) * x)))
    before = sad.get_num_threads()
    try:
        sad.set_num_threads(1)
        value, gradient = f(x)
        sad.set_num_threads(before)
        again, gradient_again = f(x)
    finally:
        sad.set_num_threads(before)
    assert value == again
    assert np.array_equal(gradient, gradient_again)


def test_precise_math_is_as_exact_as_the_c_library() -> None:
    x = np.random.default_rng(0).uniform(-3, 3, size=1000)
    exact = np.array([float(np.sin(v)) for v in x])
    np.testing.assert_allclose(sad.jit(np.sin, precise_math=True)(x), exact, rtol=3e-16)
