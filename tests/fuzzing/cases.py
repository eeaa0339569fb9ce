"""Cases: a random function of random arguments, a way to call it, and what NumPy says of it.

Invariant: a case is text alone, so that its script shows what was run.
Start at ``draw_case`` and ``Case``.
"""

from __future__ import annotations

import functools
import math
import re
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
import scipy.special

import staged_ad
from tests.fuzzing.drawing import DTYPES, SCALARS, Draw
from tests.fuzzing.families import FAMILIES
from tests.fuzzing.nesting import WAYS

NAMES = "abcd"
SCOPE: dict[str, Any] = {
    "np": np,
    "nan": np.nan,
    "inf": np.inf,
    "special": scipy.special,
    "linalg": scipy.linalg,
    "sad": staged_ad,
    "functools": functools,
    "math": math,
}
LARGEST = 400
"""How many elements a value may have."""
MEMORY = r"(?<=order=)'[AK]'|(?<=ravel\()'[AK]'"
CONSTANT = r"np\.array\(\[[^\[\]]*\], '(float|complex)\d+'\)"
INTEGRAL = r"np\.array\(\[[^\[\]]*\], 'u?int\d+'\)"
ROUNDING = (
    r"(linalg\.|np\.fft\.|complex\(.*\*\* |"
    r"np\.(cbrt|(nan)?quantile|(nan)?percentile|gradient|cov|corrcoef|average|trapezoid|polyfit|interp)\(|"
    r"special\.|np\.(exp|log|sin|cos|tan|arc|power)\w*\()"
)
POWERS = r"\*\*|\bpow(er)?\("
EXTREME = r"\b[1-9]e-?(16|30|40|300|324)\b|\b[0-9]{8,}(\.0)?\b"

PLAIN = {
    "through_program(f, *args)": 4,
    "sad.jit(f)(*args)": 8,
    "recalled(f, args)": 3,
    "donated(f, args)": 2,
    "in_threads(sad.jit(f), args)": 1,
    "sad.jit(sad.checkpoint(f))(*args)": 1,
    "sad.jit(lambda k, *xs: sad.switch(k, [f, f], *xs))(1, *args)": 1,
    "sad.jit(sad.jit(f))(*args)": 1,
    "sad.cond(True, f, f, *args)": 1,
    "sad.jit(lambda p, *xs: sad.cond(p, f, f, *xs))(True, *args)": 1,
    "sad.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, f(*args)), (0, f(*args)))[1]": 1,
    "sad.jit(lambda *xs: sad.fori_loop(0, 2, lambda k, c: f(*xs), f(*xs)))(*args)": 1,
}
"""Expressions that give f(*args), and how often each is drawn."""

BATCHED = {
    "sad.vmap(f, in_axes=axes)(*args)": 3,
    "sad.jit(sad.vmap(f, in_axes=axes))(*args)": 3,
    "sad.vmap(sad.jit(f), in_axes=axes)(*args)": 1,
    "mapped_twice(sad.jit(f), args, axes)": 1,
    "mapped_twice(f, args, axes)": 1,
    "np_first(sad.vmap(f, in_axes=axes, out_axes=-1)(*args))": 1,
    "sad.jit(sad.vmap(lambda k, *xs: sad.cond(k > 0, f, f, *xs), in_axes=(0, *axes)))(np.arange(2), *args)": 1,
    "sad.vmap(lambda k, *xs: sad.switch(k, [f, f], *xs), in_axes=(0, *axes))(np.arange(2), *args)": 1,
    "sad.jit(sad.vmap(lambda n, *xs: looped(f, n, xs), in_axes=(0, *axes)))(np.arange(2), *args)": 1,
    "scanned(f, args, axes)": 1,
    "sad.jit(lambda *xs: scanned(f, xs, axes))(*args)": 2,
}
"""Expressions that give f of each slice."""

DERIVATIVES = {
    "check_derivatives(f, args)": 16,
    "check_second_derivatives(f, args)": 4,
    **{f"check_nests(f, args, {way!r})": 1 for way in WAYS},
    **{f"check_hessians(f, args, {way!r})": 1 for way in WAYS},
}


BY_MEMORY = r"reshape\(-1\)|ravel\(\)|^\w+\[.*%.*\] \S*="
"""Views of memory in C order are copies of other memory, and of elements assigned to twice the last in memory stays."""


@dataclass(frozen=True)
class Case:
    """One call.

    lines, result
        The body of f, and what it returns.
    args
        The arguments, as text.
    found, expected
        Expressions of which the values are compared; the second one is NumPy's.
    """

    lines: tuple[str, ...]
    result: str
    args: tuple[str, ...]
    axes: tuple[int | None, ...]
    found: str
    expected: str

    @property
    def source(self) -> str:
        body = "".join(f"    {line}\n" for line in self.lines)
        return f"def f({', '.join(NAMES[: len(self.args)])}):\n{body}    return {self.result}\n"

    def without_dead_lines(self) -> Case:
        """The case less the lines that the result does not need: compiled code need not run them."""
        needed, kept = self.result, []
        for line in reversed(self.lines):
            if set(re.findall(r"v\d+", line.split("=")[0])) & set(re.findall(r"v\d+", needed)):
                kept.append(line)
                needed += line
        return replace(self, lines=tuple(reversed(kept)))

    def without_empty_lines(self) -> Case:
        """The case less the assignments in place, where arguments have no elements."""
        if not any("array([]," in text for text in self.args):
            return self
        return replace(
            self, lines=tuple(line for line in self.lines if not re.match(r"\w+\[.*\] \S?=|v\d+ \S+= ", line))
        )

    def nudged(self) -> Case:
        """The same with other rounding in factorizations and differences, and in the matrices that are factored: a
        determinant of integers is one, or nearly one, and that of a singular matrix has any sign."""
        lines = []
        for line in self.lines:
            made = re.match(rf"(v\d+) = .*{ROUNDING}", line)
            if made:
                line = re.sub(CONSTANT, r"nudged(\g<0>)", line)
                if "det(" in line or "solve" in line:
                    line = re.sub(INTEGRAL, r"nudged(\g<0> * 1.0)", line)
                lines += [line, f"{made[1]} = nudged({made[1]})"]
            else:
                lines.append(line)
        return replace(self, lines=tuple(lines))

    @property
    def script(self) -> str:
        args = "".join(f"    {x},\n" for x in self.args)
        return (
            "import functools, math, numpy as np, scipy.special as special, scipy.linalg as linalg, staged_ad as sad\n"
            "from numpy import inf, nan\nfrom tests.backends import through_program\n"
            "from tests.fuzzing.checks import *\nfrom tests.fuzzing.nesting import *\n\n"
            f"{self.source}\naxes = {self.axes}\nargs = (\n{args})\nprint({self.expected})\nprint({self.found})\n"
        )

    def tamed(self) -> Case:
        """The same with moderate numbers in the place of very large and very small ones."""
        lines, args = ([re.sub(EXTREME, "1.5", text) for text in texts] for texts in (self.lines, self.args))
        return replace(self, lines=tuple(lines), args=tuple(args))

    def finite(self) -> Case:
        """The same with a moderate number in the place of NaN and infinity."""
        lines, args = (
            [re.sub(r"(?<![.\w])(nan|inf)\b", "1.5", text) for text in texts] for texts in (self.lines, self.args)
        )
        return replace(self, lines=tuple(lines), args=tuple(args))

    def with_one_zero(self) -> Case:
        """The same without -0.0 where numbers are limited: which of two equal ones that gives, NumPy leaves open."""
        if not re.search(r"clip|maximum|minimum|max\(|min\(", self.source):
            return self
        lines, args = ([re.sub(r"-0\.0\b", "0.0", text) for text in texts] for texts in (self.lines, self.args))
        return replace(self, lines=tuple(lines), args=tuple(args))

    def with_one_zero_of(self, products: re.Pattern[str]) -> Case:
        """The same with 0.0 where products add up to -0.0, as the order of the terms decides."""
        made = re.compile(rf"v\d+ = .*(?:{products.pattern})")
        return replace(self, lines=tuple(f"{line} + 0.0" if made.match(line) else line for line in self.lines))

    def positive(self) -> Case:
        """The same with positive arguments, where there are powers: those of negative numbers have no slope."""
        if not re.search(POWERS, self.source):
            return self
        return replace(self, args=tuple(x if x.startswith("abs(") else f"abs({x})" for x in self.args))

    def with_axes(self) -> Case:
        """The same with an axis for arguments that have none, which pass for numbers: docs/arrays.md."""
        return replace(self, args=tuple(x.removesuffix(".reshape(())") for x in self.args))

    def searching_sorted(self) -> Case:
        """The same with sorted arrays to search: places in others depend on how the search goes."""
        search = r"np\.searchsorted\((?!np\.sort)(\w+)\b"
        return replace(self, lines=tuple(re.sub(search, r"np.searchsorted(np.sort(\1)", line) for line in self.lines))

    def in_order(self) -> Case:
        """The same without what depends on how arguments and factors lie in memory: traced ones are in C order."""
        lines = tuple(re.sub(MEMORY, "'C'", line) for line in self.lines)
        lines = tuple(re.sub(r"^(v\d+) = ((np\.)?linalg\..*)", r"\1 = in_order(\2)", line) for line in lines)
        args = self.args
        if any(re.search(BY_MEMORY, line) for line in lines):
            args = tuple(
                x if "np.array(" not in x or x.endswith("order='C')") else f"np.array({x}, order='C')" for x in args
            )
        return replace(self, lines=lines, args=args)


def draw_case(seed: int) -> Case:
    d = Draw(seed)
    kind = d.choices(["plain", "batched", "derivatives"], [6, 3, 2])[0]
    wild = kind == "plain" and d.chance(0.25)
    shapes = [d.shape()]
    shapes += [d.fitting(shapes[0]) for _ in range(d.pick(0, 1, 1, 2))]
    args, axes, first = [], [], []
    for k, shape in enumerate(shapes):
        text, axis, one = _argument(d, shape, kind, wild, k)
        args.append(text)
        axes.append(axis)
        first.append(one)
    lines, result = _body(d, first)
    if kind == "derivatives" and any(re.search("float16|float32|complex64|spacing", line) for line in lines):
        kind = "plain"  # differences of few digits tell nothing, nor do those of what is between floats
    ways = {"plain": PLAIN, "batched": BATCHED, "derivatives": DERIVATIVES}[kind]
    found = d.choices(list(ways), list(ways.values()))[0]
    expected = {"plain": "f(*args)", "batched": "each(f, args, axes)", "derivatives": "None"}[kind]
    return Case(tuple(lines), result, tuple(args), tuple(axes), found, expected)


def _argument(d: Draw, shape: tuple[int, ...], kind: str, wild: bool, k: int) -> tuple[str, int | None, str]:
    """An argument, its batch axis, and one slice of it."""
    dtype = "float64" if kind == "derivatives" else d.choice(DTYPES)
    if kind == "plain" and d.chance(0.1):
        scalar = d.choice(SCALARS)
        return scalar, None, scalar
    if kind != "batched":
        text = d.array(dtype, shape, d.layout(shape), wild)
        return text, None, text
    if k and d.chance(0.3):
        text = d.array(dtype, shape)
        return text, None, text
    slices = [d.array(dtype, shape) for _ in range(2)]
    axis = d.randint(0, len(shape))
    return (
        d.pick("{x}", "{x}", "np.asfortranarray({x})").format(x=f"np.stack([{', '.join(slices)}], {axis})"),
        axis,
        slices[0],
    )


def _body(d: Draw, args: list[str]) -> tuple[list[str], str]:
    """Lines that run on these arguments; the last one may not."""
    scope: dict[str, Any] = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, text in zip(NAMES, args, strict=False):
            scope[name] = eval(text, dict(SCOPE))
        lines: list[str] = []
        wanted, tries = d.pick(1, 1, 2, 2, 3, 4), 0
        new = ""
        while wanted and tries < 12:
            tries += 1
            new = f"v{len(lines)}"
            drawn = [line.replace("{new}", new) for line in d.choice(FAMILIES)(d, scope)]
            space = {**SCOPE, **{k: np.copy(v) if isinstance(v, np.ndarray) else v for k, v in scope.items()}}
            try:
                exec("\n".join(drawn), space)
            except Exception:  # noqa: BLE001  # whatever NumPy raises
                if d.chance(0.04):  # keep what fails: it has to fail here too
                    lines += drawn
                    return lines, new
                continue
            value = space[new]
            if isinstance(value, tuple | list):
                lines += drawn
                return lines, f"tuple({new})"
            if np.size(value) > LARGEST:
                continue
            lines += drawn
            scope[new] = value
            wanted -= 1
    if not lines:
        return ["v0 = np.sin(a)"], "v0"
    last = [name for name in scope if name.startswith("v")]
    return lines, f"{last[-1]}, {last[0]}" if len(last) > 1 and d.chance(0.2) else last[-1]
