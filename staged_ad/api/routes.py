"""Routes: what a jitted function remembers of calls, so that the next one like them goes straight to machine code.

A nest of containers is taken apart, and that of the results put together, by Python code that is written for its
structure: an attribute and an item at a time, which takes a tenth of the time of a walk through any tree.

Invariant: a reader gives the leaves of calls that flatten to the one structure that it was made for, with the same
static arguments, and None for all others; the native code checks the leaves.
Start at ``Route``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from staged_ad.ir import ArrayType
from staged_ad.tracing.fixed import PLAIN, Fixed, canonical
from staged_ad.tracing.trees import DATACLASSES, TreeSpec, unflatten

if TYPE_CHECKING:
    from staged_ad.api.variants import Variant, Variants

LARGEST = 500
"""Leaves up to which code is written for a structure."""

Reader = Callable[[tuple[Any, ...], dict[str, Any]], Sequence[Any] | None]


@dataclass(frozen=True, eq=False, slots=True)
class Route:
    """From a call ``f(*args, **kwargs)`` to the machine code of one variant, for arguments of certain Python types."""

    read: Reader
    entry: Callable[..., Any]
    variants: Variants
    variant: Variant
    kinds: tuple[type, ...]

    @property
    def direct(self) -> bool:
        """Whether the entry can be called in the place of the function: arguments and result are plain arrays."""
        return self.read is as_they_are and self.variant.plain_result

    def fits(self, leaves: Sequence[Any]) -> bool:
        """Whether leaves have the right types; machine code may still want their memory in another order."""
        types = self.variants.types
        return len(leaves) == len(types) and all(map(_fits, leaves, self.kinds, types))

    def with_variant(self, variant: Variant) -> Route:
        """The route of the same calls to another variant."""
        return Route(self.read, variant.entry(self.kinds), self.variants, variant, self.kinds)


def _fits(leaf: Any, kind: type, found: ArrayType) -> bool:
    same = type(leaf) is kind
    if issubclass(kind, (int, float, complex, np.generic)):
        return same and kind is not int  # which may be too large
    # other libraries' arrays may have no more than a protocol, and code for a device takes them as they are
    return same and isinstance(leaf, np.ndarray) and leaf.shape == found.shape and leaf.dtype == found.dtype


def as_they_are(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any] | None:
    """Reads positional arguments that are all leaves."""
    return None if kwargs else args


class _Unknown(Exception):  # noqa: N818  # not an error: there is no code for such a structure
    """A structure with containers of the user's, or too large."""


class _Code:
    """A Python function that is being written."""

    def __init__(self, parameters: str) -> None:
        self.lines = [f"def function({parameters}):"]
        self._scope: dict[str, Any] = {}
        self._names = 0

    def name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def constant(self, value: Any) -> str:
        name = f"c{len(self._scope)}"
        self._scope[name] = value
        return name

    def function(self) -> Any:
        exec("\n".join(self.lines), self._scope)
        return self._scope["function"]


def make_reader(
    spec: TreeSpec,
    positions: Sequence[int],
    static: Sequence[tuple[int | str, Any]],
    plain: bool,
    free: Sequence[str] = (),
) -> Reader | None:
    """The reader of calls like one that had its arguments at `positions` and its other named ones in a tree
    ``[arguments, named]`` of structure `spec`, and the `static` ones by their places or names.

    None where there is no code for such a structure. `plain` says that all arguments are leaves, `free` are names that
    must come in this order.
    """
    if plain:
        return as_they_are
    arguments, named = spec.children()
    by_place = sum(isinstance(key, int) for key, _ in static)
    count, count_named = len(positions) + by_place, named.num_children + len(static) - by_place
    code = _Code("args, kwargs")
    code.lines += [f"    if len(args) != {count} or len(kwargs) != {count_named}:", "        return None"]
    code.lines.append("    try:")
    leaves: list[str] = []
    try:
        _check(spec)
        if len(free) > 1:
            among, expected = code.constant(frozenset(free).__contains__), code.constant(list(free))
            code.lines += [f"        if [*filter({among}, kwargs)] != {expected}:", "            return None"]
        for key, value in static:
            name = code.name()
            code.lines.append(f"        {name} = {'args' if isinstance(key, int) else 'kwargs'}[{key!r}]")
            code.lines += [f"        if {_differs(code, name, Fixed(value))}:", "            return None"]
        given = [(f"args[{k}]", child) for k, child in zip(positions, arguments.children(), strict=True)]
        given += [(f"kwargs[{k!r}]", child) for k, child in zip(named.entries(), named.children(), strict=True)]
        for text, child in given:
            name = code.name()
            code.lines.append(f"        {name} = {text}")
            _read(code, name, child, leaves)
    except _Unknown:
        return None
    code.lines.append(f"        return ({''.join(leaf + ', ' for leaf in leaves)})")
    code.lines += ["    except (KeyError, AttributeError, TypeError):", "        return None"]
    reader: Reader = code.function()
    return reader


def _check(spec: TreeSpec) -> None:
    """Raises unless a structure is of containers that are known here."""
    if spec.num_leaves > LARGEST:
        raise _Unknown
    pending = [spec]
    while pending:
        node = pending.pop()
        kind = node.type
        if not node.is_leaf() and not (
            kind in (tuple, list, dict, type(None)) or kind in DATACLASSES or optree.is_namedtuple_class(kind)
        ):
            raise _Unknown
        pending += node.children()


def _read(code: _Code, name: str, spec: TreeSpec, leaves: list[str]) -> None:
    """Code that takes the tree in the variable `name` apart; the names of its leaves are appended to `leaves`."""
    if spec.is_leaf():
        leaves.append(name)
        return
    kind: Any = spec.type
    if kind is type(None):
        code.lines += [f"        if {name} is not None:", "            return None"]
        return
    children = spec.children()
    names = [code.name() for _ in children]
    length = f" or len({name}) != {len(children)}"
    if kind is dict:
        length = _other_keys(code, name, list(_example(spec))) or length
    if kind in DATACLASSES:
        length = _other_aside(code, name, kind, _example(spec))
    code.lines += [f"        if type({name}) is not {code.constant(kind)}{length}:", "            return None"]
    if kind is dict:
        code.lines += [
            f"        {n} = {name}[{code.constant(key)}]" for n, key in zip(names, spec.entries(), strict=True)
        ]
    elif kind in DATACLASSES:
        code.lines += [f"        {n} = {name}.{field}" for n, field in zip(names, DATACLASSES[kind].names, strict=True)]
    elif names:
        code.lines.append(f"        {', '.join(names)}, = {name}")
    for child, n in zip(children, names, strict=True):
        _read(code, n, child, leaves)


def _example(spec: TreeSpec) -> Any:
    return unflatten(spec, range(spec.num_leaves))


def _differs(code: _Code, name: str, fixed: Fixed) -> str:
    """Code for whether the value of `name` is another than it was."""
    value, kind = fixed.value, type(fixed.value)
    other = f"{name} is not {code.constant(value)}"
    if kind in PLAIN:
        return f"{other} and (type({name}) is not {code.constant(kind)} or {name} != {code.constant(value)})"
    differs = f"{code.constant(Fixed)}({name}) != {code.constant(fixed)}"
    by_identity: Any = object.__hash__
    fast = kind in (float, complex) or kind.__hash__ is by_identity  # others may change in place
    return f"{other} and {differs}" if fast else differs


def _other_aside(code: _Code, name: str, kind: type, example: Any) -> str:
    """Code for ``or``: whether a dataclass has other static fields, or other attributes that are no fields."""
    record = DATACLASSES[kind]
    aside = record.aside(example)
    parts = [] if aside is None else [*zip(record.static, aside.static, strict=True), *aside.attributes]
    text = ""
    for field, fixed in parts:
        text += f" or ({_differs(code, f'{name}.{field}', fixed)})"
    if hasattr(example, "__dict__"):  # what is left out of examples may be there
        others = f"{code.constant(record.aside)}({name}) != {code.constant(aside)}"
        text += f" or (len({name}.__dict__) != {len(vars(example))} and {others})"
    return text


def _other_keys(code: _Code, name: str, keys: list[Any]) -> str:
    """Code for ``or``: whether a dict has other keys, or the same in another order; empty if length and items tell."""
    if any(type(key) is not str for key in keys):  # 1, 1.0 and True are equal
        return f" or {code.constant(canonical)}((*{name},)) != {code.constant(canonical(tuple(keys)))}"
    return f" or [*{name}] != {code.constant(keys)}" if len(keys) > 1 else ""


def make_builder(spec: TreeSpec) -> Callable[[Any], Any]:
    """What makes the user's result of what machine code returns: an array, or a tuple of several."""
    single = spec.num_leaves == 1
    try:
        _check(spec)
    except _Unknown:
        return lambda result: unflatten(spec, [result] if single else result)
    code = _Code("result")
    leaves = [_Leaf(f"r{k}") for k in range(spec.num_leaves)]
    code.lines.append(f"    {', '.join(leaf.name for leaf in leaves)}{'' if single else ','} = result")
    code.lines.append(f"    return {_build(code, unflatten(spec, leaves))}")  # an example has dicts in the user's order
    builder: Callable[[Any], Any] = code.function()
    return builder


class _Leaf(NamedTuple):
    name: str


def _build(code: _Code, example: Any) -> str:
    """The name of a variable for a tree like `example`, and code that makes it before."""
    kind = type(example)
    if kind is _Leaf:
        return str(example.name)
    if example is None:
        return "None"
    if kind is dict:
        text = ", ".join(f"{code.constant(key)}: {_build(code, value)}" for key, value in example.items())
        text = f"{{{text}}}"
    elif kind in DATACLASSES:
        record = DATACLASSES[kind]
        text = ", ".join([_build(code, getattr(example, name)) for name in record.names])
        text = f"{code.constant(record.rebuild)}({code.constant(record.aside(example))}, [{text}])"
    else:
        text = "".join(_build(code, value) + ", " for value in example)
        text = f"[{text}]" if kind is list else f"({text})" if kind is tuple else f"{code.constant(kind)}({text})"
    name = code.name()
    code.lines.append(f"    {name} = {text}")
    return name
