"""Dataclasses as arguments and results: fields that are static, attributes that are no fields.

Invariant: what a traced function reads of an instance is what the caller's instance has.
Start at ``test_static_fields_are_part_of_the_signature``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
import pytest

import staged_ad as sad
from staged_ad.errors import ArgumentError

X = np.array([1.0, 2.0, 3.0])


class Kind(Enum):
    SUM = 1
    PRODUCT = 2


@dataclass(frozen=True)
class Layer:
    w: Any
    kind: Any = field(default=Kind.SUM, metadata={"static": True})


@dataclass
class Samples:
    values: Any

    def __post_init__(self) -> None:
        self.count = len(self.values)
        self.apply = np.sin if self.count > 2 else np.cos
        self.doubled = 2 * self.values
        self.scale = float(self.count)

    @cached_property
    def middle(self) -> Any:
        return self.values[self.count // 2]


def reduced(layer: Layer) -> Any:
    return np.sum(layer.w) if layer.kind is Kind.SUM else np.prod(layer.w)


def test_static_fields_are_part_of_the_signature() -> None:
    f = sad.jit(reduced)
    for _ in range(2):
        assert f(Layer(X)) == 6
        assert f(Layer(2 * X, Kind.PRODUCT)) == 48
    gradient = sad.jit(sad.grad(reduced))(Layer(X, Kind.PRODUCT))
    assert gradient.kind is Kind.PRODUCT
    assert gradient.w.tolist() == [6, 3, 2]
    assert sad.vmap(reduced)(Layer(np.ones((2, 3)))).tolist() == [3, 3]


def test_static_fields_of_equal_values_and_other_types_are_told_apart() -> None:
    f = sad.jit(lambda layer: layer.w * len(repr(layer.kind)))
    for _ in range(2):
        assert [f(Layer(1.0, kind)) for kind in (1, 1.0, (1,), (1.0,), "relu")] == [1, 3, 4, 6, 6]


def test_static_fields_must_be_hashable() -> None:
    with pytest.raises(ArgumentError, match="field kind of Layer is marked static, so it must be hashable"):
        sad.jit(reduced)(Layer(X, [1]))


def test_attributes_that_are_no_fields_come_along() -> None:
    f = sad.jit(lambda s: np.sum(s.apply(s.values)) * s.count)
    for _ in range(2):
        for values in (X, X[:2]):
            np.testing.assert_allclose(f(Samples(values)), len(values) * np.sum(Samples(values).apply(values)))
    gradient = sad.grad(lambda s: np.sum(s.values) * s.count)(Samples(X))
    assert gradient.count == 3
    assert gradient.values.tolist() == [3, 3, 3]


def test_attributes_that_were_changed_are_seen() -> None:
    f = sad.jit(lambda s: s.values * s.count)
    samples = Samples(X)
    for count in (3, 5, 3, 7):
        samples.count = count
        assert f(samples).tolist() == (count * X).tolist()


def test_attributes_that_have_derivatives_are_not_taken_from_another_instance() -> None:
    for read in (lambda s: s.doubled, lambda s: s.scale * s.values):
        with pytest.raises(AttributeError) as caught:
            sad.jit(read)(Samples(X))
        assert "a property that computes it" in caught.value.__notes__[0]


def test_cached_properties_are_computed_anew() -> None:
    samples = Samples(X)
    f = sad.jit(sad.grad(lambda s: s.middle**2))
    for _ in range(2):
        assert f(samples).values.tolist() == [0, 4, 0]
        assert samples.middle == 2
    assert f(replace(samples, values=X + 1)).values.tolist() == [0, 6, 0]


def test_text_in_arguments_is_refused_with_what_to_write() -> None:
    for argument in ({"w": X, "name": "relu"}, "relu", [Kind.SUM]):
        with pytest.raises(ArgumentError, match=r'metadata=\{"static": True\}') as caught:
            sad.jit(lambda p: p)(argument)
        assert "static_argnums" in str(caught.value)
