"""The structure of nests of arrays in error messages: names of leaves, how two structures differ.

Invariant: a leaf is named as the user would index it.
Start at ``structure_difference``.
"""

from __future__ import annotations

from staged_ad.tracing.trees import TreeSpec


def place(name: str, spec: TreeSpec, k: int) -> str:
    """Leaf `k` of the tree called `name`: ``carry['v'][0]``."""
    return name + spec.accessors()[k].codify("")


def structure_text(spec: TreeSpec) -> str:
    """``{'v': *, 'w': (*, *)}``."""
    text = str(spec).removeprefix("PyTreeSpec(").removesuffix(")").removesuffix(", namespace='staged_ad'")
    return text if len(text) <= 200 else text[:197] + "..."


def structure_difference(name: str, first: tuple[str, TreeSpec], second: tuple[str, TreeSpec]) -> str:
    """What differs between two structures of the tree called `name`; each comes with the words that introduce it."""
    (said, one), (said_second, other) = first, second
    text = f"structure differs: {said} {structure_text(one)}, {said_second} {structure_text(other)}"
    return text + leaves_of_one(name, one, other)


def leaves_of_one(name: str, one: TreeSpec, other: TreeSpec) -> str:
    """The leaves that only one of two structures of the tree called `name` has."""
    places = [place(name, one, k) for k in range(one.num_leaves)]
    others = [place(name, other, k) for k in range(other.num_leaves)]
    text = ""
    if missing := [p for p in places if p not in others]:
        text += f"; only the former has {', '.join(missing[:5])}"
    if added := [p for p in others if p not in places]:
        text += f"; only the latter has {', '.join(added[:5])}"
    return text
