"""Complex numbers and their parts: complex, real, imag, conj, the modulus and the phase.

These are linear over the real numbers only. Tangents and cotangents of a complex value are complex, and the pairing
of the two is ``Re(sum(ct * t))``, without conjugation: transposes of what is linear over the complex numbers are
plain transposes, and the gradient of a real function of z = x + iy is ``df/dx - i df/dy``; see docs/complex.md.

Invariant: of each operation the transpose is its adjoint in that pairing.
Start anywhere: each declaration stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from staged_ad.ir import ArrayType, Primitive
from staged_ad.ir.lowerings import Kernel, Map
from staged_ad.ir.primitive import Pair, not_linear
from staged_ad.ir.types import complex_dtype_of
from staged_ad.primitives import pairs
from staged_ad.primitives.arithmetic import div, eq
from staged_ad.primitives.makers import (
    Operation,
    batch_elementwise,
    check_kind,
    instantiate,
    neg,
    same_types,
    scale,
    select,
    typeof,
    zeros,
)


def _no_code(name: str) -> Map:
    def emit(code: Any, *values: Any) -> Any:
        raise AssertionError(f"{name} has been split into real operations")

    return Map(emit)


def _part(name: str, evaluate: Callable[..., Any], transpose: Callable[..., Any], split: Any) -> Operation:
    """A linear map from complex to real numbers."""

    def abstract_eval(z: ArrayType) -> ArrayType:
        check_kind(name, z.dtype, "c")
        return z.real

    operation = Operation(
        Primitive(
            name,
            abstract_eval=abstract_eval,
            evaluate=evaluate,
            jvp=lambda primals, tangents: (operation(primals[0]), operation(tangents[0])),
            transpose=transpose,
            batch=batch_elementwise(lambda: operation.primitive),
            lower=_no_code(name),
            split=split,
        )
    )
    return operation


def _zero_like(x: Any) -> Any:
    return zeros(typeof(x).strong())


real: Operation = _part(
    "real", lambda z: np.array(np.real(z))[()], lambda ct, inputs: [complex_(ct, _zero_like(ct))], lambda z: z.real
)
imag: Operation = _part(
    "imag", lambda z: np.array(np.imag(z))[()], lambda ct, inputs: [complex_(_zero_like(ct), neg(ct))], lambda z: z.imag
)


# complex(a, b) = a + ib.
def _abstract_complex(a: ArrayType, b: ArrayType) -> ArrayType:
    type = same_types("complex", [a, b], "f")
    return type.with_dtype(complex_dtype_of(type.dtype), type.weak)


def _evaluate_complex(a: Any, b: Any) -> Any:
    whole = np.empty(np.shape(a), complex_dtype_of(np.asarray(a).dtype))
    whole.real, whole.imag = a, b
    return whole[()]


def _jvp_complex(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    dots = [instantiate(t, typeof(x).strong()) for t, x in zip(tangents, primals, strict=True)]
    return complex_(*primals), complex_(*dots)


def _transpose_complex(ct: Any, inputs: Sequence[Any]) -> list[Any]:
    return [real(ct), neg(imag(ct))]


complex_: Operation = Operation(
    Primitive(
        "complex",
        abstract_eval=_abstract_complex,
        evaluate=_evaluate_complex,
        jvp=_jvp_complex,
        transpose=_transpose_complex,
        batch=batch_elementwise(lambda: complex_.primitive),
        lower=_no_code("complex"),
        split=Pair,
    )
)


def _complex_to(
    name: str,
    evaluate: Callable[..., Any],
    jvp: Callable[..., Any],
    split: Callable[..., Any],
    transpose: Callable[..., Any] | None = None,
    to_real: bool = False,
) -> Operation:
    def abstract_eval(z: ArrayType) -> ArrayType:
        check_kind(name, z.dtype, "c")
        return z.real if to_real else z

    operation = Operation(
        Primitive(
            name,
            abstract_eval=abstract_eval,
            evaluate=evaluate,
            jvp=jvp,
            transpose=transpose or not_linear(name),
            batch=batch_elementwise(lambda: operation.primitive),
            lower=_no_code(name),
            split=split,
        )
    )
    return operation


conj: Operation = _complex_to(
    "conj",
    np.conjugate,
    lambda primals, tangents: (conj(primals[0]), conj(tangents[0])),
    pairs.conjugate,
    lambda ct, inputs: [conj(ct)],
)


def _along(t: Any, direction: Any) -> Any:
    """``conj(direction) t``: its real part is how fast the modulus grows along t, its imaginary part how z turns."""
    return scale(t, conj(direction))


def _jvp_modulus(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (z,), (z_dot,) = primals, tangents
    return modulus(z), real(_along(z_dot, phase(z)))


def _jvp_phase(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``i s Im(conj(s) t) / |z|``, and 0 at 0."""
    (z,), (z_dot,) = primals, tangents
    s, size = phase(z), modulus(z)
    nothing = eq(size, 0.0)
    inverse = select(nothing, zeros(typeof(size)), div(1.0, size))
    turn = scale(imag(_along(z_dot, s)), inverse)
    return s, scale(complex_(_zero_like(turn), turn), s)


modulus: Operation = _complex_to("complex_abs", np.abs, _jvp_modulus, pairs.modulus, to_real=True)  # derivative 0 at 0
phase: Operation = _complex_to("complex_sign", np.sign, _jvp_phase, pairs.phase)


# interleaved(*operands, of, operands, params): the operation `of` of a Kernel, where complex arrays are real ones with
# the two parts along a last axis; `operands` are flags. It stands in programs only after all transforms.
def interleaved_type(type: ArrayType) -> ArrayType:
    """c128[s] as f64[s, 2]."""
    return ArrayType((*type.shape, 2), type.real.dtype) if type.is_complex else type


def _complex_types(types: Sequence[ArrayType], operands: Sequence[bool]) -> list[ArrayType]:
    return [
        ArrayType(type.shape[:-1], complex_dtype_of(type.dtype)) if flag else type
        for type, flag in zip(types, operands, strict=True)
    ]


def _results(of: Primitive, types: Sequence[ArrayType], params: Any) -> list[ArrayType]:
    found = of.abstract_eval(*types, **dict(params))
    return list(found) if of.multiple_results else [found]


def _abstract_interleaved(
    *types: ArrayType, of: Primitive, operands: tuple[bool, ...], params: tuple[tuple[str, Any], ...]
) -> list[ArrayType]:
    return [interleaved_type(type) for type in _results(of, _complex_types(types, operands), params)]


def _evaluate_interleaved(
    *arrays: Any, of: Primitive, operands: tuple[bool, ...], params: tuple[tuple[str, Any], ...]
) -> list[Any]:
    values = [
        np.ascontiguousarray(x).view(complex_dtype_of(x.dtype))[..., 0] if flag else x
        for x, flag in zip(arrays, operands, strict=True)
    ]
    found = of.evaluate(*values, **dict(params))
    return [
        np.stack([y.real, y.imag], axis=-1) if np.iscomplexobj(y) else y
        for y in (found if of.multiple_results else [found])
    ]


def _emit_interleaved(kernel: Any, *, of: Primitive, operands: tuple[bool, ...], params: Any) -> None:
    """The code of the operation itself, which sees buffers of complex numbers."""
    types = _complex_types([buffer.type for buffer in kernel.inputs], operands)
    results = _results(of, types, params)
    kernel.inputs = tuple([replace(buffer, type=type) for buffer, type in zip(kernel.inputs, types, strict=True)])
    kernel.outputs = tuple([replace(buffer, type=type) for buffer, type in zip(kernel.outputs, results, strict=True)])
    assert isinstance(of.lower, Kernel)
    of.lower.emit(kernel, **dict(params))


def _of_the_operation(name: str) -> Callable[..., Any]:
    def function(*types: ArrayType, of: Primitive, operands: tuple[bool, ...], params: Any) -> Any:
        return getattr(of.lower, name)(*_complex_types(types, operands), **dict(params))

    return function


def _flag_of_the_operation(name: str) -> Callable[..., bool]:
    return lambda of, operands, params: getattr(of.lower, name)(**dict(params))


def _no_rule(*values: Any, **params: Any) -> Any:
    raise AssertionError("complex numbers are interleaved after all transforms")


interleaved: Primitive = Primitive(
    "interleaved",
    abstract_eval=_abstract_interleaved,
    evaluate=_evaluate_interleaved,
    jvp=_no_rule,
    transpose=not_linear("interleaved"),
    batch=_no_rule,
    lower=Kernel(
        _emit_interleaved,
        items=_of_the_operation("items"),
        scratch=_of_the_operation("scratch"),
        cost=_of_the_operation("cost"),
        unbounded=_flag_of_the_operation("unbounded"),
        sequential=_flag_of_the_operation("sequential"),
        fails=_flag_of_the_operation("fails"),
    ),
    multiple_results=True,
)
