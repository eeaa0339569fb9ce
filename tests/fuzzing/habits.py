"""What users write besides calls of functions: views that they write to, out= and where=, Python's own operations.

Invariant: as in calls.py.
Start at ``views``.
"""

from __future__ import annotations

import numpy as np

from tests.fuzzing.calls import BINARY, DTYPES, FOLDED, UNARY, Scope, arrays, dtype_for, name, other, unary
from tests.fuzzing.drawing import Draw

SEES = [
    "{y}.T",
    "{y}.reshape(-1)",
    "{y}.ravel()",
    "np.swapaxes({y}, 0, -1)",
    "np.atleast_2d({y})",
    "np.flip({y})",
    "{y}[::2]",
    "{y}[None]",
    "{y}[..., None]",
    "np.squeeze({y})",
    "np.array_split({y}, 2)[0]",
    "np.rot90(np.atleast_2d({y}))",
    "np.moveaxis({y}, 0, -1)",
    "np.diagonal({y})",
    "{y}.real",
    "{y}.copy()",
    "np.broadcast_to({y}, (2, *{y}.shape))",
    "np.asarray({y})",
]


def views(d: Draw, s: Scope) -> list[str]:
    """An array, one or two views of views of it, and writes to any of them."""
    x = arrays(d, s)
    v = s[x]
    if not isinstance(v, np.ndarray):
        return unary(d, s)
    start = d.pick(
        f"{x}.copy()", f"np.zeros_like({x})", f"np.array({x}, dtype=float)", f"{x} * 1", f"np.sqrt(abs({x}))"
    )
    lines, names = [f"{{new}} = {start}"], ["{new}"]
    for k in range(d.pick(1, 1, 2)):
        seen = d.choice([*SEES, *[f"{{y}}[{d.index(v)}]"] * 5]).format(y=d.choice(names))
        names.append(f"{{new}}_{k}")
        lines.append(f"{names[-1]} = {seen}")
    for _ in range(d.pick(1, 1, 2)):
        y, z = d.choice(names), d.choice(names)
        value = d.pick(other(d, s, np.zeros(())), "1.5", "2", z, f"{z}[::-1]", f"np.sum({z})")
        lines.append(
            d.pick(
                f"{y}[...] = {value}",
                f"{y} += {value}",
                f"{y} *= {value}",
                f"{y}[{d.pick('0', '-1', '::2', '1:')}] = {value}",
                f"{y}[{d.pick('0', '-1', '::2', '1:')}] -= {value}",
                f"{y}[{y} > 0] = {value if value[0] not in 'v{' else '1.5'}",  # NumPy reads what it has written
                f"np.{d.pick('add', 'multiply', 'maximum')}({y}, {value}, out={y})",
                f"np.copyto({y}, {value})",
                f"{y}.fill({value})",
                f"{y}.sort()",
            )
        )
    last = d.pick("{new}", "{new}", names[-1], f"{names[-1]} * 2", f"({', '.join(names)})")
    return [*lines, f"{{new}} = {last}"]


def into(d: Draw, s: Scope) -> list[str]:
    """Results written into an array that is there."""
    x = name(d, s)
    v = np.asarray(s[x])
    if not v.ndim:
        return unary(d, s)  # NumPy itself crashes in np.cumsum(1.0, axis=-1, out=np.zeros(()))
    y = other(d, s, v)
    axis = d.pick("0", "-1")
    less = v.shape[1:] if axis == "0" else v.shape[:-1]
    dtype = d.pick("float", "float", "float", "int", "complex", "np.float32", f"{x}.dtype")
    same, fewer = f"np.full({v.shape}, 7, dtype={dtype})", f"np.full({less}, 7, dtype={dtype})"
    where = d.options(0.5, where=d.pick(f"{x} > 0", d.mask(d.fitting(v.shape))))
    start, call = d.pick(
        (same, f"np.{d.choice(BINARY)}({x}, {y}, out={{new}}{where})"),
        (same, f"np.{d.choice(BINARY)}({x}, {y}, {{new}}{where})"),
        (same, f"np.{d.choice(UNARY)}({x}, out={{new}}{where})"),
        (same, f"np.cumsum({x}, axis={axis}, out={{new}})"),
        (same, f"np.clip({x}, -1, 1, out={{new}})"),
        (same, f"np.round({x}, 1, out={{new}})"),
        (same, f"np.add.accumulate({x}, out={{new}})"),
        (same, f"np.nan_to_num({{new}}, copy=False, nan={y})"),
        (same, f"np.matmul({x}, {x}, out={{new}})"),
        (fewer, f"np.{d.pick('sum', 'max', 'mean', 'prod', 'any')}({x}, axis={axis}, out={{new}})"),
        (fewer, f"{x}.{d.pick('sum', 'min', 'mean', 'std')}(axis={axis}, out={{new}})"),
        (fewer, f"np.add.reduce({x}, axis={axis}, out={{new}})"),
        (f"np.full({less}, 7, dtype={x}.dtype)", f"np.take({x}, 0, axis={axis}, out={{new}})"),
    )
    return [f"{{new}} = {start}", call]


def plain_python(d: Draw, s: Scope) -> list[str]:
    """What Python does with arrays and numbers, and dtypes beyond those of programs."""
    x = name(d, s)
    y = other(d, s, s[x])
    return [
        "{new} = "
        + d.pick(
            f"sum({x})",
            f"max({x}.ravel())",
            f"abs({x})",
            f"divmod({x}, {y})",
            f"pow({x}, {d.pick('2', '0.5', '-1')})",
            f"round({x}, 1)",
            f"np.array([row * 2 for row in {x}])",
            f"np.stack([k * row for k, row in enumerate({x})])",
            f"sum(p * q for p, q in zip({x}, {x}))",
            f"{x} if np.sum({x}) > 0 else -{x}",
            f"{x} * len({x})",
            f"{x} / {x}.size",
            f"{x}.astype(np.{d.pick('float16', 'longdouble')}).astype(float)",
            f"np.{d.pick('float16', 'longdouble')}(1.5) * {x}",
            f"np.sum({x}, dtype=np.longdouble)",
            f"np.asarray({x}, dtype=np.float32) + {d.pick('1', '0.1', '1j', 'True', 'np.float64(0.1)')}",
            f"{d.pick('2', '0.5', 'True', '1j')} {d.pick('+', '*', '-', '/', '**')} {x}",
            f"np.where({x} > 0, {x}, {d.pick('0', '0.0', 'nan', '-1', '300')})",
            f"np.asarray(np.array({x}).tolist())",
            f"[{x}, {y}][{d.pick('0', '1')}]",
            f"dict(p={x})['p'] + {y}",
            f"np.zeros({x}.shape, dtype={d.choice(DTYPES)!r}) + {x}",
            f"np.r_[{x}.ravel(), {d.pick('1', '1.5')}]",
            f"np.c_[{x}, {x}]",
            f"np.apply_along_axis(np.sum, 0, {x})",
            f"np.vectorize(lambda t: t + 0.5)({x})",
            f"functools.reduce(np.add, list({x}))",
            f"math.prod({x}.shape) * {x}",
        )
    ]


def decisions(d: Draw, s: Scope) -> list[str]:
    """Branches and loops of Python that ask values."""
    x = name(d, s)
    whole = f"int(np.nan_to_num(np.sum(abs({x}))) % 4)"
    return d.pick(
        [f"{{new}} = {x} * {whole}"],
        [f"{{new}} = {x}", f"for k in range({whole}): {{new}} = {{new}} + k * {x}"],
        [f"{{new}} = {x}.ravel()[:{whole}]"],
        [f"{{new}} = {x} if {x}.any() else {x} + 1"],
        [f"{{new}} = [{x}, -{x}, {x} * 2, {x} + 1][{whole}]"],
        [f"{{new}} = np.zeros({whole}) + np.max({x})"],
        [f"{{new}} = {x} * 1", "while 1 < np.sum({new}.real) < 1e9: {new} = {new} / 2 - 1"],
        [f"{{new}} = {x}.copy()", f"if {x}.ravel()[-1] > 0: {{new}}[...] = 3"],
        [f"{{new}} = sum({x} * k for k in range({whole}) if {x}.ravel()[0] > k) + {x}"],
        [f"{{new}} = np.float64(round(float({x}.ravel()[0].real))) * {x}"],
        [f"{{new}} = {x} + max(np.max({x}), 0) - min(0.5, np.min({x}))"],
        [f"{{new}} = {x} + (np.argmax({x}) in (0, 2)) + (1 in {x})"],
    )


def rows(d: Draw, s: Scope) -> list[str]:
    """A loop over the elements of an array that it fills."""
    x = name(d, s)
    y = d.pick(f"{x}[k]", f"{x}[k] * k", f"{{new}}[k - 1] + {x}[k]", f"np.sum({x}[: k + 1])", "{new}[:k].sum()")
    return [
        f"{{new}} = np.{d.pick('zeros', 'ones')}_like({x}{d.options(0.3, dtype='float')})",
        f"for k in range(len({x})): {{new}}[{d.pick('k', '-1 - k', 'k, ...')}] {d.pick('', '+', '*')}= {y}",
    ]


def reducing_methods(d: Draw, s: Scope) -> list[str]:
    """Methods of ufuncs with all of their options."""
    x = name(d, s)
    v = s[x]
    f = d.pick("add", "multiply", "maximum", "minimum", "logical_or", "bitwise_xor", d.choice(FOLDED))
    axis = d.options(0.7, axis=d.axis(v, many=True)) + d.options(0.3, keepdims="True")
    start = d.options(0.4, initial=d.pick("0", "1", "2.5", "-1", "None"))
    where = d.options(0.4, where=d.pick(f"{x} > 0", d.mask(d.fitting(np.shape(v))), "False"))
    one = d.options(0.6, axis=d.axis(v, none=False))
    dtype = d.options(0.3, dtype=dtype_for(d, v))
    return [
        "{new} = "
        + d.pick(
            f"np.{f}.reduce({x}{axis}{start}{where}{dtype})",
            f"np.{f}.accumulate({x}{one}{dtype})",
            f"np.{f}.reduceat({x}, [0]{one}{dtype})",
            f"np.{f}.outer({x}, {other(d, s, v)}{dtype})",
        )
    ]


def samples(d: Draw, s: Scope) -> list[str]:
    """Random numbers of a key."""
    x = name(d, s)
    key = f"sad.random.key({d.randint(0, 9)})"
    shape = np.shape(s[x])
    return [
        "{new} = "
        + d.pick(
            f"sad.random.normal({key}, {shape}) * {x}",
            f"sad.random.uniform(sad.random.fold_in({key}, 3), {shape}) + {x}",
            f"sad.random.laplace({key}, {shape}) - {x}",
            f"sad.random.permutation({key}, {x})",
            f"sad.random.normal(sad.random.split({key}, 2)[1], (2, *{shape})) @ {x}",
        )
    ]
