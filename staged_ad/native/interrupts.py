"""Ctrl-C while compiled code runs: long loops ask Python now and then whether a signal has come.

Invariant: Python is asked at most once a second, by its own threads alone; what a handler raised is pending then, and
the call ends with it.
Start at ``interrupt_symbols``; ``_ASK`` is the native code.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from typing import Final

from staged_ad.native import llvm
from staged_ad.native.linking import NativeCode
from staged_ad.native.objects import shared_code
from staged_ad.native.once import once

INTERRUPTED: Final = "staged_interrupted"
DECLARATION: Final = (
    f"declare preserve_allcc i64 @{INTERRUPTED}() nounwind willreturn memory(inaccessiblemem: readwrite)"
)
"""It says whether the loop that asks is to end."""
MOST: Final = 1024
TIME: Final = 1e5


def every(cost: float) -> int:
    """Iterations of `cost` nanoseconds from one question to the next: a power of two that makes about TIME."""
    return 1 << int(math.log2(min(max(TIME / max(cost, 1), 1), MOST)))


@once
def interrupt_symbols() -> Mapping[str, int]:
    """The address of the function, by its name."""
    return {INTERRUPTED: question(_address(ctypes.CDLL(None), "time"))}


def question(time: int) -> int:
    """The address of a function that asks when `time`, the address of a clock, shows another second."""
    names = ("PyGILState_GetThisThreadState", "PyGILState_Ensure", "PyGILState_Release", "PyErr_CheckSignals")
    symbols = {name: _address(ctypes.pythonapi, name) for name in names} | {"time": time}
    code = shared_code("interrupts", _text, symbols)
    _kept.append(code)
    table = (ctypes.c_int64 * 1)()
    ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(code.address)(ctypes.addressof(table))
    return int(table[0])


def _text() -> str:
    # LLVM 22 clears the upper halves of vector registers before functions return: those just restored, too
    if not llvm.has_feature("avx"):
        return _ASK
    features = f'"target-features"="{llvm.features()},-vzeroupper"'
    return _ASK.replace("@ask() nounwind", f"@ask() nounwind {features}")


def _address(library: ctypes.CDLL, name: str) -> int:
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


_kept: Final[list[NativeCode]] = []

# threads of a pool have no state of Python's; in all but the main one it says that there is no signal
_ASK: Final = """
@asked = internal global i64 0
declare i64 @time(ptr)
declare ptr @PyGILState_GetThisThreadState()
declare i32 @PyGILState_Ensure()
declare void @PyGILState_Release(i32)
declare i32 @PyErr_CheckSignals()

define i64 @body(ptr %table) {
  store ptr @ask, ptr %table
  ret i64 0
}

define internal preserve_allcc i64 @ask() nounwind {
  %now = call i64 @time(ptr null)
  %before = load atomic i64, ptr @asked monotonic, align 8
  %same = icmp eq i64 %now, %before
  br i1 %same, label %no, label %later
later:
  %thread = call ptr @PyGILState_GetThisThreadState()
  %foreign = icmp eq ptr %thread, null
  br i1 %foreign, label %no, label %look
look:
  store atomic i64 %now, ptr @asked monotonic, align 8
  %held = call i32 @PyGILState_Ensure()
  %found = call i32 @PyErr_CheckSignals()
  call void @PyGILState_Release(i32 %held)
  %stop = icmp ne i32 %found, 0
  %status = zext i1 %stop to i64
  ret i64 %status
no:
  ret i64 0
}
"""
