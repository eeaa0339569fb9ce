"""Geometry: how many threads there are to share work.

Invariant: nothing is imported, as each process that asks for a device, or none, imports this.
Start at ``Geometry``.
"""

from __future__ import annotations

from typing import NamedTuple


class Geometry(NamedTuple):
    """`threads` in a block; `full` of them fill the device; `team` may share a sum: up to a warp, or a block."""

    threads: int = 256
    full: int = 1 << 17
    team: int = 256
