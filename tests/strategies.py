"""Random NumPy programs for hypothesis: Python source that is drawn line by line, each line run as it is drawn.

Invariant: values stay below 1e3, arrays have 1 to 100 elements; smooth programs have no kink near their arguments.
Start at ``numpy_programs``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import staged_ad as sad

LARGEST_VALUE, LARGEST_SIZE = 1e3, 100
NAMES = "abcdefghijklmnop"


@dataclass(frozen=True)
class NumpyProgram:
    """A function as the text of its body, and arguments for it."""

    lines: tuple[str, ...]
    result: str
    arguments: tuple[Any, ...]

    @property
    def source(self) -> str:
        body = "".join(f"    {line}\n" for line in self.lines)
        return f"def f({', '.join(NAMES[: len(self.arguments)])}):\n{body}    return {self.result}\n"

    @cached_property
    def function(self) -> Callable[..., Any]:
        scope: dict[str, Any] = {"np": np, "sad": sad}
        exec(compile(self.source, "<random program>", "exec"), scope)
        return scope["f"]  # type: ignore[no-any-return]

    def __call__(self, *xs: Any) -> Any:
        return self.function(*xs)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{x.dtype}{list(x.shape)}" for x in self.arguments)
        return f"\n{self.source}# arguments: {shapes}"


UNARY = [
    "np.sin({x})",
    "np.cos({x}) * 0.5",
    "np.tanh({x})",
    "np.arctan({x})",
    "np.exp(-{x} * {x})",
    "np.log1p({x} ** 2)",
    "np.sqrt(1 + {x} * {x})",
    "{x} ** 3 * 0.1",
    "1 / (2 + np.sin({x}))",
    "-{x} + 0.3",
    "np.logaddexp({x}, 0.2)",
    "{x}.T",
    "{x}[None]",
    "{x}[..., None]",
    "{x}.ravel()",
    "np.sum({x})",
    "np.mean({x})",
    "np.broadcast_to({x}, (2, *{x}.shape))",
    "np.pad({x}, 1)",
    "np.flip({x})",
]
UNARY_OF_AXES = [
    "{x}[0]",
    "{x}[-1]",
    "{x}[::-1]",
    "{x}[1:]",
    "{x}[::2]",
    "{x}[..., ::-2]",
    "{x}[..., 0]",
    "np.sum({x}, axis=0)",
    "np.sum({x}, axis=-1, keepdims=True)",
    "np.mean({x}, axis=-1)",
    "np.prod({x}, axis=-1)",
    "np.var({x}, axis=0)",
    "np.concatenate([{x}, np.sin({x})])",
    "np.concatenate([{x}, {x}[..., :1]], axis=-1)",
    "np.moveaxis({x}, 0, -1)",
    "np.roll({x}, 1, axis=0)",
    "np.linalg.norm({x} + 3.1)",
    "{x} @ {x}.T",
    "np.dot({x}.T, {x})",
    "np.where(np.arange({x}.shape[0]) > 0, np.sum({x}), 0.5)",
]
BINARY = [
    "{x} + {y}",
    "{x} - 2 * {y}",
    "{x} * {y}",
    "{x} / (3 + np.cos({y}))",
    "np.hypot({x}, 1 + {y} ** 2)",
    "np.arctan2({x}, 2 + np.sin({y}))",
    "np.where({x} == 77, {y}, {x} * 1.5)",
]
KINKED = [
    "np.abs({x})",
    "np.maximum({x}, 0.25)",
    "np.where({x} > 0, {x}, 0.1 * {x})",
    "np.clip({x}, -0.5, 0.5)",
    "np.max({x})",
    "np.min({x}, axis=0) if {x}.ndim and {x}.shape[0] else {x}",
    "np.floor({x}) * {x}",
    "np.sign({x}) + {x}",
    "({x} > 0) * {x}",
    "{x}.astype(int) + {x}",
    "np.argmax({x}) * {x} if {x}.size else {x}",
    "np.float32(2) * {x}.astype('float32')",
]


def _tame(value: Any, dtypes: Sequence[str]) -> bool:
    value = np.asarray(value)
    return bool(0 < value.size <= LARGEST_SIZE and value.dtype.name in dtypes and np.all(np.abs(value) < LARGEST_VALUE))


@st.composite
def numpy_programs(draw: Any, smooth: bool = True, scalar: bool = False, dtype: str = "float64") -> NumpyProgram:
    """A program of a few lines on one to three arrays; `scalar` ones return a number."""
    count = draw(st.integers(1, 3))
    shapes = draw(npst.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=3, min_side=1)).input_shapes
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    arguments = tuple(np.asarray(rng.uniform(-1, 1, shape), dtype) for shape in shapes)
    scope: dict[str, Any] = {"np": np, **dict(zip(NAMES, arguments, strict=False))}
    lines: list[str] = []
    dtypes = ("float64",) if smooth else ("float64", "float32")
    for _ in range(draw(st.integers(3, 10))):
        x, y = draw(st.sampled_from(list(scope)[1:])), draw(st.sampled_from(list(scope)[1:]))
        templates = UNARY + (UNARY_OF_AXES if scope[x].ndim else []) + BINARY * 2 + ([] if smooth else KINKED)
        text = draw(st.sampled_from(templates)).format(x=x, y=y)
        try:
            with np.errstate(all="ignore"):
                value = eval(text, dict(scope))
        except ValueError:  # shapes that do not fit
            continue
        if _tame(value, dtypes):
            name = NAMES[len(scope) - 1]
            lines.append(f"{name} = {text}")
            scope[name] = np.asarray(value)
    last = list(scope)[-1]
    earlier = draw(st.sampled_from(list(scope)[1:]))
    result = f"np.sum(np.sin({last})) + np.mean({earlier})" if scalar else f"{last}, {earlier}"
    return NumpyProgram(tuple(lines), result, arguments)
