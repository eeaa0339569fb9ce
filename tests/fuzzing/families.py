"""Linear algebra, Fourier transforms, special functions; and the list of all families.

Invariant: as in calls.py.
Start at ``FAMILIES``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.special

from tests.fuzzing.calls import (
    NORMS,
    SPECIAL,
    Scope,
    binary,
    in_place,
    indexing,
    joining,
    name,
    ordering,
    other,
    products,
    reduction,
    scanning,
    shaping,
    ternary,
    unary,
)
from tests.fuzzing.drawing import Draw
from tests.fuzzing.habits import decisions, into, plain_python, reducing_methods, rows, samples, views
from tests.fuzzing.rarer import factorisations, rarer

WHOLE = [name for name in SPECIAL if any(set(t) & set("ilqp") for t in getattr(scipy.special, name).types)]
"""Functions of whole numbers; some count up to them, so that 2**31 takes minutes in SciPy itself."""


def matrices(d: Draw, s: Scope) -> list[str]:
    n = d.randint(0, 4) if d.chance(0.3) else d.randint(1, 3)
    shape = d.pick((n, n), (n, n), (2, n, n), (n, d.randint(1, 3)))
    dtype = d.pick("float64", "float64", "float64", "float32", "int64", "complex128")
    x = name(d, s)
    moderate = bool(np.all(abs(np.asarray(s[x], complex)) < 1e9))  # what overflows is LAPACK's own business
    scale = f"{x}.ravel()[:1].sum()" if d.chance(0.5) and moderate else "1"
    a = f"({d.array(dtype, shape)} * {scale})"
    b = d.array(dtype, d.pick((n,), (n, 2), (2, n, 1), (n, 1)))
    y = x if moderate else a
    spd = f"(np.swapaxes({a}, -1, -2).conj() @ {a} + 3 * np.eye({shape[-1]}))"
    return [
        "{new} = "
        + d.pick(
            f"np.linalg.inv({a})",
            f"np.linalg.det({a})",
            f"np.linalg.slogdet({a})",
            f"np.linalg.solve({a}, {b})",
            f"np.linalg.cholesky({spd})",
            f"np.linalg.cholesky({a} + np.swapaxes({a}, -1, -2))",  # the other triangle counts in derivatives
            f"np.linalg.eigvalsh({spd})",
            f"np.linalg.svd({a}, compute_uv=False)",
            f"abs(np.linalg.qr({a})[1])",
            f"np.linalg.pinv({a} + 0.137 * np.eye{shape[-2:]})",  # of full rank: else the result is rounding
            f"np.linalg.matrix_power({a}, {d.randint(-2, 4)})",
            f"np.linalg.lstsq({a}, {b}, rcond=None)[0]",
            f"np.linalg.cond({spd}{d.options(p=d.pick('1', '2', 'inf'))})",
            f"np.linalg.matrix_rank({a})",
            f"np.linalg.matrix_norm({a}, ord={d.pick('2', '1', 'np.inf')})",
            f"np.linalg.multi_dot([{spd}, {spd}, {spd}])",
            f"np.linalg.eigh({spd})[0]",
            f"np.linalg.solve({spd}, {b})",
            f"np.linalg.inv({y} @ np.swapaxes({y}, -1, -2) + 3 * np.eye(np.shape({y})[-2]))",
            f"np.linalg.slogdet({y} @ np.swapaxes({y}, -1, -2) + 3 * np.eye(np.shape({y})[-2]))",
            f"np.linalg.norm({a}, axis=(-2, -1){d.options(ord=d.choice(NORMS))})",
        )
    ]


def fourier(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    v = s[x]
    if not np.all(abs(np.asarray(v, complex)) < 1e9):  # where NaN comes out, depends on the algorithm
        x = f"np.where(abs({x}) < 1e9, {x}, 1)"
    f = d.choice(["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
    g = d.choice(["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"])
    if not np.size(v):  # NumPy reads memory of others
        f, g = f.replace("irfft", "ifft").replace("hfft", "fft"), g.replace("irfft", "ifft")
    norm = d.options(0.3, norm=d.pick("'ortho'", "'forward'", "'backward'", "'bad'"))
    return [
        "{new} = "
        + d.pick(
            f"np.fft.{f}({x}{d.options(n=d.pick('1', '2', '3', '5', '0'), axis=d.axis(v, none=False))}{norm})",
            f"np.fft.{f}({x}{d.options(axis=d.axis(v, none=False))}{norm})",
            f"np.fft.{g}({x}{norm})",
            f"np.fft.{g}({x}, {d.pick('None', '(2, 3)', '(3, 1)')}{d.options(axes=d.pick('(0, 1)', '(-1, 0)'))}{norm})",
            f"np.fft.fftshift({x}{d.options(axes=d.axis(v))})",
            f"np.fft.ifftshift({x}{d.options(axes=d.axis(v))})",
        )
    ]


def special(d: Draw, s: Scope) -> list[str]:
    f = d.choice(SPECIAL)
    if f in WHOLE and any(np.any(abs(np.nan_to_num(np.asarray(v, complex))) > 1e4) for v in s.values()):
        return unary(d, s)
    count = getattr(scipy.special, f).nin
    x = name(d, s)
    operands = [x if k == 0 else other(d, s, s[x], 0.0) for k in range(count)]  # polynomials of degree 2**31 take long
    d.shuffle(operands)
    return [f"{{new}} = special.{f}({', '.join(operands)})"]


FAMILIES: list[Callable[[Draw, Scope], list[str]]] = [
    *[unary, binary] * 3,
    ternary,
    *[reduction, shaping, indexing, in_place] * 2,
    joining,
    ordering,
    scanning,
    products,
    matrices,
    fourier,
    special,
    *[views, into, plain_python] * 2,
    rows,
    reducing_methods,
    samples,
    *[rarer] * 4,
    *[decisions] * 2,
    factorisations,
]
