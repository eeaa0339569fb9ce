"""Random arguments, axes and index expressions, all of them as Python text.

Invariant: a seed gives the same text in every run, and text is all that a case consists of.
Start at ``Draw``.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float64", "float32"]
COMPLEX = ["complex128", "complex64"]
DTYPES = (
    ["float64"] * 8 + ["float32"] * 3 + ["float16"] + COMPLEX + ["complex128"] + ["int64"] * 3 + ["bool"] * 2 + INTEGERS
)
WILD = ["nan", "inf", "-inf", "-0.0", "0.0", "1e300", "-1e300", "1e-300", "5e-324", "1.0", "-1.0", "0.5", "2.0", "1e16"]
WILD_32 = ["nan", "inf", "-inf", "-0.0", "0.0", "1e30", "-1e30", "1e-40", "1.0", "-1.0", "0.5", "2.0", "16777217.0"]
SCALARS = ["2", "-1", "0", "3", "1.5", "-0.5", "0.0", "True", "2j", "(1 - 0.5j)", "np.float32(1.5)", "np.int8(3)"]
LAYOUTS = [
    "{x}[::-1]",
    "np.repeat({x}, 2, axis=-1)[..., ::2]",
    "np.asfortranarray({x})",
    "np.ascontiguousarray({x}.T).T",
    "{x}.astype({x}.dtype.newbyteorder('>'))",
    "np.pad({x}, 1)[(slice(1, -1),) * {n}]",
]


class Draw(random.Random):
    """Random choices."""

    def pick(self, *options: Any) -> Any:
        return self.choice(options)

    def chance(self, p: float) -> bool:
        return self.random() < p

    def shape(self) -> tuple[int, ...]:
        ndim = self.pick(0, 1, 1, 1, 2, 2, 2, 3)
        return tuple(self.pick(0, 1, 2, 2, 3, 3, 3, 4, 4) for _ in range(ndim))

    def fitting(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A shape that broadcasts with `shape`, nearly always."""
        if self.chance(0.05):
            return self.shape()
        kept = tuple(1 if self.chance(0.2) else n for n in shape[self.randint(0, len(shape)) :])
        return tuple(shape) if self.chance(0.4) else kept

    def number(self, dtype: str, wild: bool) -> str:
        kind = np.dtype(dtype).kind
        if kind == "b":
            return str(self.chance(0.5))
        if kind in "iu":
            info = np.iinfo(dtype)
            if wild and self.chance(0.5):
                return str(self.pick(info.min, info.max, 0, 1, info.max - 1, info.min + 1))
            return str(self.randint(-4 if kind == "i" else 0, 5))
        if kind == "c":  # never wild: which part is NaN depends on the order of products
            wild = False
            real = "float32" if dtype == "complex64" else "float64"
            return f"complex({self.number(real, wild)}, {self.number(real, wild)})"
        if wild and self.chance(0.5):
            return self.choice(WILD_32 if dtype == "float32" else WILD)
        return repr(round(self.uniform(-3, 3), 3) + 0.0)

    def array(self, dtype: str, shape: Sequence[int], layout: str = "{x}", wild: bool = False) -> str:
        """An array of random numbers; `layout` rearranges it in memory."""
        size = int(np.prod(shape))
        numbers = ", ".join(self.number(dtype, wild) for _ in range(size))
        x = f"np.array([{numbers}], '{dtype}')" + (f".reshape({tuple(shape)})" if len(shape) != 1 else "")
        return layout.format(x=x, n=len(shape))

    def layout(self, shape: Sequence[int]) -> str:
        return self.choice(LAYOUTS) if shape and self.chance(0.3) else "{x}"

    def axis(self, x: Any, many: bool = False, none: bool = True) -> str:
        """An axis of `x`, sometimes one too many."""
        ndim = np.ndim(x)
        if self.chance(0.05):
            return str(self.pick(ndim, -ndim - 1))
        if not ndim or (none and self.chance(0.2)):
            return "None" if none else "0"
        if many and self.chance(0.3):
            axes = self.sample(range(ndim), self.randint(0, ndim))
            return repr(tuple(a - ndim if self.chance(0.3) else a for a in axes))
        return str(self.randint(-ndim, ndim - 1))

    def options(self, p: float = 0.4, **texts: str) -> str:
        """Some of the keyword arguments, as text that goes after others."""
        return "".join(f", {name}={text}" for name, text in texts.items() if self.chance(p))

    def slice(self, length: int) -> str:
        ends = [str(self.randint(-length - 1, length + 1)) if self.chance(0.5) else "" for _ in range(2)]
        step = self.pick("", "", ":2", ":-1", ":-2", ":3", ":1")
        return f"{ends[0]}:{ends[1]}{step}"

    def integers(self, length: int, shape: Sequence[int]) -> str:
        """Places along an axis, sometimes one too many."""
        top = max(length, 1) if self.chance(0.04) else max(length - 1, 0)
        low = -length if length else 0
        places = np.array([self.randint(low, top) for _ in range(int(np.prod(shape)))], int)
        return f"np.array({places.reshape(shape).tolist()}, dtype=int)"

    def mask(self, shape: Sequence[int]) -> str:
        values = [self.chance(0.5) for _ in range(int(np.prod(shape)))]
        return f"np.array({np.array(values, bool).reshape(shape).tolist()}, dtype=bool).reshape({tuple(shape)})"

    def index(self, x: Any, traced: Sequence[str] = ()) -> str:
        """What goes between the brackets of ``x[...]``; `traced` are names of integer arrays."""
        shape, parts, k = np.shape(x), [], 0
        if self.chance(0.08):
            return self.mask(shape)
        fancy = self.pick((), (2,), (3,), (1,), (2, 1), (0,))
        ellipsis = False
        while k < len(shape) and not self.chance(0.15):
            n = shape[k]
            kind = self.pick("int", "int", "slice", "slice", "slice", "none", "dots", "array", "mask", "traced", "list")
            if kind == "none":
                parts.append(self.pick("None", "np.newaxis"))
                continue
            if kind == "dots":
                if not ellipsis:
                    parts.append("...")
                    k = self.randint(k, len(shape))
                    ellipsis = True
                    break
                continue
            if kind == "int":
                parts.append(str(self.randint(-n, n - 1)) if n and not self.chance(0.04) else str(n))
            elif kind == "slice":
                parts.append(self.slice(n))
            elif kind == "array":
                parts.append(self.integers(n, fancy))
            elif kind == "list":
                parts.append(repr([self.randint(-n, n - 1) for _ in range(self.randint(1, 2))]) if n else ":")
            elif kind == "mask":
                parts.append(self.mask((n,)))
            elif traced and n:
                parts.append(f"{self.choice(traced)} % {n}" if self.chance(0.9) else self.choice(traced))
            else:
                parts.append(":")
            k += 1
        return ", ".join(parts) if parts else self.pick("...", "None", "()", ":")
