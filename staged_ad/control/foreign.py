"""foreign functions: operations that are calls of a Python function or of a user's Numba function.

``inputs -> outputs`` of given types. Machine code calls them with a table of addresses: ``i64 f(ptr table)``, operands
first, then results; 0 means success. A Numba function is called without the interpreter; when it fails, it is called
again by the interpreter, for the exception.

Invariant: the memory behind the table is valid during the call only, so Python functions are given copies.
Start at ``Foreign``.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from staged_ad.control.layout import lanes
from staged_ad.errors import ArgumentError, NotDifferentiableError
from staged_ad.ir import ArrayType, Primitive, type_of
from staged_ad.ir.lowerings import Kernel
from staged_ad.ir.primitive import not_linear
from staged_ad.primitives.makers import with_batch
from staged_ad.tracing import bind

Types = tuple[ArrayType, ...]
Thunk = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
CALL_NS = 10_000
"""About what a call of a Python function takes."""

_serial = count()


@dataclass(frozen=True, eq=False)
class Foreign:
    """A function of arrays that returns a list of arrays.

    apply
        The function itself, as Python calls it.
    about
        What error messages call it: ``pure_callback of f (model.py:12)``.
    compile
        Gives the address of its machine code for types of operands and results, and what keeps that alive; None where
        there is none.
    sequential
        Whether it must not be called by several threads of a parallel loop.
    """

    name: str
    about: str
    apply: Callable[..., list[Any]]
    compile: Callable[[Types, Types], tuple[int, Any]] | None = None
    sequential: bool = True
    serial: int = field(default_factory=lambda: next(_serial))
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)
    _errors: dict[int, BaseException] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{self.name}#{self.serial}"

    def run(self, arrays: Sequence[Any], types: Types) -> list[Any]:
        """The results, which must have the given shapes and dtypes."""
        results = self.apply(*arrays)
        if len(results) != len(types):
            raise ArgumentError(f"{self.about} returned {len(results)} arrays, expected {len(types)}")
        for k, (result, type) in enumerate(zip(results, types, strict=True)):
            found = type_of(result)
            fits = found.shape == type.shape and (found.dtype == type.dtype or found.weak)
            if not fits:
                which = f" {k}" if len(types) > 1 else ""
                raise ArgumentError(f"{self.about}: result{which} is {found.strong()}, but was declared as {type}")
        return [np.asarray(result, type.dtype)[()] for result, type in zip(results, types, strict=True)]

    def thunk(self, inputs: Types, outputs: Types) -> int:
        """The address of the call by the interpreter, from machine code in any thread."""
        key = "thunk", inputs, outputs
        if key not in self._made:

            def call(table: int) -> int:
                cells = (ctypes.c_void_p * (len(inputs) + len(outputs))).from_address(table)
                try:
                    operands = [
                        _at(cell, type).copy()[()] for cell, type in zip(cells[: len(inputs)], inputs, strict=True)
                    ]
                    with np.errstate(all="ignore"):
                        results = self.run(operands, outputs)
                    for cell, type, result in zip(cells[len(inputs) :], outputs, results, strict=True):
                        _at(cell, type)[...] = result
                except BaseException as error:  # noqa: BLE001  # raised again where the machine code was called
                    self._errors.pop(threading.get_ident(), None)  # the last one stands last
                    self._errors[threading.get_ident()] = error
                    return 1
                return 0

            self._made.setdefault(key, Thunk(call))
        return ctypes.cast(self._made[key], ctypes.c_void_p).value or 0

    def native(self, inputs: Types, outputs: Types) -> int | None:
        """The address of the call without the interpreter."""
        if self.compile is None:
            return None
        key = "native", inputs, outputs
        if key not in self._made:
            self._made.setdefault(key, self.compile(inputs, outputs))
        address: int = self._made[key][0]
        return address

    def error(self) -> BaseException:
        """The exception with which the last call ended: in this thread, or in another that worked for it."""
        own = threading.get_ident()
        return self._errors.pop(own) if own in self._errors else self._errors.popitem()[1]


def _at(address: int | None, type: ArrayType) -> np.ndarray[Any, Any]:
    """The array at an address."""
    size = math.prod(type.shape) * type.dtype.itemsize
    if not size:
        return np.empty(type.shape, type.dtype)
    memory: Any = (ctypes.c_char * size).from_address(address or 0)
    return np.frombuffer(memory, type.dtype).reshape(type.shape)


def foreign_call(foreign: Foreign, types: Types, vectorized: bool, *values: Any) -> list[Any]:
    """The results of a foreign function, as one equation."""
    primitive = PURE_CALLBACK if foreign.compile is None else NUMBA_CALL
    results: list[Any] = bind(primitive, *values, foreign=foreign, types=types, vectorized=vectorized)
    return results


def _jvp(
    primals: Sequence[Any], tangents: Sequence[Any], *, foreign: Foreign, types: Types, vectorized: bool
) -> tuple[list[Any], list[Any]]:
    if any(type.inexact for type in types):
        raise NotDifferentiableError(
            f"{foreign.about} has no derivative: call it in a function to which custom_jvp or custom_vjp gives one"
        )
    return foreign_call(foreign, types, vectorized, *primals), [None] * len(types)


def _batch(
    size: int,
    values: Sequence[Any],
    batched: Sequence[bool],
    *,
    foreign: Foreign,
    types: Types,
    vectorized: bool,
) -> tuple[list[Any], list[bool]]:
    """One call of all lanes where the function says that it can, else one call for each."""
    if not vectorized:
        params = {"foreign": foreign, "types": types, "vectorized": vectorized}
        primitive = PURE_CALLBACK if foreign.compile is None else NUMBA_CALL
        return lanes(primitive, size, values, batched, params)
    stacked = tuple([type.stacked(size) for type in types])
    operands = [with_batch(size, value, flag) for value, flag in zip(values, batched, strict=True)]
    return foreign_call(foreign, stacked, vectorized, *operands), [True] * len(types)


def _emit(kernel: Any, *, foreign: Foreign, types: Types, vectorized: bool) -> None:
    inputs = tuple([buffer.type.strong() for buffer in kernel.inputs])
    outputs = tuple([buffer.type.strong() for buffer in kernel.outputs])
    buffers = (*kernel.inputs, *kernel.outputs)
    table = kernel.alloca(f"[{max(1, len(buffers))} x ptr]")
    for k, buffer in enumerate(buffers):
        cell = kernel.value(f"getelementptr ptr, ptr {table}, i64 {k}")
        kernel.line(f"store ptr {buffer.name}, ptr {cell}")
    address = foreign.thunk(inputs, outputs)
    python = kernel.external(f"foreign.{address:x}", "i64 @(ptr)", address)
    native = foreign.native(inputs, outputs)
    if native is None:
        status = kernel.value(f"call i64 {python}(ptr {table})")
    else:
        fast = kernel.external(f"foreign.{native:x}", "i64 @(ptr)", native)
        first = kernel.value(f"call i64 {fast}(ptr {table})")
        here, again, done = kernel.label("native"), kernel.label("again"), kernel.label("done")
        kernel.line(f"br label %{here}")
        kernel.start(here)
        fine = kernel.value(f"icmp eq i64 {first}, 0")
        kernel.line(f"br i1 {fine}, label %{done}, label %{again}")
        kernel.start(again)
        second = kernel.value(f"call i64 {python}(ptr {table})")
        kernel.line(f"br label %{done}")
        kernel.start(done)
        status = kernel.value(f"phi i64 [ 0, %{here} ], [ {second}, %{again} ]")
    kernel.fail_if(kernel.value(f"icmp ne i64 {status}, 0"), foreign.error)


def _primitive(name: str, cost: Callable[..., float]) -> Primitive:
    return Primitive(
        name,
        abstract_eval=lambda *operands, foreign, types, vectorized: list(types),
        evaluate=lambda *arrays, foreign, types, vectorized: foreign.run([np.array(a)[()] for a in arrays], types),
        jvp=_jvp,
        transpose=not_linear(name),
        batch=_batch,
        lower=Kernel(
            _emit,
            cost=cost,
            interleaved=True,
            unbounded=lambda **params: True,
            sequential=lambda foreign, **params: foreign.sequential,
            fails=lambda **params: True,
            computes=False,
        ),
        multiple_results=True,
    )


PURE_CALLBACK = _primitive("pure_callback", lambda *types, **params: CALL_NS)
NUMBA_CALL = _primitive("numba_call", lambda *types, **params: 100.0 + 2 * sum(type.size for type in types))
