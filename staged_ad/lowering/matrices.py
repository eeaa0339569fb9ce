"""Matrix products for BLAS: how axes of a dot_general become rows, columns and a stack.

Invariant: after ``canonical`` every product that goes to BLAS has operands of one batch, free and contracted axis
each, stored as they stand, the batch axis not last.
Start at ``canonical``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from staged_ad.ir import Atom, Equation, Program, Var
from staged_ad.ir.lowerings import Product, View
from staged_ad.lowering.regions import Matrix, MatrixProduct
from staged_ad.lowering.rows import sums_fit
from staged_ad.lowering.values import Externals
from staged_ad.primitives.arithmetic import and_
from staged_ad.primitives.makers import mul
from staged_ad.primitives.products import free_axes
from staged_ad.primitives.reductions import reduce_sum
from staged_ad.primitives.shaping import _reshape, _transpose, broadcast

SMALLEST = 2048
"""Multiplications per matrix below which a product is emitted inline."""
SMALLEST_VECTOR = 65536
"""The same for a matrix and a vector: inline, elementwise operands need not be stored."""


def _lengths(equation: Equation) -> tuple[int, int, int, int]:
    """m, n, k of one matrix product, and how many there are."""
    a, b = (atom.type.shape for atom in equation.inputs)
    contract, batch = equation.params["contract"], equation.params["batch"]
    m = math.prod(a[k] for k in free_axes(len(a), contract[0], batch[0]))
    n = math.prod(b[k] for k in free_axes(len(b), contract[1], batch[1]))
    return m, n, math.prod(a[k] for k in contract[0]), math.prod(a[k] for k in batch[0])


def wants_blas(equation: Equation) -> bool:
    if not isinstance(equation.primitive.lower, Product) or equation.outputs[0].type.dtype.kind != "f":
        return False
    m, n, k, count = _lengths(equation)
    if count == 1 and k > 1 and min(m, n) == 1:
        return max(m, n) > 1 and m * n * k >= SMALLEST_VECTOR
    return count > 0 and min(m, n, k) > 1 and m * n * k >= SMALLEST


def canonical(program: Program) -> Program:
    """Products for BLAS with their operands as stacks of matrices: views and copies as equations of their own.

    Products that contract nothing become elementwise. So do those of a matrix with several vectors, as in
    X.T @ f(X @ w): by rows, they read it once (`rows`). Operands change places where what reads the result has its
    rows along the columns of that.
    """
    equations: list[Equation] = []
    shared = _read_again(program)
    for equation in _side_by_side(_read_in_order(program), shared):
        if not shared.isdisjoint(equation.inputs) and _by_vector(equation) is not None:
            equations.extend(_summed(equation))
        elif wants_blas(equation):
            equations.extend(_canonical(equation))
        elif isinstance(equation.primitive.lower, Product) and _lengths(equation)[2] == 1:
            equations.extend(_elementwise(equation))
        else:
            equations.append(equation)
    return Program(program.inputs, tuple(equations), program.outputs, program.name)


def _read_in_order(program: Program) -> Sequence[Equation]:
    """The equations, with products whose only reader turns their last axis away as the products of swapped operands."""
    uses = program.uses
    readers = {atom: equation for equation in program.equations for atom in equation.inputs if uses[atom] == 1}
    replaced: dict[tuple[Var, ...], Equation | None] = {}
    for product in program.equations:
        reader = readers.get(product.outputs[0]) if wants_blas(product) else None
        if reader is not None and "permutation" in reader.params and isinstance(reader.primitive.lower, View):
            replaced.update(_swapped(product, reader))
    found = (replaced.get(equation.outputs, equation) for equation in program.equations)
    return [equation for equation in found if equation is not None]


def _swapped(product: Equation, reader: Equation) -> dict[tuple[Var, ...], Equation | None]:
    """What takes the place of a product and of a transpose of it, if rows of the transpose are its columns."""
    (a, b), (output,) = product.inputs, product.outputs
    contract, batch = product.params["contract"], product.params["batch"]
    stack, rows = len(batch[0]), a.type.ndim - len(contract[0])
    permutation = reader.params["permutation"]
    if not stack <= permutation[-1] < rows:
        return {}
    order = (*range(stack), *range(rows, output.type.ndim), *range(stack, rows))  # of the old axes in the new result
    params = {"contract": contract[::-1], "batch": batch[::-1]}
    if permutation == order:
        swapped = Equation(product.primitive, (b, a), params, reader.outputs, product.source)
        return {product.outputs: swapped, reader.outputs: None}
    result = Var(output.type.with_shape(tuple(output.type.shape[axis] for axis in order)))
    turned = {**reader.params, "permutation": tuple(map(order.index, permutation))}
    return {
        product.outputs: Equation(product.primitive, (b, a), params, (result,), product.source),
        reader.outputs: Equation(reader.primitive, (result,), turned, reader.outputs, reader.source),
    }


def _by_vector(equation: Equation) -> int | None:
    """Which operand is the matrix in a product of a large matrix and a vector; None in others."""
    if not wants_blas(equation):
        return None
    ranks = [atom.type.ndim for atom in equation.inputs]
    return ranks.index(2) if sorted(ranks) == [1, 2] else None


def _read_again(program: Program) -> set[Atom]:
    """Matrices with short rows that are multiplied by several vectors."""
    count: Counter[Atom] = Counter()
    for equation in program.equations:
        which = _by_vector(equation)
        if which is not None:
            count[equation.inputs[which]] += 1
    return {
        matrix
        for matrix, times in count.items()
        if times > 1 and sums_fit(matrix.type.with_shape(matrix.type.shape[1:]))
    }


def _side_by_side(equations: Sequence[Equation], shared: set[Atom]) -> Sequence[Equation]:
    """The products of each shared matrix behind the first of them, where what they need does not wait for that."""
    order = list(equations)
    for matrix in dict.fromkeys(atom for equation in equations for atom in equation.inputs if atom in shared):
        products = [equation for equation in order if matrix in equation.inputs and _by_vector(equation) is not None]
        for product in products[1:]:
            first, last = order.index(products[0]), order.index(product)
            needed = _needed(order[first:last], product)
            if products[0] in needed or any(not e.outputs or any(True for _ in e.programs) for e in needed):
                continue
            others = [e for e in order[first + 1 :] if e is not product and e not in needed]
            order = [*order[:first], *needed, products[0], product, *others]
    return order


def _needed(equations: Sequence[Equation], user: Equation) -> list[Equation]:
    """Those of the equations before `user` on which it depends, in order."""
    wanted = set(user.inputs)
    needed: list[Equation] = []
    for equation in reversed(equations):
        if not wanted.isdisjoint(equation.outputs):
            needed.append(equation)
            wanted.update(equation.inputs)
    return needed[::-1]


def _summed(equation: Equation) -> list[Equation]:
    """The product with a vector as the sum of elementwise products."""
    which = _by_vector(equation)
    assert which is not None
    matrix, vector = equation.inputs[which], equation.inputs[1 - which]
    (axis,) = equation.params["contract"][which]
    new: list[Equation] = []
    shape = matrix.type.shape
    spread = _added(new, equation, broadcast.primitive, vector, {"shape": shape, "dims": (axis,)}, shape)
    product = Var(matrix.type)
    new.append(Equation(mul.primitive, (matrix, spread), {}, (product,), equation.source))
    new.append(Equation(reduce_sum.primitive, (product,), {"axes": (axis,)}, equation.outputs, equation.source))
    return new


def _elementwise(equation: Equation) -> list[Equation]:
    """An outer product: each operand broadcast to the axes of the result, then multiplied."""
    (output,) = equation.outputs
    contract, batch = equation.params["contract"], equation.params["batch"]
    shape, stack = output.type.shape, len(batch[0])
    new: list[Equation] = []
    operands: list[Atom] = []
    start = stack
    for k, x in enumerate(equation.inputs):
        free = free_axes(x.type.ndim, contract[k], batch[k])
        places = dict(zip((*batch[k], *free), (*range(stack), *range(start, start + len(free))), strict=True))
        start += len(free)
        kept = [axis for axis in range(x.type.ndim) if axis in places]
        permutation = tuple(sorted(range(len(kept)), key=lambda j, kept=kept, places=places: places[kept[j]]))  # type: ignore[misc]
        lengths = [x.type.shape[axis] for axis in kept]
        if len(kept) < x.type.ndim:
            x = _added(new, equation, _reshape.primitive, x, {"shape": tuple(lengths)}, lengths)
        turned = [lengths[j] for j in permutation]
        x = _added(new, equation, _transpose.primitive, x, {"permutation": permutation}, turned)
        dims = tuple(places[kept[j]] for j in permutation)
        operands.append(_added(new, equation, broadcast.primitive, x, {"shape": shape, "dims": dims}, shape))
    primitive = and_.primitive if output.type.dtype.kind == "b" else mul.primitive
    new.append(Equation(primitive, tuple(operands), {}, (output,), equation.source))
    return new


def _canonical(equation: Equation) -> list[Equation]:
    contract = equation.params["contract"]
    new: list[Equation] = []
    # both operands must list the contracted axes in one order: that of the first
    order = sorted(range(len(contract[0])), key=contract[0].__getitem__)
    a, a_axes = _arranged(new, equation, 0, order)
    b, b_axes = _arranged(new, equation, 1, order)
    params = {key: ((a_axes[place],), (b_axes[place],)) for place, key in enumerate(("batch", "contract"))}
    # the result is (stack, m, n) in memory, whatever shape the output gives it
    new.append(Equation(equation.primitive, (a, b), params, equation.outputs, equation.source))
    return new


def _arranged(new: list[Equation], equation: Equation, k: int, order: Sequence[int]) -> tuple[Atom, tuple[int, ...]]:
    """An operand with one axis each for the stack, the contracted and the free axes, and which these are.

    BLAS reads any such array in which the axis of the stack is not the last; another is copied into that order.
    """
    x = equation.inputs[k]
    batch = equation.params["batch"][k]
    contract = tuple(equation.params["contract"][k][place] for place in order)
    groups = [batch, contract, free_axes(x.type.ndim, contract, batch)]
    natural = tuple(range(x.type.ndim))
    places = sorted(range(3), key=lambda group: groups[group][0] if groups[group] else -1)
    permutation = tuple(axis for place in places for axis in groups[place])
    if permutation != natural or (places[-1] == 0 and batch):
        places = [0, 1, 2] if (*batch, *contract, *groups[2]) == natural else [0, 2, 1]
        permutation = tuple(axis for place in places for axis in groups[place])
    lengths = [[x.type.shape[axis] for axis in groups[place]] for place in places]
    if permutation != natural:
        x = _added(
            new, equation, _transpose.primitive, x, {"permutation": permutation}, [n for g in lengths for n in g]
        )
    shape = tuple(map(math.prod, lengths))
    if x.type.shape != shape:
        x = _added(new, equation, _reshape.primitive, x, {"shape": shape}, shape)
    return x, tuple(map(places.index, range(3)))


def _added(
    new: list[Equation], equation: Equation, primitive: Any, x: Atom, params: dict[str, Any], shape: Sequence[int]
) -> Var:
    output = Var(x.type.with_shape(tuple(shape)))
    new.append(Equation(primitive, (x,), params, (output,), equation.source))
    return output


def matrix_product(equation: Equation, a: Atom, b: Atom) -> MatrixProduct:
    """The region for a canonical product whose operands are stored as `a` and `b`."""
    m, n, k, count = _lengths(equation)
    left, right = (_matrix(equation, place, x) for place, x in enumerate((a, b)))
    return MatrixProduct(m, n, k, count, left, right, equation.outputs[0])


def _matrix(equation: Equation, place: int, stored: Atom) -> Matrix:
    """An operand as BLAS finds it: which of its axes has the longer step in memory, and the steps."""
    shape = equation.inputs[place].type.shape
    (stack,), (contract,) = (equation.params[key][place] for key in ("batch", "contract"))
    free = 3 - stack - contract
    steps = [math.prod(shape[axis + 1 :]) for axis in range(3)]
    rows, columns = min(free, contract), max(free, contract)
    return Matrix(stored, (free if place == 0 else contract) == columns, steps[rows], steps[stack])


def product_text(product: MatrixProduct, externals: Externals) -> str:
    """A function of the number of the matrix in its stack."""
    size = product.result.type.dtype.itemsize
    lines = ["define internal void @REGION(i64 %index, ptr %arrays) nounwind {"]
    for k, stack in enumerate((product.a.stack, product.b.stack, product.m * product.n)):
        lines += [
            f"  %cell{k} = getelementptr ptr, ptr %arrays, i64 {k}",
            f"  %base{k} = load ptr, ptr %cell{k}, align 8",
            f"  %step{k} = mul i64 %index, {stack * size}",
            f"  %p{k} = getelementptr i8, ptr %base{k}, i64 %step{k}",
        ]
    lines.append(_blas_call(product, ["%p0", "%p1", "%p2"], externals))
    return "\n".join([*lines, "  ret void", "}"])


def _blas_call(product: MatrixProduct, pointers: list[str], externals: Externals) -> str:
    """A matrix product, or a matrix and a vector: then `rows` and `columns` are those of the stored matrix."""
    bits = 8 * product.result.type.dtype.itemsize
    m, n, k, a, b = product.m, product.n, product.k, product.a, product.b
    if min(m, n) > 1:
        function, kinds = f"staged_gemm_f{bits}", "i64, i64, i64, i64, i64, ptr, i64, ptr, i64, ptr, i64"
        arguments = (
            f"i64 {int(a.transposed)}, i64 {int(b.transposed)}, i64 {m}, i64 {n}, i64 {k}, "
            f"ptr {pointers[0]}, i64 {a.leading}, ptr {pointers[1]}, i64 {b.leading}, ptr {pointers[2]}, i64 {n}"
        )
    else:
        function, kinds = f"staged_gemv_f{bits}", "i64, i64, i64, ptr, i64, ptr, ptr"
        if n == 1:
            matrix, vector, length, turned = a, pointers[1], m, a.transposed
        else:
            matrix, vector, length, turned = b, pointers[0], n, not b.transposed
        stored = pointers[0] if matrix is a else pointers[1]
        rows, columns = (k, length) if turned else (length, k)
        arguments = (
            f"i64 {int(turned)}, i64 {rows}, i64 {columns}, ptr {stored}, i64 {matrix.leading}, ptr {vector}, "
            f"ptr {pointers[2]}"
        )
    externals.declarations[function] = f"declare void @{function}({kinds})"
    return f"  call void @{function}({arguments})"
