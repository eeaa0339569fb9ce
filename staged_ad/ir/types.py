"""Array types: shape, dtype and whether the value was born from a Python scalar.

Invariant: a type is immutable and hashable, and its dtype is one of ``DTYPES`` in native byte order, or bfloat16, which
only inputs have.
Start at ``ArrayType`` and ``type_of``.
"""

from __future__ import annotations

import math
import operator
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, DTypeError, ShapeError

Shape = tuple[int, ...]

DTYPES: dict[np.dtype[Any], str] = {
    np.dtype(name): short
    for name, short in [
        ("bool", "bool"),
        ("int8", "i8"),
        ("int16", "i16"),
        ("int32", "i32"),
        ("int64", "i64"),
        ("uint8", "u8"),
        ("uint16", "u16"),
        ("uint32", "u32"),
        ("uint64", "u64"),
        ("float16", "f16"),
        ("float32", "f32"),
        ("float64", "f64"),
        ("complex64", "c64"),
        ("complex128", "c128"),
    ]
}
_SINGLETONS = {dtype: dtype for dtype in DTYPES}  # NumPy's own objects, which compiled code recognises by address
RAGGED = -1
"""Length of an axis that is known only when the program runs: the iterations of a loop, one entry each."""
BOOL, INT64, FLOAT64, COMPLEX128 = np.dtype("bool"), np.dtype("int64"), np.dtype("float64"), np.dtype("complex128")
FLOAT16, FLOAT32 = np.dtype("float16"), np.dtype("float32")
_CUDA = (2, 13)
"""What DLPack calls memory of a GPU: CUDA's own, and managed."""
_PARTS: dict[np.dtype[Any], np.dtype[Any]] = {np.dtype("complex64"): np.dtype("float32"), COMPLEX128: FLOAT64}


@dataclass(frozen=True, slots=True)
class ArrayType:
    """The type of one value.

    ``weak`` marks values born from Python scalars: in a promotion they take the dtype of their
    partner (NEP 50). Booleans of Python have that of NumPy's, and are numbers among Python's own.
    """

    shape: Shape
    dtype: np.dtype[Any]
    weak: bool = False

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def ragged(self) -> bool:
        """Whether an axis has no fixed length: what a loop of unknown length leaves for its reverse."""
        return RAGGED in self.shape

    @property
    def inexact(self) -> bool:
        """Whether values of this type have tangents."""
        return self.dtype.kind in "fc"

    @property
    def is_complex(self) -> bool:
        return self.dtype.kind == "c"

    @property
    def real(self) -> ArrayType:
        """The type of the real part, and of the imaginary part."""
        return ArrayType(self.shape, real_dtype_of(self.dtype), self.weak)

    def with_shape(self, shape: Shape) -> ArrayType:
        """Arrays are never weak: only scalars are born from Python scalars."""
        return ArrayType(shape, self.dtype, self.weak and not shape)

    def stacked(self, length: int | None) -> ArrayType:
        """The type of `length` values of this type, one for each iteration of a loop; None: not known."""
        return ArrayType((RAGGED if length is None else length, *self.shape), self.dtype)

    def slice(self) -> ArrayType:
        """The type of one entry along the first axis."""
        return ArrayType(self.shape[1:], self.dtype)

    def with_dtype(self, dtype: np.dtype[Any], weak: bool = False) -> ArrayType:
        return ArrayType(self.shape, dtype, weak)

    def strong(self) -> ArrayType:
        return ArrayType(self.shape, self.dtype) if self.weak else self

    def __str__(self) -> str:
        shape = f"[{','.join('?' if n == RAGGED else str(n) for n in self.shape)}]" if self.shape else ""
        return f"{DTYPES.get(self.dtype) or self.dtype.name}{shape}{'~' if self.weak else ''}"


def real_dtype_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the real part of numbers of `dtype`."""
    return _PARTS.get(dtype, dtype)


def complex_dtype_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of complex numbers whose parts have the floating-point `dtype`; of float16 that of float32."""
    if dtype == FLOAT16:
        dtype = FLOAT32
    return next((whole for whole, part in _PARTS.items() if part == dtype), dtype)


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is the bfloat16 of the package ml_dtypes."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def stored_type(value: Any) -> ArrayType:
    """The type of an array as it lies in memory: that of ``type_of``, save for bfloat16, which only casts read."""
    dtype: np.dtype[Any] = value.dtype
    return ArrayType(tuple(value.shape), dtype if is_bfloat16(dtype) else canonical_dtype(dtype))


def canonical_dtype(dtype: Any) -> np.dtype[Any]:
    """The supported dtype equal to `dtype`; raises DTypeError, saying which dtypes there are."""
    found = np.dtype(dtype)
    known = _SINGLETONS.get(found) or _SINGLETONS.get(found.newbyteorder("="))
    if known is None:
        raise DTypeError(
            f"dtype {found} is not supported; supported are bool, int8 ... int64, uint8 ... uint64, float16, "
            f"float32, float64, complex64 and complex128{_dtype_advice(found)}"
        )
    return known


def _dtype_advice(dtype: np.dtype[Any]) -> str:
    match dtype.kind:
        case "O":
            return ". Object arrays often come from ragged nested lists or from None inside np.array(...)"
        case "c":
            return "; cast with x.astype(np.complex64) or x.astype(np.complex128)"
        case "V" if is_bfloat16(dtype):
            return "; arrays of bfloat16 are read as float32, and results are: write x.astype(np.float32)"
        case "f":
            return "; cast with x.astype(np.float32) or x.astype(np.float64)"
        case _:
            return ""


def type_of(value: Any) -> ArrayType:
    """The type of a NumPy array, NumPy scalar or Python scalar; bfloat16 is read as float32.

    Raises DTypeError on anything else.
    """
    if isinstance(value, np.ndarray | np.generic):
        dtype = value.dtype
        return ArrayType(value.shape, FLOAT32 if is_bfloat16(dtype) else canonical_dtype(dtype))
    if isinstance(value, bool):
        return ArrayType((), BOOL, weak=True)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise DTypeError(f"the Python integer {value} does not fit into int64; write float({value})")
        return ArrayType((), INT64, weak=True)
    if isinstance(value, float):
        return ArrayType((), FLOAT64, weak=True)
    if isinstance(value, complex):
        return ArrayType((), COMPLEX128, weak=True)
    raise DTypeError(f"expected an array or a number, got {describe(value)}{moving(value)}")


def is_on_device(value: Any) -> bool:
    """Whether a value is an array of another library that lies in the memory of a GPU."""
    if isinstance(value, np.ndarray | np.generic | int | float | complex | type):
        return False
    try:
        if hasattr(value, "__dlpack_device__"):
            return int(value.__dlpack_device__()[0]) in _CUDA
        return hasattr(value, "__cuda_array_interface__")
    except (AttributeError, RuntimeError, TypeError, ValueError, BufferError):  # libraries refuse in their own ways
        return hasattr(type(value), "__cuda_array_interface__")


def moving(value: Any) -> str:
    """What to write for an array that lies in the memory of a GPU, to go behind a message; empty for others."""
    if not is_on_device(value):
        return ""
    return (
        ". It lies in the memory of a GPU: give it as an argument to jit(f, device='cuda'), or move it: "
        "cupy.asnumpy(x) of CuPy's, x.numpy(force=True) of PyTorch's, np.asarray(x) of JAX's arrays"
    )


def is_other_kind(value: Any) -> bool:
    """Whether a value is an array whose operations are not those of arrays: masked, a matrix, one with units."""
    kind = type(value)
    if kind is np.ndarray or not isinstance(value, np.ndarray):
        return False
    return isinstance(value, (np.matrix, _masked())) or not (
        kind.__array_ufunc__ is np.ndarray.__array_ufunc__ and kind.__array_function__ is np.ndarray.__array_function__
    )


def _masked() -> Any:
    return getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())  # NumPy loads it when somebody asks for it


def as_plain(value: Any) -> str:
    """What to write for an array of another kind: np.asarray of a masked one drops its mask."""
    return "x.filled(value), or np.where(x.mask, value, x.data)" if isinstance(value, _masked()) else "np.asarray(x)"


def describe(value: Any) -> str:
    """A short description of a value for error messages."""
    if is_on_device(value):
        return f"{type(value).__module__}.{type(value).__name__} of shape {getattr(value, 'shape', '?')}"
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    name = type(value).__name__
    return text if text.startswith(name) else f"{name} {text}"


def check_axis(axis: Any, ndim: int) -> int:
    """`axis` counted from the front; ShapeError when it is out of range, ArgumentError when it is no integer."""
    if not hasattr(axis, "__index__"):
        raise ArgumentError(f"an axis must be an integer, got {describe(axis)}")
    axis = operator.index(axis)
    if not -ndim <= axis < ndim:
        raise ShapeError(f"axis {axis} is out of bounds for an array with {ndim} dimensions")
    return axis % ndim
