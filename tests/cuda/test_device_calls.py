"""jit(f, device="cuda") as users call it, on the emulated device.

Invariant: what a function gives there is what it gives on the processor.
Start at ``test_results_are_new_arrays_of_the_device``.
"""

from __future__ import annotations

import itertools
import pickle
import weakref
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.cuda import cublas
from staged_ad.cuda.cublas import Cublas
from staged_ad.tracing.trees import flatten
from tests.cuda import cupy_stand_in as cupy
from tests.cuda.cupy_stand_in import Standing
from tests.cuda.stream_stand_in import Event, Graph, Stream

X = np.linspace(0.1, 2.0, 100)


pytestmark = pytest.mark.usefixtures("device")


def on_device(f: Any = None, **options: Any) -> Any:
    return sad.jit(f, device="cuda", **options)


def same(found: Any, expected: Any) -> None:
    assert isinstance(found, cupy.ndarray)
    assert found.shape == np.shape(expected)
    assert found.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(found.get(), expected, rtol=1e-12, atol=1e-13)


# -- arrays -----------------------------------------------------------------------------------------------------------


def test_results_are_new_arrays_of_the_device(device: Standing):
    f = on_device(lambda x, a: (x * a, np.sum(x)))
    for x in (X, device.sent(X)):
        y, total = f(x, 2.0)
        same(y, 2 * X)
        same(total, np.sum(X))
    x = device.sent(X)
    unchanged = on_device(lambda x: x)(x)
    assert unchanged.data.ptr != x.data.ptr
    same(unchanged, X)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "int64", "uint16", "float16", "float32", "float64", "complex64", "complex128"]
)
def test_dtypes_are_those_of_numpy(dtype: str, device: Standing):
    x = np.array([0, 1, 1, 3]).astype(dtype)
    for f in (lambda x: x + x, lambda x: x * 2, lambda x: x * 0.5):
        same(on_device(f)(device.sent(x)), f(x))


class OfOtherLibrary:
    """An array with no more than the protocol; PyTorch's refuse with a RuntimeError where a gradient is wanted."""

    def __init__(self, array: Any, refuses: bool = False) -> None:
        self.array, self.refuses, self.shape = array, refuses, array.shape

    @property
    def __cuda_array_interface__(self) -> Any:
        if self.refuses:
            raise RuntimeError("use tensor.detach()")
        return self.array.__cuda_array_interface__


class ByDlpack:
    def __init__(self, array: Any) -> None:
        self.host, self.shape = array.host, array.shape

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


class InBothWays(ByDlpack):
    """Only DLPack asks for the stream that has to wait for what is still computed."""

    @property
    def __cuda_array_interface__(self) -> Any:
        raise AssertionError("there may be nothing yet")


@pytest.mark.parametrize("library", [OfOtherLibrary, ByDlpack, InBothWays])
def test_arrays_of_other_libraries_are_read_where_they_lie(library: Any, device: Standing):
    f = on_device(lambda x: 3 * x)
    x = device.sent(X)
    same(f(library(x)), 3 * X)
    x.host[...] += 1  # the array's memory is read, not that of a copy
    same(f(library(x)), 3 * (X + 1))
    same(f(library(device.sent(X[:5]))), 3 * X[:5])


def test_arrays_of_other_libraries_live_until_what_reads_them_is_done(device: Standing, monkeypatch: Any):
    f = on_device(lambda x: 3 * x)
    for done in (False, True):
        x = ByDlpack(device.sent(X))
        alive = weakref.ref(x)
        f(x)
        f(device.sent(X))
        monkeypatch.setattr(Event, "done", done)
        del x
        assert alive() is not None
        f(device.sent(X))
        assert (alive() is None) is done


class WithoutMore:
    def __init__(self, array: Any) -> None:
        self.array = array

    @property
    def __cuda_array_interface__(self) -> Any:
        return self.array.__cuda_array_interface__


def test_arrays_that_have_no_more_than_the_protocol_change_their_types(device: Standing):
    f = on_device(lambda x: 3 * x)
    for x in (X, X, X[:5], X.astype(np.float32), X):
        same(f(WithoutMore(device.sent(x))), 3 * x)


def test_arrays_in_another_order_or_at_odd_places_are_copied(device: Standing):
    a = np.arange(12.0).reshape(3, 4)
    f = on_device(lambda a: a * 2)
    same(f(device.sent(a).T), 2 * a.T)
    same(f(a.T), 2 * a.T)
    same(f(device.sent(a)[:, 1:3]), 2 * a[:, 1:3])
    assert device.sent(X)[1:].data.ptr % 16
    same(f(device.sent(X)[1:]), 2 * X[1:])
    same(f(X.astype(">f8")), 2 * X)


def test_empty_arrays_have_results(device: Standing):
    f = on_device(lambda x: (x * 2, np.sum(x)))
    doubled, total = f(device.sent(np.zeros((0, 3))))
    same(doubled, np.zeros((0, 3)))
    same(total, 0.0)


def test_what_was_sent_may_change_afterwards():
    f = on_device(lambda x: x + 1)
    x = X.copy()
    y = f(x)
    x[...] = 0
    same(y, X + 1)


# -- calls ------------------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclass
class Layer:
    w: Any
    name: str = field(default="tanh", metadata={"static": True})


def test_nests_of_arrays_go_in_and_come_out(device: Standing):
    def f(layer: Layer, pair: Pair, *, scale: float = 1.0) -> Any:
        return {"y": getattr(np, layer.name)(layer.w * scale), "pair": Pair(pair.b, pair.a), "list": [pair.a + 1]}

    g = on_device(f)
    for _ in range(3):
        found = g(Layer(device.sent(X)), Pair(1.0, X), scale=2.0)
        expected = f(Layer(X), Pair(1.0, X), scale=2.0)
        same(found["y"], expected["y"])
        same(found["pair"].a, X)
        same(found["list"][0], 2.0)
    same(g(Layer(X, "sin"), Pair(1.0, X))["y"], np.sin(X))


def test_arguments_that_change_their_kind_are_told_apart(device: Standing):
    f = on_device(lambda x, y: x * y)
    here = device.sent(X)
    pairs = [(X, 2.0), (here, 2.0), (here, 2), (X, 2), (here, here), (here, X), (X[:3], np.float32(2)), (here, True)]
    for x, y in pairs:
        expected = (x.get() if isinstance(x, cupy.ndarray) else x) * (y.get() if isinstance(y, cupy.ndarray) else y)
        same(f(x, y), expected)
        same(f(x, y), expected)
    same(f(here[:7], 3), X[:7] * 3)


def test_static_arguments_are_not_moved():
    f = on_device(lambda x, kind, n: getattr(np, kind)(x) ** n, static_argnums=2, static_argnames="kind")
    same(f(X, kind="sin", n=2), np.sin(X) ** 2)
    same(f(X, "cos", 3), np.cos(X) ** 3)


def test_paths_of_python_are_followed(device: Standing):
    traced = []

    @on_device
    def f(x: Any) -> Any:
        traced.append(1)
        if np.sum(x) > 0:
            return x * 2
        for _ in range(int(x[0])):
            x = x + 1
        return x

    for x in (X, -X, device.sent(X), device.sent(-X), -X, X):
        host = x.get() if isinstance(x, cupy.ndarray) else x
        same(f(x), host * 2 if host.sum() > 0 else host)
    assert len(traced) == 2


def test_where_code_and_numpy_disagree_on_a_path_numpy_has_the_last_word(device: Standing):
    # an integer of Python's that no compiled path expects twice
    f = on_device(lambda x: np.arange(int(x)) + x)
    for n in (2, 5, 2):
        same(f(device.sent(np.array(float(n)))), np.arange(n) + float(n))


class Model:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    @on_device
    def apply(self, x: Any) -> Any:
        return x * self.scale

    @sad.jit(static_argnames="kind", device="cuda")
    def named(self, x: Any, kind: str) -> Any:
        return getattr(np, kind)(x)


def test_methods_are_jitted(device: Standing):
    model, other = Model(2.0), Model(3.0)
    same(model.apply(device.sent(X)), 2 * X)
    same(other.apply(X), 3 * X)
    same(model.named(X, "sin"), np.sin(X))
    assert ".visible .entry" in model.apply.lower(X).text("ptx")


@sad.jit(device="cuda")
def squared(x: Any) -> Any:
    return x * x


def test_jitted_functions_are_pickled():
    assert pickle.loads(pickle.dumps(squared)) is squared
    again = pickle.loads(pickle.dumps(sad.jit(np.sum, device="cuda")))
    same(again(X), np.sum(X))


# -- transforms -------------------------------------------------------------------------------------------------------


def test_derivatives_and_batches_are_jitted(device: Standing):
    def f(x: Any) -> Any:
        return np.sum(np.tanh(x) ** 2)

    x, stack = device.sent(X), np.stack([X, X + 1, X - 1])
    same(on_device(sad.grad(f))(x), sad.grad(f)(X))
    same(on_device(sad.vmap(sad.grad(f)))(device.sent(stack)), sad.vmap(sad.grad(f))(stack))
    same(on_device(sad.hessian(f))(device.sent(X[:4])), sad.hessian(f)(X[:4]))


def test_a_jitted_function_inside_of_another_or_of_a_derivative(device: Standing):
    inner = on_device(lambda x: np.sum(x * x))
    same(on_device(lambda x: inner(x) * 2)(device.sent(X)), 2 * np.sum(X * X))
    same(on_device(sad.grad(inner))(device.sent(X)), 2 * X)
    on_host = sad.jit(sad.grad(inner))(X)  # the outermost jit says where it runs
    assert isinstance(on_host, np.ndarray)
    np.testing.assert_allclose(on_host, 2 * X)
    np.testing.assert_allclose(sad.grad(inner)(X), 2 * X)
    same(on_device(sad.jit(lambda x: x + 1))(device.sent(X)), X + 1)


def test_loops_and_branches_run(device: Standing):
    def f(x: Any, n: Any) -> Any:
        y = sad.while_loop(lambda y: np.sum(y) < 500, lambda y: y * 1.5, x)
        z, ys = sad.scan(lambda c, v: (np.sin(c) + v, c), x, np.ones((6, 100)))
        w = sad.fori_loop(0, n, lambda k, c: c + k * x, x)
        return y, z, ys, sad.cond(np.sum(x) > 0, lambda x: x * 2, lambda x: x * 3, x), w

    for found, expected in zip(on_device(f)(device.sent(X), 5), sad.jit(f)(X, 5), strict=True):
        same(found, expected)
    g = sad.grad(lambda x: np.sum(f(x, 5)[1]))
    same(on_device(g)(device.sent(X)), g(X))


def test_a_batch_of_small_loops_has_a_thread_for_each_lane_where_the_outermost_jit_is_for_the_device():
    def f(x: Any) -> Any:
        return sad.while_loop(lambda y: y < 9, lambda y: y * y, x)

    lanes = np.linspace(2.0, 3.0, 50)
    inner, outer = on_device(sad.vmap(f)), on_device(lambda x: sad.jit(sad.vmap(f))(x))
    for jitted in (inner, outer):
        assert "length=50" in jitted.lower(lanes).text("program")
        same(jitted(lanes), sad.vmap(f)(lanes))
    assert "length=50" not in sad.jit(lambda x: inner(x)).lower(lanes).text("program")


def test_products_of_matrices_are_asked_of_cublas(device: Standing):
    rng = np.random.default_rng(0)
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        a, b, s = (rng.normal(size=n).astype(dtype) for n in ((40, 50), (50, 30), (3, 50, 40)))
        for f in (lambda a, b, s: a @ b, lambda a, b, s: b.T @ a.T, lambda a, b, s: s @ a, lambda a, b, s: a.T @ a):
            found = on_device(f)(device.sent(a), b, s).get()
            assert np.abs(found - f(a, b, s)).max() <= tolerance * np.abs(found).max()


def test_products_of_matrices_longer_than_32_bits_are_asked_of_cublas_itself(
    device: Standing, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cublas, "LONGEST", 40)
    a, b = np.random.default_rng(0).normal(size=(2, 41, 41))
    for f in (lambda a, b: a @ b, lambda a, b: a.T[:20] @ b):
        same(on_device(f)(device.sent(a), b), f(a, b))


# -- recordings -------------------------------------------------------------------------------------------------------


def in_a_row(x: Any) -> Any:
    return np.cumsum(np.sin(x)) + np.max(x)


def with_products(x: Any) -> Any:
    a = x.reshape(10, 10)
    for _ in range(2):
        a = np.tanh(np.kron(a, np.eye(4)) @ np.ones((40, 40)))[:10, :10] / (1 + np.max(np.cumsum(a)))
    return a


def with_products_in_a_loop(x: Any) -> Any:
    a = np.sin(x).reshape(10, 10)
    big = np.kron(a, np.eye(4))
    return sad.scan(lambda c, k: (np.tanh(big @ c / 40), k), big, np.arange(3))[0]


def with_a_guard(x: Any) -> Any:
    return np.cumsum(x) - np.max(x) if np.sum(x) > 0 else x


def with_a_loop(x: Any) -> Any:
    return sad.scan(lambda c, row: (np.sin(c) + row, np.sum(c)), x, np.ones((5, 100)))


def with_a_checkpointed_loop(x: Any) -> Any:
    def total(x: Any) -> Any:
        return np.sum(sad.scan(lambda c, row: (np.sin(c) * row, c), x, np.ones((9, 100)), checkpoint=2)[0])

    return sad.grad(total)(x)


def no_library(major: int) -> Cublas:
    found: Cublas = LOADED(0)  # there is no such version
    return found


LOADED = cublas.loaded

ALL = {1: [in_a_row, with_products, with_a_loop, with_a_checkpointed_loop, with_products_in_a_loop], 2: [with_a_guard]}
"""Functions by the number of graphs that each becomes."""


@pytest.mark.parametrize(("f", "graphs"), [(f, graphs) for graphs, functions in ALL.items() for f in functions])
def test_programs_are_recorded_at_addresses_that_are_met_again(
    f: Any, graphs: int, device: Standing, monkeypatch: pytest.MonkeyPatch
):
    assert launched(f, device, monkeypatch) == graphs


@pytest.mark.parametrize("library", [no_library, lambda major: Cublas(cupy.Library(status=1))])
def test_where_products_cannot_be_recorded_the_rows_between_them_are(
    library: Any, device: Standing, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(cublas.CublasError):
        library(13).product(np.dtype(float), 0)(*[0] * 18)
    monkeypatch.setattr(cublas, "loaded", library)
    assert launched(with_products, device, monkeypatch) == 2


class CUBLASError(RuntimeError):
    __module__ = "cupy_backends.cuda.libs.cublas"


@pytest.mark.parametrize("error", [CUBLASError("NOT_INITIALIZED"), cupy.OutOfMemoryError("of the library's memory")])
def test_what_fails_only_while_it_is_recorded_is_computed_without(
    error: Exception, device: Standing, monkeypatch: pytest.MonkeyPatch
):
    def handle() -> int:
        if Stream.capturing:
            raise error
        return 1

    monkeypatch.setattr(cupy.LIBRARY.cuda.device, "get_cublas_handle", handle)
    assert launched(with_products, device, monkeypatch) == 2
    assert not Stream.capturing


def launched(f: Any, device: Standing, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many graphs the last of five calls at the same addresses launches; results are right."""
    jitted, x, empty = on_device(f), device.sent(X), device.empty
    made: list[Any] = []

    def pooled(shape: Any, dtype: Any) -> Any:  # as a pool, whose memory each call finds free again
        number = next(turn)
        if number == len(made):
            made.append(empty(shape, dtype))
        return made[number]

    turn = itertools.count()
    jitted(x)
    monkeypatch.setattr(device, "empty", pooled)
    before = 0
    for k in range(5):
        turn, before = itertools.count(), Graph.launched
        x.host[...] = X + k
        for found, expected in zip(flatten(jitted(x))[0], flatten(f(X + k))[0], strict=True):
            same(found, expected)
    return Graph.launched - before


# -- stages -----------------------------------------------------------------------------------------------------------


def test_stages_are_shown(device: Standing):
    lowered = on_device(lambda x: np.sum(np.sin(x)) + x).lower(device.sent(X))
    assert "sin" in lowered.text("program")
    assert "threads" in lowered.text("loops")
    assert "define" in lowered.text("llvm")
    assert ".target sm_90" in lowered.text("ptx")
    with pytest.raises(ValueError, match="'program', 'loops', 'llvm' and 'ptx'"):
        lowered.text("asm")
    memory = lowered.memory()
    assert (memory.arguments, memory.results) == (800, 800)
    assert not memory.unknown
    growing = on_device(sad.grad(lambda x: sad.while_loop(lambda y: y < 9, lambda y: y * y, x)))
    assert growing.lower(2.0).memory().unknown
