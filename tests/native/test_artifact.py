"""Compiled code as bytes.

Invariant: what is read back is what was written.
Start at ``test_constants_are_read_back``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from staged_ad.native.artifact import Artifact, decode, encode
from staged_ad.native.identity import Identity
from tests.numerics import assert_same

CONSTANTS = [
    np.zeros((2, 0)),
    np.zeros((0, 3, 3), np.int64),
    np.full((4, 2), 7, np.float32),
    np.arange(6).reshape(2, 3),
    np.array(1.5),
    np.array([np.nan, -0.0, np.nan]),
]


@pytest.mark.parametrize("known", [(), tuple(CONSTANTS)], ids=["own", "of the program"])
def test_constants_are_read_back(known: Any):
    identity = Identity("", known, ())
    content = encode(Artifact(b"code", (), list(CONSTANTS), 8, False, [], []), identity)
    assert content is not None
    found = decode(content, identity)
    assert (found.code, found.workspace, found.slow) == (b"code", 8, False)
    for one, two in zip(found.constants, CONSTANTS, strict=True):
        assert_same(one, two)
