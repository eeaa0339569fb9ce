"""Memory of large results that were dropped, kept for the next results of the same size.

New pages have to be cleared by the operating system first, which takes as long as many a function that fills them. So
large arrays that compiled code returns come from an allocator of NumPy's kind (NEP 49), which keeps some blocks instead
of freeing them.

Invariant: at most `LIMIT` bytes and `COUNT` blocks are kept, the oldest go first; all of it happens with the GIL held.
Start at ``result_handler``; `ARRAY` makes an array with it.
"""

from __future__ import annotations

import ctypes
import importlib
from dataclasses import dataclass
from typing import Any, Final

from staged_ad.native.objects import shared_code
from staged_ad.native.once import once

LARGE: Final = 1 << 17
"""Bytes of an array from which its memory is kept; what is smaller, the C library keeps by itself."""
WORTH: Final = 1 << 19
"""Bytes of all large results of a function from which the change of the handler costs little beside them."""
LIMIT: Final = 1 << 28
COUNT: Final = 16

_NUMPY_API: Final = {"PyArray_NewFromDescr": 94, "PyDataMem_SetHandler": 304, "PyDataMem_GetHandler": 305}
"""Indices into NumPy's C API table, from numpy/__multiarray_api.h; they are part of its stable ABI."""
_DEFAULT_HANDLER: Final = 306

# What a handler's functions are given: how many blocks there are and their bytes; malloc and free of NumPy's own
# handler; the blocks and their sizes, the latest last.
_State = ctypes.c_int64 * (4 + 2 * COUNT)

_TAKE: Final = """
define ptr @body(ptr %state, i64 %size) nounwind {
start:
  %count = load i64, ptr %state
  br label %next
next:
  %k = phi i64 [ %count, %start ], [ %k1, %one ]
  %none = icmp eq i64 %k, 0
  br i1 %none, label %new, label %one
one:
  %k1 = sub i64 %k, 1
  %block.k = add i64 %k1, 4
  %size.k = add i64 %k1, SIZES
  %block.p = getelementptr i64, ptr %state, i64 %block.k
  %size.p = getelementptr i64, ptr %state, i64 %size.k
  %size.found = load i64, ptr %size.p
  %same = icmp eq i64 %size.found, %size
  br i1 %same, label %found, label %next
found:
  %block = load ptr, ptr %block.p
  %left = sub i64 %count, 1
  store i64 %left, ptr %state
  %total.p = getelementptr i64, ptr %state, i64 1
  %total = load i64, ptr %total.p
  %total.left = sub i64 %total, %size
  store i64 %total.left, ptr %total.p
  %after = sub i64 %count, %k
  %bytes = mul i64 %after, 8
  %block.after = getelementptr i64, ptr %block.p, i64 1
  %size.after = getelementptr i64, ptr %size.p, i64 1
  call void @llvm.memmove.p0.p0.i64(ptr %block.p, ptr %block.after, i64 %bytes, i1 false)
  call void @llvm.memmove.p0.p0.i64(ptr %size.p, ptr %size.after, i64 %bytes, i1 false)
  ret ptr %block
new:
  %malloc.p = getelementptr i64, ptr %state, i64 2
  %malloc = load ptr, ptr %malloc.p
  %made = call ptr %malloc(ptr null, i64 %size)
  ret ptr %made
}
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
"""

_GIVE: Final = """
define void @body(ptr %state, ptr %block, i64 %size) nounwind {
start:
  %free.p = getelementptr i64, ptr %state, i64 3
  %free = load ptr, ptr %free.p
  %total.p = getelementptr i64, ptr %state, i64 1
  %small = icmp slt i64 %size, LARGE
  %huge = icmp sgt i64 %size, LIMIT
  %other = or i1 %small, %huge
  br i1 %other, label %drop, label %room
drop:
  call void %free(ptr null, ptr %block, i64 %size)
  ret void
room:
  %count = load i64, ptr %state
  %total = load i64, ptr %total.p
  %wanted = add i64 %total, %size
  %many = icmp sge i64 %count, COUNT
  %large = icmp sgt i64 %wanted, LIMIT
  %full = or i1 %many, %large
  br i1 %full, label %oldest, label %keep
oldest:
  %blocks = getelementptr i64, ptr %state, i64 4
  %sizes = getelementptr i64, ptr %state, i64 SIZES
  %old = load ptr, ptr %blocks
  %old.size = load i64, ptr %sizes
  %left = sub i64 %count, 1
  store i64 %left, ptr %state
  %total.left = sub i64 %total, %old.size
  store i64 %total.left, ptr %total.p
  %bytes = mul i64 %left, 8
  %blocks.after = getelementptr i64, ptr %blocks, i64 1
  %sizes.after = getelementptr i64, ptr %sizes, i64 1
  call void @llvm.memmove.p0.p0.i64(ptr %blocks, ptr %blocks.after, i64 %bytes, i1 false)
  call void @llvm.memmove.p0.p0.i64(ptr %sizes, ptr %sizes.after, i64 %bytes, i1 false)
  call void %free(ptr null, ptr %old, i64 %old.size)
  br label %room
keep:
  %block.k = add i64 %count, 4
  %size.k = add i64 %count, SIZES
  %block.p = getelementptr i64, ptr %state, i64 %block.k
  %size.p = getelementptr i64, ptr %state, i64 %size.k
  store ptr %block, ptr %block.p
  store i64 %size, ptr %size.p
  %more = add i64 %count, 1
  store i64 %more, ptr %state
  store i64 %wanted, ptr %total.p
  ret void
}
declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
"""


ARRAY: Final = """
declare ptr @PyArray_NewFromDescr(ptr, ptr, i32, ptr, ptr, ptr, i32, ptr)
declare ptr @PyDataMem_GetHandler()
declare ptr @PyDataMem_SetHandler(ptr)
@handler.own = external global i8
@handler.kept = external global i8

define internal ptr @array(ptr %ndarray, ptr %descriptor, i64 %ndim, ptr %dims, i64 %kept) noinline nounwind {
start:
  %ndim32 = trunc i64 %ndim to i32
  %large = icmp ne i64 %kept, 0
  br i1 %large, label %ask, label %plain
ask:
  %present = call ptr @PyDataMem_GetHandler()
  %unknown = icmp eq ptr %present, null
  br i1 %unknown, label %failed, label %compare
compare:
  call void @Py_DecRef(ptr %present)
  %own = icmp eq ptr %present, @handler.own
  br i1 %own, label %change, label %plain
change:
  %before = call ptr @PyDataMem_SetHandler(ptr @handler.kept)
  %unchanged = icmp eq ptr %before, null
  br i1 %unchanged, label %failed, label %make
make:
  call void @Py_IncRef(ptr %descriptor)
  %new = call ptr @PyArray_NewFromDescr(ptr %ndarray, ptr %descriptor, i32 %ndim32, ptr %dims,
                                        ptr null, ptr null, i32 0, ptr null)
  %large.handler = call ptr @PyDataMem_SetHandler(ptr %before)
  call void @Py_DecRef(ptr %before)
  %stuck = icmp eq ptr %large.handler, null
  br i1 %stuck, label %failed, label %made
made:
  call void @Py_DecRef(ptr %large.handler)
  ret ptr %new
plain:
  call void @Py_IncRef(ptr %descriptor)
  %one = call ptr @PyArray_NewFromDescr(ptr %ndarray, ptr %descriptor, i32 %ndim32, ptr %dims,
                                        ptr null, ptr null, i32 0, ptr null)
  ret ptr %one
failed:
  ret ptr null
}
"""
"""A new array, for `entry_code`: the memory of a `kept` one is from here, unless the user chose another handler."""


class _Allocator(ctypes.Structure):
    """PyDataMemAllocator of numpy/ndarraytypes.h."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free"))


class _Handler(ctypes.Structure):
    """PyDataMem_Handler of numpy/ndarraytypes.h."""

    _fields_ = (("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", _Allocator))


@dataclass(frozen=True)
class ResultHandler:
    """NumPy's own handler and the one for large results, as capsules, and what the latter needs to stay alive."""

    default: int
    capsule: Any
    state: Any
    alive: tuple[Any, ...]


def numpy_api() -> Any:
    """NumPy's table of C functions."""
    open_capsule = ctypes.pythonapi.PyCapsule_GetPointer
    open_capsule.restype, open_capsule.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    capsule = importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API
    return ctypes.cast(open_capsule(capsule, None), ctypes.POINTER(ctypes.c_void_p))


@once
def result_handler() -> ResultHandler:
    """What allocates large results."""
    default = ctypes.cast(numpy_api()[_DEFAULT_HANDLER], ctypes.POINTER(ctypes.c_void_p))[0] or 0
    name = b"mem_handler"
    own = ctypes.pythonapi.PyCapsule_GetPointer(ctypes.cast(default, ctypes.py_object).value, name)
    handler = _Handler.from_buffer_copy(ctypes.string_at(own, ctypes.sizeof(_Handler)))
    state = _State()
    state[2], state[3] = handler.allocator.malloc, handler.allocator.free
    limits = {"SIZES": 4 + COUNT, "LARGE": LARGE, "LIMIT": LIMIT, "COUNT": COUNT}

    def code(kind: str, text: str) -> Any:
        for word, value in limits.items():
            text = text.replace(word, str(value))
        return shared_code(f"buffers.{kind}", lambda: text, {})

    take, give = code("take", _TAKE), code("give", _GIVE)
    handler.name = b"staged_ad"
    allocator = handler.allocator
    allocator.context, allocator.malloc, allocator.free = ctypes.addressof(state), take.address, give.address
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    found = ResultHandler(default, make(ctypes.addressof(handler), name, None), state, (handler, name, take, give))
    # never freed: at the end of the process arrays may be dropped later than this module and its machine code
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(found))
    return found


def array_symbols() -> dict[str, int]:
    """The addresses of what `ARRAY` calls."""
    table, handler = numpy_api(), result_handler()
    symbols = {name: table[index] or 0 for name, index in _NUMPY_API.items()}
    return symbols | {"handler.own": handler.default, "handler.kept": id(handler.capsule)}


def clear_buffers() -> None:
    """Free the blocks that are kept."""
    state = result_handler().state
    free = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(state[3])
    count, state[0], state[1] = state[0], 0, 0
    for block, size in zip(state[4 : 4 + count], state[4 + COUNT : 4 + COUNT + count], strict=True):
        free(None, block, size)
