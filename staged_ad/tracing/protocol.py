"""The NumPy protocols of a tracer: ufuncs, array functions, operators, methods.

Invariant: every operation a tracer offers is looked up in one ``Operations`` table, which
``staged_ad/numpy`` fills; what is not in the table raises and says so.
Start at ``ArrayProtocol``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from staged_ad.errors import ConcretizationError, MutationError, ShapeError, UnsupportedError
from staged_ad.tracing.source import location, user_source


@dataclass(frozen=True)
class Operations:
    """What can be done with a tracer.

    operators
        by the name of the Python operator without underscores ('add', 'getitem', ...).

    Methods
    -------
        array methods and properties by name ('sum', 'T', ...); the tracer is the first argument.
    functions
        by the NumPy or SciPy callable itself, ufuncs included.
    """

    operators: dict[str, Callable[..., Any]] = field(default_factory=dict)
    methods: dict[str, Callable[..., Any]] = field(default_factory=dict)
    properties: dict[str, Callable[..., Any]] = field(default_factory=dict)
    functions: dict[Callable[..., Any], Callable[..., Any]] = field(default_factory=dict)


OPERATIONS = Operations()


def _binary(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def forward(self: ArrayProtocol, other: Any) -> Any:
        return OPERATIONS.operators[name](self, other)

    def reflected(self: ArrayProtocol, other: Any) -> Any:
        return OPERATIONS.operators[name](other, self)

    return forward, reflected


def _unary(name: str) -> Callable[..., Any]:
    def operator(self: ArrayProtocol) -> Any:
        return OPERATIONS.operators[name](self)

    return operator


def concretization_error(kind: str, advice: str, tracer: Any) -> ConcretizationError:
    return ConcretizationError(
        f"{kind} of a traced value is not known while the function is traced (value of type {tracer.type}, "
        f"at {location(user_source())}). {advice}"
    )


def no_single_value(kind: str, advice: str, tracer: Any) -> ConcretizationError:
    return ConcretizationError(
        f"{kind} of a traced value is not one number here (value of type {tracer.type}, at "
        f"{location(user_source())}): it differs between the slices of a vmap, the iterations of a staged loop, or the "
        f"points at which a linear function will be used. {advice}"
    )


class ArrayProtocol:
    """Base of Tracer: makes it behave as an ndarray does, by looking operations up in OPERATIONS."""

    __slots__ = ()
    __array_priority__ = 1000

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("sub")
    __mul__, __rmul__ = _binary("mul")
    __truediv__, __rtruediv__ = _binary("truediv")
    __floordiv__, __rfloordiv__ = _binary("floordiv")
    __mod__, __rmod__ = _binary("mod")
    __divmod__, __rdivmod__ = _binary("divmod")
    __pow__, __rpow__ = _binary("pow")
    __matmul__, __rmatmul__ = _binary("matmul")
    __and__, __rand__ = _binary("and")
    __or__, __ror__ = _binary("or")
    __xor__, __rxor__ = _binary("xor")
    __lshift__, __rlshift__ = _binary("lshift")
    __rshift__, __rrshift__ = _binary("rshift")
    __lt__, __gt__ = _binary("lt")
    __le__, __ge__ = _binary("le")
    __eq__ = _binary("eq")[0]
    __ne__ = _binary("ne")[0]
    __neg__, __pos__, __abs__, __invert__ = map(_unary, ("neg", "pos", "abs", "invert"))
    __hash__ = None  # type: ignore[assignment]  # as for ndarray

    def __getitem__(self, index: Any) -> Any:
        return OPERATIONS.operators["getitem"](self, index)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise MutationError(
            f"a traced array cannot be assigned to in place (at {location(user_source())}). Build the new array "
            "instead: np.where(mask, value, x) for a mask, np.concatenate([x[:i], value, x[i+1:]]) for a slice"
        )

    def __len__(self) -> int:
        shape = self.shape
        if not shape:
            raise TypeError("len() of unsized object")
        return int(shape[0])

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[k] for k in range(len(self)))

    def __bool__(self) -> bool:
        if self.size != 1:
            count = "an array with more than one element" if self.size else "an empty array"
            advice = "a.any() or a.all()" if self.size else "`array.size > 0` to check that an array is not empty"
            raise ShapeError(
                f"The truth value of {count} is ambiguous. Use {advice} (at {location(user_source())}, value of type "
                f"{self.type})"
            )
        found = self.trace.concretize(self, bool)
        if found is None:
            raise no_single_value(
                "the truth value",
                "Write np.where(condition, a, b) or staged_ad.cond instead of `if`, staged_ad.while_loop instead of "
                "`while`, np.minimum and np.maximum instead of min and max, and & | ~ instead of `and`, `or`, `not`",
                self,
            )
        return bool(found)

    def __float__(self) -> float:
        raise concretization_error(
            "float()",
            "Leave the float() away, and write np.sin for math.sin: traced 0-d arrays work as numbers. If a traced "
            "value is assigned to an element of an array, as in y[0] = x, make the array of its parts: "
            "np.stack([...]) or np.concatenate([...])",
            self,
        )

    def __int__(self) -> int:
        if self.shape:
            raise ConcretizationError(
                f"only 0-dimensional arrays can be converted to Python scalars (value of type {self.type}, at "
                f"{location(user_source())})"
            )
        return self._integer("int()", "Write x.astype(int) where the number is used in a computation")

    def __index__(self) -> int:
        if self.shape or self.dtype.kind not in "iu":
            raise ConcretizationError(
                f"only integer scalar arrays can be converted to a scalar index (value of type {self.type}, at "
                f"{location(user_source())}); write int(x) for a number of another type"
            )
        return self._integer(
            "the integer",
            "Write staged_ad.fori_loop instead of `for k in range(n)`; as a length or an axis, pass it as a static "
            "argument (jit(f, static_argnums=...)) or compute it from shapes",
        )

    def _integer(self, kind: str, advice: str) -> int:
        found = self.trace.concretize(self, int)
        if found is None:
            raise no_single_value(kind, advice, self)
        return int(found)

    def __complex__(self) -> complex:
        raise concretization_error("complex()", "Complex numbers are not supported", self)

    def item(self) -> NoReturn:
        raise concretization_error("item()", "Leave the .item() away: traced 0-d arrays work as numbers", self)

    def tolist(self) -> NoReturn:
        raise concretization_error("tolist()", "Iterate over the traced array instead: [row for row in x]", self)

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise concretization_error(
            "the contents",
            "If a NumPy array is indexed by traced integers, as in a[i]: write staged_ad.numpy.asarray(a)[i] or "
            "staged_ad.numpy.take(a, i), or in a loop scan over the array, scan(f, init, a). If a traced value is "
            "assigned, as in a[i] = x: write staged_ad.numpy.at(a)[i].set(x). np.array and np.asarray cannot hold "
            "traced values: write staged_ad.numpy.array(...), or np.stack([...]) for a list of traced values; for a "
            "library that is not NumPy or scipy.special, the computation must stay outside",
            self,
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if method != "__call__":
            raise UnsupportedError(
                f"np.{ufunc.__name__}.{method} is not supported on traced values (at {location(user_source())}); "
                "for reduce write np.sum, np.prod, np.max or np.min"
            )
        if isinstance(out, tuple) and any(x is y for x in out for y in inputs):
            raise MutationError(
                f"an array cannot be changed in place by a traced value (at {location(user_source())}): instead of "
                "y += x write y = y + x"
            )
        if out is not None or kwargs.get("where", True) is not True:
            name = "out" if out is not None else "where"
            raise UnsupportedError(
                f"np.{ufunc.__name__}(..., {name}=...) is not supported on traced values (at "
                f"{location(user_source())}); write y = np.{ufunc.__name__}(...), and np.where for a mask"
            )
        kwargs.pop("where", None)
        return _lookup(ufunc, ufunc.__name__)(*inputs, **kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return _lookup(function, f"{function.__module__}.{function.__name__}")(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name in OPERATIONS.properties:
            return OPERATIONS.properties[name](self)
        if name in OPERATIONS.methods:
            method = OPERATIONS.methods[name]
            return lambda *args, **kwargs: method(self, *args, **kwargs)
        raise AttributeError(
            f"a traced array has no attribute {name!r}"
            + (", although ndarray has: it is not supported" if hasattr(np.ndarray, name) else "")
        )


def _lookup(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    found = OPERATIONS.functions.get(function)
    if found is None:
        raise UnsupportedError(f"{name} is not supported on traced values (at {location(user_source())})")
    return found
