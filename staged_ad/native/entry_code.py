"""The native half of `entry`: one function with the C signature of a Python builtin, for every signature.

Invariant: each path returns one new reference, or null with an exception set, and drops what it made.
Start at `ENTRY`, whose record `entry.make_entry` writes; `entry_code` compiles it once per process.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np

from staged_ad.native.buffers import ARRAY, array_symbols, numpy_api
from staged_ad.native.linking import NativeCode
from staged_ad.native.objects import shared_code
from staged_ad.native.once import once
from staged_ad.native.pages import ADVISE

PyArray_Scalar: Final = 60
"""Its index in NumPy's C API table, from numpy/__multiarray_api.h: part of the stable ABI."""
_PYTHON_API: Final = (
    "Py_IncRef",
    "Py_DecRef",
    "PyErr_NoMemory",
    "PyErr_SetString",
    "PyErr_Clear",
    "PyErr_Occurred",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyLong_AsLongLong",
    "PyLong_FromLongLong",
    "PyTuple_New",
    "PyTuple_SetItem",
)


_NEEDS_MEMORY: Final = (
    "the intermediate values of a compiled function do not fit into memory. The reverse of a loop keeps those of all "
    "iterations: scan(..., checkpoint=slots) keeps fewer"
)


@once
def entry_code() -> NativeCode:
    _check_layout()
    symbols = {name: _address(getattr(ctypes.pythonapi, name)) for name in _PYTHON_API}
    process = ctypes.CDLL(None)
    symbols |= {name: _address(getattr(process, name)) for name in ("malloc", "free", "madvise")}
    symbols |= {"PyArray_Scalar": numpy_api()[PyArray_Scalar] or 0, **array_symbols()}
    symbols["PyExc_MemoryError"] = ctypes.addressof(ctypes.c_void_p.in_dll(ctypes.pythonapi, "PyExc_MemoryError"))
    text = (ENTRY + ARRAY + ADVISE).replace("LENGTH", str(len(_NEEDS_MEMORY) + 1)).replace("MESSAGE", _NEEDS_MEMORY)
    return shared_code("entry", lambda: text, symbols)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _check_layout() -> None:
    """The offsets that `ENTRY` reads: those of CPython's and NumPy's public structs on a 64-bit build."""
    probe = np.zeros((2, 3))
    word = (ctypes.c_int64 * 9).from_address(id(probe))
    dimensions = (ctypes.c_int64 * 2).from_address(word[4])
    found = (word[1], word[2], word[3] & 0xFFFFFFFF, tuple(dimensions), word[7], word[8] & 0xFFFFFFFF & 0x101)
    if found != (id(np.ndarray), probe.ctypes.data, 2, probe.shape, id(probe.dtype), 0x101):
        raise RuntimeError(f"this build of Python or NumPy lays out arrays in an unknown way: {found}")
    if object.__basicsize__ != 16 or float.__basicsize__ != 24:
        raise RuntimeError("this build of Python lays out objects in an unknown way (a free-threaded build?)")


# Record: body, inputs, constants, outputs, workspace, release, NotImplemented, ndarray; then per input
# (kind, type[, flags, descriptor, ndim, dims...]), per constant its pointer, per output (the input whose array it is or
# -1, whether its memory is kept, descriptor, ndim, dims...).
# Object: type at 8, scalar value at 16. Array: data 16, ndim 24, dims 32, descriptor 56, flags 64.
ENTRY: Final = """
@PyExc_MemoryError = external global ptr
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyErr_NoMemory()
declare void @PyErr_SetString(ptr, ptr)
declare void @PyErr_Clear()
declare ptr @PyErr_Occurred()
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare ptr @PyArray_Scalar(ptr, ptr, ptr)
declare ptr @malloc(i64)
declare void @free(ptr)

@needs.memory = internal constant [LENGTH x i8] c"MESSAGE\\00"

; One block of workspace of up to 64 MB, the size in its first word, is kept for the next call: pages stay mapped.
@kept = internal global ptr null

define internal i64 @word(ptr %record, i64 %k) alwaysinline {
  %p = getelementptr i64, ptr %record, i64 %k
  %w = load i64, ptr %p
  ret i64 %w
}

define internal ptr @pointer(ptr %record, i64 %k) alwaysinline {
  %p = getelementptr ptr, ptr %record, i64 %k
  %w = load ptr, ptr %p
  ret ptr %w
}

define internal void @drop(ptr %objects, i64 %count) noinline nounwind {
start:
  br label %next
next:
  %k = phi i64 [ 0, %start ], [ %k1, %skip ]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %one, label %done
one:
  %k1 = add i64 %k, 1
  %object = call ptr @pointer(ptr %objects, i64 %k)
  %none = icmp eq ptr %object, null
  br i1 %none, label %skip, label %release
release:
  call void @Py_DecRef(ptr %object)
  br label %skip
skip:
  br label %next
done:
  ret void
}

define ptr @body(ptr %self, ptr %args, i64 %nargs) nounwind {
start:
  %record = call ptr @pointer(ptr %self, i64 2)
  %body = call ptr @pointer(ptr %record, i64 0)
  %inputs = call i64 @word(ptr %record, i64 1)
  %constants = call i64 @word(ptr %record, i64 2)
  %outputs = call i64 @word(ptr %record, i64 3)
  %workspace = call i64 @word(ptr %record, i64 4)
  %release = call i64 @word(ptr %record, i64 5)
  %not.implemented = call ptr @pointer(ptr %record, i64 6)
  %ndarray = call ptr @pointer(ptr %record, i64 7)
  %enough = icmp eq i64 %nargs, %inputs
  br i1 %enough, label %prepare, label %mismatch

prepare:
  %fixed = add i64 %inputs, %constants
  %last = add i64 %fixed, %outputs
  %slots.count = add i64 %last, 1
  %slots = alloca ptr, i64 %slots.count, align 16
  %integers = alloca i64, i64 %inputs, align 16
  %objects = alloca ptr, i64 %outputs, align 16
  %cells = alloca [16 x i8], i64 %outputs, align 16
  %first = getelementptr i64, ptr %record, i64 8
  br label %input.next

input.next:
  %k = phi i64 [ 0, %prepare ], [ %k1, %input.done ]
  %spec = phi ptr [ %first, %prepare ], [ %spec1, %input.done ]
  %input.more = icmp slt i64 %k, %inputs
  br i1 %input.more, label %input, label %constant.start
input:
  %object = call ptr @pointer(ptr %args, i64 %k)
  %type = call ptr @pointer(ptr %object, i64 1)
  %kind = call i64 @word(ptr %spec, i64 0)
  %want.type = call ptr @pointer(ptr %spec, i64 1)
  %value = getelementptr i8, ptr %object, i64 16
  %after = getelementptr i64, ptr %spec, i64 2
  %type.same = icmp eq ptr %type, %want.type
  br i1 %type.same, label %input.kind, label %mismatch
input.kind:
  switch i64 %kind, label %array [ i64 1, label %input.done
                                   i64 2, label %integer ]
integer:
  %integer.p = getelementptr i64, ptr %integers, i64 %k
  %integer.value = call i64 @PyLong_AsLongLong(ptr %object)
  store i64 %integer.value, ptr %integer.p
  %suspect = icmp eq i64 %integer.value, -1
  br i1 %suspect, label %integer.check, label %input.done
integer.check:
  %error = call ptr @PyErr_Occurred()
  %fits = icmp eq ptr %error, null
  br i1 %fits, label %input.done, label %integer.overflow
integer.overflow:
  call void @PyErr_Clear()
  br label %mismatch
array:
  %data = load ptr, ptr %value
  %ndim.p = getelementptr i8, ptr %object, i64 24
  %ndim = load i32, ptr %ndim.p
  %dims = call ptr @pointer(ptr %object, i64 4)
  %descriptor = call ptr @pointer(ptr %object, i64 7)
  %flags.p = getelementptr i8, ptr %object, i64 64
  %flags = load i32, ptr %flags.p
  %want.flags = call i64 @word(ptr %spec, i64 2)
  %want.descriptor = call ptr @pointer(ptr %spec, i64 3)
  %want.ndim = call i64 @word(ptr %spec, i64 4)
  %want.dims = getelementptr i64, ptr %spec, i64 5
  %ndim64 = zext i32 %ndim to i64
  %flags64 = zext i32 %flags to i64
  %good.flags = and i64 %flags64, %want.flags
  %flags.same = icmp eq i64 %good.flags, %want.flags
  %descriptor.same = icmp eq ptr %descriptor, %want.descriptor
  %ndim.same = icmp eq i64 %ndim64, %want.ndim
  %same.1 = and i1 %flags.same, %descriptor.same
  %same.2 = and i1 %same.1, %ndim.same
  br i1 %same.2, label %dim.next, label %mismatch
dim.next:
  %d = phi i64 [ 0, %array ], [ %d1, %dim ]
  %dim.more = icmp slt i64 %d, %want.ndim
  br i1 %dim.more, label %dim, label %array.done
dim:
  %d1 = add i64 %d, 1
  %size = call i64 @word(ptr %dims, i64 %d)
  %want.size = call i64 @word(ptr %want.dims, i64 %d)
  %size.same = icmp eq i64 %size, %want.size
  br i1 %size.same, label %dim.next, label %mismatch
array.done:
  %after.array = getelementptr i64, ptr %want.dims, i64 %want.ndim
  br label %input.done
input.done:
  %spec1 = phi ptr [ %after, %input.kind ], [ %after, %integer ], [ %after, %integer.check ],
                   [ %after.array, %array.done ]
  %slot = phi ptr [ %value, %input.kind ], [ %integer.p, %integer ], [ %integer.p, %integer.check ],
                  [ %data, %array.done ]
  %slot.p = getelementptr ptr, ptr %slots, i64 %k
  store ptr %slot, ptr %slot.p
  %k1 = add i64 %k, 1
  br label %input.next
mismatch:
  call void @Py_IncRef(ptr %not.implemented)
  ret ptr %not.implemented

constant.start:
  %constant.slots = getelementptr ptr, ptr %slots, i64 %inputs
  br label %constant.next
constant.next:
  %c = phi i64 [ 0, %constant.start ], [ %c1, %constant ]
  %constant.more = icmp slt i64 %c, %constants
  br i1 %constant.more, label %constant, label %output.start
constant:
  %c1 = add i64 %c, 1
  %constant.pointer = call ptr @pointer(ptr %spec, i64 %c)
  %constant.slot = getelementptr ptr, ptr %constant.slots, i64 %c
  store ptr %constant.pointer, ptr %constant.slot
  br label %constant.next

output.start:
  %output.specs = getelementptr i64, ptr %spec, i64 %constants
  %output.slots = getelementptr ptr, ptr %slots, i64 %fixed
  br label %output.next
output.next:
  %o = phi i64 [ 0, %output.start ], [ %o1, %output.done ]
  %ospec = phi ptr [ %output.specs, %output.start ], [ %ospec1, %output.done ]
  %output.more = icmp slt i64 %o, %outputs
  br i1 %output.more, label %output, label %scratch
output:
  %o1 = add i64 %o, 1
  %donor = call i64 @word(ptr %ospec, i64 0)
  %okept = call i64 @word(ptr %ospec, i64 1)
  %odescriptor = call ptr @pointer(ptr %ospec, i64 2)
  %ondim = call i64 @word(ptr %ospec, i64 3)
  %odims = getelementptr i64, ptr %ospec, i64 4
  %ospec1 = getelementptr i64, ptr %odims, i64 %ondim
  %object.p = getelementptr ptr, ptr %objects, i64 %o
  %scalar = icmp eq i64 %ondim, 0
  br i1 %scalar, label %output.scalar, label %output.array
output.scalar:
  %cell = getelementptr [16 x i8], ptr %cells, i64 %o
  store ptr null, ptr %object.p
  br label %output.done
output.array:
  %donated = icmp sge i64 %donor, 0
  br i1 %donated, label %output.given, label %output.new
output.given:
  %given = call ptr @pointer(ptr %args, i64 %donor)
  call void @Py_IncRef(ptr %given)
  br label %output.made
output.new:
  %new = call ptr @array(ptr %ndarray, ptr %odescriptor, i64 %ondim, ptr %odims, i64 %okept)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %no.array, label %output.made
output.made:
  %made.array = phi ptr [ %given, %output.given ], [ %new, %output.new ]
  store ptr %made.array, ptr %object.p
  %new.data = call ptr @pointer(ptr %made.array, i64 2)
  br label %output.done
output.done:
  %output.data = phi ptr [ %cell, %output.scalar ], [ %new.data, %output.made ]
  %output.slot = getelementptr ptr, ptr %output.slots, i64 %o
  store ptr %output.data, ptr %output.slot
  br label %output.next
no.array:
  call void @drop(ptr %objects, i64 %o)
  ret ptr null

scratch:
  %scratch.slot = getelementptr ptr, ptr %slots, i64 %last
  store ptr null, ptr %scratch.slot
  %scratchless = icmp eq i64 %workspace, 0
  br i1 %scratchless, label %run, label %allocate
allocate:
  %bytes = add i64 %workspace, 128
  %kept = atomicrmw xchg ptr @kept, ptr null acq_rel
  %nothing = icmp eq ptr %kept, null
  br i1 %nothing, label %new.block, label %kept.block
kept.block:
  %kept.bytes = load i64, ptr %kept
  %roomy = icmp sge i64 %kept.bytes, %bytes
  br i1 %roomy, label %align, label %kept.small
kept.small:
  call void @free(ptr %kept)
  br label %new.block
new.block:
  %made = call ptr @malloc(i64 %bytes)
  %empty = icmp eq ptr %made, null
  br i1 %empty, label %no.memory, label %made.block
made.block:
  call void @advise(ptr %made, i64 %bytes)
  store i64 %bytes, ptr %made
  br label %align
align:
  %block = phi ptr [ %kept, %kept.block ], [ %made, %made.block ]
  %block.address = ptrtoint ptr %block to i64
  %above = add i64 %block.address, 127
  %aligned = and i64 %above, -64
  store i64 %aligned, ptr %scratch.slot
  br label %run
no.memory:
  call void @drop(ptr %objects, i64 %outputs)
  %memory.error = load ptr, ptr @PyExc_MemoryError
  call void @PyErr_SetString(ptr %memory.error, ptr @needs.memory)
  ret ptr null

run:
  %allocated = phi ptr [ null, %scratch ], [ %block, %align ]
  %keep = icmp eq i64 %release, 0
  br i1 %keep, label %run.locked, label %run.free
run.locked:
  %status.locked = call i64 %body(ptr %slots)
  br label %ran
run.free:
  %thread = call ptr @PyEval_SaveThread()
  %status.free = call i64 %body(ptr %slots)
  call void @PyEval_RestoreThread(ptr %thread)
  br label %ran
ran:
  %status = phi i64 [ %status.locked, %run.locked ], [ %status.free, %run.free ]
  br i1 %scratchless, label %ran.freed, label %free.block
free.block:
  %allocated.bytes = load i64, ptr %allocated
  %modest = icmp sle i64 %allocated.bytes, 67108864
  br i1 %modest, label %keep.block, label %free.second
keep.block:
  %returned = cmpxchg ptr @kept, ptr null, ptr %allocated acq_rel monotonic
  %returned.fine = extractvalue { ptr, i1 } %returned, 1
  br i1 %returned.fine, label %ran.freed, label %free.second
free.second:
  call void @free(ptr %allocated)
  br label %ran.freed
ran.freed:
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %box.next, label %refuse
refuse:
  call void @drop(ptr %objects, i64 %outputs)
  %pending = call ptr @PyErr_Occurred()  ; a signal came
  %interrupted = icmp ne ptr %pending, null
  br i1 %interrupted, label %interrupt, label %say
interrupt:
  ret ptr null
say:
  %status.object = call ptr @PyLong_FromLongLong(i64 %status)
  ret ptr %status.object

box.next:
  %b = phi i64 [ 0, %ran.freed ], [ %b1, %box.done ]
  %bspec = phi ptr [ %output.specs, %ran.freed ], [ %bspec1, %box.done ]
  %box.more = icmp slt i64 %b, %outputs
  br i1 %box.more, label %box, label %give
box:
  %b1 = add i64 %b, 1
  %bdescriptor = call ptr @pointer(ptr %bspec, i64 2)
  %bndim = call i64 @word(ptr %bspec, i64 3)
  %bwords = add i64 %bndim, 4
  %bspec1 = getelementptr i64, ptr %bspec, i64 %bwords
  %bscalar = icmp eq i64 %bndim, 0
  br i1 %bscalar, label %box.scalar, label %box.done
box.scalar:
  %bcell = getelementptr [16 x i8], ptr %cells, i64 %b
  %boxed = call ptr @PyArray_Scalar(ptr %bcell, ptr %bdescriptor, ptr null)
  %bobject.p = getelementptr ptr, ptr %objects, i64 %b
  store ptr %boxed, ptr %bobject.p
  %unboxed = icmp eq ptr %boxed, null
  br i1 %unboxed, label %fail, label %box.done
box.done:
  br label %box.next
fail:
  call void @drop(ptr %objects, i64 %outputs)
  ret ptr null

give:
  %single = icmp eq i64 %outputs, 1
  br i1 %single, label %give.one, label %give.tuple
give.one:
  %only = load ptr, ptr %objects
  ret ptr %only
give.tuple:
  %tuple = call ptr @PyTuple_New(i64 %outputs)
  %tupleless = icmp eq ptr %tuple, null
  br i1 %tupleless, label %fail, label %fill.next
fill.next:
  %f = phi i64 [ 0, %give.tuple ], [ %f1, %fill ]
  %fill.more = icmp slt i64 %f, %outputs
  br i1 %fill.more, label %fill, label %full
fill:
  %f1 = add i64 %f, 1
  %member = call ptr @pointer(ptr %objects, i64 %f)
  %set = call i32 @PyTuple_SetItem(ptr %tuple, i64 %f, ptr %member)
  br label %fill.next
full:
  ret ptr %tuple
}
"""
