"""Operations without kernels that CuPy has with the same meaning; all others are computed by the host.

A function takes the module, the operands as its arrays and the parameters of the primitive, and returns the results.

Invariant: what a function gives is what `evaluate` of the primitive does, but for rounding.
Start at ``find``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.primitives.linalg import failure
from staged_ad.tracing.libraries import Late

Function = Callable[..., Sequence[Any]]

_cupyx: Any = Late("cupyx")
_special_functions: Any = Late("cupyx.scipy.special")

_SPECIAL = (
    "beta", "betaln", "betainc", "betaincinv", "binom", "boxcox", "boxcox1p", "chdtr", "chdtrc", "chdtri", "cosdg",
    "cotdg", "digamma", "entr", "exp1", "expi", "ellipk", "ellipkm1", "gammainc", "gammaincc", "gammaincinv",
    "gammainccinv", "gdtr", "gdtrc", "huber", "i0e", "i1e", "inv_boxcox", "inv_boxcox1p", "k0", "k0e", "k1", "k1e",
    "kl_div", "log_ndtr", "pdtr", "pdtrc", "pseudo_huber", "radian", "rel_entr", "rgamma", "sindg", "tandg",
)  # fmt: skip
"""Functions of cupyx.scipy.special that have the names and the operands of primitives."""


def find(primitive: str, operands: Sequence[Any]) -> Function | None:
    """The function for a primitive of that name; None where the host has to compute it."""
    if any(not operand.size for operand in operands):
        return None  # libraries differ where there is nothing to compute
    return _FUNCTIONS.get(primitive)


def _special(name: str) -> Function:
    def apply(cupy: Any, *operands: Any) -> Sequence[Any]:
        return [getattr(_special_functions, name)(*operands)]

    return apply


def _cholesky(cupy: Any, a: Any) -> Sequence[Any]:
    try:
        with _cupyx.errstate(linalg="raise"):
            return [cupy.linalg.cholesky(a)]
    except np.linalg.LinAlgError:
        raise failure("definite") from None


_FUNCTIONS: dict[str, Function] = {name: _special(name) for name in _SPECIAL} | {"cholesky": _cholesky}
