"""Placement: where a jitted function runs, on the processor or on a GPU, and all that differs there for a call.

Invariant: what is traced, and when, does not depend on the placement.
Start at ``PLACEMENTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.api import calling
from staged_ad.cuda import devices
from staged_ad.errors import ArgumentError, DTypeError
from staged_ad.ir import ArrayType, Program, evaluate
from staged_ad.ir.types import is_bfloat16, is_on_device, stored_type
from staged_ad.tracing.tracer import OPEN

if TYPE_CHECKING:
    from staged_ad.cuda.compiled import DeviceCompiled
    from staged_ad.lowering.compiled import Compiled

_INLINE = frozenset(
    [float, complex, int, bool, np.float64, np.float32, np.float16, np.complex128, np.complex64, np.bool_]
    + [np.dtype(name).type for name in ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]]
)


class Processor:
    """Machine code for this processor, of NumPy arrays."""

    def leaf_type(self, value: Any, where: Callable[[], str]) -> ArrayType:
        """The type of one leaf of the arguments; `where` names it."""
        return _stored(value) or calling.leaf_type(value, where)

    def compiled(self, program: Program, precise: bool) -> Compiled:
        """The code of a program."""
        # LLVM, and what writes code for it, are loaded by the first function that is compiled
        from staged_ad.lowering.compiled import compile_program  # see above

        return compile_program(program, precise)

    def takes(self, kinds: Sequence[type]) -> bool:
        """Whether an entry into the code can be called with values of these Python types."""
        return all(kind is np.ndarray or kind in _INLINE for kind in kinds)

    def meanings(self, leaves: Sequence[Any]) -> Sequence[Any]:
        """What the leaves stand for while the function is traced."""
        return leaves

    def evaluated(self, program: Program, leaves: Sequence[Any]) -> list[Any]:
        """The results of a program by NumPy."""
        return evaluate(program, *leaves)


class Device:
    """Kernels for a GPU, of arrays that lie there or are moved there."""

    def leaf_type(self, value: Any, where: Callable[[], str]) -> ArrayType:
        """The type of one leaf of the arguments, which may be another library's array on the GPU."""
        if not is_on_device(value):
            return _stored(value) or calling.leaf_type(value, where)
        try:
            return stored_type(devices.current().adopted(value))
        except DTypeError as error:
            raise DTypeError(f"{where()}: {error.said}") from None
        except ArgumentError as error:
            raise ArgumentError(f"{where()} {error.said}") from None

    def compiled(self, program: Program, precise: bool) -> DeviceCompiled:
        """The kernels of a program; those are precise by themselves."""
        from staged_ad.cuda.compiled import DeviceCompiled  # the compiler, as above

        return DeviceCompiled(program)

    def takes(self, kinds: Sequence[type]) -> bool:
        """Whether an entry can be called with values of these Python types, as all can."""
        return True

    def meanings(self, leaves: Sequence[Any]) -> Sequence[Any]:
        """Arrays are fetched from the device where Python reads what depends on them."""
        return [_fetching(leaf) if is_on_device(leaf) else leaf for leaf in leaves]

    def evaluated(self, program: Program, leaves: Sequence[Any]) -> list[Any]:
        """The results of a program by NumPy, moved to the GPU."""
        device = devices.current()
        here = [device.fetched(leaf) if is_on_device(leaf) else leaf for leaf in leaves]
        return [device.sent(np.asarray(value)) for value in evaluate(program, *here)]


Placement = Processor | Device
PLACEMENTS: dict[str | None, Placement] = {None: Processor(), "cuda": Device()}
"""By the values of the option `device` of `jit`."""


def check_device(device: Any, donates: bool) -> None:
    """Raises ArgumentError unless there is such a `device`, and what is asked of it."""
    if device is not None and not (isinstance(device, str) and device in PLACEMENTS):
        raise ArgumentError(f"device={device!r}: there are 'cuda', an NVIDIA GPU, and None, the processor")
    if device is not None and donates:
        raise ArgumentError(
            f"device={device!r} takes no donate_argnums and donate_argnames: drop the array that you have no use for "
            "(del x), and the next result takes its memory from CuPy's pool"
        )


def _stored(value: Any) -> ArrayType | None:
    """The type of an array of bfloat16 that a program reads; within another trace it is a constant of that one."""
    if isinstance(value, np.ndarray | np.generic) and is_bfloat16(value.dtype) and not OPEN.get():
        return stored_type(value)
    return None


def _fetching(leaf: Any) -> Callable[[], Any]:
    return lambda: devices.current().fetched(leaf)
