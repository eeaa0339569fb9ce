"""From a Python call to ``i64 body(ptr slots)`` and back: one native function serves every signature.

Invariant: the body sees only arguments that match the record exactly; all else returns NotImplemented.
Start at `make_entry`; the record it writes is read by `entry_code.ENTRY`, in the same order.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from staged_ad.native.buffers import LARGE, WORTH
from staged_ad.native.entry_code import entry_code
from staged_ad.native.once import once


@dataclass(frozen=True)
class InputSpec:
    """What one argument must be, exactly, for the native path.

    `type` is ``np.ndarray`` (then `dtype` and `shape` count, and the array must be C-contiguous and aligned),
    ``float``, ``complex`` or a NumPy scalar type (the slot points at the value inside the object), or
    ``int`` or ``bool`` (the slot points at an int64).
    """

    type: type[object]
    dtype: np.dtype[Any] | None = None
    shape: tuple[int, ...] = ()


def make_entry(
    address: int,
    inputs: Sequence[InputSpec],
    constants: Sequence[np.ndarray[Any, Any]],
    outputs: Sequence[tuple[tuple[int, ...], np.dtype[Any]]],
    workspace: int,
    release_gil: bool,
    owner: object = None,
    donors: Mapping[int, int] = MappingProxyType({}),
) -> Callable[..., object]:
    """A callable that runs the body at `address` on slots: inputs, constants, outputs, workspace.

    The call returns ``NotImplemented`` when an argument does not match, a Python ``int`` when the body's
    status is not 0, else the output, or a tuple when there is not exactly one. An output of shape ``()``
    is a NumPy scalar.

    Parameters
    ----------
    constants
        C-contiguous arrays; the callable keeps them alive.
    workspace
        Bytes of scratch, aligned to 64; the slot is null when 0.
    donors
        Inputs that outputs take the memory of, and are: they must be arrays that can be written to.
    owner
        Anything to keep alive as long as the callable, such as the `NativeCode` of `address`.
    """
    for constant in constants:
        if not constant.flags.c_contiguous:
            raise ValueError("constants of a native body must be C-contiguous")
    words = [address, len(inputs), len(constants), len(outputs), workspace, int(release_gil)]
    words += [id(NotImplemented), id(np.ndarray)]
    for number, spec in enumerate(inputs):
        words += _input_words(spec, number in donors.values())
    words += [constant.ctypes.data for constant in constants]
    descriptors = [np.dtype(dtype) for _, dtype in outputs]
    sizes = [prod(shape) * descriptor.itemsize for (shape, _), descriptor in zip(outputs, descriptors, strict=True)]
    kept = sum(size for size in sizes if size >= LARGE) >= WORTH
    for number, ((shape, _), descriptor, size) in enumerate(zip(outputs, descriptors, sizes, strict=True)):
        words += [donors.get(number, -1), int(kept and size >= LARGE), id(descriptor), len(shape), *shape]
    record = _Record(len(words), np.int64)
    record[:] = words
    record.owners = (owner, tuple(inputs), tuple(constants), descriptors)
    call: Callable[..., object] = _new_function()(ctypes.byref(_method()), record, None)
    return call


_ARRAY, _INLINE, _INTEGER = 0, 1, 2
CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400
"""NumPy's flags of arrays."""


def _input_words(spec: InputSpec, written: bool) -> list[int]:
    if spec.type is np.ndarray:
        if spec.dtype is None:
            raise ValueError("an array argument needs a dtype")
        flags = CONTIGUOUS | ALIGNED | WRITEABLE * written
        return [_ARRAY, id(spec.type), flags, id(spec.dtype), len(spec.shape), *spec.shape]
    if spec.type in (int, bool):
        return [_INTEGER, id(spec.type)]
    if spec.type in (float, complex) or issubclass(spec.type, (np.number, np.bool_)):
        return [_INLINE, id(spec.type)]
    raise TypeError(f"an argument of type {spec.type.__name__} has no native form")


class _Record(np.ndarray[tuple[int], np.dtype[np.int64]]):
    """The words that the native code reads, through the data pointer of this array: the callable's self."""

    owners: tuple[object, ...]


class _MethodDefinition(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_METH_FASTCALL: Final = 0x0080


@once
def _method() -> _MethodDefinition:
    return _MethodDefinition(b"compiled", entry_code().address, _METH_FASTCALL, None)


@once
def _new_function() -> Any:
    function = ctypes.pythonapi.PyCFunction_NewEx
    function.restype = ctypes.py_object
    function.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return function
