"""Machine code of linear algebra: what the kernels of all factorisations share, and those that solve systems.

Matrices are row-major, LAPACK's are column-major: a matrix in our order is its transpose in LAPACK's. Where that does
not change the result (triangular solutions, Cholesky) it is used; elsewhere matrices are copied into working memory,
transposed, so that signs and pivots are NumPy's. Real matrices of at most SMALL rows and columns are done by loops
here, without a call. A complex number is a vector of two real ones.

Invariant: the text depends on types and parameters alone; sizes are constants in it.
Start at ``emit_triangular``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from staged_ad.errors import StagedADError
from staged_ad.ir import UNKNOWN, ArrayType, Source

SMALL = 8
"""Rows and columns up to which loops are faster than a call of LAPACK."""

Register = str
Index = str | int


def stack(*types: ArrayType, **params: Any) -> int:
    """The number of matrices."""
    return math.prod(types[0].shape[:-2])


def cube_cost(factor: float) -> Callable[..., float]:
    """Nanoseconds of a factorisation of one matrix, at a few operations in each."""
    return lambda a, *types, **params: 50 + factor * a.shape[-1] * a.shape[-2] * min(a.shape[-2:]) / 4


def solve_cost(a: ArrayType, *types: ArrayType, **params: Any) -> float:
    """Nanoseconds of triangular solutions for one matrix."""
    return 50 + a.shape[-1] * types[-1].shape[-2] * types[-1].shape[-1] / 4


# -- text ---------------------------------------------------------------------------------------------------------


@contextmanager
def loop(k: Any, start: Index, stop: Index, down: bool = False) -> Iterator[Register]:
    """A loop over start, start + 1, ... below `stop`; with `down` over the same numbers from the last to the first."""
    counter = k.alloca("i64")
    head, body, done = (k.label(hint) for hint in ("head", "body", "done"))
    k.line(f"store i64 {stop if down else start}, ptr {counter}")
    k.line(f"br label %{head}")
    k.start(head)
    now = k.value(f"load i64, ptr {counter}")
    test = f"icmp sgt i64 {now}, {start}" if down else f"icmp slt i64 {now}, {stop}"
    k.line(f"br i1 {k.value(test)}, {labels(body, done)}")
    k.start(body)
    index = k.value(f"sub i64 {now}, 1") if down else now
    yield index
    k.line(f"store i64 {index if down else plus(k, now, 1)}, ptr {counter}")
    k.line(f"br label %{head}")
    k.start(done)


@contextmanager
def when(k: Any, condition: Register) -> Iterator[None]:
    body, done = k.label("then"), k.label("done")
    k.line(f"br i1 {condition}, {labels(body, done)}")
    k.start(body)
    yield
    k.line(f"br label %{done}")
    k.start(done)


def labels(yes: str, no: str) -> str:
    return f"label %{yes}, label %{no}"


def plus(k: Any, a: Index, b: Index) -> Index:
    return a + b if isinstance(a, int) and isinstance(b, int) else k.value(f"add nsw i64 {a}, {b}")


def times(k: Any, a: Index, b: Index) -> Index:
    return a * b if isinstance(a, int) and isinstance(b, int) else k.value(f"mul nsw i64 {a}, {b}")


def is_complex(element: str) -> bool:
    return element.startswith("<")


def real_of(element: str) -> str:
    """The type of the parts of complex numbers."""
    return element.removeprefix("<2 x ").removesuffix(">")


def complex_of(element: str) -> str:
    return f"<2 x {element}>"


def number(element: str, value: float) -> str:
    """A constant; the imaginary part of a complex one is 0."""
    real = real_of(element)
    return f"<{real} {value}, {real} 0.0>" if is_complex(element) else f"{value}"


def load(k: Any, element: str, place: Register) -> Register:
    return str(k.value(f"load {element}, ptr {place}{_alignment(element)}"))


def store(k: Any, element: str, value: Register, place: Register) -> None:
    k.line(f"store {element} {value}, ptr {place}{_alignment(element)}")


def _alignment(element: str) -> str:
    """Complex numbers in memory are aligned as their parts are."""
    return {"<2 x double>": ", align 8", "<2 x float>": ", align 4"}.get(element, "")


class Matrix:
    """A matrix in memory: element (i, j) is `row` * i + `column` * j elements behind the address."""

    def __init__(self, k: Any, address: Register, element: str, row: int, column: int = 1) -> None:
        self.k, self.address, self.element, self.row, self.column = k, address, element, row, column

    def at(self, i: Index, j: Index) -> Register:
        place = plus(self.k, times(self.k, i, self.row), times(self.k, j, self.column))
        return str(self.k.value(f"getelementptr {self.element}, ptr {self.address}, i64 {place}"))

    def load(self, i: Index, j: Index) -> Register:
        return load(self.k, self.element, self.at(i, j))

    def store(self, value: Register, i: Index, j: Index) -> None:
        store(self.k, self.element, value, self.at(i, j))

    @property
    def transposed(self) -> Matrix:
        return Matrix(self.k, self.address, self.element, self.column, self.row)

    def part(self, imaginary: bool) -> Matrix:
        """The real or the imaginary parts of complex numbers."""
        real = real_of(self.element)
        address = self.k.value(f"getelementptr {real}, ptr {self.address}, i64 {int(imaginary)}")
        return Matrix(self.k, address, real, 2 * self.row, 2 * self.column)


def item_matrix(k: Any, buffer: Any) -> Matrix:
    """The matrix of a stack that the kernel works on."""
    rows, columns = buffer.type.shape[-2:]
    return Matrix(k, k.slice_of(buffer, rows * columns), buffer.element, columns)


def copy(k: Any, source: Matrix, target: Matrix, rows: Index, columns: Index) -> None:
    """All elements, converted where the types differ."""
    with loop(k, 0, rows) as i, loop(k, 0, columns) as j:
        target.store(converted(k, source.load(i, j), source.element, target.element), i, j)


def converted(k: Any, value: Register, source: str, target: str) -> Register:
    if source == target:
        return value
    return str(k.value(f"{'fpext' if real_of(target) == 'double' else 'fptrunc'} {source} {value} to {target}"))


def copy_triangle(k: Any, source: Matrix, target: Matrix, rows: int, columns: int, lower: bool) -> None:
    """One triangle with the diagonal, and zeros in the other."""
    with loop(k, 0, rows) as i, loop(k, 0, columns) as j:
        kept = k.value(f"icmp {'sge' if lower else 'sle'} i64 {i}, {j}")
        zero = number(source.element, 0.0)
        value = k.value(f"select i1 {kept}, {source.element} {source.load(i, j)}, {source.element} {zero}")
        target.store(converted(k, value, source.element, target.element), i, j)


def call(k: Any, element: str, name: str, *arguments: Any) -> None:
    """Call a routine of LAPACK: addresses, and constants (integers, letters, floating-point numbers) in memory."""
    routine = k.lapack(_LETTERS[element] + name, len(arguments))
    places = [_constant(k, element, argument) for argument in arguments]
    k.line(f"call void {routine}({', '.join(f'ptr {place}' for place in places)})")


_LETTERS = {"float": "s", "double": "d", "<2 x float>": "c", "<2 x double>": "z"}


def _constant(k: Any, element: str, value: Any) -> str:
    if isinstance(value, int):
        return str(k.helper(f"linalg.i32.{value}", f"@linalg.i32.{value} = private constant i32 {value}"))
    if isinstance(value, float):
        name = f"linalg.{_LETTERS[element]}.{value}".replace("-", "minus")
        return str(k.helper(name, f"@{name} = private constant {element} {number(element, value)}"))
    if value[0] in "%@":
        return str(value)
    return str(k.helper(f"linalg.letter.{value}", f"@linalg.letter.{value} = private constant i8 {ord(value)}"))


def fail(k: Any, condition: Register, make: type[StagedADError], message: str) -> None:
    """Raise where the condition holds, with the user's line."""
    k.fail_if(condition, located, make, message, k.equation.source or UNKNOWN)


def located(make: type[StagedADError], message: str, where: Source | str) -> StagedADError:
    """The exception with the user's line."""
    return make(f"{message} (at {where})")


def fail_unless_finite(k: Any, a: Matrix, rows: int, columns: int, make: type[StagedADError], message: str) -> None:
    """Some routines of LAPACK do not end on infinities."""
    if is_complex(a.element):
        for imaginary in (False, True):
            fail_unless_finite(k, a.part(imaginary), rows, columns, make, message)
        return
    total = k.alloca(a.element)
    k.line(f"store {a.element} 0.0, ptr {total}")
    with loop(k, 0, rows) as i, loop(k, 0, columns) as j:
        nothing = k.value(f"fmul {a.element} {a.load(i, j)}, 0.0")
        k.line(f"store {a.element} {k.value(f'fadd {a.element} {_at(k, a, total)}, {nothing}')}, ptr {total}")
    fail(k, k.value(f"fcmp uno {a.element} {_at(k, a, total)}, 0.0"), make, message)


def _at(k: Any, a: Matrix, place: Register) -> Register:
    return str(k.value(f"load {a.element}, ptr {place}"))


# -- require, permute_rows ----------------------------------------------------------------------------------------


def emit_require(k: Any, make: type[StagedADError], message: str) -> None:
    x, ok = k.inputs
    with loop(k, 0, ok.type.size) as i:
        good = k.value(f"load i8, ptr {k.element(ok, i)}")
        fail(k, k.value(f"icmp eq i8 {good}, 0"), make, message)
    with loop(k, 0, x.type.size) as i:
        store(k, x.element, load(k, x.element, k.element(x, i)), k.element(k.outputs[0], i))


def emit_permute(k: Any, *, inverse: bool) -> None:
    """One row: an item is a row of a matrix of the stack."""
    x, order = k.inputs
    rows, columns = x.type.shape[-2:]
    first = k.value(f"sub i64 {k.item}, {k.value(f'srem i64 {k.item}, {rows}')}")
    other = plus(k, first, k.value(f"load i64, ptr {k.element(order, k.item)}"))
    source, target = (k.item, other) if inverse else (other, k.item)
    copy(k, _row(k, x, source, columns), _row(k, k.outputs[0], target, columns), 1, columns)


def _row(k: Any, buffer: Any, row: Index, columns: int) -> Matrix:
    return Matrix(k, k.element(buffer, times(k, row, columns)), buffer.element, columns)


# -- triangular systems -------------------------------------------------------------------------------------------


def emit_triangular(k: Any, *, lower: bool, trans: bool, unit: bool) -> None:
    a, b, x = (item_matrix(k, buffer) for buffer in (*k.inputs, *k.outputs))
    rows, columns = k.inputs[1].type.shape[-2:]
    copy(k, b, x, rows, columns)
    solve_in_place(k, a, x, rows, columns, lower, trans, unit)


def solve_in_place(k: Any, a: Matrix, x: Matrix, rows: int, columns: int, lower: bool, trans: bool, unit: bool) -> None:
    """``x := op(a)^-1 x``. In column-major order ``x^T op(a)^T = b^T``, where the memory of a holds a^T."""
    if not rows or not columns:
        return
    if rows > SMALL or is_complex(a.element):
        letters = ("R", "U" if lower else "L", "T" if trans else "N", "U" if unit else "N")
        call(k, a.element, "trsm", *letters, columns, rows, 1.0, a.address, rows, x.address, columns)
        return
    if trans:
        a, lower = a.transposed, not lower
    with loop(k, 0, rows, down=not lower) as i:
        bounds = (0, i) if lower else (plus(k, i, 1), rows)
        with loop(k, *bounds) as j:
            factor = a.load(i, j)
            with loop(k, 0, columns) as c:
                x.store(_minus_product(k, x.load(i, c), factor, x.load(j, c), a.element), i, c)
        if not unit:
            pivot = a.load(i, i)
            with loop(k, 0, columns) as c:
                x.store(k.value(f"fdiv {a.element} {x.load(i, c)}, {pivot}"), i, c)


def _minus_product(k: Any, x: Register, a: Register, b: Register, element: str) -> Register:
    return str(k.value(f"fsub contract {element} {x}, {k.value(f'fmul contract {element} {a}, {b}')}"))


# -- cholesky -----------------------------------------------------------------------------------------------------


def emit_cholesky(k: Any, *, error: tuple[type[StagedADError], str]) -> None:
    """In column-major order the memory of l holds the upper triangular l^T, that of a conj(a) = conj(l) l^T."""
    a, l = item_matrix(k, k.inputs[0]), item_matrix(k, k.outputs[0])  # noqa: E741  # as in the literature
    n = k.inputs[0].type.shape[-1]
    if not n:
        return
    copy_triangle(k, a, l, n, n, lower=True)
    if n > SMALL or is_complex(l.element):
        info = k.alloca("i32")
        call(k, l.element, "potrf", "U", n, l.address, n, info)
        fail(k, k.value(f"icmp ne i32 {k.value(f'load i32, ptr {info}')}, 0"), *error)
        return
    root = k.intrinsic(f"llvm.sqrt.{bits(l.element)}", f"{l.element} @({l.element})")
    with loop(k, 0, n) as i:
        with loop(k, 0, i) as j:
            _subtract_product(k, l, i, j, j)
            l.store(k.value(f"fdiv {l.element} {l.load(i, j)}, {l.load(j, j)}"), i, j)
        _subtract_product(k, l, i, i, i)
        square = l.load(i, i)
        fail(k, k.value(f"fcmp ole {l.element} {square}, 0.0"), *error)  # a NaN is the result then
        l.store(k.value(f"call {l.element} {root}({l.element} {square})"), i, i)


def bits(element: str) -> str:
    return {"float": "f32", "double": "f64"}[element]


def _subtract_product(k: Any, l: Matrix, i: Index, j: Index, count: Index) -> None:  # noqa: E741
    """``l_ij -= sum of l_ic l_jc`` over the first `count` columns."""
    with loop(k, 0, count) as c:
        l.store(_minus_product(k, l.load(i, j), l.load(i, c), l.load(j, c), l.element), i, j)


# -- lu -----------------------------------------------------------------------------------------------------------


def lu_scratch(a: ArrayType) -> int:
    m, n = a.shape[-2:]
    return 0 if max(m, n) <= SMALL and not a.is_complex else m * n * a.dtype.itemsize


def emit_lu(k: Any) -> None:
    m, n = k.inputs[0].type.shape[-2:]
    a, factors = item_matrix(k, k.inputs[0]), item_matrix(k, k.outputs[0])
    pivots, order = k.slice_of(k.outputs[1], min(m, n)), k.slice_of(k.outputs[2], m)
    with loop(k, 0, m) as i:
        k.line(f"store i64 {i}, ptr {k.value(f'getelementptr i64, ptr {order}, i64 {i}')}")
    if not m or not n:
        return
    if max(m, n) <= SMALL and not is_complex(a.element):
        copy(k, a, factors, m, n)
        _small_lu(k, factors, pivots, order, m, n)
        return
    columns, info = Matrix(k, k.scratch, a.element, 1, m), k.alloca("i32")
    copy(k, a, columns, m, n)
    call(k, a.element, "getrf", m, n, k.scratch, m, pivots, info)
    copy(k, columns, factors, m, n)
    with loop(k, 0, min(m, n)) as i:
        place = k.value(f"getelementptr i32, ptr {pivots}, i64 {i}")
        pivot = k.value(f"sub i32 {k.value(f'load i32, ptr {place}')}, 1")  # Fortran counts from 1
        k.line(f"store i32 {pivot}, ptr {place}")
        _swap(k, "i64", order, i, k.value(f"sext i32 {pivot} to i64"))


def emit_row_order(k: Any) -> None:
    n = k.inputs[0].type.shape[-1]
    pivots, order = k.slice_of(k.inputs[0], n), k.slice_of(k.outputs[0], n)
    with loop(k, 0, n) as i:
        k.line(f"store i64 {i}, ptr {k.value(f'getelementptr i64, ptr {order}, i64 {i}')}")
    with loop(k, 0, n) as i:
        pivot = k.value(f"load i32, ptr {k.value(f'getelementptr i32, ptr {pivots}, i64 {i}')}")
        _swap(k, "i64", order, i, k.value(f"sext i32 {pivot} to i64"))


def _swap(k: Any, element: str, base: Register, i: Index, j: Index) -> None:
    first, second = (k.value(f"getelementptr {element}, ptr {base}, i64 {index}") for index in (i, j))
    one, other = (k.value(f"load {element}, ptr {place}") for place in (first, second))
    k.line(f"store {element} {other}, ptr {first}")
    k.line(f"store {element} {one}, ptr {second}")


def _small_lu(k: Any, a: Matrix, pivots: Register, order: Register, m: int, n: int) -> None:
    """Gaussian elimination with the largest pivot of each column, in place."""
    size = k.intrinsic(f"llvm.fabs.{bits(a.element)}", f"{a.element} @({a.element})")
    best, place = k.alloca(a.element), k.alloca("i64")
    with loop(k, 0, min(m, n)) as c:
        k.line(f"store {a.element} -1.0, ptr {best}")
        k.line(f"store i64 {c}, ptr {place}")
        with loop(k, c, m) as i:
            found = k.value(f"call {a.element} {size}({a.element} {a.load(i, c)})")
            so_far = k.value(f"load {a.element}, ptr {best}")
            with when(k, k.value(f"fcmp ogt {a.element} {found}, {so_far}")):
                k.line(f"store {a.element} {found}, ptr {best}")
                k.line(f"store i64 {i}, ptr {place}")
        pivot = k.value(f"load i64, ptr {place}")
        short = k.value(f"trunc i64 {pivot} to i32")
        k.line(f"store i32 {short}, ptr {k.value(f'getelementptr i32, ptr {pivots}, i64 {c}')}")
        with when(k, k.value(f"icmp ne i64 {pivot}, {c}")):
            _swap(k, "i64", order, c, pivot)
            with loop(k, 0, n) as j:
                one, other = a.load(c, j), a.load(pivot, j)
                a.store(other, c, j)
                a.store(one, pivot, j)
        head = a.load(c, c)
        with when(k, k.value(f"fcmp une {a.element} {head}, 0.0")), loop(k, plus(k, c, 1), m) as i:
            factor = k.value(f"fdiv {a.element} {a.load(i, c)}, {head}")
            a.store(factor, i, c)
            with loop(k, plus(k, c, 1), n) as j:
                a.store(_minus_product(k, a.load(i, j), factor, a.load(c, j), a.element), i, j)


# -- lu_solve -----------------------------------------------------------------------------------------------------


def solve_scratch(lu: ArrayType, order: ArrayType, a: ArrayType, b: ArrayType, *, trans: bool) -> int:
    return b.shape[-2] * b.shape[-1] * b.dtype.itemsize if trans else 0


def emit_lu_solve(k: Any, *, trans: bool) -> None:
    factors, b, x = (item_matrix(k, buffer) for buffer in (k.inputs[0], k.inputs[3], k.outputs[0]))
    rows, columns = k.outputs[0].type.shape[-2:]
    if not rows or not columns:
        return
    order = k.slice_of(k.inputs[1], rows)
    y = Matrix(k, k.scratch, x.element, columns) if trans else x
    if trans:
        copy(k, b, y, rows, columns)
        solve_in_place(k, factors, y, rows, columns, lower=False, trans=True, unit=False)
        solve_in_place(k, factors, y, rows, columns, lower=True, trans=True, unit=True)
    with loop(k, 0, rows) as i:
        row = k.value(f"load i64, ptr {k.value(f'getelementptr i64, ptr {order}, i64 {i}')}")
        with loop(k, 0, columns) as j:
            if trans:
                x.store(y.load(i, j), row, j)
            else:
                x.store(b.load(row, j), i, j)
    if not trans:
        solve_in_place(k, factors, x, rows, columns, lower=True, trans=False, unit=True)
        solve_in_place(k, factors, x, rows, columns, lower=False, trans=False, unit=False)
