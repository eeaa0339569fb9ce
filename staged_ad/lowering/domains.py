"""Domains: the loops over an array, or over the products that an inline dot_general sums.

Invariant: axes of length 1 have no loop.
Start at ``domain``.
"""

from __future__ import annotations

from collections.abc import Iterable

from staged_ad.ir import Equation
from staged_ad.lowering.indexing import squeezed


def domain(shape: tuple[int, ...], axes: Iterable[int]) -> tuple[tuple[int, ...], frozenset[int]]:
    """Loops over a shape without its unit axes, and which of them are reduced."""
    places = {k: place for place, k in enumerate(k for k, n in enumerate(shape) if n != 1)}
    return squeezed(shape), frozenset(places[k] for k in axes if k in places)


def product_domain(equation: Equation) -> tuple[tuple[int, ...], frozenset[int]]:
    """Loops of an inline product: those of the result, then the contracted ones."""
    a = equation.inputs[0].type.shape
    contracted = tuple(a[k] for k in equation.params["contract"][0])
    shape = (*equation.outputs[0].type.shape, *contracted)
    return domain(shape, range(len(shape) - len(contracted), len(shape)))
