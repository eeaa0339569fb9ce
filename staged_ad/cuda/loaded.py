"""Loaded: a program on one device: its kernels and constants, and the memory of a call.

Invariant: what a call needs lives until all that it asked for has been asked for; the library's pool gives memory out
again in the order of the stream. Other libraries' arrays live until it is done.
Start at ``Loaded.__call__``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staged_ad.cuda.actions import Ask, all_actions
from staged_ad.cuda.device import Device
from staged_ad.cuda.program import DeviceModule
from staged_ad.cuda.replaying import Replaying
from staged_ad.ir.types import is_bfloat16
from staged_ad.lowering.scope import aligned
from staged_ad.lowering.storage import ALIGNMENT


class Loaded:
    """The kernels of a program on a device."""

    def __init__(self, module: DeviceModule, device: Device) -> None:
        self._module = module
        self._device = device
        self._engine = device.engine(module)
        self._run = Replaying(module, self._engine)
        self._constants = [device.ready(device.sent(constant)) for constant in module.storage.constants]
        device.wait()  # the next call may be in the order of another stream
        self._room = aligned(module.storage.workspace)  # behind it is the status
        self._asks = any(isinstance(action, Ask) for action in all_actions(module.actions))

    def __call__(self, values: Sequence[Any]) -> Any:
        """A status, the output or a tuple of them."""
        device, module = self._device, self._module
        inputs = [self._input(value, type.dtype) for value, type in zip(values, module.types, strict=True)]
        outputs = [device.empty(type.shape, type.dtype) for type in module.results]
        working = device.empty((self._room + ALIGNMENT,), np.uint8)
        slots = [device.address(array) for array in (*inputs, *self._constants, *outputs, working)]
        status = slots[-1] + self._room
        if self._asks:
            self._engine.set_number(status, 0)
        found = self._run(slots, status)
        device.keep(values)
        if found:
            return found
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _input(self, value: Any, dtype: np.dtype[Any]) -> Any:
        if isinstance(value, np.ndarray | np.generic | int | float | complex):
            array = np.asarray(value, dtype)
            return self._device.sent(array.view(np.uint16) if is_bfloat16(dtype) else array)  # CuPy may not know it
        return self._device.ready(self._device.adopted(value))
