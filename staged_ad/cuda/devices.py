"""Devices: which GPU programs run on.

Invariant: nothing is loaded, and no driver asked, before somebody wants a device.
Start at ``current``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from staged_ad.cuda.geometry import Geometry
from staged_ad.errors import DeviceError

if TYPE_CHECKING:
    from staged_ad.cuda.device import Device

CAPABILITY = 90
"""The compute capability, here 9.0, that programs are shown for where there is no device."""

_standing_in: list[Device] = []


def current() -> Device:
    """The device that programs run on.

    Raises
    ------
    DeviceError
        There is none; the message says what lacks.
    """
    if _standing_in:
        return _standing_in[-1]
    from staged_ad.cuda.device import opened  # nobody else needs it

    return opened()


@contextmanager
def standing_in(device: Device) -> Iterator[None]:
    """Let another device stand in for that of the machine, as in tests."""
    _standing_in.append(device)
    try:
        yield
    finally:
        _standing_in.remove(device)


def geometry() -> Geometry:
    """How kernels are spread over threads: the same for all devices, so that programs are compiled without one."""
    return _standing_in[-1].geometry if _standing_in else Geometry()


def capability() -> int:
    """The compute capability of the device, or of a recent one where there is none."""
    try:
        return current().capability
    except DeviceError:
        return CAPABILITY
