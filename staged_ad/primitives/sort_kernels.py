"""Machine code of sorting, of moving by a permutation, and of searching.

A sequence is sorted by unsigned integers that have the order of its elements (``keys``): by insertion where it is
short, else by counting its keys byte after byte from the lowest on (Knuth, *The Art of Computer Programming* vol. 3,
5.2.5, radix list sort). Both are stable. A byte in which all keys agree costs nothing but the count.

Invariant: an item is one sequence along the axis; of a search, one value.
Start at ``_emit_sort``.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import numpy as np

from staged_ad.ir import ArrayType
from staged_ad.ir.lowerings import Kernel
from staged_ad.primitives.scan_kernels import Register, extent_of

SHORT = 64
"""Sequences up to this length are sorted by insertion."""
_COUNTS = 256 * 8


def _items(*types: ArrayType, axis: int) -> int:
    outer, _, inner = extent_of(types[0], axis)
    return outer * inner


def _padded(count: int) -> int:
    return -(-count // 64) * 64


def _sort_cost(*types: ArrayType, axis: int) -> float:
    n = types[0].shape[axis]
    return 5.0 + (0.2 * n * n if n <= SHORT else 1500 + 3 * n * types[0].dtype.itemsize)


def _scratch(pairs: bool) -> Any:
    def scratch(*types: ArrayType, axis: int) -> int:
        return _places(types[0].shape[axis], types[0].dtype.itemsize, pairs)[-1]

    return scratch


def _places(n: int, size: int, pairs: bool) -> list[int]:
    """Where in working memory the keys lie, room for as many, indices, room for as many, counts, and where it ends.

    Insertion needs no room, of which a device would have some for each of many sequences.
    """
    long = n > SHORT
    keys, indices = _padded(n * size), _padded(8 * n) if pairs else 0
    return list(accumulate((keys, keys * long, indices, indices * long, size * _COUNTS * long), initial=0))


class _Loop:
    """``for k in range(count)``; the body is what is written within."""

    def __init__(self, kernel: Any, count: int | str) -> None:
        self.kernel = kernel
        self.count = count
        self.before, self.head, self.body, self.end = map(kernel.label, ("before", "head", "body", "end"))
        self.k, self._next = f"%k.{self.head}", f"%next.{self.head}"

    def __enter__(self) -> str:
        line, start = self.kernel.line, self.kernel.start
        line(f"br label %{self.before}")
        start(self.before)
        line(f"br label %{self.head}")
        start(self.head)
        line(f"{self.k} = phi i64 [ 0, %{self.before} ], [ {self._next}, %{self.body}.last ]")
        line(
            f"br i1 {self.kernel.value(f'icmp slt i64 {self.k}, {self.count}')}, label %{self.body}, label %{self.end}"
        )
        start(self.body)
        return self.k

    def __exit__(self, *error: object) -> None:
        line, start = self.kernel.line, self.kernel.start
        line(f"br label %{self.body}.last")
        start(f"{self.body}.last")
        line(f"{self._next} = add nsw i64 {self.k}, 1")
        line(f"br label %{self.head}")
        start(self.end)


def _sequence(kernel: Any, extent: tuple[int, int, int]) -> Register:
    """The index of the first element of the item's sequence; the others follow at steps of the inner extent."""
    _, n, inner = extent
    if inner == 1:
        return kernel.value(f"mul i64 {kernel.item}, {n}")
    outer = kernel.value(f"udiv i64 {kernel.item}, {max(1, inner)}")
    start = kernel.value(f"mul i64 {outer}, {n * inner}")
    return kernel.value(f"add i64 {start}, {kernel.value(f'urem i64 {kernel.item}, {max(1, inner)}')}")


def _at(kernel: Any, first: str, k: str, inner: int) -> Register:
    step = k if inner == 1 else kernel.value(f"mul i64 {k}, {inner}")
    return kernel.value(f"add i64 {first}, {step}")


def _load(kernel: Any, buffer: Any, index: str) -> Register:
    return kernel.value(f"load {buffer.element}, ptr {kernel.element(buffer, index)}")


def _store(kernel: Any, value: str, buffer: Any, index: str) -> None:
    kernel.line(f"store {buffer.element} {value}, ptr {kernel.element(buffer, index)}")


# -- keys -----------------------------------------------------------------------------------------------------------


def _key(kernel: Any, x: str, type: ArrayType, exact: bool) -> Register:
    """An unsigned integer with the order of `x`, NaN the greatest. Zeros of both signs are equal unless `exact`."""
    bits = 8 * type.dtype.itemsize
    word = f"i{bits}"
    sign = 1 << (bits - 1)
    if type.dtype.kind in "bu":
        return x
    if type.dtype.kind == "i":
        return kernel.value(f"xor {word} {x}, {-sign}")
    real = "double" if bits == 64 else "float"
    nan = kernel.value(f"fcmp uno {real} {x}, {x}")
    if not exact:
        x = kernel.value(f"fadd {real} {x}, 0.0")  # -0.0 + 0.0 is 0.0
    raw = kernel.value(f"bitcast {real} {x} to {word}")
    negative = kernel.value(f"ashr {word} {raw}, {bits - 1}")
    flips = kernel.value(f"or {word} {negative}, {-sign}")
    ordered = kernel.value(f"xor {word} {raw}, {flips}")
    return kernel.value(f"select i1 {nan}, {word} -1, {word} {ordered}")


def _element(kernel: Any, key: str, type: ArrayType) -> Register:
    """The element whose exact key this is; of -1, a NaN."""
    bits = 8 * type.dtype.itemsize
    word, sign = f"i{bits}", 1 << (bits - 1)
    if type.dtype.kind in "bu":
        return key
    if type.dtype.kind == "i":
        return kernel.value(f"xor {word} {key}, {-sign}")
    positive = kernel.value(f"icmp slt {word} {key}, 0")
    flips = kernel.value(f"select i1 {positive}, {word} {-sign}, {word} -1")
    raw = kernel.value(f"xor {word} {key}, {flips}")
    return kernel.value(f"bitcast {word} {raw} to {'double' if bits == 64 else 'float'}")


# -- sorting --------------------------------------------------------------------------------------------------------


def _insertion(word: str, pairs: bool) -> str:
    """``void sort(keys, indices, n)`` of a short sequence."""
    name = _name("insertion", word, pairs)
    take = "\n  %ia = getelementptr i64, ptr %is, i64 %i\n  %index = load i64, ptr %ia" if pairs else ""
    move = (
        "\n  %ja = getelementptr i64, ptr %is, i64 %j\n  %jb = getelementptr i64, ptr %is, i64 %below"
        "\n  %other = load i64, ptr %jb\n  store i64 %other, ptr %ja"
        if pairs
        else ""
    )
    put = "\n  %pa = getelementptr i64, ptr %is, i64 %j\n  store i64 %index, ptr %pa" if pairs else ""
    return f"""define internal void @{name}(ptr noalias %ks, ptr noalias %is, i64 %n) noinline nounwind {{
start:
  br label %outer
outer:
  %i = phi i64 [ 1, %start ], [ %i.next, %placed ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %take, label %end
take:
  %ka = getelementptr {word}, ptr %ks, i64 %i
  %key = load {word}, ptr %ka{take}
  br label %inner
inner:
  %j = phi i64 [ %i, %take ], [ %below, %move ]
  %first = icmp eq i64 %j, 0
  br i1 %first, label %placed, label %look
look:
  %below = sub nsw i64 %j, 1
  %la = getelementptr {word}, ptr %ks, i64 %below
  %left = load {word}, ptr %la
  %larger = icmp ugt {word} %left, %key
  br i1 %larger, label %move, label %placed
move:
  %ma = getelementptr {word}, ptr %ks, i64 %j
  store {word} %left, ptr %ma{move}
  br label %inner
placed:
  %pk = getelementptr {word}, ptr %ks, i64 %j
  store {word} %key, ptr %pk{put}
  %i.next = add nsw i64 %i, 1
  br label %outer
end:
  ret void
}}"""


def _radix(word: str, pairs: bool) -> str:
    """``i64 sort(keys, other keys, indices, other indices, counts, n)``; whether the result is in the others."""
    name = _name("radix", word, pairs)
    size = int(word[1:]) // 8
    widen = f"zext {word} %x to i64" if size < 8 else "or i64 %x, 0"
    again = f"zext {word} %y to i64" if size < 8 else "or i64 %y, 0"
    carry = (
        "\n  %ix = getelementptr i64, ptr %is, i64 %p\n  %index = load i64, ptr %ix"
        "\n  %iy = getelementptr i64, ptr %js, i64 %place\n  store i64 %index, ptr %iy"
        if pairs
        else ""
    )
    return f"""define internal i64 @{name}(
  ptr noalias %ks.0, ptr noalias %ls.0, ptr noalias %is.0, ptr noalias %js.0, ptr noalias %counts, i64 %n
) noinline nounwind {{
start:
  br label %clear
clear:
  %c = phi i64 [ 0, %start ], [ %c.next, %clear ]
  %ca = getelementptr i64, ptr %counts, i64 %c
  store i64 0, ptr %ca
  %c.next = add nsw i64 %c, 1
  %clearing = icmp slt i64 %c.next, {256 * size}
  br i1 %clearing, label %clear, label %count
count:
  %i = phi i64 [ 0, %clear ], [ %i.next, %counted ]
  %counting = icmp slt i64 %i, %n
  br i1 %counting, label %split, label %passes
split:
  %xa = getelementptr {word}, ptr %ks.0, i64 %i
  %x = load {word}, ptr %xa
  %wide = {widen}
  br label %byte
byte:
  %b = phi i64 [ 0, %split ], [ %b.next, %byte ]
  %rest = phi i64 [ %wide, %split ], [ %rest.next, %byte ]
  %low = and i64 %rest, 255
  %row = shl i64 %b, 8
  %cell = or i64 %row, %low
  %na = getelementptr i64, ptr %counts, i64 %cell
  %number = load i64, ptr %na
  %more = add i64 %number, 1
  store i64 %more, ptr %na
  %rest.next = lshr i64 %rest, 8
  %b.next = add nsw i64 %b, 1
  %splitting = icmp slt i64 %b.next, {size}
  br i1 %splitting, label %byte, label %counted
counted:
  %i.next = add nsw i64 %i, 1
  br label %count
passes:
  %d = phi i64 [ 0, %count ], [ %d.next, %passed ]
  %ks = phi ptr [ %ks.0, %count ], [ %ks.next, %passed ]
  %ls = phi ptr [ %ls.0, %count ], [ %ls.next, %passed ]
  %is = phi ptr [ %is.0, %count ], [ %is.next, %passed ]
  %js = phi ptr [ %js.0, %count ], [ %js.next, %passed ]
  %moved = phi i64 [ 0, %count ], [ %moved.next, %passed ]
  %passing = icmp slt i64 %d, {size}
  br i1 %passing, label %look, label %end
look:
  %table = shl i64 %d, 8
  %row.a = getelementptr i64, ptr %counts, i64 %table
  %shift = shl i64 %d, 3
  %some = load {word}, ptr %ks
  %some.wide = {widen.replace("%x", "%some")}
  %some.down = lshr i64 %some.wide, %shift
  %some.low = and i64 %some.down, 255
  %some.a = getelementptr i64, ptr %row.a, i64 %some.low
  %equal = load i64, ptr %some.a
  %all = icmp eq i64 %equal, %n
  br i1 %all, label %passed, label %sum
sum:
  %s = phi i64 [ 0, %look ], [ %s.next, %sum ]
  %total = phi i64 [ 0, %look ], [ %total.next, %sum ]
  %sa = getelementptr i64, ptr %row.a, i64 %s
  %have = load i64, ptr %sa
  store i64 %total, ptr %sa
  %total.next = add i64 %total, %have
  %s.next = add nsw i64 %s, 1
  %summing = icmp slt i64 %s.next, 256
  br i1 %summing, label %sum, label %move
move:
  %p = phi i64 [ 0, %sum ], [ %p.next, %move ]
  %ya = getelementptr {word}, ptr %ks, i64 %p
  %y = load {word}, ptr %ya
  %y.wide = {again}
  %y.down = lshr i64 %y.wide, %shift
  %y.low = and i64 %y.down, 255
  %pa = getelementptr i64, ptr %row.a, i64 %y.low
  %place = load i64, ptr %pa
  %place.next = add i64 %place, 1
  store i64 %place.next, ptr %pa
  %za = getelementptr {word}, ptr %ls, i64 %place
  store {word} %y, ptr %za{carry}
  %p.next = add nsw i64 %p, 1
  %moving = icmp slt i64 %p.next, %n
  br i1 %moving, label %move, label %swap
swap:
  %moved.swap = xor i64 %moved, 1
  br label %passed
passed:
  %ks.next = phi ptr [ %ks, %look ], [ %ls, %swap ]
  %ls.next = phi ptr [ %ls, %look ], [ %ks, %swap ]
  %is.next = phi ptr [ %is, %look ], [ %js, %swap ]
  %js.next = phi ptr [ %js, %look ], [ %is, %swap ]
  %moved.next = phi i64 [ %moved, %look ], [ %moved.swap, %swap ]
  %d.next = add nsw i64 %d, 1
  br label %passes
end:
  ret i64 %moved
}}"""


def _name(method: str, word: str, pairs: bool) -> str:
    return f"sort.{method}.{word}{'.pairs' if pairs else ''}"


def _emit_sort(pairs: bool) -> Any:
    """argsort, where the keys have indices for partners, or sort."""

    def emit(kernel: Any, *, axis: int) -> None:
        (x,), (y,) = kernel.inputs, kernel.outputs
        extent = extent_of(x.type, axis)
        _, n, inner = extent
        size = x.type.dtype.itemsize
        word = f"i{8 * size}"
        keys, more_keys, indices, more_indices, counters = (
            kernel.value(f"getelementptr i8, ptr {kernel.scratch}, i64 {offset}")
            for offset in _places(n, size, pairs)[:-1]
        )
        first = _sequence(kernel, extent)
        with _Loop(kernel, n) as k:
            key = _key(kernel, _load(kernel, x, _at(kernel, first, k, inner)), x.type, exact=not pairs)
            kernel.line(f"store {word} {key}, ptr {kernel.value(f'getelementptr {word}, ptr {keys}, i64 {k}')}")
            if pairs:
                kernel.line(f"store i64 {k}, ptr {kernel.value(f'getelementptr i64, ptr {indices}, i64 {k}')}")
        result = indices if pairs else keys
        if n <= SHORT:
            sorter = kernel.helper(_name("insertion", word, pairs), _insertion(word, pairs))
            kernel.line(f"call void {sorter}(ptr {keys}, ptr {indices}, i64 {n})")
        else:
            sorter = kernel.helper(_name("radix", word, pairs), _radix(word, pairs))
            places = f"ptr {keys}, ptr {more_keys}, ptr {indices}, ptr {more_indices}, ptr {counters}, i64 {n}"
            moved = kernel.value(f"icmp ne i64 {kernel.value(f'call i64 {sorter}({places})')}, 0")
            other = more_indices if pairs else more_keys
            result = kernel.value(f"select i1 {moved}, ptr {other}, ptr {result}")
        found = "i64" if pairs else word
        with _Loop(kernel, n) as k:
            value = kernel.value(f"load {found}, ptr {kernel.value(f'getelementptr {found}, ptr {result}, i64 {k}')}")
            element = value if pairs else _element(kernel, value, x.type)
            _store(kernel, element, y, _at(kernel, first, k, inner))

    return emit


# -- moving and searching -------------------------------------------------------------------------------------------


def _emit_moving(back: bool) -> Any:
    def emit(kernel: Any, *, axis: int) -> None:
        (x, order), (y,) = kernel.inputs, kernel.outputs
        extent = extent_of(x.type, axis)
        first = _sequence(kernel, extent)
        with _Loop(kernel, extent[1]) as k:
            here = _at(kernel, first, k, extent[2])
            there = _at(kernel, first, _load(kernel, order, here), extent[2])
            source, target = (here, there) if back else (there, here)
            _store(kernel, _load(kernel, x, source), y, target)

    return emit


def _before(kernel: Any, a: str, b: str, dtype: np.dtype[Any], element: str) -> Register:
    """Whether a comes before b: NaN comes last."""
    if dtype.kind != "f":
        return kernel.value(f"icmp {'s' if dtype.kind == 'i' else 'u'}lt {element} {a}, {b}")
    less = kernel.value(f"fcmp olt {element} {a}, {b}")
    number = kernel.value(f"fcmp ord {element} {a}, {a}")
    nan = kernel.value(f"fcmp uno {element} {b}, {b}")
    last = kernel.value(f"and i1 {number}, {nan}")
    return kernel.value(f"or i1 {less}, {last}")


def _emit_search(kernel: Any, *, right: bool) -> None:
    """Half of what is left, as long as there is some."""
    (a, v), (y,) = kernel.inputs, kernel.outputs
    n, m = a.type.shape[-1], v.type.shape[-1]
    wanted = _load(kernel, v, kernel.item)
    row = kernel.value(f"mul i64 {kernel.value(f'udiv i64 {kernel.item}, {max(1, m)}')}, {n}")
    before, head, body, end = map(kernel.label, ("before", "head", "body", "end"))
    kernel.line(f"br label %{before}")
    kernel.start(before)
    kernel.line(f"br label %{head}")
    kernel.start(head)
    low, left, low_next, left_next = (f"%{name}.{head}" for name in ("low", "left", "low.next", "left.next"))
    kernel.line(f"{low} = phi i64 [ 0, %{before} ], [ {low_next}, %{body} ]")
    kernel.line(f"{left} = phi i64 [ {n}, %{before} ], [ {left_next}, %{body} ]")
    kernel.line(f"br i1 {kernel.value(f'icmp sgt i64 {left}, 0')}, label %{body}, label %{end}")
    kernel.start(body)
    half = kernel.value(f"lshr i64 {left}, 1")
    middle = kernel.value(f"add i64 {low}, {half}")
    found = _load(kernel, a, kernel.value(f"add i64 {row}, {middle}"))
    if right:
        stays = _before(kernel, wanted, found, a.type.dtype, a.element)
        beyond = kernel.value(f"xor i1 {stays}, true")
    else:
        beyond = _before(kernel, found, wanted, a.type.dtype, a.element)
    above = kernel.value(f"add i64 {middle}, 1")
    rest = kernel.value(f"sub i64 {left}, {kernel.value(f'add i64 {half}, 1')}")
    kernel.line(f"{low_next} = select i1 {beyond}, i64 {above}, i64 {low}")
    kernel.line(f"{left_next} = select i1 {beyond}, i64 {rest}, i64 {half}")
    kernel.line(f"br label %{head}")
    kernel.start(end)
    _store(kernel, low, y, kernel.item)


ARGSORT = Kernel(_emit_sort(pairs=True), _items, _scratch(pairs=True), _sort_cost)
SORT = Kernel(_emit_sort(pairs=False), _items, _scratch(pairs=False), _sort_cost)
PERMUTE, UNPERMUTE = (
    Kernel(_emit_moving(back), _items, cost=lambda *types, axis: 1.0 + types[0].shape[axis]) for back in (False, True)
)
SEARCH = Kernel(
    _emit_search, lambda a, v, *, right: v.size, cost=lambda a, v, *, right: 2.0 + 3 * math.log2(a.shape[-1] + 1)
)
