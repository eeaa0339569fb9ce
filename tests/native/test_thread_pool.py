"""Chunks run exactly once each, whoever calls, from wherever, with any number of threads."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numba
import numpy as np
import numpy.typing as npt
import pytest

from staged_ad.native import llvm, thread_pool
from staged_ad.native import threads as pool

COUNTING = """
declare void @staged_parallel(ptr, i64, ptr)
define internal void @count(i64 %first, i64 %last, ptr %counts) {
start:
  br label %next
next:
  %k = phi i64 [ %first, %start ], [ %k1, %next ]
  %p = getelementptr i64, ptr %counts, i64 %k
  %v = load i64, ptr %p
  %w = add i64 %v, 1
  store i64 %w, ptr %p
  %k1 = add i64 %k, 1
  %more = icmp slt i64 %k1, %last
  br i1 %more, label %next, label %done
done:
  ret void
}
define internal void @nested(i64 %first, i64 %last, ptr %counts) {
start:
  br label %next
next:
  %k = phi i64 [ %first, %start ], [ %k1, %next ]
  %row = mul i64 %k, 16
  %p = getelementptr i64, ptr %counts, i64 %row
  call void @staged_parallel(ptr @count, i64 16, ptr %p)
  %k1 = add i64 %k, 1
  %more = icmp slt i64 %k1, %last
  br i1 %more, label %next, label %done
done:
  ret void
}
define i64 @body(ptr %slots) {
  %counts = load ptr, ptr %slots
  %chunks.p = getelementptr i64, ptr %slots, i64 1
  %chunks = load i64, ptr %chunks.p
  call void @staged_parallel(ptr @TASK, i64 %chunks, ptr %counts)
  ret i64 0
}
"""


def compiled(task: str) -> llvm.NativeCode:
    return llvm.compile_ir(llvm.header() + COUNTING.replace("@TASK", f"@{task}"), thread_pool.parallel_symbols())


def run(code: llvm.NativeCode, counts: npt.NDArray[np.int64], chunks: int) -> None:
    slots = (ctypes.c_int64 * 2)(counts.ctypes.data, chunks)
    ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(code.address)(ctypes.addressof(slots))


@pytest.fixture(params=[1, numba.config.NUMBA_NUM_THREADS])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = pool.get_num_threads()
    pool.set_num_threads(request.param)
    yield request.param
    pool.set_num_threads(before)


@pytest.mark.parametrize("chunks", [1, 2, 3, 64])
def test_every_chunk_runs_once(threads: int, chunks: int) -> None:
    counts = np.zeros(65, np.int64)
    run(compiled("count"), counts, chunks)
    assert counts.tolist() == [1] * chunks + [0] * (65 - chunks)


def test_a_region_inside_a_region_runs_in_its_thread(threads: int) -> None:
    counts = np.zeros((8, 16), np.int64)
    run(compiled("nested"), counts, 8)
    assert (counts == 1).all()


def test_numba_keeps_its_own_number_of_threads(threads: int) -> None:
    before = numba.get_num_threads()
    run(compiled("count"), np.zeros(8, np.int64), 8)
    assert numba.get_num_threads() == before


@pytest.mark.parametrize(("count", "says"), [(0, "choose 1 to"), (-1, "choose 1 to"), (10**6, "NUMBA_NUM_THREADS")])
def test_an_impossible_number_of_threads_is_refused(count: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        pool.set_num_threads(count)


HAMMER = """
import threading
import numpy as np
from tests.native.test_thread_pool import compiled, run

code, wrong = compiled("count"), []

def work():
    counts = np.zeros(16, np.int64)
    for _ in range(500):
        run(code, counts, 16)
    wrong.extend(counts[counts != 500])

workers = [threading.Thread(target=work) for _ in range(8)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert not wrong
print("done")
"""

FORK = """
import os
import numpy as np
from staged_ad.native import threads as pool
from tests.native.test_thread_pool import compiled, run

code = compiled("count")
run(code, np.zeros(16, np.int64), 16)
child = os.fork()
if child == 0:
    counts = np.zeros(16, np.int64)
    run(code, counts, 16)
    run(compiled("count"), counts, 16)
    os._exit(0 if (counts == 2).all() and pool.get_num_threads() == 1 else 1)
assert os.waitpid(child, 0)[1] == 0
counts = np.zeros(16, np.int64)
run(code, counts, 16)
assert (counts == 1).all()
print("done")
"""


@pytest.mark.parametrize("layer", ["default", "workqueue"])
@pytest.mark.parametrize("script", [HAMMER, FORK], ids=["hammer", "fork"])
def test_many_python_threads_and_forked_children_neither_hang_nor_abort(layer: str, script: str) -> None:
    if script is FORK and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": "2"}
    found = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (found.stdout, found.returncode) == ("done\n", 0), found.stderr


def test_threads_of_python_share_the_pool() -> None:
    code, results = compiled("count"), []

    def work() -> None:
        counts = np.zeros(16, np.int64)
        for _ in range(50):
            run(code, counts, 16)
        results.append((counts == 50).all())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == [True] * 4
