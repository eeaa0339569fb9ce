"""Tests that need a GPU: ``python -m pytest tests/device`` runs them where there is one."""

from __future__ import annotations

import pytest

from staged_ad.cuda import devices
from staged_ad.errors import DeviceError


@pytest.fixture(scope="session", autouse=True)
def device() -> devices.Device:
    """The GPU; without one, a test is skipped with the reason."""
    try:
        return devices.current()
    except DeviceError as error:
        pytest.skip(error.said)
