"""Gradients as a careful programmer writes them by hand in Numba: one pass over the data, nothing computed twice.

Invariant: each function takes NumPy arrays and returns what the row of the same problem returns. Start reading at
`compiled`, then at `rosenbrock`.
"""

from collections.abc import Callable

import numba

from bench.library import Function

CHUNKS = 16  # pieces of a parallel sum, each with accumulators of its own


def compiled(parallel: bool = False, sums: bool = False) -> Callable[[Function], Function]:
    """Numba's `njit` with the freedom that this project's own code takes: fused multiply-add, and sums in any order."""
    flags = {"contract", "reassoc"} if sums else {"contract"}
    decorate: Callable[[Function], Function] = numba.njit(
        parallel=parallel, fastmath=flags, error_model="numpy", nogil=True, cache=True
    )
    return decorate
