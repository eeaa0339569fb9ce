"""Dataclasses as containers of arrays: what of an instance is leaves, and what comes along as it is.

Fields are leaves, or nests of them; those marked ``dataclasses.field(metadata={"static": True})`` come along as they
are. So do attributes that are no fields, such as those that ``__post_init__`` sets, where they hold nothing that has a
derivative. Others are left out: they would keep the numbers of another instance. ``__init__`` and ``__post_init__`` are
not called again, since fields may hold anything on the way, and what they do may not bear repeating.

Invariant: an instance made of the parts of another has equal fields and attributes, but for those that are left out.
Start at ``Record``.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from enum import Enum
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError
from staged_ad.ir.types import describe
from staged_ad.tracing.fixed import PLAIN, Fixed


class Aside:
    """What of an instance is no leaf: the values of its static fields, and of its other attributes by name."""

    __slots__ = ("attributes", "static")

    def __init__(self, static: tuple[Fixed, ...], attributes: tuple[tuple[str, Fixed], ...]) -> None:
        self.static = static
        self.attributes = attributes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aside) and self.static == other.static and self.attributes == other.attributes

    def __hash__(self) -> int:
        return hash((self.static, self.attributes))

    def __repr__(self) -> str:
        return ", ".join([*map(repr, self.static), *[f"{name}={value!r}" for name, value in self.attributes]])


class Record:
    """How instances of a dataclass are taken apart and put together."""

    def __init__(self, cls: type) -> None:
        self.cls = cls
        fields = dataclasses.fields(cls)
        self.static = [field.name for field in fields if field.metadata.get("static")]
        self.names = [field.name for field in fields if not field.metadata.get("static")]
        self._known = frozenset([field.name for field in fields])

    def children(self, instance: Any) -> tuple[list[Any], Aside | None, list[str]]:
        """The parts of an instance, what is none, and the names of the parts."""
        return [getattr(instance, name) for name in self.names], self.aside(instance), self.names

    def aside(self, instance: Any) -> Aside | None:
        """What of an instance is no leaf; None where all is."""
        attributes = self._attributes(instance)
        if not self.static and not attributes:
            return None
        return Aside(tuple([self._fixed(name, getattr(instance, name)) for name in self.static]), attributes)

    def rebuild(self, aside: Any, values: Any) -> Any:
        """An instance of its parts."""
        instance: Any = object.__new__(self.cls)
        if aside is not None:
            for name, fixed in (*zip(self.static, aside.static, strict=True), *aside.attributes):
                object.__setattr__(instance, name, fixed.value)
        for name, value in zip(self.names, values, strict=True):
            object.__setattr__(instance, name, value)
        return instance

    def _fixed(self, name: str, value: Any) -> Fixed:
        try:
            return Fixed(value)
        except TypeError:
            raise ArgumentError(
                f"field {name} of {self.cls.__name__} is marked static, so it must be hashable, such as a number, a "
                f"string or a tuple of them; got {describe(value)}"
            ) from None

    def _attributes(self, instance: Any) -> tuple[tuple[str, Fixed], ...]:
        own = getattr(instance, "__dict__", {})
        if len(own) <= len(self._known) and own.keys() <= self._known:
            return ()
        return tuple([(name, Fixed(own[name])) for name in sorted(own.keys() - self._known) if self.keeps(name, own)])

    def keeps(self, name: str, own: dict[str, Any]) -> bool:
        """Whether an attribute that is no field comes along."""
        computed = isinstance(inspect.getattr_static(self.cls, name, None), functools.cached_property)
        return not computed and _has_no_derivative(own[name])


def missing_attribute(error: AttributeError) -> str | None:
    """What to write where a traced function misses an attribute of a dataclass; None for other objects."""
    if not dataclasses.is_dataclass(error.obj) or isinstance(error.obj, type):
        return None
    return (
        f"Of a {type(error.obj).__name__} that is an argument, a traced function sees the fields, and such other "
        f"attributes as hold no real numbers and no arrays. Make {error.name} a field, or a property that computes it "
        "from fields."
    )


def _has_no_derivative(value: Any) -> bool:
    """Whether a value is hashable and holds no array and no real number."""
    if isinstance(value, tuple | frozenset):
        return all(map(_has_no_derivative, value))
    if type(value) in PLAIN or isinstance(value, Enum | type | np.dtype | np.integer | np.bool_):
        return True
    return callable(value) and type(value).__hash__ is not None
