"""Machine code of a user's Numba function, behind one C function that takes a table of addresses.

Invariant: the code returns 1, and never raises, where the function raises or its results have other shapes.
Start at ``compile_numba``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import event
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from staged_ad.errors import ArgumentError, DTypeError
from staged_ad.ir import ArrayType
from staged_ad.ir.types import FLOAT16
from staged_ad.tracing.creation import as_imported


@cache
def _load_numba() -> None:
    """Numba registers functions of NumPy when it first compiles: while a function is traced, it would find others."""
    with as_imported():
        cpu_target.typing_context.refresh()
        cpu_target.target_context.refresh()


class _FirstCompilation(event.Listener):  # type: ignore[misc]  # Numba has no types
    def on_start(self, event: Any) -> None:
        _load_numba()

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _FirstCompilation())


@intrinsic  # type: ignore[untyped-decorator]  # Numba has no types
def pointer(typing: Any, address: Any) -> Any:
    """An address as a pointer."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.intp), generate


def check_types(about: str, found: Sequence[ArrayType]) -> None:
    """Raises DTypeError where Numba has no such numbers."""
    if any(type.dtype == FLOAT16 for type in found):
        raise DTypeError(f"{about}: Numba has no float16 on the processor; write x.astype(np.float32)")


def numba_types(found: Sequence[ArrayType]) -> tuple[Any, ...]:
    """What Numba calls these types: scalars, and C-contiguous arrays."""
    scalars = [numba.from_dtype(type.dtype) for type in found]
    return tuple([types.Array(s, type.ndim, "C") if type.shape else s for s, type in zip(scalars, found, strict=True)])


def compile_numba(f: Any, about: str, inputs: Sequence[ArrayType], outputs: Sequence[ArrayType]) -> tuple[int, Any]:
    """The address of ``i64 kernel(ptr table)``, and what keeps it alive."""
    check_result(f, about, inputs, outputs)
    scope: dict[str, Any] = {"f": f, "carray": numba.carray, "pointer": pointer, "intp": np.intp}
    for k, type in enumerate((*inputs, *outputs)):
        scope[f"dtype{k}"] = type.dtype
    exec(_source(inputs, outputs), scope)
    compiled = numba.cfunc(types.int64(types.voidptr))(scope["kernel"])
    return int(compiled.address), compiled


def check_result(f: Any, about: str, inputs: Sequence[ArrayType], outputs: Sequence[ArrayType]) -> None:
    """Raises ArgumentError or DTypeError unless `f` can be compiled for `inputs` and returns arrays like `outputs`."""
    check_types(about, [*inputs, *outputs])
    signature = numba_types(inputs)
    refused = f"{about} cannot be compiled for ({', '.join(map(str, signature))})"
    try:
        typed = numba.typeof(f).get_call_type(f.typingctx, signature, {})
    except (numba.core.errors.NumbaError, TypeError) as error:
        raise ArgumentError(f"{refused}: {error}") from error
    if typed is None:
        raise ArgumentError(f"{refused}: it has the fixed types {', '.join(map(str, f.signatures))}")
    result = typed.return_type
    found = list(result) if isinstance(result, types.BaseTuple) else [result]
    expected = numba_types(outputs)
    fits = len(found) == len(expected) and all(
        getattr(a, "dtype", a) == getattr(b, "dtype", b) and getattr(a, "ndim", 0) == getattr(b, "ndim", 0)
        for a, b in zip(found, expected, strict=True)
    )
    if not fits:
        raise ArgumentError(
            f"{about} returns {', '.join(map(str, found))}, but its results were declared as "
            f"{', '.join(map(str, outputs))}"
        )


def _source(inputs: Sequence[ArrayType], outputs: Sequence[ArrayType]) -> str:
    """``kernel(table)``, which makes arrays and numbers of the addresses."""
    count, total = len(inputs), len(inputs) + len(outputs)
    lines = ["def kernel(table):", f"    cells = carray(table, {total}, intp)"]

    def array(k: int, shape: tuple[int, ...]) -> str:
        return f"carray(pointer(cells[{k}]), {shape or (1,)}, dtype{k})"

    for k, type in enumerate(inputs):
        own = ".copy()" if type.shape else "[0]"  # what the function does to its arguments is its own affair
        lines.append(f"    x{k} = {array(k, type.shape)}{own}")
    results = [f"y{k}" for k in range(len(outputs))]
    lines += ["    try:", f"        {', '.join(results)} = f({', '.join(f'x{k}' for k in range(count))})"]
    for k, type in enumerate(outputs):
        if type.shape:
            lines += [f"        if y{k}.shape != {type.shape}:", "            return 1"]
            lines.append(f"        {array(count + k, type.shape)}[...] = y{k}")
        else:
            lines.append(f"        {array(count + k, ())}[0] = y{k}")
    return "\n".join([*lines, "    except Exception:", "        return 1", "    return 0"])
