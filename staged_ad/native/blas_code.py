"""LLVM text of the row-major products: each cuts its work into chunks and calls Fortran BLAS on every chunk.

Invariant: the cuts depend on sizes only, and chunks are computed one by one even in a single thread.
Start at `gemm_text`; a row-major matrix is the transpose of a column-major one, so C^T = op(B)^T op(A)^T.
"""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["f32", "f64"]

_ITEM: Final = {"f32": ("float", "s", 4), "f64": ("double", "d", 8)}

# A chunk of a product holds at least this many multiply-adds, about 30 us of work in one thread.
GEMM_GRAIN: Final = 1_000_000
# Each chunk packs the shared operand anew: 16 chunks of 1024**3 cost 20 % more than 4. So there are more
# than 4 only where each has at least 256 rows.
GEMM_CHUNKS: Final = 4
GEMM_ROWS: Final = 256
GEMM_CHUNKS_OF_ROWS: Final = 64
# A chunk of a matrix-vector product holds at least this many elements of the matrix.
GEMV_GRAIN: Final = 100_000
GEMV_CHUNKS: Final = 16

_COMMON: Final = """
declare void @staged_parallel(ptr, i64, ptr)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
@plain = internal constant i8 78
@transposed = internal constant i8 84
@one = internal constant {item} 1.0
@zero = internal constant {item} 0.0

define internal ptr @letter(i64 %transposed) alwaysinline {{
  %yes = icmp ne i64 %transposed, 0
  %letter = select i1 %yes, ptr @transposed, ptr @plain
  ret ptr %letter
}}

define internal void @narrow(ptr %cell, i64 %value) alwaysinline {{
  %whole = call i64 @llvm.smax.i64(i64 %value, i64 1)
  %short = trunc i64 %whole to i32
  store i32 %short, ptr %cell
  ret void
}}
"""

_GEMM: Final = """
declare void @{letter}gemm_(ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr)
%job = type {{ i64, i64, i64, i64, i64, ptr, i64, ptr, i64, ptr, i64, i64, i64 }}

define internal void @product(ptr %job, i64 %m, i64 %n, ptr %a, ptr %b, ptr %c) nounwind {{
  %m.c = alloca i32
  %n.c = alloca i32
  %k.c = alloca i32
  %lda.c = alloca i32
  %ldb.c = alloca i32
  %ldc.c = alloca i32
  %ta.p = getelementptr %job, ptr %job, i64 0, i32 0
  %ta = load i64, ptr %ta.p
  %tb.p = getelementptr %job, ptr %job, i64 0, i32 1
  %tb = load i64, ptr %tb.p
  %k.p = getelementptr %job, ptr %job, i64 0, i32 4
  %k = load i64, ptr %k.p
  %lda.p = getelementptr %job, ptr %job, i64 0, i32 6
  %lda = load i64, ptr %lda.p
  %ldb.p = getelementptr %job, ptr %job, i64 0, i32 8
  %ldb = load i64, ptr %ldb.p
  %ldc.p = getelementptr %job, ptr %job, i64 0, i32 10
  %ldc = load i64, ptr %ldc.p
  %k32 = trunc i64 %k to i32
  store i32 %k32, ptr %k.c
  call void @narrow(ptr %m.c, i64 %m)
  call void @narrow(ptr %n.c, i64 %n)
  call void @narrow(ptr %lda.c, i64 %lda)
  call void @narrow(ptr %ldb.c, i64 %ldb)
  call void @narrow(ptr %ldc.c, i64 %ldc)
  %la = call ptr @letter(i64 %ta)
  %lb = call ptr @letter(i64 %tb)
  call void @{letter}gemm_(ptr %lb, ptr %la, ptr %n.c, ptr %m.c, ptr %k.c, ptr @one, ptr %b, ptr %ldb.c,
                           ptr %a, ptr %lda.c, ptr @zero, ptr %c, ptr %ldc.c)
  ret void
}}

define internal void @task(i64 %first, i64 %last, ptr %job) nounwind {{
start:
  %ta.p = getelementptr %job, ptr %job, i64 0, i32 0
  %ta = load i64, ptr %ta.p
  %tb.p = getelementptr %job, ptr %job, i64 0, i32 1
  %tb = load i64, ptr %tb.p
  %m.p = getelementptr %job, ptr %job, i64 0, i32 2
  %m = load i64, ptr %m.p
  %n.p = getelementptr %job, ptr %job, i64 0, i32 3
  %n = load i64, ptr %n.p
  %a.p = getelementptr %job, ptr %job, i64 0, i32 5
  %a = load ptr, ptr %a.p
  %lda.p = getelementptr %job, ptr %job, i64 0, i32 6
  %lda = load i64, ptr %lda.p
  %b.p = getelementptr %job, ptr %job, i64 0, i32 7
  %b = load ptr, ptr %b.p
  %ldb.p = getelementptr %job, ptr %job, i64 0, i32 8
  %ldb = load i64, ptr %ldb.p
  %c.p = getelementptr %job, ptr %job, i64 0, i32 9
  %c = load ptr, ptr %c.p
  %ldc.p = getelementptr %job, ptr %job, i64 0, i32 10
  %ldc = load i64, ptr %ldc.p
  %columns.p = getelementptr %job, ptr %job, i64 0, i32 11
  %columns = load i64, ptr %columns.p
  %piece.p = getelementptr %job, ptr %job, i64 0, i32 12
  %piece = load i64, ptr %piece.p
  %by.columns = icmp ne i64 %columns, 0
  %extent = select i1 %by.columns, i64 %n, i64 %m
  %a.plain = icmp eq i64 %ta, 0
  %b.plain = icmp eq i64 %tb, 0
  %a.step = select i1 %a.plain, i64 %lda, i64 1
  %b.step = select i1 %b.plain, i64 1, i64 %ldb
  br label %next
next:
  %chunk = phi i64 [ %first, %start ], [ %chunk1, %again ]
  %low = mul i64 %chunk, %piece
  %left = sub i64 %extent, %low
  %size = call i64 @llvm.smin.i64(i64 %left, i64 %piece)
  %some = icmp sgt i64 %size, 0
  br i1 %some, label %cut, label %again
cut:
  br i1 %by.columns, label %column, label %row
row:
  %a.offset = mul i64 %low, %a.step
  %row.a = getelementptr {item}, ptr %a, i64 %a.offset
  %row.offset = mul i64 %low, %ldc
  %row.c = getelementptr {item}, ptr %c, i64 %row.offset
  call void @product(ptr %job, i64 %size, i64 %n, ptr %row.a, ptr %b, ptr %row.c)
  br label %again
column:
  %b.offset = mul i64 %low, %b.step
  %column.b = getelementptr {item}, ptr %b, i64 %b.offset
  %column.c = getelementptr {item}, ptr %c, i64 %low
  call void @product(ptr %job, i64 %m, i64 %size, ptr %a, ptr %column.b, ptr %column.c)
  br label %again
again:
  %chunk1 = add i64 %chunk, 1
  %more = icmp slt i64 %chunk1, %last
  br i1 %more, label %next, label %done
done:
  ret void
}}

define void @body(i64 %ta, i64 %tb, i64 %m, i64 %n, i64 %k, ptr %a, i64 %lda, ptr %b, i64 %ldb, ptr %c, i64 %ldc)
    nounwind {{
start:
  %job = alloca %job
  %mn = mul i64 %m, %n
  %nothing = icmp eq i64 %mn, 0
  br i1 %nothing, label %done, label %work
work:
  %size = mul i64 %mn, %k
  %wanted = sdiv i64 %size, {grain}
  %some = call i64 @llvm.smax.i64(i64 %wanted, i64 1)
  %few = call i64 @llvm.smin.i64(i64 %some, i64 {chunks})
  %columns = icmp sgt i64 %n, %m
  %extent = select i1 %columns, i64 %n, i64 %m
  %tall = sdiv i64 %extent, {rows}
  %tall.some = call i64 @llvm.smin.i64(i64 %tall, i64 %some)
  %tall.most = call i64 @llvm.smin.i64(i64 %tall.some, i64 {chunks_of_rows})
  %chunks.most = call i64 @llvm.smax.i64(i64 %few, i64 %tall.most)
  %up = add i64 %extent, %chunks.most
  %up1 = sub i64 %up, 1
  %even = sdiv i64 %up1, %chunks.most
  %even.up = add i64 %even, 15
  %piece = and i64 %even.up, -16
  %count.up = add i64 %extent, %piece
  %count.up1 = sub i64 %count.up, 1
  %count = sdiv i64 %count.up1, %piece
  %columns64 = zext i1 %columns to i64
{stores}
  call void @staged_parallel(ptr @task, i64 %count, ptr %job)
  br label %done
done:
  ret void
}}
"""

_GEMM_FIELDS: Final = (
    "i64 %ta",
    "i64 %tb",
    "i64 %m",
    "i64 %n",
    "i64 %k",
    "ptr %a",
    "i64 %lda",
    "ptr %b",
    "i64 %ldb",
    "ptr %c",
    "i64 %ldc",
    "i64 %columns64",
    "i64 %piece",
)


def gemm_text(kind: Kind, split: bool) -> str:
    """``C = op(A) op(B)``, cut along the longer side of C."""
    item, letter, _ = _ITEM[kind]
    return _COMMON.format(item=item) + _GEMM.format(
        item=item,
        letter=letter,
        grain=GEMM_GRAIN,
        chunks=GEMM_CHUNKS if split else 1,
        rows=GEMM_ROWS,
        chunks_of_rows=GEMM_CHUNKS_OF_ROWS if split else 1,
        stores=_stores(_GEMM_FIELDS),
    )


_GEMV: Final = """
declare void @{letter}gemv_(ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr)
declare ptr @malloc(i64)
declare void @free(ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
%job = type {{ i64, i64, i64, ptr, i64, ptr, ptr, i64 }}

define internal void @task(i64 %first, i64 %last, ptr %job) nounwind {{
start:
  %m.c = alloca i32
  %n.c = alloca i32
  %lda.c = alloca i32
  %unit = alloca i32
  %trans = load i64, ptr %job
  %m.p = getelementptr %job, ptr %job, i64 0, i32 1
  %m = load i64, ptr %m.p
  %n.p = getelementptr %job, ptr %job, i64 0, i32 2
  %n = load i64, ptr %n.p
  %a.p = getelementptr %job, ptr %job, i64 0, i32 3
  %a = load ptr, ptr %a.p
  %lda.p = getelementptr %job, ptr %job, i64 0, i32 4
  %lda = load i64, ptr %lda.p
  %x.p = getelementptr %job, ptr %job, i64 0, i32 5
  %x = load ptr, ptr %x.p
  %y.p = getelementptr %job, ptr %job, i64 0, i32 6
  %y = load ptr, ptr %y.p
  %piece.p = getelementptr %job, ptr %job, i64 0, i32 7
  %piece = load i64, ptr %piece.p
  store i32 1, ptr %unit
  call void @narrow(ptr %n.c, i64 %n)
  call void @narrow(ptr %lda.c, i64 %lda)
  %plain = icmp eq i64 %trans, 0
  %flipped = select i1 %plain, i64 1, i64 0
  %letter = call ptr @letter(i64 %flipped)
  br label %next
next:
  %chunk = phi i64 [ %first, %start ], [ %chunk1, %again ]
  %low = mul i64 %chunk, %piece
  %left = sub i64 %m, %low
  %size = call i64 @llvm.smin.i64(i64 %left, i64 %piece)
  %some = icmp sgt i64 %size, 0
  br i1 %some, label %cut, label %again
cut:
  call void @narrow(ptr %m.c, i64 %size)
  %a.offset = mul i64 %low, %lda
  %rows = getelementptr {item}, ptr %a, i64 %a.offset
  %partial = mul i64 %chunk, %n
  %x.offset = select i1 %plain, i64 0, i64 %low
  %y.offset = select i1 %plain, i64 %low, i64 %partial
  %x.cut = getelementptr {item}, ptr %x, i64 %x.offset
  %y.cut = getelementptr {item}, ptr %y, i64 %y.offset
  call void @{letter}gemv_(ptr %letter, ptr %n.c, ptr %m.c, ptr @one, ptr %rows, ptr %lda.c, ptr %x.cut, ptr %unit,
                           ptr @zero, ptr %y.cut, ptr %unit)
  br label %again
again:
  %chunk1 = add i64 %chunk, 1
  %more = icmp slt i64 %chunk1, %last
  br i1 %more, label %next, label %done
done:
  ret void
}}

define void @body(i64 %trans, i64 %m, i64 %n, ptr %a, i64 %lda, ptr %x, ptr %y) nounwind {{
start:
  %job = alloca %job
  %size = mul i64 %m, %n
  %nothing = icmp eq i64 %size, 0
  %plain = icmp eq i64 %trans, 0
  br i1 %nothing, label %clear, label %work
clear:
  %length = select i1 %plain, i64 %m, i64 %n
  %bytes = mul i64 %length, {bytes}
  call void @llvm.memset.p0.i64(ptr %y, i8 0, i64 %bytes, i1 false)
  ret void
work:
  %wanted = sdiv i64 %size, {grain}
  %some = call i64 @llvm.smax.i64(i64 %wanted, i64 1)
  %chunks.most = call i64 @llvm.smin.i64(i64 %some, i64 {chunks})
  %up = add i64 %m, %chunks.most
  %up1 = sub i64 %up, 1
  %even = sdiv i64 %up1, %chunks.most
  %even.up = add i64 %even, 15
  %piece = and i64 %even.up, -16
  %count.up = add i64 %m, %piece
  %count.up1 = sub i64 %count.up, 1
  %count = sdiv i64 %count.up1, %piece
  %several = icmp sgt i64 %count, 1
  %flat = xor i1 %plain, true
  %sums = and i1 %several, %flat
  br i1 %sums, label %partial, label %direct
direct:
{direct_stores}
  call void @staged_parallel(ptr @task, i64 %count, ptr %job)
  ret void
partial:
  %all = mul i64 %count, %n
  %all.bytes = mul i64 %all, {bytes}
  %block = call ptr @malloc(i64 %all.bytes)
  %none = icmp eq ptr %block, null
  br i1 %none, label %whole, label %split
whole:
{whole_stores}
  call void @task(i64 0, i64 1, ptr %job)
  ret void
split:
{split_stores}
  call void @staged_parallel(ptr @task, i64 %count, ptr %job)
  br label %column
column:
  %j = phi i64 [ 0, %split ], [ %j1, %store ]
  br label %add
add:
  %c = phi i64 [ 0, %column ], [ %c1, %add ]
  %sum = phi {item} [ 0.0, %column ], [ %sum1, %add ]
  %row = mul i64 %c, %n
  %place = add i64 %row, %j
  %part.p = getelementptr {item}, ptr %block, i64 %place
  %part = load {item}, ptr %part.p
  %sum1 = fadd {item} %sum, %part
  %c1 = add i64 %c, 1
  %add.more = icmp slt i64 %c1, %count
  br i1 %add.more, label %add, label %store
store:
  %y.p = getelementptr {item}, ptr %y, i64 %j
  store {item} %sum1, ptr %y.p
  %j1 = add i64 %j, 1
  %column.more = icmp slt i64 %j1, %n
  br i1 %column.more, label %column, label %finish
finish:
  call void @free(ptr %block)
  ret void
}}
"""

_GEMV_FIELDS: Final = ("i64 %trans", "i64 %m", "i64 %n", "ptr %a", "i64 %lda", "ptr %x")


def gemv_text(kind: Kind, split: bool) -> str:
    """``y = op(A) x``, cut along the rows of A; with the transpose, the partial sums are added in order."""
    item, letter, size = _ITEM[kind]
    return _COMMON.format(item=item) + _GEMV.format(
        item=item,
        letter=letter,
        bytes=size,
        grain=GEMV_GRAIN,
        chunks=GEMV_CHUNKS if split else 1,
        direct_stores=_stores((*_GEMV_FIELDS, "ptr %y", "i64 %piece"), "direct"),
        whole_stores=_stores((*_GEMV_FIELDS, "ptr %y", "i64 %m"), "whole"),
        split_stores=_stores((*_GEMV_FIELDS, "ptr %block", "i64 %piece"), "split"),
    )


def _stores(values: tuple[str, ...], prefix: str = "field") -> str:
    lines = []
    for k, value in enumerate(values):
        lines.append(f"  %{prefix}.{k} = getelementptr %job, ptr %job, i64 0, i32 {k}")
        lines.append(f"  store {value}, ptr %{prefix}.{k}")
    return "\n".join(lines)
