"""The emulated device, for tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cuda import cupy_stand_in
from tests.cuda.cupy_stand_in import Standing


@pytest.fixture
def device() -> Iterator[Standing]:
    with cupy_stand_in.device() as standing:
        yield standing
