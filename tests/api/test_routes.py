"""Routes: a jitted function called again goes straight to machine code, through any nest of arguments.

Invariant: a route is only taken by calls that the function was compiled for.
Start at ``test_a_reader_gives_the_leaves_of_calls_of_its_structure_and_of_no_others``.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import staged_ad as sad
from staged_ad.api import routes
from staged_ad.api.routes import LARGEST, make_builder, make_reader
from staged_ad.tracing.trees import flatten, order, unflatten

Point = namedtuple("Point", "x y")
Other = namedtuple("Other", "x y")


@dataclass(frozen=True)
class Layer:
    w: Any
    b: Any


@dataclass
class Named:
    """With a field that is static, and an attribute that is no field, and is left out where it is real."""

    w: Any
    name: Any = field(default="", metadata={"static": True})
    other: InitVar[Any] = None

    def __post_init__(self, other: Any) -> None:
        if other is not None:
            self.number = other


def trees() -> st.SearchStrategy[Any]:
    def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        some = st.lists(inner, max_size=3)
        return st.one_of(
            some,
            some.map(tuple),
            st.dictionaries(st.sampled_from(["a", "b", "c", 1, True, 1.0, (2, "d")]), inner, max_size=3),
            st.builds(Point, inner, inner),
            st.builds(Layer, inner, inner),
            st.builds(Named, inner, st.sampled_from(["a", 1, 1.0]), st.sampled_from([None, "b", 2, 2.5])),
            st.lists(st.tuples(st.sampled_from("ab"), inner), max_size=2).map(OrderedDict),
        )

    return st.recursive(st.one_of(st.integers(), st.none()), larger, max_leaves=6)


def holds(tree: Any, kinds: Any) -> bool:
    parts = (
        tree.values() if isinstance(tree, dict) else vars(tree).values() if isinstance(tree, Layer | Named) else tree
    )
    nested = isinstance(tree, dict | list | tuple | Layer | Named)
    return isinstance(tree, kinds) or (nested and any(holds(part, kinds) for part in parts))


def is_hashable(value: Any) -> bool:
    try:
        return isinstance(hash(value), int)
    except TypeError:
        return False


def parted(args: tuple[Any, ...], kwargs: dict[str, Any], static: dict[int | str, Any]) -> list[Any]:
    dynamic = [arg for k, arg in enumerate(args) if k not in static]
    return [dynamic, {name: value for name, value in kwargs.items() if name not in static}]


@st.composite
def calls(draw: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args = draw(st.lists(trees(), max_size=3))
    return tuple(args), draw(st.dictionaries(st.sampled_from("pqr"), trees(), max_size=2))


@given(calls(), st.sets(st.sampled_from([0, 1, "p"])), calls())
def test_a_reader_gives_the_leaves_of_calls_of_its_structure_and_of_no_others(
    call: Any, chosen: set[Any], other: Any
) -> None:
    args, kwargs = call
    static: dict[int | str, Any] = {k: args[k] for k in chosen if isinstance(k, int) and k < len(args)}
    static |= {name: kwargs[name] for name in chosen if name in kwargs}
    static = {key: value for key, value in static.items() if is_hashable(value)}
    leaves, spec = flatten(parted(args, kwargs, static))
    ordered = order(parted(args, kwargs, static))
    positions = [k for k in range(len(args)) if k not in static]
    read = make_reader(spec, positions, list(static.items()), plain=False, free=list(kwargs))
    if holds(parted(args, kwargs, static), OrderedDict):
        assert read is None
        return
    assert read is not None
    assert list(read(args, kwargs)) == leaves  # type: ignore[arg-type]

    names = list(kwargs)
    args, kwargs = other
    same_static = all(key in kwargs if isinstance(key, str) else key < len(args) for key in static) and all(
        (type(found), found) == (type(value), value)
        for key, value in static.items()
        for found in [kwargs[key] if isinstance(key, str) else args[key]]
    )
    found = read(args, kwargs)
    if found is not None:
        leaves, other_spec = flatten(parted(args, kwargs, static))
        assert same_static
        assert other_spec != spec or order(parted(args, kwargs, static)) == ordered
        # what is nested deeper than a leaf is refused by the native code, which wants an array
        assert list(found) == (leaves if other_spec == spec else spec.flatten_up_to(parted(args, kwargs, static)))
    elif same_static:
        assert order(parted(args, kwargs, static)) != ordered or list(kwargs) != names


@given(trees())
def test_a_builder_makes_what_the_function_returned(tree: Any) -> None:
    leaves, spec = flatten(tree)
    if not leaves:
        return
    built = make_builder(spec)(leaves[0] if len(leaves) == 1 else tuple(leaves))
    assert repr(built) == repr(unflatten(spec, leaves)) == repr(tree)  # the order of keys too


def model(p: Any, x: Any) -> Any:
    layer, (c, d) = p["layer"], p["rest"]
    return {"z": Point(layer.w @ x + layer.b, (c,)), "a": [d * 2, None]}


def parameters(n: int, scale: float) -> Any:
    return {"layer": Layer(np.full((n, n), scale), np.ones(n)), "rest": [np.array(scale), np.full(n, scale)]}


def same(found: Any, expected: Any) -> None:
    (one, spec), (two, other) = flatten(found), flatten(expected)
    assert spec == other
    assert list(found) == list(expected)
    for a, b in zip(one, two, strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)


def test_nests_of_several_shapes_take_turns() -> None:
    traced = []

    def f(p: Any, x: Any) -> Any:
        traced.append(1)
        return model(p, x)

    compiled = sad.jit(f)
    for _ in range(3):
        for n in (2, 3):
            for scale in (1.0, 2.0):
                args = parameters(n, scale), np.arange(n * 1.0)
                same(compiled(*args), model(*args))
    assert len(traced) == 2


def test_code_is_written_for_a_nest_that_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    function = routes._Code.function

    def noted(code: Any) -> Any:
        written.append(code)
        return function(code)

    monkeypatch.setattr(routes._Code, "function", noted)
    f = sad.jit(model)
    args = parameters(2, 0.5), np.arange(2.0)
    for code in (0, 2, 2, 2):  # what takes arguments apart, and what puts results together
        same(f(*args), model(*args))
        assert len(written) == code


def test_containers_of_other_kinds_are_traced_anew() -> None:
    f = sad.jit(lambda p: (type(p).__name__, p) and {"sum": p["a"] + p["b"], "kind": np.asarray(len(type(p).__name__))})
    x = np.ones(2)
    for _ in range(3):
        for kind in (dict, OrderedDict, lambda **items: defaultdict(int, items)):
            p: Any = kind(a=x, b=x)
            assert f(p)["kind"] == len(type(p).__name__)


def test_named_tuples_of_other_types_are_traced_anew() -> None:
    f = sad.jit(lambda p: p.x if isinstance(p, Point) else p.y)
    one, two = np.zeros(2), np.ones(2)
    for _ in range(3):
        assert f(Point(one, two)).sum() == 0
        assert f(Other(one, two)).sum() == 2


def test_static_arguments_of_equal_value_and_other_type_are_told_apart() -> None:
    f = sad.jit(lambda x, n, *, m=0: x + len(type(n).__name__) + 10 * len(type(m).__name__), static_argnames=("n", "m"))
    for _ in range(3):
        for n in (1, 1.0, True):
            for m in (0, False):
                assert f(0.0, n, m=m) == len(type(n).__name__) + 10 * len(type(m).__name__)
                assert f(0.0, n=n, m=m) == f(0.0, n, m=m)


class Scaled:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scaled) and self.scale == other.scale

    def __hash__(self) -> int:
        return hash(self.scale)


@dataclass(unsafe_hash=True)
class Factor:
    scale: float


@pytest.mark.parametrize("kind", [Scaled, Factor])
def test_static_arguments_that_change_in_place_are_read_again(kind: Any) -> None:
    f = sad.jit(lambda p, c: [p["a"] * c.scale], static_argnums=1)
    c = kind(0.0)
    for scale in (1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 1.0):
        c.scale = scale
        assert f({"a": 2.0}, c) == [2.0 * scale]
    for _ in range(3):
        with pytest.raises(sad.errors.ArgumentError, match="static arguments must be hashable"):
            f({"a": 2.0}, [c])


def test_arguments_that_are_not_contiguous_come_after_others_and_before() -> None:
    f = sad.jit(lambda x: x * 2)
    x = np.arange(12.0).reshape(3, 4)
    for _ in range(3):
        for y in (x, x[:, ::-1], np.asfortranarray(x), x.astype(">f8"), x.astype(np.float32), x.T, x.astype(int)):
            result = f(y)
            assert np.array_equal(result, y * 2)
            assert result.dtype == (y * 2).dtype.newbyteorder("=")


def test_numbers_that_are_too_large_are_refused_every_time() -> None:
    f = sad.jit(lambda n: n + 1)
    for _ in range(2):
        assert f(1) == 2
        with pytest.raises(sad.errors.DTypeError):
            f(2**70)


def test_a_key_error_of_the_users_is_raised_once() -> None:
    calls = []

    def fails(x: Any) -> Any:
        calls.append(1)
        if x > 1:
            raise KeyError("mine")
        return x

    f = sad.jit(lambda p: sad.pure_callback(fails, float, p["x"]))
    assert f({"x": 1.0}) == 1.0
    assert f({"x": 0.5}) == 0.5
    before = len(calls)
    with pytest.raises(KeyError, match="mine"):
        f({"x": 2.0})
    assert len(calls) == before + 1


def test_paths_of_a_function_of_a_nest_take_turns() -> None:
    traced = []

    def f(p: Any) -> Any:
        traced.append(1)
        return {"y": p["x"] * 2 if p["x"] > 0 else -p["x"]}

    compiled = sad.jit(f)
    for _ in range(3):
        for x in (1.0, -3.0, 2.0):
            assert compiled({"x": x}) == {"y": 2 * x if x > 0 else -x}
    assert len(traced) == 2


def test_a_large_nest_has_no_code_of_its_own_and_works() -> None:
    tree = [np.array(float(k)) for k in range(LARGEST + 1)]
    spec = flatten([[tree], {}])[1]
    assert make_reader(spec, [0], [], plain=False) is None
    f = sad.jit(lambda tree: [sum(tree), tree[0]])
    for _ in range(3):
        assert f(tree) == [sum(tree), 0.0]
