"""Index arithmetic: affine functions of loop indices, and how views change them.

Invariant: an index is known at compile time up to the loop variables and the positions that nodes of the nest compute.
Start at ``Affine``; ``reshaped`` is the one view that may fail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from staged_ad.ir.types import Shape

NODES = 1 << 32
"""Dimension ``NODES + k`` is what node k of the nest computes: an index that is known only when the program runs."""


@dataclass(frozen=True, slots=True)
class Affine:
    """``offset + sum(c * loop index d for d, c in terms)``, terms sorted by dimension, no c zero."""

    offset: int
    terms: tuple[tuple[int, int], ...] = ()

    def __add__(self, other: int | Affine) -> Affine:
        if isinstance(other, int):
            return Affine(self.offset + other, self.terms)
        total = dict(self.terms)
        for dim, c in other.terms:
            total[dim] = total.get(dim, 0) + c
        return Affine(self.offset + other.offset, tuple(sorted((d, c) for d, c in total.items() if c)))

    def __sub__(self, other: int) -> Affine:
        return Affine(self.offset - other, self.terms)

    def __mul__(self, factor: int) -> Affine:
        if factor == 0:
            return Affine(0)
        return Affine(self.offset * factor, tuple((d, c * factor) for d, c in self.terms))

    def constant(self, value: int) -> Affine:
        return Affine(value)

    def coefficient(self, dim: int) -> int:
        return next((c for d, c in self.terms if d == dim), 0)

    @property
    def nodes(self) -> tuple[int, ...]:
        """The numbers of the nodes that it depends on."""
        return tuple(d - NODES for d, _ in self.terms if d >= NODES)

    def __str__(self) -> str:
        names = [(f"i{d}" if d < NODES else f"%{d - NODES}", c) for d, c in self.terms]
        parts = [f"{c}*{name}" if c != 1 else name for name, c in names]
        if self.offset or not parts:
            parts.append(str(self.offset))
        return " + ".join(parts)


Index = tuple[Affine, ...]
Condition = tuple[Affine, int]
"""``0 <= affine < n``."""


def computed(node: int) -> Affine:
    """The value of a node as an index."""
    return Affine(0, ((NODES + node, 1),))


def identity(shape: Shape) -> Index:
    """The index of an array in loops over its own shape, axes of length 1 left out."""
    dims = iter(range(len(shape)))
    return tuple(Affine(0) if n == 1 else Affine(0, ((next(dims), 1),)) for n in shape)


def squeezed(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def strides(shape: Shape) -> tuple[int, ...]:
    """Elements between neighbours along each axis of a C-contiguous array."""
    result = []
    step = 1
    for n in reversed(shape):
        result.append(step)
        step *= max(n, 1)
    return tuple(reversed(result))


def flat(index: Index, shape: Shape) -> Affine:
    """The place of an element in a C-contiguous array."""
    total = Affine(0)
    for i, step in zip(index, strides(shape), strict=True):
        total = total + i * step
    return total


def _groups(new: Shape, old: Shape) -> Iterable[tuple[list[int], list[int]]]:
    """Axes of two shapes of one size, in the smallest groups with equal products; unit axes stand alone."""
    i = j = 0
    while i < len(new) or j < len(old):
        if i < len(new) and new[i] == 1:
            yield [i], []
            i += 1
            continue
        if j < len(old) and old[j] == 1:
            yield [], [j]
            j += 1
            continue
        left, right = [i], [j]
        m, n = new[i], old[j]
        i, j = i + 1, j + 1
        while m != n:
            if m < n:
                m *= new[i]
                left.append(i)
                i += 1
            else:
                n *= old[j]
                right.append(j)
                j += 1
        yield left, right


def reshaped(index: Index, new: Shape, old: Shape) -> Index | None:
    """The index into `old` of the element at `index` of `new`; None where that needs a division."""
    result: list[Affine] = [Affine(0)] * len(old)
    if 0 in old:
        return tuple(result)
    for left, right in _groups(new, old):
        if not right:
            continue
        if len(right) == 1:
            total = Affine(0)
            for axis, step in zip(left, strides(tuple(new[k] for k in left)), strict=True):
                total = total + index[axis] * step
            result[right[0]] = total
        elif not any(index[axis].terms for axis in left) and len(left) == 1:
            rest = index[left[0]].offset
            for axis, step in zip(right, strides(tuple(old[k] for k in right)), strict=True):
                result[axis], rest = Affine(rest // step), rest % step
        else:
            return None
    return tuple(result)


def splits_only(new: Shape, old: Shape) -> bool:
    """Whether ``reshape(old -> new)`` is affine for every index: axes are split, or of length 1."""
    return 0 in old or all(len(right) <= 1 for _, right in _groups(new, old))
