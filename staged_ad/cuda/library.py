"""Operations without kernels that CuPy has with the same meaning; all others are computed by the host.

A function takes the module, the operands as its arrays and the parameters of the primitive, and returns the results,
arrays of the library or of NumPy; or None, where it has met what the library has not with the same meaning.

Invariant: what a function gives is what `evaluate` of the primitive does, but for rounding and what a method is free
to choose.
Start at ``find``; functions of matrices are in factorisations.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from staged_ad.cuda.factorisations import FACTORISATIONS
from staged_ad.ir import Equation, Primitive
from staged_ad.ir.types import complex_dtype_of, real_dtype_of
from staged_ad.primitives.sort_kernels import SHORT
from staged_ad.tracing.libraries import Late

Function = Callable[..., Sequence[Any] | None]

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


# -- sequences --------------------------------------------------------------------------------------------------------


def _with_one_nan(cupy: Any, x: Any) -> Any:
    """A copy in which any NaN is NumPy's: CuPy sorts by bits, and puts those with a sign first."""
    return cupy.where(cupy.isnan(x), x.dtype.type(np.nan), x) if x.dtype.kind == "f" else x.copy()


def _sort(cupy: Any, x: Any, *, axis: int) -> Sequence[Any]:
    return [cupy.sort(_with_one_nan(cupy, x), axis=axis)]


def _argsort(cupy: Any, x: Any, *, axis: int) -> Sequence[Any]:
    """CuPy's is stable, and zeros of both signs are equal."""
    return [cupy.argsort(_with_one_nan(cupy, x), axis=axis)]


def _permute(cupy: Any, x: Any, order: Any, *, axis: int) -> Sequence[Any]:
    return [cupy.take_along_axis(x, order, axis)]


def _unpermute(cupy: Any, x: Any, order: Any, *, axis: int) -> Sequence[Any]:
    y = cupy.empty(x.shape, x.dtype)
    cupy.put_along_axis(y, order, x, axis)
    return [y]


_SEQUENCES: dict[str, Function] = {
    "sort": _sort,
    "argsort": _argsort,
    "permute": _permute,
    "unpermute": _unpermute,
}


def is_long(equation: Equation) -> bool:
    """Whether kernels, in which one thread goes along a sequence, would take longer than the library."""
    return equation.primitive.name in _SEQUENCES and equation.inputs[0].type.shape[equation.params["axis"]] > SHORT


_FUNCTIONS: dict[str, Function] = (
    {name: _special(name) for name in _SPECIAL}
    | {"fft": _fft, "rfft": _rfft, "irfft": _irfft}
    | FACTORISATIONS
    | _SEQUENCES
)


def _interleaved(
    cupy: Any, *arrays: Any, of: Primitive, operands: Sequence[bool], params: Sequence[tuple[str, Any]]
) -> Sequence[Any] | None:
    """Operations of complex numbers, which programs hold as pairs of real ones."""
    given = [_complex(array) if flag else array for array, flag in zip(arrays, operands, strict=True)]
    found = _FUNCTIONS[of.name](cupy, *given, **dict(params))
    return None if found is None else [_pairs(y) if y.dtype.kind == "c" else y for y in found]


def _complex(pairs: Any) -> Any:
    return pairs.view(complex_dtype_of(pairs.dtype)).reshape(pairs.shape[:-1])


def _pairs(y: Any) -> Any:
    return y.astype(y.dtype, order="C").view(real_dtype_of(y.dtype)).reshape((*y.shape, 2))
