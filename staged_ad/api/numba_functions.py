"""numba_function: a compiled function to be called in the user's own Numba code. Public through ``staged_ad``.

Invariant: each call has its own working memory, and needs neither the interpreter nor the GIL.
Start at ``numba_function``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from staged_ad.api.bodies import named
from staged_ad.api.calling import Traced, argument_name, function_name, leaf_type, trace_prepared
from staged_ad.api.structures import structure_text
from staged_ad.errors import ArgumentError
from staged_ad.ir import ArrayType
from staged_ad.native.failures import FAILED
from staged_ad.tracing import Trace, Tracer
from staged_ad.tracing.libraries import Late, numba
from staged_ad.tracing.trees import flatten

if TYPE_CHECKING:
    from staged_ad.lowering.module import Module
    from staged_ad.native.linking import NativeCode

_kernel: Any = Late("staged_ad.control.numba_kernel")

_kept: list[tuple[NativeCode, Module]] = []
"""The machine code of every function made here: the user's Numba code holds its address, and nobody knows how long."""


def numba_function(f: Callable[..., Any], *args: Any) -> Any:
    """`f`, compiled for arguments like `args`, as a function to call inside of ``@numba.njit`` functions.

    Parameters
    ----------
    f
        A function of arrays and numbers that returns an array, a number, or a tuple of them: ``grad(loss)``, say.
        Arguments are positional.
    args
        Examples of the arguments: they fix shapes and dtypes. Their values decide where Python branches on them.

    Returns
    -------
    A function compiled by ``numba.njit``, which can also be called from Python. Arrays must have exactly the shapes and
    dtypes of the examples; those that are not contiguous are copied. Results are new arrays, 0-d ones numbers. It runs
    in the calling thread, so it may be called in a ``prange`` loop. Its machine code stays in memory.

    Raises
    ------
    ArgumentError
        When an argument or result is neither array nor number. When it is called: ``numba.TypingError`` for wrong
        dtypes, ValueError for wrong shapes; RuntimeError for values for which Python would have branched otherwise, or
        when something fails that raises an exception in ``jit(f)``.

    Examples
    --------
    >>> import numba, numpy as np, staged_ad as sad
    >>> slope = sad.numba_function(sad.grad(lambda x: np.sin(x) * x), 1.0)
    >>> @numba.njit
    ... def newton(x):
    ...     for _ in range(100):
    ...         x = x - 0.5 * slope(x)
    ...     return x
    >>> print(round(newton(1.0) + 1, 6))
    1.0
    """
    # LLVM, and what writes code for it, are loaded by the first function that is compiled
    from staged_ad.lowering.compiling import outside_names  # see above
    from staged_ad.lowering.module import emit  # see above
    from staged_ad.native.linking import load_object  # see above
    from staged_ad.native.llvm import object_code  # see above
    from staged_ad.native.symbols import addresses  # see above
    from staged_ad.passes import optimize  # see above

    traced = _traced(f, args)
    program = traced.program  # complex at its border, where the optimised one has pairs in the same memory
    module = emit(optimize(program))
    code = object_code(module.text)
    native = load_object(code, {**addresses(outside_names(module, code), serial=True), **module.symbols})
    _kept.append((native, module))
    scope: dict[str, Any] = {
        "np": np,
        "launch": _launcher(module, native.address, len(program.inputs), len(program.outputs)),
        "guard": FAILED,
    }
    for k, type in enumerate(program.input_types):
        scope[f"operand{k}"] = _operand(argument_name(f, k), type)
    for k, type in enumerate(program.output_types):
        scope[f"dtype{k}"] = type.dtype
    exec(_source(f, traced, module), scope)
    return numba.njit(nogil=True)(scope["function"])


def _traced(f: Callable[..., Any], args: tuple[Any, ...]) -> Traced:
    """The program of `f` at arguments that are single arrays, with guards."""
    leaves, spec = flatten(list(args))
    for k, arg in enumerate(args):
        if isinstance(arg, Tracer):
            raise ArgumentError("numba_function needs arrays, not traced values")
        leaf_type(arg, lambda k=k: f"numba_function: {argument_name(f, k)}")  # type: ignore[misc]
    input_types = [leaf_type(leaf, lambda: "numba_function") for leaf in leaves]
    traced = trace_prepared(f, spec, input_types, {}, meanings=leaves, trace=Trace(guarded=True))
    _kernel.check_types(f"numba_function: {named(f)}", [*traced.program.input_types, *traced.program.output_types])
    if not traced.reusable:
        raise ArgumentError(f"numba_function: {named(f)} reads values of a trace around it, or values that are fixed")
    out = traced.out_spec
    if not (out.is_leaf() or (out.type is tuple and all(child.is_leaf() for child in out.children()))):
        raise ArgumentError(
            f"numba_function: {named(f)} must return an array, a number, or a tuple of them, got {structure_text(out)}"
        )
    return traced


def _operand(about: str, type: ArrayType) -> Callable[..., Any]:
    """What checks an argument, and gives it as a contiguous array; ``numba`` compiles it for each type."""
    scalar, shape, dtype = numba.from_dtype(type.dtype), type.shape, type.dtype
    wrong_shape = f"{about} must have shape {shape}"

    def operand(x: Any) -> Any:
        raise NotImplementedError  # the overload below is what runs

    @numba.extending.overload(operand)  # type: ignore[untyped-decorator]  # Numba has no types
    def typed(x: Any) -> Any:
        if shape:
            if not (isinstance(x, numba.types.Array) and x.dtype == scalar and x.ndim == len(shape) and x.aligned):
                raise numba.core.errors.TypingError(f"{about} must be an array of type {type.strong()}, got {x}")

            def array(x: Any) -> Any:
                if x.shape != shape:
                    raise ValueError(wrong_shape)
                return np.ascontiguousarray(x)

            return array
        if not isinstance(x, numba.types.Number | numba.types.Boolean) or not np.can_cast(
            _dtype(x), dtype, "same_kind"
        ):
            raise numba.core.errors.TypingError(f"{about} must be a number of type {type.strong()}, got {x}")

        def number(x: Any) -> Any:
            cell = np.empty(1, dtype)
            cell[0] = x
            return cell

        return number

    return operand


def _dtype(x: Any) -> np.dtype[Any]:
    return np.dtype(bool) if isinstance(x, numba.types.Boolean) else np.dtype(str(x))


def _launcher(module: Module, address: int, inputs: int, outputs: int) -> Any:
    """``launch(arrays..., work) -> status``: the body, called with the addresses of all arrays."""
    constants = [int(constant.ctypes.data) for constant in module.storage.constants]
    native = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_size_t)(address)
    arrays = [f"a{k}" for k in range(inputs + outputs)]
    places = [*range(inputs), *range(inputs + len(constants), inputs + len(constants) + outputs)]
    total = inputs + len(constants) + outputs + 1
    lines = [f"def launch({', '.join([*arrays, 'work'])}):", f"    slots = np.empty({total}, np.uint64)"]
    lines += [f"    slots[{place}] = {name}.ctypes.data" for place, name in zip(places, arrays, strict=True)]
    lines += [f"    slots[{inputs + k}] = {constant}" for k, constant in enumerate(constants)]
    lines += [f"    slots[{total - 1}] = (work.ctypes.data + 63) // 64 * 64", "    return native(slots.ctypes.data)"]
    scope = {"np": np, "native": native}
    exec("\n".join(lines), scope)
    return numba.njit(scope["launch"])


def _source(f: Callable[..., Any], traced: Traced, module: Module) -> str:
    """``function(x0, ...)``: checks, allocates, launches, and raises where the status is not 0."""
    inputs, outputs = traced.program.input_types, traced.program.output_types
    name = function_name(f)
    arguments = [f"x{k}" for k in range(len(inputs))]
    results = [f"y{k}" for k in range(len(outputs))]
    lines = [f"def function({', '.join(arguments)}):"]
    lines += [f"    {x} = operand{k}({x})" for k, x in enumerate(arguments)]
    made = list(zip(results, outputs, strict=True))
    lines += [f"    {y} = np.empty({type.shape or 1}, dtype{k})" for k, (y, type) in enumerate(made)]
    lines += [f"    work = np.empty({module.storage.workspace and module.storage.workspace + 64}, np.uint8)"]
    lines += [f"    status = launch({', '.join([*arguments, *results, 'work'])})"]
    if traced.guards:
        places = ", ".join(dict.fromkeys(str(guard.source) for guard in traced.guards))
        other = f"{name}: for these values Python takes another path than for the examples (at {places})"
        lines += ["    if 0 < status < guard:", f"        raise RuntimeError({other!r})"]
    failed = f"{name} failed; jit of the same function raises the exception that says why"
    lines += ["    if status != 0:", f"        raise RuntimeError({failed!r})"]
    given = [y if type.shape else f"{y}[0]" for y, type in made]
    single = traced.out_spec.is_leaf()
    return "\n".join([*lines, f"    return {given[0] if single else '(' + ', '.join(given) + ',)'}"])
