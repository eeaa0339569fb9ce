"""The memory of ragged arrays: blocks that grow, freed together when the call ends.

Invariant: a block belongs to one arena; the arena counts the bytes of its blocks and refuses more than the limit.
Start at ``tape_symbols``; ``_TAPE`` is the native code.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, Final

from staged_ad.control.budget import LIMIT
from staged_ad.native.linking import NativeCode
from staged_ad.native.objects import shared_code
from staged_ad.native.once import once

GROW, RELEASE, CLEAR = "staged_tape_grow", "staged_tape_release", "staged_tape_clear"
ARENA_WORDS: Final = 4
"""First block, bytes in use, lock, one unused."""


@once
def tape_symbols() -> Mapping[str, int]:
    """Addresses of the functions of an arena, by name."""
    process = ctypes.CDLL(None)
    symbols = {name: _address(getattr(process, name)) for name in ("realloc", "free")}
    symbols["staged_tape_limit"] = ctypes.addressof(LIMIT)
    code = shared_code("tape", lambda: _TAPE, symbols)
    _kept.append(code)
    table = (ctypes.c_int64 * 3)()
    ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(code.address)(ctypes.addressof(table))
    return dict(zip((GROW, RELEASE, CLEAR), map(int, table), strict=True))


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


_kept: Final[list[NativeCode]] = []

# A block: previous, next, size of the data, unused; then the data. The arena's first word is the newest block.
_TAPE: Final = """
@staged_tape_limit = external global i64
declare ptr @realloc(ptr, i64)
declare void @free(ptr)

define i64 @body(ptr %table) {
  store ptr @grow, ptr %table
  %second = getelementptr ptr, ptr %table, i64 1
  store ptr @release, ptr %second
  %third = getelementptr ptr, ptr %table, i64 2
  store ptr @clear, ptr %third
  ret i64 0
}

define internal void @lock(ptr %arena) nounwind {
start:
  %lock = getelementptr i64, ptr %arena, i64 2
  br label %try
try:
  %pair = cmpxchg ptr %lock, i64 0, i64 1 acquire monotonic
  %mine = extractvalue { i64, i1 } %pair, 1
  br i1 %mine, label %done, label %try
done:
  ret void
}

define internal void @unlock(ptr %arena) nounwind {
  %lock = getelementptr i64, ptr %arena, i64 2
  store atomic i64 0, ptr %lock release, align 8
  ret void
}

; the data of a block of `bytes` bytes that begins with what `data` held; null, and a status, where there is no memory
define internal ptr @grow(ptr %arena, ptr %data, i64 %bytes, ptr %status, i64 %failure) nounwind {
start:
  call void @lock(ptr %arena)
  %fresh = icmp eq ptr %data, null
  br i1 %fresh, label %measured, label %known
known:
  %header = getelementptr i8, ptr %data, i64 -32
  %size.p = getelementptr i64, ptr %header, i64 2
  %size = load i64, ptr %size.p
  br label %measured
measured:
  %old = phi ptr [ null, %start ], [ %header, %known ]
  %had = phi i64 [ 0, %start ], [ %size, %known ]
  %used.p = getelementptr i64, ptr %arena, i64 1
  %used = load i64, ptr %used.p
  %more = sub i64 %bytes, %had
  %total = add i64 %used, %more
  %limit = load atomic i64, ptr @staged_tape_limit monotonic, align 8
  %allowed = icmp sle i64 %total, %limit
  br i1 %allowed, label %allocate, label %refuse
allocate:
  %whole = add i64 %bytes, 32
  %block = call ptr @realloc(ptr %old, i64 %whole)
  %none = icmp eq ptr %block, null
  br i1 %none, label %refuse, label %got
got:
  store i64 %total, ptr %used.p
  %new.size.p = getelementptr i64, ptr %block, i64 2
  store i64 %bytes, ptr %new.size.p
  %previous.p = getelementptr ptr, ptr %block, i64 0
  %next.p = getelementptr ptr, ptr %block, i64 1
  br i1 %fresh, label %insert, label %moved
insert:
  %newest = load ptr, ptr %arena
  store ptr null, ptr %previous.p
  store ptr %newest, ptr %next.p
  br label %fix.next
moved:
  br label %fix.next
fix.next:
  %behind = load ptr, ptr %next.p
  %is.last = icmp eq ptr %behind, null
  br i1 %is.last, label %fix.previous, label %link.next
link.next:
  store ptr %block, ptr %behind
  br label %fix.previous
fix.previous:
  %before = load ptr, ptr %previous.p
  %is.first = icmp eq ptr %before, null
  br i1 %is.first, label %link.arena, label %link.previous
link.arena:
  store ptr %block, ptr %arena
  br label %done
link.previous:
  %before.next = getelementptr ptr, ptr %before, i64 1
  store ptr %block, ptr %before.next
  br label %done
done:
  call void @unlock(ptr %arena)
  %result = getelementptr i8, ptr %block, i64 32
  ret ptr %result
refuse:
  store atomic i64 %failure, ptr %status monotonic, align 8
  call void @unlock(ptr %arena)
  ret ptr null
}

define internal void @release(ptr %arena, ptr %data) nounwind {
start:
  %none = icmp eq ptr %data, null
  br i1 %none, label %skip, label %unlink
unlink:
  call void @lock(ptr %arena)
  %block = getelementptr i8, ptr %data, i64 -32
  %next.p = getelementptr ptr, ptr %block, i64 1
  %size.p = getelementptr i64, ptr %block, i64 2
  %before = load ptr, ptr %block
  %behind = load ptr, ptr %next.p
  %size = load i64, ptr %size.p
  %used.p = getelementptr i64, ptr %arena, i64 1
  %used = load i64, ptr %used.p
  %left = sub i64 %used, %size
  store i64 %left, ptr %used.p
  %is.last = icmp eq ptr %behind, null
  br i1 %is.last, label %previous, label %link.next
link.next:
  store ptr %before, ptr %behind
  br label %previous
previous:
  %is.first = icmp eq ptr %before, null
  br i1 %is.first, label %link.arena, label %link.previous
link.arena:
  store ptr %behind, ptr %arena
  br label %drop
link.previous:
  %before.next = getelementptr ptr, ptr %before, i64 1
  store ptr %behind, ptr %before.next
  br label %drop
drop:
  call void @unlock(ptr %arena)
  call void @free(ptr %block)
  br label %skip
skip:
  ret void
}

define internal void @clear(ptr %arena) nounwind {
start:
  br label %next
next:
  %block = load ptr, ptr %arena
  %done = icmp eq ptr %block, null
  br i1 %done, label %end, label %one
one:
  %next.p = getelementptr ptr, ptr %block, i64 1
  %behind = load ptr, ptr %next.p
  store ptr %behind, ptr %arena
  call void @free(ptr %block)
  br label %next
end:
  ret void
}
"""
