"""Prepared: a call of a jitted function, flattened and typed.

Invariant: its leaves are arrays, numbers or tracers, and its static arguments can be hashed.
Start at ``Prepared``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.api.routes import Reader, make_reader
from staged_ad.ir import ArrayType
from staged_ad.tracing.fixed import Fixed
from staged_ad.tracing.trees import TreeSpec

Key = tuple[TreeSpec, tuple[TreeSpec, Any], tuple[str, ...], tuple[ArrayType, ...], tuple[tuple[int | str, Fixed], ...]]
"""The structure of the arguments, the same with the order of keys, all names in the order in which the function gets
them, the types of the leaves, and the static arguments.
"""


class Prepared:
    """A call, flattened and typed.

    `spec` is the structure of ``[positional arguments, named arguments]`` without the `static` ones, which come with
    their places or names; `positions` are the places of the others, `free` the names for ``**kwargs`` of the function.
    Calls with an equal `key` have the same program, where Python takes the same path.
    """

    __slots__ = ("free", "key", "leaves", "positions", "spec", "static", "types")

    def __init__(
        self,
        key: Key,
        leaves: list[Any],
        spec: TreeSpec,
        types: tuple[ArrayType, ...],
        positions: Sequence[int],
        static: tuple[tuple[int | str, Any], ...],
        free: tuple[str, ...],
    ) -> None:
        self.key = key
        self.leaves = leaves
        self.spec = spec
        self.types = types
        self.positions = positions
        self.static = static
        self.free = free

    @property
    def plain(self) -> bool:
        """Whether the leaves are the arguments as they are."""
        arguments, named = self.spec.children()
        return not self.static and not named.num_children and all(child.is_leaf() for child in arguments.children())

    def reader(self) -> Reader | None:
        """What takes the leaves from another call of the same signature."""
        return make_reader(self.spec, self.positions, self.static, self.plain, self.free)
