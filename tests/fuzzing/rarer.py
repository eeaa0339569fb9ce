"""Functions that are called now and then: sets, indices, bits, polynomials, factorisations of scipy.linalg.

Invariant: as in calls.py.
Start at ``rarer``.
"""

from __future__ import annotations

import numpy as np

from tests.fuzzing.calls import NORMS, Scope, name, other
from tests.fuzzing.drawing import Draw


def rarer(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    v = s[x]
    axis, one = d.options(0.7, axis=d.axis(v)), d.axis(v, none=False)
    y, few = other(d, s, v), np.size(v)
    places = d.integers(max(few, 1), d.pick((), (2,), (2, 1)))
    with np.errstate(all="ignore"):
        small = np.all(abs(np.asarray(v, complex)) < 1e9)
    whole = d.axis(v, none=isinstance(v, np.ndarray))  # numbers are no arrays without axes: NumPy leaves them alone
    bounded = x if small else f"np.where(abs({x}) < 1e9, {x}, 1)"  # infinite matrices have no inverse
    return [
        "{new} = "
        + d.pick(
            f"np.cumulative_prod({x}{axis}{d.options(0.3, include_initial='True')})",
            f"np.apply_over_axes(np.{d.pick('sum', 'max', 'mean')}, {x}, {d.pick('0', '-1', '[0, -1]')})",
            f"np.argpartition({x}, 0{axis}).shape",
            f"np.partition({x}, {d.randint(-1, 2)}, axis={d.axis(v)}).shape",
            f"np.argwhere({x})",
            f"np.nonzero({x})",
            f"np.flatnonzero({x} > 0)",
            f"{x}[np.nonzero({x})]",
            f"{x}[{x} > 0]",
            f"np.sum({x}[{x} > 0])",
            f"np.mean({x}[{x} != 0] ** 2)",
            f"np.where({x} > 0)[0]",
            f"np.array_equiv({x}, {y})",
            f"np.common_type({x}, {x})(1.5) * {x}",
            f"np.can_cast({x}.dtype, np.float32) + {x}",
            f"np.result_type({x}, {y}).itemsize * {x}",
            f"{x}[np.diag_indices_from({x})]",
            f"{x}[np.{d.pick('tril', 'triu')}_indices_from({x}{d.options(k=d.pick('1', '-1'))})]",
            f"np.{d.pick('hsplit', 'vsplit', 'dsplit')}({x}, {d.pick('1', '2', '[1]')})",
            f"np.einsum_path('i,i->', {x}, {x})[0][1] + ({x},)",
            f"np.{d.pick('fliplr', 'flipud')}({x})",
            f"np.histogram_bin_edges({x}, [0, 1, 2.5])",
            f"np.histogram2d({x}, {x}, [[0, 1, 2], [-1, 1]])[0]",
            f"np.histogram({x}, [-1, 0, 1.5], weights=np.cos(np.nan_to_num({x})))",  # NumPy subtracts sums of all
            f"np.is{d.pick('complex', 'real', 'neginf', 'posinf')}({x})",
            f"np.is{d.pick('complexobj', 'realobj')}({x}) + {x}",
            f"np.lib.stride_tricks.sliding_window_view({x}, {d.pick('1', '2', '(1, 2)')}{d.options(axis=one)})",
            f"np.packbits({x} > 0{d.options(axis=one, bitorder=repr('little'))})",
            f"np.unpackbits(({x}).astype('uint8'){d.options(axis=one, bitorder=repr('little'))})",
            f"np.poly({x})" if np.isrealobj(v) else f"np.isreal({x})",
            f"np.polydiv({x}, [2.0, 1.0])",
            f"np.polyfit(np.arange({few}), {x}, {d.randint(0, 2)})",
            f"np.ravel_multi_index((abs({x}).astype(int) % 3, 1), (3, 2){d.options(order=repr('F'))})",
            f"np.unravel_index(abs({x}).astype(int) % 6, (3, 2))",
            f"np.require({x}, dtype=float)",
            f"np.asarray_chkfinite({x})",
            f"np.empty_like({x}).shape + ({x},)",
            f"np.unwrap({x}, axis={one})",
            f"np.linalg.svdvals(np.atleast_2d({x}))" if np.all(np.isfinite(v)) else f"np.iscomplexobj({x})",
            f"np.linalg.vector_norm({x}{axis}{d.options(ord=d.choice(NORMS[:6]), keepdims='True')})",
            f"np.linalg.tensorinv({bounded} + np.zeros((2, 2)) + 2 * np.eye(2), ind=1)",
            f"np.linalg.tensorsolve(np.eye(4).reshape(2, 2, 2, 2) * 2, np.zeros((2, 2)) + {y})",
            f"np.nanpercentile({x}, {d.pick('50', '[0, 30.0]')}{axis})",
            f"np.quantile({x}, abs({y}) % 1{axis})",
            f"np.searchsorted({x}, {y})",
            f"np.take({x}, {places}{d.options(mode=d.pick(repr('wrap'), repr('clip')))})",
            f"{x}.take({places})",
            f"{x}.flat[{d.pick('0', '-1', '1:', '::2', '[0, 0]')}]",
            f"np.array(list({x}.flat))",
            f"np.put_along_axis(({{new}} := {x}.copy()), {places}, {y}, axis={whole}) or {{new}}",
            f"np.moveaxis({x}, [0, 1], [-1, 0])",
            f"np.trim_zeros({x})",
            f"np.ediff1d({x}, to_begin={d.pick('0', y)}, to_end={d.pick('1', y)})",
            f"np.interp({x}, np.arange(3.0), {d.pick('[1.0, 2.0, -1.0]', f'np.ones(3) * {x}', '[1j, 2, 3]')})",
            f"np.interp({x}, np.sort({x}.ravel()), np.cos({x}.ravel()))",
            f"np.convolve({x}, {y})",
            f"np.cross({x}, {y})",
            f"np.tensordot({x}, {x}, axes=[{d.pick('[0, 1], [0, 1]', '[0], [-1]', '[], []')}])",
            f"np.einsum({x}, [0, ...], {x}, [0, ...], [...])",
            f"np.linalg.multi_dot([{x}, {x}.T, {x}])",
            f"np.trapezoid({x}, x=np.arange({np.shape(v)[-1] if np.ndim(v) else 1}) ** 2)",
            f"np.gradient({x}, {d.pick('2.0', f'np.arange({few}) ** 2.0')})",
            f"np.average({x}, weights=abs({y}) + 1, returned=True)",
            f"np.cov({x}, {x}{d.options(bias='True')})",
            f"np.cov({x}, aweights=np.arange({np.shape(v)[-1] if np.ndim(v) else 1}) + 1)",
            f"np.roll({x}, {d.pick('(1, -1)', '2')}, axis={d.pick('0', '(0, 1)', '(0, 0)')})",
            f"np.repeat({x}, {d.pick('[1, 2]', '[2]', '[0, 1, 2]')}, axis={d.pick('0', '-1', 'None')})",
            f"np.bincount(abs({x}).astype(int) % 7, weights={x})",
            f"np.array_split({x}, [1, 1, 3], axis={one})",
            f"np.piecewise({x}, [{x} > 0, {x} < -1], [np.cos, lambda t: t ** 2])",
            f"np.select([{x} > 0, {x} < 0], [{x}, {y}], default={x})",
            f"np.nan_to_num({x}, nan={y})",
            f"np.clip({x}, min=0, max={y})",
            f"np.concat([{x}, {x}])",
            f"np.permute_dims({x})",
            f"np.pow({x}, 2)",
            f"np.bitwise_count({x})",
            f"np.astype({x}, np.float32)",
            f"np.expand_dims({x}, {d.pick('0', '(0, -1)')})",
            f"np.polyval({x}, {y})",
            f"np.max({x}, initial=0, where={d.mask(np.shape(v))})",
            f"np.var({x}, mean=np.mean({x}, axis=-1, keepdims=True), axis=-1)",
            f"np.diag({x}) @ np.diag({x})",
            f"{x}.{d.pick('nonzero', 'argmax', 'ptp', 'trace', 'diagonal', 'squeeze', 'tolist', 'item')}()",
            f"{x}.{d.pick('swapaxes(0, 1)', 'repeat(2)', 'dot(2)', 'dot(np.eye(2))', 'prod(-1)')}",
            f"{x}.argsort(axis=-1, kind='stable')",
            f"{x}.{d.pick('clip(min=0)', 'round()', 'searchsorted(1)', 'compress([True])', 'choose([1, 2])')}",
            f"np.{d.pick('unique', 'union1d', 'setdiff1d', 'intersect1d')}({x}{d.pick('', f', {y}')})",
        )
    ]


def factorisations(d: Draw, s: Scope) -> list[str]:
    """Of scipy.linalg and of matrices of moderate numbers; squares of factors, whose signs are anybody's."""
    x = name(d, s)
    n = d.randint(1, 3)
    dtype = d.pick("float64", "float64", "float32", "complex128", "int64")
    scale = f"np.cos({x}.ravel()[:1].sum().real)" if np.all(np.isfinite(s[x])) else "1"
    a = f"({d.array(dtype, (n, n))} * {scale} + 3 * np.eye({n}))"
    b = d.array(dtype, d.pick((n,), (n, 2)))
    axis = d.options(axis=d.axis(s[x]))
    empty = np.size(s[x]) == 0 and np.ndim(s[x]) > 1  # SciPy fails to reduce all axes of such
    reduced = d.options(1.0 if empty else 0.4, axis=d.axis(s[x], none=not empty))
    spd = f"({a}.conj().T @ {a} + np.diag(np.arange({n}) + 1.0))"
    return [
        "{new} = "
        + d.pick(
            f"linalg.solve({a}, {b}{d.options(assume_a=repr('gen'))})",
            f"linalg.solve({spd}, {b}, assume_a='pos')",
            f"linalg.solve_triangular(np.tril({a}), {b}, lower=True{d.options(unit_diagonal='True')})",
            f"linalg.solve_triangular(np.triu({a}), {b}, trans={d.pick(0, 1, 2)})",
            f"linalg.cholesky({spd}{d.options(0.5, lower='True')})",
            f"linalg.cho_solve(linalg.cho_factor({spd}), {b})",
            f"linalg.lu_solve(linalg.lu_factor({a}), {b})",
            f"linalg.lu({a})[2]",
            f"linalg.expm({a} / 4)",
            f"linalg.sqrtm({spd})",
            f"linalg.logm({spd})",
            f"linalg.inv({a})",
            f"linalg.det({a})",
            f"linalg.pinv({a})",
            f"linalg.eigvalsh({spd})",
            f"linalg.eigh({spd})[0]",
            f"linalg.svdvals({a})",
            f"linalg.norm({a}{d.options(ord=d.choice(NORMS[:4]))})",
            f"linalg.block_diag({a}, {x})",
            f"linalg.toeplitz({x})",
            f"linalg.orth({a}).shape",
            f"abs(linalg.qr({a})[1])",
            f"special.logsumexp({x}{reduced}{d.options(keepdims=str(np.ndim(s[x]) > 0))})",  # SciPy adds one
            f"special.{d.pick('softmax', 'log_softmax')}({x} * 1.0{axis})",  # SciPy overflows for short integers
            f"np.linalg.eigvals({spd}).real.sum()",
            f"np.prod(np.linalg.eig({spd})[0]).real",
        )
    ]
