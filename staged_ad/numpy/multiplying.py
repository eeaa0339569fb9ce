"""Products of NumPy: matmul, dot, tensordot, inner, outer, vdot, einsum. All are dot_general.

Invariant: signatures and axes of the results are NumPy's.
Start at ``matmul``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from staged_ad.errors import ShapeError, UnsupportedError
from staged_ad.ir import filled
from staged_ad.ir.types import BOOL, INT64, check_axis
from staged_ad.numpy.promotion import as_value, common_shape, promote_dtypes, to_dtype, to_shape
from staged_ad.numpy.ufuncs import conjugate, multiply
from staged_ad.primitives.arithmetic import eq
from staged_ad.primitives.makers import select, typeof
from staged_ad.primitives.products import dot_general, free_axes
from staged_ad.primitives.reductions import reduce_sum
from staged_ad.primitives.shaping import iota, reshape, transpose


def _strong(x: Any) -> Any:
    """`x` without the weakness of Python numbers: np.dot and its kin make arrays of them first."""
    value = as_value(x)
    return to_dtype(value, typeof(value).dtype)


def _product(a: Any, b: Any, contract: Any, batch: Any = ((), ())) -> Any:
    a, b = promote_dtypes(a, b)
    if typeof(a).dtype == BOOL:
        counts = dot_general(to_dtype(a, INT64), to_dtype(b, INT64), contract=contract, batch=batch)
        return counts != 0
    return dot_general(a, b, contract=contract, batch=batch)


def _misfit(name: str, a: Any, b: Any) -> ShapeError:
    return ShapeError(f"{name}: shapes {typeof(a).shape} and {typeof(b).shape} do not fit")


def matmul(a: Any, b: Any, keep_weak: bool = False) -> Any:
    """np.matmul: a stack of matrix products over the leading axes."""
    a, b = promote_dtypes(a, b)
    m, n = typeof(a).ndim, typeof(b).ndim
    if m == 0 or n == 0:
        raise ShapeError("matmul: 0-d operands are not allowed; write * instead")
    if typeof(a).shape[-1] != typeof(b).shape[-2 if n > 1 else 0]:
        raise _misfit("matmul", a, b)
    if n == 1:
        return _product(a, b, ((m - 1,), (0,)))
    if m == 1:
        return _product(a, b, ((0,), (n - 2,)))
    if n == 2:
        return _product(a, b, ((m - 1,), (0,)))
    stack = common_shape([typeof(v).with_shape(typeof(v).shape[:-2]) for v in (a, b)])
    a = to_shape(a, (*stack, *typeof(a).shape[-2:]))
    b = to_shape(b, (*stack, *typeof(b).shape[-2:]))
    axes = tuple(range(len(stack)))
    return _product(a, b, ((len(stack) + 1,), (len(stack),)), (axes, axes))


def dot(a: Any, b: Any, out: Any = None) -> Any:
    if out is not None:
        raise UnsupportedError("np.dot(..., out=...) is not supported on traced values")
    a, b = _strong(a), _strong(b)
    m, n = typeof(a).ndim, typeof(b).ndim
    if m == 0 or n == 0:
        return multiply(a, b)
    place = max(n - 2, 0)
    if typeof(a).shape[-1] != typeof(b).shape[place]:
        raise _misfit("dot", a, b)
    return _product(a, b, ((m - 1,), (place,)))


def inner(a: Any, b: Any) -> Any:
    a, b = _strong(a), _strong(b)
    m, n = typeof(a).ndim, typeof(b).ndim
    if m == 0 or n == 0:
        return multiply(a, b)
    if typeof(a).shape[-1] != typeof(b).shape[-1]:
        raise _misfit("inner", a, b)
    return _product(a, b, ((m - 1,), (n - 1,)))


def _ravel(x: Any) -> Any:
    value = _strong(x)
    return reshape(value, shape=(typeof(value).size,))


def outer(a: Any, b: Any, out: Any = None) -> Any:
    if out is not None:
        raise UnsupportedError("np.outer(..., out=...) is not supported on traced values")
    a, b = _ravel(a), _ravel(b)
    return multiply(reshape(a, shape=(typeof(a).size, 1)), b)


def vdot(a: Any, b: Any, /) -> Any:
    first = _ravel(a)
    return dot(conjugate(first) if typeof(first).is_complex else first, _ravel(b))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = _strong(a), _strong(b)
    m, n = typeof(a).ndim, typeof(b).ndim
    if isinstance(axes, int | np.integer):
        left, right = tuple(range(m - int(axes), m)), tuple(range(int(axes)))
    else:
        left, right = (tuple([k] if isinstance(k, int | np.integer) else k) for k in axes)
    left, right = tuple(check_axis(k, m) for k in left), tuple(check_axis(k, n) for k in right)
    if any(len(set(names)) != len(names) for names in (left, right)):
        raise ShapeError(f"tensordot: duplicate axes are not allowed, got axes={axes}")
    if [typeof(a).shape[k] for k in left] != [typeof(b).shape[k] for k in right]:
        raise _misfit("tensordot", a, b)
    return _product(a, b, (left, right))


def einsum(subscripts: str, *operands: Any, **options: Any) -> Any:
    """np.einsum with the subscripts as a string: by pairs of operands, each without the indices that it alone has."""
    options.pop("optimize", None)
    if any(v is not None for v in options.values()):
        raise UnsupportedError(f"np.einsum on traced values does not support {', '.join(options)}")
    values = promote_dtypes(*map(_strong, operands))
    if values and typeof(values[0]).dtype == BOOL:  # sums of booleans are `or`
        counts = einsum(subscripts, *(to_dtype(v, INT64) for v in values))
        return counts != 0
    inputs, output = _parse(subscripts, [typeof(v).ndim for v in values])
    lengths: dict[str, int] = {}
    for labels, value in zip(inputs, values, strict=True):
        for label, n in zip(labels, typeof(value).shape, strict=True):
            if lengths.setdefault(label, n) != n and 1 not in (n, lengths[label]):
                raise ShapeError(f"einsum {subscripts!r}: label {label!r} has lengths {lengths[label]} and {n}")
            if n != 1:
                lengths[label] = n
    if any(label not in lengths for label in output):
        raise ShapeError(f"einsum {subscripts!r}: the output has a label that no operand has")
    if any(n == 0 for label, n in lengths.items() if label not in output):  # sums of nothing, whatever else is infinite
        return np.zeros([lengths[label] for label in output], typeof(values[0]).dtype)[()]
    terms = [
        _without_repeats(to_shape(v, tuple(lengths[c] for c in labels)), labels)
        for labels, v in zip(inputs, values, strict=True)
    ]
    while len(terms) > 1:
        i, j = _cheapest_pair([labels for _, labels in terms], lengths)
        b, a = terms.pop(j), terms.pop(i)
        needed = set(output).union(*(labels for _, labels in terms))
        terms.append(_contract(a, b, needed))
    value, labels = _summed(terms[0], set(output))
    return transpose(value, permutation=tuple(labels.index(label) for label in output))


def _parse(subscripts: str, ndims: Sequence[int]) -> tuple[list[str], str]:
    """Labels of each operand and of the output; an ellipsis becomes labels of its own."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    wrong = next((c for c in (left + right).replace("...", "") if not (c.isascii() and c.isalpha()) and c != ","), None)
    if wrong is not None:
        raise ShapeError(f"einsum {subscripts!r}: invalid subscript {wrong!r}; labels are letters")
    if len(set(right.replace("...", ""))) < len(right.replace("...", "")):
        raise ShapeError(f"einsum {subscripts!r}: the output names a label twice")
    parts = left.split(",")
    if len(parts) != len(ndims):
        raise ShapeError(f"einsum {subscripts!r}: {len(parts)} operands in the subscripts, {len(ndims)} given")
    hidden = max((n - len(p.replace("...", "")) for p, n in zip(parts, ndims, strict=True) if "..." in p), default=0)
    names = "".join(chr(0x3B1 + k) for k in range(hidden))
    inputs = []
    for part, ndim in zip(parts, ndims, strict=True):
        width = ndim - len(part.replace("...", ""))
        labels = part.replace("...", names[hidden - width :]) if "..." in part else part
        if len(labels) != ndim:
            raise ShapeError(f"einsum {subscripts!r}: operand {part!r} has {ndim} dimensions")
        inputs.append(labels)
    if arrow:
        return inputs, right.replace("...", names)
    everything = "".join(inputs)
    once = sorted(c for c in set(everything) if everything.count(c) == 1 and c not in names)
    return inputs, names + "".join(once)


def _without_repeats(value: Any, labels: str) -> tuple[Any, str]:
    """Diagonals: a label that repeats is kept once."""
    while len(set(labels)) < len(labels):
        second = next(k for k, c in enumerate(labels) if c in labels[:k])
        first = labels.index(labels[second])
        type = typeof(value)
        on_diagonal = eq(
            iota(type.shape, np.int64, first, near=(value,)), iota(type.shape, np.int64, second, near=(value,))
        )
        value = reduce_sum(select(on_diagonal, value, filled(0, type)), axes=(second,))
        labels = labels[:second] + labels[second + 1 :]
    return value, labels


def _cheapest_pair(terms: Sequence[str], lengths: dict[str, int]) -> tuple[int, int]:
    """The pair whose union of labels spans the smallest index space (greedy contraction order)."""

    def cost(pair: tuple[int, int]) -> int:
        size = 1
        for label in set(terms[pair[0]] + terms[pair[1]]):
            size *= lengths[label]
        return size

    return min(((i, j) for j in range(len(terms)) for i in range(j)), key=cost)


def _summed(term: tuple[Any, str], needed: set[str]) -> tuple[Any, str]:
    value, labels = term
    axes = tuple(k for k, label in enumerate(labels) if label not in needed)
    return (reduce_sum(value, axes=axes) if axes else value), "".join(c for c in labels if c in needed)


def _contract(a: tuple[Any, str], b: tuple[Any, str], needed: set[str]) -> tuple[Any, str]:
    (x, left), (y, right) = _summed(a, needed | set(b[1])), _summed(b, needed | set(a[1]))
    shared = [c for c in left if c in right]
    batch = [c for c in shared if c in needed]
    inside = [c for c in shared if c not in needed]
    pairs = [(tuple(left.index(c) for c in group), tuple(right.index(c) for c in group)) for group in (inside, batch)]
    product = dot_general(x, y, contract=pairs[0], batch=pairs[1])
    free = [left[k] for k in free_axes(len(left), pairs[0][0], pairs[1][0])]
    free += [right[k] for k in free_axes(len(right), pairs[0][1], pairs[1][1])]
    return product, "".join([*batch, *free])


FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.matmul: matmul,
    np.dot: dot,
    np.inner: inner,
    np.outer: outer,
    np.vdot: vdot,
    np.tensordot: tensordot,
    np.einsum: einsum,
}
METHODS: dict[str, Callable[..., Any]] = {"dot": dot}
