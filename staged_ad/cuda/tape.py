"""The memory of ragged arrays on the device: pieces of one pool, taken by threads as their loops go on.

Invariant: a pool that is too small changes nothing but the status: the program runs again with a larger one.
Start at ``TAPE``.
"""

from __future__ import annotations

from typing import Final

from staged_ad.native.tape import GROW, RELEASE

EXHAUSTED: Final = -1
"""The status that asks for a larger pool."""
FIRST: Final = 1 << 20
"""Bytes of a first pool."""
ARENA: Final = 24
"""Bytes of what threads share: the bytes of the pool, those taken, and its address."""

# before a piece of the pool stands how long it is
TAPE: Final = f"""\
define internal ptr @{GROW}(ptr %arena, ptr %data, i64 %bytes, ptr %status, i64 %failure) nounwind {{
  %more = add i64 %bytes, 31
  %whole = and i64 %more, -16
  %taken = getelementptr i64, ptr %arena, i64 1
  %before = atomicrmw add ptr %taken, i64 %whole monotonic
  %after = add i64 %before, %whole
  %size = load i64, ptr %arena
  %fits = icmp sle i64 %after, %size
  br i1 %fits, label %take, label %refuse
refuse:
  store atomic i64 {EXHAUSTED}, ptr %status monotonic, align 8
  ret ptr null
take:
  %pool.at = getelementptr i64, ptr %arena, i64 2
  %pool = load ptr, ptr %pool.at
  %block = getelementptr i8, ptr %pool, i64 %before
  store i64 %bytes, ptr %block
  %result = getelementptr i8, ptr %block, i64 16
  %fresh = icmp eq ptr %data, null
  br i1 %fresh, label %done, label %copy
copy:
  %header = getelementptr i8, ptr %data, i64 -16
  %had = load i64, ptr %header
  call void @llvm.memcpy.p0.p0.i64(ptr align 16 %result, ptr align 16 %data, i64 %had, i1 false)
  br label %done
done:
  ret ptr %result
}}
define internal void @{RELEASE}(ptr %arena, ptr %data) nounwind {{
  ret void
}}
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"""
