"""pure_callback and numba_call: functions from outside, as operations. Public through ``staged_ad``.

Invariant: a foreign function has results of the declared shapes and dtypes, or raises.
Start at ``pure_callback``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from staged_ad.api.bodies import check_function, named
from staged_ad.api.calling import leaf_type
from staged_ad.api.structures import place, structure_difference
from staged_ad.control.foreign import Foreign, foreign_call
from staged_ad.errors import ArgumentError
from staged_ad.ir import ArrayType
from staged_ad.ir.types import canonical_dtype, describe
from staged_ad.primitives.makers import typeof
from staged_ad.tracing.libraries import Late, numba, when_imported
from staged_ad.tracing.trees import TreeSpec, flatten, unflatten

_kernel: Any = Late("staged_ad.control.numba_kernel")
when_imported("numba", "staged_ad.control.numba_kernel")


class ShapeDtypeStruct:
    """The shape and dtype of an array that there is not yet.

    Parameters
    ----------
    shape
        An integer or a sequence of them, the lengths of the axes.
    dtype
        What NumPy takes for a dtype; float64 by default.

    Raises
    ------
    DTypeError
        When arrays of this dtype are not supported.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> sad.pure_callback(np.outer, sad.ShapeDtypeStruct((2, 2)), np.ones(2), np.array([3.0, 4.0]))
    array([[3., 4.],
           [3., 4.]])
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: int | tuple[int, ...], dtype: Any = float) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype = canonical_dtype(dtype)

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct({self.shape}, {self.dtype})"


def pure_callback(f: Callable[..., Any], result_shape_dtypes: Any, *args: Any, vectorized: bool = False) -> Any:
    """``f(*args)``, where `f` is any Python function of NumPy arrays, also in compiled code.

    Parameters
    ----------
    f
        Called with arrays of its own (numbers for 0-d ones) in the structure of `args`. It must be pure: it may be
        called once, several times or never, as its results are needed.
    result_shape_dtypes
        What `f` returns: a nest whose leaves have a shape and a dtype (`ShapeDtypeStruct`, or an array like the
        result), or are the dtype of a number (``float``, ``np.int32``).
    args
        Arrays, numbers, or nests of them.
    vectorized
        Whether `f` takes and returns arrays with a further first axis: `vmap` then calls it once, otherwise once for
        each lane.

    Returns
    -------
    What `f` returns. Compiled code takes the GIL for the call; an exception in `f` reaches the caller.

    Raises
    ------
    ArgumentError
        When `f` returns another structure, shape or dtype than was declared.
    NotDifferentiableError
        When it is differentiated: call it in a function with `custom_jvp` or `custom_vjp`.

    Examples
    --------
    >>> import numpy as np, staged_ad as sad
    >>> f = sad.jit(lambda x: sad.pure_callback(np.sort, x, x) * 2)
    >>> print(f(np.array([3.0, 1.0, 2.0])))
    [2. 4. 6.]
    """
    check_function("pure_callback", "f", f, None)
    return _call(f, f"pure_callback of {named(f)}", result_shape_dtypes, args, vectorized, native=False)


def numba_call(f: Callable[..., Any], result_shape_dtypes: Any, *args: Any, vectorized: bool = False) -> Any:
    """``f(*args)``, where `f` is a function compiled by ``numba.njit``; compiled code calls its machine code.

    Parameters
    ----------
    f
        Takes arrays (C-contiguous) and numbers (for 0-d ones), which it must not write to, and returns an array, a
        number, or a tuple of them. It must be pure. A function of numbers is applied to arrays by `vmap`.
    result_shape_dtypes, vectorized
        As for `pure_callback`; dtypes are compared with what Numba infers.
    args
        Arrays or numbers.

    Returns
    -------
    What `f` returns. The call needs neither the interpreter nor the GIL; when `f` raises, it is called a second time by
    the interpreter, and the exception reaches the caller.

    Raises
    ------
    ArgumentError
        When `f` is no function of Numba, cannot be compiled for these types, or returns others than declared.
    NotDifferentiableError
        When it is differentiated: call it in a function with `custom_jvp` or `custom_vjp`.

    Examples
    --------
    >>> import numba, numpy as np, staged_ad as sad
    >>> @numba.njit
    ... def collatz(n):
    ...     steps = 0
    ...     while n > 1:
    ...         n = n // 2 if n % 2 == 0 else 3 * n + 1
    ...         steps += 1
    ...     return steps
    >>> print(sad.jit(sad.vmap(lambda n: sad.numba_call(collatz, int, n)))(np.array([6, 7, 27])))
    [  8  16 111]
    """
    check_function("numba_call", "f", f, None)
    about = f"numba_call of {named(f)}"
    if not isinstance(f, numba.core.dispatcher.Dispatcher):
        raise ArgumentError(f"{about}: f must be compiled by numba.njit; pure_callback calls any function")
    for k, arg in enumerate(args):
        leaf_type(arg, lambda k=k: f"{about}: argument {k}")  # type: ignore[misc]
    return _call(f, about, result_shape_dtypes, args, vectorized, native=True)


def _call(f: Any, about: str, declared: Any, args: tuple[Any, ...], vectorized: bool, native: bool) -> Any:
    shapes, out_spec = flatten(declared)
    types = tuple([_declared(about, shape, out_spec, k) for k, shape in enumerate(shapes)])
    if not types:
        raise ArgumentError(f"{about}: it must have a result, got result_shape_dtypes={declared!r}")
    leaves, in_spec = flatten(list(args))
    inputs = [leaf_type(leaf, lambda k=k: f"{about}: {place('args', in_spec, k)}") for k, leaf in enumerate(leaves)]  # type: ignore[misc]

    def apply(*arrays: Any) -> list[Any]:
        results, found = flatten(f(*unflatten(in_spec, arrays)))
        if found != out_spec:
            difference = structure_difference("result", ("it returned", found), ("it was declared as", out_spec))
            raise ArgumentError(f"{about}: {difference}")
        for k, result in enumerate(results):
            leaf_type(result, lambda k=k: f"{about}: {place('result', found, k)}")  # type: ignore[misc]
        return results

    compile, sequential = None, True
    if native:
        _kernel.check_result(f, about, inputs, types)
        compile = partial(_kernel.compile_numba, f, about)
        sequential = bool(f.targetoptions.get("parallel"))  # Numba's pool cannot be entered from one of its threads
    foreign = Foreign(getattr(f, "__name__", "f"), about, apply, compile, sequential)
    return unflatten(out_spec, foreign_call(foreign, types, vectorized, *leaves))


def _declared(about: str, leaf: Any, spec: TreeSpec, k: int) -> ArrayType:
    """The type that a leaf of the declaration means."""
    if isinstance(leaf, np.dtype | type):
        return ArrayType((), canonical_dtype(leaf))
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
        return ArrayType(tuple(leaf.shape), canonical_dtype(leaf.dtype))
    if isinstance(leaf, bool | int | float):
        return typeof(leaf).strong()
    raise ArgumentError(
        f"{about}: {place('result_shape_dtypes', spec, k)} must have a shape and a dtype, such as "
        f"ShapeDtypeStruct((3,), float), got {describe(leaf)}"
    )
