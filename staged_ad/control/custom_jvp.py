"""custom_jvp: a program whose derivative is a program that the user wrote.

``(captures, inputs) -> outputs``; the rule is ``(captures, inputs, tangents of the floating-point inputs) -> (outputs,
tangents of the floating-point outputs)``. Captures are values from around the function, of which the rule says nothing:
derivatives along them are those of the program.

Invariant: a derivative along the inputs is the program of the rule, whatever the program computes.
Start at ``custom_jvp``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from staged_ad.control.deferred import Deferred, along_captures, tangents_for_rule, with_tangents
from staged_ad.control.layout import chosen, spread
from staged_ad.errors import NotDifferentiableError
from staged_ad.ir import Literal, Primitive, Program, evaluate
from staged_ad.ir.lowerings import Inlined
from staged_ad.primitives.makers import plus
from staged_ad.tracing import bind
from staged_ad.transforms.call import CALL, call
from staged_ad.transforms.partial_eval import partial_eval
from staged_ad.transforms.vmap import vmap_program


def custom_jvp(program: Program, rule: Deferred, captures: int, *values: Any) -> list[Any]:
    """The outputs of `program`, as one equation."""
    results: list[Any] = bind(_CUSTOM_JVP, *values, program=program, rule=rule, captures=captures)
    return results


def _jvp(
    primals: Sequence[Any], tangents: Sequence[Any], *, program: Program, rule: Deferred, captures: int
) -> tuple[list[Any], list[Any]]:
    around = along_captures(program, primals, tangents, captures)
    if all(t is None for t in tangents[captures:]):
        return custom_jvp(program, rule, captures, *primals), around
    x_dots = tangents_for_rule(primals, tangents, captures)
    ys, y_dots = _apply(rule, primals, x_dots, len(program.outputs))
    spread_dots = spread(y_dots, [type.inexact for type in program.output_types])
    return ys, [plus(a, b) for a, b in zip(spread_dots, around, strict=True)]


def _apply(rule: Deferred, primals: Sequence[Any], x_dots: Sequence[Any], count: int) -> tuple[list[Any], list[Any]]:
    """What of the rule does not depend on the tangents, then the linear rest as one equation."""
    split = partial_eval(rule.program, [True] * len(primals) + [False] * len(x_dots))
    flags = split.outputs_known
    if not all(flags[:count]):
        raise NotDifferentiableError(f"{rule.about} returns a value that depends on the tangents")
    results, fixed = call(split.known, *primals), sum(flags)
    constants = zip(split.known.outputs[count:fixed], results[count:fixed], strict=True)
    sooner = iter([_constant(rule, atom, value) for atom, value in constants])
    later = iter(bind(_TANGENTS, *results[fixed:], *x_dots, program=split.unknown) if fixed < len(flags) else [])
    return results[:count], [next(sooner) if flag else next(later) for flag in flags[count:]]


def _constant(rule: Deferred, atom: Any, value: Any) -> Any:
    """A tangent that does not depend on the tangents: it must be zero, as far as can be seen."""
    if not isinstance(atom, Literal):
        return value
    if atom.value.any():
        raise NotDifferentiableError(f"{rule.about} returns a tangent that is a constant other than zero")
    return None


def _batch(
    size: int, values: Sequence[Any], batched: Sequence[bool], *, program: Program, rule: Deferred, captures: int
) -> tuple[list[Any], list[bool]]:
    """All results are batched, those of the program and those of the rule."""
    everything = [True] * len(program.outputs)
    mapped, _ = vmap_program(program, batched, size, everything)
    flags = [*batched, *chosen(batched, with_tangents(values, captures))]

    def mapped_rule(program: Program) -> Program:
        found: Program = vmap_program(program, flags, size, [True] * len(program.outputs))[0]
        return found

    return custom_jvp(mapped, rule.then(mapped_rule), captures, *values), everything


_CUSTOM_JVP = Primitive(
    "custom_jvp",
    abstract_eval=lambda *types, program, rule, captures: CALL.abstract_eval(*types, program=program),
    evaluate=lambda *arrays, program, rule, captures: evaluate(program, *arrays),
    jvp=_jvp,
    transpose=lambda cts, inputs, program, rule, captures: CALL.transpose(cts, inputs, program=program),
    batch=_batch,
    lower=Inlined(lambda equation: equation.params["program"]),
    multiple_results=True,
)


def _transpose_tangents(cts: Sequence[Any], inputs: Sequence[Any], *, program: Program) -> list[Any]:
    try:
        bars: list[Any] = CALL.transpose(cts, inputs, program=program)
    except NotDifferentiableError as error:
        places = " ".join(getattr(error, "__notes__", []))
        raise NotDifferentiableError(
            f"the rule {program.name.removeprefix('unknown_')} must be linear in the tangents, but {error} {places}"
        ) from None
    return bars


_TANGENTS = replace(CALL, name="custom_jvp_tangents", transpose=_transpose_tangents)
"""The linear part of a rule: a call, whose errors say that the rule is not linear where it is not."""
