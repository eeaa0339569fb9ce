"""Machine code of expm: scaling and squaring with the Pade approximant of degree 13.

N. Higham, "The scaling and squaring method for the matrix exponential revisited" (2005), algorithm 2.3. The sizes are
constants in the text, the number of squarings is found when it runs. Rational functions of a matrix commute with
transposition, so row-major matrices go to LAPACK as they are.

Invariant: it computes in double precision.
Start at ``emit_expm``.
"""

from __future__ import annotations

from typing import Any

from staged_ad.ir import ArrayType
from staged_ad.primitives.linalg_code import SMALL, Matrix, call, copy, item_matrix, loop
from staged_ad.primitives.linalg_lapack import pieces

COEFFICIENTS = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)
"""Of the numerator of the approximant; the denominator has them with alternating signs."""
LARGEST = 5.371920351148152
"""The norm up to which the approximant is accurate to double precision."""
MATRICES = 7


def expm_scratch(a: ArrayType) -> int:
    n = a.shape[-1]
    return (MATRICES * n * n + n) * 8


def emit_expm(k: Any) -> None:
    n = k.inputs[0].type.shape[-1]
    if not n:
        return
    *places, pivots = pieces(k, *[n * n] * MATRICES, n)
    a, a2, a4, a6, u, v, t = (Matrix(k, place, "double", n) for place in places)
    copy(k, item_matrix(k, k.inputs[0]), a, n, n)
    squarings = _scale(k, a, n)
    _product(k, a, a, a2, n)
    _product(k, a2, a2, a4, n)
    _product(k, a2, a4, a6, n)
    powers, b = (a2, a4, a6), COEFFICIENTS
    _combine(k, t, powers, b[9::2], None, n)
    _product(k, a6, t, v, n)
    _combine(k, t, (*powers, v), (*b[3:9:2], 1.0), b[1], n)
    _product(k, a, t, u, n)
    _combine(k, t, powers, b[8:13:2], None, n)
    _product(k, a6, t, a, n)
    _combine(k, v, (*powers, a), (*b[2:8:2], 1.0), b[0], n)
    _combine(k, t, (v, u), (1.0, -1.0), None, n)
    _combine(k, v, (v, u), (1.0, 1.0), None, n)
    info = k.alloca("i32")
    call(k, "double", "gesv", n, n, t.address, n, pivots, v.address, n, info)
    with loop(k, 0, squarings):
        _product(k, v, v, t, n)
        copy(k, t, v, n, n)
    copy(k, v, item_matrix(k, k.outputs[0]), n, n)


def _scale(k: Any, a: Matrix, n: int) -> str:
    """Divide by the power of 2 that makes the norm small; its exponent is the number of squarings."""
    size = k.intrinsic("llvm.fabs.f64", "double @(double)")
    most = k.intrinsic("llvm.maxnum.f64", "double @(double, double)")
    largest, row = k.alloca("double"), k.alloca("double")
    k.line(f"store double 0.0, ptr {largest}")
    with loop(k, 0, n) as i:
        k.line(f"store double 0.0, ptr {row}")
        with loop(k, 0, n) as j:
            modulus = k.value(f"call double {size}(double {a.load(i, j)})")
            k.line(f"store double {k.value(f'fadd double {_load(k, row)}, {modulus}')}, ptr {row}")
        found = k.value(f"call double {most}(double {_load(k, largest)}, double {_load(k, row)})")
        k.line(f"store double {found}, ptr {largest}")
    ratio = k.value(f"fmul double {_load(k, largest)}, {1 / LARGEST!r}")
    exponent = k.value(f"lshr i64 {k.value(f'bitcast double {ratio} to i64')}, 52")
    above = k.value(f"sub i64 {exponent}, 1022")
    least = k.intrinsic("llvm.smax.i64", "i64 @(i64, i64)")
    bound = k.intrinsic("llvm.smin.i64", "i64 @(i64, i64)")
    count = k.value(f"call i64 {least}(i64 {above}, i64 0)")
    count = str(k.value(f"call i64 {bound}(i64 {count}, i64 1000)"))  # beyond are infinities
    power = k.value(f"shl i64 {k.value(f'sub i64 1023, {count}')}, 52")
    factor = k.value(f"bitcast i64 {power} to double")
    with loop(k, 0, n) as i, loop(k, 0, n) as j:
        a.store(k.value(f"fmul double {a.load(i, j)}, {factor}"), i, j)
    return count


def _load(k: Any, place: str) -> str:
    return str(k.value(f"load double, ptr {place}"))


def _product(k: Any, a: Matrix, b: Matrix, c: Matrix, n: int) -> None:
    """``c = a b``; in column-major order ``c^T = b^T a^T``."""
    if n > SMALL:
        call(k, "double", "gemm", "N", "N", n, n, n, 1.0, b.address, n, a.address, n, 0.0, c.address, n)
        return
    with loop(k, 0, n) as i:
        with loop(k, 0, n) as j:
            c.store("0.0", i, j)
        with loop(k, 0, n) as m:
            factor = a.load(i, m)
            with loop(k, 0, n) as j:
                term = k.value(f"fmul contract double {factor}, {b.load(m, j)}")
                c.store(k.value(f"fadd contract double {c.load(i, j)}, {term}"), i, j)


def _combine(
    k: Any, target: Matrix, terms: tuple[Matrix, ...], factors: tuple[float, ...], diagonal: float | None, n: int
) -> None:
    """A linear combination of matrices, and of the identity where `diagonal` is given."""
    with loop(k, 0, n) as i, loop(k, 0, n) as j:
        total = ""
        for term, factor in zip(terms, factors, strict=True):
            scaled = k.value(f"fmul contract double {term.load(i, j)}, {factor!r}")
            total = k.value(f"fadd contract double {total}, {scaled}") if total else scaled
        if diagonal is not None:
            same = k.value(f"icmp eq i64 {i}, {j}")
            one = k.value(f"select i1 {same}, double {diagonal!r}, double 0.0")
            total = k.value(f"fadd double {total}, {one}")
        target.store(total, i, j)
