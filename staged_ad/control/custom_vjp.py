"""custom_vjp: a program whose pullback is a program that the user wrote.

``(captures, inputs) -> outputs``; the rule is a pair, ``forward: (captures, inputs) -> (outputs, residuals)`` and
``backward: (captures, residuals, cotangents) -> cotangents``, of floating-point outputs and inputs. A derivative is the
forward half and one linear equation, of which only the transpose is given: the backward half. Forward mode transposes
that in turn, where it can be.

Invariant: reverse mode runs the backward half as the user wrote it.
Start at ``custom_vjp``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staged_ad.control.deferred import Deferred, along_captures, tangents_for_rule, with_tangents
from staged_ad.control.layout import chosen, spread
from staged_ad.errors import NotDifferentiableError
from staged_ad.ir import ArrayType, Linear, Primitive, Program, evaluate
from staged_ad.ir.lowerings import Inlined
from staged_ad.primitives.makers import instantiate, plus
from staged_ad.primitives.reductions import reduce_sum
from staged_ad.tracing import bind, building
from staged_ad.tracing.trace import inline
from staged_ad.transforms.call import CALL, call
from staged_ad.transforms.transpose import transpose_program
from staged_ad.transforms.vmap import vmap_program

Types = tuple[ArrayType, ...]


def custom_vjp(program: Program, forward: Deferred, backward: Deferred, captures: int, *values: Any) -> list[Any]:
    """The outputs of `program`, as one equation."""
    params = {"program": program, "forward": forward, "backward": backward, "captures": captures}
    results: list[Any] = bind(_CUSTOM_VJP, *values, **params)
    return results


def _jvp(
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    program: Program,
    forward: Deferred,
    backward: Deferred,
    captures: int,
) -> tuple[list[Any], list[Any]]:
    around = along_captures(program, primals, tangents, captures)
    if all(t is None for t in tangents[captures:]):
        return custom_vjp(program, forward, backward, captures, *primals), around
    x_dots = tangents_for_rule(primals, tangents, captures)
    results, count = call(forward.program, *primals), len(program.outputs)
    known = [*primals[:captures], *results[count:]]
    inexact = [type.inexact for type in program.output_types]
    types = tuple([type.strong() for type in chosen(program.output_types, inexact)])
    y_dots: list[Any] = bind(_TANGENT, *known, *x_dots, backward=backward, known=len(known), types=types)
    return results[:count], [plus(a, b) for a, b in zip(spread(y_dots, inexact), around, strict=True)]


def _batch(
    size: int,
    values: Sequence[Any],
    batched: Sequence[bool],
    *,
    program: Program,
    forward: Deferred,
    backward: Deferred,
    captures: int,
) -> tuple[list[Any], list[bool]]:
    """All outputs are batched; residuals are where they depend on what is batched."""
    outputs = [True] * len(program.outputs)
    mapped, _ = vmap_program(program, batched, size, outputs)

    def mapped_forward(program: Program) -> tuple[Program, list[bool]]:
        wanted = outputs + [False] * (len(program.outputs) - len(outputs))
        found: tuple[Program, list[bool]] = vmap_program(program, batched, size, wanted)
        return found

    def mapped_backward(program: Program) -> Program:
        residuals = mapped_forward(forward.program)[1][len(outputs) :]
        inputs = chosen(batched, with_tangents(values, captures))
        return _mapped_backward(program, [*batched[:captures], *residuals], inputs, size)

    first, second = forward.then(lambda program: mapped_forward(program)[0]), backward.then(mapped_backward)
    return custom_vjp(mapped, first, second, captures, *values), outputs


def _mapped_backward(backward: Program, known: Sequence[bool], inputs: Sequence[bool], size: int) -> Program:
    """`backward` along a batch axis; inputs that all lanes share get the sum of the cotangents of the lanes."""
    cotangents = len(backward.inputs) - len(known)
    mapped, _ = vmap_program(backward, [*known, *[True] * cotangents], size, [True] * len(backward.outputs))
    with building() as trace:
        bars = inline(trace, mapped, trace.add_inputs(mapped.input_types))
        sums = [bar if flag else reduce_sum(bar, axes=(0,)) for bar, flag in zip(bars, inputs, strict=True)]
        program: Program = trace.finish(sums, backward.name)[0]
    return program


_CUSTOM_VJP = Primitive(
    "custom_vjp",
    abstract_eval=lambda *types, program, **rule: CALL.abstract_eval(*types, program=program),
    evaluate=lambda *arrays, program, **rule: evaluate(program, *arrays),
    jvp=_jvp,
    transpose=lambda cts, inputs, program, **rule: CALL.transpose(cts, inputs, program=program),
    batch=_batch,
    lower=Inlined(lambda equation: equation.params["program"]),
    multiple_results=True,
)


def _forward_mode(backward: Deferred, known: int) -> Program:
    """``(captures, residuals, tangents) -> tangents``: the transpose of the transpose."""
    program = backward.program
    try:
        return transpose_program(program, [k >= known for k in range(len(program.inputs))])
    except NotDifferentiableError as error:
        places = " ".join(getattr(error, "__notes__", []))
        raise NotDifferentiableError(
            f"{backward.about} is for reverse mode: forward mode (jvp, jacfwd, linearize) needs it to be linear in the "
            f"cotangents, but {error} {places}. Use grad, vjp or jacrev, or write a rule for both modes with custom_jvp"
        ) from None


def _jvp_tangent(
    primals: Sequence[Any], tangents: Sequence[Any], *, backward: Deferred, known: int, types: Types
) -> Any:
    return CALL.jvp(primals, tangents, program=_forward_mode(backward, known))


def _transpose_tangent(
    cts: Sequence[Any], inputs: Sequence[Any], *, backward: Deferred, known: int, types: Types
) -> list[Any]:
    y_bars = [instantiate(ct, type) for ct, type in zip(cts, types, strict=True)]
    linear = [isinstance(x, Linear) for x in inputs[known:]]
    program = backward.program.narrowed([True] * len(backward.program.inputs), linear)
    return [*[None] * known, *spread(call(program, *inputs[:known], *y_bars), linear)]


def _batch_tangent(
    size: int, values: Sequence[Any], batched: Sequence[bool], *, backward: Deferred, known: int, types: Types
) -> tuple[list[Any], list[bool]]:
    flags, inputs = batched[:known], batched[known:]
    mapped = backward.then(lambda program: _mapped_backward(program, flags, inputs, size))
    stacked = tuple([type.stacked(size) for type in types])
    return bind(_TANGENT, *values, backward=mapped, known=known, types=stacked), [True] * len(types)


_TANGENT = Primitive(
    "custom_vjp_tangent",
    abstract_eval=lambda *operands, backward, known, types: list(types),
    evaluate=lambda *arrays, backward, known, types: evaluate(_forward_mode(backward, known), *arrays),
    jvp=_jvp_tangent,
    transpose=_transpose_tangent,
    batch=_batch_tangent,
    lower=Inlined(lambda equation: _forward_mode(equation.params["backward"], equation.params["known"])),
    multiple_results=True,
)
"""The derivative of a function with custom_vjp, linear in its operands from number `known` on."""
