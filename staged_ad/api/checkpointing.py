"""checkpoint: a function whose intermediate results are computed again in reverse mode. Public through ``staged_ad``.

Invariant: values and derivatives are those of the function itself; only memory and time change.
Start at ``checkpoint``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from staged_ad.api.bodies import check_function, results_of
from staged_ad.api.calling import trace_call
from staged_ad.api.transformed import transforming
from staged_ad.control.checkpoint import checkpoint as checkpoint_program
from staged_ad.errors import ArgumentError
from staged_ad.ir.types import describe
from staged_ad.tracing.trees import unflatten


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, of which reverse mode keeps the arguments alone and computes everything else again.

    It costs one more evaluation of `f` in reverse mode and saves the memory of the intermediate results between
    the forward and the reverse half. Without reverse mode nothing changes.

    Parameters
    ----------
    f
        A function of arrays, numbers, or nests of them. It may use traced values around it. Keyword arguments are
        passed on as they are, and so may hold anything.

    Returns
    -------
    A function with the same arguments, results and derivatives. It can be used as a decorator.

    Raises
    ------
    ArgumentError
        When `f` is not a function, or a positional argument holds what is neither array nor number.

    References
    ----------
    A. Griewank, A. Walther, *Algorithm 799: revolve*, ACM TOMS 26 (2000); A. Gruslys et al., *Memory-efficient
    backpropagation through time*, NeurIPS (2016). For steps of a loop, see ``checkpoint=`` of `scan`.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> layer = sad.checkpoint(lambda x: np.sin(np.exp(x)))
    >>> print(sad.grad(layer)(0.0))
    0.5403023058681398
    """
    check_function("checkpoint", "f", f, None)

    @transforming(checkpoint, f)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        traced = trace_call(f, args, kwargs)
        results = checkpoint_program(traced.program, *traced.values)
        return unflatten(traced.out_spec, results_of(results, traced.leaves))

    return checkpointed


def check_slots(what: str, checkpoint: Any) -> int | None:
    """The argument ``checkpoint=`` of a loop."""
    if checkpoint is None:
        return None
    if isinstance(checkpoint, bool) or not isinstance(checkpoint, int | np.integer) or checkpoint < 1:
        raise ArgumentError(
            f"{what}: checkpoint must be a positive integer, the number of iterations whose residuals are kept, or "
            f"None; got {describe(checkpoint)}"
        )
    return int(checkpoint)
