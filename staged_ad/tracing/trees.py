"""Pytrees: nested containers of arrays, by optree. Plain dataclasses are containers too.

Invariant: flattening and unflattening are inverse, to the order of keys; leaves are in the order of sorted keys, and
structures are equal whatever the order of their keys is, which ``order`` tells.
Start at ``flatten``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from threading import Lock
from typing import Any

import optree

from staged_ad.errors import ArgumentError
from staged_ad.tracing.fixed import canonical
from staged_ad.tracing.records import Record

NAMESPACE = "staged_ad"
_ORDERED = "staged_ad.ordered"
_FOREVER = ExitStack()
_FOREVER.enter_context(optree.dict_insertion_ordered(True, namespace=_ORDERED))
_REGISTERING = Lock()
TreeSpec = optree.PyTreeSpec
DATACLASSES: dict[type, Record] = {}
"""Dataclasses that are containers because they were met among arguments."""


def flatten(tree: Any) -> tuple[list[Any], TreeSpec]:
    """The leaves of `tree` and its structure."""
    leaves, spec = optree.tree_flatten(tree, namespace=NAMESPACE)
    fresh = {type(leaf) for leaf in leaves if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type)}
    if fresh:
        for cls in fresh:
            _register(cls)
        return flatten(tree)
    return leaves, spec


def _register(cls: type) -> None:
    with _REGISTERING:
        if cls not in DATACLASSES:  # another thread was not faster
            record = DATACLASSES[cls] = Record(cls)
            for namespace in (_ORDERED, NAMESPACE):
                optree.register_pytree_node(cls, record.children, record.rebuild, namespace=namespace)


def order(tree: Any) -> tuple[TreeSpec, Any]:
    """The structure of a tree that was flattened, with the order and the types of its keys."""
    spec = optree.tree_structure(tree, namespace=_ORDERED)
    odd = tuple([key for path in spec.paths() for key in path if type(key) not in (str, int)])
    return spec, canonical(odd)


def unflatten(spec: TreeSpec, leaves: Sequence[Any]) -> Any:
    return spec.unflatten(leaves)


def paths(tree: Any) -> list[str]:
    """A readable place for each leaf, such as ``['w'][0]``."""
    flatten(tree)  # registers dataclasses
    return [accessor.codify("") for accessor in optree.tree_accessors(tree, namespace=NAMESPACE)]


def tree_map(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`f` applied to the leaves of trees of one structure."""
    flatten(tree)
    return optree.tree_map(f, tree, *rest, namespace=NAMESPACE)


def broadcast_prefix(prefix: Any, tree: Any, what: str) -> list[Any]:
    """One entry of `prefix`, a tree whose leaves (None among them) stand for subtrees, per leaf of `tree`."""
    flatten(tree)
    try:
        spread = optree.broadcast_prefix(prefix, tree, none_is_leaf=True, namespace=NAMESPACE)
    except ValueError as error:
        raise ArgumentError(f"{what}={prefix!r} does not fit the structure it describes: {error}") from None
    leaves = optree.tree_leaves(tree, none_is_leaf=True, namespace=NAMESPACE)
    return [part for part, leaf in zip(spread, leaves, strict=True) if leaf is not None]
