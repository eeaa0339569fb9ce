"""Random calls of NumPy on the values of a scope, family by family.

Invariant: a family returns lines of Python, of which the last assigns to ``{new}``; most of them run.
Start at ``binary``; families.py has the list of all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

import staged_ad  # noqa: F401  # fills the table
from staged_ad.tracing.protocol import OPERATIONS
from tests.fuzzing.drawing import Draw

Scope = dict[str, Any]


def _names(module: Any) -> list[str]:
    """The ufuncs of a module that are supported."""
    known = [f for f in OPERATIONS.functions if isinstance(f, np.ufunc)]
    return sorted({f.__name__ for f in known if getattr(module, f.__name__, None) is f})


UFUNCS = _names(np)
SPECIAL = [name for name in _names(scipy.special) if name not in (*UFUNCS, "eval_gegenbauer")]
"""That one is NaN in SciPy for some whole numbers of floating point, and is not for the same integers."""
BINARY = [name for name in UFUNCS if getattr(np, name).nin == 2 and getattr(np, name).signature is None]
FOLDED = [name for name in BINARY if name not in ("arctan2", "atan2", "pow", "power")]
"""Those four NumPy itself reduces wrongly on processors with AVX512, depending on the layout in memory."""
UNARY = [name for name in UFUNCS if getattr(np, name).nin == 1]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "&", "|", "^", "<<", ">>", "<", "<=", "==", "!=", ">", ">="]
REDUCTIONS = ["sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "argmax", "argmin", "ptp"]
NAN_REDUCTIONS = [f"nan{name}" for name in REDUCTIONS if name not in ("any", "all", "ptp")] + ["nanmedian"]
PADS = ["constant", "edge", "reflect", "symmetric", "wrap", "maximum", "minimum", "mean", "linear_ramp"]
METHODS = ["linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull", "median_unbiased", "inverted_cdf"]
NORMS = ["1", "2", "inf", "-inf", "0", "3", "'fro'", "'nuc'", "-1"]
DTYPES = ["float64", "float32", "int64", "int32", "uint8", "complex128", "bool", "int8", "complex64"]


def other(d: Draw, s: Scope, x: Any, wild: float = 0.2) -> str:
    """A second operand for `x`: another name, a number, or an array."""
    if d.chance(0.5):
        return d.choice(list(s))
    if d.chance(0.4):
        return d.pick("2", "-1", "0", "1.5", "0.5", "True", "np.float32(1.5)", "np.int8(3)", "1j", "np.float64(2)")
    return d.array(d.choice(DTYPES), d.fitting(np.shape(x)), wild=d.chance(wild))


def name(d: Draw, s: Scope) -> str:
    return list(s)[-1] if d.chance(0.6) else d.choice(list(s))


def arrays(d: Draw, s: Scope) -> str:
    """A name of an array, with axes if there is one: NumPy's numbers are no arrays, they are never changed."""
    found = [n for n, x in s.items() if isinstance(x, np.ndarray)]
    return d.choice([n for n in found if np.ndim(s[n])] or found or list(s))


def dtype_for(d: Draw, x: Any) -> str:
    """A dtype to compute in: NumPy does not define what integers are made of large numbers or NaN."""
    return repr(d.choice(DTYPES if np.asarray(x).dtype.kind in "biu" else ["float64", "float32", "complex128"]))


def unary(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    options = d.options(0.06, dtype=repr(d.choice(DTYPES)), casting="'unsafe'")
    return [f"{{new}} = np.{d.choice(UNARY)}({x}{options})"]


def binary(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    operands = [x, other(d, s, s[x])]
    d.shuffle(operands)
    if d.chance(0.4):
        return [f"{{new}} = {operands[0]} {d.choice(OPERATORS)} {operands[1]}"]
    options = d.options(0.06, dtype=repr(d.choice(DTYPES)), casting="'unsafe'")
    return [f"{{new}} = np.{d.choice(BINARY)}({operands[0]}, {operands[1]}{options})"]


def ternary(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    a, b, c = x, other(d, s, s[x]), other(d, s, s[x])
    return [
        "{new} = "
        + d.pick(
            f"np.where({a} > 0, {b}, {c})",
            f"np.where({a}, {b}, {c})",
            f"np.clip({a}, {b}, {c})",
            f"np.clip({a}, None, {c})",
            f"np.clip({a}, {b}, None)",
            f"{a}.clip({b}, {c})",
            f"np.select([{a} > 0, {b} > 1], [{b}, {c}], {d.pick('0', '1.5', a)})",
            f"np.isclose({a}, {b})",
            f"np.allclose({a}, {b})",
            f"np.array_equal({a}, {b})",
            f"np.nan_to_num({a}{d.options(nan='1.5', posinf='3', neginf='-2')})",
            f"np.choose({a} % 2, [{b}, {c}])",
            f"np.interp({a}, [0.0, 1.0, 2.5], [1.0, -1.0, 3.0]{d.options(left='7.0', right='nan', period='2.0')})",
            f"np.round({a}, {d.randint(-2, 3)})",
            f"np.isin({a}, {b})",
            f"np.piecewise({a}, [{a} < 0, {a} >= 1], [lambda x: x * 2, 1, 0])",
            f"np.heaviside({a}, {b})",
            f"np.ldexp({a}, {d.randint(-5, 5)})",
            f"np.unwrap({a}{d.options(axis=d.axis(s[x], none=False), period='3')})",
            f"np.sinc({a})",
            f"np.i0({a})",
            f"np.fix({a})",
            f"np.angle({a})",
            f"np.linspace({a}, {b}, {d.randint(0, 4)}{d.options(endpoint='False', axis=d.axis(s[x], none=False))})",
            f"np.geomspace(abs({a}) + 1, 5.0, {d.randint(1, 4)})",
            f"np.logspace({a}, 1.0, {d.randint(0, 3)})",
        )
    ]


def reduction(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    f = d.choice(REDUCTIONS + NAN_REDUCTIONS)
    plain = f.removeprefix("nan")
    arg = plain.startswith("arg")
    options = d.options(0.8, axis=d.axis(s[x], many=not arg)) + d.options(0.3, keepdims="True")
    if plain in ("var", "std"):
        options += d.options(0.3, ddof=d.pick("1", "0.5", "2", "100")) + d.options(0.08, correction="1")
    if plain in ("sum", "prod", "mean", "var", "std"):
        dtypes = dtype_for(d, s[x]) if plain in ("sum", "prod") else d.pick("'float64'", "'float32'", "'complex128'")
        options += d.options(0.15, dtype=dtypes)  # NaN as an integer is anything
    if plain in ("sum", "prod", "max", "min") and (plain == f or np.ndim(s[x])):
        options += d.options(0.15, initial=d.pick("1", "2.5", "-100", "0"))
    if not arg and plain not in ("ptp", "median"):
        options += d.options(0.15, where=d.pick(f"{x} > 0", d.mask(d.fitting(np.shape(s[x]))), "False"))
    if d.chance(0.4) and plain == f and f != "ptp":
        return [f"{{new}} = {x}.{f}({options[2:]})"]
    return [f"{{new}} = np.{f}({x}{options})"]


def shaping(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    v = s[x]
    size, ndim = np.size(v), np.ndim(v)
    axis, one, two = d.axis(v, none=False), d.axis(v, none=False), d.axis(v, none=False)
    shapes = ["-1", f"({size},)", f"(1, {size})", f"({size}, 1, -1)", "(2, -1)", "(-1, 3)", f"{np.shape(v)[::-1]}"]
    order = d.sample(range(ndim), ndim)
    call = d.pick(
        f"{x}.reshape({d.choice(shapes)})",
        f"np.reshape({x}, {d.choice(shapes)}{d.options(0.3, order=d.pick(repr('F'), repr('A'), repr('C')))})",
        f"{x}.ravel({d.pick('', repr('F'), repr('K'), repr('A'))})",
        f"{x}.flatten({d.pick('', repr('F'))})",
        f"np.transpose({x}, {order})",
        f"{x}.transpose({', '.join(map(str, order))})",
        f"{x}.T",
        f"np.swapaxes({x}, {one}, {two})",
        f"np.moveaxis({x}, {one}, {two})",
        f"np.rollaxis({x}, {axis}, {d.randint(0, ndim)})",
        f"np.squeeze({x}{d.options(axis=d.axis(v, many=True))})",
        f"np.expand_dims({x}, {d.pick(axis, '(0, -1)', repr((1, 0)))})",
        f"np.broadcast_to({x}, {(2, *np.shape(v))})",
        f"np.flip({x}{d.options(axis=d.axis(v, many=True))})",
        f"np.roll({x}, {d.randint(-5, 5)}{d.options(axis=d.axis(v))})",
        f"np.roll({x}, (1, 2), (0, -1))",
        f"np.rot90({x}, {d.randint(-3, 5)})",
        f"np.tile({x}, {d.pick('2', '(2, 1)', '0', '(1, 2, 2)', '()')})",
        f"np.repeat({x}, {d.pick('2', '0', '1')}{d.options(axis=d.axis(v))})",
        f"np.diag({x}, {d.randint(-2, 2)})",
        f"np.diagonal({x}, {d.randint(-2, 2)})",
        f"np.trace({x}, {d.randint(-1, 1)}{d.options(0.2, dtype=repr(d.choice(DTYPES)))})",
        f"np.tril({x}, {d.randint(-2, 2)})",
        f"np.triu({x}, {d.randint(-2, 2)})",
        f"np.diagflat({x}, {d.randint(-1, 1)})",
        f"np.atleast_{d.pick(1, 2, 3)}d({x})",
        f"np.resize({x}, {d.pick('5', '(2, 3)', '(0,)', '()')})",
        f"np.delete({x}, {d.pick('0', '-1', '[0]', 'slice(0, 1)', '[]')}, axis={d.axis(v)})",
        f"np.insert({x}, {d.pick('0', '-1', '[0, 0]', '1')}, {d.pick('2', '1.5', 'True')}, axis={d.axis(v)})",
        f"np.pad({x}, {d.pick('1', '(1, 2)', '((0, 2),)', '0')}, mode={d.choice(PADS)!r})",
        f"np.pad({x}, {d.pick('2', '(3, 0)')}, mode='{d.pick('reflect', 'symmetric')}', reflect_type='odd')",
        f"np.pad({x}, {d.pick('1', '(0, 2)')}, constant_values={d.pick('2', '1.5', '(1, 2)')})",
        f"{x}.astype({d.choice(DTYPES)!r})",
        f"np.vander({x}, {d.pick('None', '2', '4')}{d.options(0.3, increasing='True')})",
        f"np.array_split({x}, {d.randint(1, 3)}, {axis})",
        f"np.split({x}, [1, 2], {axis})",
        f"np.unstack({x}, axis={axis})",
        f"np.zeros_like({x}{d.options(0.3, dtype=repr(d.choice(DTYPES)), shape='(2, 2)')})",
        f"np.full_like({x}, {d.pick('1.5', '2', 'True', 'nan', x)})",
        f"np.ones_like({x})",
        f"np.array({x}{d.options(0.3, dtype=repr(d.choice(DTYPES)), ndmin='3')})",
        f"{x}.{d.pick('real', 'imag', 'mT')}",
        f"np.matrix_transpose({x})",
        f"np.copy({x})",
        f"np.ix_({x}, [0, 1])",
        f"{x}.conj()",
    )
    return [f"{{new}} = {call}"]


def indexing(d: Draw, s: Scope) -> list[str]:
    x = arrays(d, s)
    traced = [n for n, v in s.items() if getattr(v, "dtype", np.dtype("V1")).kind in "iu"]
    v = s[x]
    axis = d.axis(v, none=False)
    mode = d.options(0.2, mode=d.pick("'wrap'", "'clip'"))
    length = np.shape(v)[int(axis)] if -np.ndim(v) <= int(axis) < np.ndim(v) else 1
    return [
        "{new} = "
        + d.pick(
            *[f"{x}[{d.index(v, traced)}]" for k in range(5)],
            f"np.take({x}, {d.integers(length, d.pick((), (2,), (2, 1)))}{d.options(0.9, axis=axis)}{mode})",
            f"np.take_along_axis({x}, np.argsort({x}, axis={axis}), axis={axis})",
            f"np.compress({d.mask((length,))}, {x}, axis={axis})",
            f"np.extract({d.mask(np.shape(v))}, {x})",
            f"{x}[{d.index(v, traced)}][{d.pick('...', 'None', '::-1', '0')}]",
        )
    ]


def in_place(d: Draw, s: Scope) -> list[str]:
    x = arrays(d, s)
    v = s[x]
    if not isinstance(v, np.ndarray):
        return unary(d, s)
    traced = [n for n, w in s.items() if getattr(w, "dtype", np.dtype("V1")).kind in "iu"]
    index = d.index(v, traced)
    value = other(d, s, np.zeros(())) if d.chance(0.5) else d.pick("1.5", "2", "7j", "nan", "True")
    operator = d.pick("+", "-", "*", "/", "//", "**", "%", "&", "|")
    start = d.pick(f"{{new}} = {x}.copy()", f"{{new}} = np.zeros_like({x})", f"{{new}} = np.array({x}, dtype=float)")
    change = d.pick(
        f"{{new}}[{index}] = {value}",
        f"{{new}}[{index}] = {value}",
        f"{{new}}[{index}] {operator}= {value}",
        f"{{new}} {operator}= {value}",
        f"np.{d.pick('add', 'multiply', 'subtract', 'maximum', 'minimum')}.at({{new}}, np.index_exp[{index}], {value})",
        f"np.add({x}, {value}, out={{new}})",
        f"np.{d.choice(UNARY)}({x}, out={{new}})",
        f"np.multiply({x}, {value}, out={{new}}, where={{new}} > 0)",
        f"np.copyto({{new}}, {value})",
        f"np.copyto({{new}}, {value}, where={{new}} == 0)",
        f"np.put({{new}}, [0, -1], {value})",
        f"np.putmask({{new}}, {{new}} > 0, {value})",
        f"np.place({{new}}, {d.mask(np.shape(v))}, [1, 2])",
        f"np.fill_diagonal({{new}}, {value})",
        "{new}.sort(" + d.pick("", "axis=0", "axis=None") + ")",
        f"{{new}}.fill({value})",
        f"{{new}}.T[{d.pick('0', '...', ':1', '-1')}] = {value}",
        f"{{new}}.reshape(-1)[{d.pick('0', '::2', ':1', '[0, 0]')}] = {value}",
        f"{{new}}[{d.pick('0', '...', '::2', '::-1')}][{d.pick('0', '...', ':1')}] += {value}",
    )
    return [start, change]


def joining(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    parts = [x, other(d, s, s[x])] + ([other(d, s, s[x])] if d.chance(0.3) else [])
    d.shuffle(parts)
    joined, axis = ", ".join(parts), d.axis(s[x])
    return [
        "{new} = "
        + d.pick(
            f"np.concatenate([{joined}]{d.options(axis=axis)}{d.options(0.1, dtype=repr(d.choice(DTYPES)))})",
            f"np.stack([{joined}]{d.options(axis=d.axis(s[x], none=False))})",
            f"np.hstack([{joined}])",
            f"np.vstack([{joined}])",
            f"np.dstack([{joined}])",
            f"np.column_stack([{joined}])",
            f"np.append({parts[0]}, {parts[1]}{d.options(axis=axis)})",
            f"np.block([{joined}])",
            f"np.array([{joined}])",
            f"np.broadcast_arrays({joined})",
            f"np.meshgrid({joined}{d.options(0.3, indexing=repr('ij'), sparse='True')})",
        )
    ]


def ordering(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    v = s[x]
    axis = d.options(0.7, axis=d.axis(v))
    q = d.pick("0.5", "0.3", "[0.0, 1.0]", "[[0.2], [0.7]]", "1.5", "nan", "0")
    method = repr(
        d.pick(
            "linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull", "median_unbiased", "inverted_cdf"
        )
    )
    kept = d.options(0.3, keepdims="True")
    return [
        "{new} = "
        + d.pick(
            f"np.sort({x}{axis}{d.options(0.2, kind=repr('stable'))})",
            f"np.argsort({x}{axis}, kind='stable')",
            f"np.partition({x}, 1)[..., 1]",
            f"np.median({x}{d.options(axis=d.axis(v, many=True))}{kept})",
            f"np.quantile({x}, {q}{axis}{kept}{d.options(method=method)})",
            f"np.percentile({x}, {q}{axis}{kept}{d.options(method=method)})",
            f"np.nanquantile({x}, {q}{axis}{kept}{d.options(method=method)})",
            f"np.searchsorted([-1, 0, 1, 2], {x}{d.options(side=repr('right'))})",
            f"np.searchsorted(np.sort({x}), {other(d, s, v)})",
            f"np.digitize({x}, [-1.0, 0.0, 2.0]{d.options(right='True')})",
            f"np.lexsort(({x}, {x}))",
            f"np.bincount(abs({x}) % 50{d.options(minlength='4')})",  # NumPy writes outside of its counts at 2**63 - 1
            f"np.count_nonzero({x}{axis}{kept})",
            f"np.histogram({x}, [-1, 0, 1.5]{d.options(0.3, density='True')})",
            f"np.sort_complex({x})",
        )
    ]


def scanning(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    v = s[x]
    axis, one = d.options(0.7, axis=d.axis(v)), d.options(0.7, axis=d.axis(v, none=False))
    dtype = d.options(0.15, dtype=dtype_for(d, v))
    f, fold, starts = d.choice(BINARY), d.choice(FOLDED), d.pick("[0]", "[0, 1]", "[0, 2, 1]")
    return [
        "{new} = "
        + d.pick(
            f"np.cumsum({x}{axis}{dtype})",
            f"np.cumprod({x}{axis}{dtype})",
            f"{x}.cumsum({(axis + dtype)[2:]})",
            f"np.nancumsum({x}{axis})",
            f"np.nancumprod({x}{axis})",
            f"np.cumulative_sum({x}{axis}{d.options(0.3, include_initial='True')})",
            f"np.diff({x}{d.options(n=d.pick('0', '2', '3'))}{one}{d.options(0.2, prepend='1.5', append='0')})",
            f"np.ediff1d({x})",
            f"np.gradient({x}{d.options(edge_order='2')}{one})",
            f"np.trapezoid({x}{d.options(dx='0.5')}{one})",
            f"np.{d.pick('maximum', 'minimum', 'add', 'multiply', 'fmax', 'logical_or')}.accumulate({x}{one})",
            f"np.{f}.accumulate({x}{one})",
            f"np.{fold}.reduce({x}{axis}{d.options(0.2, keepdims='True')})",
            f"np.{f}.outer({x}, {other(d, s, v)})",
            f"np.{d.pick('add', 'multiply', 'maximum', fold)}.reduceat({x}, {starts}{one})",
            f"np.average({x}{axis}{d.options(0.4, weights=d.pick(x, 'abs(' + x + ')'))})",
            f"np.cov({x}{d.options(0.3, rowvar='False', ddof='0')})",
            f"np.corrcoef({x})",
        )
    ]


def products(d: Draw, s: Scope) -> list[str]:
    x = name(d, s)
    y = d.choice(list(s)) if d.chance(0.6) else x
    nx, ny = np.ndim(s[x]), np.ndim(s[y])
    if not nx * ny and not (np.all(np.isfinite(s[x])) and np.all(np.isfinite(s[y]))):
        return binary(d, s)  # np.dot(0.0, [inf]) is 0 in some BLAS
    letters = [d.choice("ijkl") for k in range(nx)]
    second = [d.choice("ijkl") for k in range(ny)]
    if not np.size(s[x]):  # along the diagonal of no element and one NumPy reads memory that is none
        letters = list("ijklmn"[:nx])
    if not np.size(s[y]):
        second = list("ijklmn"[:ny])
    seen = sorted(set(letters + second))
    out = "->" + "".join(d.sample(seen, d.randint(0, len(seen)))) if d.chance(0.7) else ""
    return [
        "{new} = "
        + d.pick(
            f"{x} @ {y}",
            f"{x} @ {y}.T",
            f"np.matmul({x}, {y})",
            f"np.dot({x}, {y})",
            f"np.dot({x}, {y}.T)",
            f"np.inner({x}, {y})",
            f"np.outer({x}, {y})",
            f"np.vdot({x}, {y})",
            f"np.kron({x}, {y})",
            f"np.cross({x}, {y})",
            f"np.tensordot({x}, {y}, {d.pick('0', '1', '2', '([0], [0])', '([-1], [0])')})",
            f"np.einsum('{''.join(letters)},{''.join(second)}{out}', {x}, {y})",
            f"np.einsum('{''.join(letters)}{out if set(out[2:]) <= set(letters) else ''}', {x})",
            f"np.einsum('...{d.pick('i', 'ij', '')},...{d.pick('i', 'j', '')}->...', {x}, {y})",
            f"np.convolve({x}, {y}, '{d.pick('full', 'same', 'valid')}')",
            f"np.correlate({x}, {y}, '{d.pick('full', 'same', 'valid')}')",
            f"np.polyval({x}, {y})",
            f"np.{d.pick('polyadd', 'polysub')}({x}, {y})",
            f"np.polymul(abs({x}) + 1, {y} * {y} + 1)",  # of leading zeros NumPy lets none stand
            f"np.polyder({x}, {d.randint(0, 3)})",
            f"np.polyint({x})",
            f"np.vecdot({x}, {y})",
            f"np.linalg.norm({x}{d.options(ord=d.choice(NORMS), axis=d.axis(s[x], many=True), keepdims='True')})",
        )
    ]
