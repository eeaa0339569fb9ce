"""Whether two libraries computed the same, to rounding."""

from typing import Any

import numpy


def leaves(tree: Any) -> list[Any]:
    """The arrays of a tree of tuples, lists and dicts, as NumPy arrays, dicts by sorted key."""
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in leaves(tree[key])]
    if isinstance(tree, list | tuple):
        return [leaf for branch in tree for leaf in leaves(branch)]
    return [numpy.asarray(tree)]


def disagreement(ours: Any, theirs: Any, tolerance: float = 1e-8) -> str:
    """Empty if the results agree, relative to the largest entry of each array; else what differs."""
    pairs = list(zip(leaves(ours), leaves(theirs), strict=False))
    if len(leaves(ours)) != len(leaves(theirs)):
        return f"{len(leaves(ours))} arrays beside {len(leaves(theirs))}"
    for number, (a, b) in enumerate(pairs):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"array {number}: {a.dtype}{a.shape} beside {b.dtype}{b.shape}"
        if a.size and not numpy.allclose(a, b, rtol=tolerance, atol=tolerance * numpy.max(abs(b))):
            return f"array {number}: largest difference {numpy.max(abs(a - b)):.3g}"
    return ""
