"""``void staged_parallel(ptr task, i64 chunks, ptr data)``: run numbered chunks over Numba's thread pool.

Invariant: only chunk numbers reach a task, so results cannot depend on the number of threads.
Start at `parallel_symbols`; `_PARALLEL` is the native code; `threads.set_num_threads` is the user's knob.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any, Final

from staged_ad.frames import package_folder
from staged_ad.native import threads
from staged_ad.native.linking import NativeCode
from staged_ad.native.objects import shared_code
from staged_ad.native.once import once
from staged_ad.tracing.libraries import Late, numba


@once
def parallel_symbols() -> Mapping[str, int]:
    """Address of ``staged_parallel``, where a task is ``void (i64 first_chunk, i64 last_chunk, ptr data)``.

    Chunks run in the calling thread when one thread is allowed, when there is one chunk, inside a task,
    in the child of a fork, and while another Python thread has the pool: Numba's ``workqueue`` layer
    would abort the process, and the others would oversubscribe the machine.
    """
    pool = _pool()
    words = ctypes.addressof(threads.state)
    symbols = {
        "staged_limit": words + 8 * threads.LIMIT,
        "staged_busy": words + 8 * threads.BUSY,
        "numba_parallel_for": pool.parallel_for,
        "numba_get_threads": pool.get_num_threads,
        "numba_set_threads": pool.set_num_threads,
    }
    code = shared_code("parallel", lambda: _PARALLEL, symbols)
    _kept.append(code)
    return {"staged_parallel": code.address}


@once
def serial_symbols() -> Mapping[str, int]:
    """Address of a ``staged_parallel`` that runs all chunks in the calling thread, which may be one of Numba's pool."""
    code = shared_code("serial", lambda: _SERIAL, {})
    _kept.append(code)
    return {"staged_parallel": code.address}


_kept: Final[list[NativeCode]] = []


@once
def _pool() -> Any:
    """The compiled module of Numba that is its pool of threads, with the threads started."""
    # GNU OpenMP's threads spin for many milliseconds by default, and a region stalls for as long when the
    # system puts two of them on one core: 10 ms on a machine that others use too. A thousand rounds are
    # 50 us: a region costs 1 us soon after another (8 us without spinning), and at most 60 us after a pause.
    chosen = "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ
    if not chosen:
        os.environ["GOMP_SPINCOUNT"] = "1000"
    try:
        return _openmp_pool() or _chosen_pool()
    finally:
        if not chosen:
            del os.environ["GOMP_SPINCOUNT"]


def _openmp_pool() -> Any:
    """The pool that Numba takes by default, from its file: all of Numba takes a hundred times as long to load.

    None where Numba has been loaded, or the user chooses a pool, or there is no OpenMP.
    """
    layer = os.environ.get("NUMBA_THREADING_LAYER", "default")
    if "numba" in sys.modules or layer != "default" or "NUMBA_THREADING_LAYER_PRIORITY" in os.environ:
        return None
    found = PathFinder.find_spec("omppool", [os.path.join(package_folder("numba"), "np", "ufunc")])
    if found is None or found.loader is None:
        return None
    try:
        pool: Any = module_from_spec(found)
        found.loader.exec_module(pool)
    except ImportError:
        return None
    for start in (pool.launch_threads, pool.set_num_threads):
        ctypes.CFUNCTYPE(None, ctypes.c_int)(start)(threads.pool_size())
    return pool


def _chosen_pool() -> Any:
    """The pool that Numba chooses."""
    Late("numba.np.ufunc.parallel")._launch_threads()
    return import_module(f"numba.np.ufunc.{_POOLS[numba.threading_layer()]}")


_POOLS: Final = {"omp": "omppool", "workqueue": "workqueue", "tbb": "tbbpool"}


_SERIAL: Final = """
define void @body(ptr %task, i64 %chunks, ptr %data) nounwind {
  call void %task(i64 0, i64 %chunks, ptr %data)
  ret void
}
"""

# The pool leaves its own count of threads changed in the calling thread: the user's numba.get_num_threads().
# One task per thread takes chunks from a shared counter, so a thread that starts late delays nobody.
_PARALLEL: Final = """
@staged_limit = external global i64
@staged_busy = external global i64
declare void @numba_parallel_for(ptr, ptr, ptr, ptr, ptr, i64, i64, i32)
declare i32 @numba_get_threads()
declare void @numba_set_threads(i32)
declare i64 @llvm.smin.i64(i64, i64)
%job = type { ptr, i64, ptr, i64 }

define internal void @work(ptr %items, ptr %shape, ptr %strides, ptr %job) nounwind {
start:
  %chunks.p = getelementptr %job, ptr %job, i64 0, i32 1
  %data.p = getelementptr %job, ptr %job, i64 0, i32 2
  %next.p = getelementptr %job, ptr %job, i64 0, i32 3
  %task = load ptr, ptr %job
  %chunks = load i64, ptr %chunks.p
  %data = load ptr, ptr %data.p
  br label %take
take:
  %first = atomicrmw add ptr %next.p, i64 1 monotonic
  %some = icmp slt i64 %first, %chunks
  br i1 %some, label %run, label %done
run:
  %last = add i64 %first, 1
  call void %task(i64 %first, i64 %last, ptr %data)
  br label %take
done:
  ret void
}

define void @body(ptr %task, i64 %chunks, ptr %data) nounwind {
start:
  %job = alloca %job, align 64
  %shape = alloca i64
  %items = alloca ptr
  %stride = alloca i64
  %limit = load atomic i64, ptr @staged_limit monotonic, align 8
  %threads = call i64 @llvm.smin.i64(i64 %limit, i64 %chunks)
  %several = icmp sgt i64 %threads, 1
  br i1 %several, label %lock, label %serial
lock:
  %pair = cmpxchg ptr @staged_busy, i64 0, i64 1 acquire monotonic
  %mine = extractvalue { i64, i1 } %pair, 1
  br i1 %mine, label %fork, label %serial
fork:
  %chunks.p = getelementptr %job, ptr %job, i64 0, i32 1
  %data.p = getelementptr %job, ptr %job, i64 0, i32 2
  %next.p = getelementptr %job, ptr %job, i64 0, i32 3
  store ptr %task, ptr %job
  store i64 %chunks, ptr %chunks.p
  store ptr %data, ptr %data.p
  store i64 0, ptr %next.p
  store i64 %threads, ptr %shape
  store ptr null, ptr %items
  store i64 0, ptr %stride
  %count = trunc i64 %threads to i32
  %before = call i32 @numba_get_threads()
  call void @numba_parallel_for(ptr @work, ptr %items, ptr %shape, ptr %stride, ptr %job, i64 0, i64 1, i32 %count)
  call void @numba_set_threads(i32 %before)
  store atomic i64 0, ptr @staged_busy release, align 8
  ret void
serial:
  call void %task(i64 0, i64 %chunks, ptr %data)
  ret void
}
"""
