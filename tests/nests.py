"""Random nests of loops, branches and transforms as trees.

A nest maps a state to a state. One interpreter, ``run``, serves two languages: ``staged_ad`` itself, and ``Plain``
(plain.py), which has the same functions as Python loops, Python branches and finite differences.

Invariant: values stay below 10; statements are smooth, so only decisions (predicates, trip counts) have jumps.
Start at ``State``, ``run`` and ``nests``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

SIZE = 3
MATRIX = np.array([[0.3, -0.5, 0.2], [0.1, 0.4, -0.6], [-0.7, 0.2, 0.1]])
RAMP = np.array([0.5, -1.0, 0.25, 1.0, -0.5])  # powers of two are exact in float32


class State(NamedTuple):
    """A number, a vector of SIZE, a float32, a counter."""

    s: Any
    v: Any
    w: Any
    k: Any


# -- trees ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """A part of a state: depth 0 is the state of this block, 1 that of the block around it, and so on."""

    name: str
    depth: int = 0


@dataclass(frozen=True)
class Update:
    """``target = operation(a, b)``."""

    target: str
    operation: str
    a: Read
    b: Read


Block = tuple[Any, ...]
"""Statements, one after the other."""


@dataclass(frozen=True)
class Scan:
    body: Block
    length: int
    reverse: bool
    checkpoint: int | None
    xs: bool


@dataclass(frozen=True)
class While:
    """At most `bound` iterations, or as many as the counter of the state says (modulo 4)."""

    body: Block
    bound: int | None
    threshold: float
    a: Read
    checkpoint: int | None


@dataclass(frozen=True)
class For:
    """``range(lower, upper)``; an upper bound of None is the counter of the state (modulo 4)."""

    body: Block
    lower: int
    upper: int | None
    checkpoint: int | None


@dataclass(frozen=True)
class Each:
    """The body for each element of the vector, by map or vmap; what `mapped` names differs from lane to lane."""

    body: Block
    how: str
    mapped: str


@dataclass(frozen=True)
class Prefix:
    """An associative scan: of the vector, or of pairs that compose affine maps."""

    how: str
    reverse: bool


@dataclass(frozen=True)
class Cond:
    a: Read
    threshold: float
    body: Block
    other: Block


@dataclass(frozen=True)
class Switch:
    branches: tuple[Block, ...]


@dataclass(frozen=True)
class Wrapped:
    """The body under jit or checkpoint."""

    body: Block
    how: str


@dataclass(frozen=True)
class Derivative:
    """What the body's derivative adds to the state, by jvp, grad or vjp."""

    body: Block
    how: str


# -- the interpreter ------------------------------------------------------------------------------------------------

SCALARS: dict[str, Callable[[Any, Any], Any]] = {
    "sine": lambda a, b: np.sin(a + 0.7 * b),
    "product": lambda a, b: np.tanh(a) * np.cos(b),
    "bell": lambda a, b: np.exp(-a * a) * 0.9 + 0.1 * np.sin(b),
    "quotient": lambda a, b: np.sin(a) / (1.5 + np.cos(b)),
    "damped": lambda a, b: 0.6 * np.sin(a) - 0.3 * np.arctan(b),
    "constant": lambda a, b: 0.5,
    "copy": lambda a, b: 1.0 * np.tanh(a),
}
VECTORS: dict[str, Callable[[Any, Any], Any]] = {
    "sine": lambda v, b: np.sin(v + b),
    "turned": lambda v, b: v[::-1] * np.cos(b),
    "matrix": lambda v, b: MATRIX @ v + 0.2 * np.sin(b),
    "element": lambda v, b: np.tanh(v * v[0] + b),
    "joined": lambda v, b: np.concatenate([v[1:] * 0.8, np.reshape(np.sin(b), (1,))]),
    "stacked": lambda v, b: np.stack([v[2], np.tanh(b), v[0] * 0.5]),
    "constant": lambda v, b: RAMP[:SIZE],
}
COUNTERS: dict[str, Callable[[Any, Any], Any]] = {
    "next": lambda k, a: k + 1,
    "double": lambda k, a: (2 * k + 1) % 5,
    "sign": lambda k, a: k + (a > 0.05),
    "constant": lambda k, a: 2,
}


def number(x: Any) -> Any:
    """A part of a state as one number of float64."""
    if np.ndim(x):
        return 0.4 * np.sum(x) + 0.3 * x[1]
    if isinstance(x, float | int):
        return x
    return x if x.dtype == np.float64 else x.astype(np.float64)


@dataclass(frozen=True)
class Nest:
    """A block as function of a state, in the language of `staged_ad` or of a `Plain`."""

    block: Block

    @property
    def single(self) -> bool:
        """Whether something is rounded to float32."""
        return "target='w'" in repr(self.block)

    def holds(self, kind: type) -> bool:
        """Whether a statement of this kind is in it."""
        return f"{kind.__name__}(" in repr(self.block)

    def __call__(self, language: Any, s: Any, v: Any, k: Any) -> State:
        single = getattr(language, "single", np.float32)
        return run(language, self.block, State(s, v, single(0.25), k), (), single)

    def total(self, language: Any, s: Any, v: Any, k: Any) -> Any:
        """One number that depends on all parts of the result."""
        end = self(language, s, v, k)
        return end.s + np.sum(end.v * RAMP[:SIZE]) + 0.5 * number(end.w)


def run(language: Any, block: Block, state: State, around: tuple[State, ...], single: Any) -> State:
    """The state after the statements of `block`; `around` are the states in which the blocks around it stand."""
    for statement in block:
        state = _step(language, statement, state, around, single)
    return state


def _step(language: Any, node: Any, state: State, around: tuple[State, ...], single: Any) -> State:
    frames = (state, *around)
    read = lambda r, inside=(): getattr((*inside, *frames)[r.depth % (len(inside) + len(frames))], r.name)
    enter = lambda block, inside, *more: run(language, block, inside, (*more, *frames), single)
    trips = lambda: np.abs(state.k) % 4
    s, v, w, k = state
    match node:
        case Update(target, operation, a, b):
            if target == "v":
                return state._replace(v=VECTORS[operation](v if a.name != "v" else read(a), number(read(b))))
            if target == "k":
                return state._replace(k=COUNTERS[operation](k, number(read(a))))
            x = SCALARS[operation](number(read(a)), number(read(b)))
            return (
                state._replace(s=x)
                if target == "s"
                else state._replace(w=np.tanh(0.5 * w + single(1) * _to(x, single)))
            )
        case Scan(body, length, reverse, checkpoint, has_xs):
            ramp = RAMP[:length]
            xs = State(s * ramp, v * ramp[:, None], w * ramp.astype(single), k + np.arange(length)) if has_xs else None

            def step(carry: State, x: Any) -> tuple[State, Any]:
                after = enter(body, carry, *([] if x is None else [x]))
                return after, (after.s, number(after.v) * carry.v)

            end, (ss, vs) = language.scan(step, state, xs, length=length, reverse=reverse, checkpoint=checkpoint)
            return end._replace(s=end.s + 0.5 * np.sum(ss * ramp), v=0.5 * end.v + 0.3 * np.sum(vs * ramp[:, None], 0))
        case While(body, bound, threshold, a, checkpoint):
            most = trips() if bound is None else bound
            test = lambda carry: (carry[0] < most) & (np.sin(3 * number(read(a, (carry[1],)))) < threshold)
            after = language.while_loop(
                test, lambda carry: (carry[0] + 1, enter(body, carry[1])), (0, state), checkpoint=checkpoint
            )
            return after[1]._replace(k=after[0] + after[1].k)
        case For(body, lower, upper, checkpoint):
            last = trips() if upper is None else upper
            count = lambda i, carry: enter(body, carry._replace(k=i + carry.k))
            return language.fori_loop(lower, last, count, state, checkpoint=checkpoint)
        case Each(body, how, mapped):
            lanes = (v, k + np.arange(SIZE)) if "k" in mapped else (v,)
            inside = lambda x, i=k: enter(body, State(x, v * x, w, i))[:2]
            if how == "vmap":
                ss, vs = language.vmap(inside)(*lanes)
            else:
                ss, vs = language.map(lambda xs: inside(*xs), lanes)
            return state._replace(s=0.5 * s + 0.3 * np.sum(ss * RAMP[:SIZE]), v=0.5 * ss + 0.25 * np.sum(vs, 0))
        case Prefix("affine", reverse):
            compose = lambda f, g: (f[0] * g[0], f[1] * g[0] + g[1])
            return state._replace(v=language.associative_scan(compose, (0.5 * np.tanh(v), v * s), reverse=reverse)[1])
        case Prefix(how, reverse):
            fn = {"sum": np.add, "product": np.multiply, "logsumexp": np.logaddexp}[how]
            return state._replace(v=np.tanh(language.associative_scan(fn, v + 0.1 * s, reverse=reverse)))
        case Cond(a, threshold, body, other):
            inner = State(0.5 * s, v, w, k)
            predicate = np.sin(3 * number(read(a))) > threshold
            return language.cond(predicate, lambda x: enter(body, x), lambda x: enter(other, state), inner)
        case Switch(branches):
            functions = [lambda x, branch=branch: enter(branch, x) for branch in branches]
            return language.switch(k - 1, functions, state)
        case Wrapped(body, how):
            return getattr(language, how)(lambda x: enter(body, x))(state)
        case Derivative(body, how):
            f = lambda s, v: enter(body, State(s, v, w, k))
            total = lambda s, v: (lambda end: end.s + np.sum(end.v * RAMP[:SIZE]))(f(s, v))
            if how == "grad":
                ds, dv = language.grad(total, (0, 1))(_float(s), v)
                return state._replace(s=np.tanh(ds), v=np.tanh(dv))
            if how == "vjp":
                y, pull = language.vjp(lambda s, v: f(s, v)[:2], _float(s), v)
                ds, dv = pull((np.cos(y[0]), y[1]))
                return state._replace(s=np.tanh(ds + y[0]), v=np.tanh(dv))
            y, y_dot = language.jvp(lambda s, v: f(s, v)[:2], (_float(s), v), (np.cos(_float(s)), np.sin(v + s)))
            return state._replace(s=np.tanh(y[0] + y_dot[0]), v=np.tanh(y_dot[1]))
    raise TypeError(node)


def _to(x: Any, dtype: Any) -> Any:
    return dtype(x) if isinstance(x, float) else x.astype(dtype)


def _float(x: Any) -> Any:
    return np.float64(x) if isinstance(x, float) else x


# -- random trees ---------------------------------------------------------------------------------------------------

READS = st.builds(Read, st.sampled_from("svwk"), st.integers(0, 3))
THRESHOLDS = st.sampled_from([-0.4, 0.1, 0.6])
SLOTS = st.sampled_from([None, None, 1, 2])
UPDATES = st.one_of(
    st.builds(Update, st.just("s"), st.sampled_from(sorted(SCALARS)), READS, READS),
    st.builds(Update, st.just("v"), st.sampled_from(sorted(VECTORS)), READS, READS),
    st.builds(Update, st.just("k"), st.sampled_from(sorted(COUNTERS)), READS, READS),
    st.builds(Update, st.just("w"), st.sampled_from(sorted(SCALARS)), READS, READS),
)


@st.composite
def blocks(draw: Any, depth: int, derivatives: bool) -> Block:
    """One to three statements; those that hold blocks are at most `depth` deep, derivatives of derivatives left out."""
    inner = lambda derivatives=derivatives: blocks(depth - 1, derivatives)
    nested = [
        lambda: st.builds(Scan, inner(), st.integers(0, 5), st.booleans(), SLOTS, st.booleans()),
        lambda: st.builds(While, inner(), st.sampled_from([None, 1, 4]), THRESHOLDS, READS, SLOTS),
        lambda: st.builds(For, inner(), st.integers(0, 1), st.sampled_from([None, 0, 3]), SLOTS),
        lambda: st.builds(Each, inner(), st.sampled_from(["map", "vmap"]), st.sampled_from(["s", "sk"])),
        lambda: st.builds(Cond, READS, THRESHOLDS, inner(), inner()),
        lambda: st.builds(Switch, st.lists(inner(), min_size=1, max_size=3).map(tuple)),
        lambda: st.builds(Wrapped, inner(), st.sampled_from(["jit", "checkpoint"])),
        lambda: st.builds(Prefix, st.sampled_from(["affine", "sum", "product", "logsumexp"]), st.booleans()),
    ]
    if derivatives:
        nested.append(lambda: st.builds(Derivative, inner(False), st.sampled_from(["jvp", "grad", "vjp"])))
    found = [draw(UPDATES)]
    if depth and (statement := draw(st.sampled_from([*nested, None]))):
        found.append(draw(statement()))
        if draw(st.booleans()):
            found.append(draw(UPDATES))
    return tuple(found)


def nests(depth: int = 3, derivatives: bool = True) -> st.SearchStrategy[Nest]:
    return st.builds(Nest, blocks(depth, derivatives))
