"""The discrete Fourier transform along the last axis, without scaling: fft, rfft (of real numbers), irfft (to them).

All are linear. In the pairing ``Re(sum(ct * t))`` of docs/complex.md the transpose of fft is fft itself, for its matrix
is symmetric; rfft and irfft are transposes of each other up to a conjugation and weights, since all but the first and,
of an even length, the last of the coefficients stand for two.

Invariant: values are NumPy's to the last bit: compiled code calls the inner loops of its pocketfft (Reinecke, 2018).
Start at ``fft``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError
from staged_ad.ir import ArrayType
from staged_ad.ir.lowerings import Kernel
from staged_ad.ir.types import complex_dtype_of
from staged_ad.primitives.complexes import conj
from staged_ad.primitives.makers import Operation, check_kind, mul, structural, typeof
from staged_ad.primitives.shaping import broadcast, cast

LEAST, MOST = 16, 32
"""At least 16 transforms in one call of a loop, which takes several side by side; and at most about 32 calls, since
each plans the transform anew."""


LOOPS = "numpy.fft._pocketfft_umath"
"""The ufuncs behind np.fft. They are private to NumPy: looked up where code is made, not where values are."""


def _rows(type: ArrayType) -> int:
    return math.prod(type.shape[:-1])


def _block(type: ArrayType) -> int:
    """Transforms in one call."""
    return max(LEAST, -(-_rows(type) // MOST))


def _emit(name: Callable[..., str]) -> Callable[..., None]:
    """A call ``loop(pointers, sizes, strides, data)`` for a block of rows; the operands are x, the factor 1, and y."""

    def emit(kernel: Any, **params: Any) -> None:
        (x,), (y,) = kernel.inputs, kernel.outputs
        real_type = "double" if x.type.dtype.itemsize * (1 if x.type.is_complex else 2) == 16 else "float"
        letters = "".join(np.dtype(v).char for v in (x.type.dtype, x.type.real.dtype, y.type.dtype))
        loop, data = kernel.ufunc_loop(LOOPS, name(x.type, **params), f"{letters[:2]}->{letters[2]}")
        pointers, sizes = kernel.alloca("[3 x ptr]"), kernel.alloca("[3 x i64]")
        strides, factor = kernel.alloca("[5 x i64]"), kernel.alloca(real_type)
        kernel.line(f"store {real_type} 1.0, ptr {factor}")
        block = _block(x.type)
        first = kernel.value(f"mul nsw i64 {kernel.item}, {block}")
        left = kernel.value(f"sub nsw i64 {_rows(x.type)}, {first}")
        last = kernel.value(f"icmp slt i64 {left}, {block}")
        count = kernel.value(f"select i1 {last}, i64 {left}, i64 {block}")
        row = [buffer.type.shape[-1] * buffer.type.dtype.itemsize for buffer in (x, y)]
        places = []
        for buffer, size in zip((x, y), row, strict=True):
            offset = kernel.value(f"mul nsw i64 {first}, {size}")
            places.append(kernel.value(f"getelementptr i8, ptr {buffer.name}, i64 {offset}"))
        _store(kernel, pointers, "ptr", [places[0], factor, places[1]])
        _store(kernel, sizes, "i64", [count, x.type.shape[-1], y.type.shape[-1]])
        _store(kernel, strides, "i64", [row[0], 0, row[1], x.type.dtype.itemsize, y.type.dtype.itemsize])
        kernel.line(f"call void {loop}(ptr {pointers}, ptr {sizes}, ptr {strides}, ptr {data})")

    return emit


def _store(kernel: Any, array: str, kind: str, values: Sequence[Any]) -> None:
    for k, value in enumerate(values):
        place = kernel.value(f"getelementptr {kind}, ptr {array}, i64 {k}")
        kernel.line(f"store {kind} {value}, ptr {place}")


def _cost(x: ArrayType, *, n: int | None = None, **params: Any) -> float:
    length = n or x.shape[-1]
    return _block(x) * length * (1 + math.log2(length))


def _kernel(name: Callable[..., str]) -> Kernel:
    return Kernel(_emit(name), items=lambda x, **params: -(-_rows(x) // _block(x)), cost=_cost, interleaved=True)


def _batch(operation: Callable[[], Operation]) -> Callable[..., Any]:
    def batch(size: int, values: Sequence[Any], batched: Sequence[bool], **params: Any) -> tuple[Any, bool]:
        return operation()(*values, **params), True

    return batch


def _check(name: str, x: ArrayType, kind: str, n: int) -> None:
    check_kind(name, x.dtype, kind)
    if n < 1:
        raise ShapeError(f"{name}: invalid number of FFT data points ({n})")


# fft: y_k = sum_j x_j exp(-2 pi i j k / n), with the other sign if inverse.
def _abstract_fft(x: ArrayType, *, inverse: bool) -> ArrayType:
    _check("fft", x, "c", x.shape[-1])
    return x.strong()


def _evaluate_fft(x: Any, *, inverse: bool) -> Any:
    return np.fft.ifft(x, norm="forward") if inverse else np.fft.fft(x)


fft: Operation = structural(
    "fft",
    _abstract_fft,
    _evaluate_fft,
    lambda ct, inputs, *, inverse: [fft(ct, inverse=inverse)],
    _batch(lambda: fft),
    _kernel(lambda type, inverse: "ifft" if inverse else "fft"),
)


# rfft: the coefficients 0 to n // 2 of n real numbers; the others are their conjugates.
def _abstract_rfft(x: ArrayType) -> ArrayType:
    n = x.shape[-1]
    _check("rfft", x, "f", n)
    return ArrayType((*x.shape[:-1], n // 2 + 1), complex_dtype_of(x.dtype))


def _weighted(y: Any, n: int, inner: float) -> Any:
    """`y` times `inner`, except for the coefficients that stand for one."""
    type = typeof(y)
    weights = np.full(type.shape[-1], inner, type.real.dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    spread = broadcast(weights, shape=type.shape, dims=(type.ndim - 1,))
    return mul(y, cast(spread, dtype=type.dtype, weak=False))


def _transpose_rfft(ct: Any, inputs: Sequence[Any]) -> list[Any]:
    n = inputs[0].type.shape[-1]
    return [irfft(_weighted(conj(ct), n, 0.5), n=n)]


rfft: Operation = structural(
    "rfft",
    _abstract_rfft,
    lambda x: np.fft.rfft(x),
    _transpose_rfft,
    _batch(lambda: rfft),
    _kernel(lambda type: "rfft_n_odd" if type.shape[-1] % 2 else "rfft_n_even"),
)


# irfft: n real numbers from their coefficients 0 to n // 2, n times the inverse of rfft. The imaginary part of the
# first, and for even n of the last, is not looked at.
def _abstract_irfft(y: ArrayType, *, n: int) -> ArrayType:
    _check("irfft", y, "c", n)
    if y.shape[-1] != n // 2 + 1:
        raise ShapeError(f"irfft: {n} numbers have {n // 2 + 1} coefficients, got {y.shape[-1]}")
    return ArrayType((*y.shape[:-1], n), y.real.dtype)


irfft: Operation = structural(
    "irfft",
    _abstract_irfft,
    lambda y, *, n: np.fft.irfft(y, n, norm="forward"),
    lambda ct, inputs, *, n: [_weighted(conj(rfft(ct)), n, 2.0)],
    _batch(lambda: irfft),
    _kernel(lambda type, n: "irfft"),
)
