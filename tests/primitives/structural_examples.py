"""Example rows of the primitives that move, reduce or multiply arrays, and of call.

Invariant: empty arrays, 0-d arrays and axes of length 1 are among the rows of every one.
Start at ``STRUCTURAL``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from staged_ad.ir import Program, type_of
from staged_ad.tracing import trace_flat
from tests.primitives.row import OFF_ZERO, Row, generator, points

INF, NAN = np.inf, np.nan


def _array(name: str, shape: tuple[int, ...], dtype: str = "float64") -> Any:
    return points(
        generator(f"{name}{shape}{dtype}"), OFF_ZERO if dtype.startswith("f") else ((0.0, 9.0),), shape, dtype
    )


def _moves(
    name: str, expected: Callable[..., Any], shape: tuple[int, ...], dtypes: str = "float64", /, **params: Any
) -> Iterator[Row]:
    """Rows of an operation that is linear in its one operand."""
    for dtype in dtypes.split():
        label = f"{dtype}{list(shape)}-" + "-".join(str(v).replace(" ", "") for v in params.values())
        linear = ((0,),) if dtype.startswith("f") else ()
        yield Row(name, label, (_array(name, shape, dtype),), expected, params, True, linear)


def _broadcast(x: Any, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    missing = [d for d in range(len(shape)) if d not in dims]
    return np.broadcast_to(np.expand_dims(x, missing), shape)


def _slice(x: Any, *, start: Any, stop: Any, step: Any) -> Any:
    return x[tuple(slice(*bounds) for bounds in zip(start, stop, step, strict=True))]


def _pad(x: Any, *, low: Any, high: Any) -> Any:
    result = np.zeros([a + n + b for a, n, b in zip(low, x.shape, high, strict=True)], x.dtype)
    result[tuple(slice(a, a + n) for a, n in zip(low, x.shape, strict=True))] = x
    return result


def _shapes() -> Iterator[Row]:
    every = "float64 float32 int32 bool"
    yield from _moves("broadcast", _broadcast, (3,), every, shape=(2, 3), dims=(1,))
    yield from _moves("broadcast", _broadcast, (3,), shape=(3, 2), dims=(0,))
    yield from _moves("broadcast", _broadcast, (), shape=(2, 3), dims=())
    yield from _moves("broadcast", _broadcast, (), shape=(), dims=())
    yield from _moves("broadcast", _broadcast, (3, 1), shape=(3, 4), dims=(0, 1))
    yield from _moves("broadcast", _broadcast, (1, 1), shape=(1, 3, 1), dims=(1, 2))
    yield from _moves("broadcast", _broadcast, (1,), shape=(0, 3), dims=(0,))
    yield from _moves("broadcast", _broadcast, (0,), shape=(2, 0), dims=(1,))
    yield from _moves("broadcast", _broadcast, (2, 3), shape=(2, 4, 3), dims=(0, 2))

    def reshaped(x: Any, *, shape: Any) -> Any:
        return np.array(list(x.flat), x.dtype).reshape(shape)

    yield from _moves("reshape", reshaped, (2, 3), every, shape=(3, 2))
    yield from _moves("reshape", reshaped, (1, 1), shape=())
    yield from _moves("reshape", reshaped, (), shape=(1, 1))
    yield from _moves("reshape", reshaped, (0, 3), shape=(2, 0))
    yield from _moves("reshape", reshaped, (2, 3, 4), shape=(4, 1, 6))

    def transposed(x: Any, *, permutation: Any) -> Any:
        letters = "ijkl"[: x.ndim]
        return np.einsum(f"{letters}->{''.join(letters[k] for k in permutation)}", x)

    yield from _moves("transpose", transposed, (2, 3), every, permutation=(1, 0))
    yield from _moves("transpose", transposed, (2, 3, 4), permutation=(2, 0, 1))
    yield from _moves("transpose", transposed, (2, 1, 0, 3), permutation=(3, 1, 0, 2))
    yield from _moves("transpose", transposed, (), permutation=())

    yield from _moves("slice", _slice, (7,), every, start=(1,), stop=(6,), step=(2,))
    yield from _moves("slice", _slice, (7,), start=(0,), stop=(7,), step=(3,))
    yield from _moves("slice", _slice, (7,), start=(3,), stop=(3,), step=(1,))
    yield from _moves("slice", _slice, (7,), start=(7,), stop=(7,), step=(1,))
    yield from _moves("slice", _slice, (7,), start=(5,), stop=(2,), step=(2,))
    yield from _moves("slice", _slice, (7,), start=(6,), stop=(7,), step=(5,))
    yield from _moves("slice", _slice, (3, 4), start=(1, 0), stop=(3, 4), step=(1, 2))
    yield from _moves("slice", _slice, (5, 6), start=(0, 1), stop=(5, 6), step=(2, 3))
    yield from _moves("slice", _slice, (0, 3), start=(0, 1), stop=(0, 2), step=(1, 1))
    yield from _moves("slice", _slice, (), start=(), stop=(), step=())

    def reversed_(x: Any, *, axes: Any) -> Any:
        return x[tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(x.ndim))]

    yield from _moves("reverse", reversed_, (4,), every, axes=(0,))
    yield from _moves("reverse", reversed_, (2, 3), axes=(0, 1))
    yield from _moves("reverse", reversed_, (2, 1, 3), axes=(1, 2))
    yield from _moves("reverse", reversed_, (0, 2), axes=(0,))
    yield from _moves("reverse", reversed_, (2,), axes=())

    yield from _moves("pad", _pad, (3,), every, low=(1,), high=(2,))
    yield from _moves("pad", _pad, (2, 3), low=(0, 1), high=(2, 0))
    yield from _moves("pad", _pad, (0, 2), low=(1, 0), high=(1, 0))
    yield from _moves("pad", _pad, (1, 1), low=(2, 0), high=(0, 2))


def _concatenate() -> Iterator[Row]:
    def joined(*xs: Any, axis: int) -> Any:
        moved = [row for x in xs for row in np.moveaxis(x, axis, 0)]
        shape = list(xs[0].shape)
        shape[axis] = len(moved)
        return np.moveaxis(np.array(moved, xs[0].dtype).reshape(len(moved), *np.delete(shape, axis)), 0, axis)

    for label, shapes, axis in [
        ("two", [(2,), (3,)], 0),
        ("one", [(3,)], 0),
        ("columns", [(2, 1), (2, 3), (2, 2)], 1),
        ("empty", [(0, 2), (3, 2)], 0),
        ("middle", [(2, 1, 3), (2, 2, 3)], 1),
    ]:
        for dtype in ("float64", "float32", "int64", "bool"):
            arguments = tuple(_array(f"concatenate{k}", s, dtype) for k, s in enumerate(shapes))
            everything = tuple(range(len(shapes)))
            linear = ((0,), everything, everything[-1:]) if dtype.startswith("f") else ()
            yield Row("concatenate", f"{label}-{dtype}", arguments, joined, {"axis": axis}, True, linear)


def _iota() -> Iterator[Row]:
    def index(*, shape: Any, dtype: Any, axis: int) -> Any:
        return np.indices(shape)[axis].astype(dtype)

    for shape, axis in [((5,), 0), ((2, 3), 1), ((2, 3), 0), ((0, 2), 0), ((1, 4), 1)]:
        for dtype in ("int64", "int32", "float64", "float32"):
            yield Row(
                "iota",
                f"{dtype}{list(shape)}{axis}",
                (),
                index,
                {"shape": shape, "dtype": np.dtype(dtype), "axis": axis},
            )


REDUCED: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((19,), (0,)),
    ((67, 3), (0,)),
    ((3, 5), (1,)),
    ((3, 4), (0, 1)),
    ((2, 3, 4), (0, 2)),
    ((2, 3, 4), (1,)),
    ((1, 3), (0,)),
    ((1,), (0,)),
    ((2, 3), ()),
    ((), ()),
    ((0, 3), (1,)),
]
EMPTY: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((0,), (0,)), ((0, 3), (0,)), ((2, 0), (0, 1))]


def _fold(
    name: str, expected: Callable[..., Any], kinds: str, empty: bool = True, linear: bool = False
) -> Iterator[Row]:
    def along(x: Any, *, axes: Any) -> Any:
        return np.asarray(expected(x, axis=axes)).astype(x.dtype)

    for shape, axes in REDUCED + (EMPTY if empty else []):
        for dtype in kinds.split():
            x = _array(name, shape, dtype)
            if dtype == "bool":
                x = generator(f"{name}{shape}").random(shape) < 0.5
            if dtype.startswith("f") and name in ("reduce_max", "reduce_min"):  # no ties
                x = generator(f"{name}{shape}").permutation(np.linspace(-2, 2, x.size)).reshape(shape).astype(dtype)
            sets = ((0,),) if linear and dtype.startswith("f") else ()
            yield Row(name, f"{dtype}{list(shape)}{list(axes)}", (x,), along, {"axes": axes}, True, sets)
    if "float64" in kinds:
        for label, x in [
            ("nan", [[1.0, NAN, 3.0], [4.0, 5.0, 6.0]]),
            ("infinite", [[1.0, INF, 3.0], [-INF, 5.0, INF]]),
            ("ties", [[2.0, 2.0, 1.0], [0.0, -0.0, 0.0]]),
        ]:
            yield Row(name, label, (np.array(x),), along, {"axes": (1,)}, False)


def _reductions() -> Iterator[Row]:
    numbers = "float64 float32 int64 int32 uint8"
    yield from _fold("reduce_sum", np.sum, numbers, linear=True)
    yield from _fold("reduce_prod", np.prod, numbers)
    yield from _fold("reduce_max", np.max, numbers + " bool", empty=False)
    yield from _fold("reduce_min", np.min, numbers + " bool", empty=False)
    yield from _fold("reduce_or", np.any, "bool")
    yield from _fold("reduce_and", np.all, "bool")
    one_zero, two_zeros = np.array([2.0, 0.0, 3.0, 5.0]), np.array([[2.0, 0.0, 3.0, 0.0], [0.0, 4.0, 1.0, 2.0]])
    yield Row("reduce_prod", "one zero", (one_zero,), lambda x, *, axes: np.prod(x, axis=axes), {"axes": (0,)})
    yield Row("reduce_prod", "two zeros", (two_zeros,), lambda x, *, axes: np.prod(x, axis=axes), {"axes": (1,)})
    for name, expected in (("argmax", np.argmax), ("argmin", np.argmin)):
        for shape, axis in [((19,), 0), ((3, 5), 1), ((3, 5), 0), ((2, 3, 2), 1), ((1,), 0), ((0, 2), 1)]:
            for dtype in ("float64", "float32", "int64", "uint8", "bool"):
                x = _array(name, shape, dtype)
                yield Row(name, f"{dtype}{list(shape)}{axis}", (x,), _at(expected), {"axis": axis})
        special = np.array([[1.0, NAN, 3.0, NAN], [2.0, 1.0, 2.0, 1.0], [INF, INF, -INF, -INF]])
        yield Row(name, "nan, ties, infinities", (special,), _at(expected), {"axis": 1}, False)


def _at(expected: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *, axis: np.asarray(expected(x, axis=axis), "int64")


PRODUCTS = [
    # subscripts, shape of a, shape of b, contract, batch
    ("i,i->", (5,), (5,), ((0,), (0,)), ((), ())),
    ("ij,jk->ik", (2, 3), (3, 4), ((1,), (0,)), ((), ())),
    ("ij,j->i", (2, 3), (3,), ((1,), (0,)), ((), ())),
    ("i,ij->j", (2,), (2, 3), ((0,), (0,)), ((), ())),
    ("ji,kj->ik", (3, 2), (4, 3), ((0,), (1,)), ((), ())),
    ("i,j->ij", (2,), (3,), ((), ()), ((), ())),
    (",j->j", (), (3,), ((), ()), ((), ())),
    (",->", (), (), ((), ()), ((), ())),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 2), ((2,), (1,)), ((0,), (0,))),
    ("ibj,jkb->bik", (3, 2, 4), (4, 2, 2), ((2,), (0,)), ((1,), (2,))),
    ("abi,bia->ab", (2, 3, 4), (3, 4, 2), ((2,), (1,)), ((0, 1), (2, 0))),
    ("ijk,kil->jl", (2, 3, 4), (4, 2, 5), ((0, 2), (1, 0)), ((), ())),
    ("b,b->b", (3,), (3,), ((), ()), ((0,), (0,))),
    ("ij,jk->ik", (2, 0), (0, 3), ((1,), (0,)), ((), ())),
    ("ij,jk->ik", (0, 2), (2, 3), ((1,), (0,)), ((), ())),
    ("bij,bjk->bik", (0, 2, 3), (0, 3, 2), ((2,), (1,)), ((0,), (0,))),
    ("ij,jk->ik", (1, 1), (1, 1), ((1,), (0,)), ((), ())),
    ("ij,jk->ik", (17, 33), (33, 9), ((1,), (0,)), ((), ())),
    ("ij,ij->", (3, 4), (3, 4), ((0, 1), (0, 1)), ((), ())),
]


def _products() -> Iterator[Row]:
    for subscripts, left, right, contract, batch in PRODUCTS:
        for dtype in ("float64", "float32", "int64"):
            a, b = _array("a", left, dtype), _array("b", right, dtype)
            linear = ((0,), (1,)) if dtype.startswith("f") else ()

            def expected(a: Any, b: Any, subscripts: str = subscripts, **_: Any) -> Any:
                return np.asarray(np.einsum(subscripts, a, b)).astype(a.dtype)

            params = {"contract": contract, "batch": batch}
            yield Row(
                "dot_general", f"{dtype}{list(left)}{list(right)}-{subscripts}", (a, b), expected, params, True, linear
            )


def _program(f: Callable[..., Any], *arguments: Any) -> Program:
    return trace_flat(f, [type_of(x) for x in arguments], "inner")[0]


def _call() -> Iterator[Row]:
    x, y, n = _array("call x", (2, 3)), _array("call y", (3,)), np.array([3, 1, 2])

    def curved(x: Any, y: Any) -> list[Any]:
        return [np.sin(x) * y, np.sum(np.exp(y), axis=0), x]

    def straight(x: Any, y: Any) -> list[Any]:
        return [2.0 * x - y, np.sum(x, axis=0)]

    def mixed(x: Any, n: Any) -> list[Any]:
        return [x * n, n + 1]

    def expecting(f: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *xs, program: f(*xs)

    yield Row("call", "curved", (x, y), expecting(curved), {"program": _program(curved, x, y)})
    linear = ((0,), (1,), (0, 1))
    yield Row("call", "linear", (x, y), expecting(straight), {"program": _program(straight, x, y)}, True, linear[2:])
    yield Row("call", "integers", (x, n), expecting(mixed), {"program": _program(mixed, x, n)}, False)
    single = np.float32(0.5)
    yield Row(
        "call",
        "f32[]",
        (single,),
        expecting(lambda x: [np.tanh(x)]),
        {"program": _program(lambda x: [np.tanh(x)], single)},
    )


STRUCTURAL = [*_shapes(), *_concatenate(), *_iota(), *_reductions(), *_products(), *_call()]
