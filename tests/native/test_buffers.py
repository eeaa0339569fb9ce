"""The memory of large results, which is kept for the next ones.

Invariant: nothing here depends on what was kept before.
Start at ``kept``.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import staged_ad as sad
from staged_ad.native.buffers import COUNT, LARGE, LIMIT, WORTH, clear_buffers, numpy_api, result_handler

N = WORTH // 8
double = sad.jit(lambda x: 2 * x)


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    clear_buffers()
    yield
    clear_buffers()


def kept() -> tuple[int, int]:
    """How many blocks, and their bytes."""
    return tuple(result_handler().state[:2])  # type: ignore[return-value]  # two of them


def test_a_result_gets_the_memory_of_one_that_was_dropped():
    first = double(np.ones(N))
    address = first.ctypes.data
    del first
    assert kept() == (1, 8 * N)
    second = double(np.full(N, 3.0))
    assert second.ctypes.data == address
    assert kept() == (0, 0)
    assert second.flags.owndata
    assert np.all(second == 6)


def test_a_view_keeps_the_memory():
    view = double(np.ones(N))[5:]
    assert kept() == (0, 0)
    assert np.all(double(np.zeros(N)) == 0)
    assert np.all(view == 2)


def test_other_sizes_and_small_results_do_not_get_it():
    double(np.ones(N))
    assert np.all(double(np.ones(N + 1)) == 2)
    assert kept()[0] == 2
    assert get_handler_name(double(np.ones(LARGE // 8 - 1))) == "default_allocator"


def test_each_of_several_results_has_memory_of_its_own():
    several = sad.jit(lambda x: (x + 1, x + 2, x[: N // 2] + 3, x + 4))
    for _ in range(3):
        found = several(np.zeros(N))
        assert [float(y[0]) for y in found] == [1, 2, 3, 4]
        assert all(np.all(y == y[0]) for y in found)
        del found
    assert kept()[0] == 4


def test_what_is_kept_is_bounded():
    held = [double(np.ones(N + k)) for k in range(2 * COUNT)]
    del held
    assert kept()[0] == COUNT
    large = LIMIT // 8 // 3
    held = [double(np.ones(large + k)) for k in range(5)]
    del held
    assert kept()[1] <= LIMIT
    double(np.ones(LIMIT // 8 + 1))
    assert kept()[1] <= LIMIT


def test_clearing_caches_frees_it():
    double(np.ones(N))
    assert kept()[0]
    sad.clear_caches()
    assert kept() == (0, 0)
    assert np.all(double(np.ones(N)) == 2)


def test_results_can_be_resized():
    y = double(np.ones(N))
    y.resize(2 * N, refcheck=False)
    assert np.all(y[:N] == 2)
    del y
    assert kept() == (1, 16 * N)


def test_threads_do_not_get_the_same_memory():
    def run(number: int) -> bool:
        return all(bool(np.all(double(np.full(N, float(number))) == 2 * number)) for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(8)))


def test_a_handler_of_the_users_own_is_used():
    double(np.ones(N))  # compiled
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(numpy_api()[304])
    handler: Any = result_handler()
    name = b"mem_handler"
    copy = ctypes.create_string_buffer(
        ctypes.string_at(ctypes.pythonapi.PyCapsule_GetPointer(handler.capsule, name), 168)
    )
    copy.value = b"mine"
    mine = ctypes.pythonapi.PyCapsule_New(ctypes.addressof(copy), name, None)
    before = set_handler(mine)
    try:
        y = double(np.ones(N))
        assert get_handler_name(y) == "mine"
        del y
    finally:
        assert set_handler(before) is mine
    assert get_handler_name(double(np.ones(N))) == "staged_ad"


AT_THE_END = """
import numpy as np
import staged_ad as sad

def f(x):
    return np.exp(x) + k

x = np.ones((600, 300))
for k in (0, 1):
    result, plain = sad.jit(f)(x), f(x)
"""


def test_results_that_globals_hold_are_dropped_at_the_end_of_the_process():
    done = subprocess.run([sys.executable, "-c", AT_THE_END], check=False, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
