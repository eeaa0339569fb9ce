"""HIPS autograd: NumPy runs each operation, nothing is compiled."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy

from bench.libraries.python_loops import cond, fori_loop, scan_with, vmap_with, while_loop
from bench.library import Function, Library, not_offered, returned_as_it_is


def autograd_library(dtype: type = numpy.float64) -> Library:
    """With other than float64, a witness for accuracy rather than a side."""
    import autograd  # here, so that the table can be made without it
    import autograd.numpy as np  # with it, for the same reason
    import autograd.scipy.special as special  # with the others, for the same reason

    def grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
        return autograd.grad(f, argnums)

    def value_and_grad(f: Function, argnums: int | tuple[int, ...] = 0) -> Function:
        return autograd.value_and_grad(f, argnums)

    def hvp(f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        """The gradient of <gradient, tangents>: reverse mode twice, which all of its operations have."""
        everything = tuple(range(len(primals)))
        gradients = [autograd.grad(f, place) for place in everything]

        def along(*x: Any) -> Any:
            return sum(inner_product(np, g(*x), v) for g, v in zip(gradients, tangents, strict=True))

        product = autograd.grad(along, everything)(*primals)
        return product[0] if len(primals) == 1 else product

    def jacfwd(f: Function, argnums: int = 0) -> Function:
        def jacobian(*arguments: Any) -> Any:
            pushforward = autograd.make_jvp(f, argnums)(*arguments)
            directions: Any = numpy.eye(len(arguments[argnums]), dtype=dtype)
            return np.stack([pushforward(direction)[1] for direction in directions], axis=-1)

        return jacobian

    def jacrev(f: Function, argnums: tuple[int, ...]) -> Function:
        jacobians = [autograd.jacobian(f, place) for place in argnums]
        return lambda *arguments: tuple(jacobian(*arguments) for jacobian in jacobians)

    return Library(
        name="autograd",
        np=np,
        special=special,
        jit=returned_as_it_is,
        grad=grad,
        value_and_grad=value_and_grad,
        hvp=hvp,
        jacfwd=jacfwd,
        jacrev=jacrev,
        vmap=not_offered,
        scan=scan_with(np.array),
        while_loop=not_offered,
        fori_loop=not_offered,
        cond=cond,
        array=lambda data: numpy.asarray(data, None if numpy.asarray(data).dtype.kind in "bi" else dtype),
        wait=returned_as_it_is,
        clear_caches=lambda: None,
        compiles=False,
        loops=False,
    )


def witness(dtype: type) -> Library:
    """Autograd with everything that the problems ask, however slow, in this dtype: whose results others are held to."""
    import autograd.numpy as np  # here, so that the table can be made without it
    from autograd.extend import defvjp, primitive  # with it, for the same reason

    def erf_of_arrays(z: Any) -> Any:
        import mpmath  # here, because only this needs it

        with mpmath.workprec(100):
            values = [numpy.longdouble(mpmath.nstr(mpmath.erf(mpmath.mpf(repr_of(x))), 25)) for x in numpy.ravel(z)]
        return numpy.array(values).reshape(numpy.shape(z)).astype(dtype)

    erf = primitive(erf_of_arrays)
    pi = numpy.arccos(dtype(-1))
    defvjp(erf, lambda _, z: lambda g: g * 2 / numpy.sqrt(pi) * np.exp(-(z**2)))
    library = autograd_library(dtype)
    special = library.special if dtype is numpy.float64 else SimpleNamespace(erf=erf)
    return replace(library, special=special, vmap=vmap_with(np.array), while_loop=while_loop, fori_loop=fori_loop)


def repr_of(x: Any) -> str:
    """All digits of an extended float."""
    return numpy.format_float_scientific(x, unique=True)


def inner_product(np: Any, a: Any, b: Any) -> Any:
    """The sum of the products of the entries of two trees; the second is of plain tuples, lists and dicts."""
    if isinstance(b, dict):
        return sum(inner_product(np, a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return sum(inner_product(np, a[place], y) for place, y in enumerate(b))
    return np.sum(a * b)
