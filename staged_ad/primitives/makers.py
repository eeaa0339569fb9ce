"""Makers: they derive the rules of a primitive from the few that are its own.

Invariant: operands of a primitive have one shape; a Python number among them stands for a literal of
the type of its partner. Start at ``elementwise``; ``scale`` is the product in all tangents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import DTypeError, ShapeError
from staged_ad.ir import PRIMITIVES, ArrayType, Linear, Literal, Primitive, Stack, filled, type_of
from staged_ad.ir.lowerings import Map
from staged_ad.ir.primitive import Pair, not_linear
from staged_ad.ir.types import BOOL
from staged_ad.tracing import Tracer, bind

Partial = Callable[..., Any] | float | None
"""A partial derivative: ``(y, *operands, **params) -> array``, the number 1 or -1, or None for zero."""

_KINDS = {"b": "boolean", "i": "integer", "u": "unsigned integer", "f": "floating-point", "c": "complex"}


def check_kind(name: str, dtype: np.dtype[Any], kinds: str) -> None:
    """Raises DTypeError where the operation `name` does not take operands of `dtype`."""
    if dtype.kind in kinds:
        return
    known = [word for letter, word in _KINDS.items() if letter in kinds.replace("iu", "i")]
    advice = ""
    if dtype.kind == "c":
        advice = "; write z.real, z.imag, abs(z) or np.angle(z)"
        if name in _ORDERING:
            advice = f": complex numbers have no order{advice}"
    raise DTypeError(f"{name} needs {' or '.join(known)} operands, got {dtype}{advice}")


_ORDERING = {"lt", "le", "gt", "ge", "maximum", "minimum", "reduce_max", "reduce_min", "argmax", "argmin", "sort"}
_ORDERING |= {"argsort", "searchsorted", "cummax", "cummin"}


def typeof(value: Any) -> ArrayType:
    return value.type if isinstance(value, Tracer | Literal | Linear | Stack) else type_of(value)


class Operation:
    """A primitive as a function of values. Given by its name, it is looked up when first used: rules of two
    families may refer to each other.
    """

    __slots__ = ("_found",)

    def __init__(self, primitive: Primitive | str) -> None:
        self._found = primitive

    @property
    def primitive(self) -> Primitive:
        if isinstance(self._found, str):
            self._found = PRIMITIVES[self._found]
        return self._found

    def __call__(self, *values: Any, **params: Any) -> Any:
        return bind(self.primitive, *_coerced(values), **params)

    def __repr__(self) -> str:
        return self.primitive.name


_NUMBERS = frozenset([int, float, complex])


def _coerced(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Python numbers become literals of the type of the first operand that is not one."""
    for value in values:
        if type(value) in _NUMBERS:
            partner = next(typeof(v) for v in reversed(values) if type(v) not in _NUMBERS)
            return tuple([filled(v, partner) if type(v) in _NUMBERS else v for v in values])
    return values


def unwrapped(value: Any) -> Any:
    """The literal that a traced value stands for; other values as they are."""
    return value.atom if isinstance(value, Tracer) and isinstance(value.atom, Literal) else value


def zeros(type: ArrayType) -> Literal:
    return filled(0, type)


def is_zero(value: Any) -> bool:
    """Whether `value` is a literal that is zero everywhere."""
    atom = value.atom if isinstance(value, Tracer) else value
    return isinstance(atom, Literal) and atom.is_splat and bool(atom.value == 0)


def instantiate(tangent: Any, type: ArrayType) -> Any:
    """A symbolic zero made an actual one."""
    return zeros(type) if tangent is None else tangent


def plus(a: Any, b: Any) -> Any:
    """The sum of two tangents or cotangents that may be symbolic zeros."""
    if a is None or b is None:
        return b if a is None else a
    return _join(a, b) if typeof(a).ragged else add(a, b)


def same_types(name: str, types: Sequence[ArrayType], kinds: str) -> ArrayType:
    """The one type of all operands, which have one shape and dtype."""
    first = types[0]
    for other in types:
        if other.shape != first.shape:
            raise ShapeError(f"{name}: operands have shapes {' and '.join(str(t.shape) for t in types)}")
        if other.dtype != first.dtype:
            raise DTypeError(f"{name}: operands have dtypes {' and '.join(str(t.dtype) for t in types)}")
    check_kind(name, first.dtype, kinds)
    if first.weak and not all(t.weak for t in types):
        return first.strong()
    return first


def batch_elementwise(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    def batch(size: int, values: Sequence[Any], batched: Sequence[bool], **params: Any) -> tuple[Any, bool]:
        return bind(
            primitive(), *[with_batch(size, v, b) for v, b in zip(values, batched, strict=True)], **params
        ), True

    return batch


def with_batch(size: int, value: Any, batched: bool) -> Any:
    """`value` with the batch as axis 0, repeated where it had none."""
    if batched:
        return value
    type, value = typeof(value), unwrapped(value)
    if isinstance(value, Literal) and value.is_splat:
        return Literal(value.value, type.with_shape((size, *type.shape)))
    return _broadcast(value, shape=(size, *type.shape), dims=tuple(range(1, type.ndim + 1)))


def elementwise(
    name: str,
    evaluate: Callable[..., Any],
    emit: Callable[..., Any],
    *partials: Partial,
    kinds: str = "f",
    cost: int = 1,
    result: np.dtype[Any] | None = None,
    transpose: Callable[..., Any] | None = None,
    split: Callable[..., Any] | None = None,
    computes: bool = True,
) -> Operation:
    """An operation on operands of one type, with the partial derivative for each operand.

    `kinds` are the dtype kinds it takes; `result` the dtype of the result if it is not the operands'. Of complex
    operands it is a holomorphic function: its derivative is the same expression as that of real ones. `computes` is
    False where `emit` knows float16 itself.
    """

    def abstract_eval(*types: ArrayType, **params: Any) -> ArrayType:
        type = same_types(name, types, kinds)
        return type if result is None else ArrayType(type.shape, result, type.weak)

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        y = bind(primitive, *primals, **params)
        y_dot = None
        for t, partial in zip(tangents, partials, strict=False):
            if t is None or partial is None:
                continue
            if callable(partial):
                term = scale(t, partial(y, *primals, **params))
            else:
                term = t if partial == 1 else neg(t)
            y_dot = plus(y_dot, term)
        return y, y_dot

    primitive = Primitive(
        name,
        abstract_eval=abstract_eval,
        evaluate=evaluate,
        jvp=jvp,
        transpose=transpose or not_linear(name),
        batch=batch_elementwise(lambda: primitive),
        lower=Map(emit, cost, computes=computes),
        split=split,
    )
    return Operation(primitive)


def structural(
    name: str,
    abstract_eval: Callable[..., ArrayType],
    evaluate: Callable[..., Any],
    transpose: Callable[..., Any],
    batch: Callable[..., Any],
    lower: Any,
) -> Operation:
    """An operation that is linear in its one operand and only moves or adds elements."""

    def jvp(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[Any, Any]:
        (x,), (x_dot,) = primals, tangents
        return bind(primitive, x, **params), bind(primitive, x_dot, **params)

    primitive = Primitive(name, abstract_eval, evaluate, jvp, transpose, batch, lower)
    return Operation(primitive)


def _transpose_sum(*signs: int) -> Callable[..., Any]:
    def transpose(ct: Any, inputs: Sequence[Any]) -> list[Any]:
        return [
            (ct if sign > 0 else neg(ct)) if isinstance(x, Linear) else None
            for x, sign in zip(inputs, signs, strict=True)
        ]

    return transpose


def by_parts(operation: Callable[[], Operation]) -> Callable[..., Pair]:
    """The rule for complex operands of what acts on the real and the imaginary parts alike."""

    def split(*values: Any, **params: Any) -> Pair:
        real, imag = ([v[k] if isinstance(v, Pair) else v for v in values] for k in (0, 1))
        return Pair(operation()(*real, **params), operation()(*imag, **params))

    return split


add: Operation = elementwise(
    "add",
    np.add,
    lambda code, a, b: code.add(a, b),
    1,
    1,
    kinds="iufc",
    transpose=_transpose_sum(1, 1),
    split=by_parts(lambda: add),
)
sub: Operation = elementwise(
    "sub",
    np.subtract,
    lambda code, a, b: code.sub(a, b),
    1,
    -1,
    kinds="iufc",
    transpose=_transpose_sum(1, -1),
    split=by_parts(lambda: sub),
)
neg: Operation = elementwise(
    "neg",
    np.negative,
    lambda code, a: code.neg(a),
    -1,
    kinds="iufc",
    transpose=_transpose_sum(-1),
    split=by_parts(lambda: neg),
)


def _transpose_product(name: str, product: Callable[..., Any]) -> Callable[..., Any]:
    """The transpose rule of an elementwise product, linear in either operand but not in both."""

    def transpose(ct: Any, inputs: Sequence[Any]) -> Any:
        a, b = inputs
        match isinstance(a, Linear), isinstance(b, Linear):
            case True, True:
                return not_linear(name)(ct, inputs)
            case True, False:
                return [product(ct, b), None]
            case _:
                return [None, product(ct, a)]

    return transpose


mul: Operation = elementwise(
    "mul",
    np.multiply,
    lambda code, a, b: code.mul(a, b),
    lambda y, a, b: b,
    lambda y, a, b: a,
    kinds="iufc",
    transpose=_transpose_product("mul", lambda ct, x: mul(ct, x)),
    split=lambda a, b: pair_product(mul, a, b),
)


def pair_product(times: Operation, a: Pair, b: Pair, **params: Any) -> Pair:
    """``a b`` by a bilinear operation on the parts."""
    real = sub(times(a.real, b.real, **params), times(a.imag, b.imag, **params))
    return Pair(real, add(times(a.real, b.imag, **params), times(a.imag, b.real, **params)))


# scale(t, p): the product in which zero is absorbing, 0 * inf = 0 * nan = 0. All products of tangents and
# cotangents with partial derivatives are this one (a "strong zero", cf. Griewank & Walther, sec. 14), so what an
# untaken branch contributes is 0, and the norm has derivative 0 at 0. It is symmetric and linear in each operand.
# Of complex numbers the four products of parts are strong.
def _evaluate_scale(t: Any, p: Any) -> Any:
    if np.iscomplexobj(t):
        t, p = np.asarray(t), np.asarray(p)
        real = _evaluate_scale(t.real, p.real) - _evaluate_scale(t.imag, p.imag)
        whole = np.empty(np.shape(real), t.dtype)
        whole.real, whole.imag = real, _evaluate_scale(t.real, p.imag) + _evaluate_scale(t.imag, p.real)
        return whole[()]
    return np.where((np.equal(t, 0)) | (np.equal(p, 0)), np.zeros((), np.asarray(t).dtype), np.multiply(t, p))


def _jvp_scale(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (t, p), (t_dot, p_dot) = primals, tangents
    y_dot = None if t_dot is None else scale(t_dot, p)
    return scale(t, p), plus(y_dot, None if p_dot is None else scale(p_dot, t))


scale: Operation = Operation(
    Primitive(
        "scale",
        abstract_eval=lambda *types: same_types("scale", types, "fc"),
        evaluate=_evaluate_scale,
        jvp=_jvp_scale,
        transpose=_transpose_product("scale", lambda ct, x: scale(ct, x)),
        batch=batch_elementwise(lambda: scale.primitive),
        lower=Map(lambda code, t, p: code.strong_product(t, p), 3, absorbing=True),
        split=lambda t, p: pair_product(scale, t, p),
    )
)


# select(c, a, b): a where c holds, else b.
def _abstract_select(condition: ArrayType, a: ArrayType, b: ArrayType) -> ArrayType:
    type = same_types("select", [a, b], "biufc")
    if condition.dtype != BOOL or condition.shape != type.shape:
        raise ShapeError(f"select: condition is {condition}, the branches are {a} and {b}")
    return type


def _jvp_select(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    (c, a, b), (_, a_dot, b_dot) = primals, tangents
    if a_dot is None and b_dot is None:
        return select(c, a, b), None
    type = typeof(a).strong()
    return select(c, a, b), select(c, instantiate(a_dot, type), instantiate(b_dot, type))


def _transpose_select(ct: Any, inputs: Sequence[Any]) -> list[Any]:
    c, a, b = inputs
    zero = zeros(typeof(ct))
    return [
        None,
        select(c, ct, zero) if isinstance(a, Linear) else None,
        select(c, zero, ct) if isinstance(b, Linear) else None,
    ]


select: Operation = Operation(
    Primitive(
        "select",
        abstract_eval=_abstract_select,
        evaluate=np.where,
        jvp=_jvp_select,
        transpose=_transpose_select,
        batch=batch_elementwise(lambda: select.primitive),
        lower=Map(lambda code, c, a, b: code.select(c, a, b), computes=False),
        split=by_parts(lambda: select),
    )
)

_broadcast, _join = Operation("broadcast"), Operation("join")
