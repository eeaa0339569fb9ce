"""Row: one example of one primitive, and the makers of the usual rows of an elementwise operation.

Invariant: the expected value is an expression of NumPy or SciPy that does not use the package under test.
Start at ``Row``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from staged_ad.ir import PRIMITIVES, Program, type_of
from staged_ad.tracing import building

Interval = tuple[float, float]
ANYWHERE: Sequence[Interval] = ((-2.0, 2.0),)
OFF_ZERO: Sequence[Interval] = ((0.3, 2.0), (-2.0, -0.3))
POSITIVE: Sequence[Interval] = ((0.3, 3.0),)
OFF_INTEGERS: Sequence[Interval] = ((0.2, 0.4), (-1.8, -1.6), (2.6, 2.8))
SHAPES: Sequence[tuple[int, ...]] = ((19,), (), (2, 1, 3), (0, 3))
INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64")


def permuted(x: Any) -> Any:
    """Three arrays with the elements of `x`, each in an order of its own."""
    x = np.asarray(x)
    return np.stack([x, np.roll(x.ravel(), 1).reshape(x.shape), x.ravel()[::-1].reshape(x.shape)])


@dataclass(frozen=True)
class Row:
    """``primitive[params] arguments`` and the expression that it should equal.

    smooth
        Whether derivatives are compared with finite differences; False at kinks.
    linear
        The sets of operands that the primitive is jointly linear in.
    fixed
        Floating-point operands that it cannot be differentiated in.
    direction
        Makes a random array one of the directions in which derivatives are compared with finite differences.
    stack
        Makes three arguments of one, for batches.
    """

    primitive: str
    label: str
    arguments: tuple[Any, ...]
    expected: Callable[..., Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    smooth: bool = True
    linear: tuple[tuple[int, ...], ...] = ()
    fixed: tuple[int, ...] = ()
    direction: Callable[[Any], Any] = lambda x: x
    stack: Callable[[Any], Any] = permuted

    @property
    def id(self) -> str:
        return f"{self.primitive}-{self.label}"

    @property
    def floating(self) -> list[bool]:
        return [np.asarray(x).dtype.kind in "fc" and k not in self.fixed for k, x in enumerate(self.arguments)]

    @property
    def differentiable(self) -> bool:
        """Whether it can be compared with finite differences: smooth, in double precision."""
        kinds = {np.asarray(x).dtype.name for x in self.arguments}
        return (
            self.smooth
            and not kinds.isdisjoint({"float64", "complex128"})
            and kinds.isdisjoint({"float32", "complex64"})
            and all(t.dtype in (float, complex) for t in self.program.output_types)
        )

    @property
    def program(self) -> Program:
        """The program of this one equation."""
        primitive = PRIMITIVES[self.primitive]
        with building() as trace:
            inputs = trace.add_inputs(map(type_of, self.arguments))
            result = trace.emit(primitive, inputs, dict(self.params))
            return trace.finish(result if primitive.multiple_results else [result], self.primitive)[0]

    @property
    def results(self) -> list[Any]:
        """The expected outputs."""
        with np.errstate(all="ignore"):
            result = self.expected(*self.arguments, **self.params)
        return list(result) if isinstance(result, list) else [result]


def generator(name: str) -> np.random.Generator:
    """The same random numbers for the same name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def points(rng: np.random.Generator, intervals: Sequence[Interval], shape: tuple[int, ...], dtype: str) -> Any:
    """Random numbers, the intervals taking turns; of complex ones both parts lie there."""
    size = int(np.prod(shape, dtype=int))
    bounds = np.array([intervals[k % len(intervals)] for k in range(size)]).reshape(size, 2)
    if np.dtype(dtype).kind == "c":
        parts = rng.uniform(bounds[:, 0], bounds[:, 1], (2, size))
        return (parts[0] + 1j * parts[1]).reshape(shape).astype(dtype)
    return rng.uniform(bounds[:, 0], bounds[:, 1]).reshape(shape).astype(dtype)


def elementwise_rows(
    name: str,
    expected: Callable[..., Any],
    *intervals: Sequence[Interval],
    kinds: str = "f",
    edges: Sequence[Sequence[float]] = (),
    integers: Callable[[np.random.Generator, str], Sequence[Any]] | None = None,
    linear: tuple[tuple[int, ...], ...] = (),
    **params: Any,
) -> Iterator[Row]:
    """Rows over shapes and dtypes, with random points of the given intervals, one set of them per operand.

    `edges` holds one sequence of values per operand, for value checks in both precisions; `integers` makes integer
    arguments of a dtype.
    """
    rng = generator(name)
    suffix = "".join(f"-{value}" for value in params.values())

    def row(label: str, arguments: Sequence[Any], smooth: bool = True) -> Row:
        return Row(name, label + suffix, tuple(arguments), expected, params, smooth, linear if smooth else ())

    if "f" in kinds:
        for shape in SHAPES:
            yield row(f"f64{list(shape)}", [points(rng, i, shape, "float64") for i in intervals])
        yield row("f32[21]", [points(rng, i, (21,), "float32") for i in intervals])
        yield row("f32[]", [points(rng, i, (), "float32") for i in intervals])
        for dtype in ("float64", "float32") if edges else ():
            with np.errstate(over="ignore"):
                yield row(f"edges-{dtype}", [np.array(values).astype(dtype) for values in edges], False)
    if "c" in kinds:
        for shape in SHAPES[:2]:
            yield row(f"c128{list(shape)}", [points(rng, i, shape, "complex128") for i in intervals])
        yield row("c64[5]", [points(rng, i, (5,), "complex64") for i in intervals])
    draw = integers or (lambda rng, dtype: [rng.integers(0, 9, 37).astype(dtype) for _ in intervals])
    if "i" in kinds:
        for dtype in INTEGERS:
            if "u" in kinds or dtype.startswith("i"):
                yield row(f"{dtype}[37]", draw(rng, dtype), False)
        yield row("int64[]", [np.asarray(x)[0] for x in draw(rng, "int64")], False)
    if "b" in kinds:
        yield row("bool[37]", [rng.random(37) < 0.5 for _ in intervals], False)
        yield row("bool[0]", [np.zeros(0, bool) for _ in intervals], False)
