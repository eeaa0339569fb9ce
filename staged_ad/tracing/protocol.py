"""The NumPy protocols of a tracer: ufuncs, array functions, operators, methods.

Invariant: every operation a tracer offers is looked up in one ``Operations`` table, which
``staged_ad/numpy`` fills; what is not in the table raises and says so.
Start at ``ArrayProtocol``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from inspect import Parameter, signature
from numbers import Number
from typing import Any

import numpy as np

from staged_ad.errors import ArgumentError, DTypeError, MutationError, ShapeError, UnsupportedError
from staged_ad.ir.types import is_other_kind
from staged_ad.tracing.advice import concretization_error, missing_attribute, refuse_shuffling
from staged_ad.tracing.axisless import OF_PYTHON, gives_arrays, is_number, number, numbers, passes_for_number, repeating
from staged_ad.tracing.numbers import NumberProtocol
from staged_ad.tracing.operations import OPERATIONS as OPERATIONS
from staged_ad.tracing.operations import Deferring
from staged_ad.tracing.refusals import PLAIN, called, not_ours, raise_located
from staged_ad.tracing.sharing import apart, ordered_as, ordered_by, ordered_by_index, view_of, views_of
from staged_ad.tracing.views import is_basic, same_index, without_tracers, write


def _binary(name: str, by_element: bool = True) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def apply(*operands: Any) -> Any:
        found = OPERATIONS.operators[name](*operands)
        return ordered_as(found, operands) if by_element else found

    def forward(self: ArrayProtocol, other: Any, *modulus: Any) -> Any:
        if any(number is not None for number in modulus):
            raise ArgumentError("pow(x, n, m) of a traced value: NumPy has no powers by a modulus; write x**n % m")
        return NotImplemented if _is_left_to(other, f"__r{name}__") else apply(self, other)

    def reflected(self: ArrayProtocol, other: Any, *modulus: Any) -> Any:
        return apply(other, self)

    return forward, reflected


def _is_left_to(other: Any, reflected: str = "") -> bool:
    """Whether an operation is that of the other operand: of np.polynomial, a sparse matrix, a class of the user's."""
    kind = type(other)
    if kind is np.ndarray or kind is float or isinstance(other, NumberProtocol):
        return False
    if isinstance(other, Deferring) or getattr(kind, "__array_ufunc__", True) is None or hasattr(kind, "tocsr"):
        return True
    if isinstance(other, np.ndarray):
        return not is_other_kind(other) and getattr(kind, reflected, None) is not getattr(np.ndarray, reflected, None)
    return hasattr(kind, reflected) and not hasattr(kind, "__array__") and not isinstance(other, _OPERANDS)


_OPERANDS = (Number, str, bytes, list, tuple, set, dict)
"""Kinds of operands with operators of their own that have no say beside an array."""


def _equality(name: str) -> Callable[..., Any]:
    def operator(self: ArrayProtocol, other: Any) -> Any:
        if other is None or isinstance(other, str | dict):  # no array equals these: if x == None, if mode == "same"
            return np.full(self.shape, name == "ne")[()]
        if _is_left_to(other):
            return NotImplemented
        return OPERATIONS.operators[name](self, other)

    return operator


def _attribute(name: str) -> property:
    """One that can be assigned to: z.real = x."""

    def get(self: Any) -> Any:
        return self.__getattr__(name)

    def assign(self: Any, value: Any) -> None:
        view = value.window if isinstance(value, ArrayProtocol) else None
        if view is None or view.base is not self or view.index != name:  # else z.real += x ends so
            found = get(self)
            if isinstance(found, np.ndarray | np.generic | int | float):  # the imaginary parts of real numbers
                raise DTypeError(f"{self.type} has no parts to set; write y = y + 0j before")
            found[...] = value

    return property(get, assign)


def _unary(name: str) -> Callable[..., Any]:
    def operator(self: ArrayProtocol) -> Any:
        return ordered_as(numbers(apart(OPERATIONS.operators[name](self), (self,))), (self,))

    return operator


def _in_place(name: str) -> Callable[..., Any]:
    def operator(self: Any, other: Any) -> Any:
        if isinstance(other, Deferring) or passes_for_number(self):
            return NotImplemented  # the name is bound to a new value
        self.check_writable()
        return _into(self, OPERATIONS.operators[name](self, other), name)

    return operator


class ArrayProtocol(NumberProtocol):
    """Base of Tracer: makes it behave as an ndarray does, by looking operations up in OPERATIONS."""

    __slots__ = ()
    __array_priority__ = 1000

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("sub")
    __mul__, __rmul__ = repeating(*_binary("mul"))
    __truediv__, __rtruediv__ = _binary("truediv")
    __floordiv__, __rfloordiv__ = _binary("floordiv")
    __mod__, __rmod__ = _binary("mod")
    __divmod__, __rdivmod__ = _binary("divmod")
    __pow__, __rpow__ = _binary("pow")
    __matmul__, __rmatmul__ = _binary("matmul", by_element=False)
    __and__, __rand__ = _binary("and")
    __or__, __ror__ = _binary("or")
    __xor__, __rxor__ = _binary("xor")
    __lshift__, __rlshift__ = _binary("lshift")
    __rshift__, __rrshift__ = _binary("rshift")
    __lt__, __le__, __gt__, __ge__ = (_binary(name)[0] for name in ("lt", "le", "gt", "ge"))
    __eq__, __ne__ = map(_equality, ("eq", "ne"))
    __neg__, __pos__, __abs__, __invert__ = map(_unary, ("neg", "pos", "abs", "invert"))
    __iadd__, __isub__, __imul__, __itruediv__ = map(_in_place, ("add", "sub", "mul", "truediv"))
    __ifloordiv__, __imod__, __ipow__, __imatmul__ = map(_in_place, ("floordiv", "mod", "pow", "matmul"))
    __iand__, __ior__, __ixor__, __ilshift__, __irshift__ = map(_in_place, ("and", "or", "xor", "lshift", "rshift"))
    real, imag, flat = map(_attribute, ("real", "imag", "flat"))

    def __hash__(self) -> int:
        raise ArgumentError(
            "unhashable type: a traced array is no key of a dict, no element of a set and no argument of a cached "
            "function (functools.lru_cache), as an ndarray is not"
        )

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise ArgumentError(
            "a traced array cannot be pickled, as what another process computes with it has no derivative here: pass "
            "numbers to processes outside of the traced function, or use staged_ad.vmap"
        )

    def __getitem__(self, index: Any) -> Any:
        getitem = OPERATIONS.operators["getitem"]
        found = getitem(self, index)
        if isinstance(found, Deferring):
            return found
        if not is_basic(index, self.ndim):
            found = ordered_by_index(apart(found, (self,)), self, index)
            parts = index if isinstance(index, tuple) else (index,)
            return numbers(found, False) if any(part is Ellipsis for part in parts) else number(found)
        known = without_tracers(index)

        def look(base: Any) -> Any:
            return base[known] if isinstance(base, np.ndarray) else getitem(base, index)

        put = lambda base, new: OPERATIONS.operators["setitem"](base, index, new)
        return numbers(view_of(found, self, look, put, index), False)  # of a number, too, x[...] is an array

    def __setitem__(self: Any, index: Any, value: Any) -> None:
        self.check_writable()
        view = value.window if isinstance(value, ArrayProtocol) else None
        if view is not None and view.base is self:
            if same_index(view.index, index):
                return  # x[i] += y ends so: the elements are there already
            refuse_shuffling()
        write(self, OPERATIONS.operators["setitem"](self, index, value))

    def __delitem__(self: Any, index: Any) -> None:
        raise MutationError("cannot delete array elements: write x = np.delete(x, index), or a slice of what is kept")

    def __copy__(self) -> Any:
        return self.handle()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.handle()

    def __format__(self: Any, spec: str) -> str:
        if self.array is not None:
            return format(self.array[()], spec)
        if not spec:
            return repr(self)
        raise concretization_error(
            "the text", "Print values outside of the traced function, or by staged_ad.pure_callback", self
        )

    def __len__(self) -> int:
        shape = self.shape
        if not shape:
            raise ArgumentError("len() of unsized object: an array without axes")
        return int(shape[0])

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise ArgumentError("iteration over a 0-d array")
        return (self[k] for k in range(len(self)))

    def __contains__(self: Any, element: Any) -> bool:
        if is_number(self):
            raise ArgumentError("`in` looks into arrays, and this is a number: compare it by ==")
        return bool((self == element).any())

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        try:
            return self._applied(ufunc, method, *inputs, **kwargs)
        except PLAIN as error:
            raise_located(error, called(ufunc))
            raise

    def _applied(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if method == "at":
            return _change(partial(OPERATIONS.operators["at"], ufunc), f"{called(ufunc)}.at", inputs, kwargs)
        if any(isinstance(x, Deferring) for x in inputs):
            return NotImplemented
        if method != "__call__":
            found = OPERATIONS.ufunc_methods.get(method)
            if found is None:
                raise UnsupportedError(f"{called(ufunc)}.{method} is not supported on traced values")
            if ufunc in (np.add, np.subtract, np.multiply):
                kwargs = _computed_in(out, kwargs, inputs[0])
            if out is not None and inputs[0] is not self and sys._getframe(2).f_code.co_name in ("_mean", "_var"):
                raise UnsupportedError(
                    "x.mean(out=...) and its like of a NumPy array cannot write into a traced one; "
                    "write y[...] = x.mean(...), or np.mean(x, out=y)"
                )
            results = numbers(apart(found(ufunc, *inputs, **kwargs), inputs))
            if method in OPERATIONS.laid_out:
                results = ordered_by(getattr(ufunc, method), results, inputs, kwargs)
            return results if out is None else _into_all(out, results, f"{called(ufunc)}.{method}")
        where = kwargs.pop("where", True)
        if where is not True and out is None:
            raise UnsupportedError(
                f"{called(ufunc)}(..., where=...) without out= leaves elements that nobody has set; "
                "write np.where for a mask"
            )
        if other := [option for option in ("order", "subok", "signature") if option in kwargs]:
            raise UnsupportedError(
                f"{called(ufunc)}(..., {other[0]}=...) is not supported on traced values; "
                "write dtype= to compute in a dtype, np.asfortranarray for an order"
            )
        dtype, casting = kwargs.pop("dtype", None), kwargs.pop("casting", "same_kind")
        if dtype is not None or casting != "same_kind":
            inputs = OPERATIONS.ufunc_methods["cast_operands"](ufunc, inputs, dtype, casting)
        results = numbers(apart(_lookup(ufunc)(*inputs, **kwargs), inputs))
        if ufunc.signature is None:
            results = ordered_as(results, inputs)
        return results if out is None else _into_all(out, results, called(ufunc), where, casting)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Deferring) for kind in types):
            return NotImplemented
        try:
            return self._called(function, args, kwargs)
        except UnsupportedError:
            values = _values((args, kwargs))  # NumPy's own function serves where nothing depends on the arguments
            if values is None:
                raise
            return function(*values[0], **values[1])
        except PLAIN as error:
            raise_located(error, called(function))
            raise

    def _called(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if function in OPERATIONS.changes:
            return _change(OPERATIONS.changes[function], called(function), args, kwargs)
        operation = _lookup(function)
        args, kwargs = _naming_out(operation, args, kwargs)
        out = kwargs.get("out")
        if out is not None:
            kwargs = {key: value for key, value in kwargs.items() if key != "out"}
            if function in (np.sum, np.prod, np.cumsum, np.cumprod, np.round, np.around):
                kwargs = _computed_in(out, kwargs, args[0] if args else kwargs["a"])
        results = operation(*args, **kwargs)
        if function not in OF_PYTHON:
            results = OPERATIONS.operators["strong"](results)
        if function in OPERATIONS.views and out is None:
            return views_of(function, results, args, kwargs)
        if function in OPERATIONS.same and any(results is x for x in args):
            return results
        results = apart(results, (*args, *kwargs.values()))
        results = numbers(results, not gives_arrays(function, kwargs))
        if function in OPERATIONS.laid_out:
            results = ordered_by(function, results, args, kwargs)
        return results if out is None else _into_all(out, results, called(function))

    def __getattr__(self, name: str) -> Any:
        if name in OPERATIONS.properties:
            found = OPERATIONS.properties[name](self)
            return (
                views_of(lambda base: getattr(base, name), found, (self,), {}, name)
                if name in OPERATIONS.views
                else found
            )
        if name in OPERATIONS.changes:
            return partial(self._method, name, OPERATIONS.changes[name])
        if name in OPERATIONS.methods:
            return partial(self._method, name, OPERATIONS.methods[name])
        if hasattr(np.ndarray, name) and not name.startswith("__") and name not in ("byteswap", "resize", "setfield"):
            known = _values(self)  # a copy, so nothing that may write to it
            if known is not None:
                return getattr(np.asarray(known), name)
        raise missing_attribute(name)

    def _method(self, name: str, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        try:
            (_, *given), kwargs = _naming_out(method, (self, *args), kwargs)
            return self._called_as(name, method, *given, **kwargs)
        except PLAIN as error:
            raise_located(error, f"x.{name}")
            raise

    def _called_as(self, name: str, method: Callable[..., Any], /, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        if name in OPERATIONS.changes:
            return _change(method, name, (self, *args), kwargs)
        if name in ("sum", "prod", "cumsum", "cumprod", "round"):
            kwargs = _computed_in(out, kwargs, self)
        found = method(self, *args, **kwargs)
        if found is self and name in OPERATIONS.same:
            return found
        if name in OPERATIONS.views:
            return views_of(lambda base, *a, **k: getattr(base, name)(*a, **k), found, (self, *args), kwargs, name)
        found = apart(found, (self, *args))
        if name in OPERATIONS.laid_out:
            found = ordered_by(getattr(np.ndarray, name), found, (self, *args), kwargs)
        if name != "copy":
            found = numbers(found, self.number if name in ("astype", "conj", "conjugate") else True)
        return found if out is None else _into_all(out, found, name)


def _lookup(function: Callable[..., Any]) -> Callable[..., Any]:
    found = OPERATIONS.functions.get(function)
    if found is None:
        name, advice = called(function), ""
        if isinstance(function, np.ufunc) and not name.startswith("np."):  # of scipy.special, say
            advice = (
                "; write a function that calls it by staged_ad.pure_callback, and give it a derivative by "
                "staged_ad.custom_jvp"
            )
        raise UnsupportedError(f"{name} is not supported on traced values{advice}")
    return found


@cache
def _positional(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the parameters that may be given by their places."""
    kinds = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(name for name, parameter in signature(function).parameters.items() if parameter.kind in kinds)


def _naming_out(function: Callable[..., Any], args: Sequence[Any], kwargs: Any) -> tuple[Sequence[Any], Any]:
    """The arguments, `dtype`, `out` and those after them by their names."""
    names = _positional(function)
    k = min((names.index(name) for name in ("dtype", "out") if name in names), default=len(names))
    if "out" not in names or not k < len(args) <= len(names):
        return args, kwargs
    return args[:k], {**dict(zip(names[k:], args[k:], strict=False)), **kwargs}


def _change(method: Callable[..., Any], name: str, args: Sequence[Any], kwargs: Any) -> None:
    """What ``np.copyto(x, y)``, ``np.add.at(x, i, y)`` and the like do to their first argument."""
    target, *rest = args
    if not isinstance(target, ArrayProtocol):
        raise not_ours(name)
    target.check_writable()
    write(target, method(target, *rest, **kwargs))


def _computed_in(out: Any, options: dict[str, Any], operand: Any) -> dict[str, Any]:
    """Sums, products and rounded numbers are computed in the dtype of the array that they are written into, if that is
    the wider one.
    """
    target = out[0] if isinstance(out, tuple) else out
    if target is None or options.get("dtype") is not None or not hasattr(operand, "dtype"):
        return options
    return {**options, "dtype": np.result_type(operand.dtype, target.dtype)}


def _into_all(outs: Any, results: Any, name: str, where: Any = True, casting: Any = "same_kind") -> Any:
    """Results written into the arrays that the user gave for them."""
    if not isinstance(outs, tuple):
        return _into(outs, results, name, where, casting)
    if not isinstance(results, tuple):
        return _into(outs[0], results, name, where, casting)
    return tuple(_into(out, result, name, where, casting) for out, result in zip(outs, results, strict=True))


def _into(out: Any, value: Any, name: str, where: Any = True, casting: Any = "same_kind") -> Any:
    if out is None:
        return value
    if not isinstance(out, ArrayProtocol):
        raise not_ours(name)
    target: Any = out
    target.check_writable()
    if not np.can_cast(value.dtype, target.dtype, casting):
        raise DTypeError(
            f"Cannot cast {name} output from {value.dtype!r} to {target.dtype!r} with casting rule {casting!r}; "
            f"write y = y + x instead of y += x, or out= an array of {value.dtype}"
        )
    if np.broadcast_shapes(value.shape, target.shape) != target.shape:
        raise ShapeError(
            f"non-broadcastable output operand with shape {target.shape} doesn't match the broadcast shape "
            f"{value.shape}"
        )
    if where is not True:
        value = np.where(where, value.astype(target.dtype), target)
    write(target, OPERATIONS.operators["setitem"](target, ..., value))
    return target


def _values(arguments: Any) -> Any:
    """The arguments with arrays in the place of tracers; None where one of these depends on a traced function's own."""
    unknown: list[Any] = []

    def known(value: Any) -> Any:
        if isinstance(value, ArrayProtocol):
            found = value.array
            if found is None:
                unknown.append(value)
            return np.array(found)[()]
        if type(value) in (tuple, list):
            return type(value)(map(known, value))
        if type(value) is dict:
            return {key: known(item) for key, item in value.items()}
        return value

    found = known(arguments)
    return None if unknown else found
