"""DeviceCompiled: a program as kernels that take and return arrays of a device.

Invariant: compiling needs no device; inputs are not modified, and results are new arrays, 0-d ones too.
Start at ``DeviceCompiled.run``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from staged_ad.cuda import devices, libdevice, target
from staged_ad.cuda.actions import Repeat, all_actions
from staged_ad.cuda.device import Device
from staged_ad.cuda.loaded import Loaded
from staged_ad.cuda.program import emit
from staged_ad.errors import ArgumentError
from staged_ad.ir import ArrayType, Program
from staged_ad.lowering.report import loops_text
from staged_ad.native.failures import raise_status
from staged_ad.passes import optimize

NUMBERS = (int, float, complex, np.generic)
"""What is sent to the device as it is: Python's numbers and NumPy's scalars."""


class DeviceCompiled:
    """The kernels of one program; they are loaded when it runs for the first time.

    Raises
    ------
    LoweringError
        NVIDIA's libdevice is not installed.
    """

    def __init__(self, program: Program) -> None:
        self.traced = program
        self.types = program.input_types
        libdevice.location()  # without it, every function would look like one that has no code
        self.module = emit(program, devices.geometry())
        self.failures = self.module.failures
        self._loaded: dict[Any, Loaded] = {}

    @cached_property
    def program(self) -> Program:
        """The optimised program."""
        return optimize(self.traced)

    @property
    def workspace(self) -> int:
        """Bytes of working memory of a call."""
        return self.module.storage.workspace

    @property
    def constants(self) -> int:
        """Bytes of the arrays that the kernels read and no argument is."""
        return sum(constant.nbytes for constant in self.module.storage.constants)

    @property
    def grows(self) -> bool:
        """Whether loops keep values whose number is known only when they have run."""
        return self.module.grows or any(
            isinstance(action, Repeat) and action.plan.length is None and action.plan.ys
            for action in all_actions(self.module.actions)
        )

    def donors(self, donated: Collection[int]) -> dict[int, int]:
        """No result takes the memory of an argument: the library's pool has the memory of what was dropped."""
        return {}

    def entry(self, kinds: tuple[type, ...], donated: Collection[int] = ()) -> Callable[..., Any]:
        """What runs it on arguments of the given Python types; it returns NotImplemented for others."""
        expected = list(zip(kinds, self.types, strict=True))

        def call(*leaves: Any) -> Any:
            if len(leaves) != len(expected):
                return NotImplemented
            device, values = devices.current(), []
            for leaf, (kind, type_) in zip(leaves, expected, strict=True):
                value = _taken(leaf, type_, device) if type(leaf) is kind else NotImplemented
                if value is NotImplemented:
                    return NotImplemented
                values.append(value)
            return self._run(device, values)

        return call

    def run(self, *values: Any) -> Any:
        """A status, the output or a tuple of them; arguments are converted to what the kernels need."""
        return self._run(devices.current(), values)

    def _run(self, device: Device, values: Sequence[Any]) -> Any:
        try:
            key = device, device.number
            loaded = self._loaded.get(key)
            if loaded is None:
                loaded = self._loaded[key] = Loaded(self.module, device)
            return loaded(values)
        except Exception as error:
            if not device.caused(error):
                raise
            raise device.explained(error) from error

    def __call__(self, *values: Any) -> list[Any]:
        """The outputs, in a list."""
        result = self.run(*values)
        if type(result) is int:
            raise_status(result, self.failures)
        return list(result) if type(result) is tuple else [result]

    def text(self, stage: str) -> str:
        """``program``, ``loops``, ``llvm`` or ``ptx``; no device is needed for them."""
        match stage:
            case "program":
                return str(self.program)
            case "loops":
                return loops_text(self.module.block, self.workspace)
            case "llvm":
                return target.optimised(self.module.text, devices.capability())
            case "ptx":
                return target.ptx(self.module.text, devices.capability())
            case _:
                raise ValueError(
                    f"no stage {stage!r} for device='cuda'; there are 'program', 'loops', 'llvm' and 'ptx', which the "
                    "driver makes machine code of"
                )


def _taken(leaf: Any, expected: ArrayType, device: Device) -> Any:
    """An argument as an array, where it has the type that the program was made for; else NotImplemented."""
    if isinstance(leaf, NUMBERS):
        if type(leaf) is int and not -(2**63) <= leaf < 2**63:
            return NotImplemented
        return np.asarray(leaf, expected.dtype)
    try:
        array = leaf if isinstance(leaf, np.ndarray) else device.adopted(leaf)
    except ArgumentError:  # it is found again where arguments have names
        return NotImplemented
    return array if array.shape == expected.shape and array.dtype == expected.dtype else NotImplemented
