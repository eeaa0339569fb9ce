"""Operations without kernels that CuPy has with the same meaning; all others are computed by the host.

A function takes the module, the operands as its arrays and the parameters of the primitive, and returns the results.

Invariant: what a function gives is what `evaluate` of the primitive does, but for rounding.
Start at ``find``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from staged_ad.ir import Primitive
from staged_ad.ir.types import complex_dtype_of, real_dtype_of
from staged_ad.primitives.linalg import failure
from staged_ad.tracing.libraries import Late

Function = Callable[..., Sequence[Any]]

_cupyx: Any = Late("cupyx")
_special_functions: Any = Late("cupyx.scipy.special")

_SPECIAL = (
    "beta", "betaln", "betainc", "binom", "boxcox", "boxcox1p", "chdtr", "chdtrc", "chdtri", "cotdg", "digamma", "entr",
    "exp1", "expi", "ellipk", "ellipkm1", "gammainc", "gammaincc", "gammaincinv", "gammainccinv", "gdtr", "gdtrc",
    "huber", "i0e", "i1e", "inv_boxcox", "inv_boxcox1p", "k0", "k0e", "k1", "k1e", "kl_div", "log_ndtr", "pdtr",
    "pdtrc", "pseudo_huber", "radian", "rel_entr", "tandg",
)  # fmt: skip
"""Functions of cupyx.scipy.special that have the names and the operands of primitives."""


def find(of: Primitive, params: Mapping[str, Any], operands: Sequence[Any]) -> Function | None:
    """The function for a primitive; None where the host has to compute it."""
    if any(not operand.size for operand in operands):
        return None  # libraries differ where there is nothing to compute
    if of.name == "interleaved":
        return _interleaved if params["of"].name in _FUNCTIONS else None
    return _FUNCTIONS.get(of.name)


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


def _fft(cupy: Any, x: Any, *, inverse: bool) -> Sequence[Any]:
    return [cupy.fft.ifft(x, norm="forward") if inverse else cupy.fft.fft(x)]


def _rfft(cupy: Any, x: Any) -> Sequence[Any]:
    return [cupy.fft.rfft(x)]


def _irfft(cupy: Any, y: Any, *, n: int) -> Sequence[Any]:
    """The imaginary parts that stand for nothing are taken away, which cuFFT expects to be zero."""
    y = y.copy()
    y[..., 0] = y[..., 0].real
    if n % 2 == 0:
        y[..., -1] = y[..., -1].real
    return [cupy.fft.irfft(y, n, norm="forward")]


_FUNCTIONS: dict[str, Function] = {name: _special(name) for name in _SPECIAL} | {
    "cholesky": _cholesky,
    "fft": _fft,
    "rfft": _rfft,
    "irfft": _irfft,
}


def _interleaved(
    cupy: Any, *arrays: Any, of: Primitive, operands: Sequence[bool], params: Sequence[tuple[str, Any]]
) -> Sequence[Any]:
    """Operations of complex numbers, which programs hold as pairs of real ones."""
    given = [_complex(array) if flag else array for array, flag in zip(arrays, operands, strict=True)]
    return [_pairs(y) if y.dtype.kind == "c" else y for y in _FUNCTIONS[of.name](cupy, *given, **dict(params))]


def _complex(pairs: Any) -> Any:
    return pairs.view(complex_dtype_of(pairs.dtype)).reshape(pairs.shape[:-1])


def _pairs(y: Any) -> Any:
    return y.astype(y.dtype, order="C").view(real_dtype_of(y.dtype)).reshape((*y.shape, 2))
