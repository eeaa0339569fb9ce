"""Example rows of operations on complex numbers.

Invariant: random points lie off the branch cuts; edges lie on them, with zeros of both signs, for value checks only.
Start at ``COMPLEX``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tests.primitives.row import ANYWHERE, Row, generator, points

INF, NAN = np.inf, np.nan
EVERYWHERE: Any = ((0.3, 1.9), (-1.9, -0.3))
CUTS = tuple(complex(x, y) for x in (-2.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.5) for y in (0.0, -0.0))
CUTS += tuple(complex(y, x) for x in (-2.5, -0.5, 0.5, 2.5) for y in (0.0, -0.0))


def _row(
    name: str,
    label: str,
    expected: Callable[..., Any],
    arguments: Sequence[Any],
    linear: tuple[tuple[int, ...], ...] = (),
    smooth: bool = True,
    **params: Any,
) -> Row:
    suffix = "".join(f"-{value}" for value in params.values()).replace(" ", "")
    return Row(name, f"{label}{suffix}", tuple(arguments), expected, params, smooth, linear)


def _rows(
    name: str,
    expected: Callable[..., Any],
    operands: int = 1,
    linear: tuple[tuple[int, ...], ...] = (),
    smooth: bool = True,
    edges: Sequence[complex] = (),
    **params: Any,
) -> Iterator[Row]:
    """In both precisions, 0-d, and at `edges` in double precision."""
    rng = generator(f"complex {name}")
    for dtype, shape in (("complex128", (7,)), ("complex128", ()), ("complex64", (2, 3))):
        arguments = [points(rng, EVERYWHERE, shape, dtype) for _ in range(operands)]
        yield _row(name, f"{dtype}{list(shape)}", expected, arguments, linear, smooth, **params)
    if edges:
        yield _row(name, "complex-edges", expected, [np.array(edges)], (), False, **params)


def _parts() -> Iterator[Row]:
    rng = generator("parts")
    yield from _rows("real", np.real, linear=((0,),))
    yield from _rows("imag", np.imag, linear=((0,),))
    yield from _rows("conj", np.conj, linear=((0,),))
    yield from _rows("complex_abs", np.abs, edges=(0j, 3e200 + 4e200j, 3e-200 + 4e-200j, complex(INF, NAN)))
    yield from _rows("complex_sign", np.sign, edges=(0j, -2 + 0j, 3e200 + 4e200j, complex(INF, 1), complex(NAN, 1)))
    for dtype, shape in (("float64", (7,)), ("float64", ()), ("float32", (2, 3)), ("float64", (0,))):
        arguments = [points(rng, ANYWHERE, shape, dtype) for _ in range(2)]
        whole = np.result_type(dtype, np.complex64)
        expected = lambda a, b, whole=whole: (a + 1j * b).astype(whole)
        yield _row("complex", f"{dtype}{list(shape)}", expected, arguments, ((0,), (1,), (0, 1)))


def _arithmetic() -> Iterator[Row]:
    both = ((0,), (1,), (0, 1))
    yield from _rows("add", np.add, 2, both)
    yield from _rows("sub", np.subtract, 2, both)
    yield from _rows("neg", np.negative, 1, both[:1])
    yield from _rows("mul", np.multiply, 2, both[:2])
    yield from _rows("scale", np.multiply, 2, both[:2])
    yield from _rows("div", np.true_divide, 2, both[:1])
    yield from _rows("eq", np.equal, 2)
    yield from _rows("ne", np.not_equal, 2)
    yield from _rows("power", np.power, 2)
    for n in (-2, -1, 0, 1, 2, 5):
        yield from _rows("integer_pow", lambda z, *, n: np.power(z, np.asarray(z).dtype.type(n)), n=n)
    huge = [3e300 + 1e300j, 1e-300 + 1e-300j, 1 + 0j, 0j], [1e300 + 2e300j, 3e-300 - 1e-300j, 0j, 2j]
    yield _row("div", "complex-huge", np.true_divide, [np.array(x) for x in huge], smooth=False)
    absorbing = [0j, 0j, complex(INF, 0), complex(0, 2)], [complex(INF, 1), complex(0, NAN), 0j, complex(-0.0, 3)]
    expected = lambda t, p: np.array([0j, 0j, 0j, -6 + 0j])
    yield _row("scale", "complex-absorbing", expected, [np.array(x) for x in absorbing], smooth=False)


def _functions() -> Iterator[Row]:
    for name in ("exp", "exp2", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh"):
        yield from _rows(name, getattr(np, name), edges=CUTS)
    for name in ("sqrt", "arcsin", "arccos", "arccosh", "arctanh", "arctan", "arcsinh"):
        poles = {"arctanh": (1, -1), "arctan": (1j, -1j)}.get(name, ())
        yield from _rows(name, getattr(np, name), edges=[z for z in CUTS if z not in poles])
    for name in ("log", "log2", "log10"):
        yield from _rows(name, getattr(np, name), edges=[z for z in CUTS if z != 0])
    yield from _rows("log1p", np.log1p, edges=[z for z in CUTS if z != -1])
    yield _row("exp", "complex-overflow", np.exp, [np.array([709.9 + 1.57j, 800 + 0j, -800 + 1j])], smooth=False)
    yield _row("tanh", "complex-far", np.tanh, [np.array([400 + 1j, -400 + 1j, 1e-20 + 1j])], smooth=False)
    yield _row("sqrt", "complex-huge", np.sqrt, [np.array([1e308 + 1e308j, 1e-308j, -1e300 + 1j])], smooth=False)
    yield _row("arctanh", "complex-huge", np.arctanh, [np.array([1e200 + 1e200j, -1e200 + 1j, 2e9j])], smooth=False)


def _structure() -> Iterator[Row]:
    rng = generator("complex structure")
    z, w = (points(rng, EVERYWHERE, (2, 3), "complex128") for _ in range(2))
    yield _row("select", "complex", np.where, [rng.random((2, 3)) < 0.5, z, w], ((1,), (2,), (1, 2)))
    first = ((0,),)
    yield _row("broadcast", "complex", lambda z, **_: np.stack([z, z]), [z], first, shape=(2, 2, 3), dims=(1, 2))
    yield _row("reshape", "complex", lambda z, *, shape: z.reshape(shape), [z], first, shape=(3, 2))
    yield _row("transpose", "complex", lambda z, **_: z.T, [z], first, permutation=(1, 0))
    yield _row("slice", "complex", lambda z, **_: z[:, ::2], [z], first, start=(0, 0), stop=(2, 3), step=(1, 2))
    yield _row("reverse", "complex", lambda z, **_: z[::-1], [z], first, axes=(0,))
    yield _row("pad", "complex", lambda z, **_: np.pad(z, ((1, 0), (0, 2))), [z], first, low=(1, 0), high=(0, 2))
    yield _row(
        "concatenate",
        "complex",
        lambda z, w, *, axis: np.concatenate([z, w], axis),
        [z, w],
        ((0,), (1,), (0, 1)),
        axis=1,
    )
    yield _row("reduce_sum", "complex", lambda z, *, axes: z.sum(axes), [z], first, axes=(0, 1))
    yield _row("reduce_prod", "complex", lambda z, *, axes: z.prod(axes), [z], axes=(0, 1))
    yield _row("reduce_prod", "complex-empty", lambda z, *, axes: z.prod(axes), [z[:, :0]], axes=(1,))
    yield _row("stop_gradient", "complex", lambda z: z + 0, [z], smooth=False)
    yield from _moving(z, w)
    axes: Any = {"contract": ((1,), (0,)), "batch": ((), ())}
    for a, b in ((z, w.T), (z.astype(np.complex64), w.T.astype(np.complex64))):
        yield _row("dot_general", f"complex-{a.dtype}", lambda a, b, **_: a @ b, [a, b], ((0,), (1,)), **axes)
    casts = [("float64", "complex128"), ("float32", "complex128"), ("complex64", "complex128")]
    for source, target in [*casts, ("int64", "complex64"), ("complex128", "bool")]:
        x = z.astype(source) if source.startswith("c") else z.real.astype(source)
        yield _row(
            "cast",
            f"{source}-{target}",
            lambda x, *, dtype, weak: x.astype(dtype),
            [x],
            first if (source, target) in casts else (),
            target != "bool",
            dtype=np.dtype(target),
            weak=False,
        )


def _moving(z: Any, w: Any) -> Iterator[Row]:
    first, both = ((0,),), ((0,), (1,), (0, 1))
    places = np.array([2, 0, 0, 1])
    where: Any = {"axes": (1,), "batch": 0}
    wide = np.concatenate([z, w], 1)[:, :4]
    yield _row("gather", "complex", lambda z, i, **_: np.moveaxis(z[:, i], 0, 1), [z, places], first, **where)
    for mode, ufunc in (("add", np.add), ("set", None)):
        expected = lambda z, u, i, ufunc=ufunc, **_: _scattered(z, u, i, ufunc)
        yield _row("scatter", "complex", expected, [z, wide.T, places], both, mode=mode, unique=False, **where)
    yield _row("update", "complex", _updated, [z, w[:1, :2]], both, start=(1, 0), step=(1, 2))
    along: Any = {"axis": 1, "reverse": False}
    yield _row("cumsum", "complex", lambda z, **_: np.cumsum(z, 1), [z], first, **along)
    yield _row("cumprod", "complex", lambda z, **_: np.cumprod(z, 1), [z], **along)
    yield _row("recurrence", "complex", _recurred, [z, w], ((1,),), **along)
    order = np.array([[2, 0, 1], [1, 2, 0]])
    yield _row("permute", "complex", lambda z, o, *, axis: np.take_along_axis(z, o, axis), [z, order], first, axis=1)


def _scattered(z: Any, u: Any, places: Any, ufunc: Any) -> Any:
    found = z.copy()
    for k, place in enumerate(places):
        found[:, place] = u[k] if ufunc is None else ufunc(found[:, place], u[k])
    return found


def _updated(z: Any, u: Any, *, start: Any, step: Any) -> Any:
    found = z.copy()
    found[start[0] :: step[0], start[1] :: step[1]] = u
    return found


def _recurred(a: Any, b: Any, **_: Any) -> Any:
    h = b.copy()
    for k in range(1, b.shape[1]):
        h[:, k] += a[:, k] * h[:, k - 1]
    return h


COMPLEX = [*_parts(), *_arithmetic(), *_functions(), *_structure()]
